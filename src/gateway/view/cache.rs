//! Keeps the projections of pools that are asked for, and reads them again.

mod hinted;
mod shared;
mod watch;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::FutureExt as _;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};
use tracing::warn;

use super::{
    Applied, Availability, Content, Document, Hint, PoolView,
    memo::Memos,
    read::exists,
    read_pool,
    slots::{Filling, Kept, Slot, Slots},
};
use crate::{
    domain::{PoolId, Timestamp},
    gateway::observer::{NoopViewObserver, ViewObserver},
    ports::{Clock, PortError, ScanStore, SnapshotStore},
};
pub use hinted::Trust;
pub use watch::Watch;

/// The most pools at a time of which it is asked whether they exist, while all reads are taken.
const LOOKS_MAX: usize = 16;

/// The longest that this takes before the pool waits for its read.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// How fresh answers are, and how much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewSettings {
    /// A query that finds a projection older than this reads the pool again, and waits for it: 2 s,
    /// and more for a large pool: [`ViewSettings::fresh_for`].
    pub fresh: Duration,
    /// The most seats and lines of a pool that are read a second for the sake of
    /// [`ViewSettings::fresh`]: 500, some 30 read units.
    pub entries_per_second: usize,
    /// The same where hints keep the projection current, and for a pool of any size: 30 s.
    pub hinted: Duration,
    /// While the tables cannot be read, a projection answers until it is older than this: 60 s.
    pub stale: Duration,
    /// How long a query waits for a read before it takes what there is: 1 s.
    pub wait: Duration,
    /// How long a query waits for the first read of a pool: 10 s.
    pub wait_first: Duration,
    /// The longest read: 30 s.
    pub read_max: Duration,
    /// How long after a failed read the next one begins: 1 s, then twice as long after each.
    pub retry: Duration,
    /// The longest that it becomes: 8 s.
    pub retry_max: Duration,
    /// A pool that no query asked for in this time is dropped: 5 minutes. As long, a pool is known
    /// to be too large.
    pub idle: Duration,
    /// How long a pool is known not to exist: 5 s.
    pub absent: Duration,
    /// The most pools known not to exist: 10,000.
    pub absent_max: usize,
    /// The most pools that are kept: 1,000.
    pub pools_max: usize,
    /// The most pools that are read for the first time or wait for that: 256.
    pub pending_max: usize,
    /// The most seats and lines of a pool that is kept: 50,000.
    pub entries_max: usize,
    /// The most seats and lines in all: 2,000,000, about 200 MB.
    pub total_max: usize,
    /// The most reads at a time: 2.
    pub reads_max: usize,
}

impl Default for ViewSettings {
    fn default() -> Self {
        Self {
            fresh: Duration::from_secs(2),
            entries_per_second: 500,
            hinted: Duration::from_secs(30),
            stale: Duration::from_secs(60),
            wait: Duration::from_secs(1),
            wait_first: Duration::from_secs(10),
            read_max: Duration::from_secs(30),
            retry: Duration::from_secs(1),
            retry_max: Duration::from_secs(8),
            idle: Duration::from_secs(300),
            absent: Duration::from_secs(5),
            absent_max: 10_000,
            pools_max: 1_000,
            pending_max: 256,
            entries_max: 50_000,
            total_max: 2_000_000,
            reads_max: 2,
        }
    }
}

impl ViewSettings {
    /// How old a projection of so many seats and lines may be without hints. Gateways read from the
    /// partition that a sale needs, so that a pool is read the less often the more that costs.
    #[must_use]
    pub fn fresh_for(&self, entries: usize) -> Duration {
        let millis = entries.saturating_mul(1_000) / self.entries_per_second.max(1);
        let by_size = Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
        by_size.min(self.hinted).max(self.fresh)
    }
}

/// What the view has of a pool.
#[derive(Clone)]
pub enum Found {
    /// Its projection.
    View(Snapshot),
    /// It has neither seats nor lines.
    Absent,
    /// It has more of them than are kept: only the tables have it, page by page.
    TooLarge,
}

/// A projection at one moment.
#[derive(Clone)]
pub struct Snapshot {
    view: Arc<PoolView>,
    memos: Arc<Memos>,
    /// When the read that it comes from began.
    pub as_of: Timestamp,
    /// How long ago that is.
    pub age: Duration,
}

impl Snapshot {
    /// The projection.
    #[must_use]
    pub fn view(&self) -> &PoolView {
        &self.view
    }

    /// The same, shared.
    #[must_use]
    pub fn shared_view(&self) -> Arc<PoolView> {
        Arc::clone(&self.view)
    }

    /// The layout of the seats, encoded once a layout.
    ///
    /// # Errors
    ///
    /// The process is ending.
    pub async fn layout(&self) -> Result<Document, PortError> {
        self.memos.layout(&self.view).await
    }

    /// The map of the seats at `now`, encoded once a version and instant.
    ///
    /// # Errors
    ///
    /// The process is ending.
    pub async fn map(&self, now: Timestamp) -> Result<Document, PortError> {
        self.memos.map(&self.view, now).await
    }

