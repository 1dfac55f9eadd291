//! `storm`: load on a running deployment.

mod workers;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use aws_config::SdkConfig;
use clap::{ArgGroup, Args};
use indicatif::ProgressBar;
use serde_json::json;

use super::{CliContext, ExitCode, OutputFormat, consent, parsers::whole, run::AWS_VARIABLES};
use crate::{
    adapters::{
        sns::{self, subscription::Temporary},
        sqs,
        system::{Random, SystemClock},
    },
    app::{self, signals::StopSignals},
    config::{AwsConfig, Flags},
    naming,
    ports::{Entropy as _, Queue},
    report::number,
    storm::{OnSale, Plan, Ports, Progress, Restocks, Storm, StormSummary},
    terminal::{Table, counted, progress},
};
use workers::WorkerAddress;

const AFTER: &str = "\
Without --events, --seats or --buyers it is a restock storm: stores whose counts are set again and \
again. With one of them it is an on-sale: buyers who want the same seats. Sizes of both together \
are refused, also where one comes from its variable.

Outcomes are read from results, through a temporary queue that is subscribed to the topic and \
removed at the end, also after SIGINT and SIGTERM. Commands, events and stores are the storm's \
own, by their names; the tables keep them: do not storm a deployment that people buy from. It \
says where it aims, and asks; --yes begins at once.";

/// The type of result that rejections have.
const REJECTED: &str = "inventory.rejected.v1";

/// Arguments of `storm`.
#[derive(Args)]
#[command(
    after_help = AFTER,
    after_long_help = format!("{AFTER}\n\n{AWS_VARIABLES}"),
    group = ArgGroup::new("on_sale").multiple(true)
)]
pub struct StormArgs {
    /// Restock: stores, each a group of its own [default: 20]
    #[arg(
        long, env = "INVENTORY_STORM_STORES", hide_env_values = true,
        value_name = "COUNT", conflicts_with = "on_sale", value_parser = count(10_000)
    )]
    pub stores: Option<u32>,
    /// Restock: SKUs of each store [default: 100]
    #[arg(
        long, env = "INVENTORY_STORM_SKUS", hide_env_values = true,
        value_name = "COUNT", conflicts_with = "on_sale", value_parser = count(100_000)
    )]
    pub skus: Option<u32>,
    /// Restock: lines of one command [default: 10]
    #[arg(
        long, env = "INVENTORY_STORM_LINES", hide_env_values = true,
        value_name = "COUNT", conflicts_with = "on_sale", value_parser = count(10_000)
    )]
    pub lines: Option<u32>,
    /// Restock: commands a second at most [default: as many as come back]
    #[arg(
        long, env = "INVENTORY_STORM_RATE", hide_env_values = true,
        value_name = "COUNT", conflicts_with = "on_sale", value_parser = count(100_000)
    )]
    pub rate: Option<u32>,
    /// On-sale: events [default: 1]
    #[arg(
        long, env = "INVENTORY_STORM_EVENTS", hide_env_values = true,
        value_name = "COUNT", group = "on_sale", value_parser = count(10_000)
    )]
    pub events: Option<u32>,
    /// On-sale: seats of each event [default: 1000]
    #[arg(
        long, env = "INVENTORY_STORM_SEATS", hide_env_values = true,
        value_name = "COUNT", group = "on_sale", value_parser = count(100_000)
    )]
    pub seats: Option<u32>,
    /// On-sale: buyers over all events [default: 1000]
    #[arg(
        long, env = "INVENTORY_STORM_BUYERS", hide_env_values = true,
        value_name = "COUNT", group = "on_sale", value_parser = count(10_000_000)
    )]
    pub buyers: Option<u32>,
    /// Restock: how long commands are sent [default: 30]. On-sale: when the doors close, should
    /// buyers be left [default: 600]
    #[arg(
        long, env = "INVENTORY_STORM_DURATION_SECONDS", hide_env_values = true,
        value_name = "SECONDS", value_parser = whole::<u64>(1..=86_400)
    )]
    pub duration: Option<u64>,
    /// Commands under way at once
    #[arg(long, value_name = "COUNT", env = "INVENTORY_STORM_IN_FLIGHT", hide_env_values = true, default_value_t = 64, value_parser = count(10_000))]
    pub in_flight: u32,
    /// Put commands of one group that wait to be sent into a message, at most this many [default
    /// without a number: 100]
    #[arg(
        long, env = "INVENTORY_STORM_BATCH", hide_env_values = true,
        value_name = "COUNT", num_args = 0..=1, default_missing_value = "100",
        value_parser = count(100)
    )]
    pub batch: Option<u32>,
    /// How long a command may take to its outcome
    #[arg(
        long, env = "INVENTORY_STORM_TIMEOUT_SECONDS", hide_env_values = true,
        value_name = "SECONDS", default_value_t = 60,
        value_parser = whole::<u64>(1..=3_600)
    )]
    pub timeout: u64,
    /// The admin port of a worker, as HOST:PORT; repeatable. The growth of its metrics during the
    /// storm is added to the summary
    #[arg(
        long = "worker",
        env = "INVENTORY_STORM_WORKERS",
        hide_env_values = true,
        value_name = "HOST:PORT",
        value_delimiter = ','
    )]
    pub workers: Vec<WorkerAddress>,
    /// Write a page with plots there
    #[arg(long, value_name = "FILE", env = "INVENTORY_STORM_REPORT", hide_env_values = true)]
    pub report: Option<PathBuf>,
    /// Begin without asking: everything that the environment points to is put under load
    #[arg(long)]
    pub yes: bool,
    /// Whether to print JSON.
    #[command(flatten)]
    pub format: OutputFormat,
    /// Queues and topic.
    #[command(flatten)]
    pub settings: Flags<AwsConfig>,
}

