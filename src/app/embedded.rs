//! Everything in this process: queues, topic and locks in memory, DynamoDB over loopback.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;

use super::{Backends, gateway::GatewayBackends};
use crate::{
    adapters::{
        dynamodb::{ClientOptions, DynamoStore, TableNames, TableOptions, ensure_tables},
        embedded::EmbeddedDynamo,
        instrumented::{
            CallCounts, Instrumentation, InstrumentedLocks, InstrumentedPublisher,
            InstrumentedQueue, InstrumentedStore,
        },
        memory::{
            FilterPolicy, MemoryActivity, MemoryBroker, MemoryHints, MemoryLocks, MemoryQueue,
            MemoryTopic,
        },
        sqs::bootstrap::MAX_RECEIVE_COUNT,
        system::{Random, SystemClock},
    },
    domain::Action,
    naming::{COMMANDS_QUEUE, EXPIRIES_QUEUE, RESTOCK_QUEUE, dead_letter_queue_name},
    ports::{Clock, Entropy, Locks, Publisher, Queue, Store},
    worker::{QueueKind, QueuePair},
};

/// The file in the data folder that holds the tables.
const DATA_FILE: &str = "inventory.sqlite";

/// Backends that exist only in this process; the tables may outlive it.
pub struct Embedded {
    /// The ports, for a worker and a sweeper. Their calls are counted.
    pub backends: Backends,
    /// The counted calls.
    pub calls: Arc<CallCounts>,
    /// The tables for observers, without counting calls.
    pub store: Arc<dyn Store>,
    /// The worker's totals.
    pub activity: Arc<MemoryActivity>,
    /// Where results are published.
    pub topic: Arc<MemoryTopic>,
    /// What workers announce to the gateway.
    pub hints: Arc<MemoryHints>,
    commands: Arc<MemoryQueue>,
    expiries: Arc<MemoryQueue>,
    restock: Arc<MemoryQueue>,
    broker: MemoryBroker,
    dynamo: EmbeddedDynamo,
}

impl Embedded {
    /// Starts the backends. Keeps the tables in memory, or in a file of the folder, which is
    /// created if it is missing.
    ///
    /// # Errors
    ///
    /// The folder cannot be used, or there is no free port on 127.0.0.1.
    pub async fn start(data: Option<&Path>) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(Random::new());
        let dynamo = start_dynamo(data).await?;
        let store = open_store(&dynamo, &entropy, &clock).await?;
        let broker = MemoryBroker::new(Arc::clone(&clock));
        let queue = |name: &str| {
            let dead_letters = dead_letter_queue_name(name);
            broker.queue_with_dead_letters(name, &dead_letters, MAX_RECEIVE_COUNT)
        };
        let (commands, expiries, restock) =
            (queue(COMMANDS_QUEUE), queue(EXPIRIES_QUEUE), queue(RESTOCK_QUEUE));
        let topic = Arc::new(MemoryTopic::new(Arc::clone(&clock)).with_record_of(0));

