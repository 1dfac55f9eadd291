//! One connection to one node, and what is received on it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, ProtocolVersion,
    PushInfo, PushKind, RedisResult, Value,
    aio::{MultiplexedConnection, SendError},
};
use tokio::{
    runtime::Handle,
    sync::mpsc::{Receiver, Sender, channel},
    time::{Instant, interval},
};

use crate::{
    adapters::redis::connection::{is_unknown_command, lock},
    ports::{
        HintSubscription,
        hints::{Received, decode},
    },
};

/// The timeout of connecting, and of each answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// How often a node is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(1);

/// A link without subscriptions is closed after this.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Frames that a subscriber may be behind.
const BACKLOG_MAX: usize = 256;

/// A connection in RESP3, over which channels are subscribed to. Once lost it stays lost.
pub(super) struct Link {
    address: ConnectionAddr,
    connection: MultiplexedConnection,
    routes: Arc<Routes>,
    /// Held while the server is told of a subscription or of its end, so that it hears of them in
    /// the order of their routes.
    telling: tokio::sync::Mutex<()>,
    next: AtomicU64,
}

/// Who receives what comes on a channel.
#[derive(Default)]
struct Routes {
    by_channel: Mutex<BTreeMap<String, Vec<Sink>>>,
    lost: AtomicBool,
}

struct Sink {
    id: u64,
    frames: Sender<Arc<[u8]>>,
    has_overflowed: Arc<AtomicBool>,
}

impl Routes {
    fn receive(&self, push: PushInfo) {
        match push.kind {
            PushKind::SMessage | PushKind::Message => self.hand_on(push.data),
            PushKind::Disconnection => self.lose(),
            // The slot has moved to another node, unless it was asked for.
            PushKind::SUnsubscribe | PushKind::Unsubscribe => {
                let channel = push.data.into_iter().next();
                let by_channel = lock(&self.by_channel);
                let is_routed = text_of(channel).is_some_and(|it| by_channel.contains_key(&it));
                drop(by_channel);
                if is_routed {
                    self.lose();
                }
            }
            _ => {}
        }
    }

