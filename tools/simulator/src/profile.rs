//! The kind of history a seed makes: its workers, their settings, and the rate of each fault.

mod gateways;

use std::{collections::BTreeSet, time::Duration};

use fastrand::Rng;
use jiff::SignedDuration;

use super::{
    fault::Fault,
    rng::{happens, one_of, stream},
    topology::FIRST_GATEWAY,
    trouble::Trouble,
};
use inventory_worker::{
    decide::Limits,
    sweeper,
    worker::{LockMode, ResultBatches, Settings},
};

pub(super) use gateways::{GatewaySettings, Gateways};

/// The parameters of a seed's history.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    pub(super) workers: usize,
    pub(super) commands: usize,
    /// The time over which the commands are sent.
    pub(super) horizon: Duration,
    pub(super) latency_max: Duration,
    /// The most crashes, over all workers.
    pub(super) crashes_max: u32,
    /// The settings of each worker.
    pub(super) settings: Vec<Settings>,
    /// Whether each worker has the newer release, whose outcomes the older one cannot read.
    is_newer: Vec<bool>,
    pub(super) sweeper: sweeper::Settings,
    /// Whether sweepers share the shards by leases in the tables, not by locks.
    pub(super) has_leases: bool,
    /// The class of the history.
    pub(super) class: Class,
    /// The trouble in force until the fault-free phase, in addition to faults in calls.
    pub(super) trouble: Option<Trouble>,
    /// The gateways beside the workers.
    pub(super) gateways: Gateways,
    rates: Vec<(Fault, u32)>,
}

/// The classes of history. All but the first make events frequent that are rare in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Any fault may happen.
    Mixed,
    /// One kind of trouble is in force and no other fault: unaffected messages make progress.
    Progress,
    /// Torn reads of commands that cross each other.
    Crossing,
    /// A worker without CPU time.
    Starved,
    /// Constant conflicts.
    Contention,
    /// No call fails, and some of what workers announce to gateways is lost.
    Announced,
}

impl Class {
    fn draw(rng: &mut Rng) -> Self {
        match rng.u32(0..100) {
            0..20 => Self::Progress,
            20..24 => Self::Crossing,
            24..28 => Self::Starved,
            28..30 => Self::Contention,
            30..33 => Self::Announced,
            _ => Self::Mixed,
        }
    }
}

/// The largest difference between the server's clock and a worker's, milliseconds, without
/// [`Fault::WrongClock`].
pub(super) const SKEW_MAX_MS: i64 = 2_000;

/// The largest error of a wrong clock, milliseconds.
const WRONG_CLOCK_MAX_MS: i64 = 2 * 3_600_000;

/// SQS: "maxReceiveCount … 1 to 1,000"; `bootstrap` sets the maximum.
pub(super) const REDRIVE_AFTER: u32 = 1_000;

/// The kinds of trouble in a history of [`Class::Progress`].
const TROUBLES: [Fault; 7] = [
    Fault::StuckHolds,
    Fault::ThrottledItems,
    Fault::Damaged,
    Fault::Poison,
    Fault::Flood,
    Fault::SmallQueue,
    Fault::LongOutage,
];

