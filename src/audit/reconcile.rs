//! Checks that each reservation was made by one outcome, and ended by one, without keeping them
//! all.
//!
//! Reservations and outcomes are divided into groups by a digest of the reservation's id. Only a
//! balance per group is kept: a reservation adds to it, an outcome subtracts from it. Only the
//! groups that do not balance are read again, by id.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::{Audit, Invariant, Pages, Period, Violation};
use crate::{
    domain::{Changes, Outcome, Reservation, ReservationId, ReservationStatus, Timestamp},
    ports::{LedgerRecord, PortError, Record, Table},
};

/// The number of groups: the values of a u16.
const GROUPS: usize = 1 << 16;

/// The most groups read again by id, a 256th of all: bounds the memory.
const GROUPS_REREAD_MAX: usize = 256;

/// The effect of an outcome on a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Made,
    Ended,
}

/// One event of one reservation, and when it was decided: a reservation that had expired, was
/// confirmed late and refunded has ended twice, and the confirm took its first end back.
type Entry = (Event, ReservationId, Timestamp);

/// The balance of a group: zero if its reservations and outcomes match.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Balance {
    count: i64,
    sum: u128,
}

/// The balance of every group.
pub(super) struct Reconciliation {
    period: Period,
    balances: Vec<Balance>,
}

impl Reconciliation {
    pub(super) fn new(period: Period) -> Self {
        Self { period, balances: vec![Balance::default(); GROUPS] }
    }

    pub(super) fn add_reservation(&mut self, reservation: &Reservation) {
        for entry in told_by_reservation(reservation, self.period) {
            self.enter(entry, true);
        }
    }

    pub(super) fn add_record(&mut self, record: &Record) {
        for entry in told_by_record(record, self.period) {
            self.enter(entry, false);
        }
        for entry in taken_back_by_record(record, self.period) {
            self.enter(entry, true);
        }
    }

    fn enter(&mut self, entry: Entry, counts_for: bool) {
        let (group, digest) = digest(entry);
        let Some(balance) = self.balances.get_mut(usize::from(group)) else { return };
        if counts_for {
            balance.count = balance.count.wrapping_add(1);
            balance.sum = balance.sum.wrapping_add(digest);
        } else {
            balance.count = balance.count.wrapping_sub(1);
            balance.sum = balance.sum.wrapping_sub(digest);
        }
    }

    fn unbalanced(&self) -> BTreeSet<u16> {
        let groups = (0..=u16::MAX).zip(&self.balances);
        groups.filter(|(_, balance)| **balance != Balance::default()).map(|(n, _)| n).collect()
    }
}

/// The group of an entry, and its summand in the group's sum.
fn digest((event, id, at): Entry) -> (u16, u128) {
    let what = match event {
        Event::Made => b'm',
        Event::Ended => b'e',
    };
    let digest: [u8; 32] = Sha256::new()
        .chain_update([what])
        .chain_update(id.0)
        .chain_update(at.as_nanosecond().to_be_bytes())
        .finalize()
        .into();
    let (group, rest) = digest.split_at(2);
    let number =
        |bytes: &[u8]| bytes.iter().fold(0u128, |sum, byte| (sum << 8) | u128::from(*byte));
    let (sum, _) = rest.split_at(16);
    (u16::try_from(number(group)).unwrap_or_default(), number(sum))
}

/// The entries that a reservation reports within the period: when it was made and ended. A sale has
/// not ended, even if its hold had expired before it was confirmed.
fn told_by_reservation(reservation: &Reservation, period: Period) -> Vec<Entry> {
    let id = reservation.reservation_id;
    let made = Some((Event::Made, reservation.created_at));
    let is_sale = reservation.status == ReservationStatus::Confirmed;
    let ended = reservation.ended_at.filter(|_| !is_sale).map(|at| (Event::Ended, at));
    within(period, id, made.into_iter().chain(ended))
}

fn told_by_record(record: &Record, period: Period) -> Vec<Entry> {
    let Record::Ledger(_, LedgerRecord::Outcome { outcome, .. }) = record else {
        return Vec::new();
    };
    let Some(reservation) = outcome.reservation() else { return Vec::new() };
    let reported = match outcome {
        Outcome::Reserved { .. } => Some((Event::Made, reservation.created_at)),
        Outcome::Cancelled { .. } | Outcome::Expired { .. } => {
            reservation.ended_at.map(|at| (Event::Ended, at))
        }
        _ => None,
    };
    within(period, reservation.reservation_id, reported.into_iter())
}

