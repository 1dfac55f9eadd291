//! A FIFO queue with leases.

use std::time::Duration;

use async_trait::async_trait;

use super::{BatchAnswer, PortError};
use crate::{
    domain::{GroupId, Timestamp},
    retention::QUEUE_RETENTION,
};

mod attributes;

pub use attributes::{
    AttributeContent, MessageAttribute, MessageAttributes, is_attribute_name, is_carried,
    text_attribute,
};

/// SQS: "up to 10 messages" in a receive and in every batch call.
pub const BATCH_ENTRIES_MAX: usize = 10;

/// SQS: the largest message, and the largest sum of one SendMessageBatch, bytes.
pub const MESSAGE_BYTES_MAX: usize = 1_048_576;

/// SQS: "Messages can have up to 10 attributes".
pub const MESSAGE_ATTRIBUTES_MAX: usize = 10;

/// SQS: the longest visibility timeout.
pub const VISIBILITY_MAX: Duration = Duration::from_secs(43_200);

/// Identifies one delivery of a message; void after its lease has run out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceiptHandle(pub String);

/// A message received under a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The queue's id for the message, the same at every delivery.
    pub message_id: String,
    /// The handle to extend, release or delete it.
    pub receipt: ReceiptHandle,
    /// The group whose order it keeps.
    pub group: GroupId,
    /// Its place in the group: an increasing decimal number, compared as a number.
    pub sequence: String,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// The number of receives, this one included.
    pub receive_count: u32,
    /// The body as the producer sent it.
    pub body: String,
    /// The message attributes.
    pub attributes: MessageAttributes,
}

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingMessage {
    /// The group whose order it keeps.
    pub group: GroupId,
    /// The message body.
    pub body: String,
    /// The deduplication id; `None` for the digest of the body.
    pub deduplication_id: Option<String>,
    /// The message attributes.
    pub attributes: MessageAttributes,
}

/// The parameters of a receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiveRequest {
    /// The most messages to receive, 1…[`BATCH_ENTRIES_MAX`].
    pub max: usize,
    /// The longest wait for the first message.
    pub wait: Duration,
    /// The length of the leases.
    pub visibility: Duration,
    /// Under the same attempt id, a receive whose answer was lost returns the same messages again.
    pub attempt_id: String,
}

/// The number of messages in a queue. Approximate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Messages that are not in flight.
    pub visible: u64,
    /// Messages under a lease.
    pub in_flight: u64,
}

/// The limits configured on a queue. An operator may have set them below SQS's maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// The largest message, body and attributes, bytes (`MaximumMessageSize`).
    pub message_bytes_max: usize,
    /// How long the queue keeps a message after it was sent (`MessageRetentionPeriod`).
    pub retention: Duration,
    /// The number of receives after which the queue itself moves a message to its dead-letter queue
    /// (`maxReceiveCount` of its redrive policy); `None` for never.
    pub receives_max: Option<u32>,
}

impl Default for QueueLimits {
    /// SQS's maxima, without a redrive policy.
    fn default() -> Self {
        Self {
            message_bytes_max: MESSAGE_BYTES_MAX,
            retention: QUEUE_RETENTION,
            receives_max: None,
        }
    }
}

/// A FIFO queue.
#[async_trait]
pub trait Queue: Send + Sync {
    /// The queue's name, for logs and metrics.
    fn name(&self) -> &str;

    /// Leases up to `max` messages, or none after `wait` has passed.
    ///
    /// Messages of one group come in the order they were sent; while any message of a group is
    /// under a lease, no later one of that group is delivered. Callers never drop the future before
    /// it completes: a dropped receive may have leased messages that no worker knows of.
    async fn receive(&self, request: &ReceiveRequest) -> Result<Vec<Delivery>, PortError>;

    /// Makes each lease end after the given time from now; zero releases the message at once. Up to
    /// ten entries. [`super::EntryError::LeaseLost`] for a lease that has already run out.
    async fn change_visibility(
        &self,
        changes: &[(ReceiptHandle, Duration)],
    ) -> Result<BatchAnswer, PortError>;

    /// Deletes messages permanently. Up to ten entries. [`super::EntryError::LeaseLost`] if the
    /// lease has run out: the message then still exists. Deleting a deleted message succeeds.
    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<BatchAnswer, PortError>;

    /// Appends messages, each group in the order given. Up to ten, [`MESSAGE_BYTES_MAX`] in total.
    ///
    /// A message whose deduplication id was sent within the last five minutes is accepted and not
    /// appended again. After a failed entry, later entries of its group may still have been
    /// accepted. Returns the queue's message ids.
    async fn send(&self, messages: &[OutgoingMessage]) -> Result<BatchAnswer<String>, PortError>;

    /// The queue's configured limits.
    async fn limits(&self) -> Result<QueueLimits, PortError>;

    /// The number of messages in the queue.
    async fn backlog(&self) -> Result<Backlog, PortError>;
}
