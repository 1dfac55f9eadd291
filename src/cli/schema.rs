//! `schema`: the contract as machines read it.

use anyhow::Context as _;
use clap::Args;
use serde_json::{Map, Value, json};

use super::{ExitCode, Shell};
use crate::message::catalog;

/// What the AsyncAPI document is asked for by.
const ASYNCAPI: &str = "asyncapi";

/// Arguments of `schema`.
#[derive(Args)]
pub struct SchemaArgs {
    /// A message type such as inventory.reserve.v1, or asyncapi; everything without one
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Print the names alone
    #[arg(long, conflicts_with = "name")]
    pub list: bool,
    /// Print everything as one line of JSON: {"schemas": {name: schema}, "asyncapi": text}
    #[arg(long, conflicts_with_all = ["name", "list"])]
    pub json: bool,
}

/// Prints the JSON Schemas and the AsyncAPI document.
///
/// # Errors
///
/// Where there is none of that name, or the output cannot be written.
#[expect(clippy::unused_async, reason = "every subcommand runs alike")]
pub async fn run(args: SchemaArgs, shell: &Shell) -> anyhow::Result<ExitCode> {
    match args.name.as_deref() {
        Some(name) => print_one(name, shell),
        None if args.list => {
            for (name, _) in documents() {
                shell.out.line(name)?;
            }
            Ok(ExitCode::Done)
        }
        None if args.json => print_json(shell),
        None => {
            for (name, text) in documents() {
                shell.out.line(&shell.out.style().faint(&format!("# {name}")))?;
                shell.out.line(text.trim_end())?;
            }
            Ok(ExitCode::Done)
        }
    }
}

fn documents() -> impl Iterator<Item = (&'static str, &'static str)> {
    catalog::schemas().iter().copied().chain([(ASYNCAPI, catalog::asyncapi())])
}

fn print_one(name: &str, shell: &Shell) -> anyhow::Result<ExitCode> {
    if let Some((_, text)) = documents().find(|(known, _)| *known == name) {
        shell.out.line(text.trim_end())?;
        return Ok(ExitCode::Done);
    }
    let known: Vec<&str> = documents().map(|(known, _)| known).collect();
    shell.errors.line(&format!("there is no schema {name:?}; there are {}", known.join(", ")))?;
    Ok(ExitCode::Usage)
}

fn print_json(shell: &Shell) -> anyhow::Result<ExitCode> {
    let mut schemas = Map::new();
    for (name, text) in catalog::schemas() {
        let schema: Value = serde_json::from_str(text).with_context(|| format!("schema {name}"))?;
        schemas.insert((*name).to_owned(), schema);
    }
    shell.out.json(&json!({ "schemas": schemas, "asyncapi": catalog::asyncapi() }))?;
    Ok(ExitCode::Done)
}
