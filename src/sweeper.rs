//! Finds expired holds and posts their expiry, as a command like any other.
//!
//! At each tick a pod sweeps the shards of the expiry index that are due and its own: those whose
//! lock it gets, or those of its share by leases in the tables (`turns`). Where it cannot know, it
//! sweeps everything, which only wastes calls: an expiry has one identity, and the queue drops
//! duplicates.
//!
//! Each shard has two sweeps: for holds that ended since the last sweep, and once a minute for all
//! that still exist, a few pages per tick. So holds that cannot be expired never delay others,
//! whatever their number.
//!
//! A shard in which holds have ended is due at every tick. One in which none have is read a little
//! ahead, and is due when its next hold ends, or after [`Settings::idle`], as a hold may have been
//! made meanwhile that ends sooner.

mod schedule;
mod shard;
mod turns;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

use schedule::step;
use shard::{ALL_EVERY, ALL_OF_OTHERS_EVERY, NextPage, Scope, Shard};
use turns::Turn;
pub use turns::Turns;

use crate::{
    domain::{Action, CommandKey, Expire, Timestamp},
    message::{self, OutgoingCommand},
    ports::{
        Clock, Entropy, ExpiredHold, ExpiryIndex, ExpiryQuery, OutgoingMessage, PortError, Queue,
        queue::BATCH_ENTRIES_MAX, store::EXPIRY_SHARDS,
    },
    worker::{Event, Observer},
};

/// The `source` of the expiries that the sweeper posts.
pub const SOURCE: &str = "/inventory-worker/sweeper";

/// A tick ends after this many failures: the store or the queue is unavailable, and each call may
/// take seconds to fail.
const FAILED_SHARDS_MAX: u32 = 3;

/// Holds per page.
const PAGE_HOLDS: usize = 500;

/// The most pages of a full sweep per tick: the rest is left for the next tick.
const FULL: (Scope, u32) = (Scope::All, 2);

/// The most pages of a shard per tick, by scope.
const PAGES_MAX: [(Scope, u32); 2] = [(Scope::Recent, 10), FULL];

/// How long giving back the share may take at the end.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// The sweeper's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The time between ticks.
    pub interval: Duration,
    /// How far past its end a hold must be, because the clocks of workers differ.
    pub margin: Duration,
    /// The longest time between looks at a shard in which nothing was due. A hold shorter than
    /// this, less the margin, may be found that much later; any other is found as at every tick.
    pub idle: Duration,
}

/// Posts expiries.
pub struct Sweeper {
    /// The holds, ordered by their end.
    pub index: Arc<dyn ExpiryIndex>,
    /// How pods share the shards.
    pub turns: Turns,
    /// The queue that expiries are posted to.
    pub queue: Arc<dyn Queue>,
    /// The source of the current time.
    pub clock: Arc<dyn Clock>,
    /// The source of the pod's id, of the locks' tokens and of the first shard.
    pub entropy: Arc<dyn Entropy>,
    /// Receives the sweeper's events.
    pub observer: Arc<dyn Observer>,
    /// Interval, margin and rest.
    pub settings: Settings,
}

impl Sweeper {
    /// Sweeps until `stop`. A tick that fails is left for the next.
    pub async fn run(&self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.settings.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut shards: Vec<Shard> = (0..EXPIRY_SHARDS).map(Shard::new).collect();
        let turns = self.turns.clone();
        let mut turn = Turn::new(turns, self.entropy.uuid(), self.settings.interval);
        loop {
            let tick = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                tick = ticks.tick() => tick,
            };
            // A sweep may be dropped anywhere: holds it did not post are found again, and those
            // posted twice make one expiry. So a call that hangs does not extend the grace.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.sweep(&mut shards, &mut turn, tick) => {}
            }
        }
        // Otherwise the share is free when its lease ends.
        let _ = tokio::time::timeout(LEAVE_MAX, turn.leave()).await;
    }

    /// Sweeps each shard that is due and this pod's, once. A failing shard does not delay the
    /// others, unless so many fail that the cause is not the shards.
    async fn sweep(&self, shards: &mut [Shard], turn: &mut Turn, tick: Instant) {
        turn.prepare(&*self.clock).await;
        let token = self.entropy.uuid();
        let first = first_shard(self.entropy.fraction(), shards.len());
        let (before, after) = shards.split_at_mut(first);
        let mut failures = 0;
        for shard in after.iter_mut().chain(before).filter(|shard| shard.is_due(tick)) {
            if let Err(error) = self.take_turn(shard, turn, (tick, token)).await {
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

    /// Sweeps the shard if it is this pod's, and sets when it is due again.
    async fn take_turn(
        &self,
        shard: &mut Shard,
        turn: &Turn,
        (tick, token): (Instant, Uuid),
    ) -> Result<(), PortError> {
        // Slightly shorter than the time until the next look, so that the lock is free again then.
        let short_of = |time: Duration| time.mul_f64(0.9);
        if turn.has(shard.number, token, short_of(self.settings.interval)).await {
            shard.full_every = ALL_EVERY;
            self.sweep_shard(shard, &PAGES_MAX).await?;
            let rest = shard.rest(tick, &self.settings);
            if rest > self.settings.interval {
                turn.keep(shard.number, token, short_of(rest)).await;
            }
        } else if turn.is_watched() {
            shard.full_every = ALL_OF_OTHERS_EVERY;
            self.sweep_shard(shard, &[FULL]).await?;
        }
        Ok(())
    }

    async fn sweep_shard(
        &self,
        shard: &mut Shard,
        scopes: &[(Scope, u32)],
    ) -> Result<(), PortError> {
        for (scope, pages_max) in scopes {
            for _ in 0..*pages_max {
                let turned = self.sweep_page(shard, *scope).await;
                if let Err(error) = &turned {
                    shard.failed(*scope, error);
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
        let next = shard.next_page(scope, self.clock.now(), &self.settings);
        let Some(NextPage { ended, from, sweep }) = next else { return Ok(false) };
        let query = ExpiryQuery { shard: number, ended, from, limit: PAGE_HOLDS };
        let page = self.index.expired(&query).await?;
        let shard_sweep = shard.sweep_of(scope);
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
