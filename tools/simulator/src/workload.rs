//! The workload: few seats and SKUs, and many commands that want them.

mod crossing;
pub(super) mod crowd;

use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;
use jiff::SignedDuration;
use uuid::Uuid;

use super::{
    fault::{CRASH_TRIGGER, Fault, POISON},
    profile::{Class, Profile},
    rng::{happens, one_of, stream},
    topology::EPOCH,
};
use inventory_worker::{
    domain::{
        Action, Cancel, CommandKey, Confirm, Expire, GroupId, LineKey, OrderLine, PoolId,
        ReservationId, Reserve, Restock, RestockMode, RestockStatus, Seat, SeatChange, SeatDetails,
        SeatKey, SeatNumber, SeatState, Sku, StockLevel, Timestamp, time::saturating_add,
    },
    message::{self, OutgoingCommand},
    ports::{OutgoingMessage, Record},
};

/// The queue of restocks.
const RESTOCK_QUEUE: usize = 1;

/// A message and when it is sent.
#[derive(Clone, Debug)]
pub(super) struct Posting {
    pub(super) at: Duration,
    pub(super) queue: usize,
    pub(super) message: OutgoingMessage,
}

/// The initial records, and the messages to send.
pub(super) struct Workload {
    pub(super) records: Vec<Record>,
    pub(super) postings: Vec<Posting>,
    /// How many of the postings repeat another.
    pub(super) copies: u64,
}

impl Workload {
    /// The workload of the seed, restricted to the postings numbered in `kept`, if given.
    pub(super) fn draw(seed: u64, profile: &Profile, kept: Option<&[usize]>) -> Self {
        let mut maker = Maker::new(stream(seed, "workload"));
        let mut records = maker.records();
        let mut postings = Vec::new();
        let mut copies = 0;
        for number in 0..profile.commands {
            let first = maker.posting(number, profile);
            if profile.class == Class::Crossing && number % 3 == 0 {
                postings.extend(maker.crossing(number, first.at));
            }
            let copy = maker.copy(&first, profile);
            postings.push(first);
            copies += u64::from(copy.is_some());
            postings.extend(copy);
        }
        if let Some(trouble) = &profile.trouble {
            let rng = &mut stream(seed, "crowd");
            let (more, crowd) = crowd::draw(rng, trouble, profile.horizon);
            records.extend(more);
            postings.extend(crowd);
        }
        if let Some(kept) = kept {
            let mut number = 0;
            postings.retain(|_| {
                number += 1;
                kept.contains(&(number - 1))
            });
        }
        postings.sort_by_key(|posting| posting.at);
        Self { records, postings, copies }
    }
}

/// The posting's identity with other content, if it is a restock: its quantities differ.
pub(super) fn with_other_content(posting: &Posting) -> Option<Posting> {
    let command = message::decode(&posting.message.body).ok()?.command;
    let Action::Restock(mut restock) = command.action else { return None };
    restock.lines.iter_mut().for_each(|line| line.quantity += 1);
    let (key, pool, action) = (command.key, command.pool, Action::Restock(restock));
    let time = Timestamp::UNIX_EPOCH;
    let command = OutgoingCommand { key, time, pool, action, traceparent: None };
    let message = OutgoingMessage {
        body: message::encode_command(&command),
        deduplication_id: None,
        ..posting.message.clone()
    };
    Some(Posting { message, ..posting.clone() })
}

