//! Reading a received message.

use std::str::FromStr;

use aws_sdk_sqs::types::{Message, MessageAttributeValue, MessageSystemAttributeName as Name};

use crate::{
    domain::{GroupId, Timestamp},
    ports::{
        Delivery, PortError, ReceiptHandle,
        queue::{AttributeContent, MessageAttribute, MessageAttributes},
    },
};

/// Reads a message, or reports what it lacks. Every FIFO queue gives all of it, so a missing part
/// is a fault of the queue (not FIFO) or of the server, never of the producer.
///
/// A message that a topic delivered may lack its sequence number, which nothing depends on there:
/// MiniStack 1.5.33 gives none.
pub(super) fn read(
    queue: &str,
    message: Message,
    is_of_topic: bool,
) -> Result<Delivery, PortError> {
    let id = message.message_id.unwrap_or_default();
    let system = message.attributes.unwrap_or_default();
    let lacks = |what: &str| {
        PortError::Refused(format!(
            "queue {queue}: message {id:?} came without {what}; every message of a FIFO queue has \
             it: check that this is a FIFO queue"
        ))
    };
    let text = |name: Name| system.get(&name).ok_or_else(|| lacks(name.as_str()));
    let group: GroupId = parsed(text(Name::MessageGroupId)?)
        .ok_or_else(|| lacks("a MessageGroupId of 1 to 128 characters"))?;
    let sequence = match text(Name::SequenceNumber) {
        Err(_) if is_of_topic => "0".to_owned(),
        sequence => sequence?.clone(),
    };
    if sequence.is_empty() || !sequence.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(lacks("a decimal SequenceNumber"));
    }
    let sent_at = parsed::<i64>(text(Name::SentTimestamp)?)
        .and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok())
        .ok_or_else(|| lacks("a SentTimestamp in milliseconds"))?;
    let receive_count = parsed(text(Name::ApproximateReceiveCount)?)
        .ok_or_else(|| lacks("an ApproximateReceiveCount that is a number"))?;
    let receipt = message.receipt_handle.ok_or_else(|| lacks("a receipt handle"))?;
    let mut body = message.body.ok_or_else(|| lacks("a body"))?;
    // The client library reserved space for the body with its escapes, twice the body or more.
    body.shrink_to_fit();
    let attributes = attributes(message.message_attributes.into_iter().flatten());
    if id.is_empty() {
        return Err(lacks("a message id"));
    }
    Ok(Delivery {
        message_id: id,
        receipt: ReceiptHandle(receipt),
        group,
        sequence,
        sent_at,
        receive_count,
        body,
        attributes,
    })
}

fn parsed<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// The attributes with their types. SQS gives one a text or bytes, by its type.
fn attributes(
    attributes: impl Iterator<Item = (String, MessageAttributeValue)>,
) -> MessageAttributes {
    attributes
        .filter_map(|(name, attribute)| {
            let MessageAttributeValue { string_value, binary_value, data_type, .. } = attribute;
            let binary = binary_value.map(|bytes| AttributeContent::Binary(bytes.into_inner()));
            let value = string_value.map(AttributeContent::Text).or(binary)?;
            Some((name, MessageAttribute { data_type, value }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message::builder()
            .message_id("m-1")
            .receipt_handle("r-1")
            .body("{}")
            .attributes(Name::MessageGroupId, "event-42")
            .attributes(Name::SequenceNumber, "18870266000000000001")
            .attributes(Name::SentTimestamp, "1795341600123")
            .attributes(Name::ApproximateReceiveCount, "3")
            .build()
    }

    #[test]
    fn a_message_is_read_with_all_that_sqs_says_of_it() {
        let attribute = |kind: &str| {
            MessageAttributeValue::builder().data_type(kind).string_value("1").build().unwrap()
        };
        let binary = MessageAttributeValue::builder()
            .data_type("Binary.png")
            .binary_value(aws_sdk_sqs::primitives::Blob::new([0, 255]))
            .build()
            .unwrap();
        let mut message = message();
        message.message_attributes = Some(
            [
                ("plain".to_owned(), attribute("String")),
                ("labelled".to_owned(), attribute("String.reason")),
                ("number".to_owned(), attribute("Number")),
                ("binary".to_owned(), binary),
            ]
            .into(),
        );
        let delivery = read("q.fifo", message, false).unwrap();
        assert_eq!(delivery.group.as_str(), "event-42");
        assert_eq!(delivery.sequence, "18870266000000000001");
        assert_eq!(delivery.sent_at.to_string(), "2026-11-22T10:00:00.123Z");
        assert_eq!(delivery.receive_count, 3);
        let read: Vec<_> = delivery
            .attributes
            .iter()
            .map(|(name, read)| (name.as_str(), read.data_type.as_str(), read.text()))
            .collect();
        let expected = [
            ("binary", "Binary.png", None),
            ("labelled", "String.reason", Some("1")),
            ("number", "Number", None),
            ("plain", "String", Some("1")),
        ];
        assert_eq!(read, expected);
        let bytes = AttributeContent::Binary(vec![0, 255]);
        assert_eq!(delivery.attributes["binary"].value, bytes);
    }

    #[test]
    fn a_message_without_fifo_attributes_is_an_error_that_says_which() {
        for name in [
            Name::MessageGroupId,
            Name::SequenceNumber,
            Name::SentTimestamp,
            Name::ApproximateReceiveCount,
        ] {
            let mut message = message();
            message.attributes.as_mut().unwrap().remove(&name);
            let error = read("q.fifo", message, false).unwrap_err();
            assert!(matches!(error, PortError::Refused(_)));
            let text = error.to_string();
            assert!(text.contains("q.fifo") && text.contains(name.as_str()), "{text}");
        }
    }
}
