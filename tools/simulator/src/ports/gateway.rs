//! The ports as a simulated gateway sees them.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use uuid::Uuid;

use super::{queue::FaultyQueue, store::FaultyStore};
use crate::{
    fault::Fault,
    gateway::{
        Situation,
        log::{CallKind, CallLog},
    },
    injector::{Call, Injector, never},
    topology::{Place, Port},
    workload::visits::REFUSED,
};
use inventory_worker::{
    adapters::memory::MemorySnapshots,
    domain::{Action, CommandKey, PoolId},
    message::{self, RESERVED_SOURCES},
    ports::{
        Backlog, BatchAnswer, Delivery, LoadRequest, OutgoingMessage, Page, PageCursor, PortError,
        Queue, QueueLimits, ReadSet, ReadStore, ReceiptHandle, ReceiveRequest, ScanStore,
        SnapshotStore, Table, snapshots::StoredSnapshot,
    },
};

/// The tables, as one gateway sees them.
pub(crate) struct GatewayStore {
    injector: Arc<Injector>,
    inner: FaultyStore,
    log: Arc<CallLog>,
}

impl GatewayStore {
    pub(crate) fn new(injector: &Arc<Injector>, log: &Arc<CallLog>) -> Self {
        let inner = FaultyStore(Arc::clone(injector));
        Self { injector: Arc::clone(injector), inner, log: Arc::clone(log) }
    }

    /// Reads a page, at a moment of its own.
    async fn page(
        &self,
        pool: &PoolId,
        read: impl Future<Output = Result<Page, PortError>>,
    ) -> Result<Page, PortError> {
        let mut span = self.log.begin(CallKind::Page);
        let work = async {
            if self.injector.happens(Fault::SlowPages) {
                self.injector.world.count(Some(Fault::SlowPages));
                let by = self.injector.with_rng(|rng| rng.u64(100..=4_000));
                tokio::time::sleep(Duration::from_millis(by)).await;
            }
            match self.injector.world.troubles.page(pool) {
                Some(error) => Err(error),
                None => read.await,
            }
        };
        let call = Call::new(Port::Store, "page");
        let page = self.injector.around(call, pool, work, never).await;
        span.is_ok = page.is_ok();
        page
    }
}

#[async_trait]
impl ReadStore for GatewayStore {
    async fn load(&self, wanted: &LoadRequest) -> Result<ReadSet, PortError> {
        let kind = if wanted.ledger.is_empty() { CallKind::Point } else { CallKind::Ledger };
        let mut span = self.log.begin(kind);
        let loaded = self.inner.load(wanted).await;
        span.is_ok = loaded.is_ok();
        loaded
    }

    async fn ping(&self) -> Result<(), PortError> {
        Ok(())
    }
}

#[async_trait]
impl ScanStore for GatewayStore {
    async fn scan(&self, table: Table, from: Option<&PageCursor>) -> Result<Page, PortError> {
        self.inner.scan(table, from).await
    }

