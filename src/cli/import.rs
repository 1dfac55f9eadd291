//! `import`: seats, stock, holds and bookings from files.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::{
    BadUsage, CliContext, ExitCode,
    run::AWS_VARIABLES,
    send::{DeliveryArgs, listed, source},
};
use crate::{
    adapters::{
        sqs,
        system::{Random, SystemClock},
    },
    app,
    bulk::{
        Chunks, Identity, ImportPorts, ImportSummary, Importer, Place, RowCounts, RowError, Rows,
    },
    domain::{PoolId, Source},
    ports::{Clock, Queue},
    terminal::{counted, progress},
};

/// Wrong rows of a file that are named; beyond, they are counted.
const WRONG_ROWS_SHOWN_MAX: usize = 20;

const EXAMPLES: &str = "\
A row is a seat (seat_number), a line (sku, quantity) or a reservation (user_id), of an event_id
or a store_id. Every file is checked before anything is posted. The same import again posts only
what has no outcome yet.

Examples:
  inventory-worker import --pool event#42 arena.csv --dry-run
  inventory-worker import --pool event#42 arena.csv --wait
  inventory-worker import --source /services/booking bookings.jsonl --wait 60";

/// Arguments of `import`.
#[derive(Args)]
#[command(
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{AWS_VARIABLES}")
)]
pub struct ImportArgs {
    /// CSV or JSON Lines, by their first line; each is read twice
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The pool of rows that name none: event#ID or store#ID
    #[arg(long, value_name = "POOL")]
    pub pool: Option<PoolId>,
    /// Who sends the commands, and so gets the ends of the holds
    #[arg(
        long,
        env = "INVENTORY_SOURCE",
        hide_env_values = true,
        value_name = "SOURCE",
        value_parser = source,
        default_value = "/inventory-import"
    )]
    pub source: Source,
    /// Check the files, say what would be posted, and post nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How to post.
    #[command(flatten)]
    pub delivery: DeliveryArgs,
}

/// Checks all files, then posts their commands, file by file. `Rejected` where a worker rejected a
/// command, as far as that is known; `Failed` where one has no outcome in time.
///
/// # Errors
///
/// A file cannot be read or has wrong rows, the configuration is wrong, or a service is unreachable
/// or refuses.
pub async fn run(args: ImportArgs, context: &CliContext) -> anyhow::Result<ExitCode> {
    let config = args.delivery.settings.load(&*context.environment)?;
    let mut checked = Vec::with_capacity(args.files.len());
    for file in &args.files {
        checked.push(check(file, &args, context)?);
    }
    let mut code = ExitCode::Done;
    if args.dry_run {
        for (file, of) in args.files.iter().zip(&checked) {
            let report = of.json(file);
            args.delivery.format.print(context, &report, || {
                let rows = described(&of.rows);
                let commands = counted(of.commands, "command");
                let line = format!("{}: {rows}: {commands}, none posted", file.display());
                context.out.line(&line)
            })?;
        }
        return Ok(code);
    }
    let default = config.aws.producer_queues().map(|(_, restocks)| restocks.as_str().to_owned());
    let queue = args.delivery.queue.clone().or(default).context("no queue but that of expiries")?;
    let sdk = app::aws().await?;
    let (sqs, endpoints) = (sqs::client(&sdk), &config.aws.endpoints);
    let queue: Arc<dyn Queue> = Arc::new(app::connect_queue(&sqs, endpoints, &queue).await?);
    let store = app::store(&sdk, &config.aws);
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(Random::new()));
    let wait = args.delivery.wait.map(|seconds| Duration::from_secs(u64::from(seconds)));
    let importer = Importer::new(ImportPorts { queue, store, clock, entropy }, wait);
    for (file, of) in args.files.iter().zip(checked) {
        let summary = post(&importer, file, of.identity, &args, context).await?;
        report(file, &summary, &args, context)?;
        code = match (code, summary.rejected, summary.unanswered) {
            (_, _, 1..) => ExitCode::Failed,
            (ExitCode::Done, 1.., _) => ExitCode::Rejected,
            (code, _, _) => code,
        };
    }
    Ok(code)
}

