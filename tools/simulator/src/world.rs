//! The world that the workers of a history share: in-memory ports, and everything that is seen of
//! what happens in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use jiff::SignedDuration;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    checks::Violation,
    fault::Fault,
    history::{History, Sending},
    ports,
    profile::{Class, Profile},
    progress::{Gauge, HOLD_WITHIN, WITHIN},
    topology::{EPOCH, Incarnation, Place, Port, QUEUES},
    trace::{Trace, Writes},
    trouble::{self, QUEUE_BYTES_MAX, Troubles},
};
use inventory_worker::{
    adapters::memory::{
        MemoryBroker, MemoryLocks, MemoryQueue, MemoryStore, MemoryTopic, TokioClock,
    },
    domain::{ReservationId, Timestamp},
    ports::{
        BatchAnswer, Clock, CommitError, Consumed, LedgerKey, LoadRequest, OutgoingMessage,
        PortError, Publication, Publisher, Queue, QueueLimits, ReceiptHandle, Record, Transaction,
        Write,
    },
    worker::QueueKind,
};

/// The in-memory ports, what is wrong with them at the moment, and what was seen.
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) profile: Profile,
    pub(super) clock: Arc<TokioClock>,
    pub(super) store: Arc<MemoryStore>,
    pub(super) queues: Vec<Arc<MemoryQueue>>,
    pub(super) dead_letters: Vec<Arc<MemoryQueue>>,
    pub(super) topic: Arc<MemoryTopic>,
    pub(super) locks: Arc<MemoryLocks>,
    trace: Mutex<Trace>,
    history: Mutex<History>,
    is_calm: AtomicBool,
    is_poison_cured: AtomicBool,
    outages: Mutex<BTreeMap<Port, Instant>>,
    crashes_left: AtomicU32,
    counts: Mutex<BTreeMap<Fault, u64>>,
    /// What is wrong with some items at the moment.
    pub(super) troubles: Troubles,
    /// What each life that goes on tells of itself.
    gauges: Mutex<BTreeMap<Incarnation, Arc<Gauge>>>,
    /// From when on it counts how long somebody waits: since the topic is back, or since calm.
    counts_from: Mutex<Timestamp>,
    /// What was written in the newer format.
    newer: Mutex<BTreeSet<LedgerKey>>,
    /// One for each call that was given up and is yet to have its effect, and one of our own.
    on_its_way: Arc<()>,
}

impl World {
    /// Call inside a paused runtime.
    pub(super) fn new(seed: u64, profile: Profile, keeps_text: bool) -> Self {
        let epoch = EPOCH.parse().unwrap_or(Timestamp::UNIX_EPOCH);
        let clock = Arc::new(TokioClock::new(epoch));
        let passed_on: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
        let broker = MemoryBroker::new(Arc::clone(&passed_on));
        let crashes_left = AtomicU32::new(profile.crashes_max);
        let queue = |(name, _): &(&str, QueueKind)| {
            let dead_letters = format!("dead-{name}");
            broker.queue_with_dead_letters(name, &dead_letters, profile.redrive_after())
        };
        Self {
            seed,
            store: Arc::new(MemoryStore::new(Arc::clone(&passed_on))),
            queues: QUEUES.iter().map(queue).collect(),
            dead_letters: QUEUES
                .iter()
                .map(|(name, _)| broker.queue(&format!("dead-{name}")))
                .collect(),
            topic: Arc::new(MemoryTopic::new(Arc::clone(&passed_on)).with_record_of(0)),
            locks: Arc::new(MemoryLocks::new(passed_on)),
            clock,
            trace: Mutex::new(Trace::new(keeps_text)),
            history: Mutex::new(History::new(&profile)),
            is_calm: AtomicBool::new(false),
            is_poison_cured: AtomicBool::new(false),
            outages: Mutex::default(),
            crashes_left,
            counts: Mutex::default(),
            troubles: Troubles::default(),
            gauges: Mutex::default(),
            counts_from: Mutex::new(epoch),
            newer: Mutex::default(),
            on_its_way: Arc::default(),
            profile,
        }
    }

    pub(super) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn violation(&self) -> Option<Violation> {
        self.history().violation().cloned()
    }

