//! Several queues by name.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::MemoryQueue;
use crate::ports::Clock;

/// Queues of one clock, created when they are first requested.
pub struct MemoryBroker {
    clock: Arc<dyn Clock>,
    queues: Mutex<BTreeMap<String, Arc<MemoryQueue>>>,
}

impl MemoryBroker {
    /// A broker without queues.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, queues: Mutex::default() }
    }

    /// The queue of that name; created without a dead-letter queue if it is missing.
    #[must_use]
    pub fn queue(&self, name: &str) -> Arc<MemoryQueue> {
        let make = || Arc::new(MemoryQueue::new(name, Arc::clone(&self.clock)));
        Arc::clone(self.queues().entry(name.to_owned()).or_insert_with(make))
    }

    /// The queue of that name; created, if it is missing, with a redrive to the queue
    /// `dead_letters` for messages received `max_receives` times.
    #[must_use]
    pub fn queue_with_dead_letters(
        &self,
        name: &str,
        dead_letters: &str,
        max_receives: u32,
    ) -> Arc<MemoryQueue> {
        let to = self.queue(dead_letters);
        let make = || {
            let queue = MemoryQueue::new(name, Arc::clone(&self.clock));
            Arc::new(queue.with_dead_letters(to, max_receives))
        };
        Arc::clone(self.queues().entry(name.to_owned()).or_insert_with(make))
    }

    /// Every queue, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<MemoryQueue>> {
        self.queues().values().cloned().collect()
    }

    fn queues(&self) -> MutexGuard<'_, BTreeMap<String, Arc<MemoryQueue>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
