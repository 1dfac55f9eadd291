//! The connection to Redis: made at the first call, renewed after a failure, and bounded in time.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{
    Client, Cmd, ConnectionInfo, ErrorKind, FromRedisValue, RedisError, RedisResult, Script,
    ServerErrorKind, ToRedisArgs, Value,
    aio::{ConnectionManager, ConnectionManagerConfig},
    cluster::{ClusterClient, ClusterClientBuilder, ClusterConfig},
    cluster_async::ClusterConnection,
};
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::{
    breaker::{Admission, Breaker},
    failure::{self, Failure},
    keys::SLOTS,
    url::RedisUrl,
};
use crate::ports::PortError;

/// The most that one call may cost a batch. Redis answers in well under a millisecond; a batch that
/// waits longer than this loses more than the locks save.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_millis(200);

/// The timeout of connecting, including TLS and distant servers. Callers do not wait for it: they
/// time out after [`CALL_TIMEOUT`] while the connection is still being made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A cluster's client retries if a slot has moved or its node was lost, within the call's timeout:
/// this many retries, and this far apart.
const CLUSTER_RETRIES: u32 = 4;
const CLUSTER_RETRY_MIN_MS: u64 = 2;
const CLUSTER_RETRY_MAX_MS: u64 = 50;

/// The number of slot ranges of a cluster, each with its own breaker: when one master is down,
/// calls to the slots of the others continue.
const CLUSTER_RANGES: u16 = 64;

/// A lazy connection to one server or one cluster, shared by all callers.
pub(super) struct Connection {
    url: RedisUrl,
    link: Mutex<Option<Link>>,
    breakers: Mutex<Vec<Breaker>>,
}

/// The client's own connection. Both kinds multiplex calls and reconnect automatically.
#[derive(Clone)]
enum Link {
    Server(ConnectionManager),
    Cluster(ClusterConnection),
}

/// A Lua script: its hash, and its text for a server that does not know the hash.
#[derive(Clone)]
pub(super) struct LuaScript {
    script: Script,
    code: &'static str,
}

impl LuaScript {
    pub(super) fn new(code: &'static str) -> Self {
        Self { script: Script::new(code), code }
    }
}

impl Connection {
    /// A connection that is made at the first call.
    pub(super) fn new(url: RedisUrl) -> Self {
        let ranges = if url.is_cluster() { CLUSTER_RANGES } else { 1 };
        Self {
            url,
            link: Mutex::default(),
            breakers: Mutex::new(vec![Breaker::default(); usize::from(ranges)]),
        }
    }

