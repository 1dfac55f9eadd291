//! Deterministic simulation, in the manner of FoundationDB and TigerBeetle.
//!
//! The worker and sweeper as they are run on the in-memory ports, several of them against one
//! another, on one thread under a paused clock. One seed decides everything: how tasks interleave
//! (through the latency of every call), what is asked for, and everything that goes wrong.
//!
//! ```text
//! driver ── workload ─► queues ─► worker::run ─► ports (injector: faults) ─► world (memory ports)
//!    │                              × 2…4, killed and started again             │ every effect
//!    └ fault-free phase: everything must be done        trace ◄─────────── history ─► checks
//! ```
//!
//! Most histories mix every kind of fault. Some are of a class of their own ([`profile`]): reads that
//! tear, of commands that cross; a worker without processor; conflicts without end; and, one in
//! five, histories in which one kind of trouble lasts ([`trouble`]) and nothing else goes wrong:
//! there unaffected commands must make progress meanwhile, and stuck ones may hold no more than a
//! small share of a worker's room ([`progress`]).
//!
//! Rollouts: the in-memory store keeps outcomes as values, without a format. So a rollout is two
//! settings side by side (limits, locks, leases), and an older release that refuses to read what a
//! newer one wrote, as the adapter of DynamoDB does.

mod checks;
mod command;
mod driver;
mod fault;
mod history;
mod injector;
mod ports;
mod profile;
mod progress;
mod rng;
mod shrink;
mod topology;
mod trace;
mod trouble;
mod workload;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub use command::{Arguments, Summary, run, run_cli};
pub use fault::Fault;
pub use shrink::FailureReport;
pub use trace::Trace;

/// What a run may be narrowed down to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// At most so many workers.
    pub workers: Option<usize>,
    /// Kinds of fault that do not happen.
    pub without: BTreeSet<Fault>,
    /// The numbers of the messages that are sent, of all that the seed has.
    pub kept: Option<Vec<usize>>,
    /// Whether the trace is kept as text.
    pub keeps_trace: bool,
    /// How often a history that fails is run again to find a shorter one.
    pub shrinks_at_most: usize,
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
    /// Of these, copies of harmless messages that workers held whenever they crashed.
    pub collateral_dead_letters: u64,
    /// How often each kind of fault happened.
    pub faults: BTreeMap<Fault, u64>,
    /// How much time passed in it.
    pub simulated: Duration,
    /// The lines of its trace.
    pub trace_lines: u64,
    /// A hash of its trace: the same in every run of the seed.
    pub trace_hash: u64,
}

/// Runs the history of a seed. One that fails is narrowed down to the shortest that fails alike, by
/// running it again and again with less; [`Options::shrinks_at_most`] bounds how often.
///
/// # Errors
/// What did not hold.
pub fn run_seed(seed: u64, options: &Options) -> Result<RunReport, Box<FailureReport>> {
    let (result, _) = driver::run(seed, options);
    result.map_err(|violation| Box::new(shrink::shrink(seed, options, violation)))
}

/// Runs the history of a seed for its trace.
#[must_use]
pub fn trace_of(seed: u64, options: &Options) -> String {
    let options = Options { keeps_trace: true, ..options.clone() };
    let (_, trace) = driver::run(seed, &options);
    trace.and_then(Trace::into_text).unwrap_or_default()
}
