//! `bench`: the worker against its targets.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, builder::FalseyValueParser};
use indicatif::ProgressBar;
use serde_json::json;

use inventory_worker::{
    cli::{CliContext, ExitCode, OutputFormat},
    report::number,
    terminal::{Output, progress},
};

use crate::{Model, Progress, Row, Size, measure, report};

/// Arguments of `bench`.
#[derive(Args)]
#[command(after_help = LATENCIES)]
pub struct BenchArgs {
    /// How long calls take: a TOML file that says where that differs from the default
    #[arg(long, value_name = "FILE", env = "INVENTORY_BENCH_LATENCY", hide_env_values = true)]
    pub latency: Option<PathBuf>,
    /// Write a page with plots there
    #[arg(long, value_name = "FILE", env = "INVENTORY_BENCH_REPORT", hide_env_values = true)]
    pub report: Option<PathBuf>,
    /// Whether to print JSON.
    #[command(flatten)]
    pub format: OutputFormat,
    /// Measure the rows alone whose names begin so, and those measured along with them
    #[arg(long, value_name = "ROW", env = "INVENTORY_BENCH_ONLY", hide_env_values = true)]
    pub only: Option<String>,
    /// Measure so little that it takes seconds; the figures mean less
    #[arg(long, env = "INVENTORY_BENCH_QUICK", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub quick: bool,
}

const LATENCIES: &str = "\
With --json the last line is {\"rows\": [{name, figure, unit, ceiling, ratio, target, met, note}]}.

A latency file has a table a service and a number of milliseconds a call, or two, which make a \
lognormal distribution:

  [sqs]
  receive = 10
  delete = { p50 = 8, p99 = 25 }
  [dynamodb]
  load = 5
  commit = 12
  put = 8
  [sns]
  publish = 12
  [redis]
  acquire = 0.5
  release = 0.5";

/// Measures every row and shows it; a row that misses its target is marked.
///
/// # Errors
///
/// The latency file is wrong, the report cannot be written, or a run failed.
pub fn run(args: &BenchArgs, context: &CliContext) -> anyhow::Result<ExitCode> {
    let model = match &args.latency {
        None => Model::default(),
        Some(path) => {
            let name = path.display();
            let text = std::fs::read_to_string(path).with_context(|| format!("the file {name}"))?;
            Model::parse(&text).with_context(|| format!("the file {name}"))?
        }
    };
    let size = if args.quick { Size::SMALL } else { Size::FULL };
    let bar = progress::bar(&context.errors, 1)?;
    let mut written = Ok(());
    // The measured workers log nothing.
    let silent = tracing::subscriber::NoSubscriber::default();
    let rows = tracing::subscriber::with_default(silent, || {
        measure(&model, size, args.only.as_deref(), |progress| {
            if written.is_ok() {
                written = show(&progress, &bar, &context.out);
            }
        })
    })?;
    bar.finish_and_clear();
    written?;
    if let Some(path) = &args.report {
        let name = path.display();
        std::fs::write(path, report::html(&rows)).with_context(|| format!("the file {name}"))?;
        context.out.line(&format!("report: {name}"))?;
    }
    let met = rows.iter().filter(|row| row.met).count();
    context.out.line(&format!("{met} of {} targets met", rows.len()))?;
    if args.format.json {
        context.out.json(&json!({ "rows": rows }))?;
    }
    Ok(ExitCode::Done)
}

fn show(progress: &Progress, bar: &ProgressBar, out: &Output) -> std::io::Result<()> {
    match progress {
        Progress::Measuring { rows, done, whole } => {
            bar.set_length(u64::try_from(*whole).unwrap_or(u64::MAX));
            bar.set_position(u64::try_from(*done).unwrap_or(u64::MAX));
            bar.set_message(rows.first().copied().unwrap_or_default());
            Ok(())
        }
        Progress::Measured(row) => bar.suspend(|| show_row(row, out)),
    }
}

fn show_row(row: &Row, out: &Output) -> std::io::Result<()> {
    let style = out.style();
    let verdict = if row.met { style.good("met") } else { style.bad("NOT MET") };
    let figure = format!("{} {}", number(row.figure), row.unit);
    let ceiling = row.ceiling.map_or(String::new(), |c| format!("ceiling {}", number(c)));
    let ratio = row.ratio.map_or(String::new(), |ratio| format!("ratio {ratio:.3}"));
    let target = format!("target {}", row.target);
    out.line(&format!(
        "{:<38}{figure:>20}  {ceiling:<18}{ratio:<14}{target:<22}{verdict}",
        row.name
    ))?;
    out.line(&style.faint(&format!("    {}", row.note)))
}