    fn hand_on(&self, data: Vec<Value>) {
        let mut parts = data.into_iter();
        let (channel, payload) = (text_of(parts.next()), parts.next());
        let (Some(channel), Some(Value::BulkString(bytes))) = (channel, payload) else { return };
        let bytes: Arc<[u8]> = Arc::from(bytes);
        let by_channel = lock(&self.by_channel);
        for sink in by_channel.get(&channel).into_iter().flatten() {
            if sink.frames.try_send(Arc::clone(&bytes)).is_err() {
                sink.has_overflowed.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Ends every subscription.
    fn lose(&self) {
        self.lost.store(true, Ordering::Release);
        lock(&self.by_channel).clear();
    }

    fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Returns whether it is the first of the channel.
    fn add(&self, channel: &str, sink: Sink) -> bool {
        let mut by_channel = lock(&self.by_channel);
        let sinks = by_channel.entry(channel.to_owned()).or_default();
        sinks.push(sink);
        sinks.len() == 1
    }

    /// Returns whether it was the last of the channel.
    fn remove(&self, channel: &str, id: u64) -> bool {
        let mut by_channel = lock(&self.by_channel);
        let Some(sinks) = by_channel.get_mut(channel) else { return false };
        sinks.retain(|sink| sink.id != id);
        let is_last = sinks.is_empty();
        if is_last {
            by_channel.remove(channel);
        }
        is_last
    }

    fn has(&self, channel: &str) -> bool {
        lock(&self.by_channel).contains_key(channel)
    }

    fn is_empty(&self) -> bool {
        lock(&self.by_channel).is_empty()
    }
}

fn text_of(value: Option<Value>) -> Option<String> {
    match value? {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

impl Link {
    /// Connects, and asks from then on each second whether the node is still there.
    pub(super) async fn connect(node: ConnectionInfo) -> RedisResult<Arc<Self>> {
        let routes = Arc::<Routes>::default();
        let pushed = Arc::clone(&routes);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER_TIMEOUT))
            .set_response_timeout(Some(ANSWER_TIMEOUT))
            .set_push_sender(move |push: PushInfo| -> Result<(), SendError> {
                pushed.receive(push);
                Ok(())
            });
        let settings = node.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let address = node.addr().clone();
        let client = Client::open(node.set_redis_settings(settings))?;
        let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let (telling, next) = (tokio::sync::Mutex::default(), AtomicU64::new(0));
        let link = Arc::new(Self { address, connection, routes, telling, next });
        tokio::spawn(watch_over(Arc::downgrade(&link)));
        Ok(link)
    }

    pub(super) fn address(&self) -> &ConnectionAddr {
        &self.address
    }

    pub(super) fn is_lost(&self) -> bool {
        self.routes.is_lost()
    }

    /// Subscribes to a channel. What is published after this returns is received.
    pub(super) async fn subscribe(self: &Arc<Self>, channel: &str) -> RedisResult<Subscription> {
        let _telling = self.telling.lock().await;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (frames, received) = self::channel(BACKLOG_MAX);
        let has_overflowed = Arc::<AtomicBool>::default();
        let sink = Sink { id, frames, has_overflowed: Arc::clone(&has_overflowed) };
        let is_first = self.routes.add(channel, sink);
        // Dropped on an error, or where the caller gave up: it takes the route away.
        let subscription = Subscription {
            link: Arc::clone(self),
            channel: channel.to_owned(),
            id,
            received,
            has_overflowed,
        };
        if is_first {
            self.tell("SSUBSCRIBE", "SUBSCRIBE", channel).await?;
        }
        if self.is_lost() {
            return Err((ErrorKind::Io, "the connection was lost").into());
        }
        Ok(subscription)
    }

    /// Ends the subscription of a channel that nobody reads any more.
    async fn unsubscribe(&self, channel: &str) {
        let _telling = self.telling.lock().await;
        if self.routes.has(channel) || self.is_lost() {
            return;
        }
        // A node that refuses it, as another one serves the slot, has no such subscription.
        let _ = self.tell("SUNSUBSCRIBE", "UNSUBSCRIBE", channel).await;
    }

    async fn tell(&self, sharded: &str, plain: &str, channel: &str) -> RedisResult<()> {
        match self.ask(redis::cmd(sharded).arg(channel)).await {
            Err(error) if is_unknown_command(&error) => {
                self.ask(redis::cmd(plain).arg(channel)).await
            }
            answer => answer,
        }
    }

    async fn ask(&self, command: &Cmd) -> RedisResult<()> {
        let answer = command.query_async::<Value>(&mut self.connection.clone()).await;
        if answer.as_ref().is_err_and(|error| error.code().is_none()) {
            // No answer of the server's: whatever is received from now on may be incomplete.
            self.routes.lose();
        }
        answer.map(|_| ())
    }
}

/// Asks whether the node is there, until the link is lost or nobody uses it.
async fn watch_over(link: Weak<Link>) {
    let mut ticks = interval(PING_EVERY);
    let mut used = Instant::now();
    loop {
        ticks.tick().await;
        let Some(link) = link.upgrade() else { return };
        if !link.routes.is_empty() {
            used = Instant::now();
        }
        if link.is_lost() || used.elapsed() > IDLE_MAX {
            return link.routes.lose();
        }
        // Any answer will do, a refusal too; without one the link is lost.
        let _ = link.ask(&redis::cmd("PING")).await;
    }
}

/// What is received on a channel.
pub(super) struct Subscription {
    link: Arc<Link>,
    channel: String,
    id: u64,
    received: Receiver<Arc<[u8]>>,
    has_overflowed: Arc<AtomicBool>,
}

#[async_trait]
impl HintSubscription for Subscription {
    async fn next(&mut self) -> Received {
        if self.has_overflowed.swap(false, Ordering::Relaxed) {
            return Received::Overflow;
        }
        match self.received.recv().await {
            Some(bytes) => decode(&bytes).map_or(Received::Undecodable, Received::Frame),
            None => Received::Lost,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let is_last = self.link.routes.remove(&self.channel, self.id);
        // Without a runtime the process is ending.
        if let Some(runtime) = Handle::try_current().ok().filter(|_| is_last) {
            let (link, channel) = (Arc::clone(&self.link), std::mem::take(&mut self.channel));
            runtime.spawn(async move { link.unsubscribe(&channel).await });
        }
    }
}
