//! Random commands over a small world, in plain numbers so that a shrunk history reads well.

mod strategies;

use super::model::Model;

pub use strategies::{histories, large_restock};

/// Two events and a store.
pub const POOLS: u8 = 3;
/// The pool that has no seats.
pub const STORE: u8 = 2;
/// Possible seat numbers in each event; the last is never created at the start.
pub const SEATS: u8 = 5;
/// Possible SKUs in each pool; the last is never created at the start.
pub const SKUS: u8 = 4;
pub const USERS: u8 = 6;
pub const BOOKINGS: u8 = 2;
/// At most one reservation per command.
pub const RESERVATIONS: u32 = 80;

/// A command in plain numbers, with its time.
#[derive(Clone, Debug)]
pub struct Plain {
    pub now_ms: i64,
    /// Its `expirytime`.
    pub deadline_ms: Option<i64>,
    pub pool: u8,
    pub ask: Ask,
}

/// Seats and lines, as (SKU, quantity).
#[derive(Clone, Debug, Default)]
pub struct Things {
    pub seats: Vec<u8>,
    pub lines: Vec<(u8, i64)>,
}

impl Things {
    pub fn count(&self) -> usize {
        self.seats.len() + self.lines.len()
    }
}

/// How a confirm wants its goods, and whether it may be late.
#[derive(Clone, Copy, Debug)]
pub struct How {
    pub stays: bool,
    pub late: bool,
}

#[derive(Clone, Debug)]
pub enum Ask {
    Reserve { id: u32, user: u8, things: Things, hold_s: Option<u32> },
    Extend { id: u32, user: Option<u8>, hold_s: u32 },
    Modify { id: u32, user: Option<u8>, add: Things, remove: Things },
    Confirm { id: u32, user: Option<u8>, booking: u8, how: How },
    Fulfil { id: u32, user: Option<u8> },
    Cancel { id: u32, user: Option<u8>, refund: bool, block: bool },
    Expire { id: u32 },
    Restock { seats: Vec<SeatAsk>, add: bool, lines: Vec<LineAsk>, as_of_ms: Option<i64> },
}

#[derive(Clone, Debug)]
pub struct SeatAsk {
    pub seat: u8,
    pub section: Option<u8>,
    pub price: Option<u8>,
    /// Whether to put it on sale, or to block it.
    pub on_sale: Option<bool>,
}

#[derive(Clone, Debug)]
pub struct LineAsk {
    pub sku: u8,
    pub quantity: i64,
    pub version: Option<u64>,
}

/// A step of a history, which refers to reservations relatively ("the latest").
#[derive(Clone, Debug)]
pub struct Step {
    pub time: Time,
    /// How long after the step its `expirytime` is; negative if that has passed.
    pub deadline: Option<i64>,
    pub what: What,
}

/// How the clock moves before the step.
#[derive(Clone, Debug)]
pub enum Time {
    /// By that much; negative if the next worker's clock is behind.
    By(i64),
    /// To the end of a hold, plus that much.
    ToEndOf(Which, i64),
}

/// A reservation.
#[derive(Clone, Debug)]
pub enum Which {
    /// The one made that many before the latest, from the latest on again.
    Recent(usize),
    /// One that was never made.
    Unknown,
}

/// The sender a command claims.
#[derive(Clone, Debug)]
pub enum Who {
    Nobody,
    Owner,
    Someone(u8),
}

/// The reservation of a command, whether it names another pool, and its sender.
#[derive(Clone, Debug)]
pub struct Target {
    pub of: Which,
    pub elsewhere: bool,
    pub who: Who,
}

/// What a modify removes, by place in what is held.
#[derive(Clone, Debug)]
pub struct Removal {
    pub seats: Vec<usize>,
    /// Places of lines, and quantities.
    pub lines: Vec<(usize, i64)>,
    /// A seat whether it is held or not.
    pub seat: Option<u8>,
}

