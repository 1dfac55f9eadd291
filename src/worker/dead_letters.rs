//! Copies for the dead-letter queue, with the attributes an operator needs to judge them.

use std::collections::BTreeMap;

use crate::{
    domain::RejectionCode,
    ports::{Delivery, OutgoingMessage, queue},
};

/// When the message was first sent, RFC 3339. Kept through every redrive, so that no message older
/// than the ledger is ever redriven.
pub const FIRST_SENT_AT: &str = "first_sent_at";
/// Why the message was dead-lettered: one of [`Reason`]'s words.
pub const REASON: &str = "dlq_reason";
/// Details of the reason.
pub const DETAIL: &str = "dlq_detail";
/// The queue that the message was received from.
pub const SOURCE_QUEUE: &str = "source_queue";
/// The message id in the source queue.
pub const ORIGINAL_MESSAGE_ID: &str = "original_message_id";

/// Why a message is dead-lettered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It could not be read.
    Unreadable(RejectionCode),
    /// It was isolated for the maximum number of attempts without an outcome.
    Poison,
    /// It has no outcome, and its queue would drop it a day later.
    Retention,
    /// Its queue would soon move it to the dead-letter queue, without the time it was first sent:
    /// it was received nearly as often as the redrive policy allows.
    Receives,
}

impl Reason {
    /// Every reason. A message that cannot be read has one of two codes.
    pub const ALL: [Self; 5] = [
        Self::Unreadable(RejectionCode::InvalidMessage),
        Self::Unreadable(RejectionCode::UnsupportedType),
        Self::Poison,
        Self::Retention,
        Self::Receives,
    ];

    /// The reason's word, as in [`REASON`].
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable(code) => code.as_str(),
            Self::Poison => "POISON",
            Self::Retention => "RETENTION",
            Self::Receives => "RECEIVES",
        }
    }
}

/// The attributes that the worker adds to a copy; the others are the producer's.
const OWN: [&str; 5] = [FIRST_SENT_AT, REASON, DETAIL, SOURCE_QUEUE, ORIGINAL_MESSAGE_ID];

/// A complete copy of the message, in its group.
///
/// If body and attributes together exceed `bytes_max`, the queue's limit, attributes are dropped,
/// down to the body alone, which fitted a message before. The time it was first sent has the
/// highest priority, since it decides whether the message may be redriven; the producer's
/// attributes have the lowest.
pub(super) fn copy(
    delivery: &Delivery,
    source_queue: &str,
    reason: Reason,
    detail: &str,
    bytes_max: usize,
) -> OutgoingMessage {
    let first_sent_at = delivery
        .attributes
        .get(FIRST_SENT_AT)
        .cloned()
        .unwrap_or_else(|| delivery.sent_at.to_string());
    let own = [
        (FIRST_SENT_AT, first_sent_at),
        (REASON, reason.as_str().to_owned()),
        (DETAIL, detail.to_owned()),
        (SOURCE_QUEUE, source_queue.to_owned()),
        (ORIGINAL_MESSAGE_ID, delivery.message_id.clone()),
    ];
    OutgoingMessage {
        group: delivery.group.clone(),
        body: delivery.body.clone(),
        deduplication_id: Some(delivery.message_id.clone()),
        attributes: fitting(&delivery.body, own, delivery, bytes_max),
    }
}

/// The given attributes and then the producer's, in that priority, as many as fit beside the body
/// in a message of `bytes_max`.
pub(crate) fn fitting<'a>(
    body: &str,
    own: impl IntoIterator<Item = (&'a str, String)>,
    delivery: &'a Delivery,
    bytes_max: usize,
) -> BTreeMap<String, String> {
    let producers = delivery.attributes.iter().map(|(name, value)| (name.as_str(), value.clone()));
    let producers = producers.filter(|(name, _)| !OWN.contains(name));
    let mut room = bytes_max.saturating_sub(body.len());
    let mut attributes = BTreeMap::new();
    for (name, value) in own.into_iter().chain(producers).filter(|(_, value)| !value.is_empty()) {
        let size = name.len() + value.len() + "String".len();
        if size <= room && attributes.len() < queue::MESSAGE_ATTRIBUTES_MAX {
            room -= size;
            attributes.insert(name.to_owned(), value);
        }
    }
    attributes
}
