//! `check-config`: the effective configuration, without secrets.

use clap::Args;
use serde_json::{Value, json};

use super::{CliContext, ExitCode, OutputFormat, run::AWS_VARIABLES};
use crate::{
    config::{Config, ConfigError, ConfigIssue, Effective, Flags},
    terminal::Table,
};

/// Arguments of `check-config`.
#[derive(Args)]
#[command(after_long_help = AWS_VARIABLES)]
pub struct CheckConfigArgs {
    /// Whether to print JSON.
    #[command(flatten)]
    pub format: OutputFormat,
    /// Every setting of `run`.
    #[command(flatten)]
    pub settings: Flags<Config>,
}

/// Prints every setting as `run` would have it, or everything that is wrong.
///
/// # Errors
///
/// Where the configuration is wrong, or the output cannot be written.
#[expect(clippy::unused_async, reason = "every subcommand runs alike")]
pub async fn run(args: CheckConfigArgs, context: &CliContext) -> anyhow::Result<ExitCode> {
    match args.settings.load_reported(&*context.environment) {
        Ok((_, settings)) if args.format.json => {
            let settings: Vec<Value> = settings.iter().map(setting_json).collect();
            context.out.json(&json!({ "valid": true, "settings": settings }))?;
            Ok(ExitCode::Done)
        }
        Ok((_, settings)) => {
            print(&settings, context)?;
            Ok(ExitCode::Done)
        }
        Err(error) if args.format.json => {
            context.out.json(&json!({ "valid": false, "problems": problems_json(&error) }))?;
            Ok(ExitCode::Usage)
        }
        Err(error) => Err(error.into()),
    }
}

fn print(settings: &[Effective], context: &CliContext) -> std::io::Result<()> {
    let mut table = Table::new(&["variable", "value", "unit", "from"]);
    for read in settings {
        let value = read.value.as_deref().unwrap_or("-");
        table.row([read.setting.variable, value, read.setting.unit, read.origin.as_str()]);
    }
    context.out.table(&table)
}

fn setting_json(read: &Effective) -> Value {
    json!({
        "variable": read.setting.variable,
        "flag": read.setting.flag.map(|flag| format!("--{flag}")),
        "value": read.value,
        "unit": read.setting.unit,
        "default": read.setting.default,
        "from": read.origin.as_str(),
    })
}

fn problems_json(error: &ConfigError) -> Vec<Value> {
    let problem = |one: &ConfigIssue| {
        let variables: Vec<&str> = one.settings.iter().map(|setting| setting.variable).collect();
        json!({
            "variables": variables, "found": one.found, "expected": one.expected, "fix": one.fix
        })
    };
    error.0.iter().map(problem).collect()
}