        let calls = Arc::new(CallCounts::default());
        let counting = Instrumentation::counting(Arc::clone(&calls));
        let observed = |queue: Arc<MemoryQueue>| -> Arc<dyn Queue> {
            Arc::new(InstrumentedQueue::new(queue, Arc::clone(&counting)))
        };
        let source = |queue: &Arc<MemoryQueue>, kind| {
            let dead_letters = broker.queue(&dead_letter_queue_name(queue.name()));
            let queue = observed(Arc::clone(queue));
            QueuePair { queue, dead_letters: observed(dead_letters), kind }
        };
        let sources = vec![
            source(&commands, QueueKind::Commands),
            source(&expiries, QueueKind::Expiries),
            source(&restock, QueueKind::Commands),
        ];
        let hints = Arc::new(MemoryHints::new(Arc::clone(&clock)));
        let locks: Arc<dyn Locks> = Arc::new(MemoryLocks::new(Arc::clone(&clock)));
        let activity = Arc::new(MemoryActivity::new(Arc::clone(&clock)));
        let publisher: Arc<dyn Publisher> = topic.clone();
        let backends = Backends {
            store: Arc::new(InstrumentedStore::new(Arc::clone(&store), Arc::clone(&counting))),
            locks: Arc::new(InstrumentedLocks::new(locks, Arc::clone(&counting))),
            activity: Some(activity.clone()),
            publisher: Arc::new(InstrumentedPublisher::new(publisher, Arc::clone(&counting))),
            hints: Some(hints.clone()),
            expiries: sources.get(1).map(|source| Arc::clone(&source.queue)),
            sources,
            clock,
            entropy,
        };
        Ok(Self {
            backends,
            calls,
            store,
            activity,
            topic,
            hints,
            commands,
            expiries,
            restock,
            broker,
            dynamo,
        })
    }

    /// The queue a producer sends such a command to.
    #[must_use]
    pub fn queue_for(&self, action: &Action) -> &Arc<MemoryQueue> {
        match action {
            Action::Restock(_) => &self.restock,
            _ => &self.commands,
        }
    }

    /// The queue of reserves, confirms and cancels.
    #[must_use]
    pub fn commands(&self) -> &Arc<MemoryQueue> {
        &self.commands
    }

    /// The queue of restocks.
    #[must_use]
    pub fn restocks(&self) -> &Arc<MemoryQueue> {
        &self.restock
    }

    /// What a gateway needs of these backends. Its calls are not counted.
    #[must_use]
    pub fn gateway_backends(&self) -> GatewayBackends {
        GatewayBackends {
            commands: self.commands.clone(),
            restocks: self.restock.clone(),
            store: self.store.clone(),
            holds: self.store.clone(),
            activity: self.backends.activity.clone(),
            hints: Some(self.hints.clone()),
            // The only gateway there is.
            snapshots: None,
            clock: Arc::clone(&self.backends.clock),
            entropy: Arc::clone(&self.backends.entropy),
        }
    }

    /// Whether no command is waiting or in flight.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        [&self.commands, &self.expiries, &self.restock].iter().all(|queue| queue.depth() == 0)
    }

    /// The number of messages in the dead-letter queues.
    #[must_use]
    pub fn dead_letters(&self) -> usize {
        let of = |name| self.broker.queue(&dead_letter_queue_name(name)).depth();
        of(COMMANDS_QUEUE) + of(EXPIRIES_QUEUE) + of(RESTOCK_QUEUE)
    }

    /// A queue that receives every result from now on, like any other service's.
    #[must_use]
    pub fn subscribe(&self, name: &str) -> Arc<MemoryQueue> {
        let queue = self.broker.queue(name);
        self.topic.subscribe(Arc::clone(&queue), FilterPolicy::default());
        queue
    }

    /// Finishes running requests, then stops the embedded DynamoDB.
    pub async fn stop(self) {
        self.dynamo.stop().await;
    }
}

async fn start_dynamo(data: Option<&Path>) -> anyhow::Result<EmbeddedDynamo> {
    let Some(folder) = data else { return Ok(EmbeddedDynamo::start(None).await?) };
    std::fs::create_dir_all(folder)
        .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    Ok(EmbeddedDynamo::start(Some(&folder.join(DATA_FILE))).await?)
}

/// The real adapter on the embedded server, over DynamoDB's own protocol.
async fn open_store(
    dynamo: &EmbeddedDynamo,
    entropy: &Arc<dyn Entropy>,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Arc<dyn Store>> {
    let client = dynamo.client(&ClientOptions::default());
    let names = TableNames::default();
    ensure_tables(&client, &names, &TableOptions::minimal())
        .await
        .context("the embedded tables")?;
    Ok(Arc::new(DynamoStore::new(client, names, Arc::clone(entropy), Arc::clone(clock))))
}
