//! The queue on SQS FIFO.
//!
//! - [`client`]: the SDK's client with pinned behaviour and time limits.
//! - `delivery`: reading a received message.
//! - `entries`: the meaning of a failed entry of a batch.
//! - [`bootstrap`]: creates queues and reports how existing ones differ.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::{
    Client,
    config::Builder,
    error::ProvideErrorMetadata as _,
    types::{
        ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
        MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry,
    },
};
use sha2::{Digest as _, Sha256};

use super::aws::{
    ATTEMPT_TIMEOUT, ClockSkew, at, behavior_version, entry_id, in_order, port_error, retries,
    timeouts,
};
use crate::{
    naming::{FIFO_SUFFIX, is_queue_url, queue_name},
    ports::{
        Backlog, BatchAnswer, Delivery, OutgoingMessage, PortError, Queue, QueueLimits,
        ReceiptHandle, ReceiveRequest,
        queue::{BATCH_ENTRIES_MAX, VISIBILITY_MAX},
    },
};

pub mod bootstrap;
mod delivery;
mod entries;

/// SQS: the longest `WaitTimeSeconds`.
pub const WAIT_MAX: Duration = Duration::from_secs(20);

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

/// A FIFO queue of SQS.
#[derive(Clone, Debug)]
pub struct SqsQueue {
    client: Client,
    name: String,
    /// Once it is known.
    url: Arc<OnceLock<String>>,
    endpoint: Option<String>,
    is_of_topic: bool,
}

impl SqsQueue {
    /// As [`Self::connect_at`], on AWS itself.
    ///
    /// # Errors
    ///
    /// As [`Self::connect_at`].
    pub async fn connect(client: Client, name_or_url: &str) -> Result<Self, PortError> {
        Self::connect_at(client, None, name_or_url).await
    }

    /// Connects to a queue by its name, looked up with GetQueueUrl, or by its URL, which is not
    /// looked up. Errors name the endpoint: a URL without credentials.
    ///
    /// # Errors
    ///
    /// As [`Self::unasked`] and [`Self::url`].
    pub async fn connect_at(
        client: Client,
        endpoint: Option<String>,
        name_or_url: &str,
    ) -> Result<Self, PortError> {
        let queue = Self::unasked(client, endpoint, name_or_url)?;
        queue.url().await?;
        Ok(queue)
    }

    /// A queue by its name or URL, of which nothing is asked yet. By its name, each call looks up
    /// the URL until the service has answered.
    ///
    /// # Errors
    ///
    /// [`PortError::Refused`] if its name is not a FIFO queue's.
    pub fn unasked(
        client: Client,
        endpoint: Option<String>,
        name_or_url: &str,
    ) -> Result<Self, PortError> {
        let name = queue_name(name_or_url).to_owned();
        if !name.ends_with(FIFO_SUFFIX) {
            return Err(PortError::Refused(format!(
                "queue {name}: not a FIFO queue, whose name would end in {FIFO_SUFFIX}; set the \
                 name or URL of a FIFO queue"
            )));
        }
        let url = match is_queue_url(name_or_url) {
            true => OnceLock::from(name_or_url.to_owned()),
            false => OnceLock::new(),
        };
        Ok(Self { client, name, url: Arc::new(url), endpoint, is_of_topic: false })
    }

    /// The queue's URL, looked up where it is not known yet.
    ///
    /// # Errors
    ///
    /// [`PortError::Refused`] if the queue does not exist or may not be looked up; another where
    /// the service does not answer.
    pub async fn url(&self) -> Result<&str, PortError> {
        // Each caller looks it up for itself: none waits for another's call that hangs.
        if let Some(url) = self.url.get() {
            return Ok(url);
        }
        let (name, at) = (&self.name, at(self.endpoint.as_deref()));
        match bootstrap::look_up(&self.client, name, &at).await? {
            Some(url) => Ok(self.url.get_or_init(|| url)),
            None => Err(PortError::Refused(format!(
                "queue {name}{at}: does not exist in this account and region; create it, or set \
                 the URL of another account's queue"
            ))),
        }
    }

