//! Leases on received messages, and the heartbeat that keeps them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future;
use tokio::{sync::Notify, time::Instant};
use tracing::warn;

use super::{
    events::{Event, Observer},
    settings::Settings,
};
use crate::ports::{EntryError, Queue, ReceiptHandle, queue::BATCH_ENTRIES_MAX};

/// The most concurrent calls that extend leases.
const CALLS_SIDE_BY_SIDE: usize = 8;

/// The leases that the worker holds on one queue, without the lost ones: so at most one for each
/// message in flight.
///
/// A lease is known to be valid until `visibility` after the *start* of the call that granted or
/// extended it: the queue counts from no earlier.
pub struct Leases {
    queue: Arc<dyn Queue>,
    visibility: Duration,
    margin: Duration,
    observer: Arc<dyn Observer>,
    held: Mutex<BTreeMap<u64, HeldLease>>,
    next: Mutex<u64>,
    /// A call that extends leases is over.
    extended: Notify,
}

struct HeldLease {
    receipt: ReceiptHandle,
    good_until: Instant,
    /// The message is about to be released: the lease is not extended any more.
    is_ending: bool,
    /// Whether a call that extends it is under way.
    is_being_extended: bool,
}

/// A call that extends leases, until it is over or given up.
struct ExtendingCall<'a> {
    leases: &'a Leases,
    ids: &'a [u64],
}

impl Drop for ExtendingCall<'_> {
    fn drop(&mut self) {
        let mut held = self.leases.entries();
        for id in self.ids {
            if let Some(entry) = held.get_mut(id) {
                entry.is_being_extended = false;
            }
        }
        drop(held);
        self.leases.extended.notify_waiters();
    }
}

impl Leases {
    /// No leases.
    #[must_use]
    pub fn new(queue: Arc<dyn Queue>, settings: &Settings, observer: Arc<dyn Observer>) -> Self {
        Self {
            queue,
            visibility: settings.visibility,
            margin: settings.lease_margin,
            observer,
            held: Mutex::default(),
            next: Mutex::default(),
            extended: Notify::new(),
        }
    }

    /// Registers a lease granted by a receive that began at `since`.
    #[must_use]
    pub fn hold(self: &Arc<Self>, receipt: ReceiptHandle, since: Instant) -> Lease {
        let id = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            *next = next.wrapping_add(1);
            *next
        };
        let good_until = since + self.visibility;
        let entry = HeldLease {
            receipt: receipt.clone(),
            good_until,
            is_ending: false,
            is_being_extended: false,
        };
        self.entries().insert(id, entry);
        self.observer.observe(&Event::LeasesHeld(1));
        Lease { leases: Arc::clone(self), id, receipt }
    }

    /// The number of leases held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// Whether no lease is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Extends every lease at the interval `every`, for as long as it is polled.
    pub async fn keep(&self, every: Duration) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            self.extend_all().await;
        }
    }

    async fn extend_all(&self) {
        // A lease not extended in time may belong to another worker.
        let now = Instant::now();
        let (ids, over): (Vec<u64>, Vec<u64>) = {
            let held = self.entries();
            held.keys().partition(|id| held.get(id).is_some_and(|entry| now < entry.good_until))
        };
        over.into_iter().for_each(|id| self.forget(id));
        // Concurrently: one call that hangs must not cost the other leases.
        let calls: Vec<&[u64]> = ids.chunks(BATCH_ENTRIES_MAX).collect();
        for calls in calls.chunks(CALLS_SIDE_BY_SIDE) {
            future::join_all(calls.iter().map(|ids| self.extend(ids))).await;
        }
    }

    async fn extend(&self, ids: &[u64]) {
        // Read again: some may have been settled while earlier calls were under way.
        let (ids, changes) = self.begin_to_extend(ids);
        if changes.is_empty() {
            return;
        }
        let _call = ExtendingCall { leases: self, ids: &ids };
        let begun = Instant::now();
        match self.queue.change_visibility(&changes).await {
            Ok(answers) => {
                let since = if injected_bug!(LeaseFromAnswer) { Instant::now() } else { begun };
                self.note(&ids, &answers, since);
            }
            Err(error) => warn!(queue = self.queue.name(), %error, "leases not extended"),
        }
    }

    fn begin_to_extend(&self, ids: &[u64]) -> (Vec<u64>, Vec<(ReceiptHandle, Duration)>) {
        let mut held = self.entries();
        let mut begun = (Vec::new(), Vec::new());
        for id in ids {
            if let Some(entry) = held.get_mut(id).filter(|entry| !entry.is_ending) {
                entry.is_being_extended = true;
                begun.0.push(*id);
                begun.1.push((entry.receipt.clone(), self.visibility));
            }
        }
        begun
    }

    fn note(&self, ids: &[u64], answers: &[Result<(), EntryError>], since: Instant) {
        let mut lost = Vec::new();
        let mut held = self.entries();
        for (id, answer) in ids.iter().zip(answers) {
            let Some(entry) = held.get_mut(id) else { continue };
            match answer {
                Ok(()) => entry.good_until = since + self.visibility,
                Err(EntryError::LeaseLost) => {
                    entry.good_until = since;
                    lost.push(*id);
                }
                Err(error) => {
                    warn!(queue = self.queue.name(), %error, "a lease was not extended");
                }
            }
        }
        drop(held);
        if !lost.is_empty() {
            self.observer.observe(&Event::LeaseLost(lost.len()));
        }
        lost.into_iter().for_each(|id| self.forget(id));
    }

    /// Counts and removes a lease that the queue says is lost, unless it is known to be.
    fn lose(&self, id: u64) {
        if self.entries().contains_key(&id) {
            self.observer.observe(&Event::LeaseLost(1));
            self.forget(id);
        }
    }

    /// Removes a lease that is settled or lost.
    fn forget(&self, id: u64) {
        if !injected_bug!(LeakLease) && self.entries().remove(&id).is_some() {
            self.observer.observe(&Event::LeasesHeld(-1));
        }
    }

    fn is_good(&self, id: u64, margin: Duration) -> bool {
        let until = self.entries().get(&id).map(|entry| entry.good_until);
        until.is_some_and(|until| Instant::now() + margin < until)
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<u64, HeldLease>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One lease, kept alive by the heartbeat until dropped.
pub struct Lease {
    leases: Arc<Leases>,
    id: u64,
    receipt: ReceiptHandle,
}

impl Lease {
    /// The receipt to release or delete the message with.
    #[must_use]
    pub fn receipt(&self) -> &ReceiptHandle {
        &self.receipt
    }

    /// From here on the heartbeat leaves the lease alone. Ready once no call that extends it is
    /// under way: one that the queue handles after the release would hide the message, and its
    /// group, for a whole visibility timeout.
    pub async fn stop_extending(&self) {
        if injected_bug!(ExtendReleased) {
            return;
        }
        loop {
            let extended = self.leases.extended.notified();
            let is_being_extended = self.leases.entries().get_mut(&self.id).is_some_and(|entry| {
                entry.is_ending = true;
                entry.is_being_extended
            });
            if !is_being_extended {
                return;
            }
            extended.await;
        }
    }

    /// The queue says that the lease is lost.
    pub fn lose(&self) {
        self.leases.lose(self.id);
    }

    /// Whether the lease is known to be valid for at least the margin.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.leases.is_good(self.id, self.leases.margin)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.leases.forget(self.id);
    }
}
