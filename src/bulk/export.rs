//! Reads a pool from the tables, as rows.
//!
//! The rows are written so that an import makes the same state of them: seats and lines first, then
//! reservations, then what a restock can only say of seats and lines that are held already.

use std::collections::BTreeMap;

use super::row::{ReservationRow, Row};
use crate::{
    domain::{
        Goods, LineChange, LineKey, OrderLine, PoolId, Reservation, ReservationId,
        ReservationStatus, RestockStatus, Seat, SeatChange, SeatKey, Sku, StockLevel, Timestamp,
    },
    ports::{Page, PageCursor, PortError, Record, ScanStore, Table},
};

/// What an export wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportSummary {
    /// Seats.
    pub seats: u64,
    /// Lines.
    pub lines: u64,
    /// Holds and bookings.
    pub reservations: u64,
    /// Seats that are held or sold without a row for their reservation: written BLOCKED.
    pub blocked: u64,
    /// Units of lines that are held or sold and still there, without a row for their reservation:
    /// left out.
    pub left_out: u64,
}

/// Passes the rows of a pool to `write`, in the order in which an import takes them. With `private`
/// the reservations too, which are kept in memory meanwhile: those that hold or sold something that
/// is still there. Not a snapshot, while commands are decided.
///
/// # Errors
///
/// The tables cannot be read, or an item in them; or those of `write`.
pub async fn export<E: From<PortError>>(
    store: &dyn ScanStore,
    pool: &PoolId,
    (now, private): (Timestamp, bool),
    mut write: impl FnMut(&Row) -> Result<(), E>,
) -> Result<ExportSummary, E> {
    let carried = match private {
        true => read_reservations(store, pool, now).await?,
        false => Carried::default(),
    };
    let mut summary = ExportSummary::default();
    let mut again = Vec::new();
    let mut from = None;
    while let Some(page) = seats(store, pool, &mut from).await? {
        for (key, seat) in page {
            let holder = seat.occupancy.reservation_id();
            let is_carried = holder.is_some_and(|id| carried.rows.contains_key(&id));
            let is_free = seat.is_available_at(now) || is_carried;
            summary.seats += 1;
            summary.blocked += u64::from(!is_free && holder.is_some());
            write(&Row::Seat(key.event_id, seat_row(&key, &seat, is_free)))?;
            if is_carried && seat.withheld {
                again.push(Row::Seat(key.event_id, withheld(&key)));
            }
        }
    }
    let mut from = None;
    while let Some(page) = lines(store, pool, &mut from).await? {
        for (key, line) in page {
            let of = |sums: &BTreeMap<Sku, i64>| sums.get(&key.sku).copied().unwrap_or_default();
            let held = of(&carried.held);
            let there = line.available.saturating_add(held).saturating_add(of(&carried.run_out));
            let left_out = line.on_hand().saturating_sub(there).max(0);
            summary.lines += 1;
            summary.left_out += u64::try_from(left_out).unwrap_or_default();
            // What is held must be there to be held; a shortfall comes after.
            let first = there.max(held).max(0);
            write(&Row::Line(pool.clone(), LineChange::new(key.sku.clone(), first)))?;
            if there < first {
                let there = LineChange::new(key.sku.clone(), there.max(0));
                again.push(Row::Line(pool.clone(), there));
            }
        }
    }
    for row in carried.rows.into_values() {
        summary.reservations += 1;
        write(&Row::Reservation(pool.clone(), row))?;
    }
    for row in &again {
        write(row)?;
    }
    Ok(summary)
}

/// The reservations of a pool that are written, and quantities by SKU.
#[derive(Default)]
struct Carried {
    rows: BTreeMap<ReservationId, ReservationRow>,
    /// What the rows hold.
    held: BTreeMap<Sku, i64>,
    /// What holds that have run out still hold: free.
    run_out: BTreeMap<Sku, i64>,
}

fn add(sums: &mut BTreeMap<Sku, i64>, lines: &[OrderLine]) {
    for line in lines {
        let sum = sums.entry(line.sku.clone()).or_default();
        *sum = sum.saturating_add(i64::try_from(line.quantity).unwrap_or(i64::MAX));
    }
}

