//! One group's batch, in order: decoded, committed, published, deleted; or released.
//!
//! A batch consists of entries: messages, and the commands of messages that hold several.

mod entry;
mod expiries;
mod failure_policy;
mod isolation;
mod last_chance;
mod redelivery_backoff;
mod troubled;

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::{
    QueuePair, ResultBatches, WorkerContext,
    circuit_breaker::{CircuitBreaker, HalfOpenPermits},
    committer,
    dead_letters::{self, Reason},
    decided::{Decided, Leased},
    events::Event,
    failure::Failure,
    lease::Leases,
    outbox::{self, Announcement, Outbox},
    parsing::ParsedMessage,
    permits::BatchPermits,
    trace::{self, Step, Traced, TracedMessage},
};
use crate::{
    domain::{Changes, Outcome, Rejection},
    message::{self, Decoded, ResultMessage, TraceContext, Undecodable},
    ports::{Delivery, Publication, hints::Topic},
};

use entry::LeasedEntry;
use troubled::Admission;

pub use expiries::Deferral;
pub(super) use {
    isolation::{Isolation, UncountedAttempts},
    last_chance::KnownLimits,
    troubled::TroubledPools,
};

/// The state that the lanes of one queue share.
pub(super) struct LaneContext {
    pub(super) context: Arc<WorkerContext>,
    /// For the store and the topic, shared by every queue.
    pub(super) breaker: Arc<CircuitBreaker>,
    pub(super) half_open: HalfOpenPermits,
    /// For the queue and its dead-letter queue.
    pub(super) queue_breaker: Arc<CircuitBreaker>,
    pub(super) queue_half_open: HalfOpenPermits,
    pub(super) limits: Arc<KnownLimits>,
    pub(super) troubled: TroubledPools,
    pub(super) queues: QueuePair,
    pub(super) leases: Arc<Leases>,
    pub(super) uncounted: UncountedAttempts,
    pub(super) isolation: Isolation,
    pub(super) outbox: Outbox,
}

/// The most that the entries of one round weigh: a command one, and as much as the items it names.
/// It bounds the names of one lock script, the reads of one load and the transactions of one commit.
const ROUND_WEIGHT_MAX: usize = 1_200;

/// The progress of a batch: its first entries are settled.
struct Settled {
    done: usize,
    failure: Option<Failure>,
    /// Whether all settled messages were deleted, except those whose lease was lost.
    is_deleted: bool,
    /// Whether it proves that the store and topic work. An unreadable message proves nothing: it
    /// needs no store.
    is_proof: bool,
}

impl Settled {
    fn failed(failure: Failure) -> Self {
        Self { done: 0, failure: Some(failure), is_deleted: true, is_proof: false }
    }

    /// Adds what became of the entries behind those that are settled.
    fn then(&mut self, behind: Self) {
        self.done = self.done.saturating_add(behind.done);
        self.failure = behind.failure;
        self.is_deleted &= behind.is_deleted;
        self.is_proof |= behind.is_proof;
    }
}

/// What must be sent for a message before it may be deleted.
struct Answer {
    /// The result to publish, if any.
    result: Option<Publication>,
    /// Why an unreadable message is copied to the dead-letter queue.
    copy: Option<Rejection>,
}

