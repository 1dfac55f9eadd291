//! `audit`: every invariant that tables can show.

use std::sync::Arc;

use clap::Args;

use super::{CliContext, ExitCode, OutputFormat, exit_code_of, run::AWS_VARIABLES};
use crate::{
    adapters::system::SystemClock,
    app,
    audit::{self, AuditOptions, AuditReport, Violation},
    config::{AwsConfig, Flags},
    ports::{self, Clock, ScanStore},
    terminal::{Table, counted, progress},
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

/// Reads all tables; `Failed` where an invariant is broken or an item cannot be read, `Unreachable`
/// where the audit could not run to its end.
///
/// # Errors
///
/// Where the configuration is wrong, or the output cannot be written.
pub async fn run(args: AuditArgs, context: &CliContext) -> anyhow::Result<ExitCode> {
    let report = match read(&args, context).await {
        Ok(report) => report,
        Err(error) => return not_run(&args, error, context),
    };
    args.format.print(context, &report, || print(&report, context))?;
    Ok(if report.is_clean() { ExitCode::Done } else { ExitCode::Failed })
}

/// Says why there is no report, in JSON too. A wrong configuration keeps its own exit code.
fn not_run(
    args: &AuditArgs,
    error: anyhow::Error,
    context: &CliContext,
) -> anyhow::Result<ExitCode> {
    if args.format.json {
        context.out.json(&serde_json::json!({ "error": format!("{error:#}") }))?;
    }
    match exit_code_of(&error) {
        ExitCode::Usage => Err(error),
        _ => {
            let what = format!(
                "{} the audit did not run: {error:#}",
                context.errors.style().bad("error:")
            );
            context.errors.line(&what)?;
            Ok(ExitCode::Unreachable)
        }
    }
}

async fn read(args: &AuditArgs, context: &CliContext) -> anyhow::Result<AuditReport> {
    let config = args.settings.load(&*context.environment)?;
    let store: Arc<dyn ScanStore> = app::store(&app::aws().await?, &config);
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
    Ok(report?)
}

fn print(report: &AuditReport, context: &CliContext) -> std::io::Result<()> {
    let style = context.out.style();
    let mut read = Table::new(&["table", "records"]);
    for table in ports::Table::ALL {
        read.row([table.as_str().to_owned(), report.records(table).to_string()]);
    }
    context.out.table(&read)?;
    if report.oversold_lines > 0 {
        let lines = counted(report.oversold_lines, "line");
        let what = format!("{lines} below zero available");
        context.out.line(&style.warn(&what))?;
    }
    list("VIOLATION", &report.violations, report.violations_omitted, context)?;
    for what in &report.unreadable {
        context.out.line(&format!("UNREADABLE  {what}"))?;
    }
    if report.unreadable_omitted > 0 {
        context.out.line(&format!("UNREADABLE  and {} more", report.unreadable_omitted))?;
    }
    for what in &report.not_checked {
        context.out.line(&format!("not checked  {what}"))?;
    }
    list("not settled", &report.unsettled, report.unsettled_omitted, context)?;
    let count = u64::try_from(report.violations.len()).unwrap_or(u64::MAX);
    let violations = count.saturating_add(report.violations_omitted);
    let unreadable = u64::try_from(report.unreadable.len()).unwrap_or(u64::MAX);
    let unreadable = unreadable.saturating_add(report.unreadable_omitted);
    let said = match (violations, unreadable) {
        (0, 0) => return context.out.line(&style.good("clean: every invariant holds")),
        (violations, 0) => counted(violations, "violation"),
        (0, unreadable) => format!("{} cannot be read", counted(unreadable, "item")),
        (violations, unreadable) => format!(
            "{}; {} cannot be read",
            counted(violations, "violation"),
            counted(unreadable, "item")
        ),
    };
    context.out.line(&style.bad(&said))
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
