//! Whether the process can work, as its parts report it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prometheus::IntGaugeVec;
use tokio::time::Instant;

use super::Metrics;

/// A part that stays not ready is logged again after this time.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// A handle on which parts report whether they can work. Clones share what is reported.
///
/// The process is ready while every part is, and it is not draining.
#[derive(Clone, Debug)]
pub struct Readiness {
    state: Arc<Mutex<State>>,
    gauge: Option<IntGaugeVec>,
}

#[derive(Debug)]
struct State {
    draining: bool,
    parts: BTreeMap<String, Part>,
}

#[derive(Debug)]
struct Part {
    state: Result<(), String>,
    since: Instant,
    /// When it was last logged that it is not ready; `None` if it has not been, since it began or
    /// was ready.
    logged: Option<Instant>,
}

/// What to log of a report.
enum Log {
    Nothing,
    Ready { not_ready_for: Duration },
    NotReady { not_ready_for: Duration },
}

impl Part {
    fn starting() -> Self {
        Self { state: Err("starting".to_owned()), since: Instant::now(), logged: None }
    }

    fn set(&mut self, state: Result<(), String>) -> Log {
        let now = Instant::now();
        if self.state.is_ok() != state.is_ok() {
            let was = std::mem::replace(&mut self.since, now);
            if state.is_ok() {
                *self = Self { state, since: now, logged: None };
                return Log::Ready { not_ready_for: now - was };
            }
        }
        self.state = state;
        let is_due = self.logged.is_none_or(|at| now >= at + LOG_EVERY);
        if self.state.is_ok() || !is_due {
            return Log::Nothing;
        }
        self.logged = Some(now);
        Log::NotReady { not_ready_for: now - self.since }
    }
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
        let starting = |part: &str| (part.to_owned(), Part::starting());
        let parts = parts.into_iter().map(starting).collect();
        Self { state: Arc::new(Mutex::new(State { draining: false, parts })), gauge: None }
    }

    /// The same, and each part is a metric from now on.
    #[must_use]
    pub fn reported_to(self, metrics: &Metrics) -> Self {
        let gauge = metrics.readiness();
        for (part, known) in &self.lock().parts {
            gauge.with_label_values(&[part]).set(known.state.is_ok().into());
        }
        Self { gauge: Some(gauge), ..self }
    }

    /// Sets a part's state: ready, or the reason why not. Every client of the admin port sees the
    /// reason: no secrets, no user data. It is logged when it changes, and every minute while the
    /// part is not ready.
    pub fn set(&self, part: &str, state: Result<(), String>) {
        if let Some(gauge) = &self.gauge {
            gauge.with_label_values(&[part]).set(state.is_ok().into());
        }
        let mut shared = self.lock();
        let known = shared.parts.entry(part.to_owned()).or_insert_with(Part::starting);
        let log = known.set(state.clone());
        drop(shared);
        match (log, state) {
            (Log::NotReady { not_ready_for }, Err(reason)) => {
                tracing::warn!(
                    part,
                    error = reason,
                    not_ready_s = not_ready_for.as_secs(),
                    "not ready"
                );
            }
            (Log::Ready { not_ready_for }, _) => {
                tracing::info!(part, not_ready_s = not_ready_for.as_secs(), "ready");
            }
            _ => {}
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
        let parts = state.parts.iter().map(|(name, part)| (name.clone(), part.state.clone()));
        Report { draining: state.draining, parts: parts.collect() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn not_ready(reason: &str) -> Result<(), String> {
        Err(reason.to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_never_was_ready_is_logged_at_once_and_each_minute() {
        let mut part = Part::starting();
        let mut logged = Vec::new();
        for second in (0..180).step_by(10) {
            if let Log::NotReady { not_ready_for } = part.set(not_ready("no such table")) {
                logged.push((second, not_ready_for.as_secs()));
            }
            tokio::time::advance(Duration::from_secs(10)).await;
        }
        assert_eq!(logged, [(0, 0), (60, 60), (120, 120)]);
        assert!(
            matches!(part.set(Ok(())), Log::Ready { not_ready_for } if not_ready_for.as_secs() == 180)
        );
        assert!(matches!(part.set(Ok(())), Log::Nothing));
        let again = part.set(not_ready("throttled"));
        assert!(matches!(again, Log::NotReady { not_ready_for } if not_ready_for.is_zero()));
        assert!(matches!(part.set(not_ready("throttled")), Log::Nothing));
    }

    #[test]
    fn each_part_is_a_metric() {
        let metrics = Metrics::new().unwrap();
        let readiness = Readiness::of(["queues", "store"]).reported_to(&metrics);
        readiness.clone().set("store", Ok(()));
        let text = metrics.encode().unwrap();
        assert!(text.contains("inventory_ready{part=\"queues\"} 0\n"), "{text}");
        assert!(text.contains("inventory_ready{part=\"store\"} 1\n"), "{text}");
        readiness.set("store", not_ready("throttled"));
        assert!(metrics.encode().unwrap().contains("inventory_ready{part=\"store\"} 0\n"));
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