/// The reservations of a pool that hold something, or sold something that is still there.
async fn read_reservations(
    store: &dyn ScanStore,
    pool: &PoolId,
    now: Timestamp,
) -> Result<Carried, PortError> {
    let (mut found, mut from) = (Carried::default(), None);
    loop {
        let page = store.scan(Table::Reservations, from.as_ref()).await?;
        if let Some(what) = page.unreadable.into_iter().next() {
            return Err(PortError::Unreadable(what));
        }
        for record in page.records {
            let Record::Reservation(reservation) = record else { continue };
            if reservation.pool != *pool {
                continue;
            }
            let is_active = reservation.status == ReservationStatus::Active;
            if is_active && reservation.expires_at <= now {
                add(&mut found.run_out, &reservation.lines);
            }
            let id = reservation.reservation_id;
            if let Some(row) = carried(reservation, now) {
                add(&mut found.held, &row.lines);
                found.rows.insert(id, row);
            }
        }
        from = page.next;
        if from.is_none() {
            return Ok(found);
        }
    }
}

/// What is carried over of a reservation: `None` if it holds nothing any more.
fn carried(reservation: Reservation, now: Timestamp) -> Option<ReservationRow> {
    let has_committed_goods = reservation.has_committed_goods();
    let Reservation { reservation_id, user_id, seats, mut lines, .. } = reservation;
    let expires_at = match reservation.status {
        ReservationStatus::Active if reservation.expires_at > now => Some(reservation.expires_at),
        ReservationStatus::Confirmed => None,
        _ => return None,
    };
    let is_sale = reservation.booking_id.is_some();
    if is_sale && !has_committed_goods {
        // They have left, and are not on hand.
        lines.clear();
    }
    let goods = if lines.is_empty() { Goods::Leave } else { reservation.goods.unwrap_or_default() };
    let (reservation_id, booking_id) = (Some(reservation_id), reservation.booking_id);
    let has_some = !seats.is_empty() || !lines.is_empty();
    has_some.then_some(ReservationRow {
        reservation_id,
        user_id,
        seats,
        lines,
        expires_at,
        booking_id,
        goods,
    })
}

fn seat_row(key: &SeatKey, seat: &Seat, is_free: bool) -> SeatChange {
    let details = &seat.details;
    SeatChange {
        number: key.number.clone(),
        section: details.section.clone(),
        row_number: details.row_number.clone(),
        seat_type: details.seat_type.clone(),
        price: details.price,
        status: Some(if is_free { RestockStatus::Available } else { RestockStatus::Blocked }),
    }
}

/// Blocks a seat that is held: it stays its holder's until it is given back.
fn withheld(key: &SeatKey) -> SeatChange {
    SeatChange {
        number: key.number.clone(),
        section: None,
        row_number: None,
        seat_type: None,
        price: None,
        status: Some(RestockStatus::Blocked),
    }
}

/// A cursor that is `None` before the first page, and `Some(None)` after the last.
type Position = Option<Option<PageCursor>>;

/// Moves the position to the page after this one.
fn records(page: Page, from: &mut Position) -> Vec<Record> {
    *from = Some(page.next);
    page.records
}

async fn seats(
    store: &dyn ScanStore,
    pool: &PoolId,
    from: &mut Position,
) -> Result<Option<Vec<(SeatKey, Seat)>>, PortError> {
    let (Some(event_id), Some(cursor)) = (pool.event_id(), cursor(from)) else { return Ok(None) };
    let page = store.seats(event_id, cursor.as_ref(), usize::MAX).await?;
    let seat = |record| match record {
        Record::Seat(key, seat) => Some((key, seat)),
        _ => None,
    };
    Ok(Some(records(page, from).into_iter().filter_map(seat).collect()))
}

async fn lines(
    store: &dyn ScanStore,
    pool: &PoolId,
    from: &mut Position,
) -> Result<Option<Vec<(LineKey, StockLevel)>>, PortError> {
    let Some(cursor) = cursor(from) else { return Ok(None) };
    let page = store.lines(pool, cursor.as_ref(), usize::MAX).await?;
    let line = |record| match record {
        Record::Line(key, line) => Some((key, line)),
        _ => None,
    };
    Ok(Some(records(page, from).into_iter().filter_map(line).collect()))
}

/// Where the next page begins; `None` after the last.
fn cursor(from: &Position) -> Option<Option<PageCursor>> {
    match from {
        None => Some(None),
        Some(None) => None,
        Some(Some(cursor)) => Some(Some(cursor.clone())),
    }
}
