//! `forget`: removes a user's id from all that is stored.

use std::sync::Arc;

use aws_config::SdkConfig;
use clap::Args;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    CliContext, ExitCode, OutputFormat, consent,
    dlq::{limit, manager, stopped_by_a_signal},
    run::AWS_VARIABLES,
};
use crate::{
    adapters::system::{Random, SystemClock},
    app,
    config::{AwsConfig, Flags},
    dlq::{Disposition, Ended, Options, Run},
    domain::UserId,
    forget::{Forgetting, Removed},
    ports,
    terminal::{Style, Table, printable, progress},
};

/// Arguments of `forget`.
#[derive(Args)]
#[command(after_long_help = AWS_VARIABLES)]
pub struct ForgetArgs {
    /// The id, as commands have it in user_id
    #[arg(value_name = "USER_ID")]
    pub user_id: UserId,
    /// Count the places, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Begin without asking: what is replaced cannot be had back
    #[arg(long)]
    pub yes: bool,
    /// The most dead letters of a queue to look at. They are leased until it ends, or should it be
    /// killed, for 2 minutes and 0.3 s for each of these
    #[arg(
        long, env = "INVENTORY_DLQ_LIMIT", hide_env_values = true,
        value_name = "COUNT", default_value = "1000", value_parser = limit
    )]
    pub limit: usize,
    /// Whether to print JSON.
    #[command(flatten)]
    pub format: OutputFormat,
    /// Queues, topic and tables.
    #[command(flatten)]
    pub settings: Flags<AwsConfig>,
}

/// Replaces the id in the tables and then in the dead letters. `Failed` where it may be left
/// somewhere.
///
/// # Errors
///
/// The configuration is wrong, the answer is no, or a service is unreachable or refuses. What was
/// replaced until then stays so, and is shown if the tables are through.
pub async fn run(args: ForgetArgs, context: &CliContext) -> anyhow::Result<ExitCode> {
    let config = args.settings.load(&*context.environment)?;
    let sdk = app::aws().await?;
    context.errors.line(&aim(&config, &sdk))?;
    let question = "Every place is overwritten, for good. Begin?";
    let refused = "nothing was changed: --yes begins, and --dry-run counts";
    consent::ask(args.yes || args.dry_run, question, refused, context)?;
    let forgetting = Forgetting {
        store: app::outcome_editor(&sdk, &config),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(Random::new()),
        user_id: args.user_id.clone(),
        is_dry: args.dry_run,
    };
    let bar = progress::spinner(&context.errors)?;
    let mut shown = |table: ports::Table, read: u64| {
        bar.set_message(format!("reading {}: {read}", table.as_str()));
    };
    let removed = forgetting.run(&mut shown).await;
    bar.finish_and_clear();
    let removed = removed?;
    let stop = stopped_by_a_signal()?;
    let mut report = Report { removed, letters: Vec::new(), failed: None, is_dry: args.dry_run };
    let ended = dead_letters(&sdk, &config, &args, &stop, &mut report).await;
    args.format.print(context, &report.json(), || report.print(context))?;
    ended?;
    Ok(if report.is_complete() { ExitCode::Done } else { ExitCode::Failed })
}

/// What is about to be changed.
fn aim(config: &AwsConfig, sdk: &SdkConfig) -> String {
    let tables = &config.tables;
    let names = [&tables.reservations, &tables.seats, &tables.ledger].map(String::as_str);
    let region = sdk.region().map(ToString::to_string).unwrap_or_default();
    let at = config.endpoints.dynamodb.as_deref().unwrap_or("AWS");
    let queues: Vec<&str> = config.queues.iter().map(|queue| queue.name()).collect();
    format!(
        "a user's id in the tables {} and the dead letters of {}, in {region} at {at}",
        names.join(", "),
        queues.join(", ")
    )
}

/// A run over the dead letters of each queue, up to the first that fails.
async fn dead_letters(
    sdk: &SdkConfig,
    config: &AwsConfig,
    args: &ForgetArgs,
    stop: &CancellationToken,
    report: &mut Report,
) -> anyhow::Result<()> {
    for queue in &config.queues {
        let name = queue.name().to_owned();
        let options = Options { limit: args.limit, ..Options::default() };
        let manager = match manager((sdk, &config.endpoints), queue, options, stop).await {
            Ok(manager) => manager,
            Err(error) => {
                report.failed = Some(name);
                return Err(error);
            }
        };
        let run = match args.dry_run {
            true => manager.would_forget(&args.user_id).await,
            false => manager.forget(&args.user_id).await,
        };
        let ended = run.ended.clone();
        report.letters.push((name.clone(), run));
        if let Ended::Failed(error) = ended {
            report.failed = Some(name);
            return Err(error.into());
        }
    }
    Ok(())
}

/// The dead letters of a queue that a run did not see.
fn unseen(queue: &str, run: &Run) -> Option<String> {
    let count = run.behind.unwrap_or(0) + run.elsewhere.unwrap_or(0);
    let is_counted = run.behind.is_some() && run.elsewhere.is_some();
    let what = match (count, &run.ended) {
        (_, Ended::Failed(_)) => return None,
        (0, Ended::Complete) if is_counted => return None,
        (0, Ended::Complete) => {
            format!("dead letters of {queue} could not be counted; any others were")
        }
        (0, _) => format!("the last dead letters of {queue} were"),
        (1, _) => format!("1 dead letter of {queue} was"),
        (count, _) => format!("{count} dead letters of {queue} were"),
    };
    Some(format!(
        "{what} not looked at: redrive or discard those ahead of them, or give a larger --limit, \
         and again"
    ))
}

struct Report {
    removed: Removed,
    letters: Vec<(String, Run)>,
    /// The queue whose dead letters could not be read to their end: those after it were not looked
    /// at.
    failed: Option<String>,
    is_dry: bool,
}

