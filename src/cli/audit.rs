//! `audit`: every invariant that tables can show.

use std::sync::Arc;

use clap::Args;

use super::{CliContext, ExitCode, OutputFormat, run::AWS_VARIABLES};
use crate::{
    adapters::system::SystemClock,
    app,
    audit::{self, AuditOptions, AuditReport, Violation},
    config::{AwsConfig, Flags},
    ports::{self, Clock, ScanStore},
    terminal::{Table, progress},
};

/// Arguments of `audit`.
#[derive(Args)]
#[command(after_long_help = AWS_VARIABLES)]
pub struct AuditArgs {
    /// Whether to print JSON.
    #[command(flatten)]
    pub format: OutputFormat,
    /// Queues, topic and tables.
    #[command(flatten)]
    pub settings: Flags<AwsConfig>,
}

/// Reads all tables; `Failed` where an invariant is broken.
///
/// # Errors
///
/// Where the configuration is wrong, or the tables cannot be read.
pub async fn run(args: AuditArgs, context: &CliContext) -> anyhow::Result<ExitCode> {
    let config = args.settings.load(&*context.environment)?;
    let store: Arc<dyn ScanStore> = app::store(&app::aws().await, &config);
    let bar = progress::spinner(&context.errors)?;
    let shown = bar.clone();
    let options = AuditOptions {
        progress: Some(Arc::new(move |table: ports::Table, records| {
            shown.set_message(format!("reading {}: {records}", table.as_str()));
        })),
        ..AuditOptions::default()
    };
    let report = audit::audit(&*store, SystemClock.now(), &options).await;
    bar.finish_and_clear();
    let report = report?;
    args.format.print(context, &report, || print(&report, context))?;
    Ok(if report.is_clean() { ExitCode::Done } else { ExitCode::Failed })
}

fn print(report: &AuditReport, context: &CliContext) -> std::io::Result<()> {
    let style = context.out.style();
    let mut read = Table::new(&["table", "records"]);
    for table in ports::Table::ALL {
        read.row([table.as_str().to_owned(), report.records(table).to_string()]);
    }
    context.out.table(&read)?;
    if report.oversold_lines > 0 {
        let what = format!("{} lines have less than nothing available", report.oversold_lines);
        context.out.line(&style.warn(&what))?;
    }
    list("VIOLATION", &report.violations, report.violations_omitted, context)?;
    list("not settled", &report.unsettled, report.unsettled_omitted, context)?;
    let count = u64::try_from(report.violations.len()).unwrap_or(u64::MAX);
    match count.saturating_add(report.violations_omitted) {
        0 => context.out.line(&style.good("clean: every invariant holds")),
        violations => context.out.line(&style.bad(&format!("{violations} violations"))),
    }
}

fn list(
    what: &str,
    found: &[Violation],
    omitted: u64,
    context: &CliContext,
) -> std::io::Result<()> {
    for violation in found {
        context.out.line(&format!("{what}  {violation}"))?;
    }
    if omitted > 0 {
        context.out.line(&format!("{what}  and {omitted} more"))?;
    }
    Ok(())
}
