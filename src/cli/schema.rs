//! `schema`: the contract as machines read it.

use anyhow::Context as _;
use clap::Args;
use serde_json::{Map, Value};

use super::{CliContext, ExitCode, OutputFormat};
use crate::message::catalog;

/// The name of the AsyncAPI document.
const ASYNCAPI: &str = "asyncapi";

/// The name of the OpenAPI document.
const OPENAPI: &str = "openapi";

const JSON: &str = "\
With --json: {\"schemas\": {name: schema}, \"asyncapi\": text, \"openapi\": document}, of these what \
is asked for, the OpenAPI document with all it refers to in it; with --list an array of the names.";

/// Arguments of `schema`.
#[derive(Args)]
#[command(after_help = JSON)]
pub struct SchemaArgs {
    /// A message type such as inventory.reserve.v1, asyncapi, or openapi; everything without one
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Print the names alone
    #[arg(long, conflicts_with = "name")]
    pub list: bool,
    /// Whether to print JSON.
    #[command(flatten)]
    pub format: OutputFormat,
}

/// Prints the JSON Schemas, the AsyncAPI document and the OpenAPI document.
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
    let others = [(ASYNCAPI, catalog::asyncapi()), (OPENAPI, catalog::openapi())];
    catalog::schemas().iter().copied().chain(others)
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

/// The AsyncAPI document is YAML and stays a text; the OpenAPI document is there as JSON, too.
fn as_json(
    documents: impl IntoIterator<Item = (&'static str, &'static str)>,
) -> anyhow::Result<Value> {
    let (mut found, mut schemas) = (Map::new(), Map::new());
    for (name, text) in documents {
        let parsed = |text: &str| -> anyhow::Result<Value> {
            serde_json::from_str(text).with_context(|| format!("schema {name}"))
        };
        match name {
            ASYNCAPI => found.insert(name.to_owned(), text.into()),
            OPENAPI => found.insert(name.to_owned(), parsed(catalog::openapi_json())?),
            _ => schemas.insert(name.to_owned(), parsed(text)?),
        };
    }
    if !schemas.is_empty() {
        found.insert("schemas".to_owned(), schemas.into());
    }
    Ok(found.into())
}
