//! The gateway on its backends: HTTP and gRPC, from bound to drained.

mod drain;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    activity, aws, deployment,
    start::{self, IfRefused, Process},
    store,
};
use crate::{
    adapters::{
        redis::{RedisHints, RedisSnapshots, RedisUrl},
        sqs::{self, SqsQueue},
        system::{Random, SystemClock, SystemProcessor},
    },
    client::{Client, ClientLimits, ClientPorts, OutcomePoller},
    config::{self, AwsConfig, GatewayConfig, QueueRef, ServeConfig},
    gateway::{
        CommandParts, CommandSettings, Commands, Overview, OverviewParts, Queries, QuerySettings,
        Stress, StressParts,
        auth::Authenticator,
        grpc::{self, Face, Serving},
        guard::Guard,
        hints::{Announcements, Follower, FollowerParts},
        http,
        limits::{CallerRate, Lanes},
        observer::{GatewayObserver, Protocol, RequestTracer, ViewObserver},
        page::Page,
        server::{Server, ServerOptions},
        streams::{Changes, Results, Streams, Tickets},
    },
    ports::{
        ActivityBoard, Clock, Entropy, ExpiryIndex, HintSubscriber, Queue, ScanStore, SnapshotStore,
    },
};
use drain::Drain;

/// The adapters behind a gateway's ports. It cannot write but to the queues.
#[derive(Clone)]
pub struct GatewayBackends {
    /// The queue of reserves, confirms and cancels.
    pub commands: Arc<dyn Queue>,
    /// The queue of restocks; it may be the same.
    pub restocks: Arc<dyn Queue>,
    /// The tables, to be read.
    pub store: Arc<dyn ScanStore>,
    /// What workers announce; `None` where the tables alone say what changes.
    pub hints: Option<Arc<dyn HintSubscriber>>,
    /// What gateways read for one another; `None` without Redis.
    pub snapshots: Option<Arc<dyn SnapshotStore>>,
    /// Holds by their end.
    pub holds: Arc<dyn ExpiryIndex>,
    /// The workers' totals; `None` without Redis.
    pub activity: Option<Arc<dyn ActivityBoard>>,
    /// The clock of every answer and deadline.
    pub clock: Arc<dyn Clock>,
    /// Ids, jitter.
    pub entropy: Arc<dyn Entropy>,
}

/// Connects to AWS, or to stand-ins under the same protocols. What does not answer is no error: a
/// gateway whose queues are out of reach still answers look-ups.
///
/// # Errors
///
/// A queue or a table does not exist: the error names it and says what creates it.
pub async fn connect(config: &ServeConfig) -> anyhow::Result<GatewayBackends> {
    let sdk = aws().await?;
    let (aws, redis) = (&config.aws, config.redis.as_ref());
    start::log(&sdk, aws, redis, &Process::Gateway { auth: &config.gateway.auth });
    let sqs = sqs::client(&sdk);
    let connect = async |queue: &QueueRef| -> anyhow::Result<Arc<dyn Queue>> {
        let (endpoint, name) = (aws.endpoints.sqs.clone(), queue.as_str());
        let queue = SqsQueue::unasked(sqs.clone(), endpoint, name)?;
        start::look_up_queue(&queue).await?;
        start::require_queue(&queue, name).await?;
        Ok(Arc::new(queue) as Arc<dyn Queue>)
    };
    let (commands, restocks) = aws.producer_queues().context(config::aws::NO_PRODUCER_QUEUE)?;
    let (commands, restocks) = (connect(commands).await?, connect(restocks).await?);
    let store = store(&sdk, aws);
    start::require_tables(&*store, IfRefused::GoOn).await?;
    Ok(GatewayBackends {
        commands,
        restocks,
        store: store.clone(),
        holds: store,
        activity: activity(redis, aws),
        hints: hints(redis, aws),
        snapshots: snapshots(redis, aws),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(Random::new()),
    })
}

/// What workers announce on Redis, or nothing.
fn hints(redis: Option<&RedisUrl>, config: &AwsConfig) -> Option<Arc<dyn HintSubscriber>> {
    let Some(url) = redis else {
        tracing::info!(
            "REDIS_URL is not set: pools that are shown are read every 2 to 30 s, by size"
        );
        return None;
    };
    Some(Arc::new(RedisHints::new(url.clone(), deployment(config))))
}

