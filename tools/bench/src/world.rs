//! In-memory ports under a latency model, and workers on them.

use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use tokio::{task::JoinSet, time::Instant};

use super::{load, tally::Tally};
use inventory_worker::{
    adapters::{
        instrumented::{
            CallCounts, Instrumentation, InstrumentedLocks, InstrumentedPublisher,
            InstrumentedQueue, InstrumentedStore, LatencyModel,
        },
        memory::{MemoryLocks, MemoryQueue, MemoryStore, MemoryTopic, TokioClock},
        system::Random,
    },
    domain::{GroupId, Timestamp},
    naming::{COMMANDS_QUEUE, dead_letter_queue_name},
    ports::{Clock, Locks, Publisher, Queue, Store},
    worker::{self, Announcer, QueueKind, QueuePair, Settings, Shutdown, WorkerContext},
};

/// The start time of every run.
const EPOCH_SECONDS: i64 = 1_795_341_600;

/// A run that takes longer than this of its own time has failed.
const PATIENCE: Duration = Duration::from_secs(86_400);

/// Queue, tables, topic and locks; every call is counted and delayed by the model.
pub(super) struct World {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) queue: Arc<MemoryQueue>,
    pub(super) store: Arc<MemoryStore>,
    pub(super) counts: Arc<CallCounts>,
    pub(super) tally: Arc<Tally>,
    pub(super) ports: Ports,
}

/// The worker's ports.
#[derive(Clone)]
pub(super) struct Ports {
    pub(super) queue: Arc<dyn Queue>,
    pub(super) dead_letters: Arc<dyn Queue>,
    pub(super) store: Arc<dyn Store>,
    pub(super) locks: Arc<dyn Locks>,
    pub(super) publisher: Arc<dyn Publisher>,
}

impl World {
    /// Call inside the runtime whose clock it must follow.
    pub(super) fn new(model: LatencyModel) -> Self {
        let epoch = Timestamp::from_second(EPOCH_SECONDS).unwrap_or_default();
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::new(epoch));
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock)));
        let queue = Arc::new(MemoryQueue::new(COMMANDS_QUEUE, Arc::clone(&clock)));
        let dead_letters =
            Arc::new(MemoryQueue::new(dead_letter_queue_name(COMMANDS_QUEUE), Arc::clone(&clock)));
        let topic = Arc::new(MemoryTopic::new(Arc::clone(&clock)).with_record_of(0));
        let locks = Arc::new(MemoryLocks::new(Arc::clone(&clock)));
        let counts = Arc::new(CallCounts::default());
        let entropy = Arc::new(Random::seeded(0));
        let observer = Instrumentation::delaying(Arc::clone(&counts), model, entropy);
        let ports = Ports {
            queue: Arc::new(InstrumentedQueue::new(queue.clone(), Arc::clone(&observer))),
            dead_letters: Arc::new(InstrumentedQueue::new(dead_letters, Arc::clone(&observer))),
            store: Arc::new(InstrumentedStore::new(store.clone(), Arc::clone(&observer))),
            locks: Arc::new(InstrumentedLocks::new(locks, Arc::clone(&observer))),
            publisher: Arc::new(InstrumentedPublisher::new(topic, observer)),
        };
        Self { clock, queue, store, counts, tally: Arc::default(), ports }
    }

    /// Adds `count` reserves of one seat each, spread over the groups in turn, with their seats.
    pub(super) fn with_reserves(self, count: usize, groups: usize) -> anyhow::Result<Self> {
        let now = self.clock.now();
        self.store.insert(load::seats(count, now)?);
        let groups = group_ids(groups)?;
        for (number, group) in (0..count).zip(groups.iter().cycle()) {
            self.queue.push(&load::reserve_message(number, group, now)?)?;
        }
        Ok(self)
    }

    /// A worker's context; its random seed differs from other workers'.
    pub(super) fn context(&self, settings: Settings, seed: u64) -> Arc<WorkerContext> {
        self.announcing(settings, seed, Announcer::off())
    }

    /// The same for a worker that announces what it commits.
    pub(super) fn announcing(
        &self,
        settings: Settings,
        seed: u64,
        announcer: Announcer,
    ) -> Arc<WorkerContext> {
        Arc::new(WorkerContext {
            store: Arc::clone(&self.ports.store),
            locks: Arc::clone(&self.ports.locks),
            publisher: Arc::clone(&self.ports.publisher),
            announcer,
            clock: Arc::clone(&self.clock),
            entropy: Arc::new(Random::seeded(seed)),
            observer: self.tally.clone(),
            settings,
            shutdown: Shutdown::default(),
        })
    }

    /// The queue to consume.
    pub(super) fn source(&self) -> QueuePair {
        QueuePair {
            queue: Arc::clone(&self.ports.queue),
            dead_letters: Arc::clone(&self.ports.dead_letters),
            kind: QueueKind::Commands,
        }
    }

    /// Works until the queue is empty, and returns the time it took. No command may be rejected.
    pub(super) async fn drain(&self, settings: Settings) -> anyhow::Result<Duration> {
        let took = self.drain_whatever(settings, 1).await?;
        self.see_that_all_went_well()?;
        Ok(took)
    }

    /// Like [`Self::drain`], whatever the commands' outcomes. The seed drives the worker's
    /// randomness, including its tokens: runs on one store need different ones.
    pub(super) async fn drain_whatever(
        &self,
        settings: Settings,
        seed: u64,
    ) -> anyhow::Result<Duration> {
        let mut working = JoinSet::new();
        let begun = Instant::now();
        working.spawn(worker::run(self.context(settings, seed), vec![self.source()]));
        self.until_empty().await?;
        let took = begun.elapsed();
        working.shutdown().await;
        Ok(took)
    }

    /// Waits until every message is deleted; checks every millisecond.
    pub(super) async fn until_empty(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.queue.depth() > 0 {
            ensure!(begun.elapsed() < PATIENCE, "a queue that never ran empty");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Fails if a command was rejected: rejected commands cost less than those the rows measure.
    pub(super) fn see_that_all_went_well(&self) -> anyhow::Result<()> {
        let rejected = self.tally.rejected();
        ensure!(rejected == 0, "{rejected} commands were rejected: nothing was measured");
        Ok(())
    }
}

/// `count` groups of one event.
pub(super) fn group_ids(count: usize) -> anyhow::Result<Vec<GroupId>> {
    (0..count).map(|number| Ok(format!("event-{}/{number}", load::EVENT).parse()?)).collect()
}
