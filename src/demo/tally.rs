//! The demo's own books: what was asked for, what came back, and what must follow from it.
//!
//! They are kept from commands and published results alone. They share nothing with the worker or
//! its tables, so that in the end the tables can be held against them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::Deserialize;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    domain::{
        CommandId, CommandKey, LineKey, OrderLine, PoolId, Rejection, ReservationStatus,
        SeatNumber, Source, StoreId, Timestamp,
    },
    sweeper,
};

mod check;

pub use check::read_all;

/// What a command may come to: result types, and codes of rejections.
pub type Expected = &'static [&'static str];

/// Result types, as the contract has them.
pub mod result {
    /// A hold.
    pub const RESERVED: &str = "inventory.reserved.v1";
    /// A sale.
    pub const CONFIRMED: &str = "inventory.confirmed.v1";
    /// A hold or sale given back.
    pub const CANCELLED: &str = "inventory.cancelled.v1";
    /// A hold that ran out.
    pub const EXPIRED: &str = "inventory.expired.v1";
    /// Seats and lines put on sale.
    pub const RESTOCKED: &str = "inventory.restocked.v1";
    /// Nothing changed.
    pub const REJECTED: &str = "inventory.rejected.v1";
}

/// A result as a subscriber reads it.
#[derive(Clone, Debug, Deserialize)]
pub struct ResultView {
    /// Its id, the same at every delivery.
    pub id: Uuid,
    /// Its type.
    #[serde(rename = "type")]
    pub result_type: String,
    /// When the command was decided.
    pub time: Timestamp,
    /// The rest.
    pub data: ResultData,
}

/// The `data` of a result.
#[derive(Clone, Debug, Deserialize)]
pub struct ResultData {
    /// Which command it follows.
    pub command: CommandRef,
    event_id: Option<u64>,
    store_id: Option<StoreId>,
    /// The reservation as it stands then.
    pub reservation: Option<ReservationView>,
    /// Why nothing was changed.
    pub rejection: Option<Rejection>,
}

/// The command a result follows.
#[derive(Clone, Debug, Deserialize)]
pub struct CommandRef {
    source: Source,
    id: CommandId,
}

/// A reservation in a result.
#[derive(Clone, Debug, Deserialize)]
pub struct ReservationView {
    /// Its id.
    pub reservation_id: Uuid,
    /// How it stands.
    pub status: ReservationStatus,
    version: u64,
    /// Its seats.
    pub seats: Vec<SeatNumber>,
    lines: Vec<OrderLine>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the hold runs out.
    pub expires_at: Timestamp,
}

impl ResultView {
    /// The identity of the command it follows.
    #[must_use]
    pub fn key(&self) -> CommandKey {
        let CommandRef { source, id } = self.data.command.clone();
        CommandKey { source, id }
    }

    /// What the command came to: the result's type, or the code of a rejection.
    #[must_use]
    pub fn word(&self) -> &str {
        match &self.data.rejection {
            Some(rejection) => rejection.code.as_str(),
            None => &self.result_type,
        }
    }

    fn pool(&self) -> Option<PoolId> {
        let store = || self.data.store_id.clone().map(PoolId::Store);
        self.data.event_id.map(PoolId::Event).or_else(store)
    }
}

/// A command identity, and what became of it.
#[derive(Default)]
struct Asked {
    expected: Vec<(Expected, Instant)>,
    answers: Vec<(Uuid, String)>,
}

/// A reservation, by its latest result.
struct Held {
    pool: PoolId,
    view: ReservationView,
    was_confirmed: bool,
    ended_at: Option<Timestamp>,
}

/// How a seat stands by the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedSeat {
    /// Held for someone.
    Held,
    /// Sold.
    Sold,
}

/// The books.
#[derive(Default)]
pub struct Tally {
    /// Messages sent by the demo.
    pub messages: u64,
    /// Of these, messages that are no commands and carry no identity.
    pub unreadable: u64,
    /// Of these, repetitions of a command.
    pub repeated: u64,
    /// Commands by the type of their result.
    pub outcomes: BTreeMap<String, u64>,
    /// Rejected commands by code.
    pub rejections: BTreeMap<String, u64>,
    /// Results delivered once more under an id already seen.
    pub redelivered: u64,
    /// From sending a command to reading its result.
    pub latencies: Vec<Duration>,
    /// What did not go as it must.
    pub problems: Vec<String>,
    asked: BTreeMap<CommandKey, Asked>,
    reservations: BTreeMap<Uuid, Held>,
    running_out: BTreeSet<Uuid>,
    stock: BTreeMap<LineKey, u64>,
}

impl Tally {
    /// A command is about to be sent; it may come to one of these.
    pub fn ask(&mut self, key: &CommandKey, expected: Expected, at: Instant) {
        self.messages += 1;
        self.asked.entry(key.clone()).or_default().expected.push((expected, at));
    }

    /// So much of it was put on sale, or added.
    pub fn stocked(&mut self, pool: &PoolId, lines: &[OrderLine]) {
        for line in lines {
            let key = LineKey { pool: pool.clone(), sku: line.sku.clone() };
            *self.stock.entry(key).or_default() += line.quantity;
        }
    }

