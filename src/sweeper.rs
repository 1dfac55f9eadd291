//! Finds holds that ran out and posts their expiry, as a command like any other.
//!
//! At each tick a pod tries the shards of the expiry index in an order of its own, and sweeps those
//! whose lease for the tick it gets; so the shards are shared out between however many pods there
//! are. Without locks every pod sweeps everything, which is only wasteful: an expiry has one
//! identity, and the queue drops repetitions.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::SignedDuration;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use uuid::Uuid;

use crate::{
    domain::{Action, CommandKey, Expire, ReservationId, Timestamp, time},
    message::{self, OutgoingCommand},
    planted::{self, Bug},
    ports::{
        Clock, Entropy, ExpiredHold, Locks, OutgoingMessage, PortError, Queue, Store,
        queue::BATCH_ENTRIES_MAX, store::EXPIRY_SHARDS,
    },
    worker::{Event, Observer},
};

/// The `source` of the expiries it posts.
pub const SOURCE: &str = "/inventory-worker/sweeper";

/// The scope of the shards' leases.
const LEASE_SCOPE: &str = "sweeper";

/// An expiry is posted again when its hold is still there after this long, and twice as long, ...
const REPOST_AFTER: Duration = Duration::from_secs(10);

/// ... and then whenever so long has passed: as long as the queue tells repetitions.
const REPOST_AFTER_MAX: Duration = Duration::from_secs(300);

/// After so many failures a tick is over: the store or the queue is out, and each call may take
/// seconds to say so.
const FAILED_SHARDS_MAX: u32 = 3;

/// The most holds looked at in a shard at a tick.
const PAGE: usize = 1_000;

/// The sweeper's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How often it looks.
    pub interval: Duration,
    /// How far past its end a hold must be: the clocks of two workers may differ.
    pub margin: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { interval: Duration::from_secs(1), margin: Duration::from_secs(2) }
    }
}

/// Posts expiries.
pub struct Sweeper {
    /// Where the index is.
    pub store: Arc<dyn Store>,
    /// The shards' leases.
    pub locks: Arc<dyn Locks>,
    /// Where expiries are posted.
    pub queue: Arc<dyn Queue>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
    /// The settings.
    pub settings: Settings,
}

impl Sweeper {
    /// Sweeps until told to stop. A tick that fails is left for the next.
    pub async fn run(&self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.settings.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut posted = Posted::default();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            posted.forget_old();
            if planted::on(Bug::NeverSweep) {
                continue;
            }
            // A sweep may be dropped anywhere: what it did not post is found again, and what it
            // posted twice is one expiry. So a call that hangs keeps nobody past the grace.
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.sweep(&mut posted) => {}
            }
        }
    }

    /// Sweeps each shard whose lease it gets, once. A shard that fails does not hold up the others,
    /// unless so many do that it is not the shards.
    async fn sweep(&self, posted: &mut Posted) {
        let token = self.entropy.uuid();
        let first = shard_number(self.entropy.fraction());
        let mut failures = 0;
        for offset in 0..EXPIRY_SHARDS {
            let shard = (first + offset) % EXPIRY_SHARDS;
            if !self.is_mine(shard, token).await {
                continue;
            }
            if let Err(error) = self.sweep_shard(shard, posted).await {
                warn!(shard, %error, "expiries not swept, the next tick tries again");
                failures += 1;
                if failures >= FAILED_SHARDS_MAX {
                    return;
                }
            }
        }
    }

    async fn is_mine(&self, shard: u32, token: Uuid) -> bool {
        let names = [format!("shard-{shard:02}")];
        // A little less than a tick, so that the lease is free again for the next.
        let ttl = self.settings.interval.mul_f64(0.9);
        match self.locks.acquire(LEASE_SCOPE, &names, token, ttl).await {
            Ok(is_mine) => is_mine,
            Err(error) => {
                debug!(shard, %error, "no leases, sweeping without");
                true
            }
        }
    }

    async fn sweep_shard(&self, shard: u32, posted: &mut Posted) -> Result<(), PortError> {
        let now = self.clock.now();
        let margin = SignedDuration::try_from(self.settings.margin).unwrap_or(SignedDuration::MAX);
        let until = time::saturating_add(now, -margin);
        let found = self.store.expired(shard, until, PAGE).await?;
        let lag = found.first().map_or(Duration::ZERO, |oldest| {
            Duration::try_from(until.duration_since(oldest.expires_at)).unwrap_or(Duration::ZERO)
        });
        self.observer.observe(&Event::SweeperLag(lag));
        let new: Vec<ExpiredHold> = found
            .into_iter()
            .filter(|hold| !posted.contains(hold.reservation_id, step(hold, now)))
            .collect();
        for holds in new.chunks(BATCH_ENTRIES_MAX) {
            self.post(holds, now, posted).await?;
        }
        Ok(())
    }

    async fn post(
        &self,
        holds: &[ExpiredHold],
        now: Timestamp,
        posted: &mut Posted,
    ) -> Result<(), PortError> {
        let (holds, messages): (Vec<&ExpiredHold>, Vec<OutgoingMessage>) =
            holds.iter().filter_map(|hold| Some((hold, expiry(hold, now)?))).unzip();
        let answers = self.queue.send(&messages).await?;
        let mut count = 0;
        for (hold, answer) in holds.into_iter().zip(answers) {
            match answer {
                Ok(_) => {
                    posted.note(hold.reservation_id, step(hold, now));
                    count += 1;
                }
                Err(error) => warn!(%error, "an expiry was not posted, the next tick tries again"),
            }
        }
        self.observer.observe(&Event::ExpiriesPosted(count));
        Ok(())
    }
}

