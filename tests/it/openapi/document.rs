//! The document itself.

use std::collections::BTreeSet;

use inventory_worker::{
    domain::RejectionCode,
    gateway::{
        Scope,
        http::{self, problem::status_of},
    },
    message::catalog,
};
use serde_json::{Value, json};

use super::{DOCUMENT, Operation, assert_valid, operations, resolved, validator};
use crate::schemas::references;

/// OpenAPI's schema of its documents, of 2022-10-07 (spec.openapis.org/oas/3.1/schema,
/// Apache-2.0). It leaves schemas to JSON Schema.
const META_SCHEMA: &str = include_str!("oas-3.1-schema.json");

#[test]
fn the_document_is_one_of_openapi_3_1() {
    let schema: Value = serde_json::from_str(META_SCHEMA).unwrap();
    let schema = jsonschema::draft202012::options().offline().build(&schema).unwrap();
    let written: Value = serde_yaml_ng::from_str(catalog::openapi()).unwrap();
    for document in [&*DOCUMENT, &written] {
        let faults: Vec<_> = schema.iter_errors(document).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{faults:#?}");
    }
    assert!(!schema.is_valid(&json!({ "openapi": "3.1.0", "info": {} })));
}

#[test]
fn every_route_is_in_the_document_and_every_operation_is_routed() {
    let routed: Vec<String> =
        http::routes().iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    let documented: BTreeSet<String> = operations().iter().map(super::Operation::name).collect();
    assert_eq!(routed.len(), documented.len(), "none twice");
    assert_eq!(routed.into_iter().collect::<BTreeSet<_>>(), documented);
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_used() {
    let mut used = BTreeSet::new();
    references(&DOCUMENT, &mut used);
    for reference in &used {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(DOCUMENT.pointer(pointer).is_some(), "{reference}");
    }
    for (kind, components) in DOCUMENT["components"].as_object().unwrap() {
        if kind == "securitySchemes" {
            continue;
        }
        for name in components.as_object().unwrap().keys() {
            let place = format!("#/components/{kind}/{name}");
            let within = format!("{place}/");
            let is_used = used.iter().any(|one| *one == place || one.starts_with(&within));
            assert!(is_used, "{place}");
        }
    }
}

#[test]
fn every_schema_is_a_schema_of_draft_2020_12() {
    assert_eq!(DOCUMENT["jsonSchemaDialect"], "https://json-schema.org/draft/2020-12/schema");
    for (name, schema) in DOCUMENT["components"]["schemas"].as_object().unwrap() {
        let checked = jsonschema::draft202012::meta::validate(schema);
        assert!(checked.is_ok(), "{name}: {checked:?}");
        validator(schema);
    }
}

/// Calls back with each object that has a schema and examples, and with where it is.
fn with_examples(value: &'static Value, at: &str, seen: &mut impl FnMut(&'static Value, &str)) {
    match value {
        Value::Object(members) => {
            if members.contains_key("schema") {
                seen(value, at);
            }
            for (name, member) in members {
                with_examples(member, &format!("{at}/{name}"), seen);
            }
        }
        Value::Array(entries) => {
            for (place, entry) in entries.iter().enumerate() {
                with_examples(entry, &format!("{at}/{place}"), seen);
            }
        }
        _ => {}
    }
}

#[test]
fn every_example_matches_its_schema() {
    let mut examples = 0;
    with_examples(&DOCUMENT, "", &mut |holder, at| {
        let many = holder["examples"].as_object().into_iter().flatten();
        let many = many.map(|(_, example)| &resolved(example)["value"]);
        for example in many.chain(holder.get("example")) {
            assert_valid(&holder["schema"], example, at);
            examples += 1;
        }
    });
    assert!(examples > 20, "{examples}");
}

#[test]
fn every_operation_has_a_name_of_its_own_and_the_parameters_of_its_path() {
    let mut names = BTreeSet::new();
    for operation in operations() {
        let id = operation.json["operationId"].as_str().unwrap();
        assert!(names.insert(id), "{id}");
        assert!(operation.json["summary"].is_string(), "{id}");
        let parameters = operation.parameters();
        let in_path: BTreeSet<&str> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let variable = operation.path.split('/').filter_map(|part| part.strip_prefix('{'));
        let variable: BTreeSet<&str> = variable.map(|part| part.trim_end_matches('}')).collect();
        assert_eq!(in_path, variable, "{id}");
    }
}

#[test]
fn an_operation_says_in_words_which_scopes_it_needs() {
    let known = Scope::ALL.map(Scope::as_str);
    for operation in operations() {
        let id = &operation.json["operationId"];
        let security = operation.json["security"].as_array().unwrap();
        let is_open = ["/health", "/openapi.json"].contains(&operation.path);
        assert_eq!(security.is_empty(), is_open, "{id}");
        let listed = security.iter().flat_map(|one| one.as_object().unwrap().values());
        for scope in listed.flat_map(|scopes| scopes.as_array().unwrap()) {
            let scope = scope.as_str().unwrap();
            assert!(known.contains(&scope), "{id}: {scope}");
            let description = operation.json["description"].as_str().unwrap();
            assert!(description.contains(&format!("`{scope}`")), "{id}: {scope}");
        }
        let has = |status| operation.response(status).is_some();
        let guarded = !is_open;
        // That of health says that the gateway is about to stop.
        let unavailable = guarded || operation.path == "/health";
        assert_eq!([has("401"), has("429"), has("503")], [guarded, guarded, unavailable], "{id}");
    }
}

#[test]
fn every_rejection_is_described_under_its_status() {
    for code in RejectionCode::ALL {
        let status = status_of(code).as_u16().to_string();
        let is_posted =
            |one: &&Operation| one.json["tags"] == json!(["commands"]) && one.method == "post";
        for operation in operations().iter().filter(is_posted) {
            let description = &operation.response(&status).unwrap()["description"];
            let named = format!("`{}`", code.as_str());
            let is_described = description.as_str().unwrap().contains(&named);
            assert!(is_described, "{}: {status} {named}", operation.name());
        }
    }
}
