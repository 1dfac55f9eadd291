//! Awaits the outcomes of many commands with one poll of the ledger for all of them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep_until},
};
use tracing::debug;

use super::ledger::{KEYS_MAX, LedgerOutcome};
use crate::{
    domain::{CommandKey, Digest, PoolId},
    ports::{LedgerKey, LoadRequest, PortError, ReadStore},
};

/// From registering to the first poll, and between the first polls of a command.
const FIRST_POLL: Duration = Duration::from_millis(40);

/// The longest time between two polls of a command that somebody awaits.
const POLL_MAX: Duration = Duration::from_millis(640);

/// Commands due within this time of each other share a poll.
const SHARED_WITHIN: Duration = Duration::from_millis(10);

/// The pause after a poll that failed.
const FAILED_POLL_PAUSE: Duration = Duration::from_millis(200);

/// Between two polls of a command that no caller awaits any more.
const ABANDONED_POLL: Duration = Duration::from_secs(1);

/// A command that no caller awaits is forgotten this long after it was registered.
const ABANDONED_TIMEOUT: Duration = Duration::from_secs(60);

/// The most commands polled that no caller awaits any more.
const ABANDONED_MAX: usize = 100;

/// Polls the ledger for every command that is awaited, up to 100 commands with one call.
///
/// A command that is queued ([`Self::queued`]) and whose caller gave up is polled for a minute more,
/// each second, so that [`Self::oldest`] shows how far the workers are behind even where no caller
/// waits that long. One that was not posted, as far as is known, is forgotten with its caller.
pub struct OutcomePoller {
    store: Arc<dyn ReadStore>,
    waiters_max: usize,
    entries: Mutex<Entries>,
    registered: Notify,
}

#[derive(Default)]
struct Entries {
    by_key: BTreeMap<CommandKey, Entry>,
    waiters: usize,
    abandoned: usize,
    next_waiter: u64,
    /// Since when the oldest command on each pool is queued.
    oldest: BTreeMap<PoolId, Instant>,
}

/// A command without an outcome.
struct Entry {
    since: Instant,
    due: Instant,
    pause: Duration,
    /// Since when, and the pool it is on; `None` where it is not known to be in the queue, or its
    /// wait does not show how far the workers are behind.
    queued: Option<(PoolId, Instant)>,
    waiters: Vec<Waiter>,
}

struct Waiter {
    id: u64,
    digest: Digest,
    outcome: oneshot::Sender<LedgerOutcome>,
}

/// An awaited outcome. Dropping it ends the wait.
pub struct PendingOutcome<'a> {
    poller: &'a OutcomePoller,
    key: CommandKey,
    id: u64,
    outcome: oneshot::Receiver<LedgerOutcome>,
}

