//! `dlq`: look into the dead letters, send them back, or discard them.

mod show;

use std::{collections::BTreeSet, sync::Arc};

use aws_config::SdkConfig;
use clap::{ArgGroup, Args, Subcommand, builder::PossibleValuesParser};
use indicatif::ProgressBar;
use tokio_util::sync::CancellationToken;

use super::{CliContext, ExitCode, OutputFormat, run::AWS_VARIABLES};
use crate::{
    adapters::{
        sqs::{self, SqsQueue},
        system::{Random, SystemClock},
    },
    app::{self, signals::StopSignals},
    config::{AwsConfig, Endpoints, Flags, QueueRef},
    dlq::{DlqManager, Ended, LIMIT_MAX, Options, Run, Selection, UNKNOWN},
    naming,
    terminal::progress,
    worker::dead_letters::Reason,
};
use show::Report;

/// The reasons that the worker gives a dead letter, and the one of a letter without.
fn reasons() -> PossibleValuesParser {
    Reason::ALL.into_iter().map(Reason::as_str).chain([UNKNOWN]).into()
}

/// Arguments of `dlq`.
#[derive(Args)]
pub struct DlqArgs {
    /// The operation.
    #[command(subcommand)]
    pub command: DlqCommand,
}

/// Operations on dead letters.
#[derive(Subcommand)]
pub enum DlqCommand {
    /// List them with their reasons, never their bodies
    List(Box<ListArgs>),
    /// Show some with their bodies
    Show(Box<ShowArgs>),
    /// Send them back to their queue, each group in order; refuses what is older than the ledger
    Redrive(Box<RedriveArgs>),
    /// Delete them for good
    Discard(Box<DiscardArgs>),
}

/// Which queue's dead letters, and how many.
#[derive(Args)]
pub struct WhereArgs {
    /// The command queue whose dead letters these are, by name or URL [default: each of --queues]
    #[arg(
        long, env = "INVENTORY_DLQ_QUEUE", hide_env_values = true,
        value_name = "QUEUE", value_parser = command_queue
    )]
    pub queue: Option<QueueRef>,
    /// The most dead letters of a queue to look at. While it looks nobody else can: they are leased
    /// until it ends, or should it be killed, for 2 minutes and 0.3 s for each of these
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

/// Arguments of `dlq list`.
#[derive(Args)]
#[command(after_long_help = AWS_VARIABLES)]
pub struct ListArgs {
    /// Only what is dead for this reason
    #[arg(long, value_name = "REASON", value_parser = reasons())]
    reason: Option<String>,
    /// Which queue's dead letters, and how many.
    #[command(flatten)]
    place: WhereArgs,
}

/// Arguments of `dlq show`.
#[derive(Args)]
#[command(after_long_help = AWS_VARIABLES, group = ArgGroup::new("which").required(true).args(["ids", "all"]))]
pub struct ShowArgs {
    /// Their ids, as `dlq list` has them
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// All there are, or with --reason all of these
    #[arg(long)]
    all: bool,
    /// With --all: only what is dead for this reason
    #[arg(long, value_name = "REASON", value_parser = reasons(), requires = "all", conflicts_with = "ids")]
    reason: Option<String>,
    /// Which queue's dead letters, and how many.
    #[command(flatten)]
    place: WhereArgs,
}

/// Arguments of `dlq redrive`.
#[derive(Args)]
#[command(after_long_help = AWS_VARIABLES, group = ArgGroup::new("which").required(true).args(["ids", "all"]))]
pub struct RedriveArgs {
    /// Their ids, as `dlq list` has them
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// All there are, or with --reason all of these
    #[arg(long)]
    all: bool,
    /// With --all: only what is dead for this reason
    #[arg(long, value_name = "REASON", value_parser = reasons(), requires = "all", conflicts_with = "ids")]
    reason: Option<String>,
    /// Say what would be sent back and what would be refused, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Which queue's dead letters, and how many.
    #[command(flatten)]
    place: WhereArgs,
}

/// Arguments of `dlq discard`.
#[derive(Args)]
#[command(after_long_help = AWS_VARIABLES, group = ArgGroup::new("which").required(true).args(["ids", "all"]))]
pub struct DiscardArgs {
    /// Their ids, as `dlq list` has them
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// All there are, or with --reason all of these; needs --yes
    #[arg(long, requires = "yes")]
    all: bool,
    /// With --all: only what is dead for this reason
    #[arg(long, value_name = "REASON", value_parser = reasons(), requires = "all", conflicts_with = "ids")]
    reason: Option<String>,
    /// That all are meant, and that what is discarded cannot be had back
    #[arg(long)]
    yes: bool,
    /// Which queue's dead letters, and how many.
    #[command(flatten)]
    place: WhereArgs,
}

fn command_queue(text: &str) -> Result<QueueRef, String> {
    let queue: QueueRef = text.parse()?;
    match naming::queue_of_dead_letters(queue.as_str()) {
        Some(commands) => {
            Err(format!("name the command queue, {commands}: these are its dead letters"))
        }
        None => Ok(queue),
    }
}

pub(super) fn limit(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(limit) if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
        _ => Err(format!("expected a whole number from 1 to {LIMIT_MAX}")),
    }
}

/// The subcommand without its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    List,
    Show,
    WouldRedrive,
    Redrive,
    Discard,
}

impl DlqCommand {
    fn place(&self) -> &WhereArgs {
        match self {
            Self::List(args) => &args.place,
            Self::Show(args) => &args.place,
            Self::Redrive(args) => &args.place,
            Self::Discard(args) => &args.place,
        }
    }