struct Maker {
    rng: Rng,
    pools: Vec<PoolId>,
    seats: BTreeMap<PoolId, Vec<SeatNumber>>,
    skus: BTreeMap<PoolId, Vec<Sku>>,
    /// Groups in addition to the pool's own.
    sections: usize,
    hold_max: u32,
    has_chunks: bool,
    /// Whether restocks may be so large that few of them fit one transaction.
    has_bulk: bool,
    is_burst: bool,
    made: Vec<(ReservationId, PoolId, &'static str, GroupId)>,
    sent: Vec<Posting>,
}

const USERS: [&str; 3] = ["ada", "bob", "cy"];

impl Maker {
    fn new(mut rng: Rng) -> Self {
        let mut pools = vec![PoolId::Event(1)];
        if rng.bool() {
            pools.push(PoolId::Event(2));
        }
        if let Ok(store) = "s".parse() {
            pools.push(PoolId::Store(store));
        }
        let names = |prefix: &str, count: usize| -> Vec<String> {
            (1..=count).map(|number| format!("{prefix}{number}")).collect()
        };
        let (mut seats, mut skus) = (BTreeMap::new(), BTreeMap::new());
        for pool in &pools {
            let seat_names = names("A-", rng.usize(2..=6));
            let sku_names = names("x", rng.usize(1..=3));
            if pool.event_id().is_some() {
                let numbers = seat_names.iter().filter_map(|name| name.parse().ok()).collect();
                seats.insert(pool.clone(), numbers);
            }
            skus.insert(
                pool.clone(),
                sku_names.iter().filter_map(|name| name.parse().ok()).collect(),
            );
        }
        Self {
            sections: rng.usize(0..=3),
            hold_max: rng.u32(2..=30),
            has_chunks: rng.u32(0..8) == 0,
            has_bulk: rng.u32(0..8) == 0,
            is_burst: rng.bool(),
            made: Vec::new(),
            sent: Vec::new(),
            pools,
            seats,
            skus,
            rng,
        }
    }

    /// The initial records: most seats and lines; the rest are created later.
    fn records(&mut self) -> Vec<Record> {
        let now: Timestamp = EPOCH.parse().unwrap_or(Timestamp::UNIX_EPOCH);
        let mut records = Vec::new();
        for (pool, numbers) in &self.seats {
            let Some(event_id) = pool.event_id() else { continue };
            for number in numbers {
                let occupancy = match self.rng.u32(0..10) {
                    0 => continue,
                    1 => SeatState::Blocked,
                    _ => SeatState::Available,
                };
                let key = SeatKey { event_id, number: number.clone() };
                let details = SeatDetails::default();
                let seat =
                    Seat { details, occupancy, version: 1, created_at: now, updated_at: now };
                records.push(Record::Seat(key, seat));
            }
        }
        for (pool, skus) in &self.skus {
            for sku in skus {
                if self.rng.u32(0..8) == 0 {
                    continue;
                }
                let key = LineKey { pool: pool.clone(), sku: sku.clone() };
                let available = self.rng.i64(0..=8);
                let line =
                    StockLevel { available, reserved: 0, as_of: None, version: 1, updated_at: now };
                records.push(Record::Line(key, line));
            }
        }
        records
    }

    fn posting(&mut self, number: usize, profile: &Profile) -> Posting {
        let is_burst = self.is_burst && matches!(profile.class, Class::Mixed | Class::Crossing);
        let span = if is_burst { profile.horizon / 8 } else { profile.horizon };
        let share = number as f64 / profile.commands.max(1) as f64;
        let at = span.mul_f64(share) + Duration::from_millis(self.rng.u64(0..500));
        let choice = self.rng.u32(0..100);
        let posting = match choice {
            0..=3 => self.unreadable(number, at),
            4..=6 => self.reuse(at),
            _ => None,
        };
        let posting = posting.unwrap_or_else(|| self.command(number, at, choice, profile));
        self.sent.push(posting.clone());
        posting
    }

