//! The publisher on SNS FIFO.
//!
//! - [`client`]: the SDK's client with pinned behaviour and time limits.
//! - [`bootstrap`]: creates the topic and reports how an existing one differs.
//! - [`subscription`]: a FIFO queue that a topic delivers to.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sns::{
    Client,
    config::Builder,
    error::BuildError,
    types::{MessageAttributeValue, PublishBatchRequestEntry},
};

use super::aws::{
    ATTEMPT_TIMEOUT, ClockSkew, FailedEntry, at, behavior_version, entry_id, in_order, port_error,
    retries, timeouts,
};
use crate::{
    naming,
    ports::{BatchAnswer, PortError, Publication, Publisher},
};

pub mod bootstrap;
pub mod subscription;

/// A client with the default chain's credentials, region and endpoint.
#[must_use]
pub fn client(shared: &SdkConfig) -> Client {
    Client::from_conf(configure(Builder::from(shared)).interceptor(ClockSkew).build())
}

/// Adds behaviour, retries and timeouts to a configuration that has the rest.
#[must_use]
pub fn configure(builder: Builder) -> Builder {
    builder
        .behavior_version(behavior_version())
        .retry_config(retries())
        .timeout_config(timeouts(ATTEMPT_TIMEOUT))
}

/// A FIFO topic of SNS.
#[derive(Clone, Debug)]
pub struct SnsTopic {
    client: Client,
    name: String,
    arn: String,
    endpoint: Option<String>,
}

impl SnsTopic {
    /// As [`Self::connect_at`], on AWS itself.
    ///
    /// # Errors
    ///
    /// As [`Self::connect_at`].
    pub async fn connect(client: Client, name_or_arn: &str) -> Result<Self, PortError> {
        Self::connect_at(client, None, name_or_arn).await
    }

    /// Connects to a topic by its ARN, which is not looked up, or by its name. Errors name the
    /// endpoint: a URL without credentials.
    ///
    /// SNS has no call that looks up a name. ListTopics is paged through once (100 topics a page,
    /// 30 calls a second at most for the whole account): in an account with very many topics, or
    /// without the permission `sns:ListTopics`, give the ARN.
    ///
    /// # Errors
    ///
    /// [`PortError::Refused`] if the topic does not exist or its name is not a FIFO topic's.
    pub async fn connect_at(
        client: Client,
        endpoint: Option<String>,
        name_or_arn: &str,
    ) -> Result<Self, PortError> {
        let name = naming::topic_name(name_or_arn).to_owned();
        bootstrap::check_name(&name)?;
        let at = at(endpoint.as_deref());
        let arn = match naming::is_arn(name_or_arn) {
            true => Some(name_or_arn.to_owned()),
            false => bootstrap::look_up(&client, &name, &at).await?,
        };
        match arn {
            Some(arn) => Ok(Self { client, name, arn, endpoint }),
            None => Err(PortError::Refused(format!(
                "topic {name}{at}: does not exist in this account and region; create it, or set \
                 the ARN of another account's topic"
            ))),
        }
    }

    /// Whether the topic is there: what [`Self::connect_at`] does not ask where it is given an ARN.
    ///
    /// # Errors
    ///
    /// The service does not answer, or may not be asked.
    pub async fn exists(&self) -> Result<bool, PortError> {
        match self.client.get_topic_attributes().topic_arn(&self.arn).send().await {
            Ok(_) => Ok(true),
            Err(error) if error.as_service_error().is_some_and(|e| e.is_not_found_exception()) => {
                Ok(false)
            }
            Err(error) => {
                let at = at(self.endpoint.as_deref());
                Err(port_error(&format!("GetTopicAttributes of {}{at}", self.arn), &error))
            }
        }
    }

    /// The topic's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The topic's ARN.
    #[must_use]
    pub fn arn(&self) -> &str {
        &self.arn
    }
}

fn entry(at: usize, publication: &Publication) -> Result<PublishBatchRequestEntry, BuildError> {
    let mut entry = PublishBatchRequestEntry::builder()
        .id(entry_id(at))
        .message(&publication.body)
        .message_group_id(publication.group.as_str())
        .message_deduplication_id(publication.id.to_string());
    for (name, text) in &publication.attributes {
        let value = MessageAttributeValue::builder()
            .data_type(publication.data_type(name))
            .string_value(text);
        entry = entry.message_attributes(*name, value.build()?);
    }
    entry.build()
}

#[async_trait]
impl Publisher for SnsTopic {
    async fn publish(&self, batch: &[Publication]) -> Result<BatchAnswer, PortError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let at = at(self.endpoint.as_deref());
        let doing = format!("PublishBatch to {}{at}", self.name);
        let entries: Vec<_> = batch
            .iter()
            .enumerate()
            .map(|(at, publication)| entry(at, publication))
            .collect::<Result<_, _>>()
            .map_err(|error| PortError::Refused(format!("{doing}: {error}")))?;
        let output = self
            .client
            .publish_batch()
            .topic_arn(&self.arn)
            .set_publish_batch_request_entries(Some(entries))
            .send()
            .await
            .map_err(|error| port_error(&doing, &error))?;
        let successful = output
            .successful
            .unwrap_or_default()
            .into_iter()
            .filter_map(|entry| Some((entry.id?, ())));
        let failed = output.failed.unwrap_or_default().into_iter().map(|entry| {
            let view = FailedEntry {
                code: &entry.code,
                message: entry.message.as_deref(),
                sender_fault: entry.sender_fault,
            };
            let error = view.error();
            (entry.id, error)
        });
        Ok(in_order(batch.len(), successful, failed))
    }
}
