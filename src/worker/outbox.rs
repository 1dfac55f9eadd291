//! Publishes results, then deletes their messages. Order within a group is kept.
//!
//! Publishes and deletes of different groups share calls; each lane reads only its own answers, and
//! a failure of one lane does not affect the others.

use std::sync::Arc;

use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{
    WorkerContext,
    batcher::{BatchCall, BatchResponse, Batcher, Pending, fits_batch},
    events::Event,
    failure::Failure,
};
use crate::{
    ports::{
        BatchAnswer, EntryError, OutgoingMessage, PortError, Publication, Publisher, Queue,
        ReceiptHandle, publisher, queue::BATCH_ENTRIES_MAX,
    },
    retry::Policy,
};

/// Publishes results to the topic.
pub(super) struct ToTopic(Arc<dyn Publisher>);

impl BatchCall for ToTopic {
    type Entry = Publication;

    const ENTRIES_MAX: usize = publisher::PUBLISH_ENTRIES_MAX;
    const BYTES_MAX: usize = publisher::PUBLISH_BYTES_MAX;

    fn bytes(result: &Publication) -> usize {
        result.bytes()
    }

    async fn carry(&self, results: &[Publication]) -> Result<BatchAnswer, PortError> {
        self.0.publish(results).await
    }
}

/// Deletes finished messages by their receipts.
pub(super) struct ToQueue(Arc<dyn Queue>);

impl BatchCall for ToQueue {
    type Entry = ReceiptHandle;

    const ENTRIES_MAX: usize = BATCH_ENTRIES_MAX;
    /// SQS limits a DeleteMessageBatch by its number of entries alone.
    const BYTES_MAX: usize = usize::MAX;

    fn bytes(_: &ReceiptHandle) -> usize {
        0
    }

    async fn carry(&self, receipts: &[ReceiptHandle]) -> Result<BatchAnswer, PortError> {
        self.0.delete(receipts).await
    }
}

/// Publishes results, shared by every lane of the worker.
pub(super) type Publishing = Arc<Batcher<ToTopic>>;

/// Creates the publisher for the worker of this context.
pub(super) fn publishing(context: &WorkerContext) -> Publishing {
    Arc::new(Batcher::new(ToTopic(Arc::clone(&context.publisher)), context.settings.linger))
}

/// Publishes and deletes for the lanes of one queue.
#[derive(Clone)]
pub(super) struct Outbox {
    context: Arc<WorkerContext>,
    publishing: Publishing,
    deleting: Arc<Batcher<ToQueue>>,
}

/// Announces a batch to the outbox. Calls wait for it, up to the linger time.
pub(super) struct Announcement {
    publish: Option<Pending<ToTopic>>,
    delete: Option<Pending<ToQueue>>,
    /// Held until its messages are about to be deleted.
    place: Option<OwnedSemaphorePermit>,
}

impl Announcement {
    /// Adds an isolation slot. The slot is freed once the outcome is published, before the delete
    /// answers: the followers may be received before that.
    pub(super) fn in_place(self, place: Option<OwnedSemaphorePermit>) -> Self {
        Self { place, ..self }
    }

    /// Takes the isolation slot, to be held for longer.
    pub(super) fn take_place(&mut self) -> Option<OwnedSemaphorePermit> {
        self.place.take()
    }
}

impl Outbox {
    /// The outbox for lanes of `queue`.
    pub(super) fn new(
        context: &Arc<WorkerContext>,
        publishing: &Publishing,
        queue: Arc<dyn Queue>,
    ) -> Self {
        let deleting = Arc::new(Batcher::new(ToQueue(queue), context.settings.linger));
        Self { context: Arc::clone(context), publishing: Arc::clone(publishing), deleting }
    }

    /// Announces a batch.
    pub(super) fn expect(&self) -> Announcement {
        Announcement {
            publish: Some(self.publishing.expect()),
            delete: Some(self.deleting.expect()),
            place: None,
        }
    }

    /// Publishes results of one group in order. Returns how many were published, and why no more.
    pub(super) async fn publish(
        &self,
        results: Vec<Publication>,
        announcement: &mut Announcement,
    ) -> (usize, Option<Failure>) {
        let begun = Instant::now();
        let (out, failure) = self.publish_in_order(results, announcement).await;
        self.context.observer.observe(&match failure {
            None => Event::Published { took: begun.elapsed() },
            Some(_) => Event::PublishFailed,
        });
        (out, failure)
    }