fn shard_number(fraction: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 ≤ fraction < 1")]
    let shard = (fraction * f64::from(EXPIRY_SHARDS)) as u32;
    shard.min(EXPIRY_SHARDS - 1)
}

/// The command that expires a hold: the same identity and content whoever posts it and whenever.
/// The deduplication id changes with the [`step`], so that an expiry which found a slow clock
/// (`NOT_YET_EXPIRED`) can be posted again.
fn expiry(hold: &ExpiredHold, now: Timestamp) -> Option<OutgoingMessage> {
    let id = format!("expire:{}", hold.reservation_id);
    let action = Action::Expire(Expire { reservation_id: hold.reservation_id });
    let group = message::default_group(&hold.pool, &action);
    let deduplication_id = Some(format!("{id}:{}", step(hold, now)));
    let key = CommandKey { source: SOURCE.parse().ok()?, id: id.parse().ok()? };
    let pool = hold.pool.clone();
    let command = OutgoingCommand { key, time: now, pool, action, traceparent: None };
    let body = message::encode_command(&command);
    Some(OutgoingMessage { group, body, deduplication_id, attributes: BTreeMap::new() })
}

/// How often an expiry is due to have been posted: after [`REPOST_AFTER`], then at twice the age
/// each time, then every [`REPOST_AFTER_MAX`]. What waits in a backlog does not make it grow much.
fn step(hold: &ExpiredHold, now: Timestamp) -> u64 {
    let age = Duration::try_from(now.duration_since(hold.expires_at)).unwrap_or(Duration::ZERO);
    let (age, first, most) = (age.as_secs(), REPOST_AFTER.as_secs(), REPOST_AFTER_MAX.as_secs());
    let doublings = |age: u64| (age / first).checked_ilog2().map_or(0, |log| u64::from(log) + 1);
    doublings(age.min(most)) + age.saturating_sub(most) / most
}

/// What was posted lately: at which step, and when.
#[derive(Default)]
struct Posted(BTreeMap<ReservationId, (u64, Instant)>);

impl Posted {
    fn note(&mut self, id: ReservationId, step: u64) {
        self.0.insert(id, (step, Instant::now()));
    }

    fn contains(&self, id: ReservationId, step: u64) -> bool {
        self.0.get(&id).is_some_and(|(posted, _)| *posted >= step)
    }

    fn forget_old(&mut self) {
        self.0.retain(|_, (_, posted_at)| posted_at.elapsed() < REPOST_AFTER_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_posted_ever_more_seldom_and_never_given_up() {
        let hold = ExpiredHold {
            reservation_id: ReservationId(Uuid::nil()),
            pool: "event#1".parse().unwrap(),
            expires_at: Timestamp::UNIX_EPOCH,
        };
        let at = |age: i64| step(&hold, Timestamp::from_second(age).unwrap());
        let posted: Vec<i64> = (1..2_000).filter(|age| at(*age) > at(age - 1)).collect();
        assert_eq!(posted, [10, 20, 40, 80, 160, 600, 900, 1_200, 1_500, 1_800]);
    }
}
