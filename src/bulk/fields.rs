//! The fields of a row, as texts, and the row that they make.

use std::{collections::BTreeMap, str::FromStr};

use serde_json::Value;

use super::row::{ReservationRow, Row, RowError};
use crate::domain::{
    Goods, InvalidText, LineChange, OrderLine, PoolId, QUANTITY_MAX, RestockStatus, SeatChange,
    command::RESERVE_ENTRIES_MAX, ids::EVENT_ID_MAX,
};

pub(super) const EVENT_ID: &str = "event_id";
pub(super) const STORE_ID: &str = "store_id";
pub(super) const SEAT_NUMBER: &str = "seat_number";
pub(super) const SECTION: &str = "section";
pub(super) const ROW_NUMBER: &str = "row_number";
pub(super) const SEAT_TYPE: &str = "seat_type";
pub(super) const PRICE: &str = "price";
pub(super) const STATUS: &str = "status";
pub(super) const SKU: &str = "sku";
pub(super) const QUANTITY: &str = "quantity";
pub(super) const RESERVATION_ID: &str = "reservation_id";
pub(super) const USER_ID: &str = "user_id";
pub(super) const SEATS: &str = "seats";
pub(super) const LINES: &str = "lines";
pub(super) const EXPIRES_AT: &str = "expires_at";
pub(super) const BOOKING_ID: &str = "booking_id";
pub(super) const GOODS: &str = "goods";

/// Every field, in the order of an exported CSV's columns.
pub(super) const ALL: [&str; 17] = [
    EVENT_ID,
    STORE_ID,
    SEAT_NUMBER,
    SECTION,
    ROW_NUMBER,
    SEAT_TYPE,
    PRICE,
    STATUS,
    SKU,
    QUANTITY,
    RESERVATION_ID,
    USER_ID,
    SEATS,
    LINES,
    EXPIRES_AT,
    BOOKING_ID,
    GOODS,
];

/// The fields of a seat besides those of its pool.
const OF_SEAT: &[&str] = &[SEAT_NUMBER, SECTION, ROW_NUMBER, SEAT_TYPE, PRICE, STATUS];
/// The fields of a line besides those of its pool.
const OF_LINE: &[&str] = &[SKU, QUANTITY];
/// The fields of a reservation besides those of its pool.
const OF_RESERVATION: &[&str] =
    &[RESERVATION_ID, USER_ID, SEATS, LINES, EXPIRES_AT, BOOKING_ID, GOODS];

/// Separates the entries of `seats` and `lines` in CSV.
pub(super) const LIST_SEPARATOR: char = ';';

/// The name of a field as a constant; `None` if there is no such field.
pub(super) fn known(name: &str) -> Option<&'static str> {
    ALL.into_iter().find(|known| *known == name)
}

/// The fields that a row has.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    texts: BTreeMap<&'static str, String>,
    seats: Vec<String>,
    /// SKU and quantity.
    lines: Vec<(String, String)>,
}

