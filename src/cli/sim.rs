//! `sim`: histories of simulated workers, each from its seed.

use clap::Args;

use super::{CliContext, ExitCode, progress};
use crate::sim;

/// Arguments of `sim`.
#[derive(Args)]
pub struct SimArgs {
    /// What to run.
    #[command(flatten)]
    pub arguments: sim::Arguments,
}

/// Runs the histories; exits 1 where something did not hold in one of them.
///
/// # Errors
///
/// Where the output cannot be written.
pub async fn run(args: SimArgs, context: &CliContext) -> anyhow::Result<ExitCode> {
    // Each history has a runtime of its own, which cannot be started on one of this.
    let bar = progress::bar(context, args.arguments.seeds)?;
    let shown = bar.clone();
    let run = tokio::task::spawn_blocking(move || {
        let progress = |run, whole| {
            shown.set_length(whole);
            shown.set_position(run);
        };
        let mut text = Vec::new();
        sim::run_cli(&args.arguments, &mut text, &progress).map(|holds| (holds, text))
    });
    let ended = run.await;
    bar.finish_and_clear();
    let (holds, text) = ended??;
    context.out.write(&String::from_utf8_lossy(&text))?;
    Ok(if holds { ExitCode::Done } else { ExitCode::Failed })
}
