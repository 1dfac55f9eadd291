//! A queue that is subscribed to the topic, and the results received from it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName};
use inventory_worker::{domain::Timestamp, message::catalog};
use jsonschema::Validator;
use serde_json::Value;
use tokio::time::Instant;

use crate::wait::DEADLINE;

/// The receive's wait for a first message, seconds.
const LONG_POLL_S: i32 = 1;

/// The published schemas of results, by type.
static SCHEMAS: LazyLock<BTreeMap<&str, Validator>> = LazyLock::new(|| {
    let options = || jsonschema::draft202012::options().should_validate_formats(true).offline();
    let build = |text: &str| options().build(&serde_json::from_str(text).unwrap()).unwrap();
    catalog::results().iter().map(|(name, text)| (*name, build(text))).collect()
});

/// A result as a subscriber sees it, with the attributes of its message.
#[derive(Clone, Debug)]
pub struct Received {
    pub body: Value,
    pub group: String,
    pub attributes: BTreeMap<String, String>,
}

impl Received {
    /// Reads the results of a message, one or an array; fails unless each matches the published
    /// schema.
    fn read(message: Message) -> Vec<Self> {
        let results = match serde_json::from_str(&message.body.unwrap()).unwrap() {
            Value::Array(results) => results,
            one => vec![one],
        };
        let system = message.attributes.unwrap_or_default();
        let attributes = message.message_attributes.into_iter().flatten();
        let attributes: BTreeMap<_, _> =
            attributes.map(|(k, v)| (k, v.string_value.unwrap())).collect();
        let read = |body: Value| {
            let schema = &SCHEMAS[body["type"].as_str().unwrap()];
            let faults: Vec<_> = schema.iter_errors(&body).map(|fault| fault.to_string()).collect();
            assert!(faults.is_empty(), "{body}: {faults:#?}");
            let group = system[&MessageSystemAttributeName::MessageGroupId].clone();
            Self { body, group, attributes: attributes.clone() }
        };
        results.into_iter().map(read).collect()
    }

    /// The id of the result.
    pub fn id(&self) -> &str {
        self.body["id"].as_str().unwrap()
    }

    /// The id of the command it follows.
    pub fn command(&self) -> &str {
        self.body["data"]["command"]["id"].as_str().unwrap()
    }

    /// The id of the command that will expire the hold in this result.
    pub fn expiry_id(&self) -> String {
        let hold = &self.body["data"]["reservation"];
        let ends: Timestamp = hold["expires_at"].as_str().unwrap().parse().unwrap();
        format!("expire:{}:{}", hold["reservation_id"].as_str().unwrap(), ends.as_second())
    }

    /// The code of a rejection, or for any other result the word of its type: `reserved`.
    pub fn word(&self) -> &str {
        let code = self.body["data"]["rejection"]["code"].as_str();
        code.unwrap_or_else(|| self.body["type"].as_str().unwrap().split('.').nth(1).unwrap())
    }
}

/// The results of one subscription, in order of arrival.
pub struct Results {
    sqs: aws_sdk_sqs::Client,
    url: String,
    seen: Vec<Received>,
}

impl Results {
    /// The results in the queue at this URL.
    pub fn new(sqs: aws_sdk_sqs::Client, url: String) -> Self {
        Self { sqs, url, seen: Vec::new() }
    }

    /// All results so far.
    pub fn seen(&self) -> &[Received] {
        &self.seen
    }

    /// Receives until the condition holds for all results so far.
    pub async fn until(&mut self, what: &str, holds: impl Fn(&[Received]) -> bool) -> &[Received] {
        let deadline = Instant::now() + DEADLINE;
        while !holds(&self.seen) {
            assert!(Instant::now() < deadline, "not in time: {what}; there were {:#?}", self.seen);
            self.receive().await;
        }
        &self.seen
    }

    /// Receives until each of these commands has a result, and returns the words of each, in order
    /// of the commands and of arrival.
    pub async fn of<T: AsRef<str>>(&mut self, commands: &[T]) -> Vec<&Received> {
        let wanted: BTreeSet<&str> = commands.iter().map(AsRef::as_ref).collect();
        let what = format!("results of {wanted:?}");
        let seen = self
            .until(&what, |seen| {
                let commands: BTreeSet<&str> = seen.iter().map(Received::command).collect();
                wanted.is_subset(&commands)
            })
            .await;
        commands
            .iter()
            .map(|id| seen.iter().find(|one| one.command() == id.as_ref()).unwrap())
            .collect()
    }

    /// Waits for the one result of this command.
    pub async fn one(&mut self, command: &str) -> Received {
        self.of(&[command]).await[0].clone()
    }

    /// Fails unless each command had exactly one result.
    pub fn assert_each_once(&self) {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for one in &self.seen {
            *counts.entry(one.command()).or_default() += 1;
        }
        counts.retain(|_, count| *count > 1);
        assert!(counts.is_empty(), "more than one result: {counts:?}");
    }

    /// Receives once, and deletes the received messages.
    pub async fn receive(&mut self) {
        let output = self
            .sqs
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10)
            .wait_time_seconds(LONG_POLL_S)
            .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId)
            .message_attribute_names("All")
            .send()
            .await
            .unwrap();
        let messages = output.messages.unwrap_or_default();
        if messages.is_empty() {
            return;
        }
        let entries: Vec<_> = messages
            .iter()
            .enumerate()
            .map(|(index, message)| {
                DeleteMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(message.receipt_handle.as_ref().unwrap())
                    .build()
                    .unwrap()
            })
            .collect();
        self.seen.extend(messages.into_iter().flat_map(Received::read));
        let deleting = self.sqs.delete_message_batch().queue_url(&self.url);
        let deleted = deleting.set_entries(Some(entries)).send().await.unwrap();
        assert_eq!(deleted.failed, [], "results are deleted");
    }
}
