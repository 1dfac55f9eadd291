//! Which pod sweeps which shard. Only cost rests on it: a shard that two pods sweep makes the same
//! expiries, and one that no pod has as its own is swept by every pod's full sweep.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use tokio::time::Instant;
use tracing::debug;
use uuid::Uuid;

use super::schedule::before;
use crate::{
    domain::{Timestamp, time},
    ports::{Clock, Lease, LeaseStore, Locks, PortError, store::EXPIRY_SHARDS},
};

/// The lock scope of the shards' locks.
const SCOPE: &str = "sweeper";

/// The task whose leases share out the shards.
const TASK: &str = "sweeper";

/// The interval between reads of the leases, unless ticks are rarer: so long nobody sweeps the share
/// of a pod that ended.
const READ_EVERY: Duration = Duration::from_secs(5);

/// The most pods that share: a share is one shard at least. The others wait for a place.
const PODS_MAX: usize = EXPIRY_SHARDS as usize;

/// How often a pod tries to take or renew its lease in a row, as others change theirs meanwhile.
const TRIES_MAX: u32 = 3;

/// The times of leases, in proportion to the interval between reads.
#[derive(Clone, Copy)]
struct Times {
    read_every: Duration,
    /// How long a pod keeps its share without a renewal: so long nobody sweeps the share of one
    /// that died, except in full sweeps. The messages that it had received come again no sooner.
    lease: Duration,
    /// A lease with less left than this is renewed.
    renew_below: Duration,
    /// After a change of shares a pod also keeps its former one, until all others have read it.
    handover: Duration,
    /// A lease that ends later than this from now was written by a wrong clock, and does not count.
    ahead_max: Duration,
}

impl Times {
    fn of(tick: Duration) -> Self {
        let read_every = READ_EVERY.max(tick);
        let times = |count| read_every.saturating_mul(count);
        // Between two reads, so that it does not matter how long a read takes.
        let renew_below = times(7) / 2;
        let (lease, handover) = (times(6), times(2));
        Self { read_every, lease, renew_below, handover, ahead_max: times(12) }
    }
}

/// How pods share the shards.
#[derive(Clone)]
pub enum Turns {
    /// By a short lock on a shard for each look.
    Locks(Arc<dyn Locks>),
    /// By leases in the tables, which give each pod a share of the shards.
    Leases(Arc<dyn LeaseStore>),
}

/// One pod's part in it.
pub(super) struct Turn {
    turns: Turns,
    me: Uuid,
    times: Times,
    share: Share,
    read: Option<Instant>,
}

impl Turn {
    pub(super) fn new(turns: Turns, me: Uuid, tick: Duration) -> Self {
        Self { turns, me, times: Times::of(tick), share: Share::default(), read: None }
    }

    /// Renews the pod's lease and reads the others', where both are due.
    pub(super) async fn prepare(&mut self, clock: &dyn Clock) {
        let Turns::Leases(store) = &self.turns else { return };
        if self.read.is_some_and(|at| at.elapsed() < self.times.read_every) {
            return;
        }
        let pods = match renewed(&**store, self.me, clock, self.times).await {
            Ok(pods) => Some(pods),
            Err(error) => {
                debug!(%error, "no leases, sweeping every shard");
                None
            }
        };
        self.read = Some(Instant::now());
        self.share.change(pods);
    }

    /// Whether this pod sweeps the shard now. With locks, it then has the lock for `ttl`, under
    /// `token`.
    pub(super) async fn has(&self, shard: u32, token: Uuid, ttl: Duration) -> bool {
        match &self.turns {
            Turns::Leases(_) => self.share.has(self.me, shard, self.times.handover),
            Turns::Locks(locks) => match locks.acquire(SCOPE, &names(shard), token, ttl).await {
                Ok(is_mine) => is_mine,
                Err(error) => {
                    debug!(shard, %error, "no locks, sweeping without");
                    true
                }
            },
        }
    }

