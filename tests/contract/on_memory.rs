//! The in-memory ports, on paused time.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use inventory_worker::{
    adapters::memory::{
        FilterPolicy, MemoryActivity, MemoryBroker, MemoryHints, MemoryLocks, MemorySnapshots,
        MemoryStore, MemoryTopic, TokioClock,
    },
    domain::{PoolId, Timestamp},
    ports::{ActivityBoard, Locks, Publisher, Queue, SnapshotStore, Store},
};

use crate::{
    activity::ActivityHarness,
    harness::Backend,
    hints::{Hints, HintsHarness},
    locks::LocksHarness,
    publisher::{Filter, PublisherHarness},
    queue::QueueHarness,
    snapshots::SnapshotsHarness,
    store::StoreHarness,
};

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

#[async_trait]
impl HintsHarness for Memory {
    async fn hints(&self) -> Hints {
        let hints = Arc::new(MemoryHints::new(self.clock.clone()));
        let (pool, other) = (PoolId::Event(42), PoolId::Event(43));
        Hints { publisher: hints.clone(), subscriber: hints, pool, other }
    }
}

#[async_trait]
impl ActivityHarness for Memory {
    async fn boards(&self) -> (Arc<dyn ActivityBoard>, Arc<dyn ActivityBoard>) {
        let board = || Arc::new(MemoryActivity::new(self.clock.clone()));
        (board(), board())
    }
}

#[async_trait]
impl SnapshotsHarness for Memory {
    async fn snapshots(&self) -> Arc<dyn SnapshotStore> {
        Arc::new(MemorySnapshots::default())
    }
}

#[async_trait]
impl QueueHarness for Memory {
    async fn queue(&self) -> Arc<dyn Queue> {
        MemoryBroker::new(self.clock.clone()).queue("commands.fifo")
    }

    async fn queue_with_dead_letters(&self, max_receives: u32) -> (Arc<dyn Queue>, Arc<dyn Queue>) {
        let broker = MemoryBroker::new(self.clock.clone());
        let queue =
            broker.queue_with_dead_letters("commands.fifo", "commands-dlq.fifo", max_receives);
        (queue, broker.queue("commands-dlq.fifo"))
    }
}

#[async_trait]
impl PublisherHarness for Memory {
    async fn topic(&self, filters: &[Filter]) -> (Arc<dyn Publisher>, Vec<Arc<dyn Queue>>) {
        let broker = MemoryBroker::new(self.clock.clone());
        let topic = MemoryTopic::new(self.clock.clone());
        let mut queues: Vec<Arc<dyn Queue>> = Vec::new();
        for (number, filter) in filters.iter().enumerate() {
            let queue = broker.queue(&format!("subscriber-{number}.fifo"));
            topic.subscribe(queue.clone(), FilterPolicy(filter.clone()));
            queues.push(queue);
        }
        (Arc::new(topic), queues)
    }
}

#[async_trait]
impl StoreHarness for Memory {
    async fn store(&self) -> Arc<dyn Store> {
        // Small pages, so that cursors are tested.
        Arc::new(MemoryStore::new(self.clock.clone()).with_page_size(7))
    }

    fn set_ahead(&self, by: Duration) {
        self.clock.set_skew(i64::try_from(by.as_millis()).unwrap());
    }
}

store_contracts! {
    #[tokio::test(start_paused = true)]
    on super::Memory::new()
}

mod queue {
    queue_contract! {
        #[tokio::test(start_paused = true)]
        on super::Memory::new()
    }
}

mod publisher {
    publisher_contract! {
        #[tokio::test(start_paused = true)]
        on super::Memory::new()
    }
}

mod locks {
    locks_contract! {
        #[tokio::test(start_paused = true)]
        on super::Memory::new()
    }
}

mod hints {
    hints_contract! {
        #[tokio::test(start_paused = true)]
        on super::Memory::new()
    }
}

mod activity {
    activity_contract! {
        #[tokio::test(start_paused = true)]
        on super::Memory::new()
    }
}

mod snapshots {
    snapshots_contract! {
        #[tokio::test(start_paused = true)]
        on super::Memory::new()
    }
}