/// The `expected_version` of a line.
#[derive(Clone, Debug)]
pub enum Version {
    Any,
    Right,
    TooHigh,
    MustNotExist,
}

#[derive(Clone, Debug)]
pub enum What {
    Reserve {
        pool: u8,
        again: Option<Which>,
        user: u8,
        things: Things,
        hold_s: Option<u32>,
    },
    /// Reserves the seats of another reservation.
    TakeOver {
        of: Which,
        user: u8,
    },
    Extend {
        target: Target,
        hold_s: u32,
    },
    Modify {
        target: Target,
        add: Things,
        remove: Removal,
    },
    Confirm {
        target: Target,
        booking: u8,
        how: How,
    },
    Fulfil {
        target: Target,
    },
    Cancel {
        target: Target,
        refund: bool,
        block: bool,
    },
    Expire {
        target: Target,
    },
    Restock {
        pool: u8,
        seats: Vec<SeatAsk>,
        add: bool,
        lines: Vec<(u8, i64, Version)>,
        age_ms: Option<i64>,
    },
    /// Says of the seats of a reservation whether they are on sale.
    Report {
        of: Which,
        on_sale: bool,
    },
}

/// Stocks a pool with all but its last seat and SKU.
pub fn opening(pool: u8) -> Plain {
    let seat = |seat| SeatAsk { seat, section: None, price: None, on_sale: None };
    let seats = if pool == STORE { 0 } else { SEATS - 1 };
    let ask = Ask::Restock {
        seats: (0..seats).map(seat).collect(),
        add: false,
        lines: (0..SKUS - 1).map(|sku| LineAsk { sku, quantity: 10, version: None }).collect(),
        as_of_ms: None,
    };
    Plain { now_ms: 0, deadline_ms: None, pool, ask }
}

impl Step {
    /// The command that the step means in the model's current state.
    pub fn resolve(&self, model: &Model, now_ms: i64) -> Plain {
        let now_ms = match &self.time {
            Time::By(ms) => now_ms + ms,
            Time::ToEndOf(which, beyond_ms) => model
                .reservations
                .get(&id_of(which, model))
                .map_or(now_ms, |found| found.expires_ms + beyond_ms),
        };
        let (pool, ask) = resolve(self.what.clone(), model, now_ms);
        let deadline_ms = self.deadline.map(|after| now_ms + after);
        Plain { now_ms, deadline_ms, pool, ask }
    }
}

fn resolve(what: What, model: &Model, now_ms: i64) -> (u8, Ask) {
    match what {
        What::Reserve { pool, again, user, things, hold_s } => {
            let things = in_pool(pool, things);
            let id = again.map_or(model.made.len() as u32, |which| id_of(&which, model));
            (pool, Ask::Reserve { id, user, things, hold_s })
        }
        What::TakeOver { of, user } => {
            let found = model.reservations.get(&id_of(&of, model));
            let (pool, seats) =
                found.map_or((0, vec![0]), |found| (found.pool, found.seats.clone()));
            let things = in_pool(pool, Things { seats, lines: Vec::new() });
            (pool, Ask::Reserve { id: model.made.len() as u32, user, things, hold_s: None })
        }
        What::Extend { target, hold_s } => {
            let (pool, id, user) = named(model, &target);
            (pool, Ask::Extend { id, user, hold_s })
        }
        What::Modify { target, add, remove } => {
            let (pool, id, user) = named(model, &target);
            let (add, remove) = modification(model, (pool, id), add, &remove);
            (pool, Ask::Modify { id, user, add, remove })
        }
        What::Confirm { target, booking, how } => {
            let (pool, id, user) = named(model, &target);
            (pool, Ask::Confirm { id, user, booking, how })
        }
        What::Fulfil { target } => {
            let (pool, id, user) = named(model, &target);
            (pool, Ask::Fulfil { id, user })
        }
        What::Cancel { target, refund, block } => {
            let (pool, id, user) = named(model, &target);
            (pool, Ask::Cancel { id, user, refund, block })
        }
        What::Expire { target } => {
            let (pool, id, _) = named(model, &target);
            (pool, Ask::Expire { id })
        }
        What::Restock { pool, seats, add, lines, age_ms } => {
            let seats = if pool == STORE { Vec::new() } else { seats };
            let as_of_ms = age_ms.map(|age_ms| now_ms - age_ms);
            let line = |(sku, quantity, version)| line_ask(model, (pool, sku), quantity, &version);
            let lines = lines.into_iter().map(line).collect();
            (pool, Ask::Restock { seats, add, lines, as_of_ms })
        }
        What::Report { of, on_sale } => {
            let found = model.reservations.get(&id_of(&of, model));
            let seat = |seat: &u8| SeatAsk {
                seat: *seat,
                section: None,
                price: Some(0),
                on_sale: Some(on_sale),
            };
            let seats = found.map_or(Vec::new(), |found| found.seats.iter().map(seat).collect());
            let pool = found.map_or(0, |found| found.pool);
            (pool, Ask::Restock { seats, add: false, lines: Vec::new(), as_of_ms: None })
        }
    }
}

