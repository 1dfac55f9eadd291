//! How much at once, and how often: lanes that shed before they queue, and a rate for each caller.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use governor::{
    InsufficientCapacity, Quota, RateLimiter, clock::Clock as GovernorClock,
    middleware::NoOpMiddleware, state::keyed::DashMapStateStore,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

/// Watches of health, and streams of reflection, at once. They need no caller, so nothing else bounds
/// them.
const WATCHES_MAX: usize = 1_000;

/// After so many requests, callers whose buckets are full again are forgotten.
const FORGET_EVERY: u64 = 4_096;

/// The rate of each caller, and what is in flight at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// Requests of one caller each second, on average.
    pub rate_per_second: NonZeroU32,
    /// Requests of one caller at once.
    pub burst: NonZeroU32,
    /// Commands and point reads at once.
    pub commands_in_flight_max: usize,
    /// Lists at once.
    pub lists_in_flight_max: usize,
}

impl LimitSettings {
    /// The most commands that may await their outcomes: three quarters of their lane. The rest of it
    /// is for commands that are posted and answered at once.
    #[must_use]
    pub fn waiters_max(&self) -> usize {
        self.commands_in_flight_max.saturating_mul(3).div_ceil(4)
    }
}

/// Requests that share a bound, so that lists never keep commands out, and neither of them a health
/// check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Commands and point reads.
    Commands,
    /// Lists, and the beginnings of streams.
    Lists,
    /// gRPC's watches of health, and reflection, which need no caller. Each counts to its end.
    Watches,
}

impl Lane {
    /// The name of the lane in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Commands => "commands",
            Self::Lists => "lists",
            Self::Watches => "watches",
        }
    }

    /// Whether its requests are those of a caller who is known.
    #[must_use]
    pub fn needs_caller(self) -> bool {
        matches!(self, Self::Commands | Self::Lists)
    }
}

/// The bounds of what is in flight. A caller's stream counts until it has begun: how many there are
/// is bounded where they are kept.
#[derive(Debug)]
pub struct Lanes {
    commands: Arc<Semaphore>,
    lists: Arc<Semaphore>,
    watches: Arc<Semaphore>,
}

/// A place in a lane, until it is dropped.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Lanes {
    /// Lanes with nothing in them.
    #[must_use]
    pub fn new(settings: &LimitSettings) -> Self {
        let of = |places: usize| Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
        Self {
            commands: of(settings.commands_in_flight_max),
            lists: of(settings.lists_in_flight_max),
            watches: of(WATCHES_MAX),
        }
    }

    /// A place in the lane; `None` where it is full.
    #[must_use]
    pub fn enter(&self, lane: Lane) -> Option<Place> {
        let semaphore = match lane {
            Lane::Commands => &self.commands,
            Lane::Lists => &self.lists,
            Lane::Watches => &self.watches,
        };
        Arc::clone(semaphore).try_acquire_owned().ok().map(|permit| Place { _permit: permit })
    }
}

/// Tokio's clock, which tests pause.
#[derive(Clone, Debug)]
struct TokioTime(Instant);

impl GovernorClock for TokioTime {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

type Buckets = RateLimiter<
    String,
    DashMapStateStore<String>,
    TokioTime,
    NoOpMiddleware<<TokioTime as GovernorClock>::Instant>,
>;

/// Why the rest of a request's commands is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateExceeded {
    /// The bucket holds too little: how long until the request is accepted.
    For(Duration),
    /// No bucket ever holds as much: the most commands of one request.
    Always {
        /// As many as a caller may make at once.
        commands_max: NonZeroU32,
    },
}

/// A token bucket for each caller.
pub struct CallerRate {
    quota: Quota,
    buckets: Buckets,
    clock: TokioTime,
    requests: AtomicU64,
}

impl CallerRate {
    /// Full buckets.
    #[must_use]
    pub fn new(settings: &LimitSettings) -> Self {
        let quota = Quota::per_second(settings.rate_per_second).allow_burst(settings.burst);
        let clock = TokioTime(Instant::now());
        let buckets = RateLimiter::new(quota, DashMapStateStore::default(), clock.clone());
        Self { quota, buckets, clock, requests: AtomicU64::new(0) }
    }

