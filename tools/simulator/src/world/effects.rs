//! The effects of calls on the in-memory ports, each recorded in the history.

use std::sync::PoisonError;

use jiff::SignedDuration;
use uuid::Uuid;

use super::World;
use crate::{
    fault::Fault,
    history::Sending,
    ports,
    topology::{Incarnation, Place},
    trace::Writes,
};
use inventory_worker::ports::{
    BatchAnswer, Clock, CommitError, Consumed, LedgerKey, LoadRequest, OutgoingMessage, PortError,
    Publication, Publisher, Queue, ReceiptHandle, Transaction, Write,
};

impl World {
    /// Sends a message as a producer. Returns whether it was appended.
    pub(crate) fn post(&self, queue: usize, message: &OutgoingMessage) -> bool {
        let Some(to) = self.queues.get(queue) else { return false };
        match to.push(message) {
            Ok(id) => self.note_sent(Place::Commands(queue), message, &id),
            Err(error) => {
                self.history().fail("workload", format!("a message was refused: {error}"));
                false
            }
        }
    }

    fn note_sent(&self, place: Place, message: &OutgoingMessage, id: &str) -> bool {
        let sequence = id.parse::<Uuid>().map_or(0, |id| id.as_u64_pair().1);
        let sending = Sending { message, id, sequence, at: self.clock.now() };
        let is_new = self.history().sent(place, &sending);
        if is_new {
            let group = &message.group;
            self.trace(format_args!("sent {place}.{sequence} {group} {}", message.body));
        }
        is_new
    }

    /// The checks of a commit before it is sent.
    pub(crate) fn begin_commit(&self, life: Incarnation, transaction: &Transaction) {
        let holds = |queue: usize, receipt: &ReceiptHandle| {
            self.queues.get(queue).is_some_and(|queue| queue.holds(receipt))
        };
        self.history().begun(transaction, life, holds);
    }

    /// Applies a commit and checks it.
    pub(crate) async fn commit(
        &self,
        worker: usize,
        transaction: &Transaction,
        token: Uuid,
    ) -> Result<Consumed, CommitError> {
        let result = ports::commit(&self.store, transaction, token).await;
        self.note_redriven();
        if result.is_ok() {
            let number =
                self.history().committed(worker, transaction, self.clock.now(), &self.store);
            self.trace(format_args!("committed #{number} by w{worker}: {}", Writes(transaction)));
            if self.profile.is_newer(worker) {
                self.note_newer(transaction);
            }
        }
        result
    }

    fn note_newer(&self, transaction: &Transaction) {
        let mut newer = self.newer.lock().unwrap_or_else(PoisonError::into_inner);
        newer.extend(transaction.writes.iter().filter_map(|write| match write {
            Write::Ledger { key, .. } => Some(key.clone()),
            Write::LedgerOverIntent { key, .. } => Some(LedgerKey::Command(key.clone())),
            _ => None,
        }));
    }

    /// Whether the worker's release is older than the one that wrote what it loads. In the
    /// fault-free phase the rollout is over.
    pub(crate) fn is_too_new(&self, worker: usize, wanted: &LoadRequest) -> bool {
        if self.is_fault_free() || self.profile.is_newer(worker) {
            return false;
        }
        let newer = self.newer.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.ledger.iter().any(|key| newer.contains(key))
    }

    /// Applies a publish. `excused`: entries that follow a failed one.
    pub(crate) async fn publish(
        &self,
        batch: &[Publication],
        excused: &[bool],
    ) -> Result<BatchAnswer, PortError> {
        let answers = self.topic.publish(batch).await?;
        let mut history = self.history();
        for ((publication, answer), excused) in batch.iter().zip(&answers).zip(excused) {
            if answer.is_ok() {
                let is_new = history.published(publication, *excused);
                if is_new {
                    self.trace(format_args!(
                        "published {} {}",
                        publication.group, publication.body
                    ));
                }
            }
        }
        Ok(answers)
    }

    /// Applies a send by a worker or sweeper.
    pub(crate) async fn send(
        &self,
        place: Place,
        messages: &[OutgoingMessage],
    ) -> Result<BatchAnswer<String>, PortError> {
        let (Place::Commands(index) | Place::DeadLetters(index)) = place;
        let queues = match place {
            Place::Commands(_) => &self.queues,
            Place::DeadLetters(_) => &self.dead_letters,
        };
        let Some(queue) = queues.get(index) else { return Ok(Vec::new()) };
        if matches!(place, Place::Commands(_)) {
            messages.iter().for_each(|message| self.check_expiry(message));
        }
        let answers = queue.send(messages).await?;
        for (message, answer) in messages.iter().zip(&answers) {
            if let Ok(id) = answer {
                self.note_sent(place, message, id);
            }
        }
        Ok(answers)
    }

    /// Checks that an expiry is posted no earlier than the hold's end plus the margin, given exact
    /// clocks.
    fn check_expiry(&self, message: &OutgoingMessage) {
        let skews = [Fault::Skew, Fault::WrongClock];
        let id = message.group.as_str().strip_prefix("expire/").and_then(|id| id.parse().ok());
        let Some(id) = id.filter(|_| skews.iter().all(|skew| self.profile.rate(*skew) == 0)) else {
            return;
        };
        let ends = self.store.inspect(|tables| Some(tables.reservations.get(&id)?.expires_at));
        let now = self.clock.now();
        let margin = SignedDuration::try_from(self.profile.sweeper.margin).unwrap_or_default();
        if let Some(ends) = ends.filter(|ends| now < *ends + margin) {
            let detail = format!("{id} ends at {ends}, and its expiry is posted at {now}");
            self.history().fail("sweep", detail);
        }
    }

    /// Applies a delete.
    pub(crate) async fn delete(
        &self,
        queue: usize,
        receipts: &[ReceiptHandle],
    ) -> Result<BatchAnswer, PortError> {
        let Some(from) = self.queues.get(queue) else { return Ok(Vec::new()) };
        let answers = from.delete(receipts).await?;
        let mut history = self.history();
        for (receipt, answer) in receipts.iter().zip(&answers) {
            let sequence = receipt.0.split('.').nth(1).and_then(|number| number.parse().ok());
            if let (Ok(()), Some(sequence)) = (answer, sequence) {
                history.deleted(queue, sequence);
                self.trace(format_args!("deleted c{queue}.{sequence}"));
            }
        }
        Ok(answers)
    }
}
