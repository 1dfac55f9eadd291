//! One group's batch, in order: decoded, committed, published, deleted; or released.

mod isolation;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    Source, Tools,
    committer::{self, Decided, Leased},
    dead_letters::{self, Reason},
    events::Event,
    failure::Failure,
    gate::{Gate, Probes},
    lease::{Lease, Leases},
    outbox::{self, Coming, Outbox},
    poller::Taken,
};
use crate::{
    domain::{GroupId, Outcome},
    message::{self, Decoded, ResultMessage, Undecodable},
    planted::{self, Bug},
    ports::{Delivery, Publication, Receipt, queue::BATCH_ENTRIES_MAX},
};

pub(super) use isolation::{OneSuspect, Unforgiven};

/// The longest a poisonous message is hidden between attempts.
const POISON_DELAY_MAX: Duration = Duration::from_secs(30);

/// How long a message is hidden that rests on an item that cannot be read.
const UNREADABLE_DELAY: Duration = Duration::from_secs(10);

/// What the lanes of one queue share.
pub(super) struct Lanes {
    pub(super) tools: Arc<Tools>,
    pub(super) gate: Arc<Gate>,
    pub(super) probes: Probes,
    pub(super) source: Source,
    pub(super) leases: Arc<Leases>,
    pub(super) unforgiven: Unforgiven,
    pub(super) one_suspect: OneSuspect,
    pub(super) outbox: Outbox,
}

/// A message in our hands.
struct Held {
    delivery: Delivery,
    lease: Lease,
    received: Instant,
}

/// How far a batch came: that many of its first messages are done with.
struct Settled {
    done: usize,
    failure: Option<Failure>,
    /// Whether all that is done with could be deleted, unless a lease was lost.
    is_deleted: bool,
}

impl Settled {
    fn failed(failure: Failure) -> Self {
        Self { done: 0, failure: Some(failure), is_deleted: true }
    }
}

/// A message, read.
enum Read {
    Command(Decoded),
    Unreadable(Box<Undecodable>),
}

/// What is to be published for a message, if anything.
struct Answer(Option<Publication>);

impl Lanes {
    /// Handles messages of one group, in order, and releases those it could not finish. `coming`
    /// announces the first batch of them.
    ///
    /// Their leases count from `since`, when the receive was begun: no later than the queue's own
    /// count. What was received counts as received now, after however long the receive waited.
    pub(super) async fn run(
        self: Arc<Self>,
        deliveries: Vec<Delivery>,
        since: Instant,
        taken: Taken,
        coming: Coming,
    ) {
        let mut first = Some(coming);
        let received = Instant::now();
        let in_flight = InFlight::enter(Arc::clone(&self.tools), deliveries.len());
        let mut waiting: VecDeque<Held> = deliveries
            .into_iter()
            .map(|delivery| Held {
                lease: self.leases.hold(delivery.receipt.clone(), since),
                delivery,
                received,
            })
            .collect();
        if self.tools.stop.receiving.is_cancelled() {
            self.release(waiting.make_contiguous(), Duration::ZERO).await;
            return;
        }
        self.tools.observer.observe(&Event::Batch { messages: waiting.len() });
        while let Some(head) = waiting.front() {
            let is_suspect = head.delivery.receive_count > self.tools.settings.isolate_after;
            let count = if is_suspect { 1 } else { self.tools.settings.batch_messages_max.max(1) };
            let count = count.min(waiting.len());
            let batch: Vec<Held> = waiting.drain(..count).collect();
            let coming = first.take().unwrap_or_else(|| self.outbox.expect());
            let settled = match is_suspect {
                true => self.alone(&batch, coming).await,
                false => self.batch(&batch, coming).await,
            };
            match settled.failure {
                None if settled.is_deleted => self.gate.succeeded(),
                None => {}
                Some(failure) => {
                    let left: Vec<Held> =
                        batch.into_iter().skip(settled.done).chain(waiting.drain(..)).collect();
                    if planted::on(Bug::CondemnFollowers) {
                        self.condemn_all(&failure, &left).await;
                    }
                    self.give_up(failure, &left).await;
                }
            }
        }
        drop((taken, in_flight));
        self.forgive().await;
    }

