//! Decodes a message into a command.

use super::{
    action,
    canonical::Document,
    digest, envelope,
    envelope::{Envelope, PartialEnvelope, Payload},
    reader::{FieldError, Node, Object, Path},
    trace::TraceContext,
};
use crate::{
    domain::{Command, CommandKey, Digest, PoolId, Rejection, Source},
    ports::queue::MESSAGE_BYTES_MAX,
};

/// The prefix of the workers' own sources: only the queue of expiries accepts them, so that no
/// producer can take the identity of an expiry.
pub const RESERVED_SOURCES: &str = "/inventory-worker/";

/// A valid command message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The command itself.
    pub command: Command,
    /// Its trace context, if any.
    pub traceparent: Option<TraceContext>,
}

/// An invalid message, and the parts of it that could be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", rejection.code.as_str(), rejection.message)]
pub struct Undecodable {
    /// `INVALID_MESSAGE` or `UNSUPPORTED_TYPE`. Its message begins with the field (`data.seats[3]`;
    /// `message` for the whole) and a colon, states what was expected, and never holds the value.
    pub rejection: Rejection,
    /// Its identity, if source and id could be read.
    pub key: Option<CommandKey>,
    /// Its type, if it could be read: at most [`super::COMMAND_TYPE_BYTES_MAX`] bytes.
    pub command_type: Option<String>,
    /// The pool it names, if any.
    pub pool: Option<PoolId>,
    /// SHA-256 of the message's bytes.
    pub digest: Digest,
    /// Its trace context, if any.
    pub traceparent: Option<TraceContext>,
}

impl Undecodable {
    /// The rejection of a body on which the decoder itself failed, by a defect.
    #[must_use]
    pub fn decoder_panicked(body: &str) -> Self {
        *undecodable_whole(body, "what this release can read")
    }
}

/// Reads a command from the body of an SQS message: CloudEvents 1.0 in structured JSON mode.
///
/// Checks everything the message alone can show, but not an operator's limits. Takes at most
/// [`MESSAGE_BYTES_MAX`] bytes. [`crate::message`] states how JSON is read.
///
/// # Errors
/// [`Undecodable`] if the body is not a valid command, naming the first fault: of the envelope in
/// the order `specversion`, `id`, `source`, `type`, `time`, `expirytime`, `datacontenttype`, then of
/// `data`.
pub fn decode(body: &str) -> Result<Decoded, Box<Undecodable>> {
    let undecodable_whole = |fault| undecodable(fault, body, PartialEnvelope::default());
    let document = parse(body).map_err(undecodable_whole)?;
    let message = Node::message(&document).object().map_err(undecodable_whole)?;
    let payload = envelope::read_payload(&message);
    read(&document, &message, payload.as_ref()).map_err(|fault| {
        undecodable(fault, body, envelope::read_partial(&message, payload.as_ref().ok()))
    })
}

/// Decodes a producer's command: like [`decode`], but rejects the workers' own sources
/// ([`RESERVED_SOURCES`]).
///
/// # Errors
/// As for [`decode`]; for an otherwise valid command, its `source` if it is reserved.
pub fn decode_from_producer(body: &str) -> Result<Decoded, Box<Undecodable>> {
    let decoded = decode(body)?;
    let command = &decoded.command;
    if !is_reserved(&command.key.source) || injected_bug!(TakeWorkersSource) {
        return Ok(decoded);
    }
    let partial = PartialEnvelope {
        key: Some(command.key.clone()),
        command_type: Some(command.action.command_type().as_str().to_owned()),
        pool: Some(command.pool.clone()),
        traceparent: decoded.traceparent,
    };
    let fault = FieldError::at(&Path::Field(&Path::Message, "source"), not_reserved());
    Err(undecodable(fault, body, partial))
}

/// Whether a source is the workers' own.
#[must_use]
pub fn is_reserved(source: &Source) -> bool {
    source.as_str().starts_with(RESERVED_SOURCES)
}

/// The "expected" text for a reserved source.
#[must_use]
pub fn not_reserved() -> String {
    format!(
        "a source of your own: those that begin with {RESERVED_SOURCES} are reserved to workers"
    )
}

/// Parses a body. Skips a byte order mark in front (RFC 8259, section 8.1: a parser "MAY ignore the
/// presence of a byte order mark").
fn parse(body: &str) -> Result<Document, FieldError> {
    if body.len() > MESSAGE_BYTES_MAX {
        let expected = format_args!("at most {MESSAGE_BYTES_MAX} bytes");
        return Err(FieldError::at(&Path::Message, expected));
    }
    // The parser's errors contain the position and the grammar, never the text.
    Document::parse(body.strip_prefix('\u{feff}').unwrap_or(body))
        .map_err(|error| FieldError::at(&Path::Message, format_args!("JSON ({error})")))
}

fn read(
    document: &Document,
    message: &Object<'_, '_>,
    payload: Result<&Payload<'_, '_>, &FieldError>,
) -> Result<Decoded, FieldError> {
    let Envelope { key, command_type, deadline, traceparent } = envelope::read(message)?;
    let payload = payload.map_err(FieldError::clone)?;
    let data = payload.data().object()?;
    let pool = envelope::read_pool(&data)?;
    let action = action::read(command_type, &data, &pool, &key)?;
    let document = payload.document().unwrap_or(document);
    let digest = digest::of_content(command_type, document, data.text());
    let command = Command { key, digest, deadline, pool, action };
    Ok(Decoded { command, traceparent })
}

/// A body of which nothing can be read.
pub(super) fn undecodable_whole(body: &str, expected: impl std::fmt::Display) -> Box<Undecodable> {
    undecodable(FieldError::at(&Path::Message, expected), body, PartialEnvelope::default())
}

fn undecodable(fault: FieldError, body: &str, partial: PartialEnvelope) -> Box<Undecodable> {
    let PartialEnvelope { key, command_type, pool, traceparent } = partial;
    Box::new(Undecodable {
        rejection: fault.into(),
        key,
        command_type,
        pool,
        digest: digest::of_bytes(body.as_bytes()),
        traceparent,
    })
}

#[cfg(test)]
mod tests;
