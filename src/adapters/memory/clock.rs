//! A clock that follows tokio's, so that a paused runtime drives everything.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::SignedDuration;
use tokio::time::Instant;

use crate::{
    domain::{Timestamp, time::saturating_add},
    ports::Clock,
};

/// Starts at `epoch` when it is created, then advances with tokio's clock, offset by a settable
/// skew.
#[derive(Debug)]
pub struct TokioClock {
    epoch: Timestamp,
    start: Instant,
    skew_ms: AtomicI64,
}

impl TokioClock {
    /// A clock that starts at `epoch`. To follow a paused runtime it must be created inside it.
    #[must_use]
    pub fn new(epoch: Timestamp) -> Self {
        Self { epoch, start: Instant::now(), skew_ms: AtomicI64::new(0) }
    }

    /// A clock of the same origin, offset by `skew_ms` milliseconds, as on another machine.
    #[must_use]
    pub fn skewed(&self, skew_ms: i64) -> Self {
        Self { epoch: self.epoch, start: self.start, skew_ms: AtomicI64::new(skew_ms) }
    }

    /// Offsets the clock by `skew_ms` milliseconds from now on, forward or back.
    pub fn set_skew(&self, skew_ms: i64) {
        self.skew_ms.store(skew_ms, Ordering::Relaxed);
    }

    /// The offset in milliseconds.
    #[must_use]
    pub fn skew(&self) -> i64 {
        self.skew_ms.load(Ordering::Relaxed)
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX);
        let passed = SignedDuration::from_millis(elapsed.saturating_add(self.skew()));
        let now = saturating_add(self.epoch, passed);
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_goes_as_paused_time_is_moved() {
        let clock = TokioClock::new("2026-11-22T10:00:00Z".parse().unwrap());
        assert_eq!(clock.now().to_string(), "2026-11-22T10:00:00Z");
        tokio::time::advance(Duration::from_millis(1_500)).await;
        assert_eq!(clock.now().to_string(), "2026-11-22T10:00:01.5Z");
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_cut_to_the_millisecond() {
        let clock = TokioClock::new("2026-11-22T10:00:00.0009Z".parse().unwrap());
        assert_eq!(clock.now().to_string(), "2026-11-22T10:00:00Z");
    }

    #[tokio::test(start_paused = true)]
    async fn clocks_of_one_origin_differ_by_their_skew_alone() {
        let clock = TokioClock::new("2026-11-22T10:00:00Z".parse().unwrap());
        let other = clock.skewed(-2_000);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(other.now().to_string(), "2026-11-22T10:00:03Z");
        other.set_skew(2_000);
        assert_eq!(other.now().to_string(), "2026-11-22T10:00:07Z");
        assert_eq!(clock.now().to_string(), "2026-11-22T10:00:05Z");
    }
}