    /// A hold that nobody will confirm or cancel in time: it must expire.
    pub fn runs_out(&mut self, reservation_id: Uuid) {
        self.running_out.insert(reservation_id);
    }

    /// Whether every hold that must expire has.
    #[must_use]
    pub fn all_ran_out(&self) -> bool {
        self.running_out.iter().all(|id| self.has_expired(*id))
    }

    /// Whether that hold has expired.
    #[must_use]
    pub fn has_expired(&self, id: Uuid) -> bool {
        let status = self.reservations.get(&id).map(|held| held.view.status);
        status == Some(ReservationStatus::Expired)
    }

    /// When that reservation was cancelled or expired, if it was.
    #[must_use]
    pub fn ended_at(&self, id: Uuid) -> Option<Timestamp> {
        self.reservations.get(&id)?.ended_at
    }

    /// How many commands have their outcome.
    #[must_use]
    pub fn decided(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// How many commands came to that.
    #[must_use]
    pub fn count(&self, result_type: &str) -> u64 {
        self.outcomes.get(result_type).copied().unwrap_or(0)
    }

    /// A result came in. Gives whether it is as expected, and `None` for a repetition.
    pub fn answer(&mut self, result: &ResultView, at: Instant) -> Option<bool> {
        let key = result.key();
        if key.source.as_str() == sweeper::SOURCE {
            self.asked.entry(key.clone()).or_insert_with(|| Asked {
                expected: vec![(&[result::EXPIRED], at)],
                answers: Vec::new(),
            });
        }
        let asked = self.asked.entry(key.clone()).or_default();
        if asked.answers.iter().any(|(id, _)| *id == result.id) {
            self.redelivered += 1;
            return None;
        }
        let expected = asked.expected.get(asked.answers.len()).copied();
        asked.answers.push((result.id, result.word().to_owned()));
        *self.outcomes.entry(result.result_type.clone()).or_default() += 1;
        if let Some(rejection) = &result.data.rejection {
            *self.rejections.entry(rejection.code.as_str().to_owned()).or_default() += 1;
        }
        self.keep_reservation(result);
        let Some((words, sent_at)) = expected else {
            self.problems.push(format!("{key} was answered more often than asked"));
            return Some(false);
        };
        if key.source.as_str() != sweeper::SOURCE {
            self.latencies.push(at.saturating_duration_since(sent_at));
        }
        let is_expected = words.contains(&result.word());
        if !is_expected {
            let expected = words.join(" or ");
            self.problems.push(format!("{key} came to {}, expected {expected}", result.word()));
        }
        Some(is_expected)
    }

    fn keep_reservation(&mut self, result: &ResultView) {
        let (Some(view), Some(pool)) = (&result.data.reservation, result.pool()) else { return };
        let held = self.reservations.entry(view.reservation_id).or_insert_with(|| Held {
            pool,
            view: view.clone(),
            was_confirmed: false,
            ended_at: None,
        });
        held.was_confirmed |= view.status == ReservationStatus::Confirmed;
        if matches!(view.status, ReservationStatus::Cancelled | ReservationStatus::Expired) {
            held.ended_at = Some(result.time);
        }
        if view.version > held.view.version {
            held.view = view.clone();
        }
    }

    /// The seats of the event that are held or sold.
    #[must_use]
    pub fn seats(&self) -> BTreeMap<SeatNumber, ExpectedSeat> {
        let of_event = |held: &&Held| held.pool.event_id().is_some();
        let mut by_age: Vec<&Held> = self.reservations.values().filter(of_event).collect();
        by_age.sort_by_key(|held| held.view.created_at);
        let mut seats = BTreeMap::new();
        for held in by_age {
            let state = match held.view.status {
                ReservationStatus::Active => ExpectedSeat::Held,
                ReservationStatus::Confirmed => ExpectedSeat::Sold,
                ReservationStatus::Cancelled | ReservationStatus::Expired => continue,
            };
            seats.extend(held.view.seats.iter().map(|seat| (seat.clone(), state)));
        }
        seats
    }

    /// How much of a line is held, and how much sold.
    #[must_use]
    pub fn taken(&self, key: &LineKey) -> (u64, u64) {
        let of_pool = self.reservations.values().filter(|held| held.pool == key.pool);
        of_pool.fold((0, 0), |(held, sold), one| {
            let lines = one.view.lines.iter().filter(|line| line.sku == key.sku);
            let quantity: u64 = lines.map(|line| line.quantity).sum();
            match one.view.status {
                ReservationStatus::Active => (held + quantity, sold),
                ReservationStatus::Confirmed => (held, sold + quantity),
                ReservationStatus::Cancelled | ReservationStatus::Expired => (held, sold),
            }
        })
    }

    /// The time that this share of the commands took at most; `None` where there were none.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Option<Duration> {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        // Nearest rank: the smallest value that is not below so many percent of all.
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied()
    }
}

#[cfg(test)]
mod tests;