/// At least one entry, and no seats in a store.
fn in_pool(pool: u8, things: Things) -> Things {
    let Things { seats, lines } = things;
    let seats = if pool == STORE { Vec::new() } else { seats };
    let lines = if seats.is_empty() && lines.is_empty() { vec![(0, 1)] } else { lines };
    Things { seats, lines }
}

/// What a modify adds and removes: nothing twice, and at least one entry.
fn modification(
    model: &Model,
    (pool, id): (u8, u32),
    add: Things,
    remove: &Removal,
) -> (Things, Things) {
    let mut removed = Things::default();
    let mut add = if pool == STORE { Things { seats: Vec::new(), ..add } } else { add };
    if let Some(found) = model.reservations.get(&id) {
        let seats = remove.seats.iter().filter_map(|place| found.seats.get(*place));
        removed.seats.extend(seats);
        for (place, quantity) in &remove.lines {
            removed.lines.extend(found.lines.get(*place).map(|(sku, _)| (*sku, *quantity)));
        }
    }
    removed.seats.extend(remove.seat.filter(|_| pool != STORE));
    removed.seats.sort_unstable();
    removed.seats.dedup();
    add.seats.retain(|seat| !removed.seats.contains(seat));
    add.lines.retain(|(sku, _)| removed.lines.iter().all(|(gone, _)| gone != sku));
    if add.count() + removed.count() == 0 {
        add.lines.push((0, 1));
    }
    (add, removed)
}

fn line_ask(model: &Model, key: (u8, u8), quantity: i64, version: &Version) -> LineAsk {
    let actual = model.lines.get(&key).map_or(0, |line| line.version);
    let version = match version {
        Version::Any => None,
        Version::Right => Some(actual),
        Version::TooHigh => Some(actual + 1),
        Version::MustNotExist => Some(0),
    };
    LineAsk { sku: key.1, quantity, version }
}

fn id_of(which: &Which, model: &Model) -> u32 {
    match which {
        Which::Recent(back) if !model.made.is_empty() => {
            model.made[model.made.len() - 1 - back % model.made.len()]
        }
        Which::Recent(_) | Which::Unknown => RESERVATIONS - 1,
    }
}

fn named(model: &Model, target: &Target) -> (u8, u32, Option<u8>) {
    let id = id_of(&target.of, model);
    let found = model.reservations.get(&id);
    let pool = found.map_or(0, |found| found.pool);
    let user = match &target.who {
        Who::Nobody => None,
        Who::Owner => found.map(|found| found.user),
        Who::Someone(user) => Some(*user),
    };
    (if target.elsewhere { (pool + 1) % POOLS } else { pool }, id, user)
}
