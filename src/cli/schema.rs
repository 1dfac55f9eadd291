//! `schema`: the contract as machines read it.

use anyhow::Context as _;
use clap::Args;
use serde_json::{Map, Value};

use super::{CliContext, ExitCode, OutputFormat};
use crate::message::catalog;

/// The name of the AsyncAPI document.
const ASYNCAPI: &str = "asyncapi";

const JSON: &str = "\
With --json: {\"schemas\": {name: schema}, \"asyncapi\": text}, of these what is asked for; with --list \
an array of the names.";

/// Arguments of `schema`.
#[derive(Args)]
#[command(after_help = JSON)]
pub struct SchemaArgs {
    /// A message type such as inventory.reserve.v1, or asyncapi; everything without one
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Print the names alone
    #[arg(long, conflicts_with = "name")]
    pub list: bool,
    /// Whether to print JSON.
    #[command(flatten)]
    pub format: OutputFormat,
}

/// Prints the JSON Schemas and the AsyncAPI document.
///
/// # Errors
///
/// Where there is none of that name, or the output cannot be written.
#[expect(clippy::unused_async, reason = "every subcommand runs alike")]
pub async fn run(args: SchemaArgs, context: &CliContext) -> anyhow::Result<ExitCode> {
    match args.name.as_deref() {
        Some(name) => print_one(name, args.format.json, context),
        None if args.list && args.format.json => {
            context.out.json(&documents().map(|(name, _)| name).collect::<Vec<_>>())?;
            Ok(ExitCode::Done)
        }
        None if args.list => {
            for (name, _) in documents() {
                context.out.line(name)?;
            }
            Ok(ExitCode::Done)
        }
        None if args.format.json => {
            context.out.json(&as_json(documents())?)?;
            Ok(ExitCode::Done)
        }
        None => {
            for (name, text) in documents() {
                context.out.line(&context.out.style().faint(&format!("# {name}")))?;
                context.out.line(text.trim_end())?;
            }
            Ok(ExitCode::Done)
        }
    }
}

fn documents() -> impl Iterator<Item = (&'static str, &'static str)> {
    catalog::schemas().iter().copied().chain([(ASYNCAPI, catalog::asyncapi())])
}

fn print_one(name: &str, json: bool, context: &CliContext) -> anyhow::Result<ExitCode> {
    if let Some(document) = documents().find(|(known, _)| *known == name) {
        match json {
            true => context.out.json(&as_json([document])?)?,
            false => context.out.line(document.1.trim_end())?,
        }
        return Ok(ExitCode::Done);
    }
    let known: Vec<&str> = documents().map(|(known, _)| known).collect();
    context.errors.line(&format!("there is no schema {name:?}; there are {}", known.join(", ")))?;
    Ok(ExitCode::Usage)
}

/// The AsyncAPI document is YAML and stays a text.
fn as_json(
    documents: impl IntoIterator<Item = (&'static str, &'static str)>,
) -> anyhow::Result<Value> {
    let (mut schemas, mut asyncapi) = (Map::new(), None);
    for (name, text) in documents {
        if name == ASYNCAPI {
            asyncapi = Some(text);
            continue;
        }
        let schema: Value = serde_json::from_str(text).with_context(|| format!("schema {name}"))?;
        schemas.insert(name.to_owned(), schema);
    }
    let mut found = Map::new();
    if !schemas.is_empty() {
        found.insert("schemas".to_owned(), schemas.into());
    }
    if let Some(text) = asyncapi {
        found.insert(ASYNCAPI.to_owned(), text.into());
    }
    Ok(found.into())
}
