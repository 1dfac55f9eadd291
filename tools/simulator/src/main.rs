//! `inventory-simulator`: histories of simulated workers, each decided by its seed.

use std::process;

use clap::Parser;
use inventory_simulator::Arguments;
use inventory_worker::{
    cli::{self, CliContext, ExitCode},
    terminal::progress,
};

/// Run histories of simulated workers, each decided by its seed.
///
/// Exits 1 if a check fails in one of them.
#[derive(Parser)]
#[command(name = "inventory-simulator", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    arguments: Arguments,
}

fn main() -> process::ExitCode {
    let context = CliContext::of_process();
    cli::start_logs(&*context.environment);
    let code = match cli::parse::<Cli>(std::env::args_os(), &context) {
        Ok(cli) => cli::conclude(run(&cli.arguments, &context), &context),
        Err(code) => code,
    };
    code.into()
}

fn run(arguments: &Arguments, context: &CliContext) -> anyhow::Result<ExitCode> {
    let bar = progress::bar(&context.errors, arguments.seeds)?;
    let progress = |run, whole| {
        bar.set_length(whole);
        bar.set_position(run);
    };
    let mut text = Vec::new();
    let holds = inventory_simulator::run_cli(arguments, &mut text, &progress);
    bar.finish_and_clear();
    context.out.write(&String::from_utf8_lossy(&text))?;
    Ok(if holds? { ExitCode::Done } else { ExitCode::Failed })
}
