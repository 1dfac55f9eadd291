//! `dev`: everything in one process.

#[cfg(feature = "embedded")]
mod input;
#[cfg(feature = "embedded")]
mod printer;
#[cfg(feature = "embedded")]
mod sample;
#[cfg(feature = "embedded")]
mod session;
#[cfg(feature = "embedded")]
mod visit;

use std::path::PathBuf;

use clap::Args;

use super::{CliContext, ExitCode, OutputFormat};
use crate::config::{DevConfig, Flags};

/// Arguments of `dev`.
#[derive(Args)]
#[command(after_help = "Reads commands from stdin, one CloudEvents message in JSON a line, as \
                        `send --file` takes them, and ends once all are decided. With empty input \
                        (</dev/null) it runs until a signal.")]
pub struct DevArgs {
    /// Keep the tables in this folder; without it they are gone at the end
    #[arg(long, env = "INVENTORY_DATA", hide_env_values = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Play a short on-sale, show it live, print a summary, and end with 0 only if the audit is
    /// clean; always in memory
    #[arg(long)]
    pub demo: bool,
    /// After the demo keep its page open until a signal
    #[arg(long, requires = "demo")]
    pub open: bool,
    /// Whether to print JSON.
    #[command(flatten)]
    pub format: OutputFormat,
    /// Every setting that does not belong to AWS or Redis.
    #[command(flatten)]
    pub settings: Flags<DevConfig>,
}

/// Runs the worker on embedded backends until a signal, or plays the demo.
///
/// # Errors
///
/// The configuration is wrong, the folder cannot be used, or a port is taken.
#[cfg(feature = "embedded")]
pub async fn run(args: DevArgs, context: &CliContext) -> anyhow::Result<ExitCode> {
    let mut config = args.settings.load(&*context.environment)?;
    // A receive from memory costs nothing, and one under way delays the shutdown.
    config.worker.long_poll = config.worker.long_poll.min(std::time::Duration::from_secs(1));
    let mut signals = crate::app::signals::StopSignals::catch()?;
    if !args.demo {
        let session = session::Session { data: args.data, json: args.format.json, config, context };
        return session.run(input::lines_of_stdin(), signals).await;
    }
    let (code, visit) = tokio::select! {
        biased;
        signal = signals.next() => anyhow::bail!("ended by {signal} before the end of the demo"),
        ended = demo(args.format, config, context) => ended?,
    };
    if args.open {
        let address = visit.address();
        context.errors.line(&format!("The house stays open at {address} until Ctrl-C."))?;
        signals.next().await;
    }
    visit.end().await;
    Ok(code)
}

#[cfg(feature = "embedded")]
async fn demo(
    format: OutputFormat,
    config: DevConfig,
    context: &CliContext,
) -> anyhow::Result<(ExitCode, visit::Visit)> {
    use std::sync::Arc;

    use crate::{
        adapters::system::Random,
        app::embedded::Embedded,
        demo::{self, Cast, live::View},
        ports::Entropy as _,
    };
    let (seed, _) = Random::new().uuid().as_u64_pair();
    let embedded = Arc::new(Embedded::start(None).await?);
    let visit = visit::Visit::start(&embedded, &config.gateway).await?;
    let view = match (format.json, context.out.is_terminal()) {
        (true, _) => View::Nothing,
        (false, true) => View::Screen { page: visit.address() },
        (false, false) => View::Lines,
    };
    if view == View::Lines {
        context.out.line(&format!("Watch the house fill at {}\n", visit.address()))?;
    }
    let (cast, observer) = (Cast::full(seed), visit.observer());
    let summary = demo::play(embedded, &cast, config.worker, observer, &view, &context.out).await?;
    format.print(context, &summary, || summary.print(&context.out))?;
    Ok((if summary.is_clean() { ExitCode::Done } else { ExitCode::Failed }, visit))
}

/// Says that this build has no embedded backends.
///
/// # Errors
///
/// Always.
#[cfg(not(feature = "embedded"))]
#[expect(clippy::unused_async, reason = "the same shape as with embedded backends")]
pub async fn run(args: DevArgs, context: &CliContext) -> anyhow::Result<ExitCode> {
    args.settings.load(&*context.environment)?;
    anyhow::bail!("this build has no embedded backends: build it with the feature `embedded`")
}
