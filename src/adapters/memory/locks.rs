//! Locks in memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use uuid::Uuid;

use super::after;
use crate::{
    domain::Timestamp,
    ports::{Clock, Locks, PortError},
};

/// Expired names are removed after at least this many acquires.
const SWEEP_EVERY_MIN: usize = 1_024;

/// Short leases on names, all or nothing, by the given clock.
pub struct MemoryLocks {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    scopes: BTreeMap<String, BTreeMap<String, Lease>>,
    acquires_since_sweep: usize,
}

#[derive(Clone, Copy)]
struct Lease {
    token: Uuid,
    until: Timestamp,
}

impl MemoryLocks {
    /// Locks of which none is held.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// The leases held now: scope, name and token.
    #[must_use]
    pub fn held(&self) -> Vec<(String, String, Uuid)> {
        let now = self.clock.now();
        let state = self.state();
        let mut held = Vec::new();
        for (scope, names) in &state.scopes {
            for (name, lease) in names.iter().filter(|(_, lease)| lease.until > now) {
                held.push((scope.clone(), name.clone(), lease.token));
            }
        }
        held
    }

    /// Forgets every lease, as a Redis without persistence does when it restarts.
    pub fn forget_all(&self) {
        self.state().scopes.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Removes leases that expired without release; amortised over the acquires in between.
    fn sweep_sometimes(&mut self, now: Timestamp) {
        self.acquires_since_sweep = self.acquires_since_sweep.saturating_add(1);
        let size: usize = self.scopes.len();
        if self.acquires_since_sweep < SWEEP_EVERY_MIN.max(size) {
            return;
        }
        self.acquires_since_sweep = 0;
        self.scopes.retain(|_, names| {
            names.retain(|_, lease| lease.until > now);
            !names.is_empty()
        });
    }
}

#[async_trait]
impl Locks for MemoryLocks {
    async fn acquire(
        &self,
        scope: &str,
        names: &[String],
        token: Uuid,
        ttl: Duration,
    ) -> Result<bool, PortError> {
        let now = self.clock.now();
        let until = after(now, ttl);
        let mut state = self.state();
        state.sweep_sometimes(now);
        if !state.scopes.contains_key(scope) {
            state.scopes.insert(scope.to_owned(), BTreeMap::new());
        }
        let Some(held) = state.scopes.get_mut(scope) else { return Ok(false) };
        let is_taken = |lease: &Lease| lease.token != token && lease.until > now;
        if names.iter().any(|name| held.get(name).is_some_and(is_taken)) {
            return Ok(false);
        }
        for name in names {
            held.insert(name.clone(), Lease { token, until });
        }
        Ok(true)
    }

    async fn release(&self, scope: &str, names: &[String], token: Uuid) -> Result<(), PortError> {
        let mut state = self.state();
        let Some(held) = state.scopes.get_mut(scope) else { return Ok(()) };
        for name in names {
            if held.get(name).is_some_and(|lease| lease.token == token) {
                held.remove(name);
            }
        }
        if held.is_empty() {
            state.scopes.remove(scope);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::memory::TokioClock;

    #[tokio::test(start_paused = true)]
    async fn what_ran_out_is_swept_up_in_time() {
        let clock = Arc::new(TokioClock::new(Timestamp::UNIX_EPOCH));
        let locks = MemoryLocks::new(clock);
        for number in 0..SWEEP_EVERY_MIN * 3 {
            let name = [number.to_string()];
            let ttl = Duration::from_secs(1);
            assert!(locks.acquire(&name[0], &name, Uuid::nil(), ttl).await.unwrap());
            tokio::time::advance(Duration::from_secs(2)).await;
        }
        assert!(locks.state().scopes.len() <= SWEEP_EVERY_MIN);
    }
}
