//! Pools that are watched: read again by themselves, with word of each read and change.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{Found, Inner, ViewCache};
use crate::{domain::PoolId, gateway::view::watched::News, ports::Entropy};

/// How far the time between two reads varies, up and down.
const JITTER: f64 = 0.1;

/// Keeps a pool current for as long as it lives. All who watch a pool share its reads.
pub struct Watch {
    cache: ViewCache,
    pool: PoolId,
    news: watch::Receiver<()>,
    /// The pool is read again for as long as somebody has this.
    _shared: Arc<News>,
}

impl Watch {
    /// Waits until the pool was read, changed, or could not be read. May be dropped at any time.
    pub async fn changed(&mut self) {
        // The sender lives as long as this.
        if self.news.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// What is kept of the pool, without a read; `None` where nothing is, or it is older than
    /// [`super::ViewSettings::stale`].
    #[must_use]
    pub fn kept(&self) -> Option<Found> {
        self.cache.answer(&self.pool).ok()
    }
}

impl ViewCache {
    /// Watches a pool: it is read again every [`super::ViewSettings::fresh_for`] its size, or
    /// [`super::ViewSettings::hinted`] while hints keep it current, give or take a tenth; and after
    /// a hint of an entry that is not there.
    #[must_use]
    pub fn watch(&self, pool: &PoolId, entropy: &Arc<dyn Entropy>) -> Watch {
        let (shared, is_first) = self.inner.slots().watched.join(pool);
        let news = shared.subscribe();
        if is_first {
            let (entropy, word) = (Arc::clone(entropy), shared.subscribe());
            tokio::spawn(keep_fresh(self.clone(), pool.clone(), entropy, word));
        }
        Watch { cache: self.clone(), pool: pool.clone(), news, _shared: shared }
    }

    /// How old a watched pool may become, at most.
    #[must_use]
    pub fn stale_after(&self) -> Duration {
        self.inner.settings.stale
    }

    /// When a watched pool is to be read again. Intervals vary by the factor.
    fn due(&self, pool: &PoolId, factor: f64) -> Instant {
        let settings = &self.inner.settings;
        let now = Instant::now();
        let slots = self.inner.slots();
        let absent = slots.absent_since(pool).map(|since| since + settings.absent);
        if let Some(known_until) = absent.filter(|until| now < *until) {
            return known_until;
        }
        let Some(slot) = slots.by_pool.get(pool) else { return now };
        if let Some(failed) = &slot.failed {
            // Those who watch learn at once when what is kept is too old to be shown.
            let shown_until = slot.kept.as_ref().map(|kept| kept.read_at + settings.stale);
            let too_old = shown_until.map(|until| until + Duration::from_millis(1));
            let too_old = too_old.filter(|at| failed.at < *at);
            return too_old.map_or(failed.until, |at| at.min(failed.until));
        }
        match &slot.kept {
            None => now,
            Some(kept) if kept.view.is_none() => kept.read_at + settings.idle,
            Some(kept) if kept.outdated.is_some() => now,
            Some(kept) => {
                let fresh = settings.fresh_for(kept.entries());
                let interval = match slot.trust.filter(|_| slot.is_current(now)) {
                    // When hints are no longer relied upon, it is due sooner.
                    Some(trust) => {
                        let left = trust.until.duration_since(kept.read_at);
                        settings.hinted.mul_f64(factor).min(left.max(fresh))
                    }
                    None => fresh.mul_f64(factor),
                };
                kept.read_at + interval.min(settings.hinted.max(settings.fresh))
            }
        }
    }

    /// Reads the pool, or awaits the read under way.
    async fn refresh(&self, pool: &PoolId) {
        let filling = {
            let mut slots = self.inner.slots();
            let slot = slots.ask(pool, &self.inner.settings, Instant::now());
            slot.map(|slot| Inner::filling(&self.inner, slot, pool, None))
        };
        if let Some(filling) = filling {
            filling.await;
        }
    }
}

/// Reads the pool again and again, until nobody watches it.
async fn keep_fresh(
    cache: ViewCache,
    pool: PoolId,
    entropy: Arc<dyn Entropy>,
    mut word: watch::Receiver<()>,
) {
    let settings = cache.inner.settings;
    let draw = || 1.0 + JITTER * (2.0 * entropy.fraction() - 1.0);
    let mut factor = draw();
    let mut rested = Instant::now();
    loop {
        let due = cache.due(&pool, factor).max(rested);
        tokio::select! {
            told = word.changed() => if told.is_err() { return },
            () = sleep_until(due) => {
                // Hints may have been relied upon for longer meanwhile.
                if cache.due(&pool, factor) > Instant::now() {
                    continue;
                }
                cache.refresh(&pool).await;
                factor = draw();
                // However long reads take, and however many hints are of new entries.
                rested = Instant::now() + settings.retry;
            }
        }
    }
}

#[cfg(test)]
mod tests;
