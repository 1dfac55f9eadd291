//! Long-lasting faults that affect some items while all others work.
//!
//! In a history of the class [`Class::Progress`](super::profile::Class) one such trouble is in
//! force from the beginning until the fault-free phase. It affects the pool [`POOL`], which no
//! other command names, and the groups of that pool: all others are unaffected and must make
//! progress.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fastrand::Rng;
use tokio::time::Instant;

use super::fault::Fault;
use inventory_worker::{
    domain::{Command, GroupId, LineKey, PoolId, SeatKey},
    ports::{LoadRequest, PortError, ReadSet, Transaction, Write},
};

/// The pool that the trouble affects.
pub(super) const POOL: PoolId = PoolId::Event(9);

/// The prefix of that pool's groups.
pub(super) const GROUP: &str = "event-9";

/// A small queue's message size limit, below SQS's maximum, bytes.
pub(super) const QUEUE_BYTES_MAX: usize = 64 * 1024;

/// How the holds are stuck, or how far the items are throttled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// The line is missing; or every commit is throttled.
    Missing,
    /// The line cannot be read; or loads are throttled, too.
    DamagedLine,
    /// A seat cannot be read; or half of the calls are throttled.
    DamagedSeat,
}

/// The trouble of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// Its kind.
    pub(super) kind: Fault,
    /// The number of messages or holds that it affects.
    pub(super) size: usize,
    pub(super) how: How,
    /// The number of groups.
    pub(super) groups: usize,
    /// Whether stuck holds are all in one shard of the index.
    pub(super) is_one_shard: bool,
    /// How long the topic is unavailable.
    pub(super) outage: Duration,
}

impl Trouble {
    pub(super) fn draw(rng: &mut Rng, kind: Fault, size: usize) -> Self {
        let how = match rng.u32(0..3) {
            0 => How::Missing,
            1 => How::DamagedLine,
            _ => How::DamagedSeat,
        };
        let groups = match kind {
            Fault::Flood => 1,
            Fault::ThrottledItems => rng.usize(1..=size.max(1)),
            _ => size,
        };
        let outage = Duration::from_secs(rng.u64(400..=2_400));
        Self { kind, size, how, groups, is_one_shard: rng.bool(), outage }
    }
}

/// Whether the message belongs to the trouble's pool.
pub(super) fn is_of_pool(group: &GroupId, command: Option<&Command>) -> bool {
    group.as_str().starts_with(GROUP) || command.is_some_and(|command| command.pool == POOL)
}

/// The current faults of single items.
#[derive(Default)]
pub(super) struct Troubles(Mutex<AffectedItems>);

#[derive(Default)]
struct AffectedItems {
    damaged_seats: BTreeSet<SeatKey>,
    damaged_lines: BTreeSet<LineKey>,
    missing_lines: BTreeSet<LineKey>,
    throttled: BTreeMap<PoolId, Throttled>,
}

#[derive(Clone, Copy)]
struct Throttled {
    until: Instant,
    loads: bool,
}

impl Troubles {
    fn affected(&self) -> MutexGuard<'_, AffectedItems> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn damage_seat(&self, key: SeatKey) {
        self.affected().damaged_seats.insert(key);
    }

    pub(super) fn damage_line(&self, key: LineKey) {
        self.affected().damaged_lines.insert(key);
    }

    /// Makes the line missing.
    pub(super) fn miss_line(&self, key: LineKey) {
        self.affected().missing_lines.insert(key);
    }

    /// Throttles the pool's seats and lines until then: commits, and also loads if `loads` is set.
    pub(super) fn throttle(&self, pool: PoolId, until: Instant, loads: bool) {
        self.affected().throttled.insert(pool, Throttled { until, loads });
    }

    /// Removes all faults.
    pub(super) fn repair(&self) {
        *self.affected() = AffectedItems::default();
    }

    /// The fault and error that a load of these items meets.
    pub(super) fn load(&self, wanted: &LoadRequest) -> Option<(Fault, PortError)> {
        let affected = self.affected();
        let is_damaged = wanted.seats.iter().any(|key| affected.damaged_seats.contains(key))
            || wanted.lines.iter().any(|key| affected.damaged_lines.contains(key));
        if is_damaged {
            let what = "an item of it is damaged".to_owned();
            return Some((Fault::Damaged, PortError::Unreadable(what)));
        }
        let mut pools = (wanted.seats.iter().map(|key| PoolId::Event(key.event_id)))
            .chain(wanted.lines.iter().map(|key| key.pool.clone()));
        pools.any(|pool| affected.is_throttled(&pool, true)).then(throttled)
    }

    /// The error that a page of the pool's seats or lines meets.
    pub(super) fn page(&self, pool: &PoolId) -> Option<PortError> {
        let affected = self.affected();
        let mut damaged = (affected.damaged_seats.iter().map(|key| PoolId::Event(key.event_id)))
            .chain(affected.damaged_lines.iter().map(|key| key.pool.clone()));
        if damaged.any(|other| other == *pool) {
            return Some(PortError::Unreadable("an item of it is damaged".to_owned()));
        }
        affected.is_throttled(pool, true).then(|| throttled().1)
    }

    /// The fault and error that this commit meets.
    pub(super) fn commit(&self, transaction: &Transaction) -> Option<(Fault, PortError)> {
        let affected = self.affected();
        let mut pools = transaction.writes.iter().filter_map(|write| match write {
            Write::Seat { key, .. } => Some(PoolId::Event(key.event_id)),
            Write::Line { key, .. } => Some(key.pool.clone()),
            _ => None,
        });
        pools.any(|pool| affected.is_throttled(&pool, false)).then(throttled)
    }

    /// Removes missing lines from the result. Returns whether there were any.
    pub(super) fn hide(&self, loaded: &mut ReadSet) -> bool {
        let affected = self.affected();
        let mut is_any = false;
        for (key, line) in &mut loaded.lines {
            if affected.missing_lines.contains(key) {
                is_any |= line.take().is_some();
            }
        }
        is_any
    }
}

impl AffectedItems {
    fn is_throttled(&self, pool: &PoolId, is_load: bool) -> bool {
        self.throttled
            .get(pool)
            .is_some_and(|it| Instant::now() < it.until && (it.loads || !is_load))
    }
}

fn throttled() -> (Fault, PortError) {
    (Fault::ThrottledItems, PortError::Throttled("slow down on this partition".to_owned()))
}
