//! The size of items and the cost of writing them, as DynamoDB counts. Approximate: the text of a
//! stored outcome is estimated.

use std::collections::BTreeMap;

use super::{Tables, is_put};
use crate::{
    domain::{
        Changes, ItemState, LineKey, Outcome, Reservation, ReservationStatus, Seat, SeatKey,
        SeatState, StockLevel,
    },
    ports::{Check, Consumed, LedgerKey, LedgerRecord, Record, Table, Transaction, Write},
};

/// DynamoDB: "The maximum item size in DynamoDB is 400 KB".
pub(super) const ITEM_BYTES_MAX: usize = 400 * 1_024;

/// DynamoDB: a write unit is "one write per second for an item up to 1 KB in size"; and
/// "Transactional write requests require 2 write capacity units to perform one write".
const UNIT_BYTES: usize = 1_024;
const TRANSACTIONAL: f64 = 2.0;

/// DynamoDB: a read unit is "one strongly consistent read per second ... for an item up to 4 KB in
/// size"; a query adds up its items before it rounds.
const READ_UNIT_BYTES: usize = 4_096;

/// An instant as text, with its attribute's name.
const INSTANT: usize = 36;
/// A number of a few digits, with its attribute's name.
const NUMBER: usize = 16;
/// A UUID as text, with its attribute's name.
const ID: usize = 50;
/// The bytes of a field of the stored outcome besides its value: name, quotes, comma.
const FIELD: usize = 16;

/// The size of the item that the write puts.
pub(super) fn written(write: &Write) -> usize {
    match write {
        Write::Seat { key, seat, .. } => seat_bytes(key, seat),
        Write::Line { key, line, .. } => line_bytes(key, line),
        Write::Reservation { reservation, .. } => reservation_bytes(reservation),
        Write::Ledger { key, record } => ledger_bytes(key, record),
        Write::LedgerOverIntent { key, record, .. } => {
            command_bytes(key.source.as_str(), key.id.as_str()) + record_bytes(record)
        }
    }
}

/// The cost of a page of a strongly consistent query.
pub(super) fn read_units(records: &[Record]) -> f64 {
    let bytes: usize = records
        .iter()
        .map(|record| match record {
            Record::Seat(key, seat) => seat_bytes(key, seat),
            Record::Line(key, line) => line_bytes(key, line),
            Record::Reservation(reservation) => reservation_bytes(reservation),
            Record::Ledger(key, record) => ledger_bytes(key, record),
        })
        .sum();
    f64::from(u32::try_from(bytes.div_ceil(READ_UNIT_BYTES).max(1)).unwrap_or(u32::MAX))
}

/// The cost of the transaction (half for a single PutItem), on the tables as they were before it.
///
/// DynamoDB counts the larger of the item before and after, and a change of an index entry as a
/// separate write, which is not transactional.
pub(super) fn consumed(tables: &Tables, transaction: &Transaction) -> Consumed {
    let mut write_units: BTreeMap<Table, f64> = BTreeMap::new();
    let factor = if is_put(transaction) { 1.0 } else { TRANSACTIONAL };
    let of_item = |bytes: usize| factor * units(bytes);
    let mut add = |table: Table, units: f64| *write_units.entry(table).or_default() += units;
    for write in &transaction.writes {
        let after = written(write);
        match write {
            Write::Seat { key, .. } => {
                let before = tables.seats.get(key).map_or(0, |seat| seat_bytes(key, seat));
                add(Table::Seats, of_item(before.max(after)));
            }
            Write::Line { key, .. } => {
                let before = tables.lines.get(key).map_or(0, |line| line_bytes(key, line));
                add(Table::Stock, of_item(before.max(after)));
            }
            Write::Reservation { reservation, .. } => {
                let before = tables.reservations.get(&reservation.reservation_id);
                let bytes = before.map_or(0, reservation_bytes).max(after);
                let index = index_units(before, reservation);
                add(Table::Reservations, of_item(bytes) + index);
            }
            Write::Ledger { .. } | Write::LedgerOverIntent { .. } => {
                add(Table::Ledger, of_item(after));
            }
        }
    }
    for check in &transaction.checks {
        let (table, bytes) = match check {
            Check::Reservation { reservation_id, .. } => {
                let found = tables.reservations.get(reservation_id);
                (Table::Reservations, found.map_or(0, reservation_bytes))
            }
            Check::Seat { key, .. } => {
                (Table::Seats, tables.seats.get(key).map_or(0, |seat| seat_bytes(key, seat)))
            }
            Check::Line { key, .. } => {
                (Table::Stock, tables.lines.get(key).map_or(0, |line| line_bytes(key, line)))
            }
        };
        add(table, of_item(bytes));
    }
    Consumed { write_units }
}

fn units(bytes: usize) -> f64 {
    f64::from(u32::try_from(bytes.div_ceil(UNIT_BYTES).max(1)).unwrap_or(u32::MAX))
}

/// One unit to add an entry of the index, one to remove it, two to move it.
fn index_units(before: Option<&Reservation>, after: &Reservation) -> f64 {
    let active = |r: &Reservation| r.status == ReservationStatus::Active;
    let entry = |r: &Reservation| active(r).then_some(r.expires_at);
    match (before.and_then(entry), entry(after)) {
        (None, None) => 0.0,
        (Some(one), Some(other)) if one == other => 0.0,
        (Some(_), Some(_)) => 2.0,
        _ => 1.0,
    }
}

