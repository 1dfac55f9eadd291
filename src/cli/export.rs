//! `export`: a pool as a file.

use std::{io, sync::Arc};

use clap::Args;

use super::{BadUsage, CliContext, ExitCode, run::AWS_VARIABLES};
use crate::{
    adapters::system::SystemClock,
    app,
    bulk::{self, ExportSummary, FileFormat, NotWritable, Row, Writer},
    config::{AwsConfig, Flags},
    domain::PoolId,
    ports::{Clock, PortError, ScanStore},
    terminal::{counted, progress},
};

/// Rows are written to stdout this many bytes at a time.
const WRITE_BYTES: usize = 64 * 1024;

/// Arguments of `export`.
#[derive(Args)]
#[command(after_long_help = AWS_VARIABLES)]
pub struct ExportArgs {
    /// The pool: event#ID or store#ID
    #[arg(value_name = "POOL")]
    pub pool: PoolId,
    /// Holds and bookings too, with users: reads the whole table of reservations. Without it, what
    /// is held or sold is left out: its seats are BLOCKED, its quantities missing
    #[arg(long)]
    pub private: bool,
    /// CSV in place of JSON Lines
    #[arg(long)]
    pub csv: bool,
    /// Queues, topic and tables.
    #[command(flatten)]
    pub settings: Flags<AwsConfig>,
}

/// Reads a pool from the tables, and prints its rows; on stderr what they are.
///
/// # Errors
///
/// The configuration is wrong, the tables cannot be read, or CSV has no form for a row.
pub async fn run(args: ExportArgs, context: &CliContext) -> anyhow::Result<ExitCode> {
    let config = args.settings.load(&*context.environment)?;
    let store: Arc<dyn ScanStore> = app::store(&app::aws().await?, &config);
    let bar = progress::spinner(&context.errors)?;
    bar.set_message(format!("reading {}", args.pool));
    let written = write(&*store, &SystemClock, &args, context).await;
    bar.finish_and_clear();
    let summary = written.map_err(|error| match error {
        ExportError::Read(error) => anyhow::Error::new(error),
        ExportError::NotWritable(error) => BadUsage(error.to_string()).into(),
        ExportError::Output(error) => error.into(),
    })?;
    context.errors.line(&described(&args.pool, &summary))?;
    Ok(ExitCode::Done)
}

/// Why an export ended.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error(transparent)]
    Read(#[from] PortError),
    #[error(transparent)]
    NotWritable(#[from] NotWritable),
    #[error(transparent)]
    Output(#[from] io::Error),
}

async fn write(
    store: &dyn ScanStore,
    clock: &dyn Clock,
    args: &ExportArgs,
    context: &CliContext,
) -> Result<ExportSummary, ExportError> {
    let format = if args.csv { FileFormat::Csv } else { FileFormat::Jsonl };
    let writer = Writer::new(format);
    let mut text = writer.header();
    let each = |row: &Row| -> Result<(), ExportError> {
        text.push_str(&writer.row(row)?);
        if text.len() >= WRITE_BYTES {
            context.out.write(&std::mem::take(&mut text))?;
        }
        Ok(())
    };
    let summary = bulk::export(store, &args.pool, (clock.now(), args.private), each).await?;
    context.out.write(&text)?;
    Ok(summary)
}

fn described(pool: &PoolId, summary: &ExportSummary) -> String {
    let ExportSummary { seats, lines, reservations, blocked, left_out } = *summary;
    let mut words =
        vec![counted(seats, "seat"), counted(lines, "line"), counted(reservations, "reservation")];
    if blocked > 0 {
        words.push(format!("{} held or sold by none of these, BLOCKED", counted(blocked, "seat")));
    }
    if left_out > 0 {
        words
            .push(format!("{} held or sold by none of these, left out", counted(left_out, "unit")));
    }
    format!("{pool}: {}", words.join(", "))
}
