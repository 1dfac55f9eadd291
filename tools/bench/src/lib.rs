//! The bench: the real worker on in-memory ports, under a latency model.
//!
//! Where latency alone decides, tokio's clock is paused: time advances only while every task waits,
//! so the numbers are those of the model and the same on every machine. Where the processor
//! decides, the machine's clock is used.

pub mod command;
pub mod hostile;
pub mod model;
pub mod report;
pub mod row;

mod baseline;
mod load;
mod measurements;
mod null_ports;
mod tally;
mod world;

use std::future::Future;

pub use model::Model;
pub use row::{Row, Target};

/// The default of `INVENTORY_IN_FLIGHT_MIB`.
const IN_FLIGHT_MIB: usize = 120;

/// The size of the measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Commands of the throughput of one group; the other rows scale with it.
    commands: usize,
    /// Holds that end within a minute.
    holds: usize,
    /// Two backlog sizes to compare.
    backlogs: (usize, usize),
    /// Commands whose processor time is measured.
    processed: usize,
    /// The number of bodies of a hostile shape to process.
    hostile: usize,
    /// MiB in flight to fill with bodies.
    filled: usize,
    /// Sales measured beside stuck messages.
    beside: usize,
    /// Lookups in memory.
    lookups: usize,
    /// Streams whose memory is measured, and whose drain is timed.
    streams: (usize, usize),
}

impl Size {
    /// The sizes of the targets.
    pub const FULL: Self = Self {
        commands: 2_000,
        holds: 120_000,
        backlogs: (10_000, 1_000_000),
        processed: 200_000,
        hostile: 20,
        filled: IN_FLIGHT_MIB,
        beside: 20_000,
        lookups: 500,
        streams: (5_000, 1_000),
    };

    /// Small enough that a debug build takes seconds; the numbers are less precise.
    pub const SMALL: Self = Self {
        commands: 200,
        holds: 600,
        backlogs: (1_000, 4_000),
        processed: 2_000,
        hostile: 2,
        filled: 20,
        beside: 2_000,
        lookups: 5,
        streams: (50, 20),
    };
}

/// The progress of the bench.
#[derive(Clone, Debug)]
pub enum Progress {
    /// These rows are being measured together.
    Measuring {
        /// Their names.
        rows: &'static [&'static str],
        /// Rows measured so far.
        done: usize,
        /// All rows to be measured, including these.
        whole: usize,
    },
    /// This row is measured.
    Measured(Box<Row>),
}

/// Measures the rows whose names begin with `only`, and those measured along with them, in the
/// order of the targets, and reports each as soon as it is measured. Without `only`, every row.
///
/// Blocks; call it where blocking is allowed, and outside a runtime's own threads.
///
/// # Errors
///
/// No row has such a name; a runtime or the embedded DynamoDB cannot be started; a run failed.
pub fn measure(
    model: &Model,
    size: Size,
    only: Option<&str>,
    mut show: impl FnMut(Progress),
) -> anyhow::Result<Vec<Row>> {
    let is_wanted = |part: &&measurements::Part| {
        only.is_none_or(|only| part.rows.iter().any(|name| name.starts_with(only)))
    };
    let parts: Vec<&measurements::Part> = measurements::ALL.iter().filter(is_wanted).collect();
    let known = || measurements::ALL.each_ref().map(|part| part.rows.join(", ")).join(", ");
    anyhow::ensure!(!parts.is_empty(), "no row is called so; there are {}", known());
    let whole = parts.iter().map(|part| part.rows.len()).sum();
    let mut rows = Vec::new();
    for part in parts {
        show(Progress::Measuring { rows: part.rows, done: rows.len(), whole });
        for row in (part.measure)(model, size)? {
            show(Progress::Measured(Box::new(row.clone())));
            rows.push(row);
        }
    }
    Ok(rows)
}

/// Runs on a clock that advances only while every task waits.
fn paused<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?
        .block_on(work)
}
