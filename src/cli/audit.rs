//! `audit`: every invariant that tables can show.

use clap::{Args, builder::FalseyValueParser};

use super::{ExitCode, Shell, run::AWS_VARIABLES};
use crate::config::{AwsConfig, Flags};

/// Arguments of `audit`.
#[derive(Args)]
#[command(after_help = AWS_VARIABLES)]
pub struct AuditArgs {
    /// Print the report as one line of JSON
    #[arg(long, env = "INVENTORY_JSON", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub json: bool,
    /// Queues, topic and tables.
    #[command(flatten)]
    pub settings: Flags<AwsConfig>,
}

/// Reads all tables; `Failed` where an invariant is broken.
///
/// # Errors
///
/// Where the configuration is wrong, or the tables cannot be read.
#[expect(clippy::unused_async, reason = "the tables will be awaited here")]
pub async fn run(args: AuditArgs, shell: &Shell) -> anyhow::Result<ExitCode> {
    let _config = args.settings.load(&*shell.environment)?;
    anyhow::bail!("this build has no audit")
}
