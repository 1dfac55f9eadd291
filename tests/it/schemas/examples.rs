//! The examples against schemas and types.

use std::collections::BTreeSet;

use inventory_worker::{
    domain::{Changes, CommandKey, Digest, Outcome, PoolId, RejectionCode},
    message::{ResultMessage, TraceContext, catalog, decode, decode_result, encode_result},
};
use serde_json::{Value, json};

use super::{assert_matches, files, schema_accepts, schema_of, valid_commands, valid_results};

#[test]
fn every_valid_command_matches_its_schema_and_decodes() {
    for (name, example) in valid_commands() {
        assert_matches(&schema_of(&example).unwrap().open, &example, &name);
        let decoded =
            decode(&example.to_string()).unwrap_or_else(|reported| panic!("{name}: {reported}"));
        assert_eq!(decoded.command.key.id.as_str(), example["id"], "{name}");
        assert_eq!(decoded.command.action.command_type().as_str(), example["type"], "{name}");
    }
}

#[test]
fn every_valid_result_matches_its_schema_and_describes_no_more() {
    for (name, example) in valid_results() {
        assert_matches(&schema_of(&example).unwrap().open, &example, &name);
        assert_matches(&schema_of(&example).unwrap().closed, &example, &name);
    }
}

#[test]
fn every_valid_result_is_what_the_encoder_writes() {
    for (name, example) in valid_results() {
        let data = &example["data"];
        let command = &data["command"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let key: CommandKey = serde_json::from_value(json!({
            "source": command["source"], "id": command["id"],
        }))
        .unwrap();
        let pool: Option<PoolId> = example["subject"].as_str().map(|pool| pool.parse().unwrap());
        let traceparent: Option<TraceContext> = example["traceparent"].as_str().map(|trace| {
            let context: TraceContext = trace.parse().unwrap();
            context.with_tracestate(example["tracestate"].as_str())
        });
        let outcome = outcome(&example);
        let publication = encode_result(&ResultMessage {
            key: &key,
            command_type: &text(&command["type"]),
            sequence: command["sequence"].as_str(),
            group: &"g".parse().unwrap(),
            pool: pool.as_ref(),
            outcome: &outcome,
            changes: &changes(&example),
            decided_at: text(&example["time"]).parse().unwrap(),
            message_digest: Digest([0; 32]),
            traceparent: traceparent.as_ref(),
        });
        let mut written: Value = serde_json::from_str(&publication.body).unwrap();
        assert_eq!(written["id"], publication.id.to_string());
        written["id"] = example["id"].clone();
        assert_eq!(written, example, "{name}");
    }
}

#[test]
fn every_valid_result_is_decoded_and_nothing_of_it_is_lost() {
    for (name, example) in valid_results() {
        let result = decode_result(&example.to_string()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(result.id.to_string(), example["id"], "{name}");
        assert_eq!(result.result_type(), example["type"], "{name}");
        let publication = encode_result(&ResultMessage {
            key: &result.command.key,
            command_type: result.command.command_type.as_deref().unwrap_or_default(),
            sequence: result.command.sequence.as_deref(),
            group: &"g".parse().unwrap(),
            pool: result.pool.as_ref(),
            outcome: &result.outcome,
            changes: &result.changes,
            decided_at: result.time,
            message_digest: Digest([0; 32]),
            traceparent: result.traceparent.as_ref(),
        });
        let mut written: Value = serde_json::from_str(&publication.body).unwrap();
        written["id"] = example["id"].clone();
        assert_eq!(written, example, "{name}");
    }
}

/// The outcome of a result, in the domain's form.
fn outcome(example: &Value) -> Outcome {
    let kind = example["type"].as_str().unwrap();
    let kind = kind.strip_prefix("inventory.").and_then(|kind| kind.strip_suffix(".v1")).unwrap();
    let mut outcome = json!({"kind": kind});
    for field in ["reservation", "reason", "reference", "restock", "rejection"] {
        if let Some(value) = example["data"].get(field) {
            outcome[field] = value.clone();
        }
    }
    if outcome["reservation"].is_object() {
        outcome["reservation"]["pool"] = example["subject"].clone();
    }
    serde_json::from_value(outcome).unwrap()
}

/// The changes of a result, in the domain's form.
fn changes(example: &Value) -> Changes {
    match &example["data"] {
        data if data["changes_omitted"] == true => Changes::Omitted,
        data => data
            .get("changes")
            .map_or(Changes::NONE, |changes| serde_json::from_value(changes.clone()).unwrap()),
    }
}

#[test]
fn every_invalid_message_is_refused_with_its_code_and_field() {
    let examples = files("examples/invalid");
    assert!(examples.len() >= 30);
    for (name, example) in examples {
        let body = match example["raw"].as_str() {
            Some(raw) => raw.to_owned(),
            None => example.get("message").unwrap().to_string(),
        };
        let Err(reported) = decode(&body) else { panic!("{name} was decoded") };
        assert_eq!(reported.rejection.code.as_str(), example["code"], "{name}: {reported}");
        let field = reported.rejection.message.split(':').next().unwrap();
        assert_eq!(field, example["field"], "{name}: {reported}");
        assert!(example["why"].as_str().is_some_and(|why| !why.is_empty()), "{name}");
    }
}

#[test]
fn the_schema_refuses_what_it_can_tell_and_nothing_is_marked_in_vain() {
    for (name, example) in files("examples/invalid") {
        let message = match example["raw"].as_str() {
            Some(raw) => serde_json::from_str(raw).ok(),
            None => example.get("message").cloned(),
        };
        let accepted = message.is_some_and(|message| schema_accepts(&message));
        let can_tell = example.get("schema_can_tell").is_none_or(|can| can == true);
        assert_eq!(accepted, !can_tell, "{name}");
    }
}

#[test]
fn every_command_has_an_example_in_base64() {
    let examples: BTreeSet<_> = valid_commands()
        .into_values()
        .filter(|example| example["data_base64"].is_string())
        .map(|example| example["type"].as_str().unwrap().to_owned())
        .collect();
    let known: BTreeSet<_> =
        catalog::commands().iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(examples, known);
}

#[test]
fn every_type_and_every_rejection_code_has_an_example() {
    let examples = files("examples/valid");
    let types: BTreeSet<_> = examples.values().filter_map(|one| one["type"].as_str()).collect();
    let known: BTreeSet<_> = catalog::schemas().iter().map(|(name, _)| *name).collect();
    assert_eq!(types, known);
    let codes: BTreeSet<_> =
        examples.values().filter_map(|one| one["data"]["rejection"]["code"].as_str()).collect();
    assert_eq!(codes, RejectionCode::ALL.into_iter().map(RejectionCode::as_str).collect());
    let refused = files("examples/invalid");
    let codes: BTreeSet<_> = refused.values().filter_map(|one| one["code"].as_str()).collect();
    assert_eq!(codes, BTreeSet::from(["INVALID_MESSAGE", "UNSUPPORTED_TYPE"]));
}

/// Adds a member to every object of a message.
fn extend(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(extend);
            members.insert("added_later".to_owned(), json!({"any": ["thing", null]}));
        }
        Value::Array(entries) => entries.iter_mut().for_each(extend),
        _ => {}
    }
}

#[test]
fn a_field_that_is_added_later_breaks_nobody() {
    for (name, mut example) in files("examples/valid") {
        extend(&mut example);
        assert!(schema_accepts(&example), "{name}");
        if !name.starts_with("result-") {
            assert!(decode(&example.to_string()).is_ok(), "{name}");
        }
    }
}
