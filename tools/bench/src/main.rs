//! `inventory-bench`: the worker against its targets.

use std::process;

use clap::Parser;
use inventory_bench::command::{self, BenchArgs};
use inventory_worker::cli::{self, CliContext};

/// Measure the worker against its targets, under a model of how long calls take.
#[derive(Parser)]
#[command(name = "inventory-bench", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    args: BenchArgs,
}

fn main() -> process::ExitCode {
    let context = CliContext::of_process();
    cli::start_logs(&*context.environment);
    let code = match cli::parse::<Cli>(std::env::args_os(), &context) {
        Ok(cli) => cli::conclude(command::run(&cli.args, &context), &context),
        Err(code) => code,
    };
    code.into()
}