    pub(super) fn trace(&self, line: fmt::Arguments<'_>) {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner).note(line);
    }

    /// The trace so far; from here on a new one.
    pub(super) fn take_trace(&self) -> Trace {
        let mut trace = self.trace.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut trace, Trace::new(false))
    }

    /// Whether nothing goes wrong any more.
    pub(super) fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::Relaxed)
    }

    pub(super) fn set_calm(&self, is_calm: bool) {
        self.is_calm.store(is_calm, Ordering::Relaxed);
        if is_calm {
            self.outages.lock().unwrap_or_else(PoisonError::into_inner).clear();
            self.troubles.repair();
            self.count_from(self.clock.now());
        }
        self.trace(format_args!("{}", if is_calm { "calm" } else { "no longer calm" }));
    }

    /// Whether what was poison can be handled by now.
    pub(super) fn is_poison_cured(&self) -> bool {
        self.is_poison_cured.load(Ordering::Relaxed)
    }

    pub(super) fn cure_poison(&self) {
        self.is_poison_cured.store(true, Ordering::Relaxed);
        self.trace(format_args!("poison is cured"));
    }

    /// The port fails altogether until then.
    pub(super) fn begin_outage(&self, port: Port, until: Instant) {
        self.outages.lock().unwrap_or_else(PoisonError::into_inner).insert(port, until);
    }

    pub(super) fn is_out(&self, port: Port) -> bool {
        let outages = self.outages.lock().unwrap_or_else(PoisonError::into_inner);
        outages.get(&port).is_some_and(|until| Instant::now() < *until)
    }

    /// How long somebody waits counts from then on.
    pub(super) fn count_from(&self, time: Timestamp) {
        *self.counts_from.lock().unwrap_or_else(PoisonError::into_inner) = time;
    }

    fn counts_from(&self) -> Timestamp {
        *self.counts_from.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A life begins, and tells this of what it holds.
    pub(super) fn watch(&self, life: Incarnation, gauge: Arc<Gauge>) {
        self.gauges.lock().unwrap_or_else(PoisonError::into_inner).insert(life, gauge);
    }

    /// A life is over. Gives what it held, unless that was nothing.
    pub(super) fn unwatch(&self, life: Incarnation) -> Option<String> {
        let gauge = self.gauges.lock().unwrap_or_else(PoisonError::into_inner).remove(&life)?;
        (!gauge.is_at_rest()).then(|| gauge.held())
    }

    /// Who holds anything, and what.
    pub(super) fn who_holds(&self) -> Option<String> {
        let gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        let (life, gauge) = gauges.iter().find(|(_, gauge)| !gauge.is_at_rest())?;
        Some(format!("worker {} has {}", life.0, gauge.held()))
    }

    /// Now and then: whether whoever is not to blame goes on, and what is stuck takes little room.
    pub(super) fn look(&self) {
        let (now, since) = (self.clock.now(), self.counts_from());
        let is_progress = self.profile.class == Class::Progress;
        let gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        let too_much = gauges.iter().find_map(|(life, gauge)| {
            Some(format!("worker {}: {}", life.0, gauge.look(is_progress)?))
        });
        drop(gauges);
        let mut history = self.history();
        if let Some(detail) = too_much {
            history.fail("room", detail);
        }
        history.look(now, since);
        drop(history);
        if is_progress && !self.is_calm() {
            self.look_for_holds(WITHIN);
        }
    }

    /// In calm, once nothing is wrong: whether every hold is given back soon after its end.
    pub(super) fn look_in_calm(&self) {
        let is_sound = self.profile.trouble.is_none()
            && [Fault::WrongClock, Fault::Damaged, Fault::ThrottledItems]
                .iter()
                .all(|fault| self.profile.rate(*fault) == 0);
        if is_sound {
            self.look_for_holds(HOLD_WITHIN);
        }
    }

    fn look_for_holds(&self, within: SignedDuration) {
        let (now, since) = (self.clock.now(), self.counts_from());
        let late: Vec<(Timestamp, ReservationId)> = self.store.inspect(|tables| {
            let holds = tables.expiry_index.iter().filter(|(_, end, id)| {
                now.duration_since((*end).max(since)) > within
                    && tables.reservations.get(id).is_some_and(|hold| hold.pool != trouble::POOL)
            });
            holds.map(|(_, end, id)| (*end, *id)).collect()
        });
        let mut history = self.history();
        if let Some((end, id)) = late.into_iter().find(|(_, id)| !history.was_dropped(*id)) {
            history.fail("overdue", format!("{id} ran out at {end} and is still held"));
        }
    }

    /// The most bytes that a queue takes in a message, where it is less than SQS's most.
    pub(super) fn is_too_long(&self, message: &OutgoingMessage) -> bool {
        let attributes = message.attributes.iter();
        let attributes = attributes.map(|(name, value)| name.len() + "String".len() + value.len());
        let bytes = message.body.len() + attributes.sum::<usize>();
        self.profile.rate(Fault::SmallQueue) > 0 && bytes > QUEUE_BYTES_MAX
    }

    /// A queue's limits, as it tells them.
    pub(super) fn limited(&self, limits: QueueLimits) -> QueueLimits {
        let is_low = self.profile.rate(Fault::LowRedrive) > 0;
        self.count(is_low.then_some(Fault::LowRedrive));
        match self.profile.rate(Fault::SmallQueue) {
            0 => limits,
            _ => {
                self.count(Some(Fault::SmallQueue));
                QueueLimits { message_bytes_max: QUEUE_BYTES_MAX, ..limits }
            }
        }
    }

    /// Notes what the queues themselves moved to the dead letters.
    pub(super) fn note_redriven(&self) {
        if !self.history().may_redrive() {
            return;
        }
        for letters in &self.dead_letters {
            let moved: Vec<String> = (letters.messages().into_iter())
                .filter(|letter| self.history().was_sent(&letter.message_id))
                .map(|letter| letter.message_id)
                .collect();
            if self.history().redriven(moved.iter().map(String::as_str)) {
                self.count(Some(Fault::LowRedrive));
            }
        }
    }

    /// Kept for as long as a call that was given up may still have its effect.
    pub(super) fn on_its_way(&self) -> Arc<()> {
        Arc::clone(&self.on_its_way)
    }

    /// How many calls that were given up are yet to have their effect.
    pub(super) fn late_calls(&self) -> usize {
        Arc::strong_count(&self.on_its_way).saturating_sub(1)
    }

    /// Whether another crash is allowed; counts it.
    pub(super) fn may_crash(&self) -> bool {
        let left = self.crashes_left.load(Ordering::Relaxed);
        self.crashes_left.store(left.saturating_sub(1), Ordering::Relaxed);
        left > 0
    }

    pub(super) fn count(&self, fault: Option<Fault>) {
        if let Some(fault) = fault {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            *counts.entry(fault).or_default() += 1;
        }
    }

    pub(super) fn counts(&self) -> BTreeMap<Fault, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records that are there from the beginning.
    pub(super) fn set_up(&self, records: Vec<Record>) {
        self.history().set_up(&records, self.clock.now());
        self.store.insert(records);
    }

    /// A producer sends a message. Gives whether it was appended.
    pub(super) fn post(&self, queue: usize, message: &OutgoingMessage) -> bool {
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

    /// What is checked of a commit before it is on its way.
    pub(super) fn begin_commit(&self, life: Incarnation, transaction: &Transaction) {
        let holds = |queue: usize, receipt: &ReceiptHandle| {
            self.queues.get(queue).is_some_and(|queue| queue.holds(receipt))
        };
        self.history().begun(transaction, life, holds);
    }

    /// The effect of a commit, and what is checked of it.
    pub(super) async fn commit(
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

    /// Whether the worker is of an older release than what it wants was written by. In calm the
    /// rollout is over.
    pub(super) fn is_too_new(&self, worker: usize, wanted: &LoadRequest) -> bool {
        if self.is_calm() || self.profile.is_newer(worker) {
            return false;
        }
        let newer = self.newer.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.ledger.iter().any(|key| newer.contains(key))
    }

    /// The effect of a publish. `excused`: entries that came after one that failed.
    pub(super) async fn publish(
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

    /// The effect of a send by a worker or sweeper.
    pub(super) async fn send(
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

    /// A worker posts an expiry: not before the hold's end and the margin, by clocks that agree.
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

    /// The effect of a delete.
    pub(super) async fn delete(
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
