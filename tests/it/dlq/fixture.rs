//! A queue, its dead-letter queue, and injected faults.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use inventory_worker::{
    adapters::{
        memory::{MemoryQueue, TokioClock},
        system::Random,
    },
    dlq::{Disposition, DlqManager, Options, Run},
    domain::Timestamp,
    ports::{
        Backlog, BatchAnswer, Clock as _, Delivery, EntryError, OutgoingMessage, PortError, Queue,
        ReceiptHandle, ReceiveRequest,
    },
    worker::dead_letters::{DETAIL, FIRST_SENT_AT, ORIGINAL_MESSAGE_ID, REASON, SOURCE_QUEUE},
};
use tokio_util::sync::CancellationToken;

/// The fault of the next call.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The call has no effect; the environment fails.
    Fails,
    /// The call takes effect; the answer is lost.
    LosesAnswer,
    /// The first entry fails; the call has no effect.
    FailsEntry(EntryError),
}

/// A queue with faults.
pub struct FaultyQueue {
    pub inner: Arc<MemoryQueue>,
    ordered: Mutex<BTreeMap<&'static str, VecDeque<Option<Fault>>>>,
    pub stop_at_send: Mutex<Option<CancellationToken>>,
}

impl FaultyQueue {
    fn new(inner: MemoryQueue) -> Arc<Self> {
        let (ordered, stop_at_send) = (Mutex::default(), Mutex::default());
        Arc::new(Self { inner: Arc::new(inner), ordered, stop_at_send })
    }

    pub fn next(&self, call: &'static str, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.ordered.lock().unwrap().entry(call).or_default().extend(faults);
    }

    fn take(&self, call: &str) -> Option<Fault> {
        self.ordered.lock().unwrap().get_mut(call)?.pop_front()?
    }
}

fn down() -> PortError {
    PortError::Unavailable("the service is down".to_owned())
}

#[async_trait]
impl Queue for FaultyQueue {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn receive(&self, request: &ReceiveRequest) -> Result<Vec<Delivery>, PortError> {
        match self.take("receive") {
            None => self.inner.receive(request).await,
            Some(Fault::Fails) => Err(down()),
            Some(other) => panic!("no {other:?} of a receive"),
        }
    }

    async fn change_visibility(
        &self,
        changes: &[(ReceiptHandle, Duration)],
    ) -> Result<BatchAnswer, PortError> {
        match self.take("change_visibility") {
            None => self.inner.change_visibility(changes).await,
            Some(Fault::FailsEntry(error)) => Ok(vec![Err(error); changes.len()]),
            Some(_) => Err(down()),
        }
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<BatchAnswer, PortError> {
        match self.take("delete") {
            None => self.inner.delete(receipts).await,
            Some(Fault::Fails) => Err(down()),
            Some(Fault::LosesAnswer) => {
                self.inner.delete(receipts).await?;
                Err(down())
            }
            Some(Fault::FailsEntry(error)) => Ok(vec![Err(error); receipts.len()]),
        }
    }

    async fn send(&self, messages: &[OutgoingMessage]) -> Result<BatchAnswer<String>, PortError> {
        if let Some(stop) = &*self.stop_at_send.lock().unwrap() {
            stop.cancel();
        }
        match self.take("send") {
            None => self.inner.send(messages).await,
            Some(Fault::Fails) => Err(down()),
            Some(Fault::LosesAnswer) => {
                self.inner.send(messages).await?;
                Err(down())
            }
            Some(Fault::FailsEntry(error)) => Ok(vec![Err(error); messages.len()]),
        }
    }

    async fn limits(&self) -> Result<inventory_worker::ports::QueueLimits, PortError> {
        self.inner.limits().await
    }

    async fn backlog(&self) -> Result<Backlog, PortError> {
        self.inner.backlog().await
    }
}

/// A queue, its dead-letter queue, and the operator's tools.
pub struct Place {
    pub clock: Arc<TokioClock>,
    pub source: Arc<FaultyQueue>,
    pub dead: Arc<FaultyQueue>,
    pub desk: DlqManager,
    sent: Mutex<u32>,
}

impl Place {
    pub fn new() -> Self {
        Self::with_limit(Options::default().limit)
    }

    pub fn with_limit(limit: usize) -> Self {
        let clock = Arc::new(TokioClock::new("2026-11-22T10:00:00Z".parse().unwrap()));
        let dead = FaultyQueue::new(MemoryQueue::new("orders-dlq.fifo", clock.clone()));
        // Three receives, so that a test can exhaust a message's receives.
        let source = MemoryQueue::new("orders.fifo", clock.clone())
            .with_dead_letters(Arc::clone(&dead.inner), 3);
        let source = FaultyQueue::new(source);
        let desk = DlqManager {
            dead_letters: dead.clone(),
            clock: clock.clone(),
            entropy: Arc::new(Random::new()),
            options: Options { limit, ..Options::default() },
            stop: CancellationToken::new(),
        };
        Self { clock, source, dead, desk, sent: Mutex::new(0) }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Adds a dead letter as the worker writes it, of a message sent just now. Returns its id.
    pub fn bury(&self, group: &str, body: &str, reason: &str) -> String {
        self.bury_sent_at(group, body, reason, self.now())
    }

    pub fn bury_sent_at(&self, group: &str, body: &str, reason: &str, sent: Timestamp) -> String {
        let original = {
            let mut number = self.sent.lock().unwrap();
            *number += 1;
            format!("original-{number}")
        };
        let attributes = [
            (FIRST_SENT_AT, sent.to_string()),
            (REASON, reason.to_owned()),
            (DETAIL, "data.seats: expected something else".to_owned()),
            (SOURCE_QUEUE, "orders.fifo".to_owned()),
            (ORIGINAL_MESSAGE_ID, original.clone()),
            ("tenant", "t-1".to_owned()),
        ];
        self.push(&self.dead, group, body, &original, &attributes)
    }

    pub fn push(
        &self,
        queue: &FaultyQueue,
        group: &str,
        body: &str,
        deduplication_id: &str,
        attributes: &[(&str, String)],
    ) -> String {
        let attributes = attributes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_str().into()))
            .collect();
        let message = OutgoingMessage {
            group: group.parse().unwrap(),
            body: body.to_owned(),
            deduplication_id: Some(deduplication_id.to_owned()),
            attributes,
        };
        queue.inner.push(&message).unwrap()
    }

    /// Bodies in the queue, in order.
    pub fn in_source(&self) -> Vec<String> {
        bodies(&self.source.inner)
    }

    /// Bodies in the dead-letter queue, in order. None of them is leased.
    pub fn in_dead(&self) -> Vec<String> {
        let leased = self.dead.inner.messages().iter().any(|one| one.in_flight_until.is_some());
        assert!(!leased, "everything was given back");
        bodies(&self.dead.inner)
    }
}

fn bodies(queue: &MemoryQueue) -> Vec<String> {
    queue.messages().into_iter().map(|message| message.body).collect()
}

/// Ids and fates.
pub fn fates(run: &Run) -> Vec<(&str, &Disposition)> {
    run.handled.iter().map(|one| (one.letter.id.as_str(), &one.fate)).collect()
}

/// Bodies or names `m0`, `m1` and so on.
pub fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number}")).collect()
}

/// A request to receive everything there is, for a moment.
pub fn receive_request(attempt_id: &str) -> ReceiveRequest {
    ReceiveRequest {
        max: 10,
        wait: Duration::ZERO,
        visibility: Duration::from_secs(30),
        attempt_id: attempt_id.to_owned(),
    }
}
