//! The pools that are kept: which, for how long, and how many.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use tokio::time::Instant;

use super::{
    Applied, Hint, PoolView, Trust, ViewSettings, memo::Memos, unannounced::Unannounced,
    watched::Watched,
};
use crate::{
    domain::{PoolId, Timestamp},
    gateway::observer::RefillReason,
    ports::PortError,
};

/// Hints for a pool that is being read for the first time. Beyond them, it is read again.
const EARLY_HINTS_MAX: usize = 1_024;

/// A read of a pool under way; ready when it is over.
pub(super) type Filling = Shared<BoxFuture<'static, ()>>;

/// What is known of one pool.
pub(super) struct Slot {
    /// Hints that came before are not in it.
    pub(super) since: Instant,
    /// When it was last asked for.
    pub(super) asked: Instant,
    /// The read under way, or the last one.
    pub(super) filling: Option<Filling>,
    pub(super) kept: Option<Kept>,
    /// The last read failed.
    pub(super) failed: Option<Failed>,
    /// Hints that came before there was anything to apply them to.
    early: Vec<Hint>,
    /// How far hints keep it current.
    pub(super) trust: Option<Trust>,
    /// Changes that a read found before they were announced.
    pub(super) unannounced: Unannounced,
}

/// The last read failed.
pub(super) struct Failed {
    pub(super) error: PortError,
    pub(super) at: Instant,
    /// The next one begins no earlier.
    pub(super) until: Instant,
}

/// What the last read found.
#[derive(Clone)]
pub(super) struct Kept {
    /// When that read began.
    pub(super) read_at: Instant,
    /// The same, by the clock.
    pub(super) as_of: Timestamp,
    /// `None` for a pool that is too large to keep.
    pub(super) view: Option<Arc<PoolView>>,
    /// When a hint came of an entry that is not there, last.
    pub(super) outdated: Option<Instant>,
    pub(super) memos: Arc<Memos>,
}

impl Kept {
    pub(super) fn entries(&self) -> usize {
        self.view.as_ref().map_or(0, |view| view.len())
    }

    fn apply(&mut self, hint: &Hint) -> Applied {
        let Some(view) = &mut self.view else { return Applied::Unknown };
        let applied = Arc::make_mut(view).apply(hint);
        if applied == Applied::Unknown {
            self.outdated = Some(Instant::now());
        }
        applied
    }
}

impl Slot {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            asked: now,
            filling: None,
            kept: None,
            failed: None,
            early: Vec::new(),
            trust: None,
            unannounced: Unannounced::default(),
        }
    }

    /// The read that is under way.
    pub(super) fn under_way(&self) -> Option<&Filling> {
        // One that is over shows it only when it is polled, and those who awaited it may be gone.
        self.filling.as_ref().filter(|filling| (*filling).clone().now_or_never().is_none())
    }

    /// Whether hints have told of every change since it was read.
    pub(super) fn is_current(&self, now: Instant) -> bool {
        let read_at = self.kept.as_ref().map(|kept| kept.read_at);
        self.trust.zip(read_at).is_some_and(|(trust, read_at)| trust.covers(read_at, now))
    }

    /// Whether it answers a query at `now` without another read.
    pub(super) fn is_fresh(&self, settings: &ViewSettings, now: Instant) -> bool {
        let Some(kept) = &self.kept else { return false };
        let age = now.duration_since(kept.read_at);
        match kept.view {
            Some(_) if self.is_current(now) => age <= settings.hinted && kept.outdated.is_none(),
            Some(_) => age <= settings.fresh_for(kept.entries()) && kept.outdated.is_none(),
            None => age <= settings.idle,
        }
    }

    /// Whether the last read failed, and the next one is not to begin yet.
    pub(super) fn has_just_failed(&self, now: Instant) -> bool {
        self.failed.as_ref().is_some_and(|failed| now < failed.until)
    }

    /// A read failed: the next one waits, each time longer.
    pub(super) fn fail(&mut self, error: PortError, settings: &ViewSettings, now: Instant) {
        let last = self.failed.as_ref().map(|failed| failed.until.duration_since(failed.at));
        let wait = last.map_or(settings.retry, |last| {
            last.saturating_mul(2).min(settings.retry_max.max(settings.retry))
        });
        self.failed = Some(Failed { error, at: now, until: now + wait });
    }

    /// Why it is read, where it is read now.
    pub(super) fn refill_reason(&self) -> RefillReason {
        match &self.kept {
            None => RefillReason::First,
            Some(kept) if kept.outdated.is_some() => RefillReason::Unknown,
            Some(kept) if self.trust.is_some_and(|trust| kept.read_at < trust.from) => {
                RefillReason::Hints
            }
            Some(_) => RefillReason::Age,
        }
    }

    /// Applies a hint, or keeps it until the first read is over.
    pub(super) fn apply(&mut self, hint: &Hint) -> Applied {
        self.unannounced.announced(hint);
        match &mut self.kept {
            Some(kept) => kept.apply(hint),
            None => {
                // One more than the bound says that some are missing.
                if self.early.len() <= EARLY_HINTS_MAX {
                    self.early.push(hint.clone());
                }
                Applied::Unknown
            }
        }
    }

    /// Puts what was read in the place of what is kept.
    pub(super) fn settle(&mut self, mut read: Kept) {
        let was_current = self.is_current(Instant::now());
        let before = self.kept.take();
        self.failed = None;
        if let (Some(before), Some(view)) = (before, &mut read.view) {
            if let Some(old) = &before.view {
                if was_current {
                    self.unannounced.find(old, view);
                }
                *view = Arc::new(old.refreshed(view));
            }
            // What came after the read began may not be in it.
            read.outdated = before.outdated.filter(|at| *at >= read.read_at);
            read.memos = before.memos;
        }
        let early = std::mem::take(&mut self.early);
        for hint in &early {
            read.apply(hint);
        }
        if early.len() > EARLY_HINTS_MAX {
            read.outdated = Some(Instant::now());
        }
        self.kept = Some(read);
    }
}

