//! Writes rows, as the reader takes them.

use serde::Serialize;

use super::{
    fields::{self, LIST_SEPARATOR},
    row::{ReservationRow, Row},
};
use crate::{
    domain::{
        BookingId, Goods, Label, OrderLine, PoolId, Price, ReservationId, RestockStatus,
        SeatNumber, Sku, StoreId, Timestamp, UserId,
    },
    message::to_json,
};

/// The formats of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileFormat {
    /// JSON Lines: one object a line.
    #[default]
    Jsonl,
    /// CSV (RFC 4180), with a header.
    Csv,
}

/// A row that CSV has no form for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a seat number or SKU of a reservation holds a semicolon: export as JSON Lines")]
pub struct NotWritable;

/// Writes rows in a format.
#[derive(Clone, Copy, Debug)]
pub struct Writer {
    format: FileFormat,
}

impl Writer {
    /// A writer of this format.
    #[must_use]
    pub fn new(format: FileFormat) -> Self {
        Self { format }
    }

    /// What comes before all rows, with its line end.
    #[must_use]
    pub fn header(self) -> String {
        match self.format {
            FileFormat::Jsonl => String::new(),
            FileFormat::Csv => format!("{}\n", fields::ALL.join(",")),
        }
    }

    /// A row, with its line end.
    ///
    /// # Errors
    ///
    /// [`NotWritable`].
    pub fn row(self, row: &Row) -> Result<String, NotWritable> {
        let pool = row.pool();
        let body = RowBody::new(&pool, row);
        let mut line = match self.format {
            FileFormat::Jsonl => to_json(&body),
            FileFormat::Csv => body.csv()?,
        };
        line.push('\n');
        Ok(line)
    }
}

/// A row with all of its fields, in the order of [`fields::ALL`].
#[derive(Default, Serialize)]
struct RowBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store_id: Option<&'a StoreId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seat_number: Option<&'a SeatNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    section: Option<&'a Label>,
    #[serde(skip_serializing_if = "Option::is_none")]
    row_number: Option<&'a Label>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seat_type: Option<&'a Label>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<Price>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<RestockStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sku: Option<&'a Sku>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reservation_id: Option<ReservationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a UserId>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    seats: &'a [SeatNumber],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    lines: &'a [OrderLine],
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    booking_id: Option<&'a BookingId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    goods: Option<Goods>,
}

impl<'a> RowBody<'a> {
    fn new(pool: &'a PoolId, row: &'a Row) -> Self {
        let body = match pool {
            PoolId::Event(id) => Self { event_id: Some(*id), ..Self::default() },
            PoolId::Store(id) => Self { store_id: Some(id), ..Self::default() },
        };
        match row {
            Row::Seat(_, seat) => Self {
                seat_number: Some(&seat.number),
                section: seat.section.as_ref(),
                row_number: seat.row_number.as_ref(),
                seat_type: seat.seat_type.as_ref(),
                price: seat.price,
                status: seat.status,
                ..body
            },
            Row::Line(_, line) => {
                Self { sku: Some(&line.sku), quantity: Some(line.quantity), ..body }
            }
            Row::Reservation(_, row) => body.reservation(row),
        }
    }

    fn reservation(self, row: &'a ReservationRow) -> Self {
        Self {
            reservation_id: row.reservation_id,
            user_id: Some(&row.user_id),
            seats: &row.seats,
            lines: &row.lines,
            expires_at: row.expires_at,
            booking_id: row.booking_id.as_ref(),
            goods: (row.goods != Goods::Leave).then_some(row.goods),
            ..self
        }
    }

    fn csv(&self) -> Result<String, NotWritable> {
        fn cell(value: Option<impl ToString>) -> String {
            value.map(|value| value.to_string()).unwrap_or_default()
        }
        let seats: Vec<&str> = self.seats.iter().map(SeatNumber::as_str).collect();
        let lines: Vec<String> =
            self.lines.iter().map(|line| format!("{}={}", line.sku, line.quantity)).collect();
        let is_separate = |text: &str| !text.contains(LIST_SEPARATOR);
        if !seats.iter().all(|seat| is_separate(seat)) || !lines.iter().all(|l| is_separate(l)) {
            return Err(NotWritable);
        }
        let separator = LIST_SEPARATOR.to_string();
        let status = self.status.map(|status| match status {
            RestockStatus::Available => "AVAILABLE",
            RestockStatus::Blocked => "BLOCKED",
        });
        let cells = [
            cell(self.event_id),
            cell(self.store_id),
            cell(self.seat_number),
            cell(self.section),
            cell(self.row_number),
            cell(self.seat_type),
            cell(self.price),
            cell(status),
            cell(self.sku),
            cell(self.quantity),
            cell(self.reservation_id),
            cell(self.user_id),
            seats.join(&separator),
            lines.join(&separator),
            cell(self.expires_at),
            cell(self.booking_id),
            cell(self.goods.map(Goods::as_str)),
        ];
        Ok(cells.map(|cell| quoted(&cell)).join(","))
    }
}

/// A cell of CSV (RFC 4180).
fn quoted(cell: &str) -> String {
    match cell.contains([',', '"']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}
