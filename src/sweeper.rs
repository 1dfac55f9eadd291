//! Finds expired holds and posts their expiry, as a command like any other.
//!
//! At each tick a pod tries the shards of the expiry index in its own order and sweeps those whose
//! lease for the tick it gets; so any number of pods share the shards. Without locks every pod
//! sweeps everything, which only wastes calls: an expiry has one identity, and the queue drops
//! duplicates.
//!
//! Each shard has two sweeps: at every tick for holds that ended since the last sweep, and once a
//! minute for all that still exist, a few pages per tick. So holds that cannot be expired never
//! delay others, whatever their number.

mod schedule;
mod shard;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use uuid::Uuid;

use schedule::step;
use shard::{NextPage, Scope, Shard};

use crate::{
    domain::{Action, CommandKey, Expire, Timestamp},
    message::{self, OutgoingCommand},
    ports::{
        Clock, Entropy, ExpiredHold, ExpiryIndex, ExpiryQuery, Locks, OutgoingMessage, PortError,
        Queue, queue::BATCH_ENTRIES_MAX, store::EXPIRY_SHARDS,
    },
    worker::{Event, Observer},
};

/// The `source` of the expiries that the sweeper posts.
pub const SOURCE: &str = "/inventory-worker/sweeper";

/// The lock scope of the shards' leases.
const LEASE_SCOPE: &str = "sweeper";

/// A tick ends after this many failures: the store or the queue is unavailable, and each call may
/// take seconds to fail.
const FAILED_SHARDS_MAX: u32 = 3;

/// Holds per page.
const PAGE_HOLDS: usize = 500;

/// The most pages of a shard per tick, by scope: the rest is left for the next tick.
const PAGES_MAX: [(Scope, u32); 2] = [(Scope::Recent, 10), (Scope::All, 2)];

/// The sweeper's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The time between ticks.
    pub interval: Duration,
    /// How far past its end a hold must be, because the clocks of workers differ.
    pub margin: Duration,
}

/// Posts expiries.
pub struct Sweeper {
    /// The holds, ordered by their end.
    pub index: Arc<dyn ExpiryIndex>,
    /// The shards' leases.
    pub locks: Arc<dyn Locks>,
    /// The queue that expiries are posted to.
    pub queue: Arc<dyn Queue>,
    /// The source of the current time.
    pub clock: Arc<dyn Clock>,
    /// The source of the leases' tokens and of the first shard.
    pub entropy: Arc<dyn Entropy>,
    /// Receives the sweeper's events.
    pub observer: Arc<dyn Observer>,
    /// Interval and margin.
    pub settings: Settings,
}

