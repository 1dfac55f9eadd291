//! The findings of a check of a record.

use super::{Invariant, Violation};
use crate::{
    domain::{LineKey, ReservationId, SeatKey},
    ports::{LedgerKey, LoadRequest, Record},
};

/// An invariant that a record violates, and how.
pub(super) struct Finding {
    pub invariant: Invariant,
    pub detail: String,
}

impl Finding {
    pub(super) fn new(invariant: Invariant, detail: String) -> Self {
        Self { invariant, detail }
    }
}

/// The key of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Seat(SeatKey),
    Line(LineKey),
    Reservation(ReservationId),
    Ledger(LedgerKey),
}

/// A record that was compared with the items it names.
pub(super) struct CheckedRecord {
    pub subject: Subject,
    /// Empty if every invariant holds.
    pub findings: Vec<Finding>,
    /// The versions of the record and of the items it was compared with, 0 for a missing item.
    pub versions: Vec<u64>,
}

impl Subject {
    fn of(record: &Record) -> Self {
        match record {
            Record::Seat(key, _) => Self::Seat(key.clone()),
            Record::Line(key, _) => Self::Line(key.clone()),
            Record::Reservation(reservation) => Self::Reservation(reservation.reservation_id),
            Record::Ledger(key, _) => Self::Ledger(key.clone()),
        }
    }

    /// The record's name in reports.
    fn name(&self) -> String {
        match self {
            Self::Seat(key) => format!("seat {} of event#{}", key.number, key.event_id),
            Self::Line(key) => format!("line {} of {}", key.sku, key.pool),
            Self::Reservation(id) => format!("reservation {id}"),
            Self::Ledger(LedgerKey::Command(key)) => format!("command {key}"),
            Self::Ledger(LedgerKey::Chunk(key, number)) => format!("chunk {number} of {key}"),
        }
    }

    pub(super) fn add_to(&self, required: &mut LoadRequest) {
        match self {
            Self::Seat(key) => drop(required.seats.insert(key.clone())),
            Self::Line(key) => drop(required.lines.insert(key.clone())),
            Self::Reservation(id) => drop(required.reservations.insert(*id)),
            Self::Ledger(key) => drop(required.ledger.insert(key.clone())),
        }
    }
}

impl CheckedRecord {
    pub(super) fn new(record: &Record) -> Self {
        Self { subject: Subject::of(record), findings: Vec::new(), versions: Vec::new() }
    }

    pub(super) fn violations(self) -> impl Iterator<Item = Violation> {
        let subject = self.subject.name();
        self.findings.into_iter().map(move |Finding { invariant, detail }| Violation {
            invariant,
            subject: subject.clone(),
            detail,
        })
    }
}
