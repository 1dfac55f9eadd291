//! What hints do to the view besides the changes that they carry.

use std::time::Duration;

use tokio::time::Instant;

use super::{Inner, ViewCache};
use crate::domain::PoolId;

/// A pool that was asked for within this time is read again at once where hints were missed. Others
/// wait for their next query.
const ASKED_LATELY: Duration = Duration::from_secs(10);

/// How far hints keep a projection current.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust {
    /// A read that began no earlier, and the hints since then, have every change.
    pub from: Instant,
    /// Hints are not relied upon any longer, unless this is extended.
    pub until: Instant,
}

impl Trust {
    /// Whether a projection that was read then is current.
    pub(in crate::gateway::view) fn covers(&self, read_at: Instant, now: Instant) -> bool {
        (self.from <= read_at || injected_bug!(TrustEarlyRead)) && now < self.until
    }
}

impl ViewCache {
    /// The pools whose hints are wanted: those that are kept or being read. What no query asked for
    /// is dropped, so that workers announce nothing for it.
    #[must_use]
    pub fn followed(&self) -> Vec<PoolId> {
        let mut slots = self.inner.slots();
        slots.drop_idle(&self.inner.settings, Instant::now());
        let wanted = slots.by_pool.iter().filter(|(_, slot)| {
            // One that is too large is not kept.
            slot.kept.as_ref().is_none_or(|kept| kept.view.is_some())
        });
        wanted.map(|(pool, _)| pool.clone()).collect()
    }

    /// Sets how far hints keep the pool current.
    pub fn trust(&self, pool: &PoolId, trust: Option<Trust>) {
        let now = Instant::now();
        let mut slots = self.inner.slots();
        let Some(slot) = slots.by_pool.get_mut(pool) else { return };
        let was_current = slot.is_current(now);
        // It may have been dropped and asked for again since its hints began to be followed.
        let clamped = |trust: Trust| Trust { from: trust.from.max(slot.since), ..trust };
        slot.trust = trust.map(clamped);
        if was_current && !slot.is_current(now) {
            // Those who watch it wait for a time that is too late by now.
            slots.watched.tell(pool);
        }
    }

    /// Whether a read found a change that should have been announced by now.
    #[must_use]
    pub fn has_unannounced(&self, pool: &PoolId) -> bool {
        let slots = self.inner.slots();
        slots.by_pool.get(pool).is_some_and(|slot| slot.unannounced.is_overdue(Instant::now()))
    }

    /// Changes that were found before they were announced are accounted for: it is known that some
    /// announcements are missing.
    pub fn clear_unannounced(&self, pool: &PoolId) {
        if let Some(slot) = self.inner.slots().by_pool.get_mut(pool) {
            slot.unannounced.clear();
        }
    }

    /// Reads the pool in the background, where it was read before `missed` or lacks an entry, and
    /// somebody asked for it lately; not while reads that failed are being waited out. Returns
    /// whether it is to be read.
    pub fn read_again(&self, pool: &PoolId, missed: Instant) -> bool {
        let now = Instant::now();
        let mut slots = self.inner.slots();
        let is_watched = slots.watched.has(pool);
        let Some(slot) = slots.by_pool.get_mut(pool) else { return false };
        let Some(kept) = slot.kept.as_ref().filter(|kept| kept.view.is_some()) else {
            return false;
        };
        let lacks_something = kept.read_at < missed || kept.outdated.is_some();
        let is_wanted = is_watched || now.duration_since(slot.asked) <= ASKED_LATELY;
        if lacks_something && is_wanted && !slot.has_just_failed(now) {
            // It runs on its own.
            drop(Inner::filling(&self.inner, slot, pool, Some(missed)));
        }
        lacks_something && is_wanted
    }
}
