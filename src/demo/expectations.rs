//! The demo's expectations: the possible outcomes of its commands, and the state of seats and stock
//! that follows from the results.
//!
//! They are derived only from commands and published results, and share nothing with the worker or
//! its tables, so that at the end the tables can be compared with them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use uuid::Uuid;

use crate::{
    domain::{
        CommandKey, LineChange, LineKey, PoolId, Reservation, ReservationId, ReservationStatus,
        SeatNumber, Timestamp,
    },
    message::DecodedResult,
    sweeper,
};

mod check;

pub use check::read_all;

/// The possible outcomes of a command: result types, and codes of rejections.
pub type ExpectedOutcomes = &'static [&'static str];

/// Result types, as in the contract.
pub mod result {
    /// A hold.
    pub const RESERVED: &str = "inventory.reserved.v1";
    /// A sale.
    pub const CONFIRMED: &str = "inventory.confirmed.v1";
    /// A hold or sale given back.
    pub const CANCELLED: &str = "inventory.cancelled.v1";
    /// An expired hold.
    pub const EXPIRED: &str = "inventory.expired.v1";
    /// Seats and lines put on sale.
    pub const RESTOCKED: &str = "inventory.restocked.v1";
    /// Nothing changed.
    pub const REJECTED: &str = "inventory.rejected.v1";
}

/// The outcome by its name in [`ExpectedOutcomes`].
fn outcome_name(result: &DecodedResult) -> &'static str {
    match result.rejection() {
        Some(rejection) => rejection.code.as_str(),
        None => result.result_type(),
    }
}

/// The expectations for a command identity, and its results by their ids.
#[derive(Default)]
struct ExpectedCommand {
    /// One entry for each message under the identity.
    expected: Vec<ExpectedOutcomes>,
    /// Each with whether it was expected.
    results: Vec<(Uuid, bool)>,
}

/// A reservation, by its latest result.
struct TrackedReservation {
    latest: Reservation,
    was_confirmed: bool,
    ended_at: Option<Timestamp>,
}

/// The state of a seat that follows from the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedSeat {
    /// Held for a user.
    Held,
    /// Sold.
    Sold,
}

/// Expectations, results, and their differences.
#[derive(Default)]
pub struct Expectations {
    /// Messages sent by the demo.
    pub messages: u64,
    /// Of these, messages that are not commands and carry no identity.
    pub unreadable: u64,
    /// Of these, repetitions of a command.
    pub repeated: u64,
    /// Commands by the type of their result.
    pub outcomes: BTreeMap<String, u64>,
    /// Rejected commands by code.
    pub rejections: BTreeMap<String, u64>,
    /// Results redelivered under an id already seen.
    pub redelivered: u64,
    /// From sending a command to reading its result.
    pub latencies: Vec<Duration>,
    /// Where results differ from what is expected.
    pub problems: Vec<String>,
    commands: BTreeMap<CommandKey, ExpectedCommand>,
    reservations: BTreeMap<ReservationId, TrackedReservation>,
    running_out: BTreeSet<ReservationId>,
    stock: BTreeMap<LineKey, i64>,
}

impl Expectations {
    /// Registers a command that is about to be sent; its outcome must be one of `expected`.
    pub fn expect(&mut self, key: &CommandKey, expected: ExpectedOutcomes) {
        self.messages += 1;
        self.commands.entry(key.clone()).or_default().expected.push(expected);
    }

    /// Records the time from a command to its result.
    pub fn took(&mut self, latency: Duration) {
        self.latencies.push(latency);
    }

    /// Records the quantities that were put on sale or added.
    pub fn stocked(&mut self, pool: &PoolId, lines: &[LineChange]) {
        for line in lines {
            let key = LineKey { pool: pool.clone(), sku: line.sku.clone() };
            *self.stock.entry(key).or_default() += line.quantity;
        }
    }

    /// Records a hold that is neither confirmed nor cancelled in time: it must expire.
    pub fn runs_out(&mut self, reservation_id: ReservationId) {
        self.running_out.insert(reservation_id);
    }

    /// Whether every hold that must expire has.
    #[must_use]
    pub fn all_ran_out(&self) -> bool {
        self.running_out.iter().all(|id| self.has_expired(*id))
    }

    /// Whether that hold has expired.
    #[must_use]
    pub fn has_expired(&self, id: ReservationId) -> bool {
        let status = self.reservations.get(&id).map(|held| held.latest.status);
        status == Some(ReservationStatus::Expired)
    }

