//! Awaits the outcomes of many commands with one poll of the ledger for all of them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _, future::join_all, stream::FuturesUnordered};
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

/// The longest time between two polls of a command that no caller awaits any more.
const ABANDONED_POLL: Duration = Duration::from_secs(1);

/// A command that no caller awaits is forgotten this long after it was registered.
const ABANDONED_TIMEOUT: Duration = Duration::from_secs(60);

/// The most commands of one pool that are polled though no caller awaits them any more: the first of
/// them show how far the workers are behind with it.
const ABANDONED_OF_POOL_MAX: usize = 16;

/// The same, of all pools.
const ABANDONED_MAX: usize = 1_600;

/// The most calls at a time. One that takes long keeps only its own commands waiting.
const POLLS_MAX: usize = 64;

/// Polls the ledger for every command that is awaited, up to 100 commands with one call.
///
/// A command that is queued ([`Self::queued`]) and whose caller gave up is polled for a minute more,
/// so that [`Self::oldest`] shows how far the workers are behind even where no caller waits that
/// long: a few of each pool. One that was not posted, as far as is known, is forgotten with its
/// caller.
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
    abandoned: Abandoned,
    next_waiter: u64,
    /// Since when the oldest command on each pool is queued.
    oldest: BTreeMap<PoolId, Instant>,
}

/// How many commands are polled that no caller awaits any more.
#[derive(Debug, Default, PartialEq, Eq)]
struct Abandoned {
    by_pool: BTreeMap<PoolId, usize>,
    in_all: usize,
}

impl Abandoned {
    /// Counts one more; false where there are as many as may be.
    fn add(&mut self, pool: &PoolId) -> bool {
        let of_pool = self.by_pool.get(pool).copied().unwrap_or_default();
        let has_room = of_pool < ABANDONED_OF_POOL_MAX && self.in_all < ABANDONED_MAX;
        if has_room {
            self.by_pool.insert(pool.clone(), of_pool + 1);
            self.in_all += 1;
        }
        has_room
    }

    fn remove(&mut self, pool: &PoolId) {
        if let Some(of_pool) = self.by_pool.get_mut(pool) {
            *of_pool -= 1;
            self.in_all -= 1;
            if *of_pool == 0 {
                self.by_pool.remove(pool);
            }
        }
    }
}

/// A command without an outcome.
struct Entry {
    since: Instant,
    due: Instant,
    pause: Duration,
    /// It is being read: not due again until that is over.
    is_polled: bool,
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
    /// The outcome, as soon as a poll finds it; once.
    pub async fn outcome(&mut self) -> LedgerOutcome {
        // The poller outlives this, and drops no waiter without an outcome.
        if !self.outcome.is_terminated()
            && let Ok(outcome) = (&mut self.outcome).await
        {
            return outcome;
        }
        std::future::pending().await
    }
}

impl Drop for PendingOutcome<'_> {
    fn drop(&mut self) {
        self.poller.leave(&self.key, self.id);
    }
}