    async fn seats(
        &self,
        event_id: u64,
        from: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page, PortError> {
        self.page(&PoolId::Event(event_id), self.inner.seats(event_id, from, limit)).await
    }

    async fn lines(
        &self,
        pool: &PoolId,
        from: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page, PortError> {
        self.page(pool, self.inner.lines(pool, from, limit)).await
    }
}

/// What gateways read for one another, as one gateway sees it.
pub(crate) struct GatewaySnapshots {
    inner: Arc<MemorySnapshots>,
    log: Arc<CallLog>,
}

impl GatewaySnapshots {
    pub(crate) fn new(inner: &Arc<MemorySnapshots>, log: &Arc<CallLog>) -> Self {
        Self { inner: Arc::clone(inner), log: Arc::clone(log) }
    }
}

#[async_trait]
impl SnapshotStore for GatewaySnapshots {
    async fn get(&self, pool: &PoolId) -> Result<Option<StoredSnapshot>, PortError> {
        self.inner.get(pool).await
    }

    async fn claim(&self, pool: &PoolId) -> Result<bool, PortError> {
        // Where another has it, waiting for what that one reads is this one's read.
        let mut span = self.log.begin(CallKind::Page);
        span.is_ok = true;
        self.inner.claim(pool).await
    }

    async fn release(&self, pool: &PoolId) -> Result<(), PortError> {
        self.inner.release(pool).await
    }

    async fn put(&self, pool: &PoolId, bytes: &[u8], age: Duration) -> Result<(), PortError> {
        self.inner.put(pool, bytes, age).await
    }
}

/// A queue of commands, as one gateway sees it.
pub(crate) struct GatewayQueue {
    injector: Arc<Injector>,
    inner: FaultyQueue,
    log: Arc<CallLog>,
}

impl GatewayQueue {
    pub(crate) fn new(injector: &Arc<Injector>, log: &Arc<CallLog>, index: usize) -> Option<Self> {
        let queue = Arc::clone(injector.world.queues.get(index)?);
        let inner = FaultyQueue::new(Arc::clone(injector), queue, Place::Commands(index));
        Some(Self { injector: Arc::clone(injector), inner, log: Arc::clone(log) })
    }

    /// Checks that it is made of commands that a caller may send. Returns their identities.
    fn check(&self, message: &OutgoingMessage) -> Vec<CommandKey> {
        let bodies = match message::is_batch(&message.body) {
            true => message::split_batch(&message.body).unwrap_or_default(),
            false => vec![message.body.as_str()],
        };
        if bodies.len() > 1 {
            self.injector.world.cover(Situation::Gathered);
        }
        let mut keys = Vec::new();
        bodies.iter().for_each(|body| keys.extend(self.check_command(body)));
        // Where its clock is set back, so are the ids that it makes.
        let is_clock_steady = self.injector.world.profile.rate(Fault::Skew) == 0;
        if bodies.is_empty() || is_clock_steady && !is_in_order(&keys) {
            let detail = format!("a gateway posts commands out of order: {}", message.body);
            self.injector.world.history().fail("order-posted", detail);
        }
        keys
    }

    fn check_command(&self, body: &str) -> Option<CommandKey> {
        let mut key = None;
        let problem = match message::decode(body) {
            Err(_) => "what is no command",
            Ok(decoded) => {
                let command = decoded.command;
                self.log.send(&command.key);
                key = Some(command.key.clone());
                if matches!(command.action, Action::Expire(_)) {
                    "an expire"
                } else if command.key.source.as_str().starts_with(RESERVED_SOURCES) {
                    "a source of the workers"
                } else if command.key.id.as_str().starts_with(REFUSED) {
                    "what it must refuse"
                } else if matches!(command.action, Action::Reserve(_)) && command.deadline.is_none()
                {
                    "a reserve without a last moment"
                } else {
                    return key;
                }
            }
        };
        let detail = format!("a gateway posts {problem}: {body}");
        self.injector.world.history().fail("posted", detail);
        key
    }

    fn sends_only<T>(&self) -> Result<T, PortError> {
        Err(PortError::Refused(format!("{} is sent to, and no more", self.name())))
    }
}

/// Whether the ids that the gateway made, whose commands do not wait for the ledger, are in the
/// order in which it made them.
fn is_in_order(keys: &[CommandKey]) -> bool {
    let made = keys.iter().filter_map(|key| Uuid::try_parse(key.id.as_str()).ok());
    made.filter_map(|id| id.get_timestamp()).map(|at| at.to_unix()).is_sorted()
}

#[async_trait]
impl Queue for GatewayQueue {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn send(&self, messages: &[OutgoingMessage]) -> Result<BatchAnswer<String>, PortError> {
        let sent: Vec<_> = messages.iter().map(|message| self.check(message)).collect();
        // A caller that gave up leaves its message on the way: no history ends before.
        let _on_its_way = self.injector.world.in_transit();
        let mut span = self.log.begin(CallKind::Send);
        let answers = self.inner.send(messages).await;
        span.is_ok = answers.as_ref().is_ok_and(|answers| answers.iter().all(Result::is_ok));
        for (place, keys) in sent.iter().enumerate() {
            let is_taken =
                answers.as_ref().is_ok_and(|all| all.get(place).is_some_and(Result::is_ok));
            keys.iter().filter(|_| !is_taken).for_each(|key| self.log.fail(key));
        }
        answers
    }

    async fn receive(&self, _: &ReceiveRequest) -> Result<Vec<Delivery>, PortError> {
        self.sends_only()
    }

    async fn change_visibility(
        &self,
        _: &[(ReceiptHandle, Duration)],
    ) -> Result<BatchAnswer, PortError> {
        self.sends_only()
    }

    async fn delete(&self, _: &[ReceiptHandle]) -> Result<BatchAnswer, PortError> {
        self.sends_only()
    }

    async fn limits(&self) -> Result<QueueLimits, PortError> {
        self.inner.limits().await
    }

    async fn backlog(&self) -> Result<Backlog, PortError> {
        self.inner.backlog().await
    }
}