impl Fields {
    /// Of the cells of a CSV; an empty one counts as missing.
    pub(super) fn of_cells<'a>(
        cells: impl IntoIterator<Item = (&'static str, &'a str)>,
    ) -> Result<Self, RowError> {
        let mut fields = Self::default();
        for (name, cell) in cells.into_iter().filter(|(_, cell)| !cell.is_empty()) {
            let entries = || cell.split(LIST_SEPARATOR);
            match name {
                SEATS => fields.seats = entries().map(str::to_owned).collect(),
                LINES => fields.lines = entries().map(line_of_text).collect::<Result<_, _>>()?,
                _ => drop(fields.texts.insert(name, cell.to_owned())),
            }
        }
        Ok(fields)
    }

    /// Of a line of JSON.
    pub(super) fn of_json(line: &str) -> Result<Self, RowError> {
        // The parser's errors contain the position and the grammar, never the text.
        let value: Value = serde_json::from_str(line)
            .map_err(|error| RowError::new("row", format!("JSON ({error})")))?;
        let Value::Object(members) = value else {
            return Err(RowError::new("row", "a JSON object with the fields of a row"));
        };
        let mut fields = Self::default();
        for (name, value) in members.into_iter().filter(|(_, value)| !value.is_null()) {
            let Some(name) = known(&name) else { return Err(unknown_field()) };
            match name {
                SEATS => fields.seats = seats_of_json(value)?,
                LINES => fields.lines = lines_of_json(value)?,
                _ => {
                    let expected = || RowError::new(name, "a text, or a number");
                    fields.texts.insert(name, text_of(value).ok_or_else(expected)?);
                }
            }
        }
        Ok(fields)
    }

    /// The row that the fields make. `pool` is that of a row that names none.
    pub(super) fn row(&self, pool: Option<&PoolId>) -> Result<Row, RowError> {
        let pool = self.pool(pool)?;
        let has = |name: &str| self.texts.contains_key(name);
        match (has(SEAT_NUMBER), has(SKU), has(USER_ID)) {
            (true, false, false) => self.seat(&pool),
            (false, true, false) => self.line(pool),
            (false, false, true) => self.reservation(pool),
            _ => Err(RowError::new(
                "row",
                "one of seat_number (a seat), sku (a line) and user_id (a reservation)",
            )),
        }
    }

    fn pool(&self, default: Option<&PoolId>) -> Result<PoolId, RowError> {
        let event = self.texts.get(EVENT_ID);
        let store = self.texts.get(STORE_ID);
        match (event, store, default) {
            (Some(event), None, _) => {
                let id = event.parse().ok().filter(|id| *id <= EVENT_ID_MAX);
                let expected = || format!("a whole number from 0 to {EVENT_ID_MAX}");
                id.map(PoolId::Event).ok_or_else(|| RowError::new(EVENT_ID, expected()))
            }
            (None, Some(_), _) => self.required(STORE_ID).map(PoolId::Store),
            (None, None, Some(pool)) => Ok(pool.clone()),
            (None, None, None) => Err(RowError::new(
                EVENT_ID,
                "the event or in store_id the store, or for the whole file --pool",
            )),
            (Some(_), Some(_), _) => {
                Err(RowError::new(STORE_ID, "no store in a row that names an event"))
            }
        }
    }

    /// Refuses fields of another kind of row, which would be lost.
    fn only(&self, own: &[&str], kind: &str) -> Result<(), RowError> {
        let lists = [(SEATS, !self.seats.is_empty()), (LINES, !self.lines.is_empty())];
        let lists = lists.into_iter().filter_map(|(name, given)| given.then_some(name));
        let mut given = self.texts.keys().copied().chain(lists);
        let is_foreign =
            |name: &&str| *name != EVENT_ID && *name != STORE_ID && !own.contains(name);
        match given.find(is_foreign) {
            Some(name) => Err(RowError::new(
                name,
                format!("no such field in the row of {kind}: leave it out"),
            )),
            None => Ok(()),
        }
    }

    fn seat(&self, pool: &PoolId) -> Result<Row, RowError> {
        self.only(OF_SEAT, "a seat")?;
        let PoolId::Event(event_id) = pool else {
            return Err(RowError::new(SEAT_NUMBER, "a sku: a store has lines and no seats"));
        };
        let status = match self.texts.get(STATUS).map(String::as_str) {
            None => None,
            Some("AVAILABLE") => Some(RestockStatus::Available),
            Some("BLOCKED") => Some(RestockStatus::Blocked),
            Some(_) => {
                return Err(RowError::new(
                    STATUS,
                    "AVAILABLE or BLOCKED. A seat that is held or booked is AVAILABLE, with a \
                     later row for its reservation",
                ));
            }
        };
        let change = SeatChange {
            number: self.required(SEAT_NUMBER)?,
            section: self.optional(SECTION)?,
            row_number: self.optional(ROW_NUMBER)?,
            seat_type: self.optional(SEAT_TYPE)?,
            price: self.optional(PRICE)?,
            status,
        };
        Ok(Row::Seat(*event_id, change))
    }

    fn line(&self, pool: PoolId) -> Result<Row, RowError> {
        self.only(OF_LINE, "a line")?;
        let quantity = self.texts.get(QUANTITY).and_then(|text| text.parse::<u64>().ok());
        let quantity = quantity.filter(|quantity| *quantity <= QUANTITY_MAX);
        let quantity = quantity.and_then(|quantity| i64::try_from(quantity).ok());
        let expected = || format!("what is on hand, a whole number from 0 to {QUANTITY_MAX}");
        let quantity = quantity.ok_or_else(|| RowError::new(QUANTITY, expected()))?;
        Ok(Row::Line(pool, LineChange::new(self.required(SKU)?, quantity)))
    }

    fn reservation(&self, pool: PoolId) -> Result<Row, RowError> {
        self.only(OF_RESERVATION, "a reservation")?;
        let wrong = |field| move |invalid: InvalidText| RowError::new(field, invalid.expected);
        let row = ReservationRow {
            reservation_id: self.optional(RESERVATION_ID)?,
            user_id: self.required(USER_ID)?,
            seats: (self.seats.iter().map(|seat| seat.parse()))
                .collect::<Result<_, _>>()
                .map_err(wrong(SEATS))?,
            lines: self.lines.iter().map(order_line).collect::<Result<_, _>>()?,
            expires_at: match self.texts.get(EXPIRES_AT) {
                None => None,
                Some(text) => Some(text.parse().map_err(|_| {
                    RowError::new(EXPIRES_AT, "a time such as 2026-11-22T10:10:00Z (RFC 3339)")
                })?),
            },
            booking_id: self.optional(BOOKING_ID)?,
            goods: self.optional(GOODS)?.unwrap_or_default(),
        };
        let entries = row.seats.len().saturating_add(row.lines.len());
        if !(1..=RESERVE_ENTRIES_MAX).contains(&entries) {
            let expected = format!("1 to {RESERVE_ENTRIES_MAX} seats and lines in one reservation");
            return Err(RowError::new(SEATS, expected));
        }
        match (&row.expires_at, &row.booking_id) {
            (None, None) => Err(RowError::new(
                EXPIRES_AT,
                "the end of the hold, or for a booking its booking_id",
            )),
            (_, None) if row.goods != Goods::Leave => {
                Err(RowError::new(GOODS, "no goods in the row of a hold: leave it out"))
            }
            _ => Ok(Row::Reservation(pool, row)),
        }
    }

    fn required<T: FromStr<Err = InvalidText>>(&self, name: &'static str) -> Result<T, RowError> {
        let text = self.texts.get(name).map(String::as_str).unwrap_or_default();
        text.parse().map_err(|invalid: InvalidText| RowError::new(name, invalid.expected))
    }

    fn optional<T: FromStr<Err = InvalidText>>(
        &self,
        name: &'static str,
    ) -> Result<Option<T>, RowError> {
        self.texts.contains_key(name).then(|| self.required(name)).transpose()
    }
}

