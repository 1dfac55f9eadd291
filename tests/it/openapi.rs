//! The HTTP API's document, held against routes, answers and examples, both ways.

#[cfg(feature = "embedded")]
mod answers;
mod bundle;
mod document;

use std::sync::LazyLock;

use inventory_worker::message::catalog;
use jsonschema::Validator;
use serde_json::{Value, json};

/// The document, with all it refers to in it.
static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(catalog::openapi_json()).unwrap());

/// An operation of the document.
#[derive(Clone, Copy)]
struct Operation {
    method: &'static str,
    path: &'static str,
    json: &'static Value,
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method.to_uppercase(), self.path)
    }

    /// Its parameters, and those of its path.
    fn parameters(&self) -> Vec<&'static Value> {
        let shared = &DOCUMENT["paths"][self.path]["parameters"];
        let lists = [shared, &self.json["parameters"]].into_iter().filter_map(Value::as_array);
        lists.flatten().map(resolved).collect()
    }

    /// What it answers with a status.
    fn response(&self, status: &str) -> Option<&'static Value> {
        self.json["responses"].get(status).map(resolved)
    }
}

/// Every operation.
fn operations() -> Vec<Operation> {
    let methods = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let of = |(path, item): (&'static String, &'static Value)| {
        let members = item.as_object().unwrap().iter();
        let operations = members.filter(|(name, _)| methods.contains(&name.as_str()));
        operations.map(move |(method, json)| Operation { method, path, json })
    };
    paths.iter().flat_map(of).collect()
}

/// What a value refers to, or itself.
fn resolved(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        None => value,
        Some(reference) => {
            let pointer = reference.strip_prefix('#').unwrap();
            resolved(DOCUMENT.pointer(pointer).unwrap_or_else(|| panic!("{reference}: nothing")))
        }
    }
}

/// Validates by a schema of the document, which may refer to others there.
fn validator(schema: &Value) -> Validator {
    let root = json!({ "allOf": [schema], "components": DOCUMENT["components"] });
    let options = jsonschema::draft202012::options().should_validate_formats(true);
    options.offline().build(&root).unwrap()
}

/// Fails with every error.
fn assert_valid(schema: &Value, value: &Value, what: &str) {
    let validator = validator(schema);
    let faults: Vec<_> = validator
        .iter_errors(value)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{what}: {faults:#?}\n{value:#}");
}
