//! `bootstrap`: queues, topic and tables.

use anyhow::Context;
use clap::{Args, builder::FalseyValueParser};
use indicatif::ProgressBar;

use super::{CliContext, ExitCode, OutputFormat, run::AWS_VARIABLES};
use crate::{
    adapters::{
        bootstrap::Ensured,
        dynamodb::{self, ClientOptions, TableOptions},
        sns, sqs,
    },
    app,
    config::{AwsConfig, Flags},
    terminal::{Table, progress},
};

const AFTER: &str = "\
It makes no roles and no resource policies: what refuses calls without TLS is in the Terraform \
module, k8s/aws. With the topic's ARN in place of its name it need not list all topics.";

/// Arguments of `bootstrap`.
#[derive(Args)]
#[command(after_help = AFTER, after_long_help = format!("{AFTER}\n\n{AWS_VARIABLES}"))]
pub struct BootstrapArgs {
    /// Tables without KMS, backups and protection against deletion, for emulators and tests
    #[arg(long, env = "INVENTORY_MINIMAL_TABLES", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub minimal_tables: bool,
    /// Whether to print JSON.
    #[command(flatten)]
    pub format: OutputFormat,
    /// Queues, topic and tables.
    #[command(flatten)]
    pub settings: Flags<AwsConfig>,
}

/// Creates what is missing and says what differs.
///
/// # Errors
///
/// Where the configuration is wrong, or a service is unreachable or refuses.
pub async fn run(args: BootstrapArgs, context: &CliContext) -> anyhow::Result<ExitCode> {
    let config = args.settings.load(&*context.environment)?;
    let bar = progress::spinner(&context.errors)?;
    let ensured = ensure(&config, args.minimal_tables, &bar).await;
    bar.finish_and_clear();
    let ensured = ensured?;
    args.format.print(context, &ensured, || print(&ensured, context))?;
    Ok(ExitCode::Done)
}

/// Dead letters before queues, as a queue names its own; nothing depends on the order otherwise.
async fn ensure(
    config: &AwsConfig,
    minimal_tables: bool,
    bar: &ProgressBar,
) -> anyhow::Result<Ensured> {
    bar.set_message("queues");
    let sdk = app::aws().await?;
    let queues: Vec<String> =
        config.every_queue().iter().map(|queue| queue.as_str().to_owned()).collect();
    let mut ensured = sqs::bootstrap::ensure_queues(&sqs::client(&sdk), &queues).await?;
    bar.set_message("topic");
    let (_, topic) =
        sns::bootstrap::ensure_topic(&sns::client(&sdk), config.topic.as_str()).await?;
    ensured.extend(topic);
    bar.set_message("tables: a new one takes DynamoDB some seconds");
    let client = dynamodb::client(&sdk, &ClientOptions::default());
    let options = if minimal_tables { TableOptions::minimal() } else { TableOptions::default() };
    let tables = dynamodb::ensure_tables(&client, &config.tables, &options).await;
    let hint = "the tables (an emulator may know no KMS, backups or deletion protection: \
                --minimal-tables leaves them out)";
    for report in if minimal_tables { tables? } else { tables.context(hint)? } {
        if report.created {
            ensured.created.push(report.name);
        }
        ensured.differences.extend(report.differences);
    }
    Ok(ensured)
}

fn print(ensured: &Ensured, context: &CliContext) -> std::io::Result<()> {
    let style = context.out.style();
    for name in &ensured.created {
        context.out.line(&format!("{}  {name}", style.good("created")))?;
    }
    if ensured.differences.is_empty() {
        return context.out.line("everything is there, as it should be");
    }
    let mut table = Table::new(&["resource", "what", "expected", "found"]);
    for found in &ensured.differences {
        table.row([&found.resource, &found.what, &found.expected, &found.found]);
    }
    context.out.table(&table)?;
    context.out.line(&style.warn("differences are left as they are"))
}