impl Report {
    fn dead_letters(&self) -> u64 {
        let count: usize = self.letters.iter().map(|(_, run)| run.handled.len()).sum();
        u64::try_from(count).unwrap_or_default()
    }

    /// Where the id may be left.
    fn left(&self) -> Vec<String> {
        let mut left: Vec<String> =
            self.removed.unreadable.iter().map(|what| format!("cannot be read: {what}")).collect();
        for (queue, run) in &self.letters {
            for handled in run.handled.iter().filter(|handled| {
                !handled.fate.is_done() || matches!(handled.fate, Disposition::Seen)
            }) {
                let fate = &handled.fate;
                let why = match fate {
                    Disposition::Refused { why } => why.explanation(),
                    Disposition::NotSent { what } | Disposition::NotDeleted { what, .. } => {
                        what.clone()
                    }
                    _ => String::new(),
                };
                left.push(format!("dead letter {} of {queue}: {why}", handled.letter.id));
            }
            left.extend(unseen(queue, run));
        }
        left.extend(self.failed.as_ref().map(|queue| {
            format!("the dead letters of {queue} and of the queues after it: the queue failed")
        }));
        left
    }

    fn is_complete(&self) -> bool {
        self.left().is_empty()
    }

    fn json(&self) -> Value {
        let Removed { reservations, seats, outcomes, passes, .. } = &self.removed;
        json!({
            "dry_run": self.is_dry,
            "reservations": reservations,
            "seats": seats,
            "outcomes": outcomes,
            "dead_letters": self.dead_letters(),
            "passes": passes,
            "left": self.left(),
        })
    }

    fn print(&self, context: &CliContext) -> std::io::Result<()> {
        let (out, style) = (&context.out, context.out.style());
        let Removed { reservations, seats, outcomes, passes, .. } = &self.removed;
        let mut table = Table::new(&["where", if self.is_dry { "found" } else { "replaced" }]);
        let [of_reservations, of_seats] = match self.is_dry {
            true => ["reservations", "seats"],
            false => ["reservations, with their seats", "other seats"],
        };
        let rows = [
            (of_reservations, *reservations),
            (of_seats, *seats),
            ("outcomes in the ledger", *outcomes),
            ("dead letters", self.dead_letters()),
        ];
        for (name, count) in rows {
            table.row([name.to_owned(), count.to_string()]);
        }
        out.table(&table)?;
        let left = self.left();
        for what in &left {
            out.line(&format!("{}  {}", style.bad("left"), printable(what)))?;
        }
        out.line(&self.last_line(left.len(), u64::from(*passes), style))
    }

    fn last_line(&self, left: usize, passes: u64, style: Style) -> String {
        match (self.is_dry, left) {
            (true, _) => "nothing was changed".to_owned(),
            (false, 0) => {
                style.good(&format!("the id is nowhere, by pass {passes} over the tables"))
            }
            (false, _) => style.bad("the id may be left where the lines above say"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::ProcessEnvironment, ports::PortError, terminal::Output};

    fn run(behind: u64, ended: Ended) -> Run {
        Run {
            handled: Vec::new(),
            missing: Vec::new(),
            behind: Some(behind),
            elsewhere: Some(0),
            ended,
            still_leased: 0,
        }
    }

    fn report(letters: Vec<Run>, failed: Option<&str>) -> Report {
        let removed = Removed { reservations: 2, seats: 1, passes: 2, ..Removed::default() };
        let letters = letters.into_iter().map(|run| ("orders.fifo".to_owned(), run)).collect();
        Report { removed, letters, failed: failed.map(str::to_owned), is_dry: false }
    }

    fn printed(report: &Report) -> String {
        let ((out, kept), (errors, _)) = (Output::captured(), Output::captured());
        let context = CliContext { environment: Box::new(ProcessEnvironment), out, errors };
        report.print(&context).unwrap();
        kept.text()
    }

    #[test]
    fn what_was_replaced_in_the_tables_is_shown_where_the_dead_letters_fail() {
        let error = PortError::Unavailable("no answer".to_owned());
        let report = report(vec![run(0, Ended::Failed(error))], Some("orders.fifo"));
        assert!(!report.is_complete());
        let text = printed(&report);
        assert!(text.contains("reservations, with their seats         2"), "{text}");
        assert!(text.contains("dead letters of orders.fifo and of the queues after it"), "{text}");
        assert!(text.ends_with("the id may be left where the lines above say\n"), "{text}");
        let json = report.json();
        assert_eq!((&json["reservations"], &json["seats"]), (&2.into(), &1.into()));
        assert_eq!(json["left"].as_array().map(Vec::len), Some(1), "{json}");
    }

    #[test]
    fn a_queue_that_cannot_be_counted_may_have_more() {
        let uncounted = Run { behind: None, ..run(0, Ended::Complete) };
        let said = unseen("orders.fifo", &uncounted).unwrap();
        assert!(said.starts_with("dead letters of orders.fifo could not be counted"), "{said}");
        assert_eq!(unseen("orders.fifo", &run(0, Ended::Complete)), None);
    }

    #[test]
    fn one_dead_letter_that_was_not_looked_at_is_singular() {
        let of = |behind| report(vec![run(behind, Ended::Complete)], None).left();
        assert_eq!(of(0), Vec::<String>::new());
        assert!(of(1)[0].starts_with("1 dead letter of orders.fifo was not looked at"));
        assert!(of(2)[0].starts_with("2 dead letters of orders.fifo were not looked at"));
        let stopped = report(vec![run(0, Ended::Stopped)], None).left();
        assert!(stopped[0].starts_with("the last dead letters of orders.fifo were"), "{stopped:?}");
    }
}
