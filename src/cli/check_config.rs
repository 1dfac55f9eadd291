//! `check-config`: the effective configuration, without secrets.

use std::collections::BTreeSet;

use clap::{Args, CommandFactory as _};
use serde_json::{Value, json};

use super::{Cli, CliContext, ExitCode, OutputFormat, run::AWS_VARIABLES};
use crate::{
    app,
    config::{
        Config, ConfigError, ConfigIssue, Effective, Environment, Flags, LogConfig, Section as _,
        ServeConfig, unknown::unknown,
    },
    terminal::Table,
};

/// Arguments of `check-config`.
#[derive(Args)]
#[command(after_long_help = AWS_VARIABLES)]
pub struct CheckConfigArgs {
    /// Check the settings of the gateway, `serve`, as the environment has them, instead of `run`'s
    #[arg(long)]
    pub gateway: bool,
    /// Whether to print JSON.
    #[command(flatten)]
    pub format: OutputFormat,
    /// Every setting of `run`.
    #[command(flatten)]
    pub settings: Flags<Config>,
}

/// Prints every setting as `run`, or with `--gateway` as `serve`, would have it, or everything that
/// is wrong. Variables that look like settings and are none are named, and refuse nothing.
///
/// # Errors
///
/// Where the configuration is wrong, or the output cannot be written.
pub async fn run(args: CheckConfigArgs, context: &CliContext) -> anyhow::Result<ExitCode> {
    let environment = &*context.environment;
    let loaded = match args.gateway {
        true => Flags::<ServeConfig>::none().load_reported(environment).map(|(_, shown)| shown),
        false => args.settings.load_reported(environment).map(|(_, shown)| shown),
    };
    let loaded = with_region(loaded, environment).await;
    let unknown = unknown(environment, &known());
    if args.format.json {
        let unknown: Vec<Value> = unknown
            .iter()
            .map(|one| json!({ "variable": one.name, "nearest": one.nearest }))
            .collect();
        let (shown, code) = match &loaded {
            Ok(settings) => {
                let settings: Vec<Value> = settings.iter().map(setting_json).collect();
                (json!({ "valid": true, "settings": settings, "unknown": unknown }), ExitCode::Done)
            }
            Err(error) => {
                let problems = problems_json(error);
                let shown = json!({ "valid": false, "problems": problems, "unknown": unknown });
                (shown, ExitCode::Usage)
            }
        };
        context.out.json(&shown)?;
        return Ok(code);
    }
    for one in &unknown {
        let word = context.errors.style().warn("unknown:");
        let (name, nearest) = (&one.name, &one.nearest);
        context.errors.line(&format!("{word} {name} is no setting; the nearest is {nearest}"))?;
    }
    print(&loaded?, context)?;
    Ok(ExitCode::Done)
}

/// A process without a region cannot make a call. The client library looks for it in more places
/// than the environment, so it is asked where the environment has none.
async fn with_region(
    loaded: Result<Vec<Effective>, ConfigError>,
    environment: &dyn Environment,
) -> Result<Vec<Effective>, ConfigError> {
    let in_environment =
        ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().any(|name| environment.get(name).is_some());
    if in_environment {
        return loaded;
    }
    match (loaded, app::aws().await) {
        (loaded, Ok(_)) => loaded,
        (Ok(_), Err(missing)) => Err(missing),
        (Err(mut wrong), Err(missing)) => {
            wrong.0.extend(missing.0);
            Err(wrong)
        }
    }
}

/// Every variable that some subcommand reads.
fn known() -> BTreeSet<String> {
    fn collect(command: &clap::Command, found: &mut BTreeSet<String>) {
        let variables = command.get_arguments().filter_map(|arg| arg.get_env()?.to_str());
        found.extend(variables.map(str::to_owned));
        command.get_subcommands().for_each(|one| collect(one, found));
    }
    let mut found = BTreeSet::new();
    collect(&Cli::command(), &mut found);
    let settings = [Config::settings(), ServeConfig::settings(), LogConfig::settings()].concat();
    found.extend(settings.into_iter().map(|setting| setting.variable.to_owned()));
    found
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
