//! Ports that count their calls, and optionally delay them to model real services.
//!
//! They wrap any adapter, for the demo, the counting test and the bench. A call is counted when it
//! is made, whatever its outcome. A call that requests nothing (no names, no receipts, no keys)
//! reaches no server, and is neither counted nor delayed.

mod counts;
mod latency;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use uuid::Uuid;

pub use counts::{Call, CallCounts};
pub use latency::{Latency, LatencyModel};

use crate::{
    domain::{PoolId, Timestamp},
    ports::{
        Attempt, AttemptStore, Backlog, BatchAnswer, CommitError, CommitStore, Consumed, Delivery,
        Entropy, ExpiredPage, ExpiryIndex, ExpiryQuery, Lease, LeaseStore, Leases, LoadRequest,
        Locks, OutgoingMessage, Page, PageCursor, PortError, Publication, Publisher, Queue,
        QueueLimits, ReadSet, ReadStore, ReceiptHandle, ReceiveRequest, ScanStore, Store, Table,
        Transaction,
    },
};

/// State shared by the wrapped ports of one program.
pub struct Instrumentation {
    counts: Arc<CallCounts>,
    delay: Option<Delay>,
}

struct Delay {
    model: LatencyModel,
    entropy: Arc<dyn Entropy>,
    carry: latency::Carry,
}

impl Instrumentation {
    /// Counts, and delays nothing.
    #[must_use]
    pub fn counting(counts: Arc<CallCounts>) -> Arc<Self> {
        Arc::new(Self { counts, delay: None })
    }

    /// Counts, and delays each call by the model's latency before it is made; a receive is delayed
    /// after.
    #[must_use]
    pub fn delaying(
        counts: Arc<CallCounts>,
        model: LatencyModel,
        entropy: Arc<dyn Entropy>,
    ) -> Arc<Self> {
        let delay = (!model.is_zero()).then(|| Delay { model, entropy, carry: Default::default() });
        Arc::new(Self { counts, delay })
    }

    async fn call(&self, call: Call) {
        self.counts.call(call);
        self.delay(call).await;
    }

    async fn delay(&self, call: Call) {
        if let Some(delay) = &self.delay {
            let time = delay.carry.whole(delay.model.draw(call, &*delay.entropy));
            if !time.is_zero() {
                tokio::time::sleep(time).await;
            }
        }
    }

    async fn call_with(&self, call: Call, entries: usize) {
        if entries > 0 {
            self.counts.carried(call, entries);
            self.call(call).await;
        }
    }
}

impl fmt::Debug for Instrumentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = self.delay.as_ref().map(|delay| &delay.model);
        f.debug_struct("Instrumentation")
            .field("counts", &self.counts)
            .field("model", &model)
            .finish()
    }
}

