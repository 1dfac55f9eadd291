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

/// An expiry is posted again when its hold is still there after this long.
const REPOST_AFTER: Duration = Duration::from_secs(10);

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
            let swept = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                swept = self.sweep(&mut posted) => swept,
            };
            if let Err(error) = swept {
                warn!(%error, "expiries not swept, the next tick tries again");
            }
        }
    }

    /// Sweeps each shard whose lease it gets, once.
    async fn sweep(&self, posted: &mut Posted) -> Result<(), PortError> {
        let token = self.entropy.uuid();
        let first = shard_number(self.entropy.fraction());
        for offset in 0..EXPIRY_SHARDS {
            let shard = (first + offset) % EXPIRY_SHARDS;
            if self.is_mine(shard, token).await {
                self.sweep_shard(shard, posted).await?;
            }
        }
        Ok(())
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
        let new: Vec<ExpiredHold> =
            found.into_iter().filter(|hold| !posted.contains(hold.reservation_id)).collect();
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
        let (ids, messages): (Vec<ReservationId>, Vec<OutgoingMessage>) =
            holds.iter().filter_map(|hold| Some((hold.reservation_id, expiry(hold, now)?))).unzip();
        let answers = self.queue.send(&messages).await?;
        let mut count = 0;
        for (id, answer) in ids.into_iter().zip(answers) {
            match answer {
                Ok(_) => {
                    posted.note(id);
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
/// The deduplication id changes every [`REPOST_AFTER`], so that an expiry which found a slow clock
/// (`NOT_YET_EXPIRED`) can be posted again.
fn expiry(hold: &ExpiredHold, now: Timestamp) -> Option<OutgoingMessage> {
    let id = format!("expire:{}", hold.reservation_id);
    let window = now.as_second() / i64::try_from(REPOST_AFTER.as_secs()).unwrap_or(i64::MAX);
    let action = Action::Expire(Expire { reservation_id: hold.reservation_id });
    let group = message::default_group(&hold.pool, &action);
    let deduplication_id = Some(format!("{id}:{window}"));
    let key = CommandKey { source: SOURCE.parse().ok()?, id: id.parse().ok()? };
    let pool = hold.pool.clone();
    let command = OutgoingCommand { key, time: now, pool, action, traceparent: None };
    let body = message::encode_command(&command);
    Some(OutgoingMessage { group, body, deduplication_id, attributes: BTreeMap::new() })
}

/// What was posted lately.
#[derive(Default)]
struct Posted(BTreeMap<ReservationId, Instant>);

impl Posted {
    fn note(&mut self, id: ReservationId) {
        self.0.insert(id, Instant::now());
    }

    fn contains(&self, id: ReservationId) -> bool {
        self.0.contains_key(&id)
    }

    fn forget_old(&mut self) {
        self.0.retain(|_, posted_at| posted_at.elapsed() < REPOST_AFTER);
    }
}
