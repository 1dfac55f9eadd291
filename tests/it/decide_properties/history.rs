//! Random commands over a small world, in plain numbers so that a shrunk history reads well.

use proptest::{collection::vec, option, prelude::*, sample::subsequence};

use super::model::{BOUND, Model};

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
    pub pool: u8,
    pub ask: Ask,
}

#[derive(Clone, Debug)]
pub enum Ask {
    Reserve { id: u32, user: u8, seats: Vec<u8>, lines: Vec<(u8, i64)>, hold_s: Option<u32> },
    Confirm { id: u32, booking: u8, user: Option<u8> },
    Cancel { id: u32, user: Option<u8>, refund: bool },
    Expire { id: u32 },
    Restock { seats: Vec<SeatAsk>, add: bool, lines: Vec<(u8, i64)>, as_of_ms: Option<i64> },
}

#[derive(Clone, Debug)]
pub struct SeatAsk {
    pub seat: u8,
    pub section: Option<u8>,
    pub price: Option<u8>,
    /// Whether to put it on sale, or to block it.
    pub on_sale: Option<bool>,
}

/// A step of a history, which refers to reservations relatively ("the latest").
#[derive(Clone, Debug)]
pub struct Step {
    pub time: Time,
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
    /// The one made that many before the latest.
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

#[derive(Clone, Debug)]
pub enum What {
    Reserve {
        pool: u8,
        again: Option<Which>,
        user: u8,
        seats: Vec<u8>,
        lines: Vec<(u8, i64)>,
        hold_s: Option<u32>,
    },
    /// Reserves the seats of another reservation.
    TakeOver {
        of: Which,
        user: u8,
    },
    Confirm {
        of: Which,
        elsewhere: bool,
        booking: u8,
        who: Who,
    },
    Cancel {
        of: Which,
        elsewhere: bool,
        who: Who,
        refund: bool,
    },
    Expire {
        of: Which,
        elsewhere: bool,
    },
    Restock {
        pool: u8,
        seats: Vec<SeatAsk>,
        add: bool,
        lines: Vec<(u8, i64)>,
        age_ms: Option<i64>,
    },
}

/// Stocks a pool with all but its last seat and SKU.
pub fn opening(pool: u8) -> Plain {
    let seat = |seat| SeatAsk { seat, section: None, price: None, on_sale: None };
    let seats = if pool == STORE { 0 } else { SEATS - 1 };
    let ask = Ask::Restock {
        seats: (0..seats).map(seat).collect(),
        add: false,
        lines: (0..SKUS - 1).map(|sku| (sku, 10)).collect(),
        as_of_ms: None,
    };
    Plain { now_ms: 0, pool, ask }
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
        let (pool, ask) = match self.what.clone() {
            What::Reserve { pool, again, user, seats, lines, hold_s } => {
                let seats = if pool == STORE { Vec::new() } else { seats };
                let lines = if seats.is_empty() && lines.is_empty() { vec![(0, 1)] } else { lines };
                let id = again.map_or(model.made.len() as u32, |which| id_of(&which, model));
                (pool, Ask::Reserve { id, user, seats, lines, hold_s })
            }
            What::TakeOver { of, user } => {
                let found = model.reservations.get(&id_of(&of, model));
                let (pool, seats) =
                    found.map_or((0, vec![0]), |found| (found.pool, found.seats.clone()));
                let lines = if seats.is_empty() { vec![(0, 1)] } else { Vec::new() };
                let id = model.made.len() as u32;
                (pool, Ask::Reserve { id, user, seats, lines, hold_s: None })
            }
            What::Confirm { of, elsewhere, booking, who } => {
                let (pool, id, user) = named(model, &of, elsewhere, &who);
                (pool, Ask::Confirm { id, booking, user })
            }
            What::Cancel { of, elsewhere, who, refund } => {
                let (pool, id, user) = named(model, &of, elsewhere, &who);
                (pool, Ask::Cancel { id, user, refund })
            }
            What::Expire { of, elsewhere } => {
                let (pool, id, _) = named(model, &of, elsewhere, &Who::Nobody);
                (pool, Ask::Expire { id })
            }
            What::Restock { pool, seats, add, lines, age_ms } => {
                let seats = if pool == STORE { Vec::new() } else { seats };
                let as_of_ms = age_ms.map(|age_ms| now_ms - age_ms);
                (pool, Ask::Restock { seats, add, lines, as_of_ms })
            }
        };
        Plain { now_ms, pool, ask }
    }
}

