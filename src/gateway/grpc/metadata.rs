//! The metadata of calls, and the trailers of their errors.

use std::time::Duration;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tonic::{
    Status,
    metadata::{MetadataMap, MetadataValue},
};

use super::{
    deadline,
    fields::{self, Violation},
};
use crate::{
    domain::{CommandId, CommandKey, ReservationId},
    message::TraceContext,
};

/// The id of the command.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// How long the caller waits.
const GRPC_TIMEOUT: &str = "grpc-timeout";

/// Trailer: the id of the command.
pub(super) const COMMAND_ID: &str = "command-id";

/// Trailer: the source of the command.
pub(super) const COMMAND_SOURCE: &str = "command-source";

/// Trailer: the reservation that a pending command is about.
pub(super) const RESERVATION_ID: &str = "reservation-id";

/// The caller's idempotency key, if there is one.
pub(super) fn idempotency_key(metadata: &MetadataMap) -> Result<Option<CommandId>, Violation> {
    let mut values = metadata.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match value.to_str() {
        Ok(value) if values.next().is_none() => fields::text(IDEMPOTENCY_KEY, value).map(Some),
        _ => Err(Violation::new(IDEMPOTENCY_KEY, "one value of printable ASCII")),
    }
}

/// How long to wait for an outcome.
pub(super) fn wait(metadata: &MetadataMap) -> Result<Duration, Violation> {
    let wrong = || Violation::new(GRPC_TIMEOUT, deadline::EXPECTED);
    let timeout = metadata.get(GRPC_TIMEOUT).map(|value| value.to_str().map_err(|_| wrong()));
    deadline::wait(timeout.transpose()?).ok_or_else(wrong)
}

/// The caller's trace context. A malformed one is dropped.
pub(super) fn trace_context(metadata: &MetadataMap) -> Option<TraceContext> {
    TraceContext::from_fields(|key| metadata.get(key).and_then(|value| value.to_str().ok()))
}

/// The error with the identity of the command that it is about.
pub(super) fn about(mut status: Status, key: &CommandKey) -> Status {
    insert(status.metadata_mut(), COMMAND_ID, key.id.as_str());
    insert(status.metadata_mut(), COMMAND_SOURCE, key.source.as_str());
    status
}

/// The error with the reservation that it is about.
pub(super) fn about_reservation(mut status: Status, id: ReservationId) -> Status {
    insert(status.metadata_mut(), RESERVATION_ID, &id.to_string());
    status
}

/// What metadata cannot carry unchanged, besides what is not ASCII: `%XX` stands for it, as gRPC does
/// with `grpc-message`.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

fn insert(metadata: &mut MetadataMap, key: &'static str, value: &str) {
    let encoded = utf8_percent_encode(value, ESCAPED).to_string();
    if let Ok(value) = MetadataValue::try_from(encoded) {
        metadata.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{TRACEPARENT, TRACESTATE};

    fn metadata(values: &[(&'static str, &'static str)]) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        for (key, value) in values {
            metadata.append(*key, MetadataValue::from_static(value));
        }
        metadata
    }

    #[test]
    fn an_idempotency_key_is_one_command_id() {
        let read = |values: &[_]| idempotency_key(&metadata(values));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[(IDEMPOTENCY_KEY, "k-1")]), Ok(Some("k-1".parse().unwrap())));
        for wrong in [&[(IDEMPOTENCY_KEY, "")][..], &[(IDEMPOTENCY_KEY, "k"); 2]] {
            assert_eq!(read(wrong).unwrap_err().field, IDEMPOTENCY_KEY);
        }
        let mut binary = MetadataMap::new();
        let not_ascii = MetadataValue::try_from(&b"\xc3\xa4"[..]).unwrap();
        binary.insert(IDEMPOTENCY_KEY, not_ascii);
        assert_eq!(idempotency_key(&binary).unwrap_err().field, IDEMPOTENCY_KEY);
    }

    #[test]
    fn a_malformed_timeout_names_its_key() {
        assert_eq!(wait(&metadata(&[(GRPC_TIMEOUT, "1S")])), Ok(Duration::from_millis(950)));
        let wrong = wait(&metadata(&[(GRPC_TIMEOUT, "1 second")])).unwrap_err();
        assert_eq!(wrong.field, GRPC_TIMEOUT);
    }

    #[test]
    fn a_malformed_trace_context_is_dropped() {
        let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let read = trace_context(&metadata(&[(TRACEPARENT, traceparent), (TRACESTATE, "a=1")]));
        let read = read.unwrap();
        assert_eq!((read.traceparent(), read.tracestate()), (traceparent, Some("a=1")));
        assert_eq!(trace_context(&metadata(&[(TRACEPARENT, "00-none")])), None);
    }

    #[test]
    fn a_trailer_carries_every_identity() {
        let key = CommandKey {
            source: "/callers/jürgen 100%".parse().unwrap(),
            id: "k-1".parse().unwrap(),
        };
        let status = about(Status::unavailable("later"), &key);
        let text = |key: &str| status.metadata().get(key).unwrap().to_str().unwrap();
        assert_eq!(text(COMMAND_ID), "k-1");
        assert_eq!(text(COMMAND_SOURCE), "/callers/j%C3%BCrgen%20100%25");
    }
}
