//! A FIFO queue with leases.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;

use super::{BatchAnswer, PortError};
use crate::{
    domain::{GroupId, Timestamp},
    retention::QUEUE_RETENTION,
};

/// SQS: "up to 10 messages" in a receive and in every batch call.
pub const BATCH_ENTRIES_MAX: usize = 10;

/// SQS: the largest message, and the largest sum of one SendMessageBatch, bytes.
pub const MESSAGE_BYTES_MAX: usize = 1_048_576;

/// SQS: "Messages can have up to 10 attributes".
pub const MESSAGE_ATTRIBUTES_MAX: usize = 10;

/// SQS: the longest visibility timeout.
pub const VISIBILITY_MAX: Duration = Duration::from_secs(43_200);

/// Names one delivery of a message; void once its lease has run out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceiptHandle(pub String);

/// A message handed out under a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The queue's id for the message, the same at every delivery.
    pub message_id: String,
    /// What to extend, release or delete it by.
    pub receipt: ReceiptHandle,
    /// What it is ordered in.
    pub group: GroupId,
    /// Its place in the group: a decimal number that grows, compared as a number.
    pub sequence: String,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// How many times it was received, this one included.
    pub receive_count: u32,
    /// What the producer sent.
    pub body: String,
    /// The message attributes that are strings.
    pub attributes: BTreeMap<String, String>,
}

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingMessage {
    /// What it is ordered in.
    pub group: GroupId,
    /// What it says.
    pub body: String,
    /// Deduplication id; the digest of the body where there is none.
    pub deduplication_id: Option<String>,
    /// Message attributes, all strings.
    pub attributes: BTreeMap<String, String>,
}

/// How to receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiveRequest {
    /// The most messages, 1…[`BATCH_ENTRIES_MAX`].
    pub max: usize,
    /// How long to wait for the first message.
    pub wait: Duration,
    /// How long the leases last.
    pub visibility: Duration,
    /// Under the same attempt id, a receive whose answer was lost gives the same messages again.
    pub attempt_id: String,
}

/// How much is waiting. Approximate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Messages that are not in flight.
    pub visible: u64,
    /// Messages under a lease.
    pub in_flight: u64,
}

/// What a queue itself keeps to. An operator may have set it to less than SQS allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// The largest message it takes, body and attributes, bytes (`MaximumMessageSize`).
    pub message_bytes_max: usize,
    /// How long it keeps a message, from when it was sent (`MessageRetentionPeriod`).
    pub retention: Duration,
    /// After how many receives it moves a message to its dead-letter queue by itself
    /// (`maxReceiveCount` of its redrive policy); `None` for never.
    pub receives_max: Option<u32>,
}

impl Default for QueueLimits {
    /// The most that SQS allows, and no redrive.
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

    /// Hands out up to `max` messages under leases, or none once `wait` has passed.
    ///
    /// Messages of one group come in the order they were sent; while any message of a group is
    /// under a lease, no later one of that group is handed out. Never dropped half-way by callers:
    /// a receive that was dropped may have leased messages nobody knows of.
    async fn receive(&self, request: &ReceiveRequest) -> Result<Vec<Delivery>, PortError>;

    /// Makes each lease end after the given time from now; zero releases the message at once.
    /// Up to ten. [`super::EntryError::LeaseLost`] for a lease that has already run out.
    async fn change_visibility(
        &self,
        changes: &[(ReceiptHandle, Duration)],
    ) -> Result<BatchAnswer, PortError>;

    /// Deletes messages for good. Up to ten. [`super::EntryError::LeaseLost`] where the lease has
    /// run out: the message is then still there. Deleting what is already deleted succeeds.
    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<BatchAnswer, PortError>;

    /// Appends messages, each group in the order given. Up to ten, [`MESSAGE_BYTES_MAX`] in sum.
    ///
    /// A message whose deduplication id was sent within the last five minutes is accepted and not
    /// appended again. After a failed entry, later entries of its group may still have been
    /// accepted. Answers with the queue's message id.
    async fn send(&self, messages: &[OutgoingMessage]) -> Result<BatchAnswer<String>, PortError>;

    /// What the queue keeps to.
    async fn limits(&self) -> Result<QueueLimits, PortError>;

    /// How much is waiting.
    async fn backlog(&self) -> Result<Backlog, PortError>;
}
