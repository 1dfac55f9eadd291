//! A dead letter, and the message to send when it is redriven.

use jiff::SignedDuration;
use serde::Serialize;

use crate::{
    domain::{GroupId, Timestamp, UserId, time},
    forget::{AttributeMention, Mention, attributes_without_user, without_user},
    message,
    ports::{
        Delivery, OutgoingMessage,
        queue::{MESSAGE_ATTRIBUTES_MAX, MessageAttributes, text_attribute},
    },
    retention::{LEDGER_DAYS, LEDGER_SAFE, LEDGER_SAFE_DAYS, QUEUE_RETENTION},
    worker::dead_letters::{
        self, DETAIL, FIRST_SENT_AT, ORIGINAL_MESSAGE_ID, REASON, SOURCE_QUEUE,
    },
};

/// The maximum age, from its first sending, at which a message may be sent back: until then its
/// ledger entry certainly exists.
pub const REDRIVE_AGE_MAX: SignedDuration = LEDGER_SAFE;

/// The reason of a dead letter without one: SQS itself moved it, after 1,000 receives, or it was
/// too large to have room for attributes.
pub const UNKNOWN: &str = "UNKNOWN";

/// The properties of a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// Its message id in the dead-letter queue, constant until it leaves that queue.
    pub id: String,
    /// Its message group, the same as in its original queue.
    pub group: String,
    /// The reason: `INVALID_MESSAGE`, `UNSUPPORTED_TYPE`, `POISON` or [`UNKNOWN`].
    pub reason: String,
    /// Details of the reason.
    pub detail: Option<String>,
    /// The command's source, if the body has one.
    pub command_source: Option<String>,
    /// The command's id, if the body has one.
    pub command_id: Option<String>,
    /// The type that came, known or not, if the body has one.
    pub command_type: Option<String>,
    /// When it was first sent.
    pub first_sent_at: Timestamp,
    /// When it was dead-lettered; for a message that SQS moved, when it was sent.
    pub dead_since: Timestamp,
    /// The name of its original queue, if recorded.
    pub source_queue: Option<String>,
    /// Its message id in its original queue, as in the worker's log.
    pub original_message_id: Option<String>,
    /// The size of its body, bytes.
    pub bytes: usize,
    /// Its body, if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

impl DeadLetter {
    /// Reads the properties from a delivery of the dead-letter queue, without the body.
    #[must_use]
    pub fn of(delivery: &Delivery) -> Self {
        let attribute = |name: &str| text_attribute(&delivery.attributes, name).map(str::to_owned);
        let (key, command_type) = match message::decode(&delivery.body) {
            Ok(decoded) => {
                let kind = decoded.command.action.command_type().as_str().to_owned();
                (Some(decoded.command.key), Some(kind))
            }
            Err(undecodable) => (undecodable.key, undecodable.command_type),
        };
        Self {
            id: delivery.message_id.clone(),
            group: delivery.group.as_str().to_owned(),
            reason: attribute(REASON).unwrap_or_else(|| UNKNOWN.to_owned()),
            detail: attribute(DETAIL),
            command_source: key.as_ref().map(|key| key.source.to_string()),
            command_id: key.map(|key| key.id.to_string()),
            command_type,
            first_sent_at: first_sent_at(delivery),
            dead_since: delivery.sent_at,
            source_queue: attribute(SOURCE_QUEUE),
            original_message_id: attribute(ORIGINAL_MESSAGE_ID),
            bytes: delivery.body.len(),
            body: None,
        }
    }
}

/// The attribute is the worker's own, but a producer may have set it too: a value that is not a
/// time, or is later than this message was sent, is ignored.
fn first_sent_at(delivery: &Delivery) -> Timestamp {
    let stated = text_attribute(&delivery.attributes, FIRST_SENT_AT);
    let stated = stated.and_then(|text| text.parse::<Timestamp>().ok());
    stated.map_or(delivery.sent_at, |at| at.min(delivery.sent_at))
}

/// The earliest possible time of its first sending. A message without a record was moved here by
/// SQS itself, or copied without attributes, after up to the retention of its queue; whether SQS
/// continues to count from the first sending is not documented.
fn earliest_sent_at(delivery: &Delivery, letter: &DeadLetter) -> Timestamp {
    if delivery.attributes.contains_key(FIRST_SENT_AT) {
        return letter.first_sent_at;
    }
    let retention = SignedDuration::try_from(QUEUE_RETENTION).unwrap_or(SignedDuration::ZERO);
    time::saturating_add(delivery.sent_at, -retention)
}