impl LaneContext {
    /// Handles messages of one group, in order, and releases those it could not finish.
    /// `announcement` announces their first batch to the outbox.
    ///
    /// Leases count from `since`, the start of the receive, which is no later than the queue's own
    /// start. The time of the receive is now, however long it waited.
    pub(super) async fn run(
        self: Arc<Self>,
        deliveries: Vec<Delivery>,
        since: Instant,
        mut permits: BatchPermits,
        announcement: Announcement,
    ) {
        let mut first = Some(announcement);
        let received = Instant::now();
        let mut in_flight = InFlight::enter(Arc::clone(&self.context), deliveries.len());
        let messages = deliveries.len();
        let mut waiting = VecDeque::with_capacity(messages);
        for delivery in deliveries {
            let lease = self.leases.hold(delivery.receipt.clone(), since);
            LeasedEntry::add(&mut waiting, delivery, self.queues.kind, lease, received);
        }
        if self.context.shutdown.receiving.is_cancelled() {
            self.release(waiting.make_contiguous(), Duration::ZERO).await;
            return;
        }
        self.context.observer.observe(&Event::Batch { messages, commands: waiting.len() });
        while let Some(head) = waiting.front() {
            let is_isolated = head.delivery().receive_count > self.context.settings.isolate_after;
            if self.hands_over_before_redrive(&mut waiting).await {
                continue;
            }
            let place = match is_isolated {
                false => None,
                true => match self.isolate(&mut waiting, &mut permits, &mut in_flight).await {
                    None => break,
                    place => place,
                },
            };
            let known = if is_isolated { self.decided_before(&waiting).await } else { 0 };
            let count = match is_isolated {
                true => known.max(1),
                false => self.round(&waiting),
            };
            let batch: Vec<LeasedEntry> = waiting.drain(..count).collect();
            let announcement = first.take().unwrap_or_else(|| self.outbox.expect()).in_place(place);
            let begun = Instant::now();
            let settled = match (is_isolated, known) {
                (true, 0) => self.process_isolated(&batch, announcement).await,
                (true, _) => self.process_known(&batch, announcement).await,
                (false, _) => self.batch(&batch, announcement).await,
            };
            if settled.is_proof || settled.failure.as_ref().is_some_and(Failure::is_answer) {
                self.breaker.record_success();
            }
            if settled.is_deleted && settled.done > 0 {
                self.queue_breaker.record_success();
            }
            if let Some(failure) = settled.failure {
                let mut left: VecDeque<LeasedEntry> =
                    batch.into_iter().skip(settled.done).chain(waiting.drain(..)).collect();
                if let Some(head) = left.front()
                    && let Some(reason) = self.deferral(&failure, head).await
                {
                    let mut announcement = self.outbox.expect();
                    self.defer_expiry(head, reason, &failure.to_string(), &mut announcement).await;
                    left.pop_front();
                    waiting = left;
                    continue;
                }
                if self.hands_over_before_retention(&failure, &mut left).await {
                    waiting = left;
                } else {
                    self.handle_failure(failure, left.make_contiguous(), begun).await;
                }
            }
        }
        drop((permits, in_flight));
        self.undo_attempts().await;
    }

    /// How many entries to decide and commit together: those of the first messages, as far as they
    /// are not too many items; at least one.
    fn round(&self, waiting: &VecDeque<LeasedEntry>) -> usize {
        let messages_max = self.context.settings.batch_messages_max.max(1);
        let (mut messages, mut weight, mut count) = (0, 0_usize, 0);
        let mut last: Option<&LeasedEntry> = None;
        for entry in waiting {
            messages += usize::from(last.is_none_or(|last| !last.is_beside(entry)));
            weight = weight.saturating_add(entry.parsed().weight());
            if messages > messages_max || count > 0 && weight > ROUND_WEIGHT_MAX {
                break;
            }
            (last, count) = (Some(entry), count + 1);
        }
        count
    }

    async fn batch(&self, batch: &[LeasedEntry], announcement: Announcement) -> Settled {
        let pool = batch.iter().find_map(|held| held.parsed().pool());
        let admission = pool.map_or(Admission::Free, |pool| self.troubled.enter(pool));
        if matches!(admission, Admission::Full) {
            return Settled::failed(Failure::PoolFailing);
        }
        let messages =
            batch.iter().map(|held| held.parsed().traced(held.delivery(), held.body().len()));
        let trace =
            Traced::begin(self.context.observer.tracer(), self.queues.queue.name(), messages);
        let settled = trace.scope(Box::pin(self.process_batch(batch, &trace, announcement))).await;
        trace.settled(settled.done, settled.failure.as_ref());
        if let Some(pool) = pool.filter(|_| settled.is_proof) {
            self.troubled.works(pool);
        }
        settled
    }

