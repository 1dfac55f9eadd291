//! Whether the process can work, as its parts report it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A handle on which parts report whether they can work. Clones share what is reported.
///
/// The process is ready while every part is, and it is not draining.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    draining: bool,
    parts: BTreeMap<String, Result<(), String>>,
}

/// Readiness at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whether the process is shutting down.
    pub draining: bool,
    /// Each part, with the reason where it is not ready.
    pub parts: BTreeMap<String, Result<(), String>>,
}

impl Report {
    /// Whether the process can do its work.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.draining && self.parts.values().all(Result::is_ok)
    }
}

impl Readiness {
    /// Waits for these parts: each is not ready until it reports so.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        let starting = |part: &str| (part.to_owned(), Err("starting".to_owned()));
        let parts = parts.into_iter().map(starting).collect();
        Self(Arc::new(Mutex::new(State { draining: false, parts })))
    }

    /// Sets a part's state: ready, or the reason why not. Every client of the admin port sees the
    /// reason: no secrets, no user data.
    pub fn set(&self, part: &str, state: Result<(), String>) {
        let mut shared = self.lock();
        let before = shared.parts.insert(part.to_owned(), state.clone());
        drop(shared);
        match (before.as_ref().map(Result::is_ok), state) {
            (Some(true), Ok(())) => {}
            (_, Ok(())) => tracing::info!(part, "ready"),
            (Some(false), Err(reason)) => tracing::debug!(part, reason, "still not ready"),
            (_, Err(reason)) => tracing::warn!(part, reason, "not ready"),
        }
    }

    /// The process is shutting down: not ready from here on, whatever its parts report.
    pub fn drain(&self) {
        self.lock().draining = true;
    }

    /// The current readiness.
    #[must_use]
    pub fn report(&self) -> Report {
        let state = self.lock();
        Report { draining: state.draining, parts: state.parts.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_once_every_part_has_said_so() {
        let readiness = Readiness::of(["queues", "store"]);
        assert!(!readiness.report().is_ready());
        readiness.set("store", Ok(()));
        assert_eq!(readiness.report().parts["queues"], Err("starting".to_owned()));
        readiness.clone().set("queues", Ok(()));
        assert!(readiness.report().is_ready());
    }

    #[test]
    fn a_part_that_breaks_takes_readiness_with_it_until_it_is_mended() {
        let readiness = Readiness::of(["store"]);
        readiness.set("store", Ok(()));
        readiness.set("store", Err("throttled".to_owned()));
        assert!(!readiness.report().is_ready());
        readiness.set("store", Ok(()));
        assert!(readiness.report().is_ready());
    }

    #[test]
    fn a_draining_process_is_never_ready_again() {
        let readiness = Readiness::of([]);
        assert!(readiness.report().is_ready());
        readiness.drain();
        readiness.set("store", Ok(()));
        assert!(!readiness.report().is_ready());
    }
}
