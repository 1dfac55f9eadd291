//! The callers that await results.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::oneshot, time::Instant};

use super::may_answer;
use crate::{
    domain::{CommandKey, Digest},
    message::DecodedResult,
};

/// Waiters by the identity of their commands, one for each.
#[derive(Default)]
pub(super) struct Waiters(Mutex<Registry>);

#[derive(Default)]
struct Registry {
    waiters: BTreeMap<CommandKey, Waiter>,
    registered: u64,
}

struct Waiter {
    /// Distinguishes it from an earlier one under the same key.
    number: u64,
    digest: Option<Digest>,
    wake: oneshot::Sender<(DecodedResult, Instant)>,
}

/// A registration for a result; ends when it is dropped.
pub struct PendingResult<'c> {
    waiters: &'c Waiters,
    key: CommandKey,
    number: u64,
    result: oneshot::Receiver<(DecodedResult, Instant)>,
}

impl Waiters {
    /// `None` if another waiter is registered under this key.
    pub(super) fn register(
        &self,
        key: &CommandKey,
        digest: Option<Digest>,
    ) -> Option<PendingResult<'_>> {
        let mut registry = self.registry();
        if registry.waiters.contains_key(key) {
            return None;
        }
        let (wake, result) = oneshot::channel();
        registry.registered += 1;
        let number = registry.registered;
        registry.waiters.insert(key.clone(), Waiter { number, digest, wake });
        Some(PendingResult { waiters: self, key: key.clone(), number, result })
    }

    /// Wakes the waiter of a result that was received at that time; returns the result if there is
    /// no waiter.
    pub(super) fn deliver(&self, result: DecodedResult, at: Instant) -> Option<DecodedResult> {
        let mut registry = self.registry();
        let key = &result.command.key;
        let waiter = registry.waiters.get(key);
        if !waiter.is_some_and(|waiter| may_answer(&result, waiter.digest)) {
            return Some(result);
        }
        let Some(waiter) = registry.waiters.remove(key) else { return Some(result) };
        waiter.wake.send((result, at)).err().map(|(result, _)| result)
    }

    /// The number of waiters.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.registry().waiters.len()
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PendingResult<'_> {
    /// The result, and when it was received.
    pub(super) async fn result(mut self) -> Option<(DecodedResult, Instant)> {
        (&mut self.result).await.ok()
    }
}

impl Drop for PendingResult<'_> {
    fn drop(&mut self) {
        let mut registry = self.waiters.registry();
        let is_own = registry.waiters.get(&self.key).map(|waiter| waiter.number);
        if is_own == Some(self.number) {
            registry.waiters.remove(&self.key);
        }
    }
}