    async fn process_batch(
        &self,
        batch: &[LeasedEntry],
        trace: &Traced,
        mut announcement: Announcement,
    ) -> Settled {
        let commands: Vec<Leased<'_>> = batch
            .iter()
            .filter_map(|held| match held.parsed() {
                ParsedMessage::Command(decoded) => {
                    Some(Leased { command: &decoded.command, lease: Some(held.lease()) })
                }
                ParsedMessage::Unreadable(_) => None,
            })
            .collect();
        let progress = committer::commit(&self.context, &commands).await;
        let is_proof = !progress.decided.is_empty();
        let (mut answers, failure) = self.answers(batch, trace, progress.decided, progress.failure);
        let copies: Vec<_> = answers.iter_mut().map(|answer| answer.copy.take()).collect();
        let watched = self.results_watched(batch, &answers);
        let (published, publish_failure) = self.publish(batch, answers, &mut announcement).await;
        for (_, topics, body) in watched.into_iter().filter(|(place, ..)| *place < published) {
            self.context.announcer.published(topics, &body);
        }
        // Copies last: a message whose result cannot be published is received again and would be
        // copied again.
        let (done, copy_failure) = self.copy_unreadable(batch, &copies, published).await;
        let is_deleted =
            self.delete(batch.get(..done).unwrap_or_default(), &mut announcement).await;
        let failure = copy_failure.or(publish_failure).or(failure);
        Settled { done, failure, is_deleted, is_proof: is_proof && done > 0 }
    }

    /// The answers of the messages before the first that has none.
    fn answers(
        &self,
        batch: &[LeasedEntry],
        trace: &Traced,
        decided: Vec<Decided>,
        failure: Option<Failure>,
    ) -> (Vec<Answer>, Option<Failure>) {
        let mut decided = decided.into_iter();
        let mut answers = Vec::with_capacity(batch.len());
        for (index, held) in batch.iter().enumerate() {
            let answer = match held.parsed() {
                ParsedMessage::Command(decoded) => match decided.next() {
                    Some(decided) => {
                        self.answer_command(held, decoded, &decided, trace.message(index))
                    }
                    None => return (answers, failure),
                },
                ParsedMessage::Unreadable(undecodable) => {
                    self.answer_unreadable(held, undecodable, trace.message(index))
                }
            };
            answers.push(answer);
        }
        (answers, failure)
    }

    fn answer_command(
        &self,
        held: &LeasedEntry,
        decoded: &Decoded,
        decided: &Decided,
        trace: TracedMessage<'_>,
    ) -> Answer {
        let command = &decoded.command;
        let command_type = command.action.command_type();
        let Decided { outcome, is_replay, .. } = decided;
        let context = trace.decided(outcome, *is_replay, decoded.traceparent.as_ref());
        debug!(
            command = %command.key,
            pool = %command.pool,
            trace_id = context.as_ref().map(TraceContext::trace_id),
            outcome = outcome.result_type(),
            replayed = is_replay,
            "decided"
        );
        self.context.observer.observe(&Event::Decided {
            command_type: Some(command_type),
            outcome: &decided.outcome,
            replayed: decided.is_replay,
            took: held.received().elapsed(),
        });
        let result = message::encode_result(&ResultMessage {
            key: &command.key,
            command_type: command_type.as_str(),
            sequence: Some(&held.delivery().sequence),
            group: &held.delivery().group,
            pool: Some(&command.pool),
            outcome: &decided.outcome,
            changes: &decided.changes,
            decided_at: decided.decided_at,
            message_digest: command.digest,
            traceparent: context.as_ref(),
        });
        Answer { result: Some(result), copy: None }
    }

    fn answer_unreadable(
        &self,
        held: &LeasedEntry,
        undecodable: &Undecodable,
        trace: TracedMessage<'_>,
    ) -> Answer {
        let outcome = Outcome::Rejected { rejection: undecodable.rejection.clone() };
        let context = trace.decided(&outcome, false, undecodable.traceparent.as_ref());
        self.context.observer.observe(&Event::Decided {
            command_type: None,
            outcome: &outcome,
            replayed: false,
            took: held.received().elapsed(),
        });
        let result = undecodable.key.as_ref().map(|key| {
            message::encode_result(&ResultMessage {
                key,
                command_type: undecodable.command_type.as_deref().unwrap_or_default(),
                sequence: Some(&held.delivery().sequence),
                group: &held.delivery().group,
                pool: undecodable.pool.as_ref(),
                outcome: &outcome,
                changes: &Changes::NONE,
                decided_at: self.context.clock.now(),
                message_digest: undecodable.digest,
                traceparent: context.as_ref(),
            })
        });
        Answer { result, copy: Some(undecodable.rejection.clone()) }
    }