    /// The counts of the seats at `now`, counted once a version and instant.
    #[must_use]
    pub fn availability(&self, now: Timestamp) -> Arc<Availability> {
        self.memos.availability(&self.view, now)
    }
}

/// What the view did so far, and what it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewStats {
    /// Queries answered without a read.
    pub hits: u64,
    /// Queries that waited for a read.
    pub misses: u64,
    /// Reads begun.
    pub reads: u64,
    /// Pools kept.
    pub pools: usize,
}

/// The projections of the pools that are asked for.
#[derive(Clone)]
pub struct ViewCache {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn ScanStore>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn ViewObserver>,
    /// What gateways share; `None` where each reads for itself.
    snapshots: Option<Arc<dyn SnapshotStore>>,
    settings: ViewSettings,
    reads: Semaphore,
    looks: Semaphore,
    slots: Mutex<Slots>,
    hits: AtomicU64,
    misses: AtomicU64,
    begun: AtomicU64,
}

/// What a query has to do.
enum Next {
    Answer(Result<Found, PortError>),
    Wait(Filling, Duration),
}

impl ViewCache {
    /// A view of nothing yet.
    #[must_use]
    pub fn new(store: Arc<dyn ScanStore>, clock: Arc<dyn Clock>, settings: ViewSettings) -> Self {
        Self::observed(store, clock, settings, Arc::new(NoopViewObserver), None)
    }

    /// A view of nothing yet, which is watched, and shares its reads over `snapshots`.
    #[must_use]
    pub fn observed(
        store: Arc<dyn ScanStore>,
        clock: Arc<dyn Clock>,
        settings: ViewSettings,
        observer: Arc<dyn ViewObserver>,
        snapshots: Option<Arc<dyn SnapshotStore>>,
    ) -> Self {
        let reads = Semaphore::new(settings.reads_max.clamp(1, Semaphore::MAX_PERMITS));
        let (looks, slots) = (Semaphore::new(LOOKS_MAX), Mutex::default());
        let (hits, misses, begun) = <(AtomicU64, AtomicU64, AtomicU64)>::default();
        let inner = Inner {
            store,
            clock,
            observer,
            snapshots,
            settings,
            reads,
            looks,
            slots,
            hits,
            misses,
            begun,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The pool as it is, or was no longer ago than [`ViewSettings::fresh_for`] it. Where hints keep it
    /// current, as of its last read, no longer ago than [`ViewSettings::hinted`], with every change
    /// since that was announced; while it cannot be read, no longer ago than
    /// [`ViewSettings::stale`].
    ///
    /// # Errors
    ///
    /// The tables cannot be read, and nothing recent is kept.
    pub async fn get(&self, pool: &PoolId) -> Result<Found, PortError> {
        let inner = &self.inner;
        let answer = match self.next(pool) {
            Next::Answer(answer) => {
                inner.hits.fetch_add(1, Ordering::Relaxed);
                inner.observer.asked(true);
                answer
            }
            Next::Wait(filling, longest) => {
                inner.misses.fetch_add(1, Ordering::Relaxed);
                inner.observer.asked(false);
                // Where it takes longer, what is kept answers.
                let _ = timeout(longest, filling).await;
                self.answer(pool)
            }
        };
        if let Ok(Found::View(snapshot)) = &answer {
            inner.observer.aged(snapshot.age);
        }
        answer
    }

    /// Applies a change that a worker announced. A change of a seat or line that is not known, such
    /// as a new one, lets the next query read the pool again.
    pub fn apply(&self, pool: &PoolId, hint: &Hint) -> Applied {
        let mut slots = self.inner.slots();
        slots.exists(pool);
        let applied = slots.by_pool.get_mut(pool).map_or(Applied::Unknown, |slot| slot.apply(hint));
        if applied != Applied::Known {
            slots.watched.tell(pool);
        }
        applied
    }

    /// The figures for metrics.
    #[must_use]
    pub fn stats(&self) -> ViewStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Inner { hits, misses, begun, .. } = &*self.inner;
        let kept = |slot: &&Slot| slot.kept.is_some();
        let pools = self.inner.slots().by_pool.values().filter(kept).count();
        ViewStats { hits: count(hits), misses: count(misses), reads: count(begun), pools }
    }

    fn next(&self, pool: &PoolId) -> Next {
        let inner = &self.inner;
        let settings = &inner.settings;
        let now = Instant::now();
        let mut slots = inner.slots();
        if slots.is_absent(pool, settings.absent, now) {
            return Next::Answer(Ok(Found::Absent));
        }
        let Some(slot) = slots.ask(pool, settings, now) else {
            let full = "too many pools are being read for the first time".to_owned();
            return Next::Answer(Err(PortError::Unavailable(full)));
        };
        if slot.is_fresh(settings, now) {
            return Next::Answer(answer(slot, settings, now));
        }
        if slot.has_just_failed(now) {
            return Next::Answer(answer(slot, settings, now));
        }
        let filling = Inner::filling(inner, slot, pool, None);
        let longest = if slot.kept.is_some() { settings.wait } else { settings.wait_first };
        Next::Wait(filling, longest)
    }

    fn answer(&self, pool: &PoolId) -> Result<Found, PortError> {
        let settings = &self.inner.settings;
        let now = Instant::now();
        let slots = self.inner.slots();
        match slots.by_pool.get(pool) {
            Some(slot) => answer(slot, settings, now),
            None if slots.is_absent(pool, settings.absent, now) => Ok(Found::Absent),
            None => Err(still_read()),
        }
    }
}

/// The answer of what is kept.
fn answer(slot: &Slot, settings: &ViewSettings, now: Instant) -> Result<Found, PortError> {
    let kept = slot.kept.as_ref();
    if let Some(Kept { read_at, as_of, view, memos, .. }) = kept {
        let age = now.duration_since(*read_at);
        match view {
            None => return Ok(Found::TooLarge),
            Some(view) if age <= settings.stale || injected_bug!(ServeStale) => {
                let (view, memos) = (Arc::clone(view), Arc::clone(memos));
                return Ok(Found::View(Snapshot { view, memos, as_of: *as_of, age }));
            }
            Some(_) => {}
        }
    }
    Err(slot.failed.as_ref().map_or_else(still_read, |failed| failed.error.clone()))
}

fn still_read() -> PortError {
    PortError::Unavailable("the pool is still being read".to_owned())
}

impl Inner {
    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The read under way, or a new one, which ends even where those who wait for it are gone. What
    /// was read before `missed` is not taken in its place.
    fn filling(
        inner: &Arc<Self>,
        slot: &mut Slot,
        pool: &PoolId,
        missed: Option<Instant>,
    ) -> Filling {
        if let Some(filling) = slot.under_way() {
            return filling.clone();
        }
        inner.observer.refill(slot.refill_reason());
        let (inner, pool) = (Arc::clone(inner), pool.clone());
        let task = tokio::spawn(async move {
            inner.read(&pool, missed).await;
            inner.slots().watched.tell(&pool);
        });
        let filling = task.map(|_| ()).boxed().shared();
        slot.filling = Some(filling.clone());
        filling
    }

