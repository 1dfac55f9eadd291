//! A queue's contents, for tests and checkers.

use super::messages::{Message, Messages};
use crate::{
    domain::{GroupId, Timestamp},
    ports::queue::MessageAttributes,
};

/// A message stored in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// The queue's id for it.
    pub message_id: String,
    /// Its position in the queue; increases.
    pub sequence: u64,
    /// The message group that orders it.
    pub group: GroupId,
    /// The message body.
    pub body: String,
    /// Its message attributes.
    pub attributes: MessageAttributes,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// How many times it was received.
    pub receive_count: u32,
    /// The end of its lease, if it is in flight.
    pub in_flight_until: Option<Timestamp>,
}

impl StoredMessage {
    fn new(sequence: u64, message: &Message) -> Self {
        Self {
            message_id: message.id.clone(),
            sequence,
            group: message.group.clone(),
            body: message.body.clone(),
            attributes: message.attributes.clone(),
            sent_at: message.sent_at,
            receive_count: message.receive_count,
            in_flight_until: message.leased_until,
        }
    }
}

impl Messages {
    /// Every message, in the order they were sent.
    pub(super) fn snapshot(&self) -> Vec<StoredMessage> {
        self.iter().map(|(sequence, message)| StoredMessage::new(sequence, message)).collect()
    }
}
