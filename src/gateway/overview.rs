//! The figures of a deployment at a glance: queues, workers, the oldest hold.
//!
//! A sample is taken while somebody asks, every 3 s at most, by one of those who ask; the others
//! meanwhile have the one before, up to 15 s old. A part that does not answer in time costs that
//! part alone.

mod rates;

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use serde::Serialize;
use tokio::time::{Instant, timeout};
use tracing::debug;

use self::rates::Rates;
use super::{Caller, Commands, QueryError, Scope};
use crate::{
    domain::Timestamp,
    ports::{
        ActivityBoard, Clock, Ended, ExpiryIndex, ExpiryQuery, PortError, Queue, WorkerTotals,
        store::EXPIRY_SHARDS,
    },
};

/// The least time between two samples.
const SAMPLE_EVERY: Duration = Duration::from_secs(3);

/// The oldest sample that is answered while the next one is taken.
const STALE_MAX: Duration = Duration::from_secs(15);

/// How long a part may take.
const PART_TIMEOUT: Duration = Duration::from_secs(2);

/// What the figures are read from. Nothing is written.
pub struct OverviewParts {
    /// The queue of reserves, confirms and cancels.
    pub commands: Arc<dyn Queue>,
    /// The queue of restocks; it may be the same.
    pub restocks: Arc<dyn Queue>,
    /// Knows how long the oldest command of this gateway has waited.
    pub awaited: Arc<Commands>,
    /// The workers' totals; `None` without Redis.
    pub board: Option<Arc<dyn ActivityBoard>>,
    /// Holds by their end.
    pub holds: Arc<dyn ExpiryIndex>,
    /// The time of samples.
    pub clock: Arc<dyn Clock>,
}

/// Figures of one moment. A part that could not be read is `None`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// When they were read.
    pub sampled_at: Timestamp,
    /// The queues.
    pub queues: Vec<QueueFigures>,
    /// What the workers do.
    pub activity: Option<Activity>,
    /// The hold that ends first.
    pub oldest_hold: Option<OldestHold>,
}

/// A queue's figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QueueFigures {
    /// Its part: `commands`, `restocks`.
    pub name: &'static str,
    /// Messages that wait. Approximate.
    pub waiting: Option<u64>,
    /// Messages that a worker holds. Approximate.
    pub in_flight: Option<u64>,
    /// How long the oldest command that this gateway posted has had no outcome, in seconds. `None`
    /// where there is none, and for restocks, which may be long.
    pub oldest_age_seconds: Option<f64>,
}

/// What the workers do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Activity {
    /// Workers that reported within 10 s.
    pub workers: usize,
    /// Commands that they decide each second; `None` until two reports of a worker are known.
    pub commands_per_second: Option<f64>,
    /// Commands carried out since these workers began, by type.
    pub completed: BTreeMap<String, u64>,
    /// Commands and messages rejected since these workers began, by code.
    pub rejected: BTreeMap<String, u64>,
}

/// The hold that ends first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct OldestHold {
    /// Its end, which may have passed; `None` where nothing is held.
    pub reserved_until: Option<Timestamp>,
}

/// Samples the figures for all who ask.
pub struct Overview {
    parts: OverviewParts,
    /// Held while a sample is taken.
    rates: tokio::sync::Mutex<Rates>,
    last: Mutex<Option<(Instant, Arc<Sample>)>>,
}

impl Overview {
    /// An overview that reads nothing until somebody asks.
    #[must_use]
    pub fn new(parts: OverviewParts) -> Self {
        Self { parts, rates: tokio::sync::Mutex::default(), last: Mutex::default() }
    }

    /// The current figures, and what time it is. Takes 2 s at most for a sample, or twice that where
    /// another caller's was dropped.
    ///
    /// # Errors
    ///
    /// [`QueryError::NoScope`].
    pub async fn read(&self, caller: &Caller) -> Result<(Arc<Sample>, Timestamp), QueryError> {
        if !caller.scopes.has(Scope::Read) {
            return Err(QueryError::NoScope(Scope::Read));
        }
        let sample = self.current().await;
        Ok((sample, self.parts.clock.now()))
    }

