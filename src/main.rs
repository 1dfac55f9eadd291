//! The binary.

use std::process::ExitCode;

use inventory_worker::cli::{self, CliContext};

fn main() -> ExitCode {
    let context = CliContext::of_process();
    cli::start_logs(&*context.environment);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "there is no runtime to work on");
            return cli::ExitCode::Failed.into();
        }
    };
    runtime.block_on(cli::execute(std::env::args_os(), &context)).into()
}
