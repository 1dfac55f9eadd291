//! A FIFO queue in memory that keeps SQS's rules.
//!
//! The rules are those of a high-throughput FIFO queue (`FifoThroughputLimit=perMessageGroupId`,
//! `DeduplicationScope=messageGroup`) with content-based deduplication, as AWS's developer guide
//! and API reference give them. AWS leaves two rules open, which this queue sets itself: it hands
//! out the group whose first message is the oldest, and a receipt whose message another delivery
//! has deleted deletes it "again".

mod attempts;
mod check;
mod messages;
mod stored;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use jiff::SignedDuration;
use sha2::{Digest as _, Sha256};
use tokio::{sync::Notify, time::Instant};
use uuid::Uuid;

pub use self::stored::StoredMessage;
use self::{
    attempts::{Attempt, Attempts},
    messages::{IN_FLIGHT_MAX, Message, Messages},
};
use super::{after, dedup::Deduplication};
use crate::{
    domain::Timestamp,
    ports::{
        Backlog, BatchAnswer, Clock, Delivery, EntryError, OutgoingMessage, PortError, Queue,
        QueueLimits, ReceiptHandle, ReceiveRequest, queue::VISIBILITY_MAX,
    },
};

/// The shortest wait before checking again a lease that should have ended.
const TICK: Duration = Duration::from_millis(1);

/// A FIFO queue. Time comes from the given clock; waits use tokio's.
pub struct MemoryQueue {
    name: String,
    /// Distinguishes this queue's message ids and receipts from another's.
    tag: u64,
    clock: Arc<dyn Clock>,
    redrive: Option<Redrive>,
    limits: QueueLimits,
    state: Mutex<State>,
    news: Notify,
}

struct Redrive {
    to: Arc<MemoryQueue>,
    max_receives: u32,
}

#[derive(Default)]
struct State {
    messages: Messages,
    sent: Deduplication<String>,
    attempts: Attempts,
    deliveries: u64,
    /// Messages moved to the dead-letter queue, whose receipts delete nothing.
    redriven: BTreeSet<u64>,
}

impl MemoryQueue {
    /// An empty queue that keeps messages for 14 days, without dead letters.
    #[must_use]
    pub fn new(name: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        let name = name.into();
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(Sha256::digest(name.as_bytes()));
        let tag = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        Self {
            name,
            tag,
            clock,
            redrive: None,
            limits: QueueLimits::default(),
            state: Mutex::default(),
            news: Notify::new(),
        }
    }

    /// The same queue with other limits on messages and their age. [`Self::with_dead_letters`] sets
    /// the redrive.
    #[must_use]
    pub fn with_limits(mut self, message_bytes_max: usize, retention: Duration) -> Self {
        self.limits.message_bytes_max = message_bytes_max;
        self.limits.retention = retention;
        self
    }

    /// The same queue, which moves a message that was received `max_receives` times to `to` instead
    /// of delivering it once more.
    #[must_use]
    pub fn with_dead_letters(mut self, to: Arc<Self>, max_receives: u32) -> Self {
        self.limits.receives_max = Some(max_receives);
        self.redrive = Some(Redrive { to, max_receives });
        self
    }

    /// Every message in the queue, in the order they were sent.
    #[must_use]
    pub fn messages(&self) -> Vec<StoredMessage> {
        self.settled(self.clock.now()).messages.snapshot()
    }