impl Profile {
    /// The profile of the seed, with fewer workers or without some faults if the options say so.
    pub(super) fn draw(seed: u64, options: &super::Options) -> Self {
        let rng = &mut stream(seed, "profile");
        let rates = draw_rates(rng, &options.without);
        let is_on = |fault| rates.iter().any(|(other, rate)| *other == fault && *rate > 0);
        let limits = draw_limits(&mut stream(seed, "limits"));
        let base = Settings { limits, ..draw_settings(rng) };
        let workers = rng.usize(2..=4);
        let is_newer = (0..workers).map(|_| rng.bool() && is_on(Fault::Rollout)).collect();
        let settings = (0..workers)
            .map(|_| {
                let other = draw_rollout(rng, &base);
                if is_on(Fault::Rollout) { other } else { base.clone() }
            })
            .collect();
        let turns = &mut stream(seed, "turns");
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
                idle: Duration::from_secs(turns.u64(3..=20)),
            },
            has_leases: turns.bool(),
            class: Class::draw(&mut stream(seed, "class")),
            trouble: None,
            gateways: Gateways::default(),
            rates,
        };
        let rng = &mut stream(seed, "alone");
        let profile = match profile.class {
            Class::Mixed if happens(rng, 500) => profile.with_everything_alone(rng, options),
            Class::Mixed if happens(rng, 200) => profile.with_lost_counts(rng, options),
            Class::Mixed => profile.mixed(&mut stream(seed, "mixed"), options),
            Class::Progress => profile.progress(&mut stream(seed, "progress"), options),
            Class::Crossing => profile.crossing(&mut stream(seed, "crossing"), options),
            Class::Starved => profile.starved(&mut stream(seed, "starved"), options),
            Class::Contention => profile.contention(&mut stream(seed, "contention"), options),
            Class::Announced => profile.announced(rng),
        };
        profile.with_gateways(&mut stream(seed, "gateways"), options)
    }

    /// Adds faults that are rarer than a failing call.
    fn mixed(mut self, rng: &mut Rng, options: &super::Options) -> Self {
        const SOME: [(Fault, u32); 9] = [
            (Fault::ThrottledItems, 1_000),
            (Fault::Damaged, 1_000),
            (Fault::StuckHolds, 500),
            (Fault::LowRedrive, 400),
            (Fault::EndedIndex, 1_000),
            (Fault::WrongClock, 300),
            (Fault::Starved, 300),
            (Fault::Reuse, 500),
            (Fault::LateTtl, 5_000),
        ];
        for (fault, share) in SOME {
            let (is_on, rate) = (happens(rng, share), rng.u32(100..=2_000));
            self.set(fault, if is_on { rate } else { 0 }, options);
        }
        // A limit in flight low enough to matter.
        if happens(rng, 1_000) {
            let room = rng.usize(10..=30);
            self.settings.iter_mut().for_each(|settings| settings.messages_in_flight_max = room);
        }
        if self.rate(Fault::StuckHolds) > 0 {
            let size = rng.usize(3..=20);
            self.trouble = Some(Trouble::draw(rng, Fault::StuckHolds, size));
        }
        self
    }

    /// No call fails, and one kind of trouble is in force throughout.
    fn progress(mut self, rng: &mut Rng, options: &super::Options) -> Self {
        self.rates.clear();
        self.crashes_max = 0;
        self.is_newer.iter_mut().for_each(|is_newer| *is_newer = false);
        self.workers = self.workers.min(3);
        self.commands = rng.usize(25..=50);
        self.horizon = Duration::from_secs(rng.u64(40..=90));
        let room = rng.usize(100..=140);
        let limits = Limits::default();
        for settings in &mut self.settings {
            settings.limits = limits;
            settings.messages_in_flight_max = room;
        }
        let kind = one_of(rng, &TROUBLES).copied().unwrap_or(Fault::Damaged);
        let all = self.workers.saturating_mul(room);
        let size = match kind {
            Fault::StuckHolds if happens(rng, 300) => rng.usize(1_000..=1_300),
            Fault::StuckHolds | Fault::Damaged => rng.usize(all / 2..=all.saturating_mul(3) / 2),
            Fault::Poison => rng.usize(10..=60),
            Fault::ThrottledItems => rng.usize(10..=80),
            Fault::Flood => rng.usize(100..=300),
            _ => rng.usize(1..=6),
        };
        let trouble = Trouble::draw(rng, kind, size);
        self.set(kind, 10_000, options);
        let has_batches = rng.bool();
        self.set(Fault::CommandBatches, if has_batches { 5_000 } else { 0 }, options);
        self.trouble = (self.rate(kind) > 0).then_some(trouble);
        self
    }

    /// Almost every read is torn, for long; answers are late and clocks differ.
    fn crossing(mut self, rng: &mut Rng, options: &super::Options) -> Self {
        self.set(Fault::Torn, rng.u32(4_000..=8_000), options);
        self.set(Fault::Late, rng.u32(500..=2_500), options);
        self.set(Fault::Lost, rng.u32(0..=1_500), options);
        self.set(Fault::Skew, rng.u32(0..=600), options);
        self
    }

    /// One worker's calls take seconds, and the entries of a batch seldom share one fate.
    fn starved(mut self, rng: &mut Rng, options: &super::Options) -> Self {
        self.rates.clear();
        self.set(Fault::Starved, 10_000, options);
        self.set(Fault::Partial, rng.u32(2_000..=9_000), options);
        self.horizon = Duration::from_secs(rng.u64(30..=90));
        for settings in &mut self.settings {
            settings.visibility = Duration::from_secs(rng.u64(8..=11));
            settings.lease_margin = Duration::from_millis(rng.u64(200..=800));
            settings.heartbeat = settings.visibility / 3;
            settings.long_poll = settings.long_poll.min(Duration::from_secs(2));
        }
        self
    }

    /// Most commits conflict, for longer than the retries last.
    fn contention(mut self, rng: &mut Rng, options: &super::Options) -> Self {
        self.rates.clear();
        self.set(Fault::Conflict, rng.u32(7_000..=9_500), options);
        self.commands = self.commands.min(50);
        self.horizon = Duration::from_secs(rng.u64(60..=120));
        let attempts_max = rng.u32(2..=3);
        for settings in &mut self.settings {
            settings.isolate_after = rng.u32(1..=2);
            settings.attempts_max = attempts_max;
            settings.conflict_attempts = rng.u32(2..=3);
        }
        self
    }

    /// Nothing goes wrong with the workers, for longer than it takes to trust what they announce.
    fn announced(mut self, rng: &mut Rng) -> Self {
        self.rates.clear();
        self.crashes_max = 0;
        self.horizon = Duration::from_secs(rng.u64(30..=60));
        self
    }

    /// Sets the rate, unless the options exclude the fault.
    fn set(&mut self, fault: Fault, rate: u32, options: &super::Options) {
        self.rates.retain(|(other, _)| *other != fault);
        let is_on = !options.without.contains(&fault);
        self.rates.push((fault, if is_on { rate } else { 0 }));
    }

    /// The largest clock error of a worker, milliseconds.
    pub(super) fn skew_max_ms(&self) -> i64 {
        if self.rate(Fault::WrongClock) > 0 { WRONG_CLOCK_MAX_MS } else { SKEW_MAX_MS }
    }

    /// How far a sweeper's clock may be ahead beyond the margin that it waits after a hold's end.
    pub(super) fn expiry_ahead_max(&self) -> SignedDuration {
        let margin = SignedDuration::try_from(self.sweeper.margin).unwrap_or_default();
        (SignedDuration::from_millis(self.skew_max_ms()) - margin).max(SignedDuration::ZERO)
    }

    /// The receive count after which the queues themselves redrive a message.
    pub(super) fn redrive_after(&self) -> u32 {
        match self.rate(Fault::LowRedrive) {
            0 => REDRIVE_AFTER,
            rate => 6 + rate % 10,
        }
    }

    /// One seed in twenty isolates nearly every message, with few attempts, among crashes and lost
    /// answers: this tests how the attempts of a message add up.
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

    /// One seed in fifty: a single attempt is one too many, and a worker whose count of it lost its
    /// answer cannot undo it for a while. No worker stops, so no message may be dead-lettered.
    fn with_lost_counts(mut self, rng: &mut Rng, options: &super::Options) -> Self {
        self.rates.clear();
        self.set(Fault::Lost, rng.u32(1_000..=2_500), options);
        self.set(Fault::CutOff, 5_000, options);
        self.crashes_max = 0;
        for settings in &mut self.settings {
            settings.isolate_after = 1;
            settings.attempts_max = 1;
        }
        self
    }

    /// Whether the worker or gateway has the newer release.
    pub(super) fn is_newer(&self, number: usize) -> bool {
        self.is_newer.get(number % FIRST_GATEWAY).copied().unwrap_or(false)
    }

    /// The fault's rate, in ten thousand.
    pub(super) fn rate(&self, fault: Fault) -> u32 {
        self.rates.iter().find(|(other, _)| *other == fault).map_or(0, |(_, rate)| *rate)
    }
}