    /// Keeps the shard from other pods for so long. With leases they keep off it anyway.
    pub(super) async fn keep(&self, shard: u32, token: Uuid, ttl: Duration) {
        let Turns::Locks(locks) = &self.turns else { return };
        if let Err(error) = locks.acquire(SCOPE, &names(shard), token, ttl).await {
            debug!(shard, %error, "the shard is not kept from others");
        }
    }

    /// Whether a pod that does not have a shard runs full sweeps of it, rarely.
    pub(super) fn is_watched(&self) -> bool {
        matches!(self.turns, Turns::Leases(_))
    }

    /// Gives the pod's share back.
    pub(super) async fn leave(&self) {
        let Turns::Leases(store) = &self.turns else { return };
        if let Err(error) = left(&**store, self.me).await {
            debug!(%error, "the share of the shards is not given back");
        }
    }
}

fn names(shard: u32) -> [String; 1] {
    [format!("shard-{shard:02}")]
}

/// Takes or renews the pod's lease if that is due. Returns the pods that share, sorted.
async fn renewed(
    store: &dyn LeaseStore,
    me: Uuid,
    clock: &dyn Clock,
    times: Times,
) -> Result<Vec<Uuid>, PortError> {
    let mut pods = Vec::new();
    for _ in 0..TRIES_MAX {
        let leases = store.leases(TASK).await?;
        let now = clock.now();
        let mut held = live(leases.held, now, times);
        let mine = held.iter().position(|lease| lease.holder == me);
        let is_due = match mine.and_then(|index| held.get(index)) {
            Some(lease) => before(lease.until, times.renew_below) < now,
            None => held.len() < PODS_MAX,
        };
        if is_due {
            held.retain(|lease| lease.holder != me);
            held.push(Lease { holder: me, until: after(now, times.lease) });
        }
        pods = held.iter().map(|lease| lease.holder).collect();
        pods.sort_unstable();
        if !is_due || store.replace_leases(TASK, leases.version, &held).await? {
            return Ok(pods);
        }
    }
    // Somebody else's leases were written each time: this pod's next read shows whose.
    Ok(pods)
}

async fn left(store: &dyn LeaseStore, me: Uuid) -> Result<(), PortError> {
    for _ in 0..TRIES_MAX {
        let leases = store.leases(TASK).await?;
        let mut held = leases.held;
        held.retain(|lease| lease.holder != me);
        if store.replace_leases(TASK, leases.version, &held).await? {
            return Ok(());
        }
    }
    Ok(())
}

fn live(mut held: Vec<Lease>, now: Timestamp, times: Times) -> Vec<Lease> {
    held.retain(|lease| {
        let has_ended = lease.until <= now && !crate::injected_bug!(LeaseForever);
        !has_ended && lease.until <= after(now, times.ahead_max)
    });
    held
}

fn after(at: Timestamp, by: Duration) -> Timestamp {
    time::saturating_add(at, SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX))
}

/// The pods that share the shards, as last read, and before the last change.
#[derive(Default)]
struct Share {
    /// Sorted. `None`: not known, and every shard is this pod's.
    pods: Option<Vec<Uuid>>,
    former: Option<(Vec<Uuid>, Instant)>,
}

impl Share {
    fn change(&mut self, pods: Option<Vec<Uuid>>) {
        if self.pods == pods {
            return;
        }
        let former = std::mem::replace(&mut self.pods, pods);
        self.former = former.map(|pods| (pods, Instant::now()));
    }

    fn has(&self, me: Uuid, shard: u32, handover: Duration) -> bool {
        let Some(pods) = &self.pods else { return true };
        let former = self.former.as_ref().filter(|(_, since)| since.elapsed() < handover);
        is_of(pods, me, shard) || former.is_some_and(|(pods, _)| is_of(pods, me, shard))
    }
}

fn is_of(pods: &[Uuid], me: Uuid, shard: u32) -> bool {
    let place = (shard as usize).checked_rem(pods.len());
    place.and_then(|place| pods.get(place)) == Some(&me)
}

#[cfg(test)]
mod tests;
