//! Parses a message into a command, or into what is known of an unreadable one.

use std::panic;

use super::{QueueKind, loading, trace};
use crate::{
    domain::{CommandKey, PoolId},
    message::{self, Decoded, TraceContext, Undecodable},
    ports::{Delivery, queue::MessageAttributes},
};

type Decode = fn(&str) -> Result<Decoded, Box<Undecodable>>;

/// A parsed message.
#[expect(clippy::large_enum_variant, reason = "almost every message is a command")]
pub(super) enum ParsedMessage {
    Command(Decoded),
    Unreadable(Box<Undecodable>),
}

impl ParsedMessage {
    /// Parses a message of a queue of this kind. The trace context is the one in the body, or else
    /// the one in the attributes.
    pub(super) fn of(body: &str, attributes: &MessageAttributes, kind: QueueKind) -> Self {
        match kind {
            QueueKind::Commands => Self::by(message::decode_from_producer, body, attributes),
            QueueKind::Expiries => Self::by(message::decode, body, attributes),
        }
    }

    /// What cannot be read, with the trace context in the attributes where it has none.
    pub(super) fn unreadable(
        mut undecodable: Box<Undecodable>,
        attributes: &MessageAttributes,
    ) -> Self {
        let of_attributes = || TraceContext::from_attributes(attributes);
        undecodable.traceparent = undecodable.traceparent.or_else(of_attributes);
        Self::Unreadable(undecodable)
    }

    /// A message that makes the decoder panic, which none should, counts as unreadable: otherwise
    /// it would crash its readers and block its group.
    fn by(decode: Decode, body: &str, attributes: &MessageAttributes) -> Self {
        let decoded = panic::catch_unwind(|| decode(body));
        match decoded.unwrap_or_else(|_| Err(Box::new(Undecodable::decoder_panicked(body)))) {
            Ok(mut decoded) => {
                let of_attributes = || TraceContext::from_attributes(attributes);
                decoded.traceparent = decoded.traceparent.or_else(of_attributes);
                Self::Command(decoded)
            }
            Err(undecodable) => Self::unreadable(undecodable, attributes),
        }
    }

    /// The command's identity, if readable.
    pub(super) fn key(&self) -> Option<&CommandKey> {
        match self {
            Self::Command(decoded) => Some(&decoded.command.key),
            Self::Unreadable(undecodable) => undecodable.key.as_ref(),
        }
    }

    /// The command's pool, if readable.
    pub(super) fn pool(&self) -> Option<&PoolId> {
        match self {
            Self::Command(decoded) => Some(&decoded.command.pool),
            Self::Unreadable(undecodable) => undecodable.pool.as_ref(),
        }
    }

    /// One, and as much as the items it names: a measure of what it is to load and commit it.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Command(decoded) => loading::items_named(&decoded.command).saturating_add(1),
            Self::Unreadable(_) => 1,
        }
    }

    /// The producer's trace context.
    pub(super) fn context(&self) -> Option<&TraceContext> {
        match self {
            Self::Command(decoded) => decoded.traceparent.as_ref(),
            Self::Unreadable(undecodable) => undecodable.traceparent.as_ref(),
        }
    }

    /// The id of the producer's trace, for logs.
    pub(super) fn trace_id(&self) -> Option<&str> {
        self.context().map(TraceContext::trace_id)
    }

    /// The message, of this length, as reported to a tracer.
    pub(super) fn traced<'a>(&'a self, delivery: &'a Delivery, bytes: usize) -> trace::Message<'a> {
        let command_type = match self {
            Self::Command(decoded) => Some(decoded.command.action.command_type().as_str()),
            Self::Unreadable(undecodable) => undecodable.command_type.as_deref(),
        };
        let (key, pool, context) = (self.key(), self.pool(), self.context());
        trace::Message { delivery, bytes, key, command_type, pool, context }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        domain::{RejectionCode, Timestamp},
        ports::ReceiptHandle,
    };

    /// A message whose body is an empty object.
    pub(in crate::worker) fn delivery() -> Delivery {
        Delivery {
            message_id: "m".to_owned(),
            receipt: ReceiptHandle("r".to_owned()),
            group: "g".parse().unwrap(),
            sequence: "1".to_owned(),
            sent_at: Timestamp::UNIX_EPOCH,
            receive_count: 1,
            body: "{}".to_owned(),
            attributes: BTreeMap::new(),
        }
    }

    #[test]
    fn a_message_that_the_decoder_panics_at_is_one_that_cannot_be_read() {
        let none = MessageAttributes::new();
        let read = ParsedMessage::by(|body| panic!("at {} bytes", body.len()), "{}", &none);
        let ParsedMessage::Unreadable(undecodable) = read else { panic!("read") };
        assert_eq!(undecodable.rejection.code, RejectionCode::InvalidMessage);
        assert_eq!(undecodable.key, None);
    }
}
