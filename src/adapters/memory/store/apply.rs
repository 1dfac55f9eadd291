//! A transaction: the rules for the request, the conditions on the tables, and its effect.

use std::collections::BTreeSet;

use super::{
    Tables,
    size::{self, ITEM_BYTES_MAX},
};
use crate::{
    domain::{
        CommandKey, LineKey, Reservation, ReservationId, ReservationStatus, SeatKey, Timestamp,
    },
    ports::{
        Check, CommitError, Expected, LedgerKey, LedgerRecord, Transaction, Write,
        store::{TRANSACTION_BYTES_MAX, TRANSACTION_ITEMS_MAX, expiry_shard},
    },
    retention::is_past_retention,
};

/// Identifies an item.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Item<'a> {
    Seat(&'a SeatKey),
    Line(&'a LineKey),
    Reservation(ReservationId),
    Outcome(&'a CommandKey),
    Chunk(&'a CommandKey, u32),
}

fn written(write: &Write) -> Item<'_> {
    match write {
        Write::Seat { key, .. } => Item::Seat(key),
        Write::Line { key, .. } => Item::Line(key),
        Write::Reservation { reservation, .. } => Item::Reservation(reservation.reservation_id),
        Write::Ledger { key: LedgerKey::Command(key), .. }
        | Write::LedgerOverIntent { key, .. } => Item::Outcome(key),
        Write::Ledger { key: LedgerKey::Chunk(key, number), .. } => Item::Chunk(key, *number),
    }
}

/// Whether the store could accept the transaction, whatever the tables hold.
pub(super) fn validate(transaction: &Transaction) -> Result<(), CommitError> {
    let invalid = |why: String| Err(CommitError::Invalid(why));
    let items = transaction.writes.len() + transaction.checks.len();
    if items > TRANSACTION_ITEMS_MAX {
        return invalid(format!(
            "{items} items in a transaction, at most {TRANSACTION_ITEMS_MAX} are taken"
        ));
    }
    let checks = transaction.checks.iter().map(|check| match check {
        Check::Reservation { reservation_id, .. } => Item::Reservation(*reservation_id),
        Check::Seat { key, .. } => Item::Seat(key),
        Check::Line { key, .. } => Item::Line(key),
    });
    let distinct: BTreeSet<Item<'_>> =
        transaction.writes.iter().map(written).chain(checks).collect();
    if distinct.len() < items {
        return invalid("one item is named twice in a transaction".to_owned());
    }
    let mut sum = 0usize;
    for write in &transaction.writes {
        let bytes = size::written(write);
        if bytes > ITEM_BYTES_MAX {
            return invalid(format!(
                "an item of {bytes} bytes, at most {ITEM_BYTES_MAX} are taken"
            ));
        }
        sum = sum.saturating_add(bytes);
    }
    if sum > TRANSACTION_BYTES_MAX {
        return invalid(format!(
            "{sum} bytes in a transaction, at most {TRANSACTION_BYTES_MAX} are taken"
        ));
    }
    Ok(())
}

impl Tables {
    /// Whether every condition of the transaction holds.
    pub(super) fn check(
        &self,
        transaction: &Transaction,
        now: Timestamp,
    ) -> Result<(), CommitError> {
        for (number, write) in transaction.writes.iter().enumerate() {
            let (table, holds) = match write {
                Write::Seat { key, expected, .. } => {
                    ("seats", stands(*expected, self.seats.get(key).map(|seat| seat.version)))
                }
                Write::Line { key, expected, .. } => {
                    ("stock", stands(*expected, self.lines.get(key).map(|line| line.version)))
                }
                Write::Reservation { expected, reservation } => {
                    let id = reservation.reservation_id;
                    ("reservations", self.reservation_stands(id, *expected, now))
                }
                Write::Ledger { key, record } => ("ledger", self.is_free_for(key, record, now)),
                Write::LedgerOverIntent { key, begun_at, record } => {
                    ("ledger", self.is_intent_of(key, *begun_at, record))
                }
            };
            if !holds {
                return Err(conflict(table, "write", number));
            }
        }
        for (number, check) in transaction.checks.iter().enumerate() {
            let (table, holds) = match check {
                Check::Reservation { reservation_id, expected } => {
                    ("reservations", self.reservation_stands(*reservation_id, *expected, now))
                }
                Check::Seat { key, expected } => {
                    ("seats", stands(*expected, self.seats.get(key).map(|seat| seat.version)))
                }
                Check::Line { key, expected } => {
                    ("stock", stands(*expected, self.lines.get(key).map(|line| line.version)))
                }
            };
            if !holds {
                return Err(conflict(table, "check", number));
            }
        }
        Ok(())
    }

    /// Writes everything, without checking conditions.
    pub(super) fn apply(&mut self, transaction: &Transaction) {
        for write in &transaction.writes {
            match write {
                Write::Seat { key, seat, .. } => {
                    self.seats.insert(key.clone(), seat.clone());
                }
                Write::Line { key, line, .. } => {
                    self.lines.insert(key.clone(), line.clone());
                }
                Write::Reservation { reservation, .. } => self.put_reservation(reservation.clone()),
                Write::Ledger { key, record } => {
                    self.ledger.insert(key.clone(), record.clone());
                }
                Write::LedgerOverIntent { key, record, .. } => {
                    self.ledger.insert(LedgerKey::Command(key.clone()), record.clone());
                }
            }
        }
    }

    /// Stores a reservation and keeps the expiry index in step with it.
    pub(super) fn put_reservation(&mut self, reservation: Reservation) {
        let entry = index_entry(&reservation);
        let before = self.reservations.insert(reservation.reservation_id, reservation);
        let before = before.as_ref().and_then(index_entry);
        if before == entry {
            return;
        }
        if let Some(before) = before {
            self.expiry_index.remove(&before);
        }
        self.expiry_index.extend(entry);
    }

    fn reservation_stands(&self, id: ReservationId, expected: Expected, now: Timestamp) -> bool {
        let found = self.reservations.get(&id);
        match (expected, found) {
            (Expected::Absent, Some(found)) => is_reservation_past(found, now),
            (expected, found) => stands(expected, found.map(|found| found.version)),
        }
    }

    /// Whether the key is free; a marker of an earlier intent may be replaced.
    fn is_free_for(&self, key: &LedgerKey, record: &LedgerRecord, now: Timestamp) -> bool {
        match (self.ledger.get(key), record) {
            (None, _) => true,
            (Some(found), _) if is_past_retention(found.decided_at(), now) => true,
            (
                Some(LedgerRecord::Chunk { begun_at: earlier, .. }),
                LedgerRecord::Chunk { begun_at, .. },
            ) => earlier < begun_at,
            (Some(_), _) => false,
        }
    }

    fn is_intent_of(&self, key: &CommandKey, begun_at: Timestamp, record: &LedgerRecord) -> bool {
        matches!(
            self.ledger.get(&LedgerKey::Command(key.clone())),
            Some(LedgerRecord::Intent { digest, decided_at, .. })
                if *digest == record.digest() && *decided_at == begun_at
        )
    }
}

/// Whether the reservation counts as absent.
pub(super) fn is_reservation_past(reservation: &Reservation, now: Timestamp) -> bool {
    reservation.given_back_at().is_some_and(|from| is_past_retention(from, now))
}

/// The entry of the sparse index: only while ACTIVE.
pub(super) fn index_entry(reservation: &Reservation) -> Option<super::IndexEntry> {
    let id = reservation.reservation_id;
    (reservation.status == ReservationStatus::Active)
        .then(|| (expiry_shard(id), reservation.expires_at, id))
}

fn stands(expected: Expected, version: Option<u64>) -> bool {
    match expected {
        Expected::Absent => version.is_none(),
        Expected::Version(expected) => version == Some(expected),
    }
}

fn conflict(table: &str, what: &str, number: usize) -> CommitError {
    CommitError::Conflict(format!("the condition of {what} {number}, on {table}, does not hold"))
}
