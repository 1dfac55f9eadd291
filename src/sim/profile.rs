//! What kind of history a seed makes: how many workers, their settings, and which faults how often.

use std::{collections::BTreeSet, time::Duration};

use fastrand::Rng;

use super::chance::{happens, stream};
use crate::{
    decide::Limits,
    sweeper,
    worker::{LockMode, Settings},
};

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $word:literal),* $(,)?) => {
        /// The kinds of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault { $($(#[$doc])* $name),* }

        impl Fault {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The word for it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),* }
            }
        }
    };
}

faults! {
    /// A call takes longer than a lease.
    Tail = "tail",
    /// A call fails before its effect.
    Fail = "fail",
    /// A call is throttled.
    Throttle = "throttle",
    /// A call succeeds and its answer is lost.
    Lost = "lost",
    /// A call is given up, and takes effect later.
    Late = "late",
    /// Entries of a batch fail one by one.
    Partial = "partial",
    /// A load reads its items at different moments.
    Torn = "torn",
    /// The index of expiries shows what was.
    StaleIndex = "stale-index",
    /// A commit meets another transaction at work on an item.
    Conflict = "conflict",
    /// The lock server says what is not so.
    LockLie = "lock-lie",
    /// The lock server forgets everything.
    LockLoss = "lock-loss",
    /// A port fails altogether for a while.
    Outage = "outage",
    /// Clocks are off by up to two seconds, and jump.
    Skew = "skew",
    /// A worker stands still for longer than its leases, and goes on.
    Pause = "pause",
    /// A worker dies in a call, before or after its effect.
    CrashInCall = "crash-in-call",
    /// A worker dies at any moment.
    CrashAnytime = "crash-anytime",
    /// A worker is told to stop, and another takes its place.
    Drain = "drain",
    /// Workers of two releases run side by side: with different settings, and with two formats of
    /// an outcome, the newer of which the older release refuses to read.
    Rollout = "rollout",
    /// A message is sent twice.
    Duplicate = "duplicate",
    /// Messages are sent again once the deduplication interval is over.
    Resend = "resend",
    /// Dead letters are sent back after up to 14 days.
    Redrive = "redrive",
    /// A message that can never be handled.
    Poison = "poison",
}

impl std::str::FromStr for Fault {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().copied().find(|fault| fault.as_str() == word);
        found.ok_or_else(|| {
            let words: Vec<_> = Self::ALL.iter().map(|fault| fault.as_str()).collect();
            format!("{word} is no fault: there are {}", words.join(", "))
        })
    }
}

/// What a seed's history is like.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    pub(super) workers: usize,
    pub(super) commands: usize,
    /// Over how long the commands are sent.
    pub(super) horizon: Duration,
    pub(super) latency_max: Duration,
    /// The most crashes, over all workers.
    pub(super) crashes_max: u32,
    /// The settings of each worker.
    pub(super) settings: Vec<Settings>,
    /// Whether each worker is of the newer release, whose outcomes the older cannot read.
    is_newer: Vec<bool>,
    pub(super) sweeper: sweeper::Settings,
    rates: Vec<(Fault, u32)>,
}

/// The server's clock and a worker's are never further apart, milliseconds.
pub(super) const SKEW_MAX_MS: i64 = 2_000;

impl Profile {
    /// What the seed says, with fewer workers and without some faults where the options say so.
    pub(super) fn draw(seed: u64, options: &super::Options) -> Self {
        let rng = &mut stream(seed, "profile");
        let rates = draw_rates(rng, &options.without);
        let is_on = |fault| rates.iter().any(|(other, rate)| *other == fault && *rate > 0);
        let base = draw_settings(rng);
        let workers = rng.usize(2..=4);
        let is_newer = (0..workers).map(|_| rng.bool() && is_on(Fault::Rollout)).collect();
        let settings = (0..workers)
            .map(|_| {
                let other = draw_rollout(rng, &base);
                if is_on(Fault::Rollout) { other } else { base.clone() }
            })
            .collect();
        let profile = Self {
            workers: workers.min(options.workers.unwrap_or(workers)).max(1),
            commands: rng.usize(30..=80),
            horizon: Duration::from_secs(rng.u64(1..=40)),
            latency_max: Duration::from_millis(rng.u64(2..=60)),
            crashes_max: rng.u32(0..=8),
            settings,
            is_newer,
            sweeper: sweeper::Settings {
                interval: Duration::from_secs(rng.u64(3..=8)),
                margin: Duration::from_secs(2),
            },
            rates,
        };
        let rng = &mut stream(seed, "alone");
        if happens(rng, 500) { profile.with_everything_alone(rng, options) } else { profile }
    }

