//! Creates the queues, and reports how existing ones differ. Nothing that exists is changed.

use std::collections::BTreeMap;

use aws_sdk_sqs::{Client, error::ProvideErrorMetadata, types::QueueAttributeName as Attribute};
use serde_json::json;

use super::super::{
    aws::{bare, port_error},
    bootstrap::{Difference, Ensured},
};
use crate::{
    naming::{self, dead_letter_queue_name, queue_name},
    ports::{PortError, queue::MESSAGE_BYTES_MAX},
    retention::QUEUE_RETENTION,
};

/// The queue's visibility timeout, used if a receive sets none: the worker's default.
pub const VISIBILITY_S: u32 = 60;

/// The number of receives after which SQS itself moves a message to the DLQ: a backstop, and SQS's
/// maximum. The worker's own limit is far lower and does not count failures of the environment.
pub const MAX_RECEIVE_COUNT: u32 = 1_000;

/// Creates missing queues and dead-letter queues, and reports how existing ones differ. Changes
/// nothing that exists, so it is safe to repeat.
///
/// Each queue is FIFO with high throughput (deduplication and throughput by message group),
/// content-based deduplication, 14 days' retention, 60 s visibility, messages of up to 1 MiB if the
/// server supports that, encryption by SQS, and a redrive policy as a backstop.
///
/// # Errors
///
/// [`PortError::Refused`] for a name SQS would not accept, for missing permissions, and for a queue
/// that was deleted less than a minute ago.
pub async fn ensure_queues(client: &Client, names: &[String]) -> Result<Ensured, PortError> {
    for name in names {
        check_name(&dead_letter_queue_name(name))?;
        check_name(queue_name(name))?;
    }
    let mut ensured = Ensured::default();
    for name in names {
        let dead_letters = dead_letter_queue_name(name);
        let common = common_attributes();
        let (url, report) = ensure_queue(client, &dead_letters, common.clone()).await?;
        ensured.extend(report);
        let arn = arn_of(client, &dead_letters, &url).await?;
        let mut attributes = common;
        attributes.insert(Attribute::RedrivePolicy, redrive_policy(&arn));
        let (_, report) = ensure_queue(client, queue_name(name), attributes).await?;
        ensured.extend(report);
    }
    Ok(ensured)
}

/// A queue's URL by its name; `None` if there is no such queue.
///
/// # Errors
///
/// SQS gives no answer, or refuses the request.
pub async fn find(client: &Client, name: &str) -> Result<Option<String>, PortError> {
    look_up(client, name, "").await
}

/// As [`find`]; an error says where it looked.
pub(super) async fn look_up(
    client: &Client,
    name: &str,
    at: &str,
) -> Result<Option<String>, PortError> {
    match client.get_queue_url().queue_name(name).send().await {
        Ok(output) => Ok(output.queue_url),
        Err(error) if is_missing(error.code()) => Ok(None),
        Err(error) => Err(port_error(&format!("GetQueueUrl of {name}{at}"), &error)),
    }
}

/// Whether an error's code says that there is no such queue. The first is its name in the service's
/// older protocol, which SQS still sends.
pub(super) fn is_missing(code: Option<&str>) -> bool {
    matches!(code.map(bare), Some("NonExistentQueue" | "QueueDoesNotExist"))
}

fn check_name(name: &str) -> Result<(), PortError> {
    naming::check_queue_name(name).map_err(|invalid| PortError::Refused(invalid.to_string()))
}

type Attributes = BTreeMap<Attribute, String>;

fn common_attributes() -> Attributes {
    [
        (Attribute::FifoQueue, "true".to_owned()),
        (Attribute::ContentBasedDeduplication, "true".to_owned()),
        (Attribute::DeduplicationScope, "messageGroup".to_owned()),
        (Attribute::FifoThroughputLimit, "perMessageGroupId".to_owned()),
        (Attribute::MessageRetentionPeriod, QUEUE_RETENTION.as_secs().to_string()),
        (Attribute::VisibilityTimeout, VISIBILITY_S.to_string()),
        (Attribute::MaximumMessageSize, MESSAGE_BYTES_MAX.to_string()),
        (Attribute::SqsManagedSseEnabled, "true".to_owned()),
    ]
    .into()
}

fn redrive_policy(dead_letter_arn: &str) -> String {
    json!({ "deadLetterTargetArn": dead_letter_arn, "maxReceiveCount": MAX_RECEIVE_COUNT })
        .to_string()
}

/// One queue: its URL, and what was done or found.
async fn ensure_queue(
    client: &Client,
    name: &str,
    attributes: Attributes,
) -> Result<(String, Ensured), PortError> {
    if let Some(url) = find(client, name).await? {
        let differences = differences(client, name, &url, &attributes).await?;
        return Ok((url, Ensured { differences, ..Ensured::default() }));
    }
    let url = create(client, name, attributes).await?;
    Ok((url, Ensured { created: vec![name.to_owned()], ..Ensured::default() }))
}