impl PendingOutcome<'_> {
    /// The outcome, as soon as a poll finds it.
    pub async fn outcome(mut self) -> LedgerOutcome {
        match (&mut self.outcome).await {
            Ok(outcome) => outcome,
            // The poller outlives this, and drops no waiter without an outcome.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for PendingOutcome<'_> {
    fn drop(&mut self) {
        self.poller.leave(&self.key, self.id);
    }
}

impl Entries {
    fn find_oldest(&mut self) {
        self.oldest.clear();
        for (pool, since) in self.by_key.values().filter_map(|entry| entry.queued.as_ref()) {
            note_oldest(&mut self.oldest, pool, *since);
        }
    }
}

fn note_oldest(oldest: &mut BTreeMap<PoolId, Instant>, pool: &PoolId, since: Instant) {
    match oldest.get_mut(pool) {
        Some(known) => *known = since.min(*known),
        None => drop(oldest.insert(pool.clone(), since)),
    }
}

impl OutcomePoller {
    /// A poller that reads nothing until [`Self::run`] is polled.
    #[must_use]
    pub fn new(store: Arc<dyn ReadStore>, waiters_max: usize) -> Self {
        let (entries, registered) = (Mutex::default(), Notify::new());
        Self { store, waiters_max, entries, registered }
    }

    /// Registers for the outcome of a command that is about to be posted.
    ///
    /// Returns `None` where as many commands are awaited as may be.
    #[must_use]
    pub fn register(&self, key: &CommandKey, digest: Digest) -> Option<PendingOutcome<'_>> {
        let now = Instant::now();
        let first = if injected_bug!(WaitAfterPost) { ABANDONED_TIMEOUT } else { FIRST_POLL };
        let (sender, outcome) = oneshot::channel();
        let mut entries = self.lock();
        if entries.waiters >= self.waiters_max {
            return None;
        }
        let id = entries.next_waiter;
        entries.next_waiter += 1;
        entries.waiters += 1;
        let waiter = Waiter { id, digest, outcome: sender };
        let found = entries.by_key.get_mut(key);
        let was_abandoned = found.as_ref().is_some_and(|entry| entry.waiters.is_empty());
        match found {
            Some(entry) => {
                entry.waiters.push(waiter);
                // Never later: callers that ask again and again would put the poll off for ever.
                (entry.due, entry.pause) = (entry.due.min(now + first), first);
            }
            None => {
                let (due, pause, waiters) = (now + first, first, vec![waiter]);
                let entry = Entry { since: now, due, pause, queued: None, waiters };
                entries.by_key.insert(key.clone(), entry);
            }
        }
        entries.abandoned -= usize::from(was_abandoned);
        drop(entries);
        self.registered.notify_one();
        Some(PendingOutcome { poller: self, key: key.clone(), id, outcome })
    }

    /// Commands are said to be decided: those that are awaited are read from the ledger at once, in
    /// place of their next poll.
    pub fn wake<'a>(&self, keys: impl Iterator<Item = &'a CommandKey>) {
        let now = Instant::now();
        let mut entries = self.lock();
        let mut is_due = false;
        for key in keys {
            let entry = entries.by_key.get_mut(key);
            let hears =
                |entry: &&mut Entry| entry.queued.is_some() || !injected_bug!(WaitAfterPost);
            if let Some(entry) = entry.filter(hears) {
                entry.due = entry.due.min(now);
                is_due = true;
            }
        }
        drop(entries);
        if is_due {
            self.registered.notify_one();
        }
    }

    /// A registered command is in the queue, and its wait shows from now on how far the workers are
    /// behind with this pool. Not for a restock, which may be long.
    pub fn queued(&self, key: &CommandKey, pool: &PoolId) {
        let now = Instant::now();
        let mut entries = self.lock();
        let Entries { by_key, oldest, .. } = &mut *entries;
        if let Some(entry) = by_key.get_mut(key).filter(|entry| entry.queued.is_none()) {
            entry.queued = Some((pool.clone(), now));
            note_oldest(oldest, pool, now);
        }
    }

    /// How long the oldest queued command has been without an outcome; `None` where there is none.
    #[must_use]
    pub fn oldest(&self) -> Option<Duration> {
        self.lock().oldest.values().min().map(Instant::elapsed)
    }

    /// The same, of the commands on one pool.
    #[must_use]
    pub fn oldest_of(&self, pool: &PoolId) -> Option<Duration> {
        self.lock().oldest.get(pool).map(Instant::elapsed)
    }

    /// The number of outcomes that are awaited.
    #[must_use]
    pub fn waiters(&self) -> usize {
        self.lock().waiters
    }

    /// Polls for as long as it is polled itself.
    pub async fn run(&self) {
        loop {
            let due = self.lock().by_key.values().map(|entry| entry.due).min();
            match due {
                None => self.registered.notified().await,
                Some(due) => tokio::select! {
                    biased;
                    () = sleep_until(due) => self.poll_due().await,
                    () = self.registered.notified() => {}
                },
            }
        }
    }

    /// Polls what is due, 100 commands at a time.
    async fn poll_due(&self) {
        let due = self.take_due();
        join_all(due.chunks(KEYS_MAX).map(|keys| self.poll_together(keys))).await;
        self.lock().find_oldest();
    }

    /// One entry that cannot be read keeps no other from its outcome.
    async fn poll_together(&self, keys: &[CommandKey]) {
        match self.poll(keys).await {
            Err(PortError::Unreadable(_)) if keys.len() > 1 => {
                let apart = keys.chunks(1).map(async |key| self.settle(key, self.poll(key).await));
                join_all(apart).await;
            }
            polled => self.settle(keys, polled),
        }
    }

    fn settle(&self, keys: &[CommandKey], polled: Result<(), PortError>) {
        if let Err(error) = polled {
            debug!(%error, "outcomes could not be read; they are read again");
            self.postpone(keys);
        }
    }

    /// The commands that are due, each set to its next poll.
    fn take_due(&self) -> Vec<CommandKey> {
        let now = Instant::now();
        let mut entries = self.lock();
        let forgotten = |entry: &Entry| {
            entry.waiters.is_empty() && now.duration_since(entry.since) >= ABANDONED_TIMEOUT
        };
        let before = entries.by_key.len();
        entries.by_key.retain(|_, entry| !forgotten(entry));
        entries.abandoned -= before - entries.by_key.len();
        let pause_max = if injected_bug!(BackOffForever) { ABANDONED_TIMEOUT } else { POLL_MAX };
        let due = entries.by_key.iter_mut().filter(|(_, entry)| entry.due <= now + SHARED_WITHIN);
        due.map(|(key, entry)| {
            entry.due = now + entry.pause;
            entry.pause = match entry.waiters.is_empty() {
                true => ABANDONED_POLL,
                false => entry.pause.saturating_mul(2).min(pause_max),
            };
            key.clone()
        })
        .collect()
    }

    async fn poll(&self, keys: &[CommandKey]) -> Result<(), PortError> {
        let ledger = keys.iter().cloned().map(LedgerKey::Command).collect();
        let wanted = LoadRequest { ledger, ..LoadRequest::default() };
        let mut read = self.store.load(&wanted).await?;
        let mut entries = self.lock();
        for key in keys {
            let ledger_key = LedgerKey::Command(key.clone());
            let Some(record) = read.ledger.remove(&ledger_key).flatten() else { continue };
            let Some(entry) = entries.by_key.get_mut(key) else { continue };
            let was_abandoned = entry.waiters.is_empty();
            let waiters = std::mem::take(&mut entry.waiters);
            let waited = waiters.len();
            for waiter in waiters {
                match LedgerOutcome::of(waiter.digest, &record) {
                    // A caller that is gone left its waiter to be dropped here.
                    Some(outcome) => drop(waiter.outcome.send(outcome)),
                    None => entry.waiters.push(waiter),
                }
            }
            let answered = waited - entry.waiters.len();
            if entry.waiters.is_empty() {
                entries.by_key.remove(key);
                entries.abandoned -= usize::from(was_abandoned);
            }
            entries.waiters -= answered;
        }
        Ok(())
    }

    fn postpone(&self, keys: &[CommandKey]) {
        let due = Instant::now() + FAILED_POLL_PAUSE;
        let mut entries = self.lock();
        for key in keys {
            if let Some(entry) = entries.by_key.get_mut(key) {
                entry.due = entry.due.max(due);
            }
        }
    }

    /// Ends a wait, unless it was answered.
    fn leave(&self, key: &CommandKey, id: u64) {
        let mut entries = self.lock();
        let Some(entry) = entries.by_key.get_mut(key) else { return };
        let before = entry.waiters.len();
        entry.waiters.retain(|waiter| waiter.id != id);
        let left = before - entry.waiters.len();
        let is_abandoned = left > 0 && entry.waiters.is_empty();
        let is_queued = entry.queued.is_some();
        entries.waiters -= left;
        if !is_abandoned {
            return;
        }
        if is_queued && entries.abandoned < ABANDONED_MAX {
            entries.abandoned += 1;
        } else {
            // Its pool's age is found anew by the next poll: the abandoned are polled each second.
            entries.by_key.remove(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // Nothing panics while it is held.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