    /// When that reservation was cancelled or expired, if it was.
    #[must_use]
    pub fn ended_at(&self, id: ReservationId) -> Option<Timestamp> {
        self.reservations.get(&id)?.ended_at
    }

    /// The number of commands with an outcome.
    #[must_use]
    pub fn decided(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// The number of commands with that result.
    #[must_use]
    pub fn count(&self, result_type: &str) -> u64 {
        self.outcomes.get(result_type).copied().unwrap_or(0)
    }

    /// Records a result. Returns whether it is new: `false` for a repetition.
    pub fn record(&mut self, result: &DecodedResult) -> bool {
        let key = &result.command.key;
        let is_expiry = key.source.as_str() == sweeper::SOURCE;
        let command = self.commands.entry(key.clone()).or_default();
        if is_expiry && command.expected.is_empty() {
            command.expected.push(&[result::EXPIRED]);
        }
        if command.results.iter().any(|(id, _)| *id == result.id) {
            self.redelivered += 1;
            return false;
        }
        let name = outcome_name(result);
        let expected = command.expected.get(command.results.len()).copied();
        let is_expected = expected.is_some_and(|expected| expected.contains(&name));
        command.results.push((result.id, is_expected));
        match expected {
            None => self.problems.push(format!("{key} has more results than commands")),
            Some(expected) if !is_expected => {
                let expected = expected.join(" or ");
                self.problems.push(format!("{key} resulted in {name}, expected {expected}"));
            }
            Some(_) => {}
        }
        *self.outcomes.entry(result.result_type().to_owned()).or_default() += 1;
        if result.rejection().is_some() {
            *self.rejections.entry(name.to_owned()).or_default() += 1;
        }
        self.track_reservation(result);
        true
    }

    /// Whether a recorded result is as expected.
    #[must_use]
    pub fn was_expected(&self, result: &DecodedResult) -> bool {
        let command = self.commands.get(&result.command.key);
        let mut results = command.into_iter().flat_map(|command| &command.results);
        results.any(|(id, is_expected)| *id == result.id && *is_expected)
    }

    fn track_reservation(&mut self, result: &DecodedResult) {
        let Some(shown) = result.outcome.reservation() else { return };
        let tracked =
            || TrackedReservation { latest: shown.clone(), was_confirmed: false, ended_at: None };
        let held = self.reservations.entry(shown.reservation_id).or_insert_with(tracked);
        held.was_confirmed |= shown.status == ReservationStatus::Confirmed;
        if matches!(shown.status, ReservationStatus::Cancelled | ReservationStatus::Expired) {
            held.ended_at = Some(result.time);
        }
        if shown.version > held.latest.version {
            held.latest = shown.clone();
        }
    }

    /// The seats of the event that are held or sold.
    #[must_use]
    pub fn seats(&self) -> BTreeMap<SeatNumber, ExpectedSeat> {
        let of_event = |held: &&TrackedReservation| held.latest.pool.event_id().is_some();
        let mut by_age: Vec<&TrackedReservation> =
            self.reservations.values().filter(of_event).collect();
        by_age.sort_by_key(|held| held.latest.created_at);
        let mut seats = BTreeMap::new();
        for held in by_age {
            let state = match held.latest.status {
                ReservationStatus::Active => ExpectedSeat::Held,
                ReservationStatus::Confirmed => ExpectedSeat::Sold,
                ReservationStatus::Cancelled | ReservationStatus::Expired => continue,
            };
            seats.extend(held.latest.seats.iter().map(|seat| (seat.clone(), state)));
        }
        seats
    }

    /// The held and the sold quantity of a line.
    #[must_use]
    pub fn taken(&self, key: &LineKey) -> (u64, u64) {
        let of_pool = self.reservations.values().filter(|held| held.latest.pool == key.pool);
        of_pool.fold((0, 0), |(held, sold), one| {
            let lines = one.latest.lines.iter().filter(|line| line.sku == key.sku);
            let quantity: u64 = lines.map(|line| line.quantity).sum();
            match one.latest.status {
                ReservationStatus::Active => (held + quantity, sold),
                ReservationStatus::Confirmed => (held, sold + quantity),
                ReservationStatus::Cancelled | ReservationStatus::Expired => (held, sold),
            }
        })
    }

    /// That percentile of the commands' times; `None` if there were none.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Option<Duration> {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        // Nearest rank: the smallest value that is not below that percentage of all.
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied()
    }
}

#[cfg(test)]
mod tests;