    async fn current(&self) -> Arc<Sample> {
        if let Some(fresh) = self.last_within(SAMPLE_EVERY) {
            return fresh;
        }
        let mut rates = match self.rates.try_lock() {
            Ok(rates) => rates,
            // Another caller takes a sample.
            Err(_) => match self.last_within(STALE_MAX) {
                Some(last) => return last,
                None => self.rates.lock().await,
            },
        };
        if let Some(fresh) = self.last_within(SAMPLE_EVERY) {
            return fresh;
        }
        let sample = Arc::new(self.sample(&mut rates).await);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), Arc::clone(&sample)));
        sample
    }

    fn last_within(&self, age_max: Duration) -> Option<Arc<Sample>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, sample) = last.as_ref().filter(|(at, _)| at.elapsed() < age_max)?;
        Some(Arc::clone(sample))
    }

    async fn sample(&self, rates: &mut Rates) -> Sample {
        let sampled_at = self.parts.clock.now();
        let (queues, totals, oldest_hold) =
            tokio::join!(self.queues(), self.totals(), in_time("holds", self.oldest_hold()));
        let activity = totals.map(|totals| Activity::of(&totals, rates));
        Sample { sampled_at, queues, activity, oldest_hold }
    }

    async fn queues(&self) -> Vec<QueueFigures> {
        let OverviewParts { commands, restocks, awaited, .. } = &self.parts;
        let mut queues = vec![("commands", commands, awaited.oldest_age())];
        if commands.name() != restocks.name() {
            queues.push(("restocks", restocks, None));
        }
        let read = queues.into_iter().map(async |(name, queue, oldest_age)| {
            let backlog = in_time(name, queue.backlog()).await;
            QueueFigures {
                name,
                waiting: backlog.map(|backlog| backlog.visible),
                in_flight: backlog.map(|backlog| backlog.in_flight),
                oldest_age_seconds: oldest_age.map(|age| tenths(age.as_secs_f64())),
            }
        });
        join_all(read).await
    }

    async fn totals(&self) -> Option<Vec<WorkerTotals>> {
        in_time("workers", self.parts.board.as_ref()?.list()).await
    }

    async fn oldest_hold(&self) -> Result<OldestHold, PortError> {
        let ended = Ended { from: Timestamp::MIN, until: Timestamp::MAX };
        let looks = (0..EXPIRY_SHARDS).map(async |shard| {
            let page = self.parts.holds.expired(&ExpiryQuery::new(shard, ended, 1)).await?;
            Ok(page.holds.first().map(|hold| hold.expires_at))
        });
        let ends: Result<Vec<_>, PortError> = join_all(looks).await.into_iter().collect();
        Ok(OldestHold { reserved_until: ends?.into_iter().flatten().min() })
    }
}

impl Activity {
    fn of(totals: &[WorkerTotals], rates: &mut Rates) -> Self {
        let commands_per_second = rates.update(totals).map(tenths);
        let sum = |part: fn(&WorkerTotals) -> &BTreeMap<String, u64>| {
            let mut sums = BTreeMap::new();
            for (name, count) in totals.iter().flat_map(part) {
                let sum: &mut u64 = sums.entry(name.clone()).or_default();
                *sum = sum.saturating_add(*count);
            }
            sums
        };
        Self {
            workers: totals.len(),
            commands_per_second,
            completed: sum(|totals| &totals.completed),
            rejected: sum(|totals| &totals.rejected),
        }
    }
}

/// A part, unless it fails or takes too long.
async fn in_time<T>(part: &str, read: impl Future<Output = Result<T, PortError>>) -> Option<T> {
    match timeout(PART_TIMEOUT, read).await {
        Ok(Ok(value)) => Some(value),
        Ok(Err(error)) => {
            debug!(part, %error, "a part of the overview cannot be read");
            None
        }
        Err(_) => {
            debug!(part, "a part of the overview took too long");
            None
        }
    }
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests;