    async fn batch(&self, batch: &[Held], mut coming: Coming) -> Settled {
        let read: Vec<Read> = batch
            .iter()
            .map(|held| match message::decode(&held.delivery.body) {
                Ok(decoded) => Read::Command(decoded),
                Err(undecodable) => Read::Unreadable(undecodable),
            })
            .collect();
        let commands: Vec<Leased<'_>> = read
            .iter()
            .zip(batch)
            .filter_map(|(read, held)| match read {
                Read::Command(decoded) => {
                    Some(Leased { command: &decoded.command, lease: Some(&held.lease) })
                }
                Read::Unreadable(_) => None,
            })
            .collect();
        if planted::on(Bug::PublishBeforeCommit) {
            self.publish_unsure(batch, &read, &commands).await;
        }
        let progress = committer::commit(&self.tools, &commands).await;
        let (answers, failure) =
            self.answers(batch, &read, progress.decided, progress.failure).await;
        if planted::on(Bug::DeleteBeforePublish) {
            let early = batch.get(..answers.len()).unwrap_or_default();
            self.delete(early, &mut coming).await;
        }
        let (done, publish_failure) = self.publish(answers, &mut coming).await;
        let done_with = if planted::on(Bug::DeleteUndecided) { batch.len() } else { done };
        let is_deleted = self.delete(batch.get(..done_with).unwrap_or_default(), &mut coming).await;
        Settled { done, failure: publish_failure.or(failure), is_deleted }
    }

    /// The answers of the messages up to the first that has none yet.
    async fn answers(
        &self,
        batch: &[Held],
        read: &[Read],
        decided: Vec<Decided>,
        failure: Option<Failure>,
    ) -> (Vec<Answer>, Option<Failure>) {
        let mut decided = decided.into_iter();
        let mut answers = Vec::with_capacity(batch.len());
        for (held, read) in batch.iter().zip(read) {
            let answer = match read {
                Read::Command(decoded) => match decided.next() {
                    Some(decided) => self.answer_command(held, decoded, &decided),
                    None if planted::on(Bug::SkipOverFailed) => Answer(None),
                    None => return (answers, failure),
                },
                Read::Unreadable(undecodable) => {
                    match self.answer_unreadable(held, undecodable).await {
                        Ok(answer) => answer,
                        Err(failure) => return (answers, Some(failure)),
                    }
                }
            };
            answers.push(answer);
        }
        (answers, failure)
    }

    fn answer_command(&self, held: &Held, decoded: &Decoded, decided: &Decided) -> Answer {
        let command = &decoded.command;
        let command_type = command.action.command_type();
        self.tools.observer.observe(&Event::Decided {
            command_type: Some(command_type),
            outcome: &decided.outcome,
            replayed: decided.is_replay,
            took: held.received.elapsed(),
        });
        Answer(Some(message::encode_result(&ResultMessage {
            key: &command.key,
            command_type: command_type.as_str(),
            sequence: Some(&held.delivery.sequence),
            group: &held.delivery.group,
            pool: Some(&command.pool),
            outcome: &decided.outcome,
            decided_at: decided.decided_at,
            message_digest: command.digest,
            traceparent: decoded.traceparent.as_ref(),
        })))
    }

    /// The copy goes first: once the message is deleted, there is no other.
    async fn answer_unreadable(
        &self,
        held: &Held,
        undecodable: &Undecodable,
    ) -> Result<Answer, Failure> {
        let rejection = &undecodable.rejection;
        let reason = Reason::Unreadable(rejection.code);
        if !planted::on(Bug::DropUnreadable) {
            self.dead_letter(&held.delivery, reason, &rejection.message).await?;
        }
        let outcome = Outcome::Rejected { rejection: rejection.clone() };
        self.tools.observer.observe(&Event::Decided {
            command_type: None,
            outcome: &outcome,
            replayed: false,
            took: held.received.elapsed(),
        });
        Ok(Answer(undecodable.key.as_ref().map(|key| {
            message::encode_result(&ResultMessage {
                key,
                command_type: undecodable.command_type.as_deref().unwrap_or_default(),
                sequence: Some(&held.delivery.sequence),
                group: &held.delivery.group,
                pool: undecodable.pool.as_ref(),
                outcome: &outcome,
                decided_at: self.tools.clock.now(),
                message_digest: undecodable.digest,
                traceparent: undecodable.traceparent.as_ref(),
            })
        })))
    }

    async fn dead_letter(
        &self,
        delivery: &Delivery,
        reason: Reason,
        detail: &str,
    ) -> Result<(), Failure> {
        let copy = dead_letters::copy(delivery, self.source.queue.name(), reason, detail);
        outbox::send_one(&*self.source.dead_letters, copy).await?;
        let (message_id, reason) = (&delivery.message_id, reason.as_str());
        warn!(message_id, reason, detail, "copied to the dead letters");
        self.tools.observer.observe(&Event::DeadLettered { reason });
        Ok(())
    }

    /// How many of the messages are done with, and why no more are.
    async fn publish(&self, answers: Vec<Answer>, coming: &mut Coming) -> (usize, Option<Failure>) {
        let count = answers.len();
        let (places, mut results): (Vec<usize>, Vec<Publication>) = answers
            .into_iter()
            .enumerate()
            .filter_map(|(place, Answer(result))| result.map(|result| (place, result)))
            .unzip();
        if planted::on(Bug::ReverseOrder) {
            results.reverse();
        }
        if planted::on(Bug::FreshResultId) {
            results.iter_mut().for_each(|result| result.id = self.tools.entropy.uuid());
        }
        let (out, failure) = self.outbox.publish(results, coming).await;
        if failure.is_none() {
            return (count, None);
        }
        (places.get(out).copied().unwrap_or(count), failure)
    }