fn count(max: u64) -> impl Fn(&str) -> Result<u32, String> + Clone {
    whole(1..=max)
}

impl StormArgs {
    fn plan(&self) -> Plan {
        let or = |given: Option<u32>, default: usize| {
            given.and_then(|given| usize::try_from(given).ok()).unwrap_or(default)
        };
        let seconds = |default| Duration::from_secs(self.duration.unwrap_or(default));
        if self.events.is_none() && self.seats.is_none() && self.buyers.is_none() {
            return Plan::Restocks(Restocks {
                stores: or(self.stores, 20),
                skus: or(self.skus, 100),
                lines: or(self.lines, 10),
                duration: seconds(30),
                rate: self.rate.map(f64::from),
            });
        }
        Plan::OnSale(OnSale {
            events: or(self.events, 1),
            seats: or(self.seats, 1_000),
            buyers: or(self.buyers, 1_000),
            duration: seconds(600),
        })
    }
}

/// Subscribes, runs the storm, removes the subscription, and prints the summary. `Failed` where a
/// command has no outcome in time.
///
/// # Errors
///
/// The configuration is wrong, a service is unreachable or refuses, no result comes, or the report
/// cannot be written.
pub async fn run(args: StormArgs, context: &CliContext) -> anyhow::Result<ExitCode> {
    let config = args.settings.load(&*context.environment)?;
    let mut signals = StopSignals::catch()?;
    let before = workers::metrics(&args.workers).await?;
    let name = Random::new().uuid().simple().to_string().chars().take(12).collect();
    let in_flight = usize::try_from(args.in_flight).unwrap_or(1);
    let timeout = Duration::from_secs(args.timeout);
    let commands_per_message = args.batch.and_then(|most| usize::try_from(most).ok()).unwrap_or(1);
    let storm = Storm { name, plan: args.plan(), in_flight, commands_per_message, timeout };

    let sdk = app::aws().await?;
    let (sns, sqs) = (sns::client(&sdk), sqs::client(&sdk));
    let endpoints = &config.endpoints;
    let connect = async |name: &str| app::connect_queue(&sqs, endpoints, name).await;
    let (commands, restocks) = config.producer_queues().context("no queue but that of expiries")?;
    context.errors.line(&aim(&config, &sdk, (commands.name(), restocks.name())))?;
    let question = "It loads this deployment, and its tables keep what it makes. Begin?";
    let refused = "nothing was sent: --yes begins a storm on the above";
    consent::ask(args.yes, question, refused, context)?;
    let commands: Arc<dyn Queue> = Arc::new(connect(commands.as_str()).await?);
    let restocks: Arc<dyn Queue> = Arc::new(connect(restocks.as_str()).await?);
    let topic = app::connect_topic(&sns, endpoints, config.topic.as_str()).await?;

    // A queue of the storm's own, for the results of its own commands.
    let queue = naming::storm_queue(&config.prefix, &storm.name);
    let filter = json!({ "command_source": [storm.source()?] }).to_string();
    let subscription = Temporary::begin(sns, sqs.clone(), topic.arn(), &queue, Some(&filter)).await;
    let subscription = subscription.context("the storm's own subscription to results")?;
    let stormed = tokio::select! {
        biased;
        signal = signals.next() => Err(anyhow::anyhow!("ended by {signal} before its time")),
        stormed = async {
            let results = Arc::new(connect(subscription.queue_url()).await?.of_topic());
            let (clock, entropy) = (Arc::new(SystemClock), Arc::new(Random::new()));
            let ports = Ports { commands, restocks, results, clock, entropy };
            let bar = progress::bar(&context.errors, 1)?;
            bar.set_message("waiting for a first answer");
            let stormed = storm.run(&ports, |progress| show(&bar, progress)).await;
            bar.finish_and_clear();
            stormed
        } => stormed,
    };
    let ended = subscription.end().await;
    let ended = ended.with_context(|| format!("the storm's subscription or queue {queue} is left"));
    let mut summary = stormed?;
    ended?;
    summary.workers = workers::since(before, &args.workers).await?;
    if let Some(path) = &args.report {
        let name = path.display();
        std::fs::write(path, summary.html()).with_context(|| format!("the file {name}"))?;
    }
    args.format.print(context, &summary, || print(&summary, &args, context))?;
    Ok(if summary.is_complete() { ExitCode::Done } else { ExitCode::Failed })
}