    /// One seed in twenty handles nearly everything alone, with few attempts, among crashes and
    /// lost answers: so that what the attempts of a message add up to is put to the test.
    fn with_everything_alone(mut self, rng: &mut Rng, options: &super::Options) -> Self {
        let attempts_max = rng.u32(2..=3);
        for settings in &mut self.settings {
            settings.isolate_after = 1;
            settings.attempts_max = attempts_max;
        }
        self.crashes_max = 20;
        for (fault, rate) in &mut self.rates {
            match fault {
                _ if options.without.contains(fault) => {}
                Fault::Lost => *rate = rng.u32(1_000..=2_500),
                Fault::CrashInCall => *rate = rng.u32(200..=500),
                _ => {}
            }
        }
        self
    }

    /// Whether the worker is of the newer release.
    pub(super) fn is_newer(&self, worker: usize) -> bool {
        self.is_newer.get(worker).copied().unwrap_or(false)
    }

    /// How often, of ten thousand.
    pub(super) fn rate(&self, fault: Fault) -> u32 {
        self.rates.iter().find(|(other, _)| *other == fault).map_or(0, |(_, rate)| *rate)
    }
}

/// One seed in ten has no faults; four have few; four have many; one has many of few kinds.
fn draw_rates(rng: &mut Rng, without: &BTreeSet<Fault>) -> Vec<(Fault, u32)> {
    let class = rng.u32(0..10);
    let mut rates = Vec::with_capacity(Fault::ALL.len());
    for fault in Fault::ALL.iter().copied() {
        let rate = match class {
            0 => 0,
            1..=4 => {
                if happens(rng, 6_000) {
                    rng.u32(10..=100)
                } else {
                    0
                }
            }
            5..=8 => {
                if happens(rng, 7_500) {
                    rng.u32(50..=600)
                } else {
                    0
                }
            }
            _ => {
                if happens(rng, 1_500) {
                    rng.u32(500..=2_500)
                } else {
                    0
                }
            }
        };
        let is_on = !without.contains(&fault);
        rates.push((fault, if is_on { rate } else { 0 }));
    }
    rates
}

/// Within what is checked when a real worker starts.
fn draw_settings(rng: &mut Rng) -> Settings {
    let visibility_s = rng.u64(8..=30);
    let secs = Duration::from_secs;
    // What is left of a lease after a long poll must reach to the next heartbeat.
    let long_poll_max_s = (visibility_s * 2 / 3).saturating_sub(3).max(1);
    Settings {
        visibility: secs(visibility_s),
        heartbeat: secs(visibility_s) / 3,
        lease_margin: Duration::from_millis(rng.u64(500..=2_000)),
        long_poll: secs(rng.u64(1..=long_poll_max_s.min(8))),
        pollers: rng.usize(1..=2),
        lock_mode: if rng.bool() { LockMode::Always } else { LockMode::AfterConflict },
        lock_ttl: secs(rng.u64(2..=6)),
        lock_wait: Duration::from_millis(rng.u64(50..=500)),
        conflict_attempts: rng.u32(2..=8),
        isolate_after: rng.u32(2..=5),
        attempts_max: rng.u32(2..=5),
        restock_parallelism: rng.usize(1..=4),
        handler_timeout: secs(rng.u64(2..=6)),
        grace: secs(12),
        flush: secs(3),
        ..Settings::default()
    }
}

/// Another release, or another deployment's settings: what decides is not the same.
fn draw_rollout(rng: &mut Rng, base: &Settings) -> Settings {
    let other = draw_settings(rng);
    let limits = if rng.bool() {
        Limits { hold_seconds_max: rng.u32(5..=30), reserve_entries_max: rng.usize(1..=4) }
    } else {
        base.limits
    };
    Settings { limits, attempts_max: base.attempts_max, ..other }
}
