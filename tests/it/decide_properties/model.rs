//! The contract's rules of state, written again over plain maps and numbers, one rule after the
//! other.

mod holds;
mod releases;
mod restocks;
mod sales;

use std::collections::BTreeMap;

use super::history::{Ask, Plain};

/// The most on hand: "on hand up to 9,000,000,000,000,000".
pub const BOUND: i64 = 9_000_000_000_000_000;

/// The whole world.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// By pool and number.
    pub seats: BTreeMap<(u8, u8), SeatModel>,
    /// By pool and SKU.
    pub lines: BTreeMap<(u8, u8), LineModel>,
    pub reservations: BTreeMap<u32, ReservationModel>,
    /// The reservations in the order they were made.
    pub made: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SeatModel {
    pub status: &'static str,
    /// Where RESERVED or BOOKED.
    pub held_by: Option<u32>,
    pub withheld: bool,
    pub version: u64,
    pub section: Option<u8>,
    pub price: Option<u8>,
    pub created_ms: i64,
    pub updated_ms: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LineModel {
    pub available: i64,
    pub reserved: i64,
    pub committed: i64,
    pub as_of_ms: Option<i64>,
    pub version: u64,
    pub updated_ms: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ReservationModel {
    pub pool: u8,
    pub user: u8,
    pub seats: Vec<u8>,
    pub lines: Vec<(u8, i64)>,
    pub status: &'static str,
    pub booking: Option<u8>,
    /// Whether the goods stayed when it was confirmed.
    pub stays: Option<bool>,
    pub fulfilled_ms: Option<i64>,
    pub version: u64,
    pub created_ms: i64,
    pub expires_ms: i64,
    pub ended_ms: Option<i64>,
}

impl ReservationModel {
    /// Sold and still there.
    fn is_committed(&self) -> bool {
        self.status == "CONFIRMED" && self.stays == Some(true) && self.fulfilled_ms.is_none()
    }
}

/// An item of the command's pool that a verdict depends on without changing it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    Reservation(u32),
    Seat(u8),
    Line(u8),
}

/// The contract's outcome of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    pub what: Outcome,
    pub rests_on: Vec<Item>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// This result type, and the reservation as the model now has it.
    Done(&'static str, u32),
    Restocked {
        seats: (u64, u64),
        lines: (u64, u64),
        skipped: Vec<String>,
    },
    Rejected {
        code: &'static str,
        seats: Vec<u8>,
        lines: Vec<LineOffence>,
    },
}

/// A line that a rejection names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LineOffence {
    /// SKU, requested, available.
    Quantity(u8, i64, i64),
    /// SKU, expected, actual.
    Version(u8, u64, u64),
}

impl LineOffence {
    fn sku(&self) -> u8 {
        match self {
            Self::Quantity(sku, ..) | Self::Version(sku, ..) => *sku,
        }
    }
}

/// The outcome, or the rejection by the first check that failed.
type Decision = Result<Expected, Expected>;

fn done(result_type: &'static str, id: u32) -> Decision {
    Ok(Expected { what: Outcome::Done(result_type, id), rests_on: Vec::new() })
}

fn no(code: &'static str) -> Expected {
    offenders(code, Vec::new(), Vec::new())
}

fn offenders(code: &'static str, seats: Vec<u8>, lines: Vec<LineOffence>) -> Expected {
    Expected { what: Outcome::Rejected { code, seats, lines }, rests_on: Vec::new() }
}

/// The rejection, which rests on the reservation and on every offender.
fn resting_on(id: u32, mut rejection: Expected) -> Expected {
    if let Outcome::Rejected { seats, lines, .. } = &rejection.what {
        rejection.rests_on = std::iter::once(Item::Reservation(id))
            .chain(seats.iter().copied().map(Item::Seat))
            .chain(lines.iter().map(|line| Item::Line(line.sku())))
            .collect();
    }
    rejection
}

/// "`expires_at` is rounded up to the second."
fn end_of(from_ms: i64, seconds: u32) -> i64 {
    let mut end = from_ms + i64::from(seconds) * 1000;
    while end % 1000 != 0 {
        end += 1;
    }
    end
}

impl Model {
    pub fn decide(&mut self, plain: &Plain) -> Expected {
        if plain.deadline_ms.is_some_and(|deadline| plain.now_ms > deadline) {
            return no("COMMAND_EXPIRED");
        }
        let (now, pool) = (plain.now_ms, plain.pool);
        let decision = match &plain.ask {
            Ask::Reserve { id, user, things, hold_s } => {
                self.reserve(now, pool, (*id, *user), things, *hold_s)
            }
            Ask::Extend { id, user, hold_s } => self.extend(now, pool, (*id, *user), *hold_s),
            Ask::Modify { id, user, add, remove } => {
                self.modify(now, pool, (*id, *user), add, remove)
            }
            Ask::Confirm { id, user, booking, how } => {
                self.confirm(now, pool, (*id, *user), *booking, *how)
            }
            Ask::Fulfil { id, user } => self.fulfil(now, pool, *id, *user),
            Ask::Cancel { id, user, refund, block } => {
                self.cancel(now, pool, (*id, *user), *refund, *block)
            }
            Ask::Expire { id } => self.expire(now, pool, *id),
            Ask::Restock { seats, add, lines, as_of_ms } => {
                self.restock(now, pool, seats, (*add, lines), *as_of_ms)
            }
        };
        decision.unwrap_or_else(|rejection| rejection)
    }

    /// The reservation, if it is in the pool and the user's.
    fn found(&self, pool: u8, id: u32, user: Option<u8>) -> Result<ReservationModel, Expected> {
        let Some(found) = self.reservations.get(&id) else {
            return Err(no("RESERVATION_NOT_FOUND"));
        };
        if found.pool != pool {
            return Err(no("RESERVATION_NOT_FOUND"));
        }
        match user {
            Some(user) if user != found.user => Err(no("NOT_OWNER")),
            _ => Ok(found.clone()),
        }
    }

    /// Whether a seat is free: on sale, or held by a hold that ran out and not withheld.
    fn is_free(&self, now: i64, key: (u8, u8)) -> bool {
        let Some(seat) = self.seats.get(&key) else { return false };
        match (seat.status, seat.held_by) {
            ("AVAILABLE", _) => true,
            ("RESERVED", Some(id)) => !seat.withheld && self.reservations[&id].expires_ms <= now,
            _ => false,
        }
    }

    /// Those of the seats that are no longer the reservation's.
    fn lost(&self, pool: u8, id: u32, seats: &[u8]) -> Vec<u8> {
        let is_lost = |seat: &&u8| self.seats[&(pool, **seat)].held_by != Some(id);
        seats.iter().filter(is_lost).copied().collect()
    }

    fn set_seat(&mut self, now: i64, key: (u8, u8), status: &'static str, held_by: Option<u32>) {
        let seat = self.seats.get_mut(&key).unwrap();
        seat.status = status;
        seat.held_by = held_by;
        seat.version += 1;
        seat.updated_ms = now;
    }

    /// Adds to available, reserved and committed.
    fn move_line(&mut self, now: i64, key: (u8, u8), [available, reserved, committed]: [i64; 3]) {
        let line = self.lines.get_mut(&key).unwrap();
        line.available += available;
        line.reserved += reserved;
        line.committed += committed;
        line.version += 1;
        line.updated_ms = now;
    }

    fn change(&mut self, id: u32, change: impl FnOnce(&mut ReservationModel)) {
        let reservation = self.reservations.get_mut(&id).unwrap();
        reservation.version += 1;
        change(reservation);
    }
}
