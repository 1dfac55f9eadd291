//! `stock`: the lines of a pool.

use std::sync::Arc;

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::{CliContext, ExitCode, OutputFormat, run::AWS_VARIABLES};
use crate::{
    adapters::system::SystemClock,
    app,
    config::{AwsConfig, Flags},
    domain::{PoolId, Timestamp},
    gateway::{
        queries::LineInfo,
        view::{
            LineEntry,
            read::{Part, page},
        },
    },
    ports::{Clock, Record, ScanStore},
    terminal::{Table, counted, progress},
};

/// Arguments of `stock`.
#[derive(Args)]
#[command(after_long_help = AWS_VARIABLES)]
pub struct StockArgs {
    /// The pool: store#ID or event#ID
    #[arg(value_name = "POOL")]
    pub pool: PoolId,
    /// Whether to print JSON.
    #[command(flatten)]
    pub format: OutputFormat,
    /// Queues, topic and tables.
    #[command(flatten)]
    pub settings: Flags<AwsConfig>,
}

/// Reads the lines of a pool from the tables, and prints them.
///
/// # Errors
///
/// There are no lines, the configuration is wrong, or the tables cannot be read.
pub async fn run(args: StockArgs, context: &CliContext) -> anyhow::Result<ExitCode> {
    let config = args.settings.load(&*context.environment)?;
    let store: Arc<dyn ScanStore> = app::store(&app::aws().await?, &config);
    show(&*store, &SystemClock, &args.pool, args.format, context).await
}

/// What `--json` prints.
#[derive(Serialize)]
struct Stock<'a> {
    pool: &'a PoolId,
    lines: &'a [LineInfo],
    as_of: Timestamp,
}

async fn show(
    store: &dyn ScanStore,
    clock: &dyn Clock,
    pool: &PoolId,
    format: OutputFormat,
    context: &CliContext,
) -> anyhow::Result<ExitCode> {
    let as_of = clock.now();
    let bar = progress::spinner(&context.errors)?;
    bar.set_message("reading lines");
    let lines = read(store, pool).await;
    bar.finish_and_clear();
    let lines = lines?;
    if lines.is_empty() {
        bail!("{pool} has no lines");
    }
    let stock = Stock { pool, lines: &lines, as_of };
    format.print(context, &stock, || print(&lines, context))?;
    Ok(ExitCode::Done)
}

async fn read(store: &dyn ScanStore, pool: &PoolId) -> anyhow::Result<Vec<LineInfo>> {
    let (mut lines, mut from) = (Vec::new(), None);
    loop {
        let found = page(store, pool, Part::Lines, from.as_ref(), usize::MAX).await?;
        lines.extend(found.records.iter().filter_map(|record| match record {
            Record::Line(key, line) => Some(LineInfo::new(&key.sku, &LineEntry::from(line))),
            _ => None,
        }));
        from = found.next;
        if from.is_none() {
            return Ok(lines);
        }
    }
}

fn print(lines: &[LineInfo], context: &CliContext) -> std::io::Result<()> {
    let mut table = Table::new(&[
        "sku",
        "on hand",
        "available",
        "reserved",
        "committed",
        "version",
        "updated at",
    ]);
    for line in lines {
        table.row([
            line.sku.to_string(),
            line.quantity.to_string(),
            line.available.to_string(),
            line.reserved.to_string(),
            line.committed.to_string(),
            line.version.to_string(),
            // Whole seconds: with milliseconds the table would pass 80 columns.
            format!("{:.0}", line.updated_at),
        ]);
    }
    context.out.table(&table)?;
    let short = lines.iter().filter(|line| line.available < 0).count();
    if short > 0 {
        let short = u64::try_from(short).unwrap_or(u64::MAX);
        let what = format!("{} below zero available", counted(short, "line"));
        context.out.line(&context.out.style().warn(&what))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        adapters::memory::TokioClock,
        config::ProcessEnvironment,
        gateway::view::fixtures::{Tables, epoch, event, line, shop},
        terminal::{Output, wider_than_80},
    };

    async fn shown(pool: &PoolId, json: bool) -> (anyhow::Result<ExitCode>, String) {
        let clock = Arc::new(TokioClock::new(epoch()));
        let tables = Tables::new(&clock);
        tables.fill().await;
        tables.put_line(&shop(), "cheese", line(1, -4)).await;
        let ((out, text), (errors, _)) = (Output::captured(), Output::captured());
        let context = CliContext { environment: Box::new(ProcessEnvironment), out, errors };
        let ended = show(&*tables, &*clock, pool, OutputFormat { json }, &context).await;
        (ended, text.text())
    }

    #[tokio::test(start_paused = true)]
    async fn lines_are_a_table_and_a_shortfall_stands_out() {
        let (ended, text) = shown(&shop(), false).await;
        assert_eq!(ended.unwrap(), ExitCode::Done);
        assert_eq!(wider_than_80(&text), Vec::<&str>::new());
        insta::assert_snapshot!(text, @"
        sku     on hand  available  reserved  committed  version  updated at
        apple        13         10         2          1        5  2026-11-22T10:00:00Z
        bread        13         10         2          1        5  2026-11-22T10:00:00Z
        cheese       -1         -4         2          1        1  2026-11-22T10:00:00Z
        1 line below zero available
        ");
    }

    #[tokio::test(start_paused = true)]
    async fn json_is_one_line_with_every_line_of_the_pool() {
        let (_, text) = shown(&shop(), true).await;
        assert_eq!(text.lines().count(), 1);
        let stock: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&stock["pool"], &stock["lines"][0]["sku"]),
            (&"store#store-1".into(), &"apple".into())
        );
        assert_eq!(stock["lines"].as_array().unwrap().len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pool_without_lines_fails_with_a_line_that_says_so() {
        let (failed, text) = shown(&event(), false).await;
        assert_eq!(
            (failed.unwrap_err().to_string().as_str(), text.as_str()),
            ("event#42 has no lines", "")
        );
    }
}