/// The end that a record takes back: a late confirm of a reservation that had expired. A repeated
/// confirm changes nothing, and takes nothing back.
fn taken_back_by_record(record: &Record, period: Period) -> Vec<Entry> {
    let Record::Ledger(_, LedgerRecord::Outcome { outcome, changes, .. }) = record else {
        return Vec::new();
    };
    let Outcome::Confirmed { reservation } = outcome else { return Vec::new() };
    let ended = reservation.ended_at.filter(|_| *changes != Changes::NONE);
    within(period, reservation.reservation_id, ended.map(|at| (Event::Ended, at)).into_iter())
}

fn within(
    period: Period,
    id: ReservationId,
    reported: impl Iterator<Item = (Event, Timestamp)>,
) -> Vec<Entry> {
    reported.filter(|(_, at)| period.contains(*at)).map(|(event, at)| (event, id, at)).collect()
}

/// The number of reservations and of outcomes that report an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counted {
    reservations: u32,
    outcomes: u32,
}

impl Counted {
    fn is_balanced(self) -> bool {
        self.reservations == self.outcomes
    }
}

type Counts = BTreeMap<Entry, Counted>;

/// Reads the groups that do not balance again, by id, until their imbalance stays the same.
pub(super) async fn settle(
    audit: &mut Audit<'_>,
    reconcile: Reconciliation,
) -> Result<(), PortError> {
    let listed_max = audit.options.listed_max;
    let period = reconcile.period;
    let mut groups = reconcile.unbalanced();
    let beyond = groups.iter().nth(GROUPS_REREAD_MAX).copied();
    if let Some(beyond) = beyond {
        let left = groups.split_off(&beyond).len();
        let detail = format!("{left} more groups of reservations do not balance");
        let subject = "ledger".to_owned();
        let violation = Violation { invariant: Invariant::MadeOnce, subject, detail };
        audit.report.not_settled(violation, listed_max);
    }
    if groups.is_empty() {
        return Ok(());
    }
    let mut unbalanced = count(audit, period, |entry| groups.contains(&digest(entry).0)).await?;
    for _ in 0..audit.options.rereads_max {
        if unbalanced.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(audit.options.pause).await;
        let mut again = count(audit, period, |entry| unbalanced.contains_key(&entry)).await?;
        for (entry, counted) in &unbalanced {
            if again.get(entry) == Some(counted) {
                again.remove(entry);
                if let Some(violation) = violation(*entry, *counted) {
                    audit.report.violated(violation, listed_max);
                }
            }
        }
        unbalanced = again;
    }
    for (entry, counted) in unbalanced {
        if let Some(violation) = violation(entry, counted) {
            audit.report.not_settled(violation, listed_max);
        }
    }
    Ok(())
}

/// Counts the requested entries; those that balance are left out.
async fn count(
    audit: &Audit<'_>,
    period: Period,
    counts: impl Fn(Entry) -> bool,
) -> Result<Counts, PortError> {
    let mut counted = Counts::new();
    for table in [Table::Reservations, Table::Ledger] {
        let mut pages = Pages::of(table);
        while let Some(page) = pages.next(audit.store).await? {
            for record in &page.records {
                let (of_reservations, of_outcomes) = match record {
                    Record::Reservation(found) => (told_by_reservation(found, period), Vec::new()),
                    other => (taken_back_by_record(other, period), told_by_record(other, period)),
                };
                for entry in of_reservations.into_iter().filter(|entry| counts(*entry)) {
                    let sum = counted.entry(entry).or_default();
                    sum.reservations = sum.reservations.saturating_add(1);
                }
                for entry in of_outcomes.into_iter().filter(|entry| counts(*entry)) {
                    let sum = counted.entry(entry).or_default();
                    sum.outcomes = sum.outcomes.saturating_add(1);
                }
            }
        }
    }
    counted.retain(|_, counted| !counted.is_balanced());
    Ok(counted)
}

/// [`Invariant::OutcomeNamesReservation`] or [`Invariant::OutcomeAgrees`] reports a single outcome
/// without its reservation.
fn violation((event, id, _): Entry, counted: Counted) -> Option<Violation> {
    let (invariant, what) = match event {
        Event::Made => (Invariant::MadeOnce, "made"),
        Event::Ended => (Invariant::EndedOnce, "ended"),
    };
    let detail = match counted.outcomes {
        0 => format!("no outcome in the ledger says that it was {what}"),
        1 => return None,
        outcomes => format!("{outcomes} outcomes in the ledger say that it was {what}"),
    };
    Some(Violation { invariant, subject: format!("reservation {id}"), detail })
}
