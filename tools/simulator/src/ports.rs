//! The ports as a simulated worker sees them: every call can fail.

pub(super) mod gateway;
pub(super) mod hints;
#[cfg(feature = "injected-bugs")]
mod injected;
mod locks;
mod queue;
mod store;
mod topic;

use std::sync::Arc;

use super::{
    injector::Injector,
    topology::{Place, QUEUES},
};
use inventory_worker::{
    adapters::memory::MemoryQueue,
    ports::{Locks, Publisher, Queue, Store},
    worker::QueuePair,
};

#[cfg(feature = "injected-bugs")]
pub(super) use injected::commit;

/// The ports of one incarnation of a worker.
pub(super) struct Ports {
    pub(super) store: Arc<dyn Store>,
    pub(super) topic: Arc<dyn Publisher>,
    pub(super) locks: Arc<dyn Locks>,
    pub(super) queues: Vec<QueuePair>,
}

impl Ports {
    pub(super) fn new(injector: &Arc<Injector>) -> Self {
        let faulty = |inner: &Arc<MemoryQueue>, place| -> Arc<dyn Queue> {
            Arc::new(queue::FaultyQueue::new(Arc::clone(injector), Arc::clone(inner), place))
        };
        let world = &injector.world;
        let queues = QUEUES.iter().zip(&world.queues).zip(&world.dead_letters).enumerate();
        let ports = Self {
            store: Arc::new(store::FaultyStore(Arc::clone(injector))),
            topic: Arc::new(topic::FaultyTopic(Arc::clone(injector))),
            locks: Arc::new(locks::FaultyLocks(Arc::clone(injector))),
            queues: queues
                .map(|(index, (((_, kind), queue), dead_letters))| QueuePair {
                    queue: faulty(queue, Place::Commands(index)),
                    dead_letters: faulty(dead_letters, Place::DeadLetters(index)),
                    kind: *kind,
                })
                .collect(),
        };
        ports.with_injected_bug(injector)
    }

    #[cfg(not(feature = "injected-bugs"))]
    fn with_injected_bug(self, _: &Arc<Injector>) -> Self {
        self
    }
}

/// A commit to the store that the workers share.
#[cfg(not(feature = "injected-bugs"))]
pub(super) async fn commit(
    store: &inventory_worker::adapters::memory::MemoryStore,
    transaction: &inventory_worker::ports::Transaction,
    token: uuid::Uuid,
) -> Result<inventory_worker::ports::Consumed, inventory_worker::ports::CommitError> {
    use inventory_worker::ports::CommitStore as _;

    store.commit(transaction, token).await
}