    /// Runs a script on keys that are all in `slot`: one round trip, or two if the server does not
    /// have the script cached.
    pub(super) async fn run<T: FromRedisValue, A: ToRedisArgs>(
        &self,
        script: &LuaScript,
        slot: u16,
        keys: &[String],
        arguments: &[A],
    ) -> Result<T, PortError> {
        let invocation = |how: &str, what: &str| {
            let mut command = redis::cmd(how);
            command.arg(what).arg(keys.len()).arg(keys).arg(arguments);
            command
        };
        self.guarded(slot, async |link| {
            match link.ask(&invocation("EVALSHA", script.script.get_hash())).await {
                // EVAL rather than SCRIPT LOAD: it reaches the one node that needs the script.
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    link.ask(&invocation("EVAL", script.code)).await
                }
                answer => answer,
            }
        })
        .await
    }

    /// Sends a command whose first argument is in `slot`, or another one where the server does not
    /// know it.
    pub(super) async fn ask_or(
        &self,
        slot: u16,
        command: &Cmd,
        instead: impl FnOnce() -> Cmd,
    ) -> Result<(), PortError> {
        self.guarded(slot, async |link| match link.ask::<Value>(command).await {
            Err(error) if is_unknown_command(&error) => link.ask::<Value>(&instead()).await,
            answer => answer,
        })
        .await
        .map(|_| ())
    }

    /// Whether Redis answers, over a new connection: so the answer is current, and a cluster too
    /// reports what is wrong.
    pub(super) async fn ping(&self) -> Result<(), PortError> {
        let asked = async { Link::fresh(&self.url).await?.ask::<Value>(&redis::cmd("PING")).await };
        match timeout(CONNECT_TIMEOUT, asked).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.named(self.failure(&error).error)),
            Err(_) => Err(self.named(Failure::timeout(CONNECT_TIMEOUT).error)),
        }
    }

    async fn guarded<T>(
        &self,
        slot: u16,
        call: impl AsyncFnOnce(&mut Link) -> RedisResult<T>,
    ) -> Result<T, PortError> {
        match self.breaker(slot, |breaker| breaker.admit(Instant::now())) {
            Admission::Stop => {
                return Err(self.named(PortError::Unavailable(
                    "not asked, as it did not answer before".to_owned(),
                )));
            }
            Admission::Probe => self.renew(),
            Admission::Go => {}
        }
        let answer = timeout(CALL_TIMEOUT, async { call(&mut self.link()?).await }).await;
        let failure = match answer {
            Ok(Ok(value)) => {
                self.answered(slot);
                return Ok(value);
            }
            Ok(Err(error)) => self.failure(&error),
            Err(_) => Failure::timeout(CALL_TIMEOUT),
        };
        if failure.lasting {
            self.failed(slot, &failure.error);
        } else {
            self.answered(slot);
        }
        Err(self.named(failure.error))
    }

    fn answered(&self, slot: u16) {
        if self.breaker(slot, Breaker::succeed) {
            info!(redis = %self.url, slots = %self.range(slot), "Redis answers again");
        }
    }

    fn failed(&self, slot: u16, error: &PortError) {
        if self.breaker(slot, |breaker| breaker.fail(Instant::now())) {
            warn!(
                redis = %self.url, slots = %self.range(slot), %error,
                "Redis fails: going on without it, asking again every second"
            );
        }
    }

    /// The connection, created if there is none.
    fn link(&self) -> RedisResult<Link> {
        let mut link = lock(&self.link);
        if let Some(link) = &*link {
            return Ok(link.clone());
        }
        let made = Link::new(&self.url)?;
        *link = Some(made.clone());
        Ok(made)
    }

    /// Drops a single server's connection, so that a probe starts afresh: it resolves the name
    /// again, and carries no old error. A cluster's client does that node by node.
    fn renew(&self) {
        if !self.url.is_cluster() {
            *lock(&self.link) = None;
        }
    }

    fn breaker<T>(&self, slot: u16, with: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut breakers = lock(&self.breakers);
        let range = range_of(slot, breakers.len());
        match breakers.get_mut(range) {
            Some(breaker) => with(breaker),
            // There is always at least one range, and every slot has a range.
            None => with(&mut Breaker::default()),
        }
    }

    /// The slots that share a breaker with `slot`, for log messages.
    fn range(&self, slot: u16) -> String {
        let ranges = lock(&self.breakers).len();
        let width = usize::from(SLOTS).div_ceil(ranges.max(1));
        let first = range_of(slot, ranges) * width;
        format!("{first}-{}", (first + width).min(usize::from(SLOTS)) - 1)
    }

    fn failure(&self, error: &RedisError) -> Failure {
        Failure::of(error, self.url.is_cluster())
    }

    fn named(&self, error: PortError) -> PortError {
        failure::at(&self.url, error)
    }
}

/// Whether the server is older than the command.
pub(super) fn is_unknown_command(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.starts_with("unknown command"))
}

fn range_of(slot: u16, ranges: usize) -> usize {
    usize::from(slot % SLOTS) * ranges / usize::from(SLOTS)
}

impl Link {
    /// Starts to connect in the background; calls wait for it within their timeout.
    fn new(url: &RedisUrl) -> RedisResult<Self> {
        use_aws_lc(url);
        match url.nodes() {
            [node] => {
                let manager = to_server(node)?;
                // The manager connects when it is first used; callers may time out sooner.
                let mut first = manager.clone();
                tokio::spawn(async move { first.send_packed_command(&redis::cmd("PING")).await });
                Ok(Self::Server(manager))
            }
            nodes => {
                let config = ClusterConfig::new();
                let cluster = to_cluster(nodes)?.get_pending_async_connection_with_config(config);
                Ok(Self::Cluster(cluster))
            }
        }
    }

    /// Connects now.
    async fn fresh(url: &RedisUrl) -> RedisResult<Self> {
        use_aws_lc(url);
        match url.nodes() {
            [node] => to_server(node).map(Self::Server),
            nodes => to_cluster(nodes)?.get_async_connection().await.map(Self::Cluster),
        }
    }

    async fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::Server(manager) => command.query_async(manager).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }
}

fn to_server(node: &ConnectionInfo) -> RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(0)
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(CALL_TIMEOUT));
    ConnectionManager::new_lazy_with_config(Client::open(node.clone())?, config)
}

fn to_cluster(nodes: &[ConnectionInfo]) -> RedisResult<ClusterClient> {
    let tcp = nodes.first().map(|node| node.tcp_settings().clone()).unwrap_or_default();
    ClusterClientBuilder::new(nodes.to_vec())
        .tcp_settings(tcp)
        .connection_timeout(CONNECT_TIMEOUT)
        .response_timeout(CALL_TIMEOUT)
        .retries(CLUSTER_RETRIES)
        .min_retry_wait(CLUSTER_RETRY_MIN_MS)
        .max_retry_wait(CLUSTER_RETRY_MAX_MS)
        .build()
}

/// Installs the one TLS provider of the program, because rustls panics when a crate of the build
/// enables a second one. The error means that one is installed already.
pub(super) fn use_aws_lc(url: &RedisUrl) {
    if url.is_tls() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