    async fn read(&self, pool: &PoolId, missed: Option<Instant>) {
        let (from, is_first) = {
            let slots = self.slots();
            let slot = slots.by_pool.get(pool);
            let is_first = slot.is_none_or(|slot| slot.kept.is_none());
            (slot.map(|slot| slot.snapshot_from(&self.settings, missed)), is_first)
        };
        // Waiting for another gateway's read keeps no other pool from being read.
        if let Some(taken) = self.take(pool, from).await {
            return self.keep(pool, taken);
        }
        let _permit = match self.reads.try_acquire() {
            Ok(permit) => permit,
            // A pool that does not exist takes no turn from those that do.
            Err(_) if is_first && self.is_nothing(pool).await => {
                // Whoever waits for this read looks for itself.
                self.share(pool, None, Instant::now());
                return self.slots().forget(pool, &self.settings, Instant::now());
            }
            // The semaphore is never closed.
            Err(_) => match self.reads.acquire().await {
                Ok(permit) => permit,
                Err(_) => return,
            },
        };
        self.begun.fetch_add(1, Ordering::Relaxed);
        let (read_at, as_of) = (Instant::now(), self.clock.now());
        let Self { store, settings, .. } = self;
        let reading = read_pool(&**store, pool, settings.entries_max);
        let found = timeout(settings.read_max, reading).await.unwrap_or_else(|_| {
            Err(PortError::Unavailable("the pool was not read in time".to_owned()))
        });
        let now = Instant::now();
        self.share(pool, found.as_ref().ok(), read_at);
        let mut slots = self.slots();
        let view = match found {
            Ok(Content::Nothing) => return slots.forget(pool, settings, now),
            Ok(Content::View(view)) => Some(view),
            Ok(Content::TooLarge) => None,
            Err(error) => {
                warn!(%pool, %error, "a pool cannot be read");
                if let Some(slot) = slots.by_pool.get_mut(pool) {
                    slot.fail(error, settings, now);
                }
                return;
            }
        };
        drop(slots);
        let read_at = if injected_bug!(AgeFromEnd) { now } else { read_at };
        let memos = Arc::default();
        self.keep(pool, Kept { read_at, as_of, view, outdated: None, memos });
    }

    /// Whether a pool is known to have neither seats nor lines.
    async fn is_nothing(&self, pool: &PoolId) -> bool {
        let look = async {
            let _turn = self.looks.acquire().await.ok()?;
            exists(&*self.store, pool).await.ok()
        };
        // Where that is not known, the read tells.
        matches!(timeout(LOOK_MAX, look).await, Ok(Some(false)))
    }

    /// Puts what was read or taken in the place of what is kept, if the pool still is.
    fn keep(&self, pool: &PoolId, read: Kept) {
        let mut slots = self.slots();
        if let Some(slot) = slots.by_pool.get_mut(pool) {
            slot.settle(read);
        }
        slots.shrink(&self.settings, Instant::now());
    }
}

#[cfg(test)]
mod tests;
