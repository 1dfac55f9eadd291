//! The command line: one file a subcommand, each with its arguments and a `run`.

pub mod audit;
pub mod bootstrap;
pub mod check_config;
pub mod completions;
mod consent;
pub mod dev;
pub mod dlq;
pub mod export;
pub mod forget;
mod format;
pub mod health;
pub mod import;
mod parsers;
pub mod reservation;
pub mod run;
pub mod schema;
pub mod seats;
pub mod send;
pub mod serve;
pub mod stock;
pub mod storm;

use std::{ffi::OsString, io};

use clap::{Parser, Subcommand};

pub use format::OutputFormat;

use crate::{
    build_info,
    config::{ConfigError, Environment, LogConfig, ProcessEnvironment},
    ports::PortError,
    telemetry::logs,
    terminal::Output,
};

/// The exit code of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// 0: done.
    Done,
    /// 1: it failed, or an audit found something.
    Failed,
    /// 2: the command was decided, and rejected.
    Rejected,
    /// 64: bad usage or configuration (`EX_USAGE` of sysexits.h).
    Usage,
    /// 69: a service cannot be reached (`EX_UNAVAILABLE` of sysexits.h).
    Unreachable,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(match code {
            ExitCode::Done => 0,
            ExitCode::Failed => 1,
            ExitCode::Rejected => 2,
            ExitCode::Usage => 64,
            ExitCode::Unreachable => 69,
        })
    }
}

/// What a subcommand gets from its process: environment variables, stdout and stderr.
pub struct CliContext {
    /// Environment variables.
    pub environment: Box<dyn Environment + Send + Sync>,
    /// stdout.
    pub out: Output,
    /// stderr, for what stops a command; logs go there by themselves.
    pub errors: Output,
}

impl CliContext {
    /// The context of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self {
            environment: Box::new(ProcessEnvironment),
            out: Output::stdout(),
            errors: Output::stderr(),
        }
    }
}

/// Reserves, confirms, cancels and restocks inventory from SQS FIFO queues.
///
/// Every setting is also an environment variable; a flag wins over its variable. Exit codes: 0 done,
/// 1 failed, 2 rejected, 64 bad usage or configuration, 69 a service is unreachable. Logs go to
/// stderr: RUST_LOG filters them (info), INVENTORY_LOG_FORMAT is text, json or auto.
#[derive(Parser)]
#[command(
    name = "inventory-worker",
    version = build_info::version_and_revision(),
    max_term_width = 100
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Subcommand)]
pub enum Command {
    /// The worker: consume, decide, commit, publish; sweeps expired holds too
    Run(Box<run::RunArgs>),
    /// The gateway: answers callers over HTTP and gRPC
    Serve(Box<serve::ServeArgs>),
    /// Everything in one process, with a sample event and store: no AWS, no Docker, no Redis
    Dev(Box<dev::DevArgs>),
    /// Create or verify queues, topic and tables; changes nothing it was not asked to
    Bootstrap(Box<bootstrap::BootstrapArgs>),
    /// Post a command, or a file of them
    Send(Box<send::SendArgs>),
    /// Load seats, stock, holds and bookings from CSV or JSON Lines, through the queue of restocks
    Import(Box<import::ImportArgs>),
    /// Print a pool as JSON Lines or CSV that import takes back
    Export(Box<export::ExportArgs>),
    /// Put load on a running deployment, and say how long outcomes take
    Storm(Box<storm::StormArgs>),
    /// Draw the seats of an event, with their counts
    Seats(Box<seats::SeatsArgs>),
    /// Show the lines of a store or an event
    Stock(Box<stock::StockArgs>),
    /// Show a reservation
    Reservation(Box<reservation::ReservationArgs>),
    /// Read all tables and check every invariant they can show; exits 1 where one is broken
    Audit(Box<audit::AuditArgs>),
    /// Look into the dead letters, send them back in order, or discard them
    Dlq(Box<dlq::DlqArgs>),
    /// Remove a user's id from tables and dead letters, for good
    Forget(Box<forget::ForgetArgs>),
    /// Print the effective configuration, without secrets
    CheckConfig(Box<check_config::CheckConfigArgs>),
    /// Print the JSON Schemas, and the AsyncAPI and OpenAPI documents
    Schema(schema::SchemaArgs),
    /// Print the completions of a shell
    Completions(completions::CompletionsArgs),
    /// Print the manual page, or write one for each subcommand
    #[command(hide = true)]
    Man(completions::ManArgs),
    /// Ask a worker on this machine whether it is alive, for container probes
    Health(health::HealthArgs),
}

