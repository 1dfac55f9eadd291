//! Holds seats of an event and waits for the answer. Several holds are one message.
//!
//! ```sh
//! cargo run --example rust -- 42 A-1,A-2 A-3
//! ```
//!
//! In a program of one's own: `cargo add anyhow aws-config aws-sdk-sns aws-sdk-sqs jiff serde_json`,
//! `cargo add tokio -F macros,rt-multi-thread` and `cargo add uuid -F v4`.
//!
//! Region, credentials and endpoints come from the environment, as ever with AWS.

#![allow(clippy::disallowed_methods, reason = "a program of its own has the machine's clock")]

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use aws_config::BehaviorVersion;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};
use uuid::Uuid;

const COMMANDS: &str = "inventory-commands.fifo";
const TOPIC: &str = "inventory-results.fifo";
/// This service's own.
const RESULTS: &str = "tickets-results.fifo";
/// This service; with a command's id, the command's identity.
const SOURCE: &str = "/services/tickets";
const WAIT: Duration = Duration::from_secs(60);

struct Aws {
    sqs: aws_sdk_sqs::Client,
    sns: aws_sdk_sns::Client,
}

impl Aws {
    async fn topic_arn(&self) -> Result<String> {
        let mut topics = self.sns.list_topics().into_paginator().items().send();
        while let Some(topic) = topics.try_next().await? {
            match topic.topic_arn {
                Some(arn) if arn.ends_with(&format!(":{TOPIC}")) => return Ok(arn),
                _ => {}
            }
        }
        bail!("there is no topic {TOPIC}: `inventory-worker bootstrap` creates it")
    }

    /// A queue for production that the topic may send to: its URL and ARN. Repeating it changes
    /// nothing.
    async fn make_queue(
        &self,
        name: &str,
        topic: &str,
        dead_letters: Option<&str>,
    ) -> Result<(String, String)> {
        let create = self.sqs.create_queue().queue_name(name);
        let created = create.attributes(QueueAttributeName::FifoQueue, "true").send().await?;
        let url = created.queue_url.context("a queue without a URL")?;
        let ask = self.sqs.get_queue_attributes().queue_url(&url);
        let answer = ask.attribute_names(QueueAttributeName::QueueArn).send().await?;
        let arn = answer.attributes.and_then(|mut all| all.remove(&QueueAttributeName::QueueArn));
        let arn = arn.context("a queue without an ARN")?;
        let policy = json!({ "Version": "2012-10-17", "Statement": [
            { "Sid": "TheTopicMaySend", "Effect": "Allow", "Action": "sqs:SendMessage",
              "Principal": { "Service": "sns.amazonaws.com" }, "Resource": arn,
              "Condition": { "ArnEquals": { "aws:SourceArn": topic } } },
            { "Sid": "TlsOnly", "Effect": "Deny", "Principal": "*", "Action": "sqs:*",
              "Resource": arn, "Condition": { "Bool": { "aws:SecureTransport": "false" } } },
        ]});
        let redrive = dead_letters
            .map(|arn| json!({ "deadLetterTargetArn": arn, "maxReceiveCount": "10" }).to_string());
        let attributes = [
            (QueueAttributeName::DeduplicationScope, Some("messageGroup".to_owned())),
            (QueueAttributeName::FifoThroughputLimit, Some("perMessageGroupId".to_owned())),
            // 14 days, the longest.
            (QueueAttributeName::MessageRetentionPeriod, Some("1209600".to_owned())),
            (QueueAttributeName::SqsManagedSseEnabled, Some("true".to_owned())),
            (QueueAttributeName::Policy, Some(policy.to_string())),
            (QueueAttributeName::RedrivePolicy, redrive),
        ];
        let attributes = attributes.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let set = self.sqs.set_queue_attributes().queue_url(&url);
        set.set_attributes(Some(attributes.collect())).send().await?;
        Ok((url, arn))
    }

    /// A queue that gets the results of this service's commands. Once, at deployment.
    async fn subscribe(&self) -> Result<String> {
        let topic = self.topic_arn().await?;
        // What SNS cannot deliver and what this service cannot handle.
        let name = RESULTS.replace(".fifo", "-dlq.fifo");
        let (_, dead_letters) = self.make_queue(&name, &topic, None).await?;
        let (url, arn) = self.make_queue(RESULTS, &topic, Some(&dead_letters)).await?;
        let redrive = json!({ "deadLetterTargetArn": dead_letters });
        // The answers to this service's commands, and the ends of its holds, whoever ends them.
        let filter = json!({ "$or": [
            { "command_source": [SOURCE] }, { "reservation_source": [SOURCE] },
        ]});
        self.sns
            .subscribe()
            .topic_arn(topic)
            .protocol("sqs")
            .endpoint(arn)
            // The body is the result itself, not SNS's envelope.
            .attributes("RawMessageDelivery", "true")
            .attributes("FilterPolicy", filter.to_string())
            .attributes("RedrivePolicy", redrive.to_string())
            .send()
            .await?;
        Ok(url)
    }