    /// How many messages are in the queue, in flight or not.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.settled(self.clock.now()).messages.len()
    }

    /// Whether the lease that came with the receipt still holds.
    pub fn holds(&self, receipt: &ReceiptHandle) -> bool {
        let state = self.settled(self.clock.now());
        self.parse_receipt(&state, receipt).is_ok_and(|(sequence, delivery)| {
            let message = state.messages.get(sequence);
            message.is_some_and(|one| one.delivery == delivery && one.leased_until.is_some())
        })
    }

    /// Ends every lease at once, as if all consumers had died and their visibility timeouts had
    /// passed.
    pub fn expire_all_leases(&self) {
        self.change(self.clock.now(), |state| state.messages.release_all());
    }

    /// Forgets what was sent within the deduplication interval.
    pub fn forget_deduplication(&self) {
        self.settled(self.clock.now()).sent.clear();
    }

    /// Sends one message without waiting, as a topic does that delivers to the queue.
    pub fn push(&self, message: &OutgoingMessage) -> Result<String, EntryError> {
        let now = self.clock.now();
        self.change(now, |state| self.send_one(state, message, now))
    }

    /// The state, after leases and retention that have ended by `now` are applied.
    fn settled(&self, now: Timestamp) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.messages.settle(now, self.limits.retention);
        state
    }

    /// Changes the state and wakes waiting receives if the change concerns them.
    fn change<T>(&self, now: Timestamp, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.settled(now);
        let result = change(&mut state);
        let news = std::mem::take(&mut state.messages.news);
        drop(state);
        if news {
            self.news.notify_waiters();
        }
        result
    }

    fn send_one(
        &self,
        state: &mut State,
        message: &OutgoingMessage,
        now: Timestamp,
    ) -> Result<String, EntryError> {
        check::message(message, self.limits.message_bytes_max)?;
        let content_id;
        let deduplication_id = match &message.deduplication_id {
            Some(id) => id,
            None => {
                content_id = check::content_id(&message.body);
                &content_id
            }
        };
        if let Some(id) = state.sent.find(&message.group, deduplication_id, now) {
            return Ok(id.clone());
        }
        let next = state.messages.last_sequence().saturating_add(1);
        let id = Uuid::from_u64_pair(self.tag, next).to_string();
        state.messages.push(Message {
            id: id.clone(),
            group: message.group.clone(),
            body: message.body.clone(),
            attributes: message.attributes.clone(),
            sent_at: now,
            enqueued_at: now,
            receive_count: 0,
            delivery: 0,
            delivered_at: now,
            lease_changed: false,
            leased_until: None,
        });
        state.sent.remember(&message.group, deduplication_id, now, id.clone());
        Ok(id)
    }

    /// One check of the queue.
    fn receive_now(
        &self,
        state: &mut State,
        request: &ReceiveRequest,
        now: Timestamp,
    ) -> Result<Vec<Delivery>, PortError> {
        let until = after(now, request.visibility);
        match state.attempts.look_up(&request.attempt_id, &state.messages, now) {
            Attempt::Fresh => Ok(self.receive_fresh(state, request, until, now)),
            Attempt::Replay(sequences) => {
                for sequence in &sequences {
                    state.messages.lease(*sequence, until);
                }
                Ok(self.deliveries(state, &sequences))
            }
            Attempt::Void => Err(PortError::Refused(
                "the receive cannot be repeated under its attempt id, as a message of it was \
                 deleted, received again or had its visibility changed: take a new attempt id"
                    .to_owned(),
            )),
        }
    }

    fn receive_fresh(
        &self,
        state: &mut State,
        request: &ReceiveRequest,
        until: Timestamp,
        now: Timestamp,
    ) -> Vec<Delivery> {
        let delivery = state.deliveries.saturating_add(1);
        let room = IN_FLIGHT_MAX.saturating_sub(state.messages.in_flight());
        let max = request.max.min(room);
        let mut taken: Vec<u64> = Vec::new();
        while taken.len() < max {
            let Some(head) = state.messages.next_ready() else { break };
            // SQS: "first attempts to return as many messages with the same message group ID as
            // possible".
            for sequence in state.messages.first_of_group(head, max - taken.len()) {
                if self.redrive_one(state, sequence, now) {
                    continue;
                }
                let Some(message) = state.messages.get_mut(sequence) else { continue };
                message.receive_count = message.receive_count.saturating_add(1);
                message.delivery = delivery;
                message.delivered_at = now;
                message.lease_changed = false;
                state.messages.lease(sequence, until);
                taken.push(sequence);
            }
        }
        if taken.is_empty() {
            return Vec::new();
        }
        state.deliveries = delivery;
        let deliveries = self.deliveries(state, &taken);
        state.attempts.remember(&request.attempt_id, delivery, taken, now);
        deliveries
    }

    /// Moves the message to the dead-letter queue if it was received too often.
    fn redrive_one(&self, state: &mut State, sequence: u64, now: Timestamp) -> bool {
        let Some(redrive) = &self.redrive else { return false };
        let worn_out = |message: &Message| message.receive_count >= redrive.max_receives;
        if !state.messages.get(sequence).is_some_and(worn_out) {
            return false;
        }
        let Some(mut message) = state.messages.remove(sequence) else { return false };
        state.redriven.insert(sequence);
        message.enqueued_at = now;
        // The two locks are always taken in this order: a queue is created after its dead-letter
        // queue.
        redrive.to.change(now, |state| state.messages.push(message));
        true
    }

    fn deliveries(&self, state: &State, sequences: &[u64]) -> Vec<Delivery> {
        let delivery = |sequence: &u64| {
            let message = state.messages.get(*sequence)?;
            Some(Delivery {
                message_id: message.id.clone(),
                receipt: ReceiptHandle(format!(
                    "{:016x}.{sequence}.{}",
                    self.tag, message.delivery
                )),
                group: message.group.clone(),
                sequence: sequence.to_string(),
                sent_at: message.sent_at,
                receive_count: message.receive_count,
                body: message.body.clone(),
                attributes: message.attributes.clone(),
            })
        };
        sequences.iter().filter_map(delivery).collect()
    }

    /// The sequence and delivery that a receipt of this queue names.
    fn parse_receipt(
        &self,
        state: &State,
        receipt: &ReceiptHandle,
    ) -> Result<(u64, u64), EntryError> {
        let parse = || {
            let mut parts = receipt.0.split('.');
            let tag = u64::from_str_radix(parts.next()?, 16).ok()?;
            let sequence = parts.next()?.parse().ok()?;
            let delivery = parts.next()?.parse().ok()?;
            let known = sequence <= state.messages.last_sequence() && delivery <= state.deliveries;
            (tag == self.tag && known && parts.next().is_none()).then_some((sequence, delivery))
        };
        parse().ok_or_else(|| EntryError::Refused("no receipt of this queue".to_owned()))
    }

    fn delete_one(&self, state: &mut State, receipt: &ReceiptHandle) -> Result<(), EntryError> {
        let (sequence, delivery) = self.parse_receipt(state, receipt)?;
        match state.messages.get(sequence) {
            Some(message) if message.delivery != delivery || message.leased_until.is_none() => {
                Err(EntryError::LeaseLost)
            }
            None if state.redriven.contains(&sequence) => Err(EntryError::LeaseLost),
            _ => {
                state.messages.remove(sequence);
                Ok(())
            }
        }
    }

    fn change_one(
        &self,
        state: &mut State,
        receipt: &ReceiptHandle,
        by: Duration,
        now: Timestamp,
    ) -> Result<(), EntryError> {
        let (sequence, delivery) = self.parse_receipt(state, receipt)?;
        let message = state
            .messages
            .get_mut(sequence)
            .filter(|message| message.delivery == delivery && message.leased_until.is_some())
            .ok_or(EntryError::LeaseLost)?;
        let until = after(now, by);
        // SQS: "A message's total visibility timeout is 12 hours from when it was received."
        if by > VISIBILITY_MAX || until > after(message.delivered_at, VISIBILITY_MAX) {
            return Err(EntryError::Refused(format!(
                "the total visibility timeout would be beyond {} s",
                VISIBILITY_MAX.as_secs()
            )));
        }
        message.lease_changed = true;
        if by.is_zero() {
            state.messages.release(sequence);
        } else {
            state.messages.lease(sequence, until);
        }
        Ok(())
    }

    /// How long until the next lease ends.
    fn next_lease_end(&self, state: &State, now: Timestamp) -> Option<Duration> {
        let until = state.messages.next_lease_end()?;
        let left = until.duration_since(now).max(SignedDuration::ZERO);
        Some(Duration::try_from(left).unwrap_or(TICK).max(TICK))
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    fn name(&self) -> &str {
        &self.name
    }

    async fn receive(&self, request: &ReceiveRequest) -> Result<Vec<Delivery>, PortError> {
        check::receive(request)?;
        let deadline = Instant::now() + request.wait;
        loop {
            // From here on no wake-up is missed.
            let mut news = std::pin::pin!(self.news.notified());
            news.as_mut().enable();
            let now = self.clock.now();
            let (received, next) = self.change(now, |state| {
                let received = self.receive_now(state, request, now);
                (received, self.next_lease_end(state, now))
            });
            let received = received?;
            let waited = Instant::now();
            if !received.is_empty() || waited >= deadline {
                return Ok(received);
            }
            let look_again = next.map_or(deadline, |left| deadline.min(waited + left));
            let _ = tokio::time::timeout_at(look_again, news).await;
        }
    }

    async fn change_visibility(
        &self,
        changes: &[(ReceiptHandle, Duration)],
    ) -> Result<BatchAnswer, PortError> {
        check::batch(changes.len())?;
        let now = self.clock.now();
        Ok(self.change(now, |state| {
            let change = |(receipt, by): &(ReceiptHandle, Duration)| {
                self.change_one(state, receipt, *by, now)
            };
            changes.iter().map(change).collect()
        }))
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<BatchAnswer, PortError> {
        check::batch(receipts.len())?;
        Ok(self.change(self.clock.now(), |state| {
            receipts.iter().map(|receipt| self.delete_one(state, receipt)).collect()
        }))
    }

    async fn send(&self, messages: &[OutgoingMessage]) -> Result<BatchAnswer<String>, PortError> {
        check::batch(messages.len())?;
        check::batch_bytes(messages)?;
        let now = self.clock.now();
        Ok(self.change(now, |state| {
            messages.iter().map(|message| self.send_one(state, message, now)).collect()
        }))
    }

    async fn limits(&self) -> Result<QueueLimits, PortError> {
        Ok(self.limits)
    }

    async fn backlog(&self) -> Result<Backlog, PortError> {
        let state = self.settled(self.clock.now());
        let in_flight = state.messages.in_flight();
        let visible = state.messages.len().saturating_sub(in_flight);
        Ok(Backlog {
            visible: u64::try_from(visible).unwrap_or(u64::MAX),
            in_flight: u64::try_from(in_flight).unwrap_or(u64::MAX),
        })
    }
}
