//! The workload: few seats and SKUs, and many commands that want them.

mod batches;
mod crossing;
pub(super) mod crowd;
mod reservations;
mod restocks;
pub(super) mod visits;

use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;
use jiff::SignedDuration;

use super::{
    fault::{CRASH_TRIGGER, Fault, POISON},
    profile::{Class, Profile},
    rng::{happens, one_of, stream},
    topology::EPOCH,
};
use inventory_worker::{
    domain::{
        Action, CommandKey, GroupId, LineKey, ON_HAND_MAX, PoolId, ReservationId, Restock, Seat,
        SeatDetails, SeatKey, SeatNumber, SeatState, Sku, StockLevel, Timestamp,
        time::saturating_add,
    },
    message::{self, OutgoingCommand},
    ports::{OutgoingMessage, Record},
};
use visits::Visit;

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
    /// What callers ask of gateways.
    pub(super) visits: Vec<Visit>,
    /// The commands and visits that can be left out.
    pub(super) countable: usize,
    /// Whether some pools have hundreds of seats or lines.
    pub(super) is_large: bool,
    /// How many of the postings repeat another.
    pub(super) copies: u64,
}

impl Workload {
    /// The workload of the seed, restricted to the postings, and after them the visits, that are
    /// numbered in `kept`, if given.
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
        maker.rng = stream(seed, "visits");
        let mut visits = match profile.gateways.settings.is_empty() {
            true => Vec::new(),
            false => maker.visits(profile, &postings),
        };
        let countable = postings.len() + visits.len();
        if let Some(kept) = kept {
            let mut number = 0;
            let mut is_kept = || {
                number += 1;
                kept.contains(&(number - 1))
            };
            postings.retain(|_| is_kept());
            visits.retain(|_| is_kept());
        }
        postings.sort_by_key(|posting| posting.at);
        let is_large = maker.has_chunks || maker.has_bulk || profile.trouble.is_some();
        // After the kept ones are picked, so that a batch shrinks with its commands.
        if profile.rate(Fault::CommandBatches) > 0 {
            postings = batches::joined(&mut stream(seed, "batches"), postings);
        }
        Self { records, postings, visits, countable, is_large, copies }
    }
}

/// The posting's identity with other content, if it is a restock: its quantities differ.
pub(super) fn with_other_content(posting: &Posting) -> Option<Posting> {
    let command = message::decode(&posting.message.body).ok()?.command;
    let Action::Restock(mut restock) = command.action else { return None };
    restock.lines.iter_mut().for_each(|line| line.quantity += 1);
    let (key, pool, action) = (command.key, command.pool, Action::Restock(restock));
    let (time, deadline, traceparent) = (Timestamp::UNIX_EPOCH, command.deadline, None);
    let command = OutgoingCommand { key, time, deadline, pool, action, traceparent };
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
    made: Vec<Target>,
    /// Reservations that were confirmed with goods that stay.
    sold: Vec<Target>,
    sent: Vec<Posting>,
}

/// A requested reservation.
#[derive(Clone)]
struct Target {
    id: ReservationId,
    pool: PoolId,
    user: &'static str,
    group: GroupId,
    seats: Vec<SeatNumber>,
    skus: Vec<Sku>,
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
            sold: Vec::new(),
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
                records.push(Record::Seat(key, new_seat(occupancy, now)));
            }
        }
        for (pool, skus) in &self.skus {
            for sku in skus {
                if self.rng.u32(0..8) == 0 {
                    continue;
                }
                let key = LineKey { pool: pool.clone(), sku: sku.clone() };
                // A few lines are so full that a little more is too much.
                let full = if self.rng.u32(0..40) == 0 { ON_HAND_MAX - 9 } else { 0 };
                let available = full + self.rng.i64(0..=8);
                records.push(Record::Line(key, new_line(available, now)));
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
            0..=20 if self.has_bulk => self.restock(number, at),
            0..=39 => self.reserve(&key),
            40..=51 => self.confirm(),
            52..=60 => self.cancel(),
            61..=64 => self.expire(),
            65..=74 => self.restock(number, at),
            75..=83 => self.extend(),
            84..=93 => self.modify(),
            _ => self.fulfil(),
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
        let (deadline, traceparent) = (self.deadline(at), None);
        let time = Timestamp::UNIX_EPOCH;
        let command = OutgoingCommand { key, time, deadline, pool, action, traceparent };
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

    /// The `expirytime` of one command in six: past, soon (so that it is over where the queue is
    /// behind), or far.
    fn deadline(&mut self, at: Duration) -> Option<Timestamp> {
        if self.rng.u32(0..6) > 0 {
            return None;
        }
        let off_ms = match self.rng.u32(0..8) {
            0 => self.rng.i64(-60_000..=-1),
            1..=4 => self.rng.i64(0..=8_000),
            _ => self.rng.i64(60_000..=86_400_000),
        };
        Some(then(at, off_ms))
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
            deadline: None,
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
        match self.rng.u32(0..5) {
            0 => {}
            // A retry may have longer; the first decision stands.
            4 => copy.message.body = self.with_other_deadline(&copy)?,
            1 => copy.message.deduplication_id = Some(format!("again-{}", self.rng.u32(..))),
            2 => copy.queue = 1 - first.queue.min(1),
            _ => {
                let pool = self.pool();
                copy.message.group = self.group(&pool);
            }
        }
        Some(copy)
    }

    /// The same command to be decided by another time.
    fn with_other_deadline(&mut self, posting: &Posting) -> Option<String> {
        let command = message::decode(&posting.message.body).ok()?.command;
        let deadline = self.deadline(posting.at);
        let time = Timestamp::UNIX_EPOCH;
        let (key, pool, action) = (command.key, command.pool, command.action);
        let command = OutgoingCommand { key, time, deadline, pool, action, traceparent: None };
        Some(message::encode_command(&command))
    }
}

/// The time that long after the beginning of the history, and `off_ms` milliseconds later.
fn then(at: Duration, off_ms: i64) -> Timestamp {
    let epoch: Timestamp = EPOCH.parse().unwrap_or(Timestamp::UNIX_EPOCH);
    let after_ms = i64::try_from(at.as_millis()).unwrap_or(0);
    saturating_add(epoch, SignedDuration::from_millis(after_ms + off_ms))
}

fn new_seat(occupancy: SeatState, at: Timestamp) -> Seat {
    let details = SeatDetails::default();
    let (withheld, version) = (false, 1);
    Seat { details, occupancy, withheld, version, created_at: at, updated_at: at }
}

fn new_line(available: i64, at: Timestamp) -> StockLevel {
    let (reserved, committed) = (0, 0);
    StockLevel { available, reserved, committed, as_of: None, version: 1, updated_at: at }
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