impl Sweeper {
    /// Sweeps until `stop`. A tick that fails is left for the next.
    pub async fn run(&self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.settings.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut shards: Vec<Shard> = (0..EXPIRY_SHARDS).map(Shard::new).collect();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            // A sweep may be dropped anywhere: holds it did not post are found again, and those
            // posted twice make one expiry. So a call that hangs does not extend the grace.
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.sweep(&mut shards) => {}
            }
        }
    }

    /// Sweeps each shard whose lease it gets, once. A failing shard does not delay the others,
    /// unless so many fail that the cause is not the shards.
    async fn sweep(&self, shards: &mut [Shard]) {
        let token = self.entropy.uuid();
        let first = first_shard(self.entropy.fraction(), shards.len());
        let (before, after) = shards.split_at_mut(first);
        let mut failures = 0;
        for shard in after.iter_mut().chain(before) {
            if !self.is_mine(shard.number, token).await {
                continue;
            }
            if let Err(error) = self.sweep_shard(shard).await {
                let shard = shard.number;
                warn!(shard, %error, "expiries not swept, the next tick tries again");
                failures += 1;
                if failures >= FAILED_SHARDS_MAX {
                    break;
                }
            }
        }
        let stuck = shards.iter().map(|shard| shard.stuck).sum();
        self.observer.observe(&Event::HoldsStuck(stuck));
    }

    async fn is_mine(&self, shard: u32, token: Uuid) -> bool {
        let names = [format!("shard-{shard:02}")];
        // Slightly shorter than a tick, so that the lease is free again for the next.
        let ttl = self.settings.interval.mul_f64(0.9);
        match self.locks.acquire(LEASE_SCOPE, &names, token, ttl).await {
            Ok(is_mine) => is_mine,
            Err(error) => {
                debug!(shard, %error, "no leases, sweeping without");
                true
            }
        }
    }

    async fn sweep_shard(&self, shard: &mut Shard) -> Result<(), PortError> {
        for (scope, pages_max) in PAGES_MAX {
            for _ in 0..pages_max {
                let turned = self.sweep_page(shard, scope).await;
                if let Err(error) = &turned {
                    shard.sweep_of(scope).failed(error);
                }
                if !turned? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Reads and posts one page. Returns whether more pages follow.
    async fn sweep_page(&self, shard: &mut Shard, scope: Scope) -> Result<bool, PortError> {
        let number = shard.number;
        let shard_sweep = shard.sweep_of(scope);
        let next = shard_sweep.next_page(self.clock.now(), self.settings.margin);
        let Some(NextPage { ended, from, sweep }) = next else { return Ok(false) };
        let query = ExpiryQuery { shard: number, ended, from, limit: PAGE_HOLDS };
        let page = self.index.expired(&query).await?;
        let mut is_all_posted = true;
        for holds in shard_sweep.due(page.holds).chunks(BATCH_ENTRIES_MAX) {
            is_all_posted &= self.post(holds, sweep.at).await?;
        }
        let Some(seen) = shard_sweep.turn(page.next, is_all_posted) else { return Ok(true) };
        let lag = shard.note(scope, &seen);
        if scope == Scope::Recent {
            self.observer.observe(&Event::SweeperLag(lag));
        }
        Ok(false)
    }

    /// Posts the expiries. Returns whether all were posted.
    async fn post(&self, holds: &[ExpiredHold], now: Timestamp) -> Result<bool, PortError> {
        let messages: Vec<OutgoingMessage> =
            holds.iter().filter_map(|hold| expiry(hold, now)).collect();
        let answers = self.queue.send(&messages).await?;
        let mut posted = 0;
        for answer in &answers {
            match answer {
                Ok(_) => posted += 1,
                Err(error) => warn!(%error, "an expiry was not posted, the next tick tries again"),
            }
        }
        self.observer.observe(&Event::ExpiriesPosted(posted));
        Ok(posted == messages.len())
    }
}

/// The first shard to try, so that pods do not all begin with the same one.
fn first_shard(fraction: f64, shards: usize) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "0 ≤ fraction < 1, and there are few shards"
    )]
    let first = (fraction * shards as f64) as usize;
    first.min(shards.saturating_sub(1))
}

/// The command that expires a hold: the same identity and content whichever sweeper posts it and
/// whenever. A later hold under the same id ends at another time, so its expiry has another
/// identity. The deduplication id changes with the step, so that an expiry which was answered
/// `NOT_YET_EXPIRED` because of a slow clock can be posted again.
fn expiry(hold: &ExpiredHold, now: Timestamp) -> Option<OutgoingMessage> {
    let id = format!("expire:{}:{}", hold.reservation_id, hold.expires_at.as_second());
    let action = Action::Expire(Expire { reservation_id: hold.reservation_id });
    let group = message::default_group(&hold.pool, &action);
    let deduplication_id = Some(format!("{id}:{}", step(hold, now)));
    let key = CommandKey { source: SOURCE.parse().ok()?, id: id.parse().ok()? };
    let pool = hold.pool.clone();
    let command =
        OutgoingCommand { key, time: now, deadline: None, pool, action, traceparent: None };
    let body = message::encode_command(&command);
    Some(OutgoingMessage { group, body, deduplication_id, attributes: BTreeMap::new() })
}
