//! `dev`: everything in one process.

use std::path::PathBuf;

use clap::Args;

use super::{ExitCode, Shell};
use crate::config::{DevConfig, Flags};

/// Arguments of `dev`.
#[derive(Args)]
pub struct DevArgs {
    /// Keep the tables in this folder; without it they are gone at the end
    #[arg(long, env = "INVENTORY_DATA", hide_env_values = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Play a short on-sale, show it live, print a summary, and end with 0 only if the audit is clean
    #[arg(long)]
    pub demo: bool,
    /// Print the demo's summary as one line of JSON
    #[arg(long, requires = "demo")]
    pub json: bool,
    /// Every setting that does not belong to AWS or Redis.
    #[command(flatten)]
    pub settings: Flags<DevConfig>,
}

/// Runs the worker on embedded backends until told to stop, or plays the demo.
///
/// # Errors
///
/// Where the configuration is wrong, the folder cannot be used, or a port is taken.
#[expect(clippy::unused_async, reason = "the worker will be awaited here")]
pub async fn run(args: DevArgs, shell: &Shell) -> anyhow::Result<ExitCode> {
    let _config = args.settings.load(&*shell.environment)?;
    anyhow::bail!("this build has no embedded backends")
}