fn id_of(which: &Which, model: &Model) -> u32 {
    match which {
        Which::Recent(back) if *back < model.made.len() => model.made[model.made.len() - 1 - back],
        Which::Recent(_) | Which::Unknown => RESERVATIONS - 1,
    }
}

fn named(model: &Model, of: &Which, elsewhere: bool, who: &Who) -> (u8, u32, Option<u8>) {
    let id = id_of(of, model);
    let found = model.reservations.get(&id);
    let pool = found.map_or(0, |found| found.pool);
    let user = match who {
        Who::Nobody => None,
        Who::Owner => found.map(|found| found.user),
        Who::Someone(user) => Some(*user),
    };
    (if elsewhere { (pool + 1) % POOLS } else { pool }, id, user)
}

/// Around 60 steps.
pub fn histories() -> impl Strategy<Value = Vec<Step>> {
    let one = step().prop_map(|step| vec![step]);
    vec(prop_oneof![20 => one, 1 => late_confirm()], 1..=60)
        .prop_map(|parts| parts.into_iter().flatten().collect())
}

fn step() -> impl Strategy<Value = Step> {
    (time(), what()).prop_map(|(time, what)| Step { time, what })
}

/// A hold is taken over around its end, and confirmed by a clock that is behind.
fn late_confirm() -> impl Strategy<Value = Vec<Step>> {
    (0..6usize, -1..=1i64, 0..USERS, -2..=0i64).prop_map(|(back, over_ms, user, confirm_ms)| {
        let (before, after) = (Which::Recent(back), Which::Recent(back + 1));
        let take_over = Step {
            time: Time::ToEndOf(before.clone(), over_ms),
            what: What::TakeOver { of: before, user },
        };
        let confirm = Step {
            time: Time::ToEndOf(after.clone(), confirm_ms),
            what: What::Confirm { of: after, elsewhere: false, booking: 0, who: Who::Nobody },
        };
        vec![take_over, confirm]
    })
}

fn time() -> impl Strategy<Value = Time> {
    prop_oneof![
        4 => Just(Time::By(0)),
        8 => (1..3_000i64).prop_map(Time::By),
        2 => (3_000..25_000i64).prop_map(Time::By),
        3 => (-2_000..0i64).prop_map(Time::By),
        4 => (which(), -1..=1i64).prop_map(|(which, beyond)| Time::ToEndOf(which, beyond)),
    ]
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![30 => (0..6usize).prop_map(Which::Recent), 1 => Just(Which::Unknown)]
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![
        4 => Just(Who::Nobody),
        4 => Just(Who::Owner),
        1 => (0..USERS).prop_map(Who::Someone),
    ]
}

fn elsewhere() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.04)
}

fn pool() -> impl Strategy<Value = u8> {
    prop_oneof![5 => Just(0), 2 => Just(1), 2 => Just(STORE)]
}

/// Seats of which the last, which may not exist, is rarely requested.
fn some_seats() -> impl Strategy<Value = Vec<u8>> {
    let usual: Vec<u8> = (0..SEATS - 1).collect();
    let all: Vec<u8> = (0..SEATS).collect();
    prop_oneof![9 => subsequence(usual, 0..=3), 1 => subsequence(all, 1..=3)].prop_shuffle()
}

