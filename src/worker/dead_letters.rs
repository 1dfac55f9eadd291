//! Copies for the dead-letter queue, with the attributes an operator needs to judge them.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{Deserialize, Serialize};

use crate::{
    domain::RejectionCode,
    message::{self, TRACEPARENT, TRACESTATE},
    ports::{
        Delivery, OutgoingMessage,
        queue::{
            AttributeContent, MESSAGE_ATTRIBUTES_MAX, MessageAttribute, MessageAttributes,
            is_attribute_name, text_attribute,
        },
    },
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

/// The attributes of the producer that have no room among the ten that SQS takes, as a JSON object:
/// `{"<name>": {"type": "Number", "value": "7"}}`, a `Binary` with `base64` in place of `value`.
pub const PRODUCER_ATTRIBUTES: &str = "producer_attributes";

/// The attributes that the worker adds to a copy; the others are the producer's.
pub(crate) const OWN: [&str; 5] =
    [FIRST_SENT_AT, REASON, DETAIL, SOURCE_QUEUE, ORIGINAL_MESSAGE_ID];

/// A complete copy of the message, in its group, with all attributes of its producer.
///
/// If body and attributes together exceed `bytes_max`, the queue's limit, attributes are dropped,
/// down to the body alone, which fitted a message before. `traceparent` has the highest
/// priority, then the time the message was first sent, since it decides whether the message may be
/// redriven; the details of the reason have the lowest.
pub(super) fn copy(
    delivery: &Delivery,
    source_queue: &str,
    reason: Reason,
    detail: &str,
    bytes_max: usize,
) -> OutgoingMessage {
    let first_sent_at = text_attribute(&delivery.attributes, FIRST_SENT_AT)
        .map_or_else(|| delivery.sent_at.to_string(), str::to_owned);
    let first = vec![
        (FIRST_SENT_AT, first_sent_at),
        (REASON, reason.as_str().to_owned()),
        (SOURCE_QUEUE, source_queue.to_owned()),
        (ORIGINAL_MESSAGE_ID, delivery.message_id.clone()),
    ];
    let last = vec![(DETAIL, detail.to_owned())];
    let added = Added { first, last, ..Added::default() };
    OutgoingMessage {
        group: delivery.group.clone(),
        body: delivery.body.clone(),
        deduplication_id: Some(delivery.message_id.clone()),
        attributes: fitting(added, delivery, bytes_max),
    }
}

/// Attributes that are added to those of the producer, by priority.
#[derive(Default)]
pub(crate) struct Added {
    /// Before everything.
    pub(crate) leading: Vec<(&'static str, String)>,
    /// After the producer's `traceparent`.
    pub(crate) first: Vec<(&'static str, String)>,
    /// After everything.
    pub(crate) last: Vec<(&'static str, String)>,
}

/// The added attributes and the producer's, as many as fit beside the body in a message of
/// `bytes_max`. Those of the producer beyond the number that SQS takes are in
/// [`PRODUCER_ATTRIBUTES`].
pub(crate) fn fitting(added: Added, delivery: &Delivery, bytes_max: usize) -> MessageAttributes {
    let Added { leading, first, last } = added;
    let mut producers = of_producer(delivery);
    let traceparent = producers.remove_entry(TRACEPARENT);
    let added_count = leading.len().saturating_add(first.len()).saturating_add(last.len());
    let taken = added_count.saturating_add(usize::from(traceparent.is_some()));
    let room = MESSAGE_ATTRIBUTES_MAX.saturating_sub(taken);
    let named = |(name, text): (&str, String)| (name.to_owned(), MessageAttribute::from(text));
    let by_priority = (leading.into_iter().map(named))
        .chain(traceparent)
        .chain(first.into_iter().map(named))
        .chain(packed(producers, room))
        .chain(last.into_iter().map(named));
    let mut bytes = bytes_max.saturating_sub(delivery.body.len());
    let mut attributes = MessageAttributes::new();
    for (name, attribute) in by_priority.filter(|(_, attribute)| !attribute.is_empty()) {
        let size = attribute.bytes(&name);
        if size <= bytes && !attributes.contains_key(&name) {
            bytes -= size;
            attributes.insert(name, attribute);
        }
    }
    attributes
}

/// The producer's attributes, those in [`PRODUCER_ATTRIBUTES`] included.
fn of_producer(delivery: &Delivery) -> MessageAttributes {
    let mut all = delivery.attributes.clone();
    let packed = text_attribute(&all, PRODUCER_ATTRIBUTES).and_then(unpacked);
    if let Some(packed) = packed {
        all.remove(PRODUCER_ATTRIBUTES);
        for (name, attribute) in packed {
            all.entry(name).or_insert(attribute);
        }
    }
    all.retain(|name, _| !OWN.contains(&name.as_str()));
    all
}

/// The attributes in at most `room`, `tracestate` first: the last of them packed into one if they
/// are more, and with them one that has the name of the packed ones.
fn packed(mut attributes: MessageAttributes, room: usize) -> MessageAttributes {
    if attributes.len() <= room {
        return attributes;
    }
    let mut rest = MessageAttributes::new();
    rest.extend(attributes.remove_entry(PRODUCER_ATTRIBUTES));
    let tracestate = attributes.remove_entry(TRACESTATE);
    let mut by_priority = tracestate.into_iter().chain(attributes);
    let mut fitting: MessageAttributes =
        by_priority.by_ref().take(room.saturating_sub(1)).collect();
    rest.extend(by_priority);
    fitting.insert(PRODUCER_ATTRIBUTES.to_owned(), packed_text(rest).into());
    fitting
}

/// The text of [`PRODUCER_ATTRIBUTES`] with these.
pub(crate) fn packed_text(attributes: MessageAttributes) -> String {
    let packed: BTreeMap<String, PackedAttribute> =
        attributes.into_iter().map(|(name, attribute)| (name, attribute.into())).collect();
    message::to_json(&packed)
}

/// The attributes in the text; `None` if a producer gave it another form, or SQS would refuse one
/// of them.
pub(crate) fn unpacked(text: &str) -> Option<MessageAttributes> {
    let packed: BTreeMap<String, PackedAttribute> = serde_json::from_str(text).ok()?;
    let accepted = |(name, packed): (String, PackedAttribute)| {
        let attribute = packed.attribute().filter(MessageAttribute::is_accepted)?;
        is_attribute_name(&name).then_some((name, attribute))
    };
    packed.into_iter().map(accepted).collect()
}

#[derive(Serialize, Deserialize)]
struct PackedAttribute {
    r#type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl From<MessageAttribute> for PackedAttribute {
    fn from(attribute: MessageAttribute) -> Self {
        let (value, base64) = match attribute.value {
            AttributeContent::Text(text) => (Some(text), None),
            AttributeContent::Binary(bytes) => (None, Some(BASE64_STANDARD.encode(bytes))),
        };
        Self { r#type: attribute.data_type, value, base64 }
    }
}

impl PackedAttribute {
    fn attribute(self) -> Option<MessageAttribute> {
        let value = match (self.value, self.base64) {
            (Some(text), None) => AttributeContent::Text(text),
            (None, Some(base64)) => AttributeContent::Binary(BASE64_STANDARD.decode(base64).ok()?),
            _ => return None,
        };
        Some(MessageAttribute { data_type: self.r#type, value })
    }
}
