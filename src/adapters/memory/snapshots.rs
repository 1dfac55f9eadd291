//! Shared snapshots in memory.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

use crate::{
    domain::PoolId,
    ports::{
        PortError, SnapshotStore,
        snapshots::{CLAIM_LIFETIME, SNAPSHOT_BYTES_MAX, SNAPSHOT_LIFETIME, StoredSnapshot},
    },
};

/// The snapshots of a process.
#[derive(Default)]
pub struct MemorySnapshots {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By pool: the end of its lifetime, and its bytes.
    snapshots: BTreeMap<PoolId, (Instant, Vec<u8>)>,
    /// By pool: when the claim ends.
    claims: BTreeMap<PoolId, Instant>,
    failure: Option<PortError>,
}

impl MemorySnapshots {
    /// From now on every call fails, until it is called with `None`.
    pub fn fail(&self, failure: Option<PortError>) {
        self.state().failure = failure;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn working(&self, now: Instant) -> Result<MutexGuard<'_, State>, PortError> {
        let mut state = self.state();
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        state.snapshots.retain(|_, (until, _)| *until > now);
        state.claims.retain(|_, until| *until > now);
        Ok(state)
    }
}

#[async_trait]
impl SnapshotStore for MemorySnapshots {
    async fn get(&self, pool: &PoolId) -> Result<Option<StoredSnapshot>, PortError> {
        let now = Instant::now();
        let state = self.working(now)?;
        Ok(state.snapshots.get(pool).map(|(until, bytes)| StoredSnapshot {
            bytes: bytes.clone(),
            age: SNAPSHOT_LIFETIME.saturating_sub(until.duration_since(now)),
        }))
    }

    async fn claim(&self, pool: &PoolId) -> Result<bool, PortError> {
        let now = Instant::now();
        let mut state = self.working(now)?;
        let is_free = !state.claims.contains_key(pool);
        if is_free {
            state.claims.insert(pool.clone(), now + CLAIM_LIFETIME);
        }
        Ok(is_free)
    }

    async fn release(&self, pool: &PoolId) -> Result<(), PortError> {
        self.working(Instant::now())?.claims.remove(pool);
        Ok(())
    }

    async fn put(&self, pool: &PoolId, bytes: &[u8], age: Duration) -> Result<(), PortError> {
        let now = Instant::now();
        let mut state = self.working(now)?;
        let until = now + SNAPSHOT_LIFETIME.saturating_sub(age);
        let is_newer = state.snapshots.get(pool).is_none_or(|(of_other, _)| *of_other < until);
        if until > now && is_newer && bytes.len() <= SNAPSHOT_BYTES_MAX {
            state.snapshots.insert(pool.clone(), (until, bytes.to_vec()));
        }
        state.claims.remove(pool);
        Ok(())
    }
}