/// A file without wrong rows.
struct Checked {
    identity: Identity,
    rows: RowCounts,
    commands: u64,
}

impl Checked {
    fn json(&self, file: &Path) -> Value {
        json!({ "file": file, "rows": rows_json(&self.rows), "commands": self.commands })
    }
}

fn bar(file: &Path, size: u64, what: &str, context: &CliContext) -> anyhow::Result<ProgressBar> {
    let bar = progress::bar(&context.errors, size)?;
    bar.set_message(format!("bytes of {} {what}", file.display()));
    Ok(bar)
}

fn open(file: &Path, args: &ImportArgs) -> anyhow::Result<Rows> {
    let wrong = |error| BadUsage(format!("{}: {error}", file.display()));
    Ok(Rows::open(file, args.pool.clone()).map_err(wrong)?)
}

/// Reads a file, and refuses it where a row is wrong.
fn check(file: &Path, args: &ImportArgs, context: &CliContext) -> anyhow::Result<Checked> {
    let shown = file.display();
    let mut rows = open(file, args)?;
    let bar = bar(file, rows.size()?, "checked", context)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // The identity is known at the end; any other makes commands of the same size.
    let mut chunks = Chunks::new(Identity::of(args.source.clone(), [0; 32]), clock);
    let (mut commands, mut wrong) = (0, WrongRows::default());
    loop {
        let next = rows.next_row().map_err(|error| BadUsage(format!("{shown}: {error}")))?;
        let is_end = next.is_none();
        let (place, units) = match next {
            Some((place, row)) => (place, row.and_then(|row| chunks.push(place, row))),
            None => (Place { line: 0 }, chunks.finish()),
        };
        match units {
            Ok(units) => {
                let count: usize = units.iter().map(|unit| unit.commands.len()).sum();
                commands += u64::try_from(count).unwrap_or_default();
            }
            Err(error) => wrong.add(place, &error),
        }
        bar.set_position(rows.bytes());
        if is_end {
            break;
        }
    }
    bar.finish_and_clear();
    let counts = chunks.counts();
    wrong.refuse(file)?;
    Ok(Checked {
        identity: Identity::of(args.source.clone(), rows.digest()),
        rows: counts,
        commands,
    })
}

/// The rows of a file that are wrong.
#[derive(Default)]
struct WrongRows {
    shown: Vec<String>,
    more: u64,
}

impl WrongRows {
    fn add(&mut self, place: Place, error: &RowError) {
        match self.shown.len() < WRONG_ROWS_SHOWN_MAX {
            true => self.shown.push(format!("line {}: {error}", place.line)),
            false => self.more += 1,
        }
    }

    fn refuse(mut self, file: &Path) -> Result<(), BadUsage> {
        if self.shown.is_empty() {
            return Ok(());
        }
        if self.more > 0 {
            self.shown.push(format!("and {} more", self.more));
        }
        let wrong = self.shown.join("\n  ");
        Err(BadUsage(format!("{}: nothing was posted\n  {wrong}", file.display())))
    }
}

async fn post(
    importer: &Importer,
    file: &Path,
    identity: Identity,
    args: &ImportArgs,
    context: &CliContext,
) -> anyhow::Result<ImportSummary> {
    let rows = open(file, args)?;
    let bar = bar(file, rows.size()?, "posted", context)?;
    let posted = importer.run(rows, identity, |bytes| bar.set_position(bytes)).await;
    bar.finish_and_clear();
    let what = "what was posted takes effect; the same line again goes on from there";
    posted.with_context(|| format!("{}: {what}", file.display()))
}

fn rows_json(rows: &RowCounts) -> Value {
    let RowCounts { seats, lines, holds, bookings, run_out, shortened } = rows;
    json!({
        "seats": seats, "lines": lines, "holds": holds, "bookings": bookings,
        "holds_run_out": run_out, "holds_shortened": shortened,
    })
}

