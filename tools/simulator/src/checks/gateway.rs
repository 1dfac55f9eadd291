//! What gateways answer: every state shown was committed, no older than the answer says, and goes
//! back in no projection; counts, pages and outcomes are what was committed.

pub(crate) mod commands;
pub(crate) mod counts;
pub(crate) mod lines;
pub(crate) mod map;
pub(crate) mod points;
pub(crate) mod seats;
pub(crate) mod walk;

use std::{collections::BTreeMap, fmt::Debug};

use jiff::SignedDuration;

use super::{Violation, ensure, model::Model};
use crate::{profile::SKEW_MAX_MS, topology::Incarnation};
use inventory_worker::{
    domain::{LineKey, PoolId, SeatKey, Timestamp},
    gateway::queries::{Freshness, ViewSource},
};

/// The resolution of simulated time.
const TICK: SignedDuration = SignedDuration::from_millis(1);

/// The moment of an answer, and what it says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) gateway: Incarnation,
    /// When it was given, by the server's clock.
    pub(crate) at: Timestamp,
    /// Everything committed before is in it, by the server's clock.
    pub(crate) since: Timestamp,
    /// What it calls now.
    pub(crate) now: Timestamp,
    /// Whether it comes from a projection.
    pub(crate) is_projected: bool,
    /// Whether hints may have changed entries beside their descriptions.
    pub(crate) has_hints: bool,
}

impl Moment {
    pub(crate) fn new(
        (gateway, has_hints): (Incarnation, bool),
        at: Timestamp,
        freshness: &Freshness,
    ) -> Self {
        let age = SignedDuration::try_from(freshness.age).unwrap_or(SignedDuration::MAX);
        let is_projected = freshness.source == ViewSource::Memory;
        Self { gateway, at, since: at - age, now: freshness.now, is_projected, has_hints }
    }

    /// The times stated are right but for the gateway's clock. What is read for the answer may take
    /// long, and be judged by the time at which that began.
    pub(crate) fn check(&self, as_of: Timestamp) -> Result<(), Violation> {
        let skew = SignedDuration::from_millis(SKEW_MAX_MS) + TICK;
        let first = if self.is_projected { self.at } else { self.since };
        let is_now = (first - skew..=self.at + skew).contains(&self.now);
        let is_since = as_of.duration_since(self.since).abs() <= skew;
        ensure(is_now && is_since, "age", || {
            format!("at {} it calls it {}, {as_of} old, which is {}", self.at, self.now, self.since)
        })
    }
}

/// The latest versions that each incarnation showed from its projections.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    seats: BTreeMap<(Incarnation, SeatKey), u64>,
    lines: BTreeMap<(Incarnation, LineKey), u64>,
}

impl Shown {
    fn seat(&mut self, moment: &Moment, key: &SeatKey, version: u64) -> Result<(), Violation> {
        goes_on(&mut self.seats, moment, key, version)
    }

    fn line(&mut self, moment: &Moment, key: &LineKey, version: u64) -> Result<(), Violation> {
        goes_on(&mut self.lines, moment, key, version)
    }
}

/// No version goes back in the answers of one projection. What a point read showed is from the
/// tables, and may be newer than a projection.
fn goes_on<K: Clone + Debug + Ord>(
    shown: &mut BTreeMap<(Incarnation, K), u64>,
    moment: &Moment,
    key: &K,
    version: u64,
) -> Result<(), Violation> {
    if !moment.is_projected {
        return Ok(());
    }
    let before = shown.insert((moment.gateway, key.clone()), version).unwrap_or_default();
    ensure(before <= version, "goes-back", || {
        format!("{key:?} was shown at version {before}, and now at {version}")
    })
}

/// There was nothing of the pool at some moment since then.
pub(crate) fn was_absent(model: &Model, pool: &PoolId, since: Timestamp) -> Result<(), Violation> {
    let seats = model.seats.keys().filter(|key| Some(key.event_id) == pool.event_id());
    let lines = model.lines.keys().filter(|key| key.pool == *pool);
    let first = seats
        .filter_map(|key| model.seats.states(key).next())
        .map(|state| state.from)
        .chain(lines.filter_map(|key| model.lines.states(key).next()).map(|state| state.from))
        .min();
    ensure(first.is_none_or(|first| first >= since), "found", || {
        format!("{pool} was not found, and has been there since {first:?}")
    })
}

/// The number of seats and lines of a pool.
pub(crate) fn entries(model: &Model, pool: &PoolId) -> usize {
    let seats = model.seats.keys().filter(|key| Some(key.event_id) == pool.event_id());
    seats.count() + model.lines.keys().filter(|key| key.pool == *pool).count()
}