    /// The results that somebody watches, each with its place in the batch.
    fn results_watched(
        &self,
        batch: &[LeasedEntry],
        answers: &[Answer],
    ) -> Vec<(usize, BTreeSet<Topic>, Arc<str>)> {
        let results = batch.iter().zip(answers).enumerate();
        let watched = results.filter_map(|(place, (held, answer))| {
            let result = answer.result.as_ref()?;
            let announcer = &self.context.announcer;
            let topics = announcer.results_watched(held.parsed().pool(), result);
            (!topics.is_empty()).then(|| (place, topics, Arc::from(result.body.as_str())))
        });
        watched.collect()
    }

    /// Copies the unreadable messages among the first `published` ones to the dead-letter queue,
    /// before any of them is deleted. Returns how many messages are done, and why no more.
    async fn copy_unreadable(
        &self,
        batch: &[LeasedEntry],
        copies: &[Option<Rejection>],
        published: usize,
    ) -> (usize, Option<Failure>) {
        for (done, (held, copy)) in batch.iter().zip(copies).take(published).enumerate() {
            let Some(rejection) = copy else { continue };
            if injected_bug!(UnreadablePartLost) && held.is_part() {
                continue;
            }
            let reason = Reason::Unreadable(rejection.code);
            let copied = self.dead_letter(held, reason, &rejection.message).await;
            if let Err(failure) = copied {
                return (done, Some(failure));
            }
        }
        (published, None)
    }

    /// Ensures that the dead-letter queue has exactly one copy of the message, however often it is
    /// received.
    async fn dead_letter(
        &self,
        held: &LeasedEntry,
        reason: Reason,
        detail: &str,
    ) -> Result<(), Failure> {
        let message_id = held.id();
        // A message received for the first time was never copied.
        if held.delivery().receive_count > 1
            && self.context.store.has_dead_letter(message_id).await?
        {
            return Ok(());
        }
        let limits = self.limits.of_dead_letters().await;
        let bytes_max = limits.map_err(|e| Failure::CopyFailed(e.to_string()))?.message_bytes_max;
        let queue = self.queues.queue.name();
        let copy = dead_letters::copy(&held.as_delivery(), queue, reason, detail, bytes_max);
        outbox::send_one(&*self.queues.dead_letters, copy)
            .await
            .map_err(|failure| Failure::CopyFailed(failure.to_string()))?;
        let reason = reason.as_str();
        let parsed = held.parsed();
        warn!(
            message_id,
            reason,
            detail,
            command = parsed.key().map(display),
            pool = parsed.pool().map(display),
            trace_id = parsed.trace_id(),
            "copied to the dead letters"
        );
        self.context.observer.observe(&Event::DeadLettered { reason });
        let noted = self.context.store.note_dead_letter(message_id, self.context.clock.now()).await;
        if let Err(error) = noted {
            // This matters only if the message cannot be deleted either, and is received again
            // after the queue's own five-minute deduplication window.
            warn!(message_id, %error, "the dead letter is not noted");
        }
        Ok(())
    }

    /// Publishes the answers of the first entries. Returns how many entries are done, and why no
    /// more.
    async fn publish(
        &self,
        batch: &[LeasedEntry],
        answers: Vec<Answer>,
        announcement: &mut Announcement,
    ) -> (usize, Option<Failure>) {
        let count = answers.len();
        let results = answers.into_iter().enumerate();
        let results = results.filter_map(|(place, answer)| Some((place, answer.result?)));
        let (places, results): (Vec<usize>, Vec<Publication>) =
            match self.context.settings.result_batches {
                ResultBatches::Single => results.unzip(),
                ResultBatches::InKind => joined(batch, results).into_iter().unzip(),
            };
        let span = trace::step(Step::Publish);
        let (out, failure) = self.outbox.publish(results, announcement).await;
        drop(span);
        if failure.is_none() {
            return (count, None);
        }
        (places.get(out).copied().unwrap_or(count), failure)
    }

