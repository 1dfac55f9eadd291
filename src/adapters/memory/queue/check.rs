//! What SQS accepts and refuses, independent of a queue's state.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::ports::{
    EntryError, OutgoingMessage, PortError, ReceiveRequest,
    queue::{
        BATCH_ENTRIES_MAX, MESSAGE_ATTRIBUTES_MAX, MESSAGE_BYTES_MAX, VISIBILITY_MAX,
        is_attribute_name, is_carried,
    },
};

/// SQS: "MessageDeduplicationId … can contain up to 128 alphanumeric characters … and
/// punctuation"; group ids and attempt ids likewise.
const ID_CHARACTERS_MAX: usize = 128;

/// SQS: WaitTimeSeconds "0 to 20 (seconds)".
const WAIT_MAX: Duration = Duration::from_secs(20);

/// A batch call takes 1…[`BATCH_ENTRIES_MAX`] entries.
pub(super) fn batch(entries: usize) -> Result<(), PortError> {
    match entries {
        0 => Err(PortError::Refused("the batch is empty (EmptyBatchRequest)".to_owned())),
        1..=BATCH_ENTRIES_MAX => Ok(()),
        _ => Err(PortError::Refused(format!(
            "{entries} entries in a batch, at most {BATCH_ENTRIES_MAX} are taken \
             (TooManyEntriesInBatchRequest)"
        ))),
    }
}

/// Entries that fit individually must also fit together.
pub(super) fn batch_bytes(messages: &[OutgoingMessage]) -> Result<(), PortError> {
    let fitting = messages.iter().map(bytes).filter(|bytes| *bytes <= MESSAGE_BYTES_MAX);
    let sum: usize = fitting.sum();
    if sum > MESSAGE_BYTES_MAX {
        return Err(PortError::Refused(format!(
            "{sum} bytes in a batch, at most {MESSAGE_BYTES_MAX} are taken (BatchRequestTooLong)"
        )));
    }
    Ok(())
}

pub(super) fn receive(request: &ReceiveRequest) -> Result<(), PortError> {
    let refused = |what: String| Err(PortError::Refused(what));
    if !(1..=BATCH_ENTRIES_MAX).contains(&request.max) {
        return refused(format!("`max` is {}, allowed is 1 to {BATCH_ENTRIES_MAX}", request.max));
    }
    if request.wait > WAIT_MAX {
        return refused(format!(
            "`wait` is {} s, allowed is up to {} s",
            request.wait.as_secs_f64(),
            WAIT_MAX.as_secs()
        ));
    }
    if request.visibility > VISIBILITY_MAX {
        return refused(format!(
            "`visibility` is {} s, allowed is up to {} s",
            request.visibility.as_secs_f64(),
            VISIBILITY_MAX.as_secs()
        ));
    }
    if !is_id(&request.attempt_id) {
        return refused("`attempt_id` must be 1 to 128 ASCII letters, digits or marks".to_owned());
    }
    Ok(())
}

pub(super) fn message(message: &OutgoingMessage, bytes_max: usize) -> Result<(), EntryError> {
    let refused = |what: &str| Err(EntryError::Refused(what.to_owned()));
    if !is_id(message.group.as_str()) {
        return refused("the group id must be 1 to 128 ASCII letters, digits or marks");
    }
    if message.deduplication_id.as_deref().is_some_and(|id| !is_id(id)) {
        return refused("the deduplication id must be 1 to 128 ASCII letters, digits or marks");
    }
    if message.body.is_empty() || !message.body.chars().all(is_carried) {
        return refused("the body is empty or holds a character SQS does not carry");
    }
    if message.attributes.len() > MESSAGE_ATTRIBUTES_MAX {
        return refused("more than 10 message attributes");
    }
    for (name, attribute) in &message.attributes {
        if !is_attribute_name(name) {
            return refused("a message attribute's name is not one SQS takes");
        }
        if !attribute.is_accepted() {
            return refused(
                "a message attribute is empty, holds a character SQS does not carry, or has no \
                 type of SQS",
            );
        }
    }
    if bytes(message) > bytes_max {
        return refused("the message is longer than the queue takes");
    }
    Ok(())
}

/// SQS: content-based deduplication takes "a SHA-256 hash … of the body of the message (but not
/// the attributes)".
pub(super) fn content_id(body: &str) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |half: u8| DIGITS.get(usize::from(half)).copied().unwrap_or('0');
    let digest = Sha256::digest(body.as_bytes());
    digest.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// What counts towards [`MESSAGE_BYTES_MAX`]: body, and attributes' names, types and values.
fn bytes(message: &OutgoingMessage) -> usize {
    let attributes = message.attributes.iter().map(|(name, attribute)| attribute.bytes(name));
    message.body.len() + attributes.sum::<usize>()
}

fn is_id(text: &str) -> bool {
    (1..=ID_CHARACTERS_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b.is_ascii_punctuation())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn outgoing(body: &str) -> OutgoingMessage {
        OutgoingMessage {
            group: "g".parse().unwrap(),
            body: body.to_owned(),
            deduplication_id: None,
            attributes: BTreeMap::new(),
        }
    }

    #[test]
    fn a_message_sqs_cannot_carry_is_refused() {
        assert_eq!(message(&outgoing("{\"a\":\t1}\r\n🎟"), MESSAGE_BYTES_MAX), Ok(()));
        for body in ["", "\0", "\u{b}", "\u{ffff}"] {
            assert!(message(&outgoing(body), MESSAGE_BYTES_MAX).is_err(), "{body:?}");
        }
        for name in ["", ".a", "a.", "a..b", "a b", "AWS.x", "amazon.x", "ä"] {
            let mut wrong = outgoing("x");
            wrong.attributes.insert(name.to_owned(), "v".into());
            assert!(message(&wrong, MESSAGE_BYTES_MAX).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_message_of_one_mebibyte_with_its_attributes_is_the_longest() {
        let mut longest = outgoing(&"x".repeat(MESSAGE_BYTES_MAX - 10));
        longest.attributes.insert("nam".to_owned(), "v".into());
        assert_eq!(message(&longest, MESSAGE_BYTES_MAX), Ok(()));
        longest.body.push('x');
        assert!(message(&longest, MESSAGE_BYTES_MAX).is_err());
    }

    #[test]
    fn the_content_id_is_the_sha_256_of_the_body() {
        assert_eq!(
            content_id("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
