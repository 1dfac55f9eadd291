//! Jittered exponential back-off, over the `backoff` crate: computes the wait before the next
//! attempt.
//!
//! Retries conflicts, lock waits and failed entries of batches. The client libraries retry
//! transport faults and throttling: no call has two layers of retries.
//!
//! Only the crate's arithmetic is used. Its own randomisation and deadlines read the machine's
//! random source and clock, which would make simulations unrepeatable; jitter comes from
//! [`Entropy::fraction`], waits and deadlines from `tokio::time`.

use std::time::Duration;

use backoff::{backoff::Backoff as _, exponential::ExponentialBackoff};
use tokio::time::Instant;

use crate::ports::Entropy;

/// The number of attempts and the intervals between them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// The first interval.
    pub initial: Duration,
    /// The longest interval.
    pub max: Duration,
    /// The factor from each interval to the next; at least 1.
    pub multiplier: f64,
    /// The most attempts, the first one included: with 8 there are 7 waits. 0 counts as 1.
    pub attempts: u32,
    /// The time limit for all attempts and waits together; the last wait is cut to the rest of it.
    pub total: Option<Duration>,
}

impl Policy {
    /// An unlimited number of `attempts`.
    pub const UNBOUNDED: u32 = u32::MAX;

    /// A transaction that conflicted with another: load again, decide again.
    pub const CONFLICT: Self = Self {
        initial: Duration::from_millis(10),
        max: Duration::from_millis(500),
        multiplier: 2.0,
        attempts: 8,
        total: None,
    };

    /// A lock held by another worker. A batch holds its locks for a load and a commit, some 20 ms.
    pub const LOCK_WAIT: Self = Self {
        initial: Duration::from_millis(5),
        max: Duration::from_millis(50),
        multiplier: 2.0,
        attempts: Self::UNBOUNDED,
        total: Some(Duration::from_millis(500)),
    };

    /// Entries of a publish or delete that failed while others of the batch succeeded.
    pub const ENTRIES: Self = Self {
        initial: Duration::from_millis(50),
        max: Duration::from_secs(1),
        multiplier: 2.0,
        attempts: 5,
        total: None,
    };

    /// The poller's pause while the environment fails; restarts after a success.
    pub const OUTAGE: Self = Self {
        initial: Duration::from_millis(500),
        max: Duration::from_secs(30),
        multiplier: 2.0,
        attempts: Self::UNBOUNDED,
        total: None,
    };

    /// The same policy with another total time limit.
    #[must_use]
    pub fn within(self, total: Duration) -> Self {
        Self { total: Some(total), ..self }
    }

    /// The same policy with another number of attempts.
    #[must_use]
    pub fn attempts(self, attempts: u32) -> Self {
        Self { attempts, ..self }
    }

    /// Begins a sequence of waits now.
    #[must_use]
    pub fn start(self) -> Backoff {
        Backoff::new(self)
    }
}

/// One sequence of waits under a [`Policy`].
///
/// Equal jitter: each delay lies between half its interval and the whole of it. Full jitter would
/// separate rivals a little better, but may result in almost no wait, which overloads a service
/// that is down.
#[derive(Debug)]
pub struct Backoff {
    policy: Policy,
    intervals: ExponentialBackoff<Stopped>,
    waits_left: u32,
    deadline: Option<Instant>,
}

impl Backoff {
    /// Begins a sequence of waits now.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let now = Instant::now();
        let start_time = now.into_std();
        let intervals = ExponentialBackoff {
            current_interval: policy.initial.min(policy.max),
            initial_interval: policy.initial.min(policy.max),
            randomization_factor: 0.0,
            // A multiplier below 1, or NaN, would shrink the intervals.
            multiplier: policy.multiplier.max(1.0),
            max_interval: policy.max,
            start_time,
            max_elapsed_time: None,
            clock: Stopped(start_time),
        };
        Self { policy, intervals, waits_left: waits(policy), deadline: deadline(policy, now) }
    }

    /// The wait before the next attempt; `None` if no attempts or time remain.
    pub fn next_delay(&mut self, entropy: &dyn Entropy) -> Option<Duration> {
        if self.waits_left == 0 {
            return None;
        }
        let left = self.deadline.map(|deadline| deadline.duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return None;
        }
        // Read before the crate's step: its answer is the same but for a random last nanosecond.
        let interval = self.intervals.current_interval;
        self.intervals.next_backoff()?;
        if self.policy.attempts != Policy::UNBOUNDED {
            self.waits_left -= 1;
        }
        let half = interval / 2;
        let delay = half + (interval - half).mul_f64(entropy.fraction().clamp(0.0, 1.0));
        Some(left.map_or(delay, |left| delay.min(left)))
    }

    /// Restarts the sequence, after a success.
    pub fn reset(&mut self) {
        self.intervals.reset();
        self.waits_left = waits(self.policy);
        self.deadline = deadline(self.policy, Instant::now());
    }

    /// Waits before the next attempt. Returns `false` at once, without waiting, if no attempts or
    /// time remain.
    pub async fn wait(&mut self, entropy: &dyn Entropy) -> bool {
        let Some(delay) = self.next_delay(entropy) else { return false };
        tokio::time::sleep(delay).await;
        true
    }
}

fn waits(policy: Policy) -> u32 {
    policy.attempts.saturating_sub(1)
}