/// The error of a field or column that no row has.
pub(super) fn unknown_field() -> RowError {
    RowError::new("row", format!("no fields but {}", ALL.join(", ")))
}

fn text_of(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn seats_of_json(value: Value) -> Result<Vec<String>, RowError> {
    let wrong = || RowError::new(SEATS, "an array of seat numbers");
    let Value::Array(entries) = value else { return Err(wrong()) };
    entries.into_iter().map(|entry| text_of(entry).ok_or_else(wrong)).collect()
}

fn lines_of_json(value: Value) -> Result<Vec<(String, String)>, RowError> {
    let wrong = || RowError::new(LINES, "an array of objects with sku and quantity");
    let Value::Array(entries) = value else { return Err(wrong()) };
    let line = |mut entry: Value| {
        let members = entry.as_object_mut().filter(|members| members.len() == 2)?;
        Some((text_of(members.remove(SKU)?)?, text_of(members.remove(QUANTITY)?)?))
    };
    entries.into_iter().map(|entry| line(entry).ok_or_else(wrong)).collect()
}

/// Splits at the last `=`: a SKU may contain others.
fn line_of_text(text: &str) -> Result<(String, String), RowError> {
    let expected = "entries SKU=QUANTITY, separated by semicolons";
    let (sku, quantity) = text.rsplit_once('=').ok_or_else(|| RowError::new(LINES, expected))?;
    Ok((sku.to_owned(), quantity.to_owned()))
}

fn order_line((sku, quantity): &(String, String)) -> Result<OrderLine, RowError> {
    let sku = sku.parse().map_err(|invalid: InvalidText| RowError::new(LINES, invalid.expected))?;
    let quantity = quantity.parse().ok().filter(|quantity| (1..=QUANTITY_MAX).contains(quantity));
    let expected = || format!("quantities from 1 to {QUANTITY_MAX}");
    let quantity = quantity.ok_or_else(|| RowError::new(LINES, expected()))?;
    Ok(OrderLine { sku, quantity })
}
