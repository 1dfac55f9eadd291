//! The gateways of a history: how many, their settings, and what goes wrong with them.

use std::time::Duration;

use fastrand::Rng;

use super::{Class, Profile};
use crate::{
    Options,
    fault::Fault,
    rng::{happens, one_of},
};
use inventory_worker::gateway::{CommandSettings, view::ViewSettings};

/// The share of histories with gateways, in ten thousand.
const SHARE: u32 = 5_000;

/// The gateways beside the workers of a history.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gateways {
    /// The settings of each; none in a history without gateways.
    pub(crate) settings: Vec<GatewaySettings>,
    /// How often callers ask them something.
    pub(crate) visits: usize,
    /// How often several callers ask for commands of one group at almost the same time.
    pub(crate) rushes: usize,
    /// How often a caller asks for the same again and again.
    pub(crate) polls: usize,
    /// The records in a page of the tables; `None` for all.
    pub(crate) page_records: Option<usize>,
}

impl Gateways {
    /// Whether one of them gets hints.
    pub(crate) fn has_hints(&self) -> bool {
        self.settings.iter().any(|gateway| gateway.has_hints)
    }

    /// Makes pages of the tables so long that hundreds of records are read in time.
    pub(crate) fn widen_pages(&mut self) {
        self.page_records = self.page_records.map(|records| records.saturating_mul(40));
    }
}

/// The settings of one gateway.
#[derive(Clone, Debug)]
pub(crate) struct GatewaySettings {
    pub(crate) view: ViewSettings,
    pub(crate) commands: CommandSettings,
    pub(crate) waiters_max: usize,
    /// Whether it gets hints of what is committed.
    pub(crate) has_hints: bool,
}

impl Profile {
    /// Puts gateways beside the workers in one history of [`SHARE`].
    pub(super) fn with_gateways(mut self, rng: &mut Rng, options: &Options) -> Self {
        let is_on = happens(rng, SHARE) || self.class == Class::Announced;
        self.set(Fault::Gateways, if is_on { SHARE } else { 0 }, options);
        if self.rate(Fault::Gateways) == 0 {
            return self;
        }
        if self.class == Class::Announced {
            return self.announced_gateways(rng, options);
        }
        let count = rng.usize(1..=2);
        self.gateways = Gateways {
            settings: (0..count).map(|_| GatewaySettings::draw(rng)).collect(),
            visits: rng.usize(15..=40),
            rushes: rng.usize(0..=4),
            polls: rng.usize(0..=2),
            page_records: Some(rng.usize(1..=6)).filter(|_| rng.u32(0..4) > 0),
        };
        // In a history of one trouble, gateways have none of their own, but callers go away.
        let is_calm = self.class == Class::Progress;
        let has_hints = self.gateways.has_hints();
        let faults = [
            (Fault::GatewayCrash, 3_000, 100..=1_000),
            (Fault::Blind, 4_000, 100..=2_000),
            (Fault::SlowPages, 5_000, 500..=5_000),
            (Fault::HintLost, 5_000, 500..=5_000),
            (Fault::HintTwice, 5_000, 500..=5_000),
            (Fault::HintLate, 5_000, 500..=5_000),
            (Fault::HintsAway, 2_000, 500..=3_000),
        ];
        for (fault, share, rates) in faults {
            let is_of_hints = fault >= Fault::HintLost;
            let (is_on, rate) = (happens(rng, share), rng.u32(rates));
            let is_on = is_on && !is_calm && (has_hints || !is_of_hints);
            self.set(fault, if is_on { rate } else { 0 }, options);
        }
        self.set(Fault::CallerGone, rng.u32(200..=3_000), options);
        self
    }

    /// Announcements alone keep projections current, and some are lost on their way, while callers
    /// ask for so long that it shows.
    fn announced_gateways(mut self, rng: &mut Rng, options: &Options) -> Self {
        self.gateways = Gateways {
            settings: (0..rng.usize(1..=2)).map(|_| GatewaySettings::announced(rng)).collect(),
            visits: 0,
            rushes: 0,
            polls: rng.usize(3..=6),
            page_records: None,
        };
        self.set(Fault::HintLost, rng.u32(300..=2_000), options);
        self
    }

    /// Whether every worker that commits announces it, or is missed at once.
    pub(crate) fn has_steady_hints(&self) -> bool {
        const UNSTEADY: [Fault; 7] = [
            Fault::Pause,
            Fault::CrashInCall,
            Fault::CrashAnytime,
            Fault::Poison,
            Fault::Drain,
            Fault::Late,
            Fault::HintsAway,
        ];
        UNSTEADY.iter().all(|fault| self.rate(*fault) == 0)
    }
}

impl GatewaySettings {
    /// Of a gateway that keeps every pool, and trusts announcements for as long as one does.
    fn announced(rng: &mut Rng) -> Self {
        let view = ViewSettings::default();
        Self { view, has_hints: true, ..Self::draw(rng) }
    }

    fn draw(rng: &mut Rng) -> Self {
        let has_hints = rng.bool();
        let millis = |choices: &[u64], rng: &mut Rng| {
            Duration::from_millis(one_of(rng, choices).copied().unwrap_or(1_000))
        };
        // As many entries as the larger pools have, or a few fewer; as many pools as there are, or
        // fewer.
        let is_small = rng.u32(0..4) == 0;
        let is_tight = rng.u32(0..4) == 0;
        let standard = ViewSettings::default();
        let view = ViewSettings {
            fresh: millis(&[200, 2_000], rng),
            hinted: millis(&[5_000, 30_000], rng),
            stale: millis(&[35_000, 60_000], rng),
            wait: millis(&[200, 1_000], rng),
            wait_first: millis(&[2_000, 10_000], rng),
            read_max: millis(&[5_000, 30_000], rng),
            retry: millis(&[200, 1_000], rng),
            idle: millis(&[5_000, 300_000], rng),
            absent: millis(&[1_000, 5_000], rng),
            entries_max: if is_small { rng.usize(2..=9) } else { standard.entries_max },
            total_max: if is_tight { rng.usize(2..=20) } else { standard.total_max },
            pools_max: if is_tight { 2 } else { standard.pools_max },
            pending_max: if is_tight { 1 } else { standard.pending_max },
            reads_max: rng.usize(1..=2),
            ..standard
        };
        let commands = CommandSettings {
            groups: rng.u16(1..=16),
            queue_age_max: millis(&[1_000, 5_000], rng),
        };
        let waiters_max = if rng.u32(0..4) == 0 { rng.usize(1..=2) } else { 10_000 };
        Self { view, commands, waiters_max, has_hints }
    }
}