    fn command(&mut self, number: usize, at: Duration, choice: u32, profile: &Profile) -> Posting {
        let mut prefix = "c-";
        // If poison is the trouble, only the crowd has it.
        let is_apart = profile.class == Class::Progress;
        if !is_apart && happens(&mut self.rng, profile.rate(Fault::Poison) / 4) {
            prefix = if self.rng.u32(0..3) == 0 { CRASH_TRIGGER } else { POISON };
        }
        let source = one_of(&mut self.rng, &["/web", "/app"]).copied().unwrap_or("/web");
        let key = key(source, &format!("{prefix}{number}"));
        let (pool, action, group) = match choice {
            0..=20 if self.has_bulk => self.restock(at),
            0..=50 => self.reserve(&key),
            51..=68 => self.confirm(),
            69..=82 => self.cancel(),
            83..=87 => self.expire(),
            _ => self.restock(at),
        };
        let is_restock = matches!(action, Action::Restock(_));
        let is_chunked =
            matches!(&action, Action::Restock(Restock { lines, .. }) if lines.len() > 99);
        let has_crash_triggers = !is_apart && profile.rate(Fault::Poison) > 0;
        let key = match is_chunked && has_crash_triggers && self.rng.u32(0..8) == 0 {
            true => self::key(source, &format!("{CRASH_TRIGGER}{number}")),
            false => key,
        };
        let queue = if is_restock && self.rng.u32(0..4) > 0 { RESTOCK_QUEUE } else { 0 };
        let command =
            OutgoingCommand { key, time: Timestamp::UNIX_EPOCH, pool, action, traceparent: None };
        Posting { at, queue, message: outgoing(group, message::encode_command(&command)) }
    }

    fn pool(&mut self) -> PoolId {
        // Half of all commands go to the first pool.
        let first = self.pools.first().cloned().unwrap_or(PoolId::Event(1));
        if self.rng.bool() {
            first
        } else {
            one_of(&mut self.rng, &self.pools).cloned().unwrap_or(first)
        }
    }

    fn group(&mut self, pool: &PoolId) -> GroupId {
        let pool = pool.to_string().replace('#', "-");
        let section = self.rng.usize(0..=self.sections);
        let name = if section == 0 { pool } else { format!("{pool}/{section}") };
        name.parse().unwrap_or_else(|_| unreachable!("a group's name is short and plain"))
    }

    fn some_of<T: Clone>(&mut self, all: &[T], most: usize) -> Vec<T> {
        let mut all = all.to_vec();
        self.rng.shuffle(&mut all);
        all.truncate(self.rng.usize(1..=most.max(1)));
        all
    }

    fn reserve(&mut self, key: &CommandKey) -> (PoolId, Action, GroupId) {
        let pool = self.pool();
        let (all_seats, all_skus) = (
            self.seats.get(&pool).cloned().unwrap_or_default(),
            self.skus.get(&pool).cloned().unwrap_or_default(),
        );
        let wants = self.rng.u32(0..4);
        let mut seats = Vec::new();
        if wants < 3 && !all_seats.is_empty() {
            seats = self.some_of(&all_seats, 3);
        }
        let mut lines = Vec::new();
        if wants > 1 || seats.is_empty() {
            let rng_lines = self.some_of(&all_skus, 2);
            let quantity = self.rng.u64(1..=3);
            lines = rng_lines.into_iter().map(|sku| OrderLine { sku, quantity }).collect();
        }
        let reservation_id = match self.rng.u32(0..30) {
            0 => self.made.last().map_or(key.default_reservation_id(), |made| made.0),
            1..=10 => key.default_reservation_id(),
            _ => ReservationId(Uuid::from_u128(self.rng.u128(..))),
        };
        let user = one_of(&mut self.rng, &USERS).copied().unwrap_or("ada");
        let hold_seconds = match self.rng.u32(0..10) {
            0 => None,
            _ => Some(self.rng.u32(1..=self.hold_max)),
        };
        let group = self.group(&pool);
        self.made.push((reservation_id, pool.clone(), user, group.clone()));
        let user_id = user.parse().unwrap_or_else(|_| unreachable!("a user's name is plain"));
        let reserve = Reserve { reservation_id, user_id, seats, lines, hold_seconds };
        (pool, Action::Reserve(reserve), group)
    }

