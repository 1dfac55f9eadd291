//! Several commands in one message.

use std::borrow::Cow;

use uuid::Uuid;

use super::command::message_bytes;
use crate::{
    message::{BATCH_COMMANDS_MAX, TraceContext, join_batch, with_trace_inside},
    ports::{OutgoingMessage, queue::MessageAttributes},
};

/// The most bytes of a message of several commands.
const JOINED_BYTES_MAX: usize = 200_000;

/// How many of these messages, from the first on, may be one of up to `most` commands: those that
/// are of one group and have no more than 200,000 bytes together. At least the first, if there is
/// one.
pub fn joinable<'a>(messages: impl Iterator<Item = &'a OutgoingMessage>, most: usize) -> usize {
    let mut messages = messages.take(most.clamp(1, BATCH_COMMANDS_MAX));
    let Some(first) = messages.next() else { return 0 };
    let Some(mut bytes) = bytes_inside(first) else { return 1 };
    let more = messages.take_while(|next| {
        let sum = bytes_inside(next).map(|more| bytes.saturating_add(more));
        bytes = sum.unwrap_or(usize::MAX);
        bytes <= JOINED_BYTES_MAX && next.group == first.group
    });
    more.count().saturating_add(1)
}

/// One message of the commands of these, which are [`joinable`]: a lone one as it is.
///
/// Returns `None` for no messages.
#[must_use]
pub fn join_messages(messages: &[&OutgoingMessage]) -> Option<OutgoingMessage> {
    let first = match messages {
        [] => return None,
        [lone] => return Some((*lone).clone()),
        [first, ..] => first,
    };
    let mut bodies: Vec<_> = messages.iter().filter_map(|message| body_inside(message)).collect();
    if injected_bug!(ReverseGathered) {
        bodies.reverse();
    }
    let body = join_batch(bodies.iter().map(Cow::as_ref));
    Some(OutgoingMessage {
        group: first.group.clone(),
        deduplication_id: deduplication_id(messages, &body),
        body,
        attributes: MessageAttributes::new(),
    })
}

/// The bytes of the message that [`join_messages`] makes, as counted towards
/// [`crate::ports::queue::MESSAGE_BYTES_MAX`].
pub(super) fn joined_bytes(messages: &[&OutgoingMessage]) -> usize {
    match messages {
        [lone] => message_bytes(lone),
        several => {
            let bytes = several.iter().filter_map(|message| bytes_inside(message));
            bytes.sum::<usize>().saturating_add(1)
        }
    }
}

/// A message's command as it is beside others, with the trace context that the message has. `None`
/// where it cannot be beside others, since it would lose an attribute.
fn body_inside(message: &OutgoingMessage) -> Option<Cow<'_, str>> {
    let OutgoingMessage { body, attributes, .. } = message;
    match TraceContext::from_attributes(attributes) {
        Some(context) => with_trace_inside(body, &context).map(Cow::Owned),
        None => attributes.is_empty().then_some(Cow::Borrowed(body)),
    }
}

/// Its bytes, with a comma or bracket.
fn bytes_inside(message: &OutgoingMessage) -> Option<usize> {
    body_inside(message).map(|body| body.len().saturating_add(1))
}

/// An id under which the queue drops a message as a repetition only where it is one of all its
/// commands; `None`, for the digest of the body, where none has an id.
fn deduplication_id(messages: &[&OutgoingMessage], body: &str) -> Option<String> {
    let ids = || messages.iter().map(|message| message.deduplication_id.as_deref());
    ids().any(|id| id.is_some()).then(|| {
        let mut name = body.to_owned();
        for id in ids() {
            name.push('\n');
            name.push_str(id.unwrap_or_default());
        }
        Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).to_string()
    })
}