impl Entry {
    /// The pool, where it is polled though no caller awaits it any more.
    fn abandoned(&self) -> Option<&PoolId> {
        self.queued.as_ref().filter(|_| self.waiters.is_empty()).map(|(pool, _)| pool)
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
        let Entries { by_key, abandoned, .. } = &mut *entries;
        match by_key.get_mut(key) {
            Some(entry) => {
                if let Some(pool) = entry.abandoned() {
                    abandoned.remove(pool);
                }
                entry.waiters.push(waiter);
                // Never later: callers that ask again and again would put the poll off for ever.
                (entry.due, entry.pause) = (entry.due.min(now + first), first);
            }
            None => {
                let (due, pause, waiters) = (now + first, first, vec![waiter]);
                let (since, is_polled, queued) = (now, false, None);
                let entry = Entry { since, due, pause, is_polled, queued, waiters };
                by_key.insert(key.clone(), entry);
            }
        }
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
        let mut polls = FuturesUnordered::new();
        loop {
            let room = POLLS_MAX - polls.len();
            let due = if room > 0 { self.next_due() } else { None };
            tokio::select! {
                biased;
                Some(()) = polls.next() => {
                    while let Some(Some(())) = polls.next().now_or_never() {}
                    self.lock().find_oldest();
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    let keys = self.take_due(room.saturating_mul(KEYS_MAX));
                    polls.extend(keys.chunks(KEYS_MAX).map(|keys| self.poll_together(keys.to_vec())));
                }
                () = self.registered.notified() => {}
            }
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let entries = self.lock();
        entries.by_key.values().filter(|entry| !entry.is_polled).map(|entry| entry.due).min()
    }

    /// One entry that cannot be read keeps no other from its outcome.
    async fn poll_together(&self, keys: Vec<CommandKey>) {
        match self.poll(&keys).await {
            Err(PortError::Unreadable(_)) if keys.len() > 1 => {
                let apart = keys.chunks(1).map(async |key| self.settle(key, self.poll(key).await));
                join_all(apart).await;
            }
            polled => self.settle(&keys, polled),
        }
    }

    fn settle(&self, keys: &[CommandKey], polled: Result<(), PortError>) {
        let mut entries = self.lock();
        let failed = polled.is_err().then(|| Instant::now() + FAILED_POLL_PAUSE);
        for key in keys {
            if let Some(entry) = entries.by_key.get_mut(key) {
                entry.is_polled = false;
                entry.due = failed.map_or(entry.due, |failed| entry.due.max(failed));
            }
        }
        drop(entries);
        if let Err(error) = polled {
            debug!(%error, "outcomes could not be read; they are read again");
        }
    }

    /// The commands that are due, each set to its next poll; those that wait longest, where there
    /// are more than `most`.
    fn take_due(&self, most: usize) -> Vec<CommandKey> {
        let now = Instant::now();
        let mut entries = self.lock();
        let Entries { by_key, abandoned, .. } = &mut *entries;
        by_key.retain(|_, entry| {
            let is_over = now.duration_since(entry.since) >= ABANDONED_TIMEOUT;
            let forgotten = entry.abandoned().filter(|_| is_over);
            forgotten.inspect(|pool| abandoned.remove(pool)).is_none()
        });
        let is_due = |entry: &Entry| !entry.is_polled && entry.due <= now + SHARED_WITHIN;
        let mut due: Vec<_> = by_key.iter_mut().filter(|(_, entry)| is_due(entry)).collect();
        if due.len() > most {
            due.sort_by_key(|(_, entry)| entry.due);
            due.truncate(most);
        }
        let pause_max = if injected_bug!(BackOffForever) { ABANDONED_TIMEOUT } else { POLL_MAX };
        let taken = due.into_iter().map(|(key, entry)| {
            entry.is_polled = true;
            entry.due = now + entry.pause;
            let pause_max = if entry.waiters.is_empty() { ABANDONED_POLL } else { pause_max };
            entry.pause = entry.pause.saturating_mul(2).min(pause_max);
            key.clone()
        });
        let taken = taken.collect();
        entries.find_oldest();
        taken
    }

    async fn poll(&self, keys: &[CommandKey]) -> Result<(), PortError> {
        let ledger = keys.iter().cloned().map(LedgerKey::Command).collect();
        let wanted = LoadRequest { ledger, ..LoadRequest::default() };
        let mut read = self.store.load(&wanted).await?;
        let mut entries = self.lock();
        let Entries { by_key, abandoned, waiters: awaited, .. } = &mut *entries;
        for key in keys {
            let ledger_key = LedgerKey::Command(key.clone());
            let Some(record) = read.ledger.remove(&ledger_key).flatten() else { continue };
            let Some(entry) = by_key.get_mut(key) else { continue };
            if let Some(pool) = entry.abandoned() {
                abandoned.remove(pool);
            }
            let waiters = std::mem::take(&mut entry.waiters);
            let waited = waiters.len();
            for waiter in waiters {
                match LedgerOutcome::of(waiter.digest, &record) {
                    // A caller that is gone left its waiter to be dropped here.
                    Some(outcome) => drop(waiter.outcome.send(outcome)),
                    None => entry.waiters.push(waiter),
                }
            }
            *awaited -= waited - entry.waiters.len();
            if entry.waiters.is_empty() {
                by_key.remove(key);
            }
        }
        Ok(())
    }

    /// Ends a wait, unless it was answered.
    fn leave(&self, key: &CommandKey, id: u64) {
        let mut entries = self.lock();
        let Entries { by_key, abandoned, waiters, .. } = &mut *entries;
        let Some(entry) = by_key.get_mut(key) else { return };
        let before = entry.waiters.len();
        entry.waiters.retain(|waiter| waiter.id != id);
        let left = before - entry.waiters.len();
        *waiters -= left;
        let is_left = left > 0 && entry.waiters.is_empty();
        if is_left && !entry.abandoned().is_some_and(|pool| abandoned.add(pool)) {
            // Its pool's age is found anew by the next poll.
            by_key.remove(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // Nothing panics while it is held.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
