//! Leases on received messages, and the heartbeat that keeps them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future;
use tokio::time::Instant;
use tracing::warn;

use super::{
    events::{Event, Observer},
    settings::Settings,
};
use crate::{
    planted::{self, Bug},
    ports::{EntryError, Queue, Receipt, queue::BATCH_ENTRIES_MAX},
};

/// How many calls extend leases at a time.
const CALLS_SIDE_BY_SIDE: usize = 8;

/// Every lease the worker holds on one queue.
///
/// A lease is known to be good until `visibility` after the call that granted or extended it was
/// *begun*: the queue counts from a moment no earlier.
pub struct Leases {
    queue: Arc<dyn Queue>,
    visibility: Duration,
    margin: Duration,
    observer: Arc<dyn Observer>,
    held: Mutex<BTreeMap<u64, Entry>>,
    next: Mutex<u64>,
}

#[derive(Clone)]
struct Entry {
    receipt: Receipt,
    good_until: Instant,
    is_lost: bool,
}

impl Leases {
    /// No leases yet.
    #[must_use]
    pub fn new(queue: Arc<dyn Queue>, settings: &Settings, observer: Arc<dyn Observer>) -> Self {
        Self {
            queue,
            visibility: settings.visibility,
            margin: settings.lease_margin,
            observer,
            held: Mutex::default(),
            next: Mutex::default(),
        }
    }

    /// Takes charge of a lease granted by a receive begun at `since`.
    #[must_use]
    pub fn hold(self: &Arc<Self>, receipt: Receipt, since: Instant) -> Lease {
        let id = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            *next = next.wrapping_add(1);
            *next
        };
        let good_until = since + self.visibility;
        self.entries().insert(id, Entry { receipt: receipt.clone(), good_until, is_lost: false });
        self.observer.observe(&Event::LeasesHeld(1));
        Lease { leases: Arc::clone(self), id, receipt }
    }

    /// Extends every lease now and then, for as long as it is polled.
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
        let ids: Vec<u64> =
            self.entries().iter().filter(|(_, e)| !e.is_lost).map(|(id, _)| *id).collect();
        // Side by side: one call that hangs must not cost all that come after it their leases.
        let calls: Vec<&[u64]> = ids.chunks(BATCH_ENTRIES_MAX).collect();
        for calls in calls.chunks(CALLS_SIDE_BY_SIDE) {
            future::join_all(calls.iter().map(|ids| self.extend(ids))).await;
        }
    }

    async fn extend(&self, ids: &[u64]) {
        // Read again: some may have been settled while the calls before were under way.
        let (ids, changes): (Vec<u64>, Vec<(Receipt, Duration)>) = {
            let held = self.entries();
            ids.iter()
                .filter_map(|id| held.get(id).map(|e| (*id, (e.receipt.clone(), self.visibility))))
                .unzip()
        };
        if changes.is_empty() {
            return;
        }
        let begun = Instant::now();
        match self.queue.change_visibility(&changes).await {
            Ok(answers) => {
                let late = planted::on(Bug::LeaseFromAnswer);
                self.note(&ids, &answers, if late { Instant::now() } else { begun });
            }
            Err(error) => warn!(queue = self.queue.name(), %error, "leases not extended"),
        }
    }

    fn note(&self, ids: &[u64], answers: &[Result<(), EntryError>], begun: Instant) {
        let mut lost = 0;
        let mut held = self.entries();
        for (id, answer) in ids.iter().zip(answers) {
            let Some(entry) = held.get_mut(id) else { continue };
            match answer {
                Ok(()) => entry.good_until = begun + self.visibility,
                Err(EntryError::LeaseLost) => {
                    entry.is_lost = true;
                    lost += 1;
                }
                Err(error) => {
                    warn!(queue = self.queue.name(), %error, "a lease was not extended");
                }
            }
        }
        drop(held);
        if lost > 0 {
            self.observer.observe(&Event::LeaseLost(lost));
        }
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One lease, kept alive by the heartbeat until dropped.
pub struct Lease {
    leases: Arc<Leases>,
    id: u64,
    receipt: Receipt,
}

impl Lease {
    /// What to release or delete the message by.
    #[must_use]
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// Whether the message is still ours, and will be for the margin, as far as can be known.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.leases.entries().get(&self.id).is_some_and(|entry| {
            !entry.is_lost && Instant::now() + self.leases.margin < entry.good_until
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut held = self.leases.entries();
        let leaks = |entry: &Entry| entry.is_lost && planted::on(Bug::LeakLostLease);
        if held.get(&self.id).is_some_and(leaks) {
            return;
        }
        held.remove(&self.id);
        drop(held);
        self.leases.observer.observe(&Event::LeasesHeld(-1));
    }
}
