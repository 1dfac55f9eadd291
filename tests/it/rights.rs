//! The policies of `k8s/aws/policies/`, as documents. `tests/e2e/rights.rs` checks that they grant
//! exactly the calls made.

use std::{collections::BTreeSet, path::Path};

use inventory_worker::{
    adapters::dynamodb::TableNames,
    config::{AwsConfig, QueueRef},
    ports::queue::MESSAGE_BYTES_MAX,
};
use serde_json::Value;

/// The actions that AWS grants only on `*`, and the roles that may have them.
const UNSCOPED: [(&str, &str); 1] = [("storm", "sns:Unsubscribe")];

/// The placeholders that `k8s/aws/roles.tf` fills in.
const PLACEHOLDERS: [&str; 13] = [
    "${queue_commands}",
    "${queue_expiries}",
    "${queue_restock}",
    "${dlq_commands}",
    "${dlq_expiries}",
    "${dlq_restock}",
    "${queues_storm}",
    "${topic_results}",
    "${table_seats}",
    "${table_stock}",
    "${table_reservations}",
    "${table_ledger}",
    "${index_expiry}",
];

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("k8s/aws")
}

fn policies() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder().join("policies")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((name, serde_json::from_str(&text).unwrap()));
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

#[test]
fn no_policy_has_a_wildcard() {
    for (name, policy) in policies() {
        assert_eq!(policy["Version"], "2012-10-17", "{name}");
        for statement in policy["Statement"].as_array().unwrap() {
            assert_eq!(statement["Effect"], "Allow", "{name}");
            let fields: BTreeSet<&str> =
                statement.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(fields, ["Action", "Effect", "Resource", "Sid"].into(), "{name}");
            let actions = texts(&statement["Action"]);
            assert!(actions.iter().all(|action| !action.contains('*')), "{name}: {actions:?}");
            for resource in texts(&statement["Resource"]) {
                let unscoped =
                    resource == "*" && actions.iter().all(|one| UNSCOPED.contains(&(&*name, *one)));
                assert!(unscoped || PLACEHOLDERS.contains(&resource), "{name}: {resource}");
            }
        }
    }
}

/// An expiry's identity is the worker's own: another sender to the queue of expiries could take it
/// first.
#[test]
fn nobody_but_a_worker_that_sweeps_may_send_expiries() {
    let sends = |statement: &Value| {
        texts(&statement["Action"]).contains(&"sqs:SendMessage")
            && texts(&statement["Resource"]).contains(&"${queue_expiries}")
    };
    let may: Vec<String> = policies()
        .into_iter()
        .filter(|(_, policy)| policy["Statement"].as_array().unwrap().iter().any(sends))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(may, ["worker"]);
    // An explicit deny, whatever the other grants.
    let queues = std::fs::read_to_string(folder().join("queues.tf")).unwrap();
    let denied = queues.split_once("sid       = \"WorkersAloneSend\"").unwrap().1;
    let denied = denied.split("\n  }\n").next().unwrap();
    for part in ["\"Deny\"", "[\"sqs:SendMessage\"]", "\"ArnNotEquals\"", "\"aws:PrincipalArn\""] {
        assert!(denied.contains(part), "{part}: {denied}");
    }
    let senders = queues.split_once("senders = {").unwrap().1.split('}').next().unwrap();
    assert_eq!(
        senders.trim(),
        "expiries = concat([aws_iam_role.inventory[\"worker\"].arn], var.expiry_senders)"
    );
}

/// What the gateway posts is decided by workers alone.
#[test]
fn a_gateway_writes_to_queues_and_to_no_table() {
    let (_, gateway) = policies().into_iter().find(|(name, _)| name == "gateway").unwrap();
    let mut actions = BTreeSet::new();
    for statement in gateway["Statement"].as_array().unwrap() {
        actions.extend(texts(&statement["Action"]).into_iter().map(ToOwned::to_owned));
    }
    let expected = [
        "dynamodb:BatchGetItem",
        "dynamodb:Query",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
        "sqs:SendMessage",
    ];
    assert_eq!(actions, expected.map(ToOwned::to_owned).into());
}

#[test]
fn every_policy_is_a_roles_and_every_placeholder_is_filled_in() {
    let roles = std::fs::read_to_string(folder().join("roles.tf")).unwrap();
    let names: Vec<String> = policies().into_iter().map(|(name, _)| name).collect();
    let known = [
        "audit",
        "bootstrap",
        "gateway",
        "keda",
        "operator",
        "producer",
        "restock-worker",
        "storm",
        "worker",
    ];
    assert_eq!(names, known);
    for name in &names {
        assert!(roles.contains(&format!("\"{name}\"")), "{name} is no role of roles.tf");
    }
    for placeholder in PLACEHOLDERS {
        let bare = placeholder.trim_start_matches("${").trim_end_matches('}');
        assert!(roles.contains(&format!("{bare} ")), "{bare} is not filled in");
    }
}

#[test]
fn the_modules_defaults_are_the_binarys() {
    let variables = std::fs::read_to_string(folder().join("variables.tf")).unwrap();
    let default_of = |name: &str| {
        let (_, rest) = variables.split_once(&format!("variable \"{name}\"")).unwrap();
        let line = rest.lines().find(|line| line.trim_start().starts_with("default ")).unwrap();
        line.split_once("= ").unwrap().1.trim_matches('"').to_owned()
    };
    let prefix = default_of("name");
    let defaults = AwsConfig::default();
    let queues: Vec<&str> = defaults.queues.iter().map(QueueRef::as_str).collect();
    let named = |kind: &str| format!("{prefix}-{kind}.fifo");
    assert_eq!(queues, ["commands", "expiries", "restock"].map(named));
    assert_eq!(defaults.expiries.as_str(), named("expiries"));
    assert_eq!(defaults.topic.as_str(), format!("{prefix}-results.fifo"));
    assert_eq!(defaults.tables, TableNames::prefixed(&format!("{prefix}-")));
    // The size that every provider accepts; a later one may be given the binary's.
    assert_eq!(default_of("message_bytes_max"), "262144");
    assert!(variables.contains(&format!("var.message_bytes_max <= {MESSAGE_BYTES_MAX}")));
}