fn deadline(policy: Policy, now: Instant) -> Option<Instant> {
    // A total beyond the end of time sets no deadline.
    policy.total.and_then(|total| now.checked_add(total))
}

/// The crate requires a clock even without a deadline; this one stands still.
#[derive(Clone, Copy, Debug)]
struct Stopped(std::time::Instant);

impl backoff::Clock for Stopped {
    fn now(&self) -> std::time::Instant {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::system::Random;

    /// Always the same fraction.
    struct Fixed(f64);

    impl Entropy for Fixed {
        fn uuid(&self) -> uuid::Uuid {
            uuid::Uuid::nil()
        }

        fn fraction(&self) -> f64 {
            self.0
        }
    }

    fn delays(policy: Policy, entropy: &dyn Entropy, count: usize) -> Vec<Duration> {
        let mut backoff = policy.start();
        (0..count).map_while(|_| backoff.next_delay(entropy)).collect()
    }

    fn millis(delays: &[Duration]) -> Vec<f64> {
        delays.iter().map(|delay| delay.as_secs_f64() * 1_000.0).collect()
    }

    #[test]
    fn intervals_grow_to_the_largest_and_stay_there() {
        let highest = delays(Policy::CONFLICT.attempts(10), &Fixed(1.0), 20);
        assert_eq!(millis(&highest), [10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 500.0, 500.0, 500.0]);
        let lowest = delays(Policy::CONFLICT, &Fixed(0.0), 20);
        assert_eq!(millis(&lowest), [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 250.0]);
    }

    #[test]
    fn a_delay_lies_between_half_its_interval_and_the_whole() {
        let intervals = delays(Policy::OUTAGE, &Fixed(1.0), 12);
        for seed in 0..200 {
            let drawn = delays(Policy::OUTAGE, &Random::seeded(seed), 12);
            assert_eq!(drawn.len(), 12);
            for (delay, interval) in drawn.iter().zip(&intervals) {
                assert!(*delay >= *interval / 2 && delay <= interval, "{delay:?} {interval:?}");
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_delays_to_the_nanosecond() {
        let draw = |seed| delays(Policy::OUTAGE, &Random::seeded(seed), 500);
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn eight_attempts_are_seven_waits() {
        let mut backoff = Policy::CONFLICT.start();
        let entropy = Random::seeded(1);
        for _ in 0..7 {
            assert!(backoff.next_delay(&entropy).is_some());
        }
        assert_eq!(backoff.next_delay(&entropy), None);
        assert_eq!(backoff.next_delay(&entropy), None);
        for none in [0, 1] {
            assert_eq!(Policy::CONFLICT.attempts(none).start().next_delay(&entropy), None);
        }
    }

    #[test]
    fn a_reset_begins_anew() {
        let mut backoff = Policy::CONFLICT.start();
        let entropy = Fixed(1.0);
        while backoff.next_delay(&entropy).is_some() {}
        backoff.reset();
        let again: Vec<_> = std::iter::from_fn(|| backoff.next_delay(&entropy)).collect();
        assert_eq!(again, delays(Policy::CONFLICT, &entropy, 20));
    }

    #[test]
    fn a_policy_that_makes_no_sense_still_waits_within_its_bounds() {
        for multiplier in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 0.5] {
            let policy = Policy { multiplier, ..Policy::CONFLICT };
            for delay in delays(policy, &Fixed(1.0), 20) {
                assert!(delay >= policy.initial && delay <= policy.max, "{multiplier}: {delay:?}");
            }
        }
        let inverted = Policy { initial: Duration::from_secs(9), ..Policy::CONFLICT };
        assert!(delays(inverted, &Fixed(1.0), 20).iter().all(|delay| *delay <= inverted.max));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_exactly_when_the_total_is_used_up() {
        let entropy = Random::seeded(3);
        let began = Instant::now();
        let mut backoff = Policy::LOCK_WAIT.start();
        let mut attempts = 1;
        while backoff.wait(&entropy).await {
            attempts += 1;
        }
        assert_eq!(began.elapsed(), Duration::from_millis(500));
        assert!((10..=30).contains(&attempts), "{attempts}");
    }

    #[tokio::test(start_paused = true)]
    async fn work_between_the_waits_counts_towards_the_total() {
        let entropy = Fixed(1.0);
        let mut backoff = Policy::LOCK_WAIT.within(Duration::from_millis(100)).start();
        tokio::time::advance(Duration::from_millis(98)).await;
        assert_eq!(backoff.next_delay(&entropy), Some(Duration::from_millis(2)));
        tokio::time::advance(Duration::from_millis(2)).await;
        assert_eq!(backoff.next_delay(&entropy), None);
        backoff.reset();
        assert_eq!(backoff.next_delay(&entropy), Some(Duration::from_millis(5)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_poller_pauses_longer_and_longer_without_end_and_shortly_again_after_a_success() {
        let entropy = Random::seeded(5);
        let mut pause = Policy::OUTAGE.start();
        let began = Instant::now();
        for _ in 0..1_000 {
            assert!(pause.wait(&entropy).await);
        }
        assert!(began.elapsed() >= Duration::from_secs(990 * 15));
        pause.reset();
        assert!(pause.next_delay(&entropy).is_some_and(|delay| delay <= Policy::OUTAGE.initial));
    }
}