async fn create(
    client: &Client,
    name: &str,
    mut attributes: Attributes,
) -> Result<String, PortError> {
    loop {
        let created = client
            .create_queue()
            .queue_name(name)
            .set_attributes(Some(attributes.clone().into_iter().collect()))
            .send()
            .await;
        let doing = format!("CreateQueue of {name}");
        match created {
            Ok(output) => {
                return output.queue_url.ok_or_else(|| {
                    PortError::Unavailable(format!("{doing}: the answer lacks the queue's URL"))
                });
            }
            // A server from before August 2025 accepts at most 256 KiB: its default is enough.
            Err(error)
                if attributes.contains_key(&Attribute::MaximumMessageSize)
                    && error.message().is_some_and(|text| {
                        text.contains(Attribute::MaximumMessageSize.as_str())
                    }) =>
            {
                attributes.remove(&Attribute::MaximumMessageSize);
            }
            Err(error) => return Err(port_error(&doing, &error)),
        }
    }
}

async fn attributes_of(client: &Client, name: &str, url: &str) -> Result<Attributes, PortError> {
    let output = client
        .get_queue_attributes()
        .queue_url(url)
        .attribute_names(Attribute::All)
        .send()
        .await
        .map_err(|error| port_error(&format!("GetQueueAttributes of {name}"), &error))?;
    Ok(output.attributes.into_iter().flatten().collect())
}

async fn arn_of(client: &Client, name: &str, url: &str) -> Result<String, PortError> {
    attributes_of(client, name, url).await?.remove(&Attribute::QueueArn).ok_or_else(|| {
        PortError::Unavailable(format!(
            "GetQueueAttributes of {name}: the answer lacks the queue's ARN"
        ))
    })
}

async fn differences(
    client: &Client,
    name: &str,
    url: &str,
    expected: &Attributes,
) -> Result<Vec<Difference>, PortError> {
    let found = attributes_of(client, name, url).await?;
    Ok(compare(name, expected, &found))
}

fn compare(name: &str, expected: &Attributes, found: &Attributes) -> Vec<Difference> {
    let differs = |what: &Attribute, value: &str| match (what, found.get(what)) {
        (Attribute::RedrivePolicy, Some(policy)) => redrive(value) != redrive(policy),
        // Encrypted with a customer's key, which exceeds the requirement.
        (Attribute::SqsManagedSseEnabled, _) if found.contains_key(&Attribute::KmsMasterKeyId) => {
            false
        }
        (_, Some(other)) => value != other,
        (_, None) => true,
    };
    expected
        .iter()
        .filter(|(what, value)| differs(what, value))
        .map(|(what, value)| Difference {
            resource: name.to_owned(),
            what: what.to_string(),
            expected: value.clone(),
            found: found.get(what).cloned().unwrap_or_else(|| "(none)".to_owned()),
        })
        .collect()
}

/// The parts of a redrive policy: SQS keeps the text as given, with the count as a number or a
/// string.
pub(super) fn redrive(policy: &str) -> Option<(String, u64)> {
    let policy: serde_json::Value = serde_json::from_str(policy).ok()?;
    let arn = policy.get("deadLetterTargetArn")?.as_str()?.to_owned();
    let count = policy.get("maxReceiveCount")?;
    Some((arn, count.as_u64().or_else(|| count.as_str()?.parse().ok())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> Attributes {
        let mut attributes = common_attributes();
        attributes.insert(Attribute::RedrivePolicy, redrive_policy("arn:aws:sqs:x:1:q-dlq.fifo"));
        attributes
    }

    #[test]
    fn a_queue_as_created_does_not_differ_however_its_redrive_policy_is_written() {
        let mut found = expected();
        found.insert(
            Attribute::RedrivePolicy,
            r#"{"maxReceiveCount":"1000","deadLetterTargetArn":"arn:aws:sqs:x:1:q-dlq.fifo"}"#
                .to_owned(),
        );
        assert_eq!(compare("q.fifo", &expected(), &found), []);
    }

    #[test]
    fn every_attribute_that_differs_is_reported_with_what_was_found() {
        let mut found = expected();
        found.insert(Attribute::VisibilityTimeout, "30".to_owned());
        found.remove(&Attribute::RedrivePolicy);
        let differences = compare("q.fifo", &expected(), &found);
        let reported: Vec<_> =
            differences.iter().map(|d| (d.what.as_str(), d.found.as_str())).collect();
        assert_eq!(reported, [("RedrivePolicy", "(none)"), ("VisibilityTimeout", "30")]);
    }

    #[test]
    fn a_queue_encrypted_with_its_owners_key_does_not_differ() {
        let mut found = expected();
        found.insert(Attribute::SqsManagedSseEnabled, "false".to_owned());
        assert_eq!(compare("q.fifo", &expected(), &found).len(), 1);
        found.insert(Attribute::KmsMasterKeyId, "alias/mine".to_owned());
        assert_eq!(compare("q.fifo", &expected(), &found), []);
    }
}
