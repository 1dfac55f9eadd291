//! A circuit breaker that spares callers the wait for a server that does not answer.

use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that open the breaker. More than one, so that a single lost connection, which
/// the next call renews, does not cost a second without locks.
const FAILURES_MAX: u32 = 3;

/// How long no call is made, and the interval between probes. One timeout a second is the most that
/// a server that is down can cost.
const PAUSE: Duration = Duration::from_secs(1);

/// What to do with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Make it.
    Go,
    /// Make it: its outcome shows whether the server is back. No other call until [`PAUSE`] has
    /// passed.
    Probe,
    /// Fail it at once.
    Stop,
}

/// Counts failures in a row; opens after [`FAILURES_MAX`], and closes with the first success.
///
/// Pure: the time is passed in. A dropped probe needs no clean-up, as the pause lets the next one
/// through.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    next_probe: Option<Instant>,
}

impl Breaker {
    /// Whether a call may go out now.
    pub(super) fn admit(&mut self, now: Instant) -> Admission {
        match self.next_probe {
            None => Admission::Go,
            Some(at) if now < at => Admission::Stop,
            Some(_) => {
                self.next_probe = Some(now + PAUSE);
                Admission::Probe
            }
        }
    }

    /// Records an answered call. Returns whether this closed the breaker.
    pub(super) fn succeed(&mut self) -> bool {
        self.failures = 0;
        self.next_probe.take().is_some()
    }

    /// Records a failed call. Returns whether this opened the breaker.
    pub(super) fn fail(&mut self, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        if self.failures < FAILURES_MAX || self.next_probe.is_some() {
            return false;
        }
        self.next_probe = Some(now + PAUSE);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for nth in 1..=FAILURES_MAX {
            assert_eq!(breaker.admit(now), Admission::Go);
            assert_eq!(breaker.fail(now), nth == FAILURES_MAX);
        }
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            for _ in 1..FAILURES_MAX {
                assert!(!breaker.fail(now));
            }
            assert!(!breaker.succeed());
            assert_eq!(breaker.admit(now), Admission::Go);
        }
        assert_eq!(open(now).admit(now), Admission::Stop);
    }

    #[test]
    fn an_open_one_lets_a_single_probe_through_each_pause() {
        let now = Instant::now();
        let mut breaker = open(now);
        assert_eq!(breaker.admit(now + PAUSE - Duration::from_nanos(1)), Admission::Stop);
        for pause in 1..5 {
            let then = now + PAUSE * pause;
            assert_eq!(breaker.admit(then), Admission::Probe);
            assert_eq!(breaker.admit(then), Admission::Stop);
            // Failed or never answered: the next pause brings the next probe.
            if pause % 2 == 0 {
                assert!(!breaker.fail(then));
            }
        }
    }

    #[test]
    fn a_probe_that_succeeds_closes_it() {
        let now = Instant::now();
        let mut breaker = open(now);
        assert_eq!(breaker.admit(now + PAUSE), Admission::Probe);
        assert!(breaker.succeed());
        assert_eq!(breaker.admit(now + PAUSE), Admission::Go);
        assert!(!breaker.fail(now + PAUSE), "the count began anew");
    }

    #[test]
    fn failures_of_calls_begun_before_it_opened_do_not_put_the_probe_off() {
        let now = Instant::now();
        let mut breaker = open(now);
        for _ in 0..100 {
            assert!(!breaker.fail(now + PAUSE / 2));
        }
        assert_eq!(breaker.admit(now + PAUSE), Admission::Probe);
    }
}
