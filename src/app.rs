//! The only wiring: which adapter stands behind which port.

use std::sync::Arc;

use anyhow::Context;
use aws_config::SdkConfig;

use crate::{
    adapters::{
        aws,
        dynamodb::{self, ClientOptions, DynamoStore},
        no_locks::NoLocks,
        redis::{RedisLocks, RedisUrl},
        sns::{self, SnsTopic},
        sqs::{self, SqsQueue, bootstrap::dead_letter_queue_name},
        system::{Random, SystemClock},
    },
    config::{self, AwsConfig, Config, Limits, LockUse, RedisConfig, WorkerConfig},
    decide,
    ports::{Clock, Entropy, Locks, Publisher, Store},
    sweeper::{self, Sweeper},
    worker::{LockMode, Observer, Settings, Source, Stop, Tools},
};

/// What a worker needs of the world.
#[derive(Clone)]
pub struct Backends {
    /// The tables.
    pub store: Arc<dyn Store>,
    /// Locks.
    pub locks: Arc<dyn Locks>,
    /// Where results go.
    pub publisher: Arc<dyn Publisher>,
    /// The queues to consume. The first is where expiries are posted.
    pub sources: Vec<Source>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
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
    Arc::new(DynamoStore::new(client, config.tables.clone(), Arc::new(Random::new())))
}

/// Locks on Redis, or none.
///
/// # Errors
/// An address the client cannot use.
pub fn locks(config: Option<&RedisConfig>) -> anyhow::Result<Arc<dyn Locks>> {
    match config {
        None => {
            tracing::info!("REDIS_URL is not set: no locks, version conditions alone");
            Ok(Arc::new(NoLocks))
        }
        Some(config) => {
            let urls: Vec<&str> = config.urls().iter().map(config::RedisUrl::expose).collect();
            let url: RedisUrl = urls.join(",").parse().context("REDIS_URL")?;
            Ok(Arc::new(RedisLocks::new(url)))
        }
    }
}

/// Everything on AWS and Redis, or what stands in for them under the same protocols.
///
/// # Errors
/// A queue or topic that cannot be found: names it and says how to create it.
pub async fn connect(config: &Config) -> anyhow::Result<Backends> {
    let sdk = aws().await;
    let sqs = sqs::client(&sdk);
    let mut sources = Vec::with_capacity(config.aws.queues.len());
    for queue in &config.aws.queues {
        let queue = queue.to_string();
        let dead_letters = dead_letter_queue_name(&queue);
        let connect = async |name: &str| {
            SqsQueue::connect(sqs.clone(), name)
                .await
                .with_context(|| format!("queue {name} (`bootstrap` creates it)"))
        };
        sources.push(Source {
            queue: Arc::new(connect(&queue).await?),
            dead_letters: Arc::new(connect(&dead_letters).await?),
        });
    }
    let topic = config.aws.topic.to_string();
    let publisher = SnsTopic::connect(sns::client(&sdk), &topic)
        .await
        .with_context(|| format!("topic {topic} (`bootstrap` creates it)"))?;
    Ok(Backends {
        store: store(&sdk, &config.aws),
        locks: locks(config.redis.as_ref())?,
        publisher: Arc::new(publisher),
        sources,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(Random::new()),
    })
}

/// The worker's settings.
#[must_use]
pub fn settings(worker: &WorkerConfig, limits: &Limits) -> Settings {
    Settings {
        visibility: worker.visibility,
        heartbeat: worker.heartbeat,
        lease_margin: worker.lease_margin,
        long_poll: worker.long_poll,
        pollers: worker.pollers,
        messages_in_flight_max: worker.in_flight_messages,
        bytes_in_flight_max: worker.in_flight_bytes,
        lock_mode: match worker.locks {
            LockUse::Always => LockMode::Always,
            LockUse::AfterConflict => LockMode::AfterConflict,
        },
        lock_ttl: worker.lock_ttl,
        lock_wait: worker.lock_wait,
        conflict_attempts: worker.conflict_attempts,
        isolate_after: worker.isolation_receives,
        attempts_max: worker.max_attempts,
        restock_parallelism: worker.restock_parallelism,
        handler_timeout: worker.handler_timeout,
        grace: worker.grace,
        flush: worker.flush,
        limits: decide::Limits {
            hold_seconds_max: limits.max_hold_seconds,
            reserve_entries_max: limits.max_entries_per_reservation,
        },
    }
}

impl Backends {
    /// A worker's tools on these backends.
    #[must_use]
    pub fn tools(&self, settings: Settings, observer: Arc<dyn Observer>, stop: Stop) -> Arc<Tools> {
        Arc::new(Tools {
            store: Arc::clone(&self.store),
            locks: Arc::clone(&self.locks),
            publisher: Arc::clone(&self.publisher),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            observer,
            settings,
            stop,
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
            store: Arc::clone(&self.store),
            locks: Arc::clone(&self.locks),
            queue: Arc::clone(&self.sources.first()?.queue),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            observer,
            settings,
        })
    }
}
