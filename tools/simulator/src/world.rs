//! The world that the workers of a history share: in-memory ports, and the record of every effect
//! on them.

mod effects;

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

use super::{
    checks::Violation,
    fault::Fault,
    gateway::{Situation, Situations},
    history::History,
    profile::{Class, Profile},
    progress::{Gauge, HOLD_WITHIN, WITHIN},
    topology::{EPOCH, Incarnation, Port, QUEUES},
    trace::Trace,
    trouble::{self, QUEUE_BYTES_MAX, Troubles},
};
use inventory_worker::{
    adapters::memory::{
        MemoryBroker, MemoryHints, MemoryLocks, MemoryQueue, MemorySnapshots, MemoryStore,
        MemoryTopic, TokioClock,
    },
    domain::{ReservationId, Timestamp},
    ports::{Clock, LedgerKey, OutgoingMessage, QueueLimits, Record},
    worker::QueueKind,
};

/// The in-memory ports, their current faults, and the history.
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
    is_fault_free: AtomicBool,
    is_poison_cured: AtomicBool,
    outages: Mutex<BTreeMap<Port, Instant>>,
    crashes_left: AtomicU32,
    counts: Mutex<BTreeMap<Fault, u64>>,
    /// The current faults of single items.
    pub(super) troubles: Troubles,
    /// What each running incarnation holds, by its own events.
    gauges: Mutex<BTreeMap<Incarnation, Arc<Gauge>>>,
    /// The start of waiting times: the topic's return, or the start of the fault-free phase.
    counts_from: Mutex<Timestamp>,
    /// Ledger entries in the newer format.
    newer: Mutex<BTreeSet<LedgerKey>>,
    /// One reference per timed-out call that has yet to take effect, and one of the world's own.
    in_transit: Arc<()>,
    /// One reference per visit of a caller that is not over, and one of the world's own.
    visits: Arc<()>,
    /// What workers announce to gateways.
    pub(super) hints: Arc<MemoryHints>,
    /// What gateways read for one another.
    pub(super) snapshots: Arc<MemorySnapshots>,
    pub(super) situations: Arc<Situations>,
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
            store: Arc::new(match profile.gateways.page_records {
                Some(records) => MemoryStore::new(Arc::clone(&passed_on)).with_page_size(records),
                None => MemoryStore::new(Arc::clone(&passed_on)),
            }),
            queues: QUEUES.iter().map(queue).collect(),
            dead_letters: QUEUES
                .iter()
                .map(|(name, _)| broker.queue(&format!("dead-{name}")))
                .collect(),
            topic: Arc::new(MemoryTopic::new(Arc::clone(&passed_on)).with_record_of(0)),
            locks: Arc::new(MemoryLocks::new(Arc::clone(&passed_on))),
            hints: Arc::new(MemoryHints::new(passed_on)),
            snapshots: Arc::default(),
            clock,
            trace: Mutex::new(Trace::new(keeps_text)),
            history: Mutex::new(History::new(&profile)),
            is_fault_free: AtomicBool::new(false),
            is_poison_cured: AtomicBool::new(false),
            outages: Mutex::default(),
            crashes_left,
            counts: Mutex::default(),
            troubles: Troubles::default(),
            gauges: Mutex::default(),
            counts_from: Mutex::new(epoch),
            newer: Mutex::default(),
            in_transit: Arc::default(),
            visits: Arc::default(),
            situations: Arc::default(),
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

    /// Takes the trace so far and starts a new one.
    pub(super) fn take_trace(&self) -> Trace {
        let mut trace = self.trace.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut trace, Trace::new(false))
    }

    /// Whether the history is in its fault-free phase.
    pub(super) fn is_fault_free(&self) -> bool {
        self.is_fault_free.load(Ordering::Relaxed)
    }

    pub(super) fn set_fault_free(&self, is_fault_free: bool) {
        self.is_fault_free.store(is_fault_free, Ordering::Relaxed);
        if is_fault_free {
            self.outages.lock().unwrap_or_else(PoisonError::into_inner).clear();
            self.troubles.repair();
            self.count_from(self.clock.now());
        }
        let what = if is_fault_free { "begins" } else { "ends" };
        self.trace(format_args!("fault-free phase {what}"));
    }

    /// Whether former poison can be handled by now.
    pub(super) fn is_poison_cured(&self) -> bool {
        self.is_poison_cured.load(Ordering::Relaxed)
    }

    pub(super) fn cure_poison(&self) {
        self.is_poison_cured.store(true, Ordering::Relaxed);
        self.trace(format_args!("poison is cured"));
    }

    /// Makes every call of the port fail until then.
    pub(super) fn begin_outage(&self, port: Port, until: Instant) {
        self.outages.lock().unwrap_or_else(PoisonError::into_inner).insert(port, until);
    }

    pub(super) fn is_out(&self, port: Port) -> bool {
        let outages = self.outages.lock().unwrap_or_else(PoisonError::into_inner);
        outages.get(&port).is_some_and(|until| Instant::now() < *until)
    }

    /// Counts waiting times from then on.
    pub(super) fn count_from(&self, time: Timestamp) {
        *self.counts_from.lock().unwrap_or_else(PoisonError::into_inner) = time;
    }

    fn counts_from(&self) -> Timestamp {
        *self.counts_from.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers an incarnation and the gauge of what it holds.
    pub(super) fn watch(&self, life: Incarnation, gauge: Arc<Gauge>) {
        self.gauges.lock().unwrap_or_else(PoisonError::into_inner).insert(life, gauge);
    }

    /// Unregisters an incarnation. Returns what it held, if anything.
    pub(super) fn unwatch(&self, life: Incarnation) -> Option<String> {
        let gauge = self.gauges.lock().unwrap_or_else(PoisonError::into_inner).remove(&life)?;
        (!gauge.is_at_rest()).then(|| gauge.held())
    }

    /// The incarnations that hold anything, and what.
    pub(super) fn who_holds(&self) -> Option<String> {
        let gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        let (life, gauge) = gauges.iter().find(|(_, gauge)| !gauge.is_at_rest())?;
        Some(format!("worker {} has {}", life.0, gauge.held()))
    }

    /// Checks that unaffected messages make progress, and that stuck ones take little room.
    pub(super) fn check_progress(&self) {
        let (now, since) = (self.clock.now(), self.counts_from());
        let is_progress = self.profile.class == Class::Progress;
        let gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        let too_much = gauges.iter().find_map(|(life, gauge)| {
            Some(format!("worker {}: {}", life.0, gauge.check(is_progress)?))
        });
        drop(gauges);
        let mut history = self.history();
        if let Some(detail) = too_much {
            history.fail("room", detail);
        }
        history.check_unaffected(now, since);
        drop(history);
        if is_progress && !self.is_fault_free() {
            self.check_holds(WITHIN);
        }
    }

    /// In the fault-free phase: checks that every hold is given back soon after its end.
    pub(super) fn check_fault_free_holds(&self) {
        let is_sound = self.profile.trouble.is_none()
            && [Fault::WrongClock, Fault::Damaged, Fault::ThrottledItems]
                .iter()
                .all(|fault| self.profile.rate(*fault) == 0);
        if is_sound {
            self.check_holds(HOLD_WITHIN);
        }
    }

    fn check_holds(&self, within: SignedDuration) {
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

    /// Whether the message exceeds the queue's size limit, where that is below SQS's maximum.
    pub(super) fn is_too_long(&self, message: &OutgoingMessage) -> bool {
        let attributes = message.attributes.iter().map(|(name, attribute)| attribute.bytes(name));
        let bytes = message.body.len() + attributes.sum::<usize>();
        self.profile.rate(Fault::SmallQueue) > 0 && bytes > QUEUE_BYTES_MAX
    }

    /// The limits as the queue reports them.
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

    /// Records the messages that the queues themselves moved to their dead-letter queues.
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

    /// Held as long as a timed-out call may still take effect.
    pub(super) fn in_transit(&self) -> Arc<()> {
        Arc::clone(&self.in_transit)
    }

    /// The number of timed-out calls that have yet to take effect.
    pub(super) fn late_calls(&self) -> usize {
        Arc::strong_count(&self.in_transit).saturating_sub(1)
    }

    /// Held as long as a visit of a caller is not over.
    pub(super) fn visit(&self) -> Arc<()> {
        Arc::clone(&self.visits)
    }

    /// The number of visits that are not over.
    pub(super) fn open_visits(&self) -> usize {
        Arc::strong_count(&self.visits).saturating_sub(1)
    }

    /// Counts a situation of a gateway.
    pub(super) fn cover(&self, situation: Situation) {
        self.situations.cover(situation);
    }

    /// Whether another crash is allowed; counts it if so.
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

    /// Stores the initial records.
    pub(super) fn set_up(&self, records: Vec<Record>) {
        self.history().set_up(&records, self.clock.now());
        self.store.insert(records);
    }
}
