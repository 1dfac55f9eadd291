//! Queues that a worker with an injected bug misuses.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;

use crate::{injector::Injector, topology::Port};
use inventory_worker::{
    ports::{
        Backlog, BatchAnswer, Delivery, OutgoingMessage, PortError, Queue, QueueLimits,
        ReceiptHandle, ReceiveRequest,
        queue::{BATCH_ENTRIES_MAX, text_attribute},
    },
    worker::{
        QueuePair,
        dead_letters::{ORIGINAL_MESSAGE_ID, REASON, Reason},
    },
};

/// A queue and its dead-letter queue, as a worker with an injected bug uses them.
pub(super) fn queue_pair(pair: QueuePair, injector: &Arc<Injector>) -> QueuePair {
    let queue = Arc::new(BuggyQueue {
        inner: pair.queue,
        injector: Arc::clone(injector),
        receives: AtomicU64::default(),
        batches: Mutex::default(),
    });
    let dead_letters =
        Arc::new(BuggyDeadLetters { inner: pair.dead_letters, queue: Arc::clone(&queue) });
    QueuePair { queue, dead_letters, kind: pair.kind }
}

/// A queue of commands.
struct BuggyQueue {
    inner: Arc<dyn Queue>,
    injector: Arc<Injector>,
    receives: AtomicU64,
    /// By message id: the receipt, and the messages behind it in its last receive and group.
    batches: Mutex<BTreeMap<String, (ReceiptHandle, Vec<Delivery>)>>,
}

impl BuggyQueue {
    fn note_batches(&self, received: &[Delivery]) {
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, head) in (1..).zip(received) {
            let behind = received.iter().skip(number).filter(|other| other.group == head.group);
            let batch = (head.receipt.clone(), behind.cloned().collect());
            batches.insert(head.message_id.clone(), batch);
        }
    }

    /// The messages received behind this one.
    fn followers(&self, message_id: &str) -> Vec<Delivery> {
        let batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        batches.get(message_id).map(|(_, followers)| followers.clone()).unwrap_or_default()
    }

    /// The messages received behind these, except for these.
    fn undecided(&self, receipts: &[ReceiptHandle]) -> Vec<ReceiptHandle> {
        let batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        let heads = batches.values().filter(|(receipt, _)| receipts.contains(receipt));
        let mut behind: Vec<ReceiptHandle> = heads
            .flat_map(|(_, followers)| followers)
            .map(|follower| follower.receipt.clone())
            .filter(|receipt| !receipts.contains(receipt))
            .collect();
        behind.sort_unstable();
        behind.dedup();
        behind
    }

    async fn delete_all(&self, receipts: &[ReceiptHandle]) {
        for receipts in receipts.chunks(BATCH_ENTRIES_MAX) {
            let _ = self.inner.delete(receipts).await;
        }
    }

    fn is_outage(&self) -> bool {
        [Port::Store, Port::Topic].iter().any(|port| self.injector.world.is_out(*port))
    }
}

/// Whether the call releases messages and extends no lease.
fn is_release(changes: &[(ReceiptHandle, Duration)]) -> bool {
    changes.iter().any(|(_, by)| by.is_zero())
}

#[async_trait]
impl Queue for BuggyQueue {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn receive(&self, request: &ReceiveRequest) -> Result<Vec<Delivery>, PortError> {
        let mut request = request.clone();
        if inventory_worker::injected_bug!(FreshAttemptId) {
            let number = self.receives.fetch_add(1, Ordering::Relaxed);
            request.attempt_id = format!("{}-{number}", request.attempt_id);
        }
        let mut received = self.inner.receive(&request).await?;
        self.note_batches(&received);
        if inventory_worker::injected_bug!(SkipOverFailed) {
            let is_last = |delivery: &Delivery| self.followers(&delivery.message_id).is_empty();
            received.retain(|delivery| delivery.receive_count != 2 || is_last(delivery));
        }
        Ok(received)
    }