    /// A requested reservation, probably a recent one; sometimes one that never existed.
    fn target(&mut self) -> (ReservationId, PoolId, &'static str, GroupId) {
        let recent = self.made.iter().rev().take(6).cloned().collect::<Vec<_>>();
        let all = self.made.clone();
        let from = if self.rng.u32(0..5) > 0 { recent } else { all };
        let found = one_of(&mut self.rng, &from).cloned();
        let (id, pool, user, group) = match found.filter(|_| self.rng.u32(0..40) > 0) {
            Some(made) => made,
            None => {
                let pool = self.pool();
                let group = self.group(&pool);
                (ReservationId(Uuid::from_u128(self.rng.u128(..))), pool, "ada", group)
            }
        };
        let pool = if self.rng.u32(0..40) == 0 { self.pool() } else { pool };
        let group = if self.rng.u32(0..3) == 0 { self.group(&pool) } else { group };
        (id, pool, user, group)
    }

    fn user(&mut self) -> inventory_worker::domain::UserId {
        let user = one_of(&mut self.rng, &USERS).copied().unwrap_or("ada");
        user.parse().unwrap_or_else(|_| unreachable!("a user's name is plain"))
    }

    fn maybe_user(&mut self, owner: &str) -> Option<inventory_worker::domain::UserId> {
        match self.rng.u32(0..10) {
            0 => one_of(&mut self.rng, &USERS).and_then(|user| user.parse().ok()),
            1..=4 => owner.parse().ok(),
            _ => None,
        }
    }

    fn confirm(&mut self) -> (PoolId, Action, GroupId) {
        let (reservation_id, pool, owner, group) = self.target();
        let booking = format!("b{}", self.rng.u32(0..3));
        let booking_id =
            booking.parse().unwrap_or_else(|_| unreachable!("a booking's name is plain"));
        let user_id = self.maybe_user(owner);
        (pool, Action::Confirm(Confirm { reservation_id, booking_id, user_id }), group)
    }

    fn cancel(&mut self) -> (PoolId, Action, GroupId) {
        let (reservation_id, pool, owner, group) = self.target();
        let user_id = self.maybe_user(owner);
        let reason = if self.rng.bool() { "changed my mind".parse().ok() } else { None };
        let refund = self.rng.u32(0..3) == 0;
        (pool, Action::Cancel(Cancel { reservation_id, user_id, reason, refund }), group)
    }

    fn expire(&mut self) -> (PoolId, Action, GroupId) {
        let (reservation_id, pool, _, group) = self.target();
        (pool, Action::Expire(Expire { reservation_id }), group)
    }

    fn restock(&mut self, at: Duration) -> (PoolId, Action, GroupId) {
        let pool = self.pool();
        let group = self.group(&pool);
        let all_seats = self.seats.get(&pool).cloned().unwrap_or_default();
        let mut all_skus = self.skus.get(&pool).cloned().unwrap_or_default();
        let is_chunked = self.has_chunks && self.rng.u32(0..4) == 0;
        if is_chunked {
            let many = self.rng.usize(100..=220);
            all_skus.extend((0..many).filter_map(|number| format!("y{number}").parse().ok()));
        }
        let is_bulk = !is_chunked && self.has_bulk && self.rng.u32(0..4) > 0;
        if is_bulk {
            let first = self.rng.usize(0..150);
            let last = first + self.rng.usize(50..=90);
            all_skus.extend((first..last).filter_map(|number| format!("y{number}").parse().ok()));
        }
        let mut seats = Vec::new();
        if !all_seats.is_empty() && self.rng.bool() {
            let numbers = self.some_of(&all_seats, 4);
            seats = numbers.into_iter().map(|number| self.seat_change(number)).collect();
        }
        let mut lines = Vec::new();
        if is_chunked || is_bulk || seats.is_empty() || self.rng.bool() {
            let skus = if is_chunked || is_bulk { all_skus } else { self.some_of(&all_skus, 3) };
            let request = |sku| OrderLine { sku, quantity: self.rng.u64(0..=9) };
            lines = skus.into_iter().map(request).collect();
        }
        let mode = if self.rng.bool() { RestockMode::Set } else { RestockMode::Add };
        let epoch: Timestamp = EPOCH.parse().unwrap_or(Timestamp::UNIX_EPOCH);
        let as_of = self.rng.bool().then(|| {
            let off = i64::try_from(at.as_secs()).unwrap_or(0) + self.rng.i64(-5..=5);
            saturating_add(epoch, SignedDuration::from_secs(off))
        });
        (pool, Action::Restock(Restock { seats, lines, mode, as_of }), group)
    }