/// What gateways share on Redis, or nothing.
fn snapshots(redis: Option<&RedisUrl>, config: &AwsConfig) -> Option<Arc<dyn SnapshotStore>> {
    Some(Arc::new(RedisSnapshots::new(redis?.clone(), deployment(config))))
}

/// A gateway that has its ports and does not answer yet.
pub struct Gateway {
    drain: Drain,
    follower: Option<Follower>,
    authenticator: Arc<Authenticator>,
    http: Server,
    grpc: Server,
}

impl Gateway {
    /// Takes the ports.
    ///
    /// # Errors
    ///
    /// A port is taken, or a file of certificates or keys is not as it should be.
    pub async fn bind(
        config: &GatewayConfig,
        backends: &GatewayBackends,
        observer: Arc<dyn GatewayObserver>,
        tracer: Option<Arc<dyn RequestTracer>>,
    ) -> anyhow::Result<Self> {
        let commands = Arc::new(commands(config, backends, observer.clone()));
        let clock = Arc::clone(&backends.clock);
        let authenticator =
            Authenticator::start(config.auth.clone(), config.callers.clone(), Arc::clone(&clock));
        let authenticator = Arc::new(authenticator.await.context("the keys of callers' tokens")?);
        let entropy = Arc::clone(&backends.entropy);
        let tickets = Arc::new(Tickets::new(Arc::clone(&clock), Arc::clone(&entropy)));
        let streams = Streams::new(config.streams, Arc::clone(&entropy), observer.clone());
        let guard = Guard {
            protocol: Protocol::Http,
            authenticator: Arc::clone(&authenticator),
            tickets: Arc::clone(&tickets),
            lanes: Arc::new(Lanes::new(&config.limits)),
            rate: Arc::new(CallerRate::new(&config.limits)),
            observer: observer.clone(),
            tracer,
        };
        let stress = stress(config, backends, &observer);
        let (serving, draining) = (Serving::start().await, CancellationToken::new());
        let queries = Arc::new(queries(backends, observer.clone()));
        let announcements = backends.hints.clone().map(Announcements::new);
        let results = Results::new(announcements.clone(), streams.clone(), Arc::clone(&clock));
        let follower = announcements
            .map(|announcements| follower(announcements, backends, &queries, &commands, observer));
        let changes =
            Changes::new(Arc::clone(&queries), streams.clone(), Arc::clone(&clock), entropy);
        let routes = http::router(http::HttpState {
            commands: Arc::clone(&commands),
            queries: Arc::clone(&queries),
            changes: changes.clone(),
            results: results.clone(),
            tickets,
            overview: Arc::new(overview(backends, &commands)),
            stress: stress.clone(),
            clock: Arc::clone(&clock),
            draining: draining.clone(),
        });
        let routes = match &config.page {
            Some(settings) => routes.merge(http::page::router(Page::new(settings))),
            None => routes,
        };
        let face = Face {
            commands: commands.clone(),
            rate: Arc::clone(&guard.rate),
            observer: Arc::clone(&guard.observer),
            queries,
            changes,
            results,
            clock,
            serving: serving.clone(),
        };
        let calls = Guard { protocol: Protocol::Grpc, ..guard.clone() }.protect(grpc::router(face));
        let options = ServerOptions {
            tls: config.tls.clone(),
            max_connection_age: config.max_connection_age,
            connections_max: config.connections,
            entropy: Arc::clone(&backends.entropy),
        };
        let bind = async |address: SocketAddr, router, options, port: &str| {
            let server = Server::bind(address, router, options).await;
            server.with_context(|| format!("the address {address} ({port})"))
        };
        let http = bind(config.http_address(), guard.protect(routes), options.clone(), "PORT");
        let http = http.await?;
        let grpc = bind(config.grpc_address(), calls, options, "GRPC_PORT").await?;
        let (delay, grace) = (config.drain_delay, config.grace);
        let drain = Drain { commands, stress, serving, streams, draining, delay, grace };
        Ok(Self { drain, follower, authenticator, http, grpc })
    }

