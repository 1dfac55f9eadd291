//! Creates the topic, and reports how an existing one differs. Nothing that exists is changed.

use std::collections::BTreeMap;

use aws_sdk_sns::Client;

use super::super::{
    aws::port_error,
    bootstrap::{Difference, Ensured},
};
use crate::{
    naming::{self, topic_name},
    ports::PortError,
};

/// The AWS-managed key for SNS.
const MANAGED_KEY: &str = "alias/aws/sns";

const ENCRYPTION: &str = "KmsMasterKeyId";
const THROUGHPUT: &str = "FifoThroughputScope";

/// The attributes a topic is created with.
///
/// The publisher sets deduplication ids: the results' ids. `FifoThroughputScope` lets throughput
/// grow with the number of groups; it cannot be changed once the topic exists.
const ATTRIBUTES: [(&str, &str); 4] = [
    ("FifoTopic", "true"),
    ("ContentBasedDeduplication", "false"),
    (THROUGHPUT, "MessageGroup"),
    (ENCRYPTION, MANAGED_KEY),
];

/// Creates the topic if it is missing, or reports how it differs. Changes nothing that exists, so
/// it is safe to repeat. Returns the topic's ARN.
///
/// An ARN is queried directly; a name has to be found in the list of all topics, which takes the
/// permission `sns:ListTopics`.
///
/// # Errors
///
/// [`PortError::Refused`] for a name SNS would not accept, for missing permissions, and for the ARN
/// of a topic that cannot be created here: of another region, or of another account.
pub async fn ensure_topic(
    client: &Client,
    name_or_arn: &str,
) -> Result<(String, Ensured), PortError> {
    let name = topic_name(name_or_arn);
    check_name(name)?;
    let wanted = naming::is_arn(name_or_arn).then_some(name_or_arn);
    let existing = match wanted {
        Some(arn) => Some(arn.to_owned()),
        None => find(client, name).await?,
    };
    if let Some(arn) = existing
        && let Some(found) = attributes_of(client, name, &arn).await?
    {
        let differences = compare(name, &found);
        return Ok((arn, Ensured { differences, ..Ensured::default() }));
    }
    if let Some(wanted) = wanted {
        check_region(client, wanted)?;
    }
    let arn = create(client, name).await?;
    match wanted {
        Some(wanted) if wanted != arn => Err(PortError::Refused(format!(
            "topic {wanted}: does not exist, and these credentials create {arn} in its place, \
             which is there now: correct the ARN, or take credentials of its account"
        ))),
        _ => Ok((arn, Ensured { created: vec![name.to_owned()], ..Ensured::default() })),
    }
}

/// A client creates topics only in its own region.
fn check_region(client: &Client, arn: &str) -> Result<(), PortError> {
    let own = client.config().region().map(AsRef::as_ref);
    let of_arn = arn.split(':').nth(3);
    match own {
        Some(own) if of_arn != Some(own) => Err(PortError::Refused(format!(
            "topic {arn}: does not exist, and cannot be created from region {own}: correct the \
             ARN, or AWS_REGION"
        ))),
        _ => Ok(()),
    }
}

async fn create(client: &Client, name: &str) -> Result<String, PortError> {
    let mut call = client.create_topic().name(name);
    for (key, value) in ATTRIBUTES {
        call = call.attributes(key, value);
    }
    let doing = format!("CreateTopic of {name}");
    let created = call.send().await.map_err(|error| port_error(&doing, &error))?;
    created
        .topic_arn
        .ok_or_else(|| PortError::Unavailable(format!("{doing}: the answer lacks the topic's ARN")))
}

/// A topic's ARN by its name, from the list of the account's topics; `None` if there is no such
/// topic.
///
/// # Errors
///
/// SNS gives no answer, or refuses the request.
pub async fn find(client: &Client, name: &str) -> Result<Option<String>, PortError> {
    look_up(client, name, "").await
}

/// As [`find`]; an error says where it looked.
pub(super) async fn look_up(
    client: &Client,
    name: &str,
    at: &str,
) -> Result<Option<String>, PortError> {
    let mut arns = client.list_topics().into_paginator().items().send();
    while let Some(topic) = arns.next().await {
        let topic = topic
            .map_err(|error| port_error(&format!("ListTopics{at}, looking for {name}"), &error))?;
        if let Some(arn) = topic.topic_arn.filter(|arn| topic_name(arn) == name) {
            return Ok(Some(arn));
        }
    }
    Ok(None)
}

pub(super) fn check_name(name: &str) -> Result<(), PortError> {
    naming::check_topic_name(name).map_err(|invalid| PortError::Refused(invalid.to_string()))
}

/// A topic's attributes; `None` if there is no such topic.
async fn attributes_of(
    client: &Client,
    name: &str,
    arn: &str,
) -> Result<Option<BTreeMap<String, String>>, PortError> {
    match client.get_topic_attributes().topic_arn(arn).send().await {
        Ok(output) => Ok(Some(output.attributes.unwrap_or_default().into_iter().collect())),
        Err(error)
            if error.as_service_error().is_some_and(|error| error.is_not_found_exception()) =>
        {
            Ok(None)
        }
        Err(error) => Err(port_error(&format!("GetTopicAttributes of {name}"), &error)),
    }
}

fn compare(name: &str, found: &BTreeMap<String, String>) -> Vec<Difference> {
    ATTRIBUTES
        .into_iter()
        .filter(|(what, value)| match found.get(*what) {
            // Any key encrypts.
            Some(_) if *what == ENCRYPTION => false,
            Some(value_found) => value_found != value,
            // A server that does not store it (LocalStack 4.9) could not be fixed.
            None => *what != THROUGHPUT,
        })
        .map(|(what, value)| Difference {
            resource: name.to_owned(),
            what: what.to_owned(),
            expected: value.to_owned(),
            found: found.get(what).cloned().unwrap_or_else(|| "(none)".to_owned()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_created() -> BTreeMap<String, String> {
        ATTRIBUTES.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn a_topic_as_created_does_not_differ() {
        assert_eq!(compare("t.fifo", &as_created()), []);
    }

    #[test]
    fn a_server_that_does_not_store_the_throughput_scope_is_no_difference() {
        let mut found = as_created();
        found.remove(THROUGHPUT);
        assert_eq!(compare("t.fifo", &found), []);
        found.insert(THROUGHPUT.to_owned(), "Topic".to_owned());
        assert_eq!(compare("t.fifo", &found).len(), 1);
    }

    #[test]
    fn a_topic_without_encryption_differs_and_one_with_another_key_does_not() {
        let mut found = as_created();
        found.insert(ENCRYPTION.to_owned(), "alias/mine".to_owned());
        assert_eq!(compare("t.fifo", &found), []);
        found.remove(ENCRYPTION);
        let differences = compare("t.fifo", &found);
        assert_eq!(differences.len(), 1);
        assert_eq!(differences[0].found, "(none)");
    }
}
