//! The schemas themselves.

use std::collections::{BTreeMap, BTreeSet};

use inventory_worker::{
    domain::{CommandType, RejectionCode},
    message::catalog,
};
use serde_json::Value;

use super::{SCHEMAS, files, valid_commands, valid_results};

#[test]
fn every_schema_is_a_schema_of_draft_2020_12() {
    for (name, schema) in SCHEMAS.iter() {
        jsonschema::draft202012::meta::validate(&schema.json).unwrap();
        assert_eq!(schema.json["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema.json["$id"], format!("urn:inventory-worker:schema:{name}"));
        assert_eq!(schema.json["properties"]["type"]["const"], *name);
    }
}

#[test]
fn there_is_a_schema_for_every_type_and_every_file_is_embedded() {
    let known: BTreeSet<_> = CommandType::ALL.into_iter().map(|kind| kind.as_str()).collect();
    let embedded: BTreeSet<_> = catalog::commands().iter().map(|(name, _)| *name).collect();
    assert_eq!(embedded, known);
    for (path, embedded) in [("commands", catalog::commands()), ("results", catalog::results())] {
        let on_disk = files(path);
        assert_eq!(on_disk.len(), embedded.len());
        for (name, text) in embedded {
            assert_eq!(on_disk[*name], serde_json::from_str::<Value>(text).unwrap(), "{name}");
        }
    }
    assert_eq!(catalog::schemas().len(), catalog::commands().len() + catalog::results().len());
}

#[test]
fn a_definition_is_the_same_in_every_schema() {
    let mut seen: BTreeMap<&str, &Value> = BTreeMap::new();
    for (name, schema) in SCHEMAS.iter() {
        for (definition, body) in schema.json["$defs"].as_object().unwrap() {
            let first = seen.entry(definition).or_insert(body);
            assert_eq!(*first, body, "{definition} of {name}");
        }
    }
}

#[test]
fn a_schema_refers_to_nothing_outside_itself_and_uses_all_its_definitions() {
    for (name, schema) in SCHEMAS.iter() {
        let mut used = BTreeSet::new();
        references(&schema.json, &mut used);
        let prefix = "#/$defs/";
        let used: BTreeSet<_> = used.iter().map(|to| to.strip_prefix(prefix).unwrap()).collect();
        let defined: BTreeSet<_> =
            schema.json["$defs"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(used, defined, "{name}");
    }
}

/// Every `$ref` of a schema or document, wherever it stands.
pub fn references(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(entries) => entries.iter().for_each(|entry| references(entry, found)),
        _ => {}
    }
}

#[test]
fn the_schema_lists_exactly_the_rejection_codes_there_are() {
    let schema = &SCHEMAS["inventory.rejected.v1"].json;
    let listed = &schema["properties"]["data"]["properties"]["rejection"]["properties"]["code"];
    let known: Vec<_> = RejectionCode::ALL.into_iter().map(RejectionCode::as_str).collect();
    assert_eq!(listed["enum"], serde_json::json!(known));
}

#[test]
fn every_field_a_schema_describes_is_in_a_valid_example() {
    let examples: Vec<_> =
        valid_commands().into_values().chain(valid_results().into_values()).collect();
    // An entry of `changes` is the same in every result.
    let mut of_changes = BTreeSet::new();
    for example in &examples {
        present(&example["data"]["changes"], ".data.changes", &mut of_changes);
    }
    for (name, schema) in SCHEMAS.iter() {
        let mut fields = BTreeSet::new();
        described(&schema.json, &schema.json, "", &mut fields);
        let mut shown = of_changes.clone();
        for example in examples.iter().filter(|example| example["type"] == *name) {
            present(example, "", &mut shown);
        }
        let missing: Vec<_> = fields.difference(&shown).collect();
        assert!(missing.is_empty(), "{name}: no example shows {missing:?}");
    }
}

/// The fields a schema describes, with `[]` for the entries of an array.
fn described(root: &Value, schema: &Value, at: &str, found: &mut BTreeSet<String>) {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let field = format!("{at}.{name}");
        described(root, property, &field, found);
        found.insert(field);
    }
    if let Some(items) = schema.get("items") {
        described(root, items, &format!("{at}[]"), found);
    }
}

/// The fields a message has.
fn present(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let field = format!("{at}.{name}");
                present(member, &field, found);
                found.insert(field);
            }
        }
        Value::Array(entries) => {
            entries.iter().for_each(|entry| present(entry, &format!("{at}[]"), found));
        }
        _ => {}
    }
}
