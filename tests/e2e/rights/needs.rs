//! The actions that calls need: AWS's service authorization reference, for the calls that this
//! product makes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::Value;

use super::recorder::Call;

/// Calls on one queue whose name is also their action.
const ON_A_QUEUE: [(&str, &str); 9] = [
    ("GetQueueUrl", "sqs:GetQueueUrl"),
    ("GetQueueAttributes", "sqs:GetQueueAttributes"),
    ("CreateQueue", "sqs:CreateQueue"),
    ("SetQueueAttributes", "sqs:SetQueueAttributes"),
    ("DeleteQueue", "sqs:DeleteQueue"),
    ("ReceiveMessage", "sqs:ReceiveMessage"),
    // "To perform a batch, the permission of the single action": there are none for batches.
    ("SendMessageBatch", "sqs:SendMessage"),
    ("DeleteMessageBatch", "sqs:DeleteMessage"),
    ("ChangeMessageVisibilityBatch", "sqs:ChangeMessageVisibility"),
];

/// Calls on one topic.
const ON_A_TOPIC: [(&str, &str); 4] = [
    ("PublishBatch", "sns:Publish"),
    ("CreateTopic", "sns:CreateTopic"),
    ("GetTopicAttributes", "sns:GetTopicAttributes"),
    ("Subscribe", "sns:Subscribe"),
];

/// Calls on one table, or on an index of it where they name one.
const ON_A_TABLE: [(&str, &str); 10] = [
    ("PutItem", "dynamodb:PutItem"),
    ("UpdateItem", "dynamodb:UpdateItem"),
    ("Query", "dynamodb:Query"),
    ("Scan", "dynamodb:Scan"),
    ("DescribeTable", "dynamodb:DescribeTable"),
    ("CreateTable", "dynamodb:CreateTable"),
    ("DescribeTimeToLive", "dynamodb:DescribeTimeToLive"),
    ("UpdateTimeToLive", "dynamodb:UpdateTimeToLive"),
    ("DescribeContinuousBackups", "dynamodb:DescribeContinuousBackups"),
    ("UpdateContinuousBackups", "dynamodb:UpdateContinuousBackups"),
];

/// "Permissions for TransactWriteItems are those of the operations in it": there is none of its
/// own.
const IN_A_TRANSACTION: [(&str, &str); 4] = [
    ("Put", "dynamodb:PutItem"),
    ("Update", "dynamodb:UpdateItem"),
    ("Delete", "dynamodb:DeleteItem"),
    ("ConditionCheck", "dynamodb:ConditionCheckItem"),
];

/// An action on a resource, which is named as by the policies' placeholders.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    pub action: String,
    pub resource: String,
}

impl fmt::Debug for Right {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} on {}", self.action, self.resource)
    }
}

/// The values of placeholders in this run, by name of queue, topic or table. A name that ends in
/// `*` is a prefix of many names.
pub type Placeholders = BTreeMap<String, String>;

/// The rights that AWS would check for the calls.
pub fn rights_for(calls: &[Call], placeholders: &Placeholders) -> BTreeSet<Right> {
    calls.iter().flat_map(|call| needed(call, placeholders)).collect()
}

fn needed(call: &Call, placeholders: &Placeholders) -> Vec<Right> {
    let named = |name: &str| {
        // URLs and ARNs end in the name.
        let name = name.rsplit(['/', ':']).next().unwrap();
        let begins = |known: &str| known.strip_suffix('*').is_some_and(|all| name.starts_with(all));
        let found = placeholders.iter().find(|(known, _)| *known == name || begins(known));
        found.unwrap_or_else(|| panic!("{}: of nobody here: {name}", call.operation)).1.clone()
    };
    let right = |action: &str, resource: String| Right { action: action.to_owned(), resource };
    let action_in = |known: &[(&'static str, &'static str)]| {
        known.iter().find(|(operation, _)| *operation == call.operation).map(|(_, action)| *action)
    };
    if let Some(action) = action_in(&ON_A_QUEUE) {
        let name = call.text("QueueUrl").or_else(|| call.text("QueueName")).unwrap();
        return vec![right(action, named(name))];
    }
    if let Some(action) = action_in(&ON_A_TOPIC) {
        let name = call.text("TopicArn").or_else(|| call.text("Name")).unwrap();
        return vec![right(action, named(name))];
    }
    if let Some(action) = action_in(&ON_A_TABLE) {
        let table = named(call.text("TableName").unwrap());
        let resource = match call.text("IndexName") {
            Some("expiry-index") => "${index_expiry}".to_owned(),
            Some(index) => panic!("an unknown index: {index}"),
            None => table,
        };
        return vec![right(action, resource)];
    }
    match &*call.operation {
        // AWS accepts no narrower resource for these.
        "ListTopics" => vec![right("sns:ListTopics", "*".to_owned())],
        "Unsubscribe" => vec![right("sns:Unsubscribe", "*".to_owned())],
        "BatchGetItem" => {
            let tables = call.body["RequestItems"].as_object().unwrap().keys();
            tables.map(|table| right("dynamodb:BatchGetItem", named(table))).collect()
        }
        "TransactWriteItems" => {
            let items = call.body["TransactItems"].as_array().unwrap();
            items.iter().map(|item| in_a_transaction(item, &named, &right)).collect()
        }
        other => panic!("a call that is not mapped to its rights: {other}"),
    }
}

fn in_a_transaction(
    item: &Value,
    named: &impl Fn(&str) -> String,
    right: &impl Fn(&str, String) -> Right,
) -> Right {
    let (kind, operation) = item.as_object().unwrap().iter().next().unwrap();
    let known = IN_A_TRANSACTION.iter().find(|(known, _)| known == kind);
    let (_, action) = known.unwrap_or_else(|| panic!("an unknown item of a transaction: {kind}"));
    right(action, named(operation["TableName"].as_str().unwrap()))
}

/// The rights that a policy document grants.
pub fn granted(policy: &str) -> BTreeSet<Right> {
    let path = format!("{}/k8s/aws/policies/{policy}.json", env!("CARGO_MANIFEST_DIR"));
    let document: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut rights = BTreeSet::new();
    for statement in document["Statement"].as_array().unwrap() {
        assert_eq!(statement["Effect"], "Allow");
        for action in texts(&statement["Action"]) {
            for resource in texts(&statement["Resource"]) {
                assert!(rights.insert(Right { action: action.clone(), resource }), "granted twice");
            }
        }
    }
    rights
}