    fn seat_change(&mut self, number: SeatNumber) -> SeatChange {
        let status = match self.rng.u32(0..5) {
            0 => Some(RestockStatus::Blocked),
            1..=3 => Some(RestockStatus::Available),
            _ => None,
        };
        let section = if self.rng.bool() { "stalls".parse().ok() } else { None };
        let price = ["49.50", "20"].get(self.rng.usize(0..4)).and_then(|price| price.parse().ok());
        SeatChange { number, section, row_number: None, seat_type: None, price, status }
    }

    /// A message that is no command.
    fn unreadable(&mut self, number: usize, at: Duration) -> Option<Posting> {
        let body = match self.rng.u32(0..4) {
            0 => "{\"not\": json".to_owned(),
            1 => format!(
                "{{\"specversion\":\"1.0\",\"id\":\"u-{number}\",\"source\":\"/web\",\"type\":\"inventory.reserve.v1\",\"data\":{{\"event_id\":1,\"seats\":[]}}}}"
            ),
            2 => format!(
                "{{\"specversion\":\"1.0\",\"id\":\"u-{number}\",\"source\":\"/web\",\"type\":\"inventory.teleport.v1\",\"data\":{{\"event_id\":1}}}}"
            ),
            _ => format!(
                "{{\"specversion\":\"1.0\",\"id\":\"c-{}\",\"source\":\"/web\",\"type\":\"inventory.confirm.v1\",\"data\":{{}}}}",
                number / 2
            ),
        };
        let pool = self.pool();
        let group = self.group(&pool);
        Some(Posting { at, queue: 0, message: outgoing(group, body) })
    }

    /// The identity of an earlier command, with other content.
    fn reuse(&mut self, at: Duration) -> Option<Posting> {
        let before = one_of(&mut self.rng, &self.sent)?.message.body.clone();
        let decoded = message::decode(&before).ok()?;
        let id = decoded.command.key.id.as_str();
        if id.starts_with(POISON) || id.starts_with(CRASH_TRIGGER) {
            return None;
        }
        let (pool, action, group) = self.cancel();
        let command = OutgoingCommand {
            key: decoded.command.key,
            time: Timestamp::UNIX_EPOCH,
            pool,
            action,
            traceparent: None,
        };
        Some(Posting { at, queue: 0, message: outgoing(group, message::encode_command(&command)) })
    }

    /// The same message again. The queue drops it, unless it has another deduplication id or
    /// another group.
    fn copy(&mut self, first: &Posting, profile: &Profile) -> Option<Posting> {
        if !happens(&mut self.rng, profile.rate(Fault::Duplicate).saturating_mul(3)) {
            return None;
        }
        let mut copy = first.clone();
        copy.at += Duration::from_millis(self.rng.u64(0..8_000));
        match self.rng.u32(0..4) {
            0 => {}
            1 => copy.message.deduplication_id = Some(format!("again-{}", self.rng.u32(..))),
            2 => copy.queue = 1 - first.queue.min(1),
            _ => {
                let pool = self.pool();
                copy.message.group = self.group(&pool);
            }
        }
        Some(copy)
    }
}

fn key(source: &str, id: &str) -> CommandKey {
    match (source.parse(), id.parse()) {
        (Ok(source), Ok(id)) => CommandKey { source, id },
        _ => unreachable!("sources and ids of the workload are plain"),
    }
}

fn outgoing(group: GroupId, body: String) -> OutgoingMessage {
    OutgoingMessage { group, body, deduplication_id: None, attributes: BTreeMap::new() }
}