    /// Whether the queue is there: what [`Self::connect_at`] does not ask where it is given a URL.
    ///
    /// # Errors
    ///
    /// The service does not answer, or may not be asked.
    pub async fn exists(&self) -> Result<bool, PortError> {
        let asked = self.client.get_queue_attributes().queue_url(self.url().await?);
        let asked = asked.attribute_names(QueueAttributeName::QueueArn).send().await;
        match asked {
            Ok(_) => Ok(true),
            Err(error) if bootstrap::is_missing(error.code()) => Ok(false),
            Err(error) => Err(port_error(&self.doing("GetQueueAttributes"), &error)),
        }
    }

    /// The same queue, which a topic delivers to: its messages may lack their sequence numbers.
    #[must_use]
    pub fn of_topic(self) -> Self {
        Self { is_of_topic: true, ..self }
    }

    fn doing(&self, call: &str) -> String {
        format!("{call} on {}{}", self.name, at(self.endpoint.as_deref()))
    }
}

/// Whole seconds, rounded up so that a nonzero duration never becomes zero, and capped at `max`.
fn seconds(duration: Duration, max: Duration) -> i32 {
    let whole = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0));
    i32::try_from(whole.min(max.as_secs())).unwrap_or(i32::MAX)
}

/// A queue's numeric attribute, as answered.
fn number(text: Option<&String>, name: &QueueAttributeName, doing: &str) -> Result<u64, PortError> {
    match text {
        Some(text) => text.parse().map_err(|_| {
            PortError::Unavailable(format!("{doing}: {name} is no number in the answer"))
        }),
        None => Err(PortError::Unavailable(format!("{doing}: the answer lacks {name}"))),
    }
}

