//! The pools whose outcomes are awaited.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::domain::PoolId;

/// A pool without a new command for so long is not awaited any more.
const AWAITED_FOR: Duration = Duration::from_secs(60);

/// The most pools. The outcomes of commands on others are found by polling.
const POOLS_MAX: usize = 256;

/// When a command on each pool was last posted.
#[derive(Default)]
pub(super) struct AwaitedPools(Mutex<BTreeMap<PoolId, Instant>>);

impl AwaitedPools {
    pub(super) fn note(&self, pool: &PoolId) {
        let now = Instant::now();
        let mut pools = self.lock();
        if let Some(at) = pools.get_mut(pool) {
            *at = now;
            return;
        }
        if pools.len() >= POOLS_MAX {
            forget_old(&mut pools, now);
        }
        if pools.len() < POOLS_MAX {
            pools.insert(pool.clone(), now);
        }
    }

    pub(super) fn pools(&self) -> Vec<PoolId> {
        let mut pools = self.lock();
        forget_old(&mut pools, Instant::now());
        pools.keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PoolId, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget_old(pools: &mut BTreeMap<PoolId, Instant>, now: Instant) {
    pools.retain(|_, at| now.duration_since(*at) <= AWAITED_FOR);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pools_are_awaited_for_a_minute_and_bounded() {
        let awaited = AwaitedPools::default();
        for event in 0..1_000 {
            awaited.note(&PoolId::Event(event));
        }
        assert_eq!(awaited.pools().len(), POOLS_MAX);
        tokio::time::advance(AWAITED_FOR / 2).await;
        awaited.note(&PoolId::Event(0));
        tokio::time::advance(AWAITED_FOR / 2 + Duration::from_secs(1)).await;
        awaited.note(&PoolId::Event(999));
        assert_eq!(awaited.pools(), [PoolId::Event(0), PoolId::Event(999)]);
    }
}