    async fn publish_in_order(
        &self,
        mut results: Vec<Publication>,
        announcement: &mut Announcement,
    ) -> (usize, Option<Failure>) {
        let mut expected = announcement.publish.take();
        let mut backoff = Policy::ENTRIES.start();
        let mut out = 0;
        while !results.is_empty() {
            let later = results.split_off(fits_batch::<ToTopic>(&results));
            let BatchResponse { mut entries, answer } =
                self.publishing.carry(results, expected.take()).await;
            // Entries published after a failed one are published again, in order, and are
            // recognised by their ids: what counts is the prefix that is in order.
            let (sent, failure) = match answer {
                Ok(answers) => {
                    let sent = answers.iter().take_while(|answer| answer.is_ok()).count();
                    (sent, answers.into_iter().find_map(Result::err).map(publish_failure))
                }
                // The client library has already retried the call; there is no second retry layer.
                Err(error) => return (out, Some(error.into())),
            };
            out += sent;
            if sent > 0 {
                backoff.reset();
            }
            entries.drain(..sent.min(entries.len()));
            entries.extend(later);
            results = entries;
            let Some(failure) = failure else { continue };
            let is_final = !matches!(failure, Failure::Unavailable(_))
                || self.context.shutdown.working.is_cancelled();
            if is_final || !backoff.wait(&*self.context.entropy).await {
                return (out, Some(failure));
            }
        }
        (out, None)
    }

    /// Deletes messages. One that cannot be deleted is received again and found in the ledger.
    pub(super) async fn delete(
        &self,
        mut receipts: Vec<ReceiptHandle>,
        announcement: &mut Announcement,
    ) -> NotDeleted {
        announcement.place = None;
        let mut expected = announcement.delete.take();
        let mut failures = Vec::new();
        let mut backoff = Policy::ENTRIES.start();
        while !receipts.is_empty() {
            let later = receipts.split_off(fits_batch::<ToQueue>(&receipts));
            let response = self.deleting.carry(receipts, expected.take()).await;
            let (again, mut failed) = sort_out(response);
            let is_over = !again.is_empty()
                && (self.context.shutdown.working.is_cancelled()
                    || !backoff.wait(&*self.context.entropy).await);
            receipts = later;
            match is_over {
                true => failures.extend(again),
                false => receipts.extend(again.into_iter().map(|(receipt, _)| receipt)),
            }
            failures.append(&mut failed);
        }
        failures
    }
}

fn publish_failure(error: EntryError) -> Failure {
    match error {
        EntryError::LeaseLost => Failure::Unavailable("the topic spoke of leases".to_owned()),
        error => error.into(),
    }
}

/// Receipts whose messages were not deleted, with the reason.
type NotDeleted = Vec<(ReceiptHandle, Failure)>;

/// The entries worth a retry, and the final failures.
fn sort_out(response: BatchResponse<ReceiptHandle>) -> (NotDeleted, NotDeleted) {
    let BatchResponse { entries, answer } = response;
    let answers = match answer {
        Ok(answers) => answers,
        // The client library has already retried the call; there is no second retry layer.
        Err(error) => {
            let failure = Failure::from(error);
            let failed = entries.into_iter().map(|receipt| (receipt, failure.clone()));
            return (Vec::new(), failed.collect());
        }
    };
    let answers = entries.into_iter().zip(answers);
    let failed = answers.filter_map(|(receipt, answer)| Some((receipt, answer.err()?.into())));
    failed.partition(|(_, failure)| matches!(failure, Failure::Unavailable(_)))
}

/// Sends one message and checks that the queue accepted it.
pub(super) async fn send_one(queue: &dyn Queue, message: OutgoingMessage) -> Result<(), Failure> {
    let answers = queue.send(std::slice::from_ref(&message)).await?;
    match answers.into_iter().next() {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(Failure::Unavailable(error.to_string())),
        None => {
            Err(PortError::Unavailable("the queue left a message unanswered".to_owned()).into())
        }
    }
}