/// The id SQS itself derives from a body if content-based deduplication is on ("a SHA-256 hash …
/// using the body of the message, but not the attributes"); computed here so that it does not
/// depend on that setting.
fn content_deduplication_id(body: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(body).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[async_trait]
impl Queue for SqsQueue {
    fn name(&self) -> &str {
        &self.name
    }

    async fn receive(&self, request: &ReceiveRequest) -> Result<Vec<Delivery>, PortError> {
        let max = request.max.clamp(1, BATCH_ENTRIES_MAX);
        // One timeout for every receive, whatever its wait: the SDK keeps one connection pool per
        // timeout.
        let long_poll = Builder::new().timeout_config(timeouts(WAIT_MAX + ATTEMPT_TIMEOUT));
        let output = self
            .client
            .receive_message()
            .queue_url(self.url().await?)
            .max_number_of_messages(i32::try_from(max).unwrap_or(1))
            .wait_time_seconds(seconds(request.wait, WAIT_MAX))
            .visibility_timeout(seconds(request.visibility, VISIBILITY_MAX))
            .receive_request_attempt_id(&request.attempt_id)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId)
            .message_system_attribute_names(MessageSystemAttributeName::SequenceNumber)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .customize()
            .config_override(long_poll)
            .send()
            .await
            .map_err(|error| port_error(&self.doing("ReceiveMessage"), &error))?;
        output
            .messages
            .unwrap_or_default()
            .into_iter()
            .map(|message| delivery::read(&self.name, message, self.is_of_topic))
            .collect()
    }

    async fn change_visibility(
        &self,
        changes: &[(ReceiptHandle, Duration)],
    ) -> Result<BatchAnswer, PortError> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let entries = changes.iter().enumerate().map(|(at, (receipt, by))| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(entry_id(at))
                .receipt_handle(&receipt.0)
                .visibility_timeout(seconds(*by, VISIBILITY_MAX))
                .build()
        });
        let doing = self.doing("ChangeMessageVisibilityBatch");
        let output = self
            .client
            .change_message_visibility_batch()
            .queue_url(self.url().await?)
            .set_entries(Some(entries::built(&doing, entries)?))
            .send()
            .await
            .map_err(|error| port_error(&doing, &error))?;
        let successful = output.successful.into_iter().map(|entry| (entry.id, ()));
        Ok(in_order(changes.len(), successful, entries::of_leases(output.failed)))
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<BatchAnswer, PortError> {
        if receipts.is_empty() {
            return Ok(Vec::new());
        }
        let entries = receipts.iter().enumerate().map(|(at, receipt)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(entry_id(at))
                .receipt_handle(&receipt.0)
                .build()
        });
        let doing = self.doing("DeleteMessageBatch");
        let output = self
            .client
            .delete_message_batch()
            .queue_url(self.url().await?)
            .set_entries(Some(entries::built(&doing, entries)?))
            .send()
            .await
            .map_err(|error| port_error(&doing, &error))?;
        let successful = output.successful.into_iter().map(|entry| (entry.id, ()));
        Ok(in_order(receipts.len(), successful, entries::of_leases(output.failed)))
    }

    async fn send(&self, messages: &[OutgoingMessage]) -> Result<BatchAnswer<String>, PortError> {
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        let doing = self.doing("SendMessageBatch");
        let entries = messages.iter().enumerate().map(|(at, message)| {
            let deduplication_id = message
                .deduplication_id
                .clone()
                .unwrap_or_else(|| content_deduplication_id(&message.body));
            SendMessageBatchRequestEntry::builder()
                .id(entry_id(at))
                .message_body(&message.body)
                .message_group_id(message.group.as_str())
                .message_deduplication_id(deduplication_id)
                .set_message_attributes(entries::attributes(&message.attributes)?)
                .build()
        });
        let output = self
            .client
            .send_message_batch()
            .queue_url(self.url().await?)
            .set_entries(Some(entries::built(&doing, entries)?))
            .send()
            .await
            .map_err(|error| port_error(&doing, &error))?;
        let successful = output.successful.into_iter().map(|entry| (entry.id, entry.message_id));
        Ok(in_order(messages.len(), successful, entries::of_messages(output.failed)))
    }

    async fn limits(&self) -> Result<QueueLimits, PortError> {
        let doing = self.doing("GetQueueAttributes");
        let output = self
            .client
            .get_queue_attributes()
            .queue_url(self.url().await?)
            .attribute_names(QueueAttributeName::MaximumMessageSize)
            .attribute_names(QueueAttributeName::MessageRetentionPeriod)
            .attribute_names(QueueAttributeName::RedrivePolicy)
            .send()
            .await
            .map_err(|error| port_error(&doing, &error))?;
        let attributes = output.attributes.unwrap_or_default();
        let attribute = |name: QueueAttributeName| number(attributes.get(&name), &name, &doing);
        let bytes = attribute(QueueAttributeName::MaximumMessageSize)?;
        let policy = attributes.get(&QueueAttributeName::RedrivePolicy);
        let receives = policy.and_then(|policy| bootstrap::redrive(policy)).map(|(_, count)| count);
        Ok(QueueLimits {
            message_bytes_max: usize::try_from(bytes).unwrap_or(usize::MAX),
            retention: Duration::from_secs(attribute(QueueAttributeName::MessageRetentionPeriod)?),
            receives_max: receives.map(|count| u32::try_from(count).unwrap_or(u32::MAX)),
        })
    }

    async fn backlog(&self) -> Result<Backlog, PortError> {
        let url = self.url().await?;
        let at = at(self.endpoint.as_deref());
        let doing = format!("GetQueueAttributes on {url}{at}");
        let output = self
            .client
            .get_queue_attributes()
            .queue_url(url)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesDelayed)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
            .send()
            .await
            .map_err(|error| port_error(&doing, &error))?;
        let attributes = output.attributes.unwrap_or_default();
        let count = |name: QueueAttributeName| number(attributes.get(&name), &name, &doing);
        let delayed = count(QueueAttributeName::ApproximateNumberOfMessagesDelayed).unwrap_or(0);
        Ok(Backlog {
            visible: count(QueueAttributeName::ApproximateNumberOfMessages)?
                .saturating_add(delayed),
            in_flight: count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_lease_is_never_rounded_to_a_release() {
        assert_eq!(seconds(Duration::ZERO, VISIBILITY_MAX), 0);
        assert_eq!(seconds(Duration::from_millis(1), VISIBILITY_MAX), 1);
        assert_eq!(seconds(Duration::from_millis(1_001), VISIBILITY_MAX), 2);
        assert_eq!(seconds(Duration::MAX, VISIBILITY_MAX), 43_200);
    }

    #[test]
    fn the_deduplication_id_of_a_body_is_its_sha_256() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(content_deduplication_id("abc"), abc);
    }
}
