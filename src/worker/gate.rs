//! Holds receiving back while the environment fails.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;
use tracing::{info, warn};

use crate::{
    ports::Entropy,
    retry::{Backoff, Policy},
};

/// Shared by the pollers of a worker. Every failure of the environment makes the pause longer, up
/// to the policy's greatest; the first success ends it.
pub struct Gate {
    entropy: Arc<dyn Entropy>,
    state: Mutex<State>,
}

struct State {
    backoff: Backoff,
    closed_until: Option<Instant>,
}

impl Gate {
    /// Open.
    #[must_use]
    pub fn new(entropy: Arc<dyn Entropy>) -> Self {
        let backoff = Backoff::new(Policy::OUTAGE);
        Self { entropy, state: Mutex::new(State { backoff, closed_until: None }) }
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
        drop(state);
        warn!(what, pause_ms = delay.as_millis(), "the environment failed, receiving pauses");
    }

    /// The environment works.
    pub fn succeeded(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed_until.take().is_some() {
            state.backoff.reset();
            drop(state);
            info!("the environment works again");
        }
    }

    /// Until when receiving is held back, if it is.
    #[must_use]
    pub fn closed_until(&self) -> Option<Instant> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed_until.filter(|until| Instant::now() < *until)
    }
}