    /// The lease of a message ran out before its delete. Its outcomes are in the ledger and
    /// published, so that nothing is lost but the time of its second delivery.
    fn note_settled_late(&self, held: &LeasedEntry) {
        held.lease().lose();
        let parsed = held.parsed();
        info!(
            queue = self.queues.queue.name(),
            group = held.delivery().group.as_str(),
            message_id = held.id(),
            command = parsed.key().map(display),
            pool = parsed.pool().map(display),
            trace_id = parsed.trace_id(),
            "settled after its lease: it comes again"
        );
    }

    /// Deletes the messages that are finished with these entries. Returns whether the queue was
    /// available.
    async fn delete(&self, done: &[LeasedEntry], announcement: &mut Announcement) -> bool {
        let _span = trace::step(Step::Delete);
        let mut is_deleted = true;
        for (receipt, failure) in self.outbox.delete(entry::finished(done), announcement).await {
            let queue = self.queues.queue.name();
            match failure {
                Failure::LeaseLost => {
                    let mut held = done.iter();
                    if let Some(held) = held.find(|held| *held.lease().receipt() == receipt) {
                        self.note_settled_late(held);
                    }
                }
                failure => {
                    warn!(queue, error = %failure, "not deleted: it comes again");
                    self.queue_breaker.record_failure("delete", None);
                    is_deleted = false;
                }
            }
        }
        is_deleted
    }
}

/// The results of each batch of commands as arrays, each with the place of its first command.
fn joined(
    batch: &[LeasedEntry],
    results: impl Iterator<Item = (usize, Publication)>,
) -> Vec<(usize, Publication)> {
    let part = |place: usize| batch.get(place).filter(|held| held.is_part());
    let mut results = results.peekable();
    let mut publications = Vec::new();
    while let Some((first, result)) = results.next() {
        let Some(held) = part(first) else {
            publications.push((first, result));
            continue;
        };
        let (mut places, mut of_message) = (vec![first], vec![result]);
        while let Some((place, result)) = results.next_if(|(place, _)| {
            injected_bug!(JoinAcrossMessages)
                || part(*place).is_some_and(|next| next.is_beside(held))
        }) {
            places.push(place);
            of_message.push(result);
        }
        for (array, count) in message::batch_results(&of_message) {
            let later = places.split_off(count.min(places.len()));
            publications.extend(places.first().map(|place| (*place, array)));
            places = later;
        }
    }
    publications
}

/// Counts messages in flight until dropped.
struct InFlight {
    context: Arc<WorkerContext>,
    messages: i64,
}

impl InFlight {
    fn enter(context: Arc<WorkerContext>, messages: usize) -> Self {
        let messages = i64::try_from(messages).unwrap_or(i64::MAX);
        context.observer.observe(&Event::InFlight(messages));
        Self { context, messages }
    }

    /// Removes `messages` of them before the others.
    fn leave(&mut self, messages: usize) {
        let messages = i64::try_from(messages).unwrap_or(i64::MAX);
        self.messages = self.messages.saturating_sub(messages);
        self.context.observer.observe(&Event::InFlight(-messages));
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.context.observer.observe(&Event::InFlight(-self.messages));
    }
}

#[cfg(all(test, feature = "embedded"))]
mod tests {
    use super::*;
    use crate::{
        adapters::memory::{MemoryQueue, TokioClock},
        domain::Timestamp,
        worker::{NoopObserver, QueueKind, Settings, parsing::tests::delivery},
    };

    #[tokio::test(start_paused = true)]
    async fn an_entry_is_decoded_once() {
        let clock = Arc::new(TokioClock::new(Timestamp::UNIX_EPOCH));
        let queue = Arc::new(MemoryQueue::new("commands.fifo", clock));
        let leases = Arc::new(Leases::new(queue, &Settings::default(), Arc::new(NoopObserver)));
        let delivery = delivery();
        let lease = leases.hold(delivery.receipt.clone(), Instant::now());
        let (mut entries, received) = (VecDeque::new(), Instant::now());
        LeasedEntry::add(&mut entries, delivery, QueueKind::Commands, lease, received);
        let [held] = &*entries.make_contiguous() else { panic!("{} entries", entries.len()) };
        assert!(std::ptr::eq(held.parsed(), held.parsed()));
    }
}
