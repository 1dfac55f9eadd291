//! The only wiring: the adapter behind each port.

#[cfg(feature = "embedded")]
pub mod embedded;
pub mod gateway;
pub mod monitoring;
pub mod service;
pub mod signals;
pub mod worker_group;

use std::sync::Arc;

use anyhow::Context;
use aws_config::SdkConfig;

use crate::{
    adapters::{
        aws,
        dynamodb::{self, ClientOptions, DynamoStore},
        noop_locks::NoopLocks,
        redis::{RedisHints, RedisLocks, RedisUrl},
        sns::{self, SnsTopic},
        sqs::{self, SqsQueue},
        system::{Random, SystemClock},
    },
    config::{AwsConfig, Config},
    naming::dead_letter_queue_name,
    ports::{Clock, Entropy, HintPublisher, Locks, Publisher, Queue, Store},
    sweeper::{self, Sweeper},
    worker::{Announcer, Observer, QueueKind, QueuePair, Settings, Shutdown, WorkerContext},
};

/// The adapters behind a worker's ports.
#[derive(Clone)]
pub struct Backends {
    /// Seats, stock, reservations and the ledger.
    pub store: Arc<dyn Store>,
    /// Locks for speed; no guarantee rests on them.
    pub locks: Arc<dyn Locks>,
    /// Where results go.
    pub publisher: Arc<dyn Publisher>,
    /// Where commits are announced; `None` announces none.
    pub hints: Option<Arc<dyn HintPublisher>>,
    /// The queues to consume.
    pub sources: Vec<QueuePair>,
    /// The queue of expiries; `None` if this process does not sweep.
    pub expiries: Option<Arc<dyn Queue>>,
    /// The clock of every deadline and time stamp.
    pub clock: Arc<dyn Clock>,
    /// Random numbers: ids, jitter.
    pub entropy: Arc<dyn Entropy>,
}

/// AWS's own settings, from its default chain: region, endpoints, credentials.
pub async fn aws() -> SdkConfig {
    aws_config::defaults(aws::behavior_version()).load().await
}

/// The tables on DynamoDB.
#[must_use]
pub fn store(sdk: &SdkConfig, config: &AwsConfig) -> Arc<dyn Store> {
    let client = dynamodb::client(sdk, &ClientOptions::default());
    let (entropy, clock) = (Arc::new(Random::new()), Arc::new(SystemClock));
    Arc::new(DynamoStore::new(client, config.tables.clone(), entropy, clock))
}

/// Locks on Redis, or none.
#[must_use]
pub fn locks(url: Option<&RedisUrl>) -> Arc<dyn Locks> {
    match url {
        None => {
            tracing::info!("REDIS_URL is not set: no locks, version conditions alone");
            Arc::new(NoopLocks)
        }
        Some(url) => Arc::new(RedisLocks::new(url.clone())),
    }
}

/// Hints on Redis, over connections of their own, or none.
fn hints(config: &Config) -> Option<Arc<dyn HintPublisher>> {
    let url = config.redis.as_ref().filter(|_| config.hints)?;
    Some(Arc::new(RedisHints::new(url.clone())))
}

/// A queue by its name or URL.
///
/// # Errors
///
/// The queue cannot be found: the error names it and says what creates it.
pub async fn connect_queue(
    client: &aws_sdk_sqs::Client,
    name_or_url: &str,
) -> anyhow::Result<SqsQueue> {
    let queue = SqsQueue::connect(client.clone(), name_or_url).await;
    queue.with_context(|| created_by_bootstrap("queue", name_or_url))
}

/// The topic of results by its name or ARN.
///
/// # Errors
///
/// The topic cannot be found: the error names it and says what creates it.
pub async fn connect_topic(
    client: &aws_sdk_sns::Client,
    name_or_arn: &str,
) -> anyhow::Result<SnsTopic> {
    let topic = SnsTopic::connect(client.clone(), name_or_arn).await;
    topic.with_context(|| created_by_bootstrap("topic", name_or_arn))
}

fn created_by_bootstrap(kind: &str, name: &str) -> String {
    format!("{kind} {name} (`bootstrap` creates it)")
}

/// Connects to AWS and Redis, or to stand-ins under the same protocols. A worker that does not
/// sweep needs the queue of expiries only if it consumes it.
///
/// # Errors
/// A queue or topic cannot be found: the error names it and says how to create it.
pub async fn connect(config: &Config, sweeps: bool) -> anyhow::Result<Backends> {
    let sdk = aws().await;
    let sqs = sqs::client(&sdk);
    let connect = async |name: &str| -> anyhow::Result<Arc<dyn Queue>> {
        Ok(Arc::new(connect_queue(&sqs, name).await?) as Arc<dyn Queue>)
    };
    let mut sources: Vec<QueuePair> = Vec::with_capacity(config.aws.queues.len());
    for queue in &config.aws.queues {
        let dead_letters = dead_letter_queue_name(queue.as_str());
        sources.push(QueuePair {
            queue: connect(queue.as_str()).await?,
            dead_letters: connect(&dead_letters).await?,
            kind: config.aws.kind_of(queue),
        });
    }
    let consumed = sources.iter().find(|source| source.kind == QueueKind::Expiries);
    let expiries = match consumed {
        Some(source) => Some(Arc::clone(&source.queue)),
        None if sweeps => Some(connect(config.aws.expiries.as_str()).await?),
        None => None,
    };
    let publisher = connect_topic(&sns::client(&sdk), config.aws.topic.as_str()).await?;
    Ok(Backends {
        store: store(&sdk, &config.aws),
        locks: locks(config.redis.as_ref()),
        publisher: Arc::new(publisher),
        hints: hints(config),
        sources,
        expiries,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(Random::new()),
    })
}

impl Backends {
    /// A worker's context on these backends.
    #[must_use]
    pub fn worker_context(
        &self,
        settings: Settings,
        observer: Arc<dyn Observer>,
        shutdown: Shutdown,
    ) -> Arc<WorkerContext> {
        Arc::new(WorkerContext {
            store: Arc::clone(&self.store),
            locks: Arc::clone(&self.locks),
            publisher: Arc::clone(&self.publisher),
            announcer: self.announcer(&observer),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            observer,
            settings,
            shutdown,
        })
    }

    fn announcer(&self, observer: &Arc<dyn Observer>) -> Announcer {
        self.hints.as_ref().map_or_else(Announcer::off, |hints| {
            Announcer::new(Arc::clone(hints), Arc::clone(&self.entropy), Arc::clone(observer))
        })
    }

    /// A sweeper on these backends; `None` without a queue to post to.
    #[must_use]
    pub fn sweeper(
        &self,
        settings: sweeper::Settings,
        observer: Arc<dyn Observer>,
    ) -> Option<Sweeper> {
        Some(Sweeper {
            index: self.store.clone(),
            locks: Arc::clone(&self.locks),
            queue: Arc::clone(self.expiries.as_ref()?),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            observer,
            settings,
        })
    }
}
