//! Holds receiving back while the environment fails.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tracing::{info, warn};

use super::events::{Event, Observer};
use crate::{
    ports::Entropy,
    retry::{Backoff, Policy},
};

/// Shared by the pollers of a worker. Every failure of the environment makes the pause longer, up
/// to the policy's greatest. After a pause one receive at a time shows, a queue, whether the
/// environment works again: more would only draw messages that come back. The first success ends
/// it.
pub struct Gate {
    entropy: Arc<dyn Entropy>,
    observer: Arc<dyn Observer>,
    state: Mutex<State>,
    /// Told when the environment works again. Not a `watch`, which wakes in an order of its own
    /// chance: simulations would not repeat.
    works: Notify,
}

struct State {
    backoff: Backoff,
    closed_until: Option<Instant>,
    /// From a failure to the next success.
    is_failing: bool,
}

/// The right to receive while it is not known whether the environment works: one a queue.
#[derive(Clone)]
pub struct Probes(Arc<Semaphore>);

impl Default for Probes {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// A receive and what it brought, to show whether the environment works; others wait for it.
pub type Probe = Arc<OwnedSemaphorePermit>;

impl Gate {
    /// Open.
    #[must_use]
    pub fn new(entropy: Arc<dyn Entropy>, observer: Arc<dyn Observer>) -> Self {
        let backoff = Backoff::new(Policy::OUTAGE);
        let state = Mutex::new(State { backoff, closed_until: None, is_failing: false });
        Self { entropy, observer, state, works: Notify::new() }
    }

    /// The environment failed. Failures during a pause belong to the one that began it.
    pub fn failed(&self, what: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match state.closed_until {
            Some(until) if now < until => return,
            // Long enough ago to be another story.
            Some(until) if now > until + Policy::OUTAGE.max => state.backoff.reset(),
            _ => {}
        }
        let Some(delay) = state.backoff.next_delay(&*self.entropy) else { return };
        state.closed_until = Some(now + delay);
        state.is_failing = true;
        drop(state);
        self.observer.observe(&Event::Paused(delay));
        warn!(what, pause_ms = delay.as_millis(), "the environment failed, receiving pauses");
    }

    /// The environment works.
    pub fn succeeded(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed_until.take().is_some() {
            state.backoff.reset();
            state.is_failing = false;
            drop(state);
            self.works.notify_waiters();
            info!("the environment works again");
        }
    }

    /// Waits until a receive may begin: at once while the environment works; otherwise after the
    /// pause, and then one at a time, which the probe stands for until it is dropped.
    pub async fn opened(&self, probes: &Probes) -> Option<Probe> {
        loop {
            // From here on no success is missed.
            let mut works = std::pin::pin!(self.works.notified());
            works.as_mut().enable();
            while let Some(until) = self.closed_until() {
                tokio::time::sleep_until(until).await;
            }
            if !self.is_failing() {
                return None;
            }
            let probe = tokio::select! {
                biased;
                () = works => continue,
                probe = Arc::clone(&probes.0).acquire_owned() => probe.ok(),
            };
            // While it was waited for, the one before may have failed.
            if self.closed_until().is_none() {
                return probe.map(Arc::new);
            }
        }
    }

    fn is_failing(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_failing
    }

    /// Until when receiving is held back, if it is.
    fn closed_until(&self) -> Option<Instant> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed_until.filter(|until| Instant::now() < *until)
    }
}
