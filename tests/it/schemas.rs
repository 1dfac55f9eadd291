//! Schemas, examples and Rust types, compared in both directions.

mod examples;
mod generated;
mod mutations;
mod published;
mod strategies;
mod values;

use std::{collections::BTreeMap, fs, path::PathBuf, sync::LazyLock};

use inventory_worker::message::catalog;
use jsonschema::Validator;
use serde_json::{Value, json};

/// A published schema, as published and closed: without members it does not describe.
struct Schema {
    json: Value,
    open: Validator,
    closed: Validator,
}

static SCHEMAS: LazyLock<BTreeMap<&'static str, Schema>> = LazyLock::new(|| {
    catalog::schemas().iter().map(|(name, text)| (*name, Schema::new(text))).collect()
});

impl Schema {
    fn new(text: &str) -> Self {
        let json: Value = serde_json::from_str(text).unwrap();
        let build = |schema: &Value| {
            let options = jsonschema::draft202012::options().should_validate_formats(true);
            options.offline().build(schema).unwrap()
        };
        let mut strict = json.clone();
        close(&mut strict);
        Self { open: build(&json), closed: build(&strict), json }
    }
}

/// Forbids undescribed members. The schema's objects have `"type": "object"`; its conditions do
/// not, and stay open.
fn close(schema: &mut Value) {
    if schema["type"] == "object" && schema["properties"].is_object() {
        schema["additionalProperties"] = json!(false);
    }
    match schema {
        Value::Object(members) => members.values_mut().for_each(close),
        Value::Array(entries) => entries.iter_mut().for_each(close),
        _ => {}
    }
}

/// The schema of a message's type, if there is one.
fn schema_of(message: &Value) -> Option<&'static Schema> {
    SCHEMAS.get(message["type"].as_str()?)
}

/// Whether the message matches the schema of its type.
fn schema_accepts(message: &Value) -> bool {
    schema_of(message).is_some_and(|schema| schema.open.is_valid(message))
}

/// Fails with every error of the schema's validation.
fn assert_matches(validator: &Validator, message: &Value, what: &str) {
    let faults: Vec<_> = validator
        .iter_errors(message)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{what}: {faults:#?}");
}

fn folder(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas").join(path)
}

/// Every file of a folder under `schemas/`, by name.
fn files(path: &str) -> BTreeMap<String, Value> {
    let read = |entry: Result<fs::DirEntry, _>| {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let value = serde_json::from_str(&fs::read_to_string(&path).unwrap());
        (name.clone(), value.unwrap_or_else(|wrong| panic!("{name}: {wrong}")))
    };
    fs::read_dir(folder(path)).unwrap().map(read).collect()
}

pub fn valid_commands() -> BTreeMap<String, Value> {
    let mut examples = files("examples/valid");
    examples.retain(|_, example| example["source"] != "/inventory-worker");
    examples
}

pub fn valid_results() -> BTreeMap<String, Value> {
    let mut examples = files("examples/valid");
    examples.retain(|_, example| example["source"] == "/inventory-worker");
    examples
}
