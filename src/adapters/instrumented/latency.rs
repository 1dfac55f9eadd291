//! A model of the latency of calls.

use std::{
    collections::BTreeMap,
    f64::consts::TAU,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::Call;
use crate::ports::Entropy;

/// How long one kind of call takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    /// The same for every call.
    Constant(Duration),
    /// Lognormally distributed, given by the median and the 99th percentile.
    Lognormal {
        /// The median.
        p50: Duration,
        /// The 99th percentile. A value below `p50` counts as `p50`.
        p99: Duration,
    },
}

/// The 99th percentile of the standard normal distribution.
const Z_99: f64 = 2.326_347_874_040_841;

impl Latency {
    fn draw(self, entropy: &dyn Entropy) -> Duration {
        match self {
            Self::Constant(time) => time,
            Self::Lognormal { p50, p99 } => {
                let sigma = (p99.max(p50).as_secs_f64() / p50.as_secs_f64()).ln() / Z_99;
                let factor = (sigma * standard_normal(entropy)).exp();
                // With both at zero the quotient is undefined, and there is no spread.
                Duration::try_from_secs_f64(p50.as_secs_f64() * factor).unwrap_or(p50)
            }
        }
    }
}

/// Box–Muller: two uniformly distributed numbers make one that is normally distributed.
fn standard_normal(entropy: &dyn Entropy) -> f64 {
    let (radius, angle) = (1.0 - entropy.fraction(), entropy.fraction());
    (-2.0 * radius.ln()).sqrt() * (TAU * angle).cos()
}

/// The latency of each kind of call; zero for kinds not named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencyModel(BTreeMap<Call, Latency>);

impl LatencyModel {
    /// Zero latency for every call.
    #[must_use]
    pub fn zero() -> Self {
        Self::default()
    }

    /// The targets' default: receive 10 ms, DynamoDB read 5, transaction 12, put 8, SNS publish 12,
    /// SQS delete 8 (the other batch calls to SQS alike), Redis 0.5. Replace them with your own
    /// measurements.
    #[must_use]
    pub fn typical() -> Self {
        let of = |call| match call {
            Call::Receive => 10_000,
            Call::ChangeVisibility | Call::Delete | Call::Send | Call::Backlog => 8_000,
            Call::Load | Call::Query | Call::Scan | Call::Ping => 5_000,
            Call::Commit | Call::Publish => 12_000,
            Call::Put | Call::Attempt => 8_000,
            Call::Acquire | Call::Release => 500,
        };
        let constant = |call| (call, Latency::Constant(Duration::from_micros(of(call))));
        Self(Call::ALL.into_iter().map(constant).collect())
    }

    /// With another latency for one kind of call.
    #[must_use]
    pub fn with(mut self, call: Call, latency: Latency) -> Self {
        self.0.insert(call, latency);
        self
    }

    /// With the same medians, and each 99th percentile `ratio` times its median.
    #[must_use]
    pub fn spread(self, ratio: u32) -> Self {
        let spread = |latency| match latency {
            Latency::Constant(p50) | Latency::Lognormal { p50, .. } => {
                Latency::Lognormal { p50, p99: p50.saturating_mul(ratio) }
            }
        };
        Self(self.0.into_iter().map(|(call, latency)| (call, spread(latency))).collect())
    }

    /// The median latency of that kind of call.
    #[must_use]
    pub fn p50(&self, call: Call) -> Duration {
        match self.0.get(&call) {
            Some(Latency::Constant(time)) => *time,
            Some(Latency::Lognormal { p50, .. }) => *p50,
            None => Duration::ZERO,
        }
    }

    /// Whether every latency is zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        Call::ALL.into_iter().all(|call| self.p50(call).is_zero())
    }

    /// The latency of one call, drawn at random where it has a spread.
    #[must_use]
    pub fn draw(&self, call: Call, entropy: &dyn Entropy) -> Duration {
        self.0.get(&call).map_or(Duration::ZERO, |latency| latency.draw(entropy))
    }
}

/// Tokio's timers count whole milliseconds and round up, which would turn half a millisecond into a
/// whole one. The rest of each wait is carried over to the next, so that the sum is right.
#[derive(Debug, Default)]
pub(super) struct Carry(AtomicU64);

const TICK_NS: u64 = 1_000_000;

impl Carry {
    /// The whole milliseconds to wait for `time`, including the rest of earlier waits.
    pub(super) fn whole(&self, time: Duration) -> Duration {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let (ticks, rest) = (nanos / TICK_NS, nanos % TICK_NS);
        let add = |carried: u64| Some((carried + rest) % TICK_NS);
        let carried = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).unwrap_or(0);
        Duration::from_millis(ticks + u64::from(carried + rest >= TICK_NS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{adapters::system::Random, report::nearest_rank};

    const MS: Duration = Duration::from_millis(1);

    fn quantile(drawn: &mut [Duration], share: f64) -> f64 {
        drawn.sort_unstable();
        nearest_rank(drawn, share).unwrap().as_secs_f64() * 1_000.0
    }

    #[test]
    fn a_lognormal_latency_has_its_percentiles() {
        let entropy = Random::seeded(11);
        let latency = Latency::Lognormal { p50: 10 * MS, p99: 50 * MS };
        let mut drawn: Vec<_> = (0..100_000).map(|_| latency.draw(&entropy)).collect();
        let (p50, p99) = (quantile(&mut drawn, 0.5), quantile(&mut drawn, 0.99));
        assert!((9.8..10.2).contains(&p50), "{p50}");
        assert!((48.0..52.0).contains(&p99), "{p99}");
    }

    #[test]
    fn the_same_seed_draws_the_same_latencies() {
        let model = LatencyModel::typical().spread(5);
        let draw = |seed| {
            let entropy = Random::seeded(seed);
            (0..100).map(|_| model.draw(Call::Commit, &entropy)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn no_latency_stays_none_however_it_is_spread() {
        assert!(LatencyModel::zero().spread(5).is_zero());
        let entropy = Random::seeded(1);
        for (p50, p99) in [(Duration::ZERO, Duration::ZERO), (Duration::ZERO, MS), (MS, MS)] {
            assert_eq!(Latency::Lognormal { p50, p99 }.draw(&entropy), p50);
        }
        let inverted = Latency::Lognormal { p50: MS, p99: Duration::ZERO };
        assert_eq!(inverted.draw(&entropy), MS);
    }

    #[test]
    fn every_kind_of_call_has_a_typical_latency() {
        let model = LatencyModel::typical();
        assert!(Call::ALL.into_iter().all(|call| !model.p50(call).is_zero()));
        assert_eq!(model.p50(Call::Acquire), Duration::from_micros(500));
        assert_eq!(model.with(Call::Load, Latency::Constant(MS)).p50(Call::Load), MS);
    }

    #[test]
    fn what_is_rounded_off_is_waited_for_later() {
        let carry = Carry::default();
        let waits: Vec<_> = (0..6).map(|_| carry.whole(Duration::from_micros(1_500))).collect();
        assert_eq!(waits, [MS, 2 * MS, MS, 2 * MS, MS, 2 * MS]);
        let entropy = Random::seeded(2);
        let latency = Latency::Lognormal { p50: MS / 3, p99: 2 * MS };
        let drawn: Vec<_> = (0..1_000).map(|_| latency.draw(&entropy)).collect();
        let asked: Duration = drawn.iter().sum();
        let waited: Duration = drawn.iter().map(|time| carry.whole(*time)).sum();
        assert!(asked.abs_diff(waited) < MS, "{asked:?} {waited:?}");
    }
}