/// One seed in ten has no faults; four have few; four have many; one has many of few kinds.
fn draw_rates(rng: &mut Rng, without: &BTreeSet<Fault>) -> Vec<(Fault, u32)> {
    let class = rng.u32(0..10);
    let mut rates = Vec::with_capacity(Fault::ALL.len());
    // The others are drawn with the class of the history.
    for fault in Fault::ALL.iter().copied().filter(|fault| *fault <= Fault::Poison) {
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

/// Half of all histories have the contract's limits; the others, a ceiling for all that a hold is
/// extended by and less tolerance for the clocks of those who count.
fn draw_limits(rng: &mut Rng) -> Limits {
    if rng.bool() {
        return Limits::default();
    }
    let hold_seconds_max = rng.u32(15..=60);
    Limits {
        hold_seconds_max,
        hold_total_seconds_max: hold_seconds_max + rng.u32(0..=15),
        as_of_ahead_seconds_max: rng.u32(0..=60),
        ..Limits::default()
    }
}

/// Settings that pass the checks of a real worker's start.
fn draw_settings(rng: &mut Rng) -> Settings {
    let visibility_s = rng.u64(8..=30);
    let secs = Duration::from_secs;
    // The rest of a lease after a long poll must last until the next heartbeat.
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
        commit_parallelism: if rng.bool() { 1 } else { rng.usize(2..=8) },
        // So few that a round of these small histories takes several transactions.
        transaction_items_max: if rng.bool() { 100 } else { rng.usize(3..=20) },
        result_batches: if rng.bool() { ResultBatches::Single } else { ResultBatches::InKind },
        handler_timeout: secs(rng.u64(2..=6)),
        grace: secs(12),
        flush: secs(3),
        ..Settings::default()
    }
}

/// Another release, or another deployment's settings, so that decisions differ.
fn draw_rollout(rng: &mut Rng, base: &Settings) -> Settings {
    let other = draw_settings(rng);
    let limits = if rng.bool() {
        let hold_seconds_max = rng.u32(5..=30);
        Limits {
            hold_seconds_max,
            hold_total_seconds_max: hold_seconds_max + rng.u32(0..=20),
            reserve_entries_max: rng.usize(1..=4),
            as_of_ahead_seconds_max: rng.u32(0..=90),
        }
    } else {
        base.limits
    };
    Settings { limits, attempts_max: base.attempts_max, ..other }
}