/// All pools that are kept, those known not to exist, and those that are watched.
#[derive(Default)]
pub(super) struct Slots {
    pub(super) by_pool: BTreeMap<PoolId, Slot>,
    pub(super) watched: Watched,
    absent: Absent,
}

impl Slots {
    /// The slot of a pool that is asked for; `None` where too many are being read for the first
    /// time.
    pub(super) fn ask(
        &mut self,
        pool: &PoolId,
        settings: &ViewSettings,
        now: Instant,
    ) -> Option<&mut Slot> {
        if !self.by_pool.contains_key(pool) {
            self.drop_idle(settings, now);
            if self.pending() >= settings.pending_max {
                self.drop_failed(now);
            }
            if self.pending() >= settings.pending_max {
                return None;
            }
        }
        let slot = self.by_pool.entry(pool.clone()).or_insert_with(|| Slot::new(now));
        slot.asked = now;
        Some(slot)
    }

    pub(super) fn is_absent(&self, pool: &PoolId, lifetime: Duration, now: Instant) -> bool {
        self.absent.has(pool, lifetime, now)
    }

    /// When a pool was found not to exist, if nothing was heard of it since.
    pub(super) fn absent_since(&self, pool: &PoolId) -> Option<Instant> {
        self.absent.since.get(pool).copied()
    }

    /// The pool does not exist.
    pub(super) fn forget(&mut self, pool: &PoolId, settings: &ViewSettings, now: Instant) {
        self.by_pool.remove(pool);
        self.absent.add(pool, settings, now);
    }

    /// A hint says that the pool exists.
    pub(super) fn exists(&mut self, pool: &PoolId) {
        self.absent.since.remove(pool);
    }

    /// Drops the least recently asked for until no more are kept than may be.
    pub(super) fn shrink(&mut self, settings: &ViewSettings, now: Instant) {
        self.drop_idle(settings, now);
        let kept = || self.by_pool.values().filter_map(|slot| slot.kept.as_ref());
        let mut pools = kept().count();
        let mut entries: usize = kept().map(Kept::entries).sum();
        while pools > settings.pools_max || entries > settings.total_max && pools > 1 {
            let idle = |slot: &Slot| slot.kept.is_some() && slot.under_way().is_none();
            let oldest = self.by_pool.iter().filter(|(_, slot)| idle(slot));
            let Some(pool) =
                oldest.min_by_key(|(_, slot)| slot.asked).map(|(pool, _)| pool.clone())
            else {
                return;
            };
            let dropped = self.by_pool.remove(&pool).and_then(|slot| slot.kept);
            pools = pools.saturating_sub(1);
            entries = entries.saturating_sub(dropped.as_ref().map_or(0, Kept::entries));
        }
    }

    /// Drops what no query asked for.
    pub(super) fn drop_idle(&mut self, settings: &ViewSettings, now: Instant) {
        self.by_pool.retain(|_, slot| {
            slot.under_way().is_some() || now.duration_since(slot.asked) <= settings.idle
        });
    }

    /// The pools of which there is nothing yet.
    fn pending(&self) -> usize {
        self.by_pool.values().filter(|slot| slot.kept.is_none()).count()
    }

    /// Drops first reads that failed and may be tried again. How long the next pause of such a pool
    /// has to be is forgotten with it.
    fn drop_failed(&mut self, now: Instant) {
        self.by_pool.retain(|_, slot| {
            slot.kept.is_some() || slot.under_way().is_some() || slot.has_just_failed(now)
        });
    }
}

/// Pools that do not exist.
#[derive(Default)]
struct Absent {
    since: BTreeMap<PoolId, Instant>,
    /// The same, the oldest first; also those that have been removed or added again.
    order: VecDeque<(Instant, PoolId)>,
}

impl Absent {
    fn has(&self, pool: &PoolId, lifetime: Duration, now: Instant) -> bool {
        let is_known = |since: &Instant| now.duration_since(*since) <= lifetime;
        self.since.get(pool).is_some_and(|since| is_known(since) || injected_bug!(AbsentForever))
    }

    fn add(&mut self, pool: &PoolId, settings: &ViewSettings, now: Instant) {
        self.since.insert(pool.clone(), now);
        self.order.push_back((now, pool.clone()));
        while let Some((since, oldest)) = self.order.front() {
            let over = self.order.len() > settings.absent_max
                || now.duration_since(*since) > settings.absent;
            if !over {
                return;
            }
            if self.since.get(oldest) == Some(since) {
                self.since.remove(oldest);
            }
            self.order.pop_front();
        }
    }
}
