//! Ports that hold no data, so that all memory measured is the worker's.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use uuid::Uuid;

use super::load;
use inventory_worker::{
    domain::{InvalidText, PoolId, Timestamp},
    ports::{
        Attempt, AttemptStore, Backlog, BatchAnswer, Clock, CommitError, CommitStore, Consumed,
        Delivery, ExpiredPage, ExpiryIndex, ExpiryQuery, Lease, LeaseStore, Leases, LoadRequest,
        OutgoingMessage, Page, PageCursor, PortError, Publication, Publisher, Queue, QueueLimits,
        ReadSet, ReadStore, ReceiptHandle, ReceiveRequest, ScanStore, Table, Transaction,
    },
};

/// Seats of the event; reserves ask for them in turn.
const SEATS: usize = 100_000;

/// A backlog generated as it is received: each receive returns the messages of a new group.
/// Messages sent to it are discarded.
pub(super) struct SyntheticQueue {
    clock: Arc<dyn Clock>,
    backlog: usize,
    body: Option<Arc<str>>,
    received: AtomicUsize,
    deleted: AtomicUsize,
}

impl SyntheticQueue {
    pub(super) fn new(backlog: usize, clock: Arc<dyn Clock>) -> Self {
        let (received, deleted) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { clock, backlog, body: None, received, deleted }
    }

    /// A backlog of one body, one message per receive.
    pub(super) fn of(body: Arc<str>, backlog: usize, clock: Arc<dyn Clock>) -> Self {
        Self { body: Some(body), ..Self::new(backlog, clock) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.deleted.load(Ordering::Relaxed) >= self.backlog
    }

    fn delivery(&self, number: usize, first: usize) -> Result<Delivery, InvalidText> {
        let now = self.clock.now();
        let group = format!("event-{}/{first}", load::EVENT).parse()?;
        let body = match &self.body {
            Some(body) => body.to_string(),
            None => {
                let pool = PoolId::Event(load::EVENT);
                load::message(number, &group, pool, load::reserve(number % SEATS)?, now)?.body
            }
        };
        Ok(Delivery {
            message_id: Uuid::from_u128(number as u128).to_string(),
            receipt: ReceiptHandle(number.to_string()),
            group,
            sequence: number.to_string(),
            sent_at: now,
            receive_count: 1,
            body,
            attributes: BTreeMap::new(),
        })
    }
}

fn made_up_wrongly(error: InvalidText) -> PortError {
    PortError::Refused(error.to_string())
}

#[async_trait]
impl Queue for SyntheticQueue {
    fn name(&self) -> &str {
        "made-up.fifo"
    }

    async fn receive(&self, request: &ReceiveRequest) -> Result<Vec<Delivery>, PortError> {
        let max = if self.body.is_some() { 1 } else { request.max };
        let first = self.received.fetch_add(max, Ordering::Relaxed);
        let end = (first + max).min(self.backlog);
        if first >= end {
            tokio::time::sleep(request.wait).await;
            return Ok(Vec::new());
        }
        (first..end).map(|n| self.delivery(n, first).map_err(made_up_wrongly)).collect()
    }

    async fn change_visibility(
        &self,
        changes: &[(ReceiptHandle, Duration)],
    ) -> Result<BatchAnswer, PortError> {
        Ok(changes.iter().map(|_| Ok(())).collect())
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<BatchAnswer, PortError> {
        self.deleted.fetch_add(receipts.len(), Ordering::Relaxed);
        Ok(receipts.iter().map(|_| Ok(())).collect())
    }

    async fn send(&self, messages: &[OutgoingMessage]) -> Result<BatchAnswer<String>, PortError> {
        Ok(messages.iter().map(|_| Ok(String::new())).collect())
    }

    async fn limits(&self) -> Result<QueueLimits, PortError> {
        Ok(QueueLimits::default())
    }

    async fn backlog(&self) -> Result<Backlog, PortError> {
        let done = self.deleted.load(Ordering::Relaxed);
        let visible = u64::try_from(self.backlog.saturating_sub(done)).unwrap_or(u64::MAX);
        Ok(Backlog { visible, in_flight: 0 })
    }
}

/// A store where every seat is available and no other item exists, whatever was written.
pub(super) struct BlankStore;

#[async_trait]
impl ReadStore for BlankStore {
    async fn load(&self, wanted: &LoadRequest) -> Result<ReadSet, PortError> {
        let seat = load::seat(0, Timestamp::UNIX_EPOCH).map_err(made_up_wrongly)?;
        Ok(ReadSet {
            ledger: wanted.ledger.iter().map(|key| (key.clone(), None)).collect(),
            reservations: wanted.reservations.iter().map(|key| (*key, None)).collect(),
            seats: wanted.seats.iter().map(|key| (key.clone(), Some(seat.clone()))).collect(),
            lines: wanted.lines.iter().map(|key| (key.clone(), None)).collect(),
        })
    }

    async fn ping(&self) -> Result<(), PortError> {
        Ok(())
    }
}

#[async_trait]
impl ScanStore for BlankStore {
    async fn scan(&self, _: Table, _: Option<&PageCursor>) -> Result<Page, PortError> {
        Ok(Page::default())
    }

    async fn seats(&self, _: u64, _: Option<&PageCursor>, _: usize) -> Result<Page, PortError> {
        Ok(Page::default())
    }

    async fn lines(&self, _: &PoolId, _: Option<&PageCursor>, _: usize) -> Result<Page, PortError> {
        Ok(Page::default())
    }
}

#[async_trait]
impl ExpiryIndex for BlankStore {
    async fn expired(&self, _: &ExpiryQuery) -> Result<ExpiredPage, PortError> {
        Ok(ExpiredPage::default())
    }
}

#[async_trait]
impl CommitStore for BlankStore {
    async fn commit(&self, _: &Transaction, _: Uuid) -> Result<Consumed, CommitError> {
        Ok(Consumed { write_units: BTreeMap::new() })
    }
}

#[async_trait]
impl AttemptStore for BlankStore {
    async fn record_attempt(&self, _: &str, now: Timestamp) -> Result<Attempt, PortError> {
        Ok(Attempt { count: 1, before: now })
    }

    async fn undo_attempt(&self, _: &str) -> Result<(), PortError> {
        Ok(())
    }

    async fn note_dead_letter(&self, _: &str, _: Timestamp) -> Result<(), PortError> {
        Ok(())
    }

    async fn has_dead_letter(&self, _: &str) -> Result<bool, PortError> {
        Ok(false)
    }
}

#[async_trait]
impl LeaseStore for BlankStore {
    async fn leases(&self, _: &str) -> Result<Leases, PortError> {
        Ok(Leases::default())
    }

    async fn replace_leases(&self, _: &str, _: u64, _: &[Lease]) -> Result<bool, PortError> {
        Ok(true)
    }
}

/// A topic without subscribers or memory.
pub(super) struct BlankTopic;

#[async_trait]
impl Publisher for BlankTopic {
    async fn publish(&self, batch: &[Publication]) -> Result<BatchAnswer, PortError> {
        Ok(batch.iter().map(|_| Ok(())).collect())
    }
}
