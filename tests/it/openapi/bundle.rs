//! The document as it is served: made of the one that is written, and of all that one refers to.

use std::{collections::BTreeMap, fs, path::PathBuf};

use inventory_worker::message::catalog;
use serde_json::{Map, Value};

use super::DOCUMENT;

/// Writes `schemas/openapi.json` instead of comparing.
const UPDATE: &str = "INVENTORY_UPDATE_OPENAPI";

fn schemas(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas").join(path)
}

#[test]
fn the_document_that_is_served_is_the_one_that_is_written() {
    let written: Value = serde_yaml_ng::from_str(catalog::openapi()).unwrap();
    let bundled = Bundle::default().of(written);
    if std::env::var_os(UPDATE).is_some() {
        let text = format!("{}\n", serde_json::to_string_pretty(&bundled).unwrap());
        fs::write(schemas("openapi.json"), text).unwrap();
        return;
    }
    let advice = format!("schemas/openapi.json is not current: run this test with {UPDATE}=1");
    assert!(bundled == *DOCUMENT, "{advice}");
}

/// The files that a document refers to.
#[derive(Default)]
struct Bundle {
    files: BTreeMap<String, Value>,
}

impl Bundle {
    /// The document with what it refers to among its components. A definition (`$defs`) is the same
    /// in every schema, and is there once.
    fn of(mut self, document: Value) -> Value {
        let mut document = self.inlined(document);
        let components = document["components"]["schemas"].as_object_mut().unwrap();
        for (name, mut schema) in self.files {
            let Some(definitions) = schema["$defs"].take().as_object().cloned() else {
                panic!("{name}: no $defs")
            };
            let members = schema.as_object_mut().unwrap();
            members.retain(|name, _| !["$schema", "$id", "$defs"].contains(&name.as_str()));
            for (name, schema) in definitions.into_iter().chain([(name, schema)]) {
                let schema = internal(schema);
                let first = components.entry(name.clone()).or_insert_with(|| schema.clone());
                assert_eq!(*first, schema, "{name}: two schemas have this name");
            }
        }
        document
    }

    fn inlined(&mut self, value: Value) -> Value {
        match value {
            Value::Object(members) => {
                let members = members.into_iter().map(|(name, value)| self.member(name, value));
                Value::Object(members.collect())
            }
            Value::Array(entries) => entries.into_iter().map(|entry| self.inlined(entry)).collect(),
            other => other,
        }
    }

    fn member(&mut self, name: String, value: Value) -> (String, Value) {
        match (name.as_str(), value.as_str()) {
            ("$ref", Some(reference)) if reference.starts_with("./") => {
                let reference = self.local(reference).into();
                (name, reference)
            }
            ("externalValue", Some(path)) => ("value".to_owned(), read(path)),
            _ => (name, self.inlined(value)),
        }
    }

    /// Where a schema of a file is among the components.
    fn local(&mut self, reference: &str) -> String {
        let (file, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        let name = file.rsplit('/').next().unwrap().strip_suffix(".json").unwrap();
        self.files.entry(name.to_owned()).or_insert_with(|| read(file));
        match pointer.strip_prefix("/$defs/") {
            Some(definition) => format!("#/components/schemas/{definition}"),
            None => format!("#/components/schemas/{name}{pointer}"),
        }
    }
}

fn read(path: &str) -> Value {
    let text = fs::read_to_string(schemas(path)).unwrap_or_else(|wrong| panic!("{path}: {wrong}"));
    serde_json::from_str(&text).unwrap()
}

/// A file's schema, with references to where its definitions are now.
fn internal(schema: Value) -> Value {
    match schema {
        Value::Object(members) => {
            let member = |(name, value): (String, Value)| match value {
                Value::String(text) if name == "$ref" => {
                    let text = text.replacen("#/$defs/", "#/components/schemas/", 1);
                    (name, Value::from(text))
                }
                other => (name, internal(other)),
            };
            Value::Object(members.into_iter().map(member).collect::<Map<_, _>>())
        }
        Value::Array(entries) => entries.into_iter().map(internal).collect(),
        other => other,
    }
}