fn seat_bytes(key: &SeatKey, seat: &Seat) -> usize {
    let label = |label: &Option<crate::domain::Label>| {
        label.as_ref().map_or(0, |label| FIELD + label.as_str().len())
    };
    let details = &seat.details;
    let occupancy = match &seat.occupancy {
        SeatState::Available | SeatState::Blocked => 0,
        SeatState::Reserved { by, .. } => ID + FIELD + by.as_str().len() + INSTANT,
        SeatState::Booked { by, booking_id, .. } => {
            ID + FIELD + by.as_str().len() + FIELD + booking_id.as_str().len()
        }
    };
    // Event id, version; seat number; status; created and updated.
    2 * NUMBER
        + FIELD
        + key.number.as_str().len()
        + FIELD
        + 2 * INSTANT
        + label(&details.section)
        + label(&details.row_number)
        + label(&details.seat_type)
        + details.price.map_or(0, |_| NUMBER)
        + occupancy
}

fn line_bytes(key: &LineKey, line: &StockLevel) -> usize {
    // Pool; SKU; on hand, available, reserved, committed, version; updated; as of.
    FIELD
        + pool_bytes(&key.pool)
        + key.sku.as_str().len()
        + 5 * NUMBER
        + INSTANT
        + line.as_of.map_or(0, |_| INSTANT)
}

fn pool_bytes(pool: &crate::domain::PoolId) -> usize {
    match pool {
        crate::domain::PoolId::Event(_) => FIELD + 16,
        crate::domain::PoolId::Store(store) => FIELD + 6 + store.as_str().len(),
    }
}

/// Also the approximate size of a reservation inside a stored outcome.
fn reservation_bytes(reservation: &Reservation) -> usize {
    let seats = reservation.seats.iter().map(|seat| seat.as_str().len() + 4);
    let lines = reservation.lines.iter().map(|line| line.sku.as_str().len() + 2 * FIELD);
    let booking = reservation.booking_id.as_ref().map_or(0, |id| FIELD + id.as_str().len());
    let goods = reservation.goods.map_or(0, |goods| FIELD + goods.as_str().len());
    // Id; source; status and version; created, expires, ended or fulfilled.
    ID + FIELD
        + reservation.source.as_str().len()
        + pool_bytes(&reservation.pool)
        + FIELD
        + reservation.user_id.as_str().len()
        + FIELD
        + NUMBER
        + 3 * INSTANT
        + seats.sum::<usize>()
        + lines.sum::<usize>()
        + booking
        + goods
}

fn ledger_bytes(key: &LedgerKey, record: &LedgerRecord) -> usize {
    let key = match key {
        LedgerKey::Command(key) => command_bytes(key.source.as_str(), key.id.as_str()),
        LedgerKey::Chunk(key, _) => NUMBER + command_bytes(key.source.as_str(), key.id.as_str()),
    };
    key + record_bytes(record)
}

fn command_bytes(source: &str, id: &str) -> usize {
    FIELD + source.len() + id.len() + 1
}

fn record_bytes(record: &LedgerRecord) -> usize {
    // Digest; committed at; time to live.
    let common = FIELD + 66 + INSTANT + NUMBER;
    common
        + match record {
            LedgerRecord::Outcome { pool, outcome, changes, .. } => {
                FIELD * 2 + pool_bytes(pool) + outcome_bytes(outcome) + changes_bytes(changes)
            }
            LedgerRecord::Intent { chunk_ends, .. } => FIELD + chunk_ends.len() * 6,
            LedgerRecord::Chunk { summary, .. } => INSTANT + summary_bytes(summary),
        }
}

fn outcome_bytes(outcome: &Outcome) -> usize {
    let content = match outcome {
        Outcome::Reserved { reservation }
        | Outcome::Extended { reservation }
        | Outcome::Modified { reservation }
        | Outcome::Fulfilled { reservation }
        | Outcome::Confirmed { reservation }
        | Outcome::Expired { reservation } => reservation_bytes(reservation),
        Outcome::Cancelled { reservation, reason } => {
            let reason = reason.as_ref().map_or(0, |reason| FIELD + reason.as_str().len());
            reservation_bytes(reservation) + reason
        }
        Outcome::Restocked { restock, reason, reference } => {
            let reason = reason.as_ref().map_or(0, |reason| FIELD + reason.as_str().len());
            let reference = reference.as_ref().map_or(0, |text| FIELD + text.as_str().len());
            summary_bytes(restock) + reason + reference
        }
        Outcome::Rejected { rejection } => {
            let seats = rejection.seats.iter().map(|seat| seat.as_str().len() + 4);
            let lines = rejection.lines.iter().map(|line| line.sku().as_str().len() + 3 * FIELD);
            2 * FIELD
                + rejection.code.as_str().len()
                + rejection.message.len()
                + seats.sum::<usize>()
                + lines.sum::<usize>()
        }
    };
    FIELD + content
}

fn changes_bytes(changes: &Changes) -> usize {
    let item = |item: &ItemState| match item {
        ItemState::Seat { seat_number, reserved_until, .. } => {
            seat_number.as_str().len() + 3 * FIELD + reserved_until.map_or(0, |_| INSTANT)
        }
        ItemState::Line { sku, .. } => sku.as_str().len() + 5 * FIELD,
    };
    match changes {
        Changes::Listed(items) => items.iter().map(item).sum(),
        Changes::Omitted => FIELD,
    }
}

fn summary_bytes(summary: &crate::domain::RestockSummary) -> usize {
    let skipped = summary.skipped.iter().map(|name| name.len() + 4);
    4 * (FIELD + 4) + FIELD + skipped.sum::<usize>()
}