    async fn change_visibility(
        &self,
        changes: &[(ReceiptHandle, Duration)],
    ) -> Result<BatchAnswer, PortError> {
        let mut changes = changes.to_vec();
        if inventory_worker::injected_bug!(DropOnOutage) && is_release(&changes) && self.is_outage()
        {
            let receipts: Vec<ReceiptHandle> =
                changes.into_iter().map(|(receipt, _)| receipt).collect();
            return self.inner.delete(&receipts).await;
        }
        if inventory_worker::injected_bug!(DelayLast)
            && is_release(&changes)
            && let [(_, first), .., (_, last)] = &mut changes[..]
        {
            std::mem::swap(first, last);
        }
        self.inner.change_visibility(&changes).await
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<BatchAnswer, PortError> {
        if inventory_worker::injected_bug!(DeleteUndecided) {
            self.delete_all(&self.undecided(receipts)).await;
        }
        self.inner.delete(receipts).await
    }

    async fn send(&self, messages: &[OutgoingMessage]) -> Result<BatchAnswer<String>, PortError> {
        let mut messages = messages.to_vec();
        if inventory_worker::injected_bug!(ExpiryWithoutStep) {
            for id in messages.iter_mut().filter_map(|message| message.deduplication_id.as_mut()) {
                let step = id.rfind(':').unwrap_or(id.len());
                id.truncate(step);
            }
        }
        self.inner.send(&messages).await
    }

    async fn limits(&self) -> Result<QueueLimits, PortError> {
        self.inner.limits().await
    }

    async fn backlog(&self) -> Result<Backlog, PortError> {
        self.inner.backlog().await
    }
}

/// The dead-letter queue of a queue of commands.
struct BuggyDeadLetters {
    inner: Arc<dyn Queue>,
    queue: Arc<BuggyQueue>,
}

impl BuggyDeadLetters {
    /// Copies of the messages received behind the copied one, and their receipts.
    fn copies_of_followers(
        &self,
        copy: &OutgoingMessage,
    ) -> (Vec<OutgoingMessage>, Vec<ReceiptHandle>) {
        let original = text_attribute(&copy.attributes, ORIGINAL_MESSAGE_ID);
        let followers = original.map(|id| self.queue.followers(id)).unwrap_or_default();
        let copy_of = |follower: Delivery| {
            let mut attributes = copy.attributes.clone();
            let original = follower.message_id.as_str().into();
            attributes.insert(ORIGINAL_MESSAGE_ID.to_owned(), original);
            let copy = OutgoingMessage {
                group: follower.group,
                body: follower.body,
                deduplication_id: Some(follower.message_id),
                attributes,
            };
            (copy, follower.receipt)
        };
        followers.into_iter().map(copy_of).unzip()
    }
}

fn has_reason(copy: &OutgoingMessage, reasons: &[Reason]) -> bool {
    let stated = text_attribute(&copy.attributes, REASON);
    reasons.iter().any(|reason| stated.is_some_and(|stated| stated == reason.as_str()))
}

/// Whether the message could be read.
fn is_readable(copy: &OutgoingMessage) -> bool {
    has_reason(copy, &[Reason::Poison, Reason::Retention, Reason::Receives])
}

#[async_trait]
impl Queue for BuggyDeadLetters {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn receive(&self, request: &ReceiveRequest) -> Result<Vec<Delivery>, PortError> {
        self.inner.receive(request).await
    }

    async fn change_visibility(
        &self,
        changes: &[(ReceiptHandle, Duration)],
    ) -> Result<BatchAnswer, PortError> {
        self.inner.change_visibility(changes).await
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<BatchAnswer, PortError> {
        self.inner.delete(receipts).await
    }

    async fn send(&self, messages: &[OutgoingMessage]) -> Result<BatchAnswer<String>, PortError> {
        if inventory_worker::injected_bug!(DropUnreadable) && !messages.iter().any(is_readable) {
            return Ok(messages.iter().map(|_| Ok("dropped".to_owned())).collect());
        }
        let mut messages = messages.to_vec();
        if inventory_worker::injected_bug!(CopyByContent) {
            messages.iter_mut().for_each(|copy| copy.deduplication_id = None);
        }
        let answers = self.inner.send(&messages).await?;
        if inventory_worker::injected_bug!(DeadLetterFollowers) {
            for copy in messages.iter().filter(|copy| has_reason(copy, &[Reason::Poison])) {
                let (copies, receipts) = self.copies_of_followers(copy);
                if !copies.is_empty() {
                    let _ = self.inner.send(&copies).await;
                    self.queue.delete_all(&receipts).await;
                }
            }
        }
        Ok(answers)
    }

    async fn limits(&self) -> Result<QueueLimits, PortError> {
        self.inner.limits().await
    }

    async fn backlog(&self) -> Result<Backlog, PortError> {
        self.inner.backlog().await
    }
}
