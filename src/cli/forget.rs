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
/// replaced until then stays so.
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
    let letters = dead_letters(&sdk, &config, &args, &stop).await?;
    let report = Report { removed, letters, is_dry: args.dry_run };
    args.format.print(context, &report.json(), || report.print(context))?;
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

/// A run over the dead letters of each queue.
async fn dead_letters(
    sdk: &SdkConfig,
    config: &AwsConfig,
    args: &ForgetArgs,
    stop: &CancellationToken,
) -> anyhow::Result<Vec<(String, Run)>> {
    let mut runs = Vec::new();
    for queue in &config.queues {
        let options = Options { limit: args.limit, ..Options::default() };
        let manager = manager((sdk, &config.endpoints), queue, options, stop).await?;
        let run = match args.dry_run {
            true => manager.would_forget(&args.user_id).await,
            false => manager.forget(&args.user_id).await,
        };
        if let Ended::Failed(error) = &run.ended {
            return Err(error.clone().into());
        }
        runs.push((queue.name().to_owned(), run));
    }
    Ok(runs)
}

struct Report {
    removed: Removed,
    letters: Vec<(String, Run)>,
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
            let unseen = run.behind.unwrap_or(0) + run.elsewhere.unwrap_or(0);
            if unseen > 0 || run.ended != Ended::Complete {
                left.push(format!(
                    "{unseen} dead letters of {queue} were not looked at: redrive or discard those \
                     ahead of them, or give a larger --limit, and again"
                ));
            }
        }
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
