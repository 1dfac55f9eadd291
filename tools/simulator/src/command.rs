//! Runs many seeds, and the command line for it.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{FailureReport, Fault, Options, RunReport, Situation, run_seed, trace_of};

/// How often a failing history is rerun to find a shorter one.
const SHRINKS_MAX: usize = 300;

/// Arguments of `inventory-simulator`.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// How many seeds to run, one after the other from --first
    #[arg(long, env = "INVENTORY_SIM_SEEDS", hide_env_values = true, default_value_t = 2_000)]
    pub seeds: u64,
    /// The first seed
    #[arg(long, env = "INVENTORY_SIM_FIRST", hide_env_values = true, default_value_t = 0)]
    pub first: u64,
    /// This seed alone, whatever --seeds and --first say
    #[arg(long)]
    pub seed: Option<u64>,
    /// Print everything that happens under --seed
    #[arg(long, requires = "seed")]
    pub trace: bool,
    /// At most so many workers
    #[arg(long, env = "INVENTORY_SIM_WORKERS", hide_env_values = true)]
    pub workers: Option<usize>,
    /// Kinds of fault that do not happen
    #[arg(long, env = "INVENTORY_SIM_WITHOUT", hide_env_values = true, value_delimiter = ',')]
    pub without: Vec<Fault>,
    /// The numbers of the messages that are sent, of all that the seed has
    #[arg(long, value_delimiter = ',')]
    pub keep: Option<Vec<usize>>,
    /// Threads; as many as there are cores unless it says otherwise
    #[arg(long, env = "INVENTORY_SIM_THREADS", hide_env_values = true)]
    pub threads: Option<usize>,
}

impl Arguments {
    fn options(&self) -> Options {
        Options {
            workers: self.workers,
            without: self.without.iter().copied().collect(),
            kept: self.keep.clone(),
            keeps_trace: false,
            // A traced history is not shrunk any further.
            shrinks_at_most: if self.trace { 0 } else { SHRINKS_MAX },
        }
    }
}

/// Totals over many seeds.
#[derive(Debug, Default)]
pub struct Summary {
    /// Histories in which every check passed.
    pub held: u64,
    /// Histories in which a check failed, by seed.
    pub failures: Vec<FailureReport>,
    /// Messages sent.
    pub messages: u64,
    /// Transactions applied.
    pub commits: u64,
    /// Messages copied to the dead-letter queues.
    pub dead_letters: u64,
    /// Of these, copies of harmless messages that workers held at every crash.
    pub collateral_dead_letters: u64,
    /// How often each kind of fault happened.
    pub faults: BTreeMap<Fault, u64>,
    /// How often gateways and their callers went through each situation.
    pub situations: BTreeMap<Situation, u64>,
    /// The total simulated time.
    pub simulated: Duration,
}

impl Summary {
    /// Histories run so far.
    fn run(&self) -> u64 {
        self.held.saturating_add(u64::try_from(self.failures.len()).unwrap_or(u64::MAX))
    }

    fn add(&mut self, report: &RunReport) {
        self.held += 1;
        self.messages += report.messages;
        self.commits += report.commits;
        self.dead_letters += report.dead_letters;
        self.collateral_dead_letters += report.collateral_dead_letters;
        self.simulated = self.simulated.saturating_add(report.simulated);
        for (fault, count) in &report.faults {
            *self.faults.entry(*fault).or_default() += count;
        }
        for (situation, count) in &report.situations {
            *self.situations.entry(*situation).or_default() += count;
        }
    }
}

/// No more seeds are started after this many failures.
const FAILURES_MAX: usize = 10;

/// Runs the seeds on `threads` threads. Stops at the tenth failure.
#[must_use]
pub fn run(first: u64, seeds: u64, threads: usize, options: &Options) -> Summary {
    watched(first, seeds, threads, options, &|_, _| ())
}

/// Called with the number of seeds run and the total.
type ProgressCallback<'a> = &'a (dyn Fn(u64, u64) + Sync);

fn watched(
    first: u64,
    seeds: u64,
    threads: usize,
    options: &Options,
    progress: ProgressCallback<'_>,
) -> Summary {
    let next = AtomicU64::new(first);
    let end = first.saturating_add(seeds);
    let summary = Mutex::new(Summary::default());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                // The trace has what matters of the workers' logs.
                let silent = tracing::subscriber::NoSubscriber::default();
                tracing::subscriber::with_default(silent, || {
                    let reported = |run| progress(run, seeds);
                    work_off(&next, end, options, &summary, &reported);
                });
            });
        }
    });
    let mut summary = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
    summary.failures.sort_by_key(|failure| failure.seed);
    summary
}

/// Runs one seed after the other.
fn work_off(
    next: &AtomicU64,
    end: u64,
    options: &Options,
    summary: &Mutex<Summary>,
    reported: &dyn Fn(u64),
) {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return;
        }
        let result = run_seed(seed, options);
        let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(report) => summary.add(&report),
            Err(failure) => summary.failures.push(*failure),
        }
        reported(summary.run());
        if summary.failures.len() >= FAILURES_MAX {
            return;
        }
    }
}

/// The subcommand: runs the seeds and prints the results. Calls `progress` after each with the
/// number of seeds run and the total. Returns whether every check passed.
///
/// # Errors
/// If `out` cannot be written.
pub fn run_cli(
    arguments: &Arguments,
    out: &mut dyn Write,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> io::Result<bool> {
    let options = arguments.options();
    if let (Some(seed), true) = (arguments.seed, arguments.trace) {
        let silent = tracing::subscriber::NoSubscriber::default();
        let trace = tracing::subscriber::with_default(silent, || trace_of(seed, &options));
        out.write_all(trace.as_bytes())?;
    }
    let (first, seeds) =
        arguments.seed.map_or((arguments.first, arguments.seeds), |seed| (seed, 1));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = arguments.threads.unwrap_or(cores);
    let summary = watched(first, seeds, threads, &options, progress);
    for failure in &summary.failures {
        match arguments.trace {
            true => writeln!(out, "seed {first} fails {}: {}", failure.check, failure.detail)?,
            false => write!(out, "{failure}")?,
        }
    }
    writeln!(
        out,
        "{} histories held, {} did not: {} messages, {} commits, {} dead letters, {} s simulated",
        summary.held,
        summary.failures.len(),
        summary.messages,
        summary.commits,
        summary.dead_letters,
        summary.simulated.as_secs()
    )?;
    let faults: Vec<String> = (summary.faults.iter())
        .map(|(fault, count)| format!("{} {count}", fault.as_str()))
        .collect();
    writeln!(out, "faults: {}", faults.join(", "))?;
    let situations: Vec<String> = (summary.situations.iter())
        .map(|(situation, count)| format!("{} {count}", situation.as_str()))
        .collect();
    writeln!(out, "gateways: {}", situations.join(", "))?;
    Ok(summary.failures.is_empty())
}
