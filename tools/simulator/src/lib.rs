//! Deterministic simulation, in the manner of FoundationDB and TigerBeetle.
//!
//! Runs the real worker and sweeper on the in-memory ports, several of them concurrently, on one
//! thread under a paused clock. One seed decides everything: how tasks interleave (through the
//! latency of every call), the commands, and every fault.
//!
//! ```text
//! driver ── workload ─► queues ─► worker::run ─► ports (injector: faults) ─► world (memory ports)
//!    │                              × 2…4, killed and started again             │ every effect
//!    └ fault-free phase: everything must be done        trace ◄─────────── history ─► checks
//! ```
//!
//! Most histories mix every kind of fault. Some belong to a class of their own ([`profile`]): torn
//! reads of commands that cross; a worker without CPU time; constant conflicts; and, one in five,
//! histories in which one kind of trouble lasts ([`trouble`]) and no other fault happens: there
//! unaffected commands must make progress meanwhile, and stuck ones may hold only a small share of
//! a worker's room ([`progress`]).
//!
//! Rollouts: the in-memory store keeps outcomes as values, without a format. So a rollout consists
//! of two settings side by side (limits, locks, leases), and an older release that refuses to read
//! what a newer one wrote, as the DynamoDB adapter does.

mod checks;
mod command;
mod driver;
mod fault;
mod gateway;
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
pub use gateway::Situation;
pub use shrink::FailureReport;
pub use trace::Trace;

/// The restrictions of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The most workers.
    pub workers: Option<usize>,
    /// Kinds of fault that do not happen.
    pub without: BTreeSet<Fault>,
    /// The indexes of the messages to send, out of all that the seed has.
    pub kept: Option<Vec<usize>>,
    /// Whether the trace is kept as text.
    pub keeps_trace: bool,
    /// How often a failing history is rerun to find a shorter one.
    pub shrinks_at_most: usize,
}

/// A history in which every check passed.
#[derive(Clone, Debug, PartialEq)]
pub struct RunReport {
    /// The history's seed.
    pub seed: u64,
    /// Messages on the queues of commands.
    pub messages: u64,
    /// Transactions that were applied.
    pub commits: u64,
    /// Messages copied to the dead-letter queues.
    pub dead_letters: u64,
    /// Of these, copies of harmless messages that workers held at every crash.
    pub collateral_dead_letters: u64,
    /// How often each kind of fault happened.
    pub faults: BTreeMap<Fault, u64>,
    /// How often gateways and their callers went through each situation.
    pub situations: BTreeMap<Situation, u64>,
    /// The simulated time.
    pub simulated: Duration,
    /// The lines of its trace.
    pub trace_lines: u64,
    /// A hash of its trace: the same in every run of the seed.
    pub trace_hash: u64,
}

/// Runs the history of a seed. Shrinks a failing history to the shortest that fails the same check,
/// by rerunning it with less; [`Options::shrinks_at_most`] limits the reruns.
///
/// # Errors
/// The failed check, with the shortened history.
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
