//! Copies for the dead-letter queue, with what a person needs to judge them.

use std::collections::BTreeMap;

use crate::{
    domain::RejectionCode,
    ports::{Delivery, OutgoingMessage, queue},
};

/// When the message was first sent, RFC 3339: kept through every redrive, so that nothing older
/// than the ledger is ever sent back.
pub const FIRST_SENT_AT: &str = "first_sent_at";
/// Why it is here: one of [`Reason`]'s words.
pub const REASON: &str = "dlq_reason";
/// More about why.
pub const DETAIL: &str = "dlq_detail";
/// The queue it came from.
pub const SOURCE_QUEUE: &str = "source_queue";
/// Its message id there.
pub const ORIGINAL_MESSAGE_ID: &str = "original_message_id";

/// Why a message is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It could not be read.
    Unreadable(RejectionCode),
    /// It was handled alone as often as is allowed and never came to an outcome.
    Poison,
}

impl Reason {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable(code) => code.as_str(),
            Self::Poison => "POISON",
        }
    }
}

/// A whole copy of the message, in its group.
///
/// Where body and attributes together would be too large for the queue, the attributes give way:
/// the body was a message once, so alone it is one again.
pub(super) fn copy(
    delivery: &Delivery,
    source_queue: &str,
    reason: Reason,
    detail: &str,
) -> OutgoingMessage {
    let first_sent_at = delivery
        .attributes
        .get(FIRST_SENT_AT)
        .cloned()
        .unwrap_or_else(|| delivery.sent_at.to_string());
    let mut attributes: BTreeMap<String, String> = [
        (FIRST_SENT_AT, first_sent_at),
        (REASON, reason.as_str().to_owned()),
        (DETAIL, detail.to_owned()),
        (SOURCE_QUEUE, source_queue.to_owned()),
        (ORIGINAL_MESSAGE_ID, delivery.message_id.clone()),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    let size: usize =
        attributes.iter().map(|(name, value)| name.len() + value.len() + "String".len()).sum();
    if size.saturating_add(delivery.body.len()) > queue::MESSAGE_BYTES_MAX {
        // When it was first sent decides whether it may be sent back.
        let first = attributes.remove_entry(FIRST_SENT_AT);
        attributes.clear();
        attributes.extend(first.filter(|(name, value)| {
            name.len() + value.len() + "String".len() + delivery.body.len()
                <= queue::MESSAGE_BYTES_MAX
        }));
    }
    OutgoingMessage {
        group: delivery.group.clone(),
        body: delivery.body.clone(),
        deduplication_id: Some(delivery.message_id.clone()),
        attributes,
    }
}