/// What the storm puts under load.
fn aim(config: &AwsConfig, sdk: &SdkConfig, (commands, restocks): (&str, &str)) -> String {
    let region = sdk.region().map(ToString::to_string).unwrap_or_default();
    let at = config.endpoints.sqs.as_deref().unwrap_or("AWS");
    let queues = if commands == restocks {
        commands.to_owned()
    } else {
        format!("{commands} and {restocks}")
    };
    let topic = config.topic.as_str();
    format!("storm on {queues}, results from {topic}, in {region} at {at}")
}

fn show(bar: &ProgressBar, progress: &Progress) {
    match progress.done {
        None => bar.tick(),
        Some(done) => {
            let Progress { whole, unit, answered, per_second, .. } = progress;
            bar.set_length(*whole);
            bar.set_position(done);
            bar.set_message(format!("{unit}  {answered} outcomes, {per_second:.0}/s"));
        }
    }
}

/// Outcomes by type, rejections last with their codes below them.
fn outcomes(by_type: &BTreeMap<String, u64>, rejections: &BTreeMap<String, u64>) -> Table {
    let mut table = Table::new(&["outcome", "count"]);
    let is_rejected = |(name, _): &(&String, &u64)| *name == REJECTED;
    let (rejected, others): (Vec<_>, Vec<_>) = by_type.iter().partition(is_rejected);
    for (name, count) in others.into_iter().chain(rejected) {
        table.row([name.clone(), count.to_string()]);
    }
    for (code, count) in rejections {
        table.row([format!("  {code}"), count.to_string()]);
    }
    table
}

fn print(summary: &StormSummary, args: &StormArgs, context: &CliContext) -> std::io::Result<()> {
    let (out, style) = (&context.out, context.out.style());
    let mut times = Table::new(&["command", "outcomes", "p50, ms", "p95, ms", "p99, ms"]);
    for (name, of) in &summary.by_command {
        let at = [of.p50_ms, of.p95_ms, of.p99_ms].map(number);
        times.row([vec![(*name).to_owned(), of.count.to_string()], at.to_vec()].concat());
    }
    let at = [summary.p50_ms, summary.p95_ms, summary.p99_ms].map(number);
    times.row([vec!["all".to_owned(), summary.answered.to_string()], at.to_vec()].concat());
    out.table(&times)?;
    out.line("")?;
    out.table(&outcomes(&summary.outcomes, &summary.rejections))?;
    out.line("")?;
    let mut calls = Table::new(&["call of the storm", "count", "a command"]);
    for (name, count) in &summary.calls {
        let each = summary.calls_per_command.get(name).copied().unwrap_or_default();
        calls.row([(*name).to_owned(), count.to_string(), number(each)]);
    }
    out.table(&calls)?;
    out.line("")?;
    if let Some(metrics) = &summary.workers {
        let mut workers = Table::new(&["the workers, by their own metrics", "value"]);
        for (name, value) in metrics {
            workers.row([(*name).to_owned(), number(*value)]);
        }
        out.table(&workers)?;
        out.line("")?;
    }
    let line = format!(
        "{}: {} in {} s, {} a second, p99 to the outcome {} ms",
        summary.storm,
        counted(summary.commands, "command"),
        number(summary.seconds),
        number(summary.commands_per_second),
        number(summary.p99_ms)
    );
    out.line(&style.heading(&line))?;
    if !summary.is_complete() {
        let (unanswered, not_sent) = (summary.unanswered, summary.not_sent);
        out.line(
            &style.bad(&format!("{unanswered} without an outcome in time, {not_sent} not sent")),
        )?;
    }
    if let Some(path) = &args.report {
        out.line(&format!("report: {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