/// Parses the arguments and runs the subcommand; says what went wrong on stderr.
pub async fn execute(
    arguments: impl IntoIterator<Item = OsString>,
    context: &CliContext,
) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    match parse::<Cli>(arguments.iter().cloned(), context) {
        Ok(cli) => conclude(dispatch(cli.command, &arguments, context).await, context),
        Err(code) => code,
    }
}

/// Parses the arguments of a command.
///
/// # Errors
///
/// The code to exit with, once the help, the version or what is wrong with them has been printed.
pub fn parse<P: Parser>(
    arguments: impl IntoIterator<Item = OsString>,
    context: &CliContext,
) -> Result<P, ExitCode> {
    P::try_parse_from(arguments).map_err(|shown| {
        let (output, code) = match shown.use_stderr() {
            true => (&context.errors, ExitCode::Usage),
            false => (&context.out, ExitCode::Done),
        };
        let text = shown.render();
        let rendered =
            if output.is_coloured() { text.ansi().to_string() } else { text.to_string() };
        // A closed stdout or stderr leaves no place to report this.
        let _ = output.line(rendered.trim_end());
        code
    })
}

/// Prints what stopped a command on stderr, and returns the code to exit with.
pub fn conclude(result: anyhow::Result<ExitCode>, context: &CliContext) -> ExitCode {
    match result {
        Ok(code) => code,
        // `inventory-worker schema | head`: the reader has what it wanted.
        Err(error) if is_broken_pipe(&error) => ExitCode::Done,
        Err(error) => {
            let style = context.errors.style();
            let line = format!("{} {error:#}\n", style.bad("error:"));
            let _ = context.errors.write(&line);
            exit_code_of(&error)
        }
    }
}

async fn dispatch(
    command: Command,
    arguments: &[OsString],
    context: &CliContext,
) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => run::run(*args, context).await,
        Command::Serve(args) => serve::run(*args, context).await,
        Command::Dev(args) => dev::run(*args, context).await,
        Command::Bootstrap(args) => bootstrap::run(*args, context).await,
        Command::Send(args) => send::run(*args, arguments, context).await,
        Command::Import(args) => import::run(*args, context).await,
        Command::Export(args) => export::run(*args, context).await,
        Command::Storm(args) => storm::run(*args, context).await,
        Command::Seats(args) => seats::run(*args, context).await,
        Command::Stock(args) => stock::run(*args, context).await,
        Command::Reservation(args) => reservation::run(*args, context).await,
        Command::Audit(args) => audit::run(*args, context).await,
        Command::Dlq(args) => dlq::run(*args, context).await,
        Command::Forget(args) => forget::run(*args, context).await,
        Command::CheckConfig(args) => check_config::run(*args, context).await,
        Command::Schema(args) => schema::run(args, context).await,
        Command::Completions(args) => completions::run(args, context).await,
        Command::Man(args) => completions::man(args, context).await,
        Command::Health(args) => health::run(args, context).await,
    }
}

/// Arguments that are wrong in a way that their parser does not see.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadUsage(pub String);

/// The exit code of a subcommand that failed.
#[must_use]
pub fn exit_code_of(error: &anyhow::Error) -> ExitCode {
    for cause in error.chain() {
        if cause.is::<ConfigError>() || cause.is::<BadUsage>() {
            return ExitCode::Usage;
        }
        match cause.downcast_ref::<PortError>() {
            Some(PortError::Unavailable(_) | PortError::Throttled(_)) => {
                return ExitCode::Unreachable;
            }
            Some(PortError::Refused(_) | PortError::Unreadable(_)) => return ExitCode::Failed,
            None => {}
        }
    }
    ExitCode::Failed
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        kind == Some(io::ErrorKind::BrokenPipe)
    })
}

/// Sends logs to stderr, as the environment says. A wrong setting is reported with all others when
/// the subcommand loads its configuration; until then there are logs of the default kind.
pub fn start_logs(environment: &dyn Environment) {
    // It fails only where logs go somewhere already.
    let _ = logs::init(&LogConfig::lenient(environment));
}

#[cfg(test)]
mod tests;