    fn task(&self) -> (Task, Selection) {
        match self {
            Self::List(args) => (Task::List, selection(&[], args.reason.as_ref())),
            Self::Show(args) => (Task::Show, selection(&args.ids, args.reason.as_ref())),
            Self::Redrive(args) => {
                let task = if args.dry_run { Task::WouldRedrive } else { Task::Redrive };
                (task, selection(&args.ids, args.reason.as_ref()))
            }
            Self::Discard(args) => (Task::Discard, selection(&args.ids, args.reason.as_ref())),
        }
    }
}

fn selection(ids: &[String], reason: Option<&String>) -> Selection {
    let ids = (!ids.is_empty()).then(|| ids.iter().cloned().collect());
    Selection { ids, reason: reason.cloned() }
}

/// Which dead letters a run was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    All,
    OfReason,
    ByIds,
}

impl Asked {
    fn of(selection: &Selection) -> Self {
        match selection {
            Selection { ids: Some(_), .. } => Self::ByIds,
            Selection { reason: Some(_), .. } => Self::OfReason,
            _ => Self::All,
        }
    }
}

/// What was done with the dead letters of one queue.
struct Done {
    queue: String,
    run: Run,
}

/// Lists, shows, redrives or discards; `Failed` where not all of it was done.
///
/// # Errors
///
/// The configuration is wrong, or a queue is unreachable or refuses. What was done until then is
/// shown.
pub async fn run(args: DlqArgs, context: &CliContext) -> anyhow::Result<ExitCode> {
    let place = args.command.place();
    let config = place.settings.load(&*context.environment)?;
    let (task, mut selection) = args.command.task();
    let queues = place.queue.clone().map_or_else(|| config.queues.clone(), |queue| vec![queue]);
    let sdk = app::aws().await?;
    let stop = stopped_by_a_signal()?;
    let bar = progress::spinner(&context.errors)?;
    let asked = Asked::of(&selection);
    let mut done = Vec::new();
    let mut failure = None;
    for queue in &queues {
        let of_queue = one_queue(
            (&sdk, &config.endpoints),
            queue,
            options(task, queue, place.limit, &bar),
            &stop,
        );
        match of_queue.await {
            Ok((manager, source)) => {
                let mut run = match task {
                    Task::List => manager.list(&selection).await,
                    Task::Show => manager.show(&selection).await,
                    Task::WouldRedrive => manager.would_redrive(&source, &selection).await,
                    Task::Redrive => manager.redrive(&source, &selection).await,
                    Task::Discard => manager.discard(&selection).await,
                };
                // Ids that this queue does not have are looked up in the next.
                if selection.ids.is_some() {
                    selection.ids = Some(std::mem::take(&mut run.missing).into_iter().collect());
                }
                if let Ended::Failed(error) = &run.ended {
                    failure = Some(anyhow::Error::new(error.clone()));
                }
                done.push(Done { queue: queue.name().to_owned(), run });
            }
            Err(error) => failure = Some(error),
        }
        let found_all = selection.ids.as_ref().is_some_and(BTreeSet::is_empty);
        if failure.is_some() || found_all || stop.is_cancelled() {
            break;
        }
    }
    bar.finish_and_clear();
    // Ids that are all found need no other queue.
    let is_through = selection.ids.is_some() || done.len() == queues.len();
    let missing: Vec<String> = selection.ids.into_iter().flatten().collect();
    let report = Report { task, asked, queues: queues.len(), done: &done, missing: &missing };
    place.format.print(context, &report.json(), || report.print(context))?;
    match failure {
        Some(error) => Err(error),
        None if is_through && missing.is_empty() && done.iter().all(|done| done.run.is_done()) => {
            Ok(ExitCode::Done)
        }
        None => Ok(ExitCode::Failed),
    }
}

/// Reads up to `limit`, and shows the progress.
fn options(task: Task, queue: &QueueRef, limit: usize, bar: &ProgressBar) -> Options {
    let name = queue.name().to_owned();
    bar.set_message(name.clone());
    let shown = bar.clone();
    let progress = move |seen: usize, done: usize| {
        let done = match task {
            Task::List | Task::Show | Task::WouldRedrive => String::new(),
            Task::Redrive | Task::Discard => format!(", done with {done}"),
        };
        shown.set_message(format!("{name}: {seen} looked at{done}"));
    };
    Options { limit, progress: Some(Arc::new(progress)), ..Options::default() }
}

/// Cancelled by the first signal: the run then ends at its next step and gives back its leases.
pub(super) fn stopped_by_a_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    let mut signals = StopSignals::catch()?;
    tokio::spawn(async move {
        signals.next().await;
        cancelled.cancel();
    });
    Ok(stop)
}

async fn one_queue(
    (sdk, endpoints): (&SdkConfig, &Endpoints),
    queue: &QueueRef,
    options: Options,
    stop: &CancellationToken,
) -> anyhow::Result<(DlqManager, SqsQueue)> {
    let source = app::connect_queue(&sqs::client(sdk), endpoints, queue.as_str()).await?;
    Ok((manager((sdk, endpoints), queue, options, stop).await?, source))
}

/// The dead letters of a queue.
pub(super) async fn manager(
    (sdk, endpoints): (&SdkConfig, &Endpoints),
    queue: &QueueRef,
    options: Options,
    stop: &CancellationToken,
) -> anyhow::Result<DlqManager> {
    let client = sqs::client(sdk);
    let dead_letters = naming::dead_letter_queue_name(queue.as_str());
    let dead_letters = app::connect_queue(&client, endpoints, &dead_letters).await?;
    Ok(DlqManager {
        dead_letters: Arc::new(dead_letters),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(Random::new()),
        options,
        stop: stop.clone(),
    })
}

#[cfg(test)]
mod tests;