    /// Where HTTP is served.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        self.http.address()
    }

    /// Where gRPC is served.
    #[must_use]
    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc.address()
    }

    /// Answers until `stop` is cancelled, then drains. Health checks fail at once; after the delay
    /// the grace begins: streams end, no more connections are accepted, and those that are open end
    /// with what is under way on them. In its last two seconds whoever waits for an outcome is
    /// answered that it is pending.
    pub async fn serve(self, stop: CancellationToken) {
        let Self { drain, follower, authenticator, http, grpc } = self;
        let (closing, served) = (CancellationToken::new(), CancellationToken::new());
        let ended = CancellationToken::new();
        let grace = drain.grace;
        let servers = async {
            tokio::join!(http.serve(closing.clone(), grace), grpc.serve(closing.clone(), grace));
            served.cancel();
        };
        let draining = async {
            drain.run(&stop, &closing, &served).await;
            ended.cancel();
        };
        let storms = async {
            match &drain.stress {
                Some(stress) => stress.run().await,
                None => std::future::pending().await,
            }
        };
        let parts = async {
            tokio::select! {
                () = ended.cancelled() => {}
                () = drain.commands.run() => {}
                () = storms => {}
                () = follow(follower.as_ref()) => {}
            }
        };
        tokio::join!(servers, draining, parts, authenticator.keep_fresh(ended.clone()));
    }
}

fn follower(
    announcements: Announcements,
    backends: &GatewayBackends,
    queries: &Queries,
    commands: &Arc<Commands>,
    observer: Arc<dyn ViewObserver>,
) -> Follower {
    Follower::new(FollowerParts {
        announcements,
        views: queries.views().clone(),
        commands: Arc::clone(commands),
        entropy: Arc::clone(&backends.entropy),
        observer,
    })
}

async fn follow(follower: Option<&Follower>) {
    match follower {
        Some(follower) => follower.run().await,
        None => std::future::pending().await,
    }
}

fn stress(
    config: &GatewayConfig,
    backends: &GatewayBackends,
    observer: &Arc<dyn GatewayObserver>,
) -> Option<Arc<Stress>> {
    let commands_max = config.stress_commands_max?;
    warn!(
        commands_max,
        "storms of restocks are allowed to callers with the scope inventory.stress"
    );
    let parts = StressParts {
        restocks: Arc::clone(&backends.restocks),
        store: backends.store.clone(),
        clock: Arc::clone(&backends.clock),
        entropy: Arc::clone(&backends.entropy),
        processor: Arc::new(SystemProcessor),
        observer: observer.clone(),
    };
    Some(Arc::new(Stress::new(parts, commands_max)))
}

fn overview(backends: &GatewayBackends, commands: &Arc<Commands>) -> Overview {
    Overview::new(OverviewParts {
        commands: Arc::clone(&backends.commands),
        restocks: Arc::clone(&backends.restocks),
        awaited: Arc::clone(commands),
        board: backends.activity.clone(),
        holds: Arc::clone(&backends.holds),
        clock: Arc::clone(&backends.clock),
    })
}

fn queries(backends: &GatewayBackends, observer: Arc<dyn GatewayObserver>) -> Queries {
    let (store, clock) = (Arc::clone(&backends.store), Arc::clone(&backends.clock));
    let snapshots = backends.snapshots.clone();
    Queries::observed(store, clock, QuerySettings::default(), observer, snapshots)
}

fn commands(
    config: &GatewayConfig,
    backends: &GatewayBackends,
    observer: Arc<dyn GatewayObserver>,
) -> Commands {
    let ports = ClientPorts {
        commands: Arc::clone(&backends.commands),
        restocks: Arc::clone(&backends.restocks),
        clock: Arc::clone(&backends.clock),
        entropy: Arc::clone(&backends.entropy),
    };
    let waiters_max = config.limits.waiters_max();
    // Neither limits what is posted without awaiting its result.
    let limits = ClientLimits {
        in_flight: waiters_max,
        deadline: Duration::from_secs(20),
        commands_per_message: config.commands_per_message,
    };
    let parts = CommandParts {
        client: Client::new(ports, limits).observed(observer.clone()),
        outcomes: OutcomePoller::new(backends.store.clone(), waiters_max),
        store: backends.store.clone(),
        clock: Arc::clone(&backends.clock),
        entropy: Arc::clone(&backends.entropy),
    };
    let settings = CommandSettings { groups: config.groups, queue_age_max: config.queue_age_max };
    Commands::new(parts, settings).observed(observer)
}

#[cfg(test)]
mod tests;
