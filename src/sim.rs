//! Deterministic simulation, in the manner of FoundationDB and TigerBeetle.
//!
//! The worker and sweeper as they are run on the in-memory ports, several of them against one
//! another, on one thread under a paused clock. One seed decides everything: how tasks interleave
//! (through the latency of every call), what is asked for, and everything that goes wrong.
//!
//! ```text
//! driver ── workload ─► queues ─► worker::run ─► ports (injector: faults) ─► world (memory ports)
//!    │                              × 2…4, killed and started again             │ every effect
//!    └ calm: everything must come to an end             trace ◄─────────── history ─► checks
//! ```
//!
//! Rollouts: the in-memory store keeps outcomes as values, so two formats of an outcome cannot
//! stand side by side in it. A rollout is two settings side by side: limits, locks, leases.

mod chance;
mod checks;
mod driver;
mod history;
mod injector;
mod ports;
mod profile;
mod trace;
mod workload;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

pub use profile::Fault;
pub use trace::Trace;

/// What a run may be narrowed down to.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// At most so many workers.
    pub workers: Option<usize>,
    /// Kinds of fault that do not happen.
    pub without: BTreeSet<Fault>,
    /// The numbers of the messages that are sent, of all that the seed has.
    pub kept: Option<Vec<usize>>,
    /// Whether the trace is kept as text.
    pub keeps_trace: bool,
}

/// A history in which everything held.
#[derive(Clone, Debug, PartialEq)]
pub struct RunReport {
    /// Its seed.
    pub seed: u64,
    /// Messages on the queues of commands.
    pub messages: u64,
    /// Transactions that were applied.
    pub commits: u64,
    /// Copies to the dead letters.
    pub dead_letters: u64,
    /// How often each kind of fault happened.
    pub faults: BTreeMap<Fault, u64>,
    /// How much time passed in it.
    pub simulated: Duration,
    /// The lines of its trace.
    pub trace_lines: u64,
    /// A hash of its trace: the same in every run of the seed.
    pub trace_hash: u64,
}

/// A history in which something did not hold.
#[derive(Clone, Debug)]
pub struct FailureReport {
    /// Its seed.
    pub seed: u64,
    /// Which check.
    pub check: &'static str,
    /// What was found.
    pub detail: String,
    /// What happened.
    pub history: String,
}

impl fmt::Display for FailureReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.history)?;
        writeln!(f, "seed {}: {}: {}", self.seed, self.check, self.detail)
    }
}

/// Runs the history of a seed.
///
/// # Errors
/// What did not hold.
pub fn run_seed(seed: u64, options: &Options) -> Result<RunReport, Box<FailureReport>> {
    let (result, trace) = driver::run(seed, options);
    result.map_err(|violation| {
        Box::new(FailureReport {
            seed,
            check: violation.check,
            detail: violation.detail,
            history: trace.and_then(Trace::into_text).unwrap_or_default(),
        })
    })
}

/// Runs the history of a seed for its trace.
#[must_use]
pub fn trace_of(seed: u64, options: &Options) -> String {
    let options = Options { keeps_trace: true, ..options.clone() };
    let (_, trace) = driver::run(seed, &options);
    trace.and_then(Trace::into_text).unwrap_or_default()
}
