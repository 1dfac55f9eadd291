//! The report of an audit.

use std::{collections::BTreeSet, fmt};

use serde::Serialize;

use crate::ports::{Record, Table};

/// A property that must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "&'static str")]
pub enum Invariant {
    /// A seat's version counts from 1, and a seat that has an owner has changed since its creation.
    SeatVersion,
    /// A RESERVED seat's reservation exists and is ACTIVE.
    ReservedSeatIsHeld,
    /// A BOOKED seat's reservation exists and is CONFIRMED.
    BookedSeatIsSold,
    /// The reservation that owns a seat belongs to its event and names it.
    SeatIsNamed,
    /// A seat and the reservation that owns it agree on user, booking and end of the hold.
    SeatAgrees,
    /// Only a RESERVED or BOOKED seat is withheld.
    WithheldSeatIsOwned,
    /// An ACTIVE reservation's seats are RESERVED by it, unless its hold has run out; a seat that a
    /// reservation names exists.
    ActiveReservationHolds,
    /// A CONFIRMED reservation's seats are BOOKED by it.
    ConfirmedReservationOwns,
    /// A reservation is one that the contract's commands can make: status, version, booking, goods,
    /// end, seats and lines.
    ReservationWellFormed,
    /// A line's reserved and committed are not below zero, its on hand is within its bound, its
    /// version is at least 1.
    LineWithinBounds,
    /// A line's reserved is the sum of the quantities that ACTIVE reservations hold.
    ReservedIsSum,
    /// A line's committed is the sum of the quantities that CONFIRMED reservations whose goods stay
    /// have not fulfilled.
    CommittedIsSum,
    /// One command made the reservation, and the ledger has it.
    MadeOnce,
    /// One command ended an ended reservation, and the ledger has it.
    EndedOnce,
    /// An outcome's reservation exists.
    OutcomeNamesReservation,
    /// A reservation's state follows from its outcomes.
    OutcomeAgrees,
    /// A ledger entry is one that the contract's commands can leave.
    LedgerEntryWellFormed,
    /// A chunk's marker belongs to a restock with the same content.
    ChunkBelongs,
    /// A chunked restock's outcome is the sum of its chunks.
    RestockIsSum,
}

impl Invariant {
    /// Every invariant.
    pub const ALL: [Self; 19] = [
        Self::SeatVersion,
        Self::ReservedSeatIsHeld,
        Self::BookedSeatIsSold,
        Self::SeatIsNamed,
        Self::SeatAgrees,
        Self::WithheldSeatIsOwned,
        Self::ActiveReservationHolds,
        Self::ConfirmedReservationOwns,
        Self::ReservationWellFormed,
        Self::LineWithinBounds,
        Self::ReservedIsSum,
        Self::CommittedIsSum,
        Self::MadeOnce,
        Self::EndedOnce,
        Self::OutcomeNamesReservation,
        Self::OutcomeAgrees,
        Self::LedgerEntryWellFormed,
        Self::ChunkBelongs,
        Self::RestockIsSum,
    ];

    /// The name in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SeatVersion => "seat_version",
            Self::ReservedSeatIsHeld => "reserved_seat_is_held",
            Self::BookedSeatIsSold => "booked_seat_is_sold",
            Self::SeatIsNamed => "seat_is_named",
            Self::SeatAgrees => "seat_agrees",
            Self::WithheldSeatIsOwned => "withheld_seat_is_owned",
            Self::ActiveReservationHolds => "active_reservation_holds",
            Self::ConfirmedReservationOwns => "confirmed_reservation_owns",
            Self::ReservationWellFormed => "reservation_well_formed",
            Self::LineWithinBounds => "line_within_bounds",
            Self::ReservedIsSum => "reserved_is_sum",
            Self::CommittedIsSum => "committed_is_sum",
            Self::MadeOnce => "made_once",
            Self::EndedOnce => "ended_once",
            Self::OutcomeNamesReservation => "outcome_names_reservation",
            Self::OutcomeAgrees => "outcome_agrees",
            Self::LedgerEntryWellFormed => "ledger_entry_well_formed",
            Self::ChunkBelongs => "chunk_belongs",
            Self::RestockIsSum => "restock_is_sum",
        }
    }
}

impl From<Invariant> for &'static str {
    fn from(invariant: Invariant) -> Self {
        invariant.as_str()
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One item for which an invariant does not hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Violation {
    /// The invariant that does not hold.
    pub invariant: Invariant,
    /// The item's name.
    pub subject: String,
    /// The item's state, for people. Names no user.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.invariant, self.subject, self.detail)
    }
}

/// The report of an audit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// Seats read.
    pub seats: u64,
    /// Lines read.
    pub lines: u64,
    /// Reservations read.
    pub reservations: u64,
    /// Ledger entries read.
    pub ledger_entries: u64,
    /// Lines with less than zero available. A shortfall is not a violation, but an operator must
    /// act.
    pub oversold_lines: u64,
    /// The listed violations.
    pub violations: Vec<Violation>,
    /// The number of violations beyond those listed.
    pub violations_omitted: u64,
    /// Items that cannot be read, each named with its table, key and attribute.
    pub unreadable: BTreeSet<String>,
    /// The number of unreadable items beyond those listed, some of them more than once.
    pub unreadable_omitted: u64,
    /// What could not be judged, because it would need an item that cannot be read.
    pub not_checked: Vec<&'static str>,
    /// Records that failed a check and kept changing: the audit cannot decide. Not violations.
    pub unsettled: Vec<Violation>,
    /// The number of unsettled records beyond those listed.
    pub unsettled_omitted: u64,
}

impl AuditReport {
    /// Whether every item could be read, and no invariant was violated. Unsettled records do not
    /// count.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty() && self.violations_omitted == 0 && self.unreadable.is_empty()
    }

    pub(super) fn cannot_be_read(&mut self, what: String, listed_max: usize) {
        if self.unreadable.len() < listed_max {
            self.unreadable.insert(what);
        } else if !self.unreadable.contains(&what) {
            self.unreadable_omitted = self.unreadable_omitted.saturating_add(1);
        }
    }

    /// The number of records read from the table.
    #[must_use]
    pub fn records(&self, table: Table) -> u64 {
        match table {
            Table::Seats => self.seats,
            Table::Stock => self.lines,
            Table::Reservations => self.reservations,
            Table::Ledger => self.ledger_entries,
        }
    }

    pub(super) fn count(&mut self, record: &Record) {
        let counted = match record {
            Record::Seat(..) => &mut self.seats,
            Record::Line(..) => &mut self.lines,
            Record::Reservation(_) => &mut self.reservations,
            Record::Ledger(..) => &mut self.ledger_entries,
        };
        *counted = counted.saturating_add(1);
        if matches!(record, Record::Line(_, line) if line.available < 0) {
            self.oversold_lines = self.oversold_lines.saturating_add(1);
        }
    }

    pub(super) fn violated(&mut self, violation: Violation, listed_max: usize) {
        list(&mut self.violations, &mut self.violations_omitted, violation, listed_max);
    }

    pub(super) fn not_settled(&mut self, violation: Violation, listed_max: usize) {
        list(&mut self.unsettled, &mut self.unsettled_omitted, violation, listed_max);
    }
}

fn list(listed: &mut Vec<Violation>, omitted: &mut u64, violation: Violation, listed_max: usize) {
    if listed.len() < listed_max {
        listed.push(violation);
    } else {
        *omitted = omitted.saturating_add(1);
    }
}