    /// Planted: outcomes are told before they are durable.
    async fn publish_unsure(&self, batch: &[Held], read: &[Read], commands: &[Leased<'_>]) {
        let decided = committer::foretell(&self.tools, commands).await;
        let (answers, _) = self.answers(batch, read, decided, None).await;
        let mut coming = self.outbox.expect();
        let (done, _) = self.publish(answers, &mut coming).await;
        self.delete(batch.get(..done).unwrap_or_default(), &mut coming).await;
    }

    /// Planted: a poisonous message takes its followers with it.
    async fn condemn_all(&self, failure: &Failure, left: &[Held]) {
        let is_late = left.first().is_some_and(|held| held.delivery.receive_count > 3);
        if !matches!(failure, Failure::Poison(_)) || !is_late {
            return;
        }
        for held in left {
            if self.dead_letter(&held.delivery, Reason::Poison, "planted").await.is_ok() {
                self.delete(std::slice::from_ref(held), &mut self.outbox.expect()).await;
            }
        }
    }

    /// Whether the environment let it be done.
    async fn delete(&self, done: &[Held], coming: &mut Coming) -> bool {
        let mut is_deleted = true;
        let receipts: Vec<Receipt> = done.iter().map(|held| held.lease.receipt().clone()).collect();
        for failure in self.outbox.delete(receipts, coming).await {
            let queue = self.source.queue.name();
            match failure {
                Failure::LeaseLost => info!(queue, "settled after its lease: it comes again"),
                failure => {
                    warn!(queue, %failure, "not deleted: it comes again");
                    self.gate.failed("delete");
                    is_deleted = false;
                }
            }
        }
        is_deleted
    }

    /// The one place that turns a failure into what happens to the messages that are left.
    async fn give_up(&self, failure: Failure, left: &[Held]) {
        let delay = match &failure {
            Failure::Environment(what) => {
                self.gate.failed(what);
                if planted::on(Bug::DropOnOutage) {
                    self.delete(left, &mut self.outbox.expect()).await;
                }
                Duration::ZERO
            }
            Failure::Contention(what) => {
                let group = left.first().map(|held| held.delivery.group.as_str());
                info!(group, what, "too many conflicts, released to be tried again");
                Duration::ZERO
            }
            Failure::Unreadable(what) => {
                let group = left.first().map(|held| held.delivery.group.as_str());
                warn!(group, what, "a group waits for an item that cannot be read");
                UNREADABLE_DELAY
            }
            Failure::Poison(what) => {
                let head = left.first().map(|held| &held.delivery);
                let message_id = head.map(|delivery| delivery.message_id.as_str());
                let receive_count = head.map_or(0, |delivery| delivery.receive_count);
                warn!(message_id, receive_count, what, "a message could not be handled");
                POISON_DELAY_MAX.min(Duration::from_secs(1 << receive_count.min(5)))
            }
            Failure::LeaseLost => {
                let group: Option<&GroupId> = left.first().map(|held| &held.delivery.group);
                info!(group = group.map(GroupId::as_str), "a lease was lost, its batch dropped");
                Duration::ZERO
            }
            Failure::Stopping => Duration::ZERO,
        };
        self.release(left, delay).await;
    }

    /// Releases what is still ours, in order: the first after the delay, which holds back the
    /// others of its group, and those at once.
    async fn release(&self, left: &[Held], delay: Duration) {
        let held: Vec<&Held> = left.iter().filter(|held| held.lease.is_held()).collect();
        let changes: Vec<(Receipt, Duration)> = held
            .iter()
            .enumerate()
            .map(|(index, held)| {
                let delay = if index == 0 { delay } else { Duration::ZERO };
                (held.lease.receipt().clone(), delay)
            })
            .collect();
        for changes in changes.chunks(BATCH_ENTRIES_MAX) {
            match self.source.queue.change_visibility(changes).await {
                Ok(answers) => {
                    for error in answers.into_iter().filter_map(Result::err) {
                        info!(queue = self.source.queue.name(), %error, "not released");
                    }
                }
                Err(error) => {
                    warn!(queue = self.source.queue.name(), %error, "not released");
                }
            }
        }
    }
}

/// Counts messages in flight for as long as it lives.
struct InFlight {
    tools: Arc<Tools>,
    messages: i64,
}

impl InFlight {
    fn enter(tools: Arc<Tools>, messages: usize) -> Self {
        let messages = i64::try_from(messages).unwrap_or(i64::MAX);
        tools.observer.observe(&Event::InFlight(messages));
        Self { tools, messages }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.tools.observer.observe(&Event::InFlight(-self.messages));
    }
}
