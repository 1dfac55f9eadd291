//! The in-memory ports, on paused time.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use inventory_worker::{
    adapters::memory::{MemoryLocks, TokioClock},
    domain::Timestamp,
    ports::Locks,
};

use crate::{harness::Backend, locks::LocksHarness};

struct Memory {
    clock: Arc<TokioClock>,
}

impl Memory {
    fn new() -> Self {
        let epoch: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        Self { clock: Arc::new(TokioClock::new(epoch)) }
    }
}

#[async_trait]
impl Backend for Memory {
    fn name(&self) -> &'static str {
        "the in-memory ports"
    }

    fn patience(&self) -> Duration {
        Duration::MAX
    }

    async fn pass(&self, time: Duration) {
        tokio::time::advance(time).await;
    }
}

#[async_trait]
impl LocksHarness for Memory {
    async fn locks(&self) -> Arc<dyn Locks> {
        Arc::new(MemoryLocks::new(self.clock.clone()))
    }
}

mod locks {
    locks_contract! {
        #[tokio::test(start_paused = true)]
        on super::Memory::new()
    }
}