fn summary_json(file: &Path, summary: &ImportSummary) -> Value {
    let rejected: Vec<Value> = summary
        .first_rejected
        .iter()
        .map(|one| json!({ "line": one.place.line, "rejection": one.rejection }))
        .collect();
    json!({
        "file": file,
        "rows": rows_json(&summary.rows),
        "commands": summary.commands,
        "known": summary.known,
        "outcomes": {
            "seats_applied": summary.seats_applied,
            "lines_applied": summary.lines_applied,
            "seats_skipped": summary.seats_skipped,
            "lines_skipped": summary.lines_skipped,
            "reserved": summary.reserved,
            "confirmed": summary.confirmed,
            "rejected": summary.rejected,
            "unanswered": summary.unanswered,
        },
        "first_rejected": rejected,
    })
}

/// `3 seats, 1 booking`
fn described(rows: &RowCounts) -> String {
    let RowCounts { seats, lines, holds, bookings, run_out, shortened } = *rows;
    let both = [(seats, "seat"), (lines, "line"), (holds, "hold"), (bookings, "booking")];
    let some = both.into_iter().filter(|(count, _)| *count > 0);
    let mut words: Vec<String> = some.map(|(count, noun)| counted(count, noun)).collect();
    if run_out > 0 {
        words.push(format!("{} that ran out and were left out", counted(run_out, "hold")));
    }
    if shortened > 0 {
        words.push(format!("{} shortened to 4 hours", counted(shortened, "hold")));
    }
    if words.is_empty() { "no rows".to_owned() } else { words.join(", ") }
}

fn held_or_sold(skipped: u64) -> String {
    format!("{skipped} that {} held or sold", if skipped == 1 { "is" } else { "are" })
}

fn report(
    file: &Path,
    summary: &ImportSummary,
    args: &ImportArgs,
    context: &CliContext,
) -> std::io::Result<()> {
    let json = summary_json(file, summary);
    args.delivery.format.print(context, &json, || print(file, summary, args, context))
}

fn print(
    file: &Path,
    summary: &ImportSummary,
    args: &ImportArgs,
    context: &CliContext,
) -> std::io::Result<()> {
    let (out, style) = (&context.out, context.out.style());
    let commands = counted(summary.commands - summary.known, "command");
    let known = match summary.known {
        0 => String::new(),
        known => format!(", {known} decided before"),
    };
    let rows = described(&summary.rows);
    out.line(&format!("{}: {rows}: {commands} posted{known}", file.display()))?;
    if args.delivery.wait.is_none() && summary.known == 0 {
        return out.line("  the same line with --wait waits for the outcomes, and shows them");
    }
    let skipped = summary.seats_skipped + summary.lines_skipped;
    let applied = [
        (summary.seats_applied, "seat"),
        (summary.lines_applied, "line"),
        (summary.reserved, "hold"),
        (summary.confirmed, "booking"),
    ];
    let applied = applied.into_iter().filter(|(count, _)| *count > 0);
    let applied: Vec<String> = applied.map(|(count, noun)| counted(count, noun)).collect();
    if !applied.is_empty() {
        out.line(&format!("  {}  {}", style.good("applied"), applied.join(", ")))?;
    }
    if skipped > 0 {
        out.line(&format!("  {}  {}", style.warn("left unchanged"), held_or_sold(skipped)))?;
    }
    for one in &summary.first_rejected {
        let rejection = &one.rejection;
        let seats = rejection.seats.iter().map(ToString::to_string);
        let lines = rejection.lines.iter().map(ToString::to_string);
        let offenders: Vec<String> = seats.chain(lines).collect();
        let code = style.bad(rejection.code.as_str());
        let what = format!("{}{}", rejection.message, listed(&offenders));
        out.line(&format!("  line {}: {code}  {what}", one.place.line))?;
    }
    let shown = u64::try_from(summary.first_rejected.len()).unwrap_or_default();
    if summary.rejected > shown {
        out.line(&format!("  and {} more rejected", summary.rejected - shown))?;
    }
    if summary.unanswered > 0 {
        let what = format!(
            "{} without an outcome in time. Is a worker running? The same line again waits on",
            counted(summary.unanswered, "command")
        );
        out.line(&format!("  {}", style.bad(&what)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_left_unchanged_is_singular() {
        assert_eq!(held_or_sold(1), "1 that is held or sold");
        assert_eq!(held_or_sold(2), "2 that are held or sold");
    }
}