/// The reason why a dead letter is not sent back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// It was first sent so long ago that its ledger entry may be gone: it could take effect a
    /// second time.
    OlderThanLedger,
    /// Its body leaves no room for the attribute with its first sending, without which its age
    /// would start again.
    NoRoomForAge,
    /// This run sent it back, and it was dead-lettered again.
    DiedAgain,
    /// It is no JSON, so that the user's id in it cannot be replaced.
    NoJson,
    /// An attribute of its producer contains the user's id among other text.
    InAttribute,
}

impl Refusal {
    /// The reason, and the operator's next step.
    #[must_use]
    pub fn explanation(self) -> String {
        match self {
            Self::OlderThanLedger => format!(
                "first sent over {LEDGER_SAFE_DAYS} days ago, and the ledger keeps outcomes for \
                 {LEDGER_DAYS}: it could take effect twice. Look whether it did; send its content \
                 again under a new id, or discard it"
            ),
            Self::NoRoomForAge => "too large to carry along when it was first sent: `dlq show` \
                                   it, send it again with `send --file`, and discard it"
                .to_owned(),
            Self::DiedAgain => "sent back by this run, and here again: see its reason".to_owned(),
            Self::NoJson => "no JSON, and contains the id: `dlq discard` it".to_owned(),
            Self::InAttribute => {
                "an attribute contains the id among other text: `dlq discard` it".to_owned()
            }
        }
    }
}

/// The message to send, or the refusal.
pub(super) fn send_back(
    delivery: &Delivery,
    letter: &DeadLetter,
    bytes_max: usize,
    now: Timestamp,
) -> Result<OutgoingMessage, Refusal> {
    let first_sent_at = earliest_sent_at(delivery, letter);
    if now.duration_since(first_sent_at) > REDRIVE_AGE_MAX {
        return Err(Refusal::OlderThanLedger);
    }
    let stated = (FIRST_SENT_AT, first_sent_at.to_string());
    let added = dead_letters::Added { leading: vec![stated], ..Default::default() };
    let attributes = dead_letters::fitting(added, delivery, bytes_max);
    if !attributes.contains_key(FIRST_SENT_AT) {
        return Err(Refusal::NoRoomForAge);
    }
    Ok(OutgoingMessage {
        group: GroupId::clone(&delivery.group),
        body: delivery.body.clone(),
        deduplication_id: Some(deduplication_id(&delivery.message_id)),
        attributes,
    })
}

/// A dead letter without a user's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Anonymous {
    body: String,
    attributes: MessageAttributes,
}

/// The dead letter without a user's id, if it can be rewritten; `None` where it does not name the
/// user.
pub(super) fn without(delivery: &Delivery, user_id: &UserId) -> Option<Result<Anonymous, Refusal>> {
    let body = without_user(&delivery.body, user_id);
    let attributes = attributes_without_user(&delivery.attributes, user_id);
    let (body, attributes) = match (body, attributes) {
        (Mention::InText, _) => return Some(Err(Refusal::NoJson)),
        (_, AttributeMention::Within) => return Some(Err(Refusal::InAttribute)),
        (Mention::None, AttributeMention::None) => return None,
        (Mention::Replaced(body), AttributeMention::None) => (body, delivery.attributes.clone()),
        (Mention::None, AttributeMention::Replaced(all)) => (delivery.body.clone(), all),
        (Mention::Replaced(body), AttributeMention::Replaced(all)) => (body, all),
    };
    Some(Ok(Anonymous { body, attributes }))
}

/// A copy for the dead-letter queue itself, without the user's id. It keeps the reason, and the time of
/// the first sending; one that had none of its own gets the earliest possible.
pub(super) fn rewritten(
    delivery: &Delivery,
    letter: &DeadLetter,
    anonymous: Anonymous,
    bytes_max: usize,
) -> Result<OutgoingMessage, Refusal> {
    let Anonymous { body, mut attributes } = anonymous;
    if !attributes.contains_key(FIRST_SENT_AT) {
        let first_sent_at = earliest_sent_at(delivery, letter).to_string();
        attributes.insert(FIRST_SENT_AT.to_owned(), first_sent_at.into());
    }
    let bytes = attributes.iter().map(|(name, attribute)| attribute.bytes(name)).sum::<usize>();
    if attributes.len() > MESSAGE_ATTRIBUTES_MAX || bytes.saturating_add(body.len()) > bytes_max {
        return Err(Refusal::NoRoomForAge);
    }
    let deduplication_id = Some(format!("forget-{}", delivery.message_id));
    Ok(OutgoingMessage { group: delivery.group.clone(), body, deduplication_id, attributes })
}

/// Derived from the dead letter's own id, not from the message's: the queue recognises a repetition
/// of this sending, and a message that is dead-lettered again is another dead letter, which may be
/// sent back at once.
fn deduplication_id(dead_letter_id: &str) -> String {
    format!("redrive-{dead_letter_id}")
}
