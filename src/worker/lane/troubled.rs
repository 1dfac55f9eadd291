//! Pools that failed a moment ago get a limited share of the worker's room.
//!
//! A partition that hangs keeps a message until its calls time out. If all messages for its pool
//! were tried at once, they would fill the room and every other pool would wait.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::{domain::PoolId, ports::queue::BATCH_ENTRIES_MAX, worker::settings::Settings};

/// All such pools together get one in this many of the messages in flight, as lanes of ten.
const SHARE: usize = 8;

/// How long a failure counts.
const LASTS: Duration = Duration::from_secs(10);

/// The most pools that are remembered. If more fail, the cause is not the pools.
const POOLS_MAX: usize = 1_024;

/// The pools that failed recently, and the slots for lanes that may try them.
#[derive(Clone)]
pub(in crate::worker) struct TroubledPools {
    failed: Arc<Mutex<BTreeMap<PoolId, Instant>>>,
    places: Arc<Semaphore>,
}

/// Whether a lane may try its pool.
pub(super) enum Admission {
    /// No recent failure of its pool is known.
    Free,
    /// Its pool failed, and the lane has a slot to try it.
    Trying(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit),
    /// Its pool failed, and all slots are taken.
    Full,
}

impl TroubledPools {
    pub(in crate::worker) fn new(settings: &Settings) -> Self {
        let lanes = (settings.messages_in_flight_max / SHARE / BATCH_ENTRIES_MAX).max(1);
        Self { failed: Arc::default(), places: Arc::new(Semaphore::new(lanes)) }
    }

    pub(super) fn enter(&self, pool: &PoolId) -> Admission {
        let is_recent = |at: &Instant| at.elapsed() < LASTS;
        if !self.failed().get(pool).is_some_and(is_recent) {
            return Admission::Free;
        }
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => Admission::Trying(place),
            Err(_) => Admission::Full,
        }
    }

    pub(super) fn failed_now(&self, pool: &PoolId) {
        let mut failed = self.failed();
        if failed.len() >= POOLS_MAX {
            failed.retain(|_, at| at.elapsed() < LASTS);
        }
        if failed.len() < POOLS_MAX {
            failed.insert(pool.clone(), Instant::now());
        }
    }

    pub(super) fn works(&self, pool: &PoolId) {
        let mut failed = self.failed();
        if !failed.is_empty() {
            failed.remove(pool);
        }
    }

    fn failed(&self) -> MutexGuard<'_, BTreeMap<PoolId, Instant>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools(messages: usize) -> TroubledPools {
        TroubledPools::new(&Settings { messages_in_flight_max: messages, ..Settings::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn a_pool_that_failed_is_tried_by_an_eighth_of_the_room_until_it_works_or_time_passes() {
        let pools = pools(160);
        let (troubled, other) = (PoolId::Event(1), PoolId::Event(2));
        pools.failed_now(&troubled);
        let held: Vec<Admission> = (0..2).map(|_| pools.enter(&troubled)).collect();
        assert!(held.iter().all(|entry| matches!(entry, Admission::Trying(_))));
        assert!(matches!(pools.enter(&troubled), Admission::Full));
        assert!(matches!(pools.enter(&other), Admission::Free));
        pools.works(&troubled);
        assert!(matches!(pools.enter(&troubled), Admission::Free));
        pools.failed_now(&troubled);
        tokio::time::advance(LASTS).await;
        assert!(matches!(pools.enter(&troubled), Admission::Free));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_pools_are_remembered_than_there_is_room_for() {
        let pools = pools(160);
        for event in 0..3_000 {
            pools.failed_now(&PoolId::Event(event));
        }
        assert_eq!(pools.failed().len(), POOLS_MAX);
        tokio::time::advance(LASTS).await;
        pools.failed_now(&PoolId::Event(0));
        assert_eq!(pools.failed().len(), 1);
    }
}