macro_rules! observed {
    ($(#[$doc:meta])* $name:ident, $port:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name {
            port: Arc<dyn $port>,
            observer: Arc<Instrumentation>,
        }

        impl $name {
            /// Wraps a port.
            #[must_use]
            pub fn new(port: Arc<dyn $port>, observer: Arc<Instrumentation>) -> Self {
                Self { port, observer }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

observed!(/// A queue that counts.
    InstrumentedQueue, Queue);
observed!(/// Tables that count.
    InstrumentedStore, Store);
observed!(/// Locks that count.
    InstrumentedLocks, Locks);
observed!(/// A topic that counts.
    InstrumentedPublisher, Publisher);

#[async_trait]
impl Queue for InstrumentedQueue {
    fn name(&self) -> &str {
        self.port.name()
    }

    async fn receive(&self, request: &ReceiveRequest) -> Result<Vec<Delivery>, PortError> {
        self.observer.counts.call(Call::Receive);
        // A long poll that waits at the queue still has to transfer what arrives: the receive's
        // latency is added to its wait.
        let received = self.port.receive(request).await;
        self.observer.delay(Call::Receive).await;
        let deliveries = received?;
        self.observer.counts.carried(Call::Receive, deliveries.len());
        Ok(deliveries)
    }

    async fn change_visibility(
        &self,
        changes: &[(ReceiptHandle, Duration)],
    ) -> Result<BatchAnswer, PortError> {
        self.observer.call_with(Call::ChangeVisibility, changes.len()).await;
        self.port.change_visibility(changes).await
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<BatchAnswer, PortError> {
        self.observer.call_with(Call::Delete, receipts.len()).await;
        self.port.delete(receipts).await
    }

    async fn send(&self, messages: &[OutgoingMessage]) -> Result<BatchAnswer<String>, PortError> {
        self.observer.call_with(Call::Send, messages.len()).await;
        self.port.send(messages).await
    }

    async fn limits(&self) -> Result<QueueLimits, PortError> {
        self.observer.call(Call::Backlog).await;
        self.port.limits().await
    }

    async fn backlog(&self) -> Result<Backlog, PortError> {
        self.observer.call(Call::Backlog).await;
        self.port.backlog().await
    }
}

#[async_trait]
impl ReadStore for InstrumentedStore {
    async fn load(&self, wanted: &LoadRequest) -> Result<ReadSet, PortError> {
        self.observer.call_with(Call::Load, wanted.len()).await;
        self.port.load(wanted).await
    }

    async fn ping(&self) -> Result<(), PortError> {
        self.observer.call(Call::Ping).await;
        self.port.ping().await
    }
}

#[async_trait]
impl ScanStore for InstrumentedStore {
    async fn scan(&self, table: Table, from: Option<&PageCursor>) -> Result<Page, PortError> {
        self.observer.call(Call::Scan).await;
        let page = self.port.scan(table, from).await?;
        self.observer.counts.carried(Call::Scan, page.records.len());
        Ok(page)
    }

    async fn seats(
        &self,
        event_id: u64,
        from: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page, PortError> {
        self.observer.call(Call::Query).await;
        let page = self.port.seats(event_id, from, limit).await?;
        self.observer.counts.carried(Call::Query, page.records.len());
        Ok(page)
    }

    async fn lines(
        &self,
        pool: &PoolId,
        from: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page, PortError> {
        self.observer.call(Call::Query).await;
        let page = self.port.lines(pool, from, limit).await?;
        self.observer.counts.carried(Call::Query, page.records.len());
        Ok(page)
    }
}

#[async_trait]
impl ExpiryIndex for InstrumentedStore {
    async fn expired(&self, query: &ExpiryQuery) -> Result<ExpiredPage, PortError> {
        self.observer.call(Call::Query).await;
        let page = self.port.expired(query).await?;
        self.observer.counts.carried(Call::Query, page.holds.len());
        Ok(page)
    }
}

#[async_trait]
impl CommitStore for InstrumentedStore {
    async fn commit(
        &self,
        transaction: &Transaction,
        token: Uuid,
    ) -> Result<Consumed, CommitError> {
        let (writes, checks) = (transaction.writes.len(), transaction.checks.len());
        let call = if (writes, checks) == (1, 0) { Call::Put } else { Call::Commit };
        self.observer.call_with(call, writes.saturating_add(checks)).await;
        self.port.commit(transaction, token).await
    }

    /// A transaction of one condition a table, which prevents it.
    async fn check_writes(&self) -> Result<(), PortError> {
        self.observer.call_with(Call::Commit, Table::ALL.len()).await;
        self.port.check_writes().await
    }
}

#[async_trait]
impl AttemptStore for InstrumentedStore {
    async fn record_attempt(&self, message_id: &str, now: Timestamp) -> Result<Attempt, PortError> {
        self.observer.call_with(Call::Attempt, 1).await;
        self.port.record_attempt(message_id, now).await
    }

    async fn undo_attempt(&self, message_id: &str) -> Result<(), PortError> {
        self.observer.call_with(Call::Attempt, 1).await;
        self.port.undo_attempt(message_id).await
    }

    async fn note_dead_letter(&self, message_id: &str, now: Timestamp) -> Result<(), PortError> {
        self.observer.call_with(Call::Attempt, 1).await;
        self.port.note_dead_letter(message_id, now).await
    }

    async fn has_dead_letter(&self, message_id: &str) -> Result<bool, PortError> {
        self.observer.call_with(Call::Attempt, 1).await;
        self.port.has_dead_letter(message_id).await
    }
}

#[async_trait]
impl LeaseStore for InstrumentedStore {
    async fn leases(&self, task: &str) -> Result<Leases, PortError> {
        self.observer.call_with(Call::Load, 1).await;
        self.port.leases(task).await
    }

    async fn replace_leases(
        &self,
        task: &str,
        version: u64,
        held: &[Lease],
    ) -> Result<bool, PortError> {
        self.observer.call_with(Call::Put, 1).await;
        self.port.replace_leases(task, version, held).await
    }
}

#[async_trait]
impl Locks for InstrumentedLocks {
    async fn acquire(
        &self,
        scope: &str,
        names: &[String],
        token: Uuid,
        ttl: Duration,
    ) -> Result<bool, PortError> {
        self.observer.call_with(Call::Acquire, names.len()).await;
        self.port.acquire(scope, names, token, ttl).await
    }

    async fn release(&self, scope: &str, names: &[String], token: Uuid) -> Result<(), PortError> {
        self.observer.call_with(Call::Release, names.len()).await;
        self.port.release(scope, names, token).await
    }
}

#[async_trait]
impl Publisher for InstrumentedPublisher {
    async fn publish(&self, batch: &[Publication]) -> Result<BatchAnswer, PortError> {
        self.observer.call_with(Call::Publish, batch.len()).await;
        self.port.publish(batch).await
    }
}

#[cfg(test)]
mod tests;