fn some_lines(
    quantity: impl Strategy<Value = i64> + Clone + 'static,
) -> impl Strategy<Value = Vec<(u8, i64)>> {
    let usual: Vec<u8> = (0..SKUS - 1).collect();
    let all: Vec<u8> = (0..SKUS).collect();
    prop_oneof![9 => subsequence(usual, 0..=2), 1 => subsequence(all, 1..=3)]
        .prop_shuffle()
        .prop_flat_map(move |skus| {
            let count = skus.len();
            (Just(skus), vec(quantity.clone(), count))
        })
        .prop_map(|(skus, quantities)| skus.into_iter().zip(quantities).collect())
}

fn some_seat_asks() -> impl Strategy<Value = Vec<SeatAsk>> {
    let ask = (option::of(0..2u8), option::of(0..2u8), option::of(any::<bool>()));
    let all: Vec<u8> = (0..SEATS).collect();
    (subsequence(all, 0..=3).prop_shuffle(), vec(ask, 3)).prop_map(|(seats, asks)| {
        let ask = |(seat, (section, price, on_sale))| SeatAsk { seat, section, price, on_sale };
        seats.into_iter().zip(asks).map(ask).collect()
    })
}

fn what() -> impl Strategy<Value = What> {
    let hold = prop_oneof![
        4 => (1..=20u32).prop_map(Some),
        2 => Just(None),
        1 => Just(Some(21)),
    ];
    let again = prop_oneof![12 => Just(None), 1 => which().prop_map(Some)];
    let reserve = (pool(), again, 0..USERS, some_seats(), some_lines(1..6i64), hold).prop_map(
        |(pool, again, user, seats, lines, hold_s)| What::Reserve {
            pool,
            again,
            user,
            seats,
            lines,
            hold_s,
        },
    );
    let confirm = (which(), elsewhere(), 0..BOOKINGS, who())
        .prop_map(|(of, elsewhere, booking, who)| What::Confirm { of, elsewhere, booking, who });
    let cancel = (which(), elsewhere(), who(), any::<bool>())
        .prop_map(|(of, elsewhere, who, refund)| What::Cancel { of, elsewhere, who, refund });
    let expire = (which(), elsewhere()).prop_map(|(of, elsewhere)| What::Expire { of, elsewhere });
    let quantity = prop_oneof![20 => 0..12i64, 1 => (0..3i64).prop_map(|less| BOUND - less)];
    let age = option::of(0..5_000i64);
    let restock = (pool(), some_seat_asks(), any::<bool>(), some_lines(quantity), age).prop_map(
        |(pool, seats, add, lines, age_ms)| What::Restock { pool, seats, add, lines, age_ms },
    );
    prop_oneof![8 => reserve, 4 => confirm, 3 => cancel, 3 => expire, 3 => restock]
}

/// A restock of most of a pool.
pub fn large_restock() -> impl Strategy<Value = Step> {
    let ask = (option::of(0..2u8), option::of(0..2u8), option::of(any::<bool>()));
    let seats: Vec<u8> = (0..SEATS).collect();
    let skus: Vec<u8> = (0..SKUS).collect();
    let seats = (subsequence(seats, 2..=SEATS as usize), vec(ask, SEATS as usize));
    let lines = (subsequence(skus, 2..=SKUS as usize), vec(0..12i64, SKUS as usize));
    (0..POOLS, seats, lines, any::<bool>(), option::of(0..5_000i64)).prop_map(
        |(pool, (seats, asks), (skus, quantities), add, age_ms)| {
            let ask = |(seat, (section, price, on_sale))| SeatAsk { seat, section, price, on_sale };
            let seats = seats.into_iter().zip(asks).map(ask).collect();
            let lines = skus.into_iter().zip(quantities).collect();
            let what = What::Restock { pool, seats, add, lines, age_ms };
            Step { time: Time::By(1), what }
        },
    )
}