    /// One command, or up to 100 in one message: each is answered by itself.
    async fn post(&self, event_id: u64, commands: Vec<Value>) -> Result<()> {
        let body = match <[Value; 1]>::try_from(commands) {
            Ok([command]) => command,
            Err(commands) => Value::Array(commands),
        };
        let queue = self.sqs.get_queue_url().queue_name(COMMANDS).send().await?;
        self.sqs
            .send_message()
            .queue_url(queue.queue_url.context("a queue without a URL")?)
            // Order; what is not ordered goes side by side.
            .message_group_id(format!("event-{event_id}"))
            // No deduplication id: the queue takes the content.
            .message_body(body.to_string())
            .send()
            .await?;
        Ok(())
    }

    async fn wait_for(&self, queue: &str, command_ids: Vec<String>) -> Result<Vec<Value>> {
        let (mut waiting, mut results) = (BTreeSet::from_iter(command_ids), Vec::new());
        // In a service: result ids, kept in its database with what the result changed.
        let mut seen = BTreeSet::new();
        let end = Instant::now() + WAIT;
        while !waiting.is_empty() && Instant::now() < end {
            let receive = self.sqs.receive_message().queue_url(queue);
            let answer = receive.max_number_of_messages(10).wait_time_seconds(5).send().await?;
            for message in answer.messages.unwrap_or_default() {
                // The results of several commands may come as one array, if the operator says so.
                let of_message = match serde_json::from_str(message.body().unwrap_or_default())? {
                    Value::Array(several) => several,
                    one => vec![one],
                };
                for result in of_message {
                    let field = |path: &str| result.pointer(path).and_then(Value::as_str);
                    // A result may come again, under the same id.
                    let is_new = seen.insert(field("/id").map(str::to_owned));
                    let command_id = field("/data/command/id").unwrap_or_default();
                    if is_new && waiting.remove(command_id) {
                        results.push(result);
                    }
                }
                let delete = self.sqs.delete_message().queue_url(queue);
                delete.set_receipt_handle(message.receipt_handle).send().await?;
            }
        }
        if !waiting.is_empty() {
            bail!("no result in time; what waits is decided all the same, once a worker runs");
        }
        Ok(results)
    }
}

fn reserve(event_id: u64, seats: &[&str], user_id: &str) -> Value {
    json!({
        "specversion": "1.0",
        // New for a new intent; kept, with the data, when trying again.
        "id": Uuid::new_v4(),
        "source": SOURCE,
        "type": "inventory.reserve.v1",
        "time": jiff::Timestamp::now(),
        "data": { "event_id": event_id, "user_id": user_id, "seats": seats, "hold_seconds": 600 },
    })
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: rust EVENT_ID SEAT[,SEAT...]...";
    let event_id = arguments.next().context(usage)?.parse()?;
    let holds: Vec<String> = arguments.collect();
    if holds.is_empty() {
        bail!(usage);
    }
    let config = aws_config::load_defaults(BehaviorVersion::v2026_01_12()).await;
    let aws =
        Aws { sqs: aws_sdk_sqs::Client::new(&config), sns: aws_sdk_sns::Client::new(&config) };
    let results = aws.subscribe().await?;
    let commands = holds.iter().map(|seats| {
        let seats: Vec<&str> = seats.split(',').collect();
        reserve(event_id, &seats, "u-9")
    });
    let commands: Vec<Value> = commands.collect();
    let text = |value: &Value, path: &str| {
        value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let ids = commands.iter().map(|command| text(command, "/id")).collect();
    aws.post(event_id, commands).await?;
    let mut rejected = 0;
    for result in aws.wait_for(&results, ids).await? {
        let text = |path: &str| text(&result, path);
        if text("/type") == "inventory.rejected.v1" {
            rejected += 1;
            let (code, why) = (text("/data/rejection/code"), text("/data/rejection/message"));
            println!("rejected: {code}: {why}");
            continue;
        }
        let (until, id) =
            (text("/data/reservation/expires_at"), text("/data/reservation/reservation_id"));
        let seats = result.pointer("/data/reservation/seats").and_then(Value::as_array);
        let seats: Vec<_> = seats.into_iter().flatten().filter_map(Value::as_str).collect();
        println!("held: {} until {until} as {id}", seats.join(", "));
    }
    if rejected > 0 {
        bail!("{rejected} rejected");
    }
    Ok(())
}
