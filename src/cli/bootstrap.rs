//! `bootstrap`: queues, topic and tables.

use clap::{Args, builder::FalseyValueParser};

use super::{ExitCode, Shell, run::AWS_VARIABLES};
use crate::config::{AwsConfig, Flags};

/// Arguments of `bootstrap`.
#[derive(Args)]
#[command(after_help = AWS_VARIABLES)]
pub struct BootstrapArgs {
    /// Tables without KMS, backups and protection against deletion, for emulators and tests
    #[arg(long, env = "INVENTORY_BARE_TABLES", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub bare_tables: bool,
    /// Print the report as one line of JSON
    #[arg(long, env = "INVENTORY_JSON", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub json: bool,
    /// Queues, topic and tables.
    #[command(flatten)]
    pub settings: Flags<AwsConfig>,
}

/// Creates what is missing and says what differs.
///
/// # Errors
///
/// Where the configuration is wrong, or a service is unreachable or refuses.
#[expect(clippy::unused_async, reason = "the services will be awaited here")]
pub async fn run(args: BootstrapArgs, shell: &Shell) -> anyhow::Result<ExitCode> {
    let _config = args.settings.load(&*shell.environment)?;
    anyhow::bail!("this build cannot bootstrap")
}