    /// Counts a request of the caller.
    ///
    /// # Errors
    ///
    /// The bucket is empty: how long until the next request is accepted.
    pub fn check(&self, subject: &str) -> Result<(), Duration> {
        if self.requests.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.buckets.retain_recent();
        }
        let checked = self.buckets.check_key(&subject.to_owned());
        checked.map_err(|not_until| not_until.wait_time_from(self.clock.now()))
    }

    /// Counts the commands of a request beyond its first, which [`Self::check`] has counted: all of
    /// them or none.
    ///
    /// # Errors
    ///
    /// The bucket holds too few for them.
    pub fn check_rest(&self, subject: &str, commands: usize) -> Result<(), RateExceeded> {
        let commands_max = self.quota.burst_size();
        let commands = u32::try_from(commands).unwrap_or(u32::MAX);
        if commands > commands_max.get() {
            return Err(RateExceeded::Always { commands_max });
        }
        let Some(rest) = NonZeroU32::new(commands.saturating_sub(1)) else { return Ok(()) };
        match self.buckets.check_key_n(&subject.to_owned(), rest) {
            Ok(Ok(())) => Ok(()),
            // The first is counted again when the request is made again.
            Ok(Err(not_until)) => Err(RateExceeded::For(
                not_until.wait_time_from(self.clock.now()) + self.quota.replenish_interval(),
            )),
            Err(InsufficientCapacity(_)) => Err(RateExceeded::Always { commands_max }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(rate: u32, burst: u32) -> LimitSettings {
        LimitSettings {
            rate_per_second: NonZeroU32::new(rate).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
            commands_in_flight_max: 2,
            lists_in_flight_max: 1,
        }
    }

    #[test]
    fn a_full_lane_takes_no_more_and_keeps_none_out_of_the_other() {
        let lanes = Lanes::new(&settings(1, 1));
        let list = lanes.enter(Lane::Lists);
        assert!(list.is_some() && lanes.enter(Lane::Lists).is_none());
        let commands = (lanes.enter(Lane::Commands), lanes.enter(Lane::Commands));
        assert!(commands.0.is_some() && commands.1.is_some());
        assert!(lanes.enter(Lane::Commands).is_none());
        drop(list);
        assert!(lanes.enter(Lane::Lists).is_some());
        let watches: Vec<_> = std::iter::from_fn(|| lanes.enter(Lane::Watches)).collect();
        assert_eq!(watches.len(), WATCHES_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_of_several_commands_counts_each_of_them_or_none() {
        let rate = CallerRate::new(&settings(2, 4));
        assert_eq!(rate.check("one"), Ok(()));
        assert_eq!(rate.check_rest("one", 3), Ok(()));
        assert_eq!(rate.check("one"), Ok(()), "the last of the four");
        let wait = Duration::from_millis(1_500);
        assert_eq!(rate.check_rest("one", 3), Err(RateExceeded::For(wait)));
        tokio::time::advance(wait).await;
        assert_eq!((rate.check("one"), rate.check_rest("one", 3)), (Ok(()), Ok(())));
        let commands_max = NonZeroU32::new(4).unwrap();
        assert_eq!(rate.check_rest("new", 5), Err(RateExceeded::Always { commands_max }));
        assert_eq!(rate.check_rest("new", 1), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn each_caller_has_a_bucket_of_its_own_that_fills_again() {
        let rate = CallerRate::new(&settings(2, 3));
        for _ in 0..3 {
            assert_eq!(rate.check("one"), Ok(()));
        }
        assert_eq!(rate.check("one"), Err(Duration::from_millis(500)));
        assert_eq!(rate.check("other"), Ok(()));
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(rate.check("one"), Ok(()));
        assert!(rate.check("one").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn callers_that_are_gone_are_forgotten() {
        let rate = CallerRate::new(&settings(1_000, 1));
        for caller in 0..FORGET_EVERY - 1 {
            assert_eq!(rate.check(&caller.to_string()), Ok(()));
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(rate.check("last"), Ok(()));
        assert_eq!(rate.buckets.len(), 1);
    }
}
