//! The only wiring: the adapter behind each port.

#[cfg(feature = "embedded")]
pub mod embedded;
pub mod gateway;
pub mod monitoring;
pub mod service;
pub mod signals;
mod start;
pub mod worker_group;

use std::sync::Arc;

use aws_config::SdkConfig;

use crate::{
    adapters::{
        aws,
        dynamodb::{self, ClientOptions, DynamoStore},
        noop_locks::NoopLocks,
        redis::{RedisActivity, RedisHints, RedisLocks, RedisUrl},
        sns::{self, SnsTopic},
        sqs::{self, SqsQueue},
        system::{Random, SystemClock},
    },
    config::{self, AwsConfig, Config, ConfigError, Endpoints},
    naming::dead_letter_queue_name,
    ports::{
        ActivityBoard, Clock, Entropy, HintPublisher, Locks, OutcomeEditor, Publisher, Queue, Store,
    },
    sweeper::{self, Sweeper, Turns},
    worker::{Announcer, Observer, QueueKind, QueuePair, Settings, Shutdown, WorkerContext},
};
use start::{IfRefused, Process};

/// The adapters behind a worker's ports.
#[derive(Clone)]
pub struct Backends {
    /// Seats, stock, reservations and the ledger.
    pub store: Arc<dyn Store>,
    /// Locks for speed; no guarantee rests on them.
    pub locks: Arc<dyn Locks>,
    /// How sweepers share the shards of the expiry index.
    pub turns: sweeper::Turns,
    /// Where totals are put, for those who look on; `None` without Redis.
    pub activity: Option<Arc<dyn ActivityBoard>>,
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
///
/// # Errors
///
/// There is no region: no call could be made.
pub async fn aws() -> Result<SdkConfig, ConfigError> {
    let sdk = aws_config::defaults(aws::behavior_version()).load().await;
    match sdk.region() {
        Some(_) => Ok(sdk),
        None => Err(config::aws::missing_region()),
    }
}

/// The tables on DynamoDB.
#[must_use]
pub fn store(sdk: &SdkConfig, config: &AwsConfig) -> Arc<dyn Store> {
    Arc::new(tables(sdk, config))
}

/// The tables on DynamoDB, with what an operator alone may do.
#[must_use]
pub fn outcome_editor(sdk: &SdkConfig, config: &AwsConfig) -> Arc<dyn OutcomeEditor> {
    Arc::new(tables(sdk, config))
}

fn tables(sdk: &SdkConfig, config: &AwsConfig) -> DynamoStore {
    let client = dynamodb::client(sdk, &ClientOptions::default());
    let (entropy, clock) = (Arc::new(Random::new()), Arc::new(SystemClock));
    let store = DynamoStore::new(client, config.tables.clone(), entropy, clock);
    store.at(config.endpoints.dynamodb.clone())
}

/// Locks on Redis, and the workers' totals on that of the view: over one connection where it is the
/// same. What has no Redis is not there.
#[must_use]
fn on_redis(config: &Config) -> (Arc<dyn Locks>, Option<Arc<dyn ActivityBoard>>) {
    let of_view = activity(config.view_redis.as_ref(), &config.aws);
    let Some(url) = &config.redis else {
        tracing::info!("REDIS_URL is not set: no locks, version conditions alone");
        return (Arc::new(NoopLocks), of_view);
    };
    let locks = RedisLocks::new(url.clone());
    if of_view.is_some() {
        return (Arc::new(locks), of_view);
    }
    let board = RedisActivity::beside(&locks, deployment(&config.aws));
    (Arc::new(locks), Some(Arc::new(board)))
}

/// The workers' totals, over a connection of their own; `None` without Redis.
fn activity(redis: Option<&RedisUrl>, config: &AwsConfig) -> Option<Arc<dyn ActivityBoard>> {
    Some(Arc::new(RedisActivity::new(redis?.clone(), deployment(config))))
}

/// The name that tells deployments on one Redis apart.
fn deployment(config: &AwsConfig) -> &str {
    &config.tables.ledger
}

/// Hints on the Redis of the view, over connections of their own, or none.
fn hints(config: &Config) -> Option<Arc<dyn HintPublisher>> {
    let url = config.redis_of_view().filter(|_| config.hints)?;
    Some(Arc::new(RedisHints::new(url.clone(), deployment(&config.aws))))
}

/// A queue by its name or URL.
///
/// # Errors
///
/// The queue cannot be found: the error names it, and what creates it if it does not exist.
pub async fn connect_queue(
    client: &aws_sdk_sqs::Client,
    endpoints: &Endpoints,
    name_or_url: &str,
) -> anyhow::Result<SqsQueue> {
    let queue = SqsQueue::connect_at(client.clone(), endpoints.sqs.clone(), name_or_url).await;
    Ok(queue.map_err(|error| start::missing(error, start::QUEUES))?)
}

/// The topic of results by its name or ARN.
///
/// # Errors
///
/// The topic cannot be found: the error names it, and what creates it if it does not exist.
pub async fn connect_topic(
    client: &aws_sdk_sns::Client,
    endpoints: &Endpoints,
    name_or_arn: &str,
) -> anyhow::Result<SnsTopic> {
    let topic = SnsTopic::connect_at(client.clone(), endpoints.sns.clone(), name_or_arn).await;
    Ok(topic.map_err(|error| start::missing(error, "the topic of INVENTORY_RESULTS_TOPIC"))?)
}

/// Connects to AWS and Redis, or to stand-ins under the same protocols. A worker that does not
/// sweep needs the queue of expiries only if it consumes it.
///
/// # Errors
/// A queue, a table or the topic cannot be found: the error names it and says how to create it.
pub async fn connect(config: &Config, sweeps: bool) -> anyhow::Result<Backends> {
    let sdk = aws().await?;
    let process = Process::Worker { sweeps, locks: config.redis.as_ref() };
    start::log(&sdk, &config.aws, config.redis_of_view(), &process);
    let (sqs, endpoints) = (sqs::client(&sdk), &config.aws.endpoints);
    let connect = async |name: &str| -> anyhow::Result<Arc<dyn Queue>> {
        let queue = connect_queue(&sqs, endpoints, name).await?;
        start::require_queue(&queue, name).await?;
        Ok(Arc::new(queue) as Arc<dyn Queue>)
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
    let (locks, activity) = on_redis(config);
    let sns = sns::client(&sdk);
    let publisher = connect_topic(&sns, endpoints, config.aws.topic.as_str()).await?;
    start::require_topic(&publisher).await?;
    let store = store(&sdk, &config.aws);
    start::require_tables(&*store, IfRefused::End).await?;
    let turns = match &config.redis {
        Some(_) => Turns::Locks(Arc::clone(&locks)),
        None => Turns::Leases(store.clone()),
    };
    Ok(Backends {
        store,
        locks,
        turns,
        activity,
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
            turns: self.turns.clone(),
            queue: Arc::clone(self.expiries.as_ref()?),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            observer,
            settings,
        })
    }
}
