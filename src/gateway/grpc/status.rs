//! Errors as statuses: the one place that maps errors to gRPC.
//!
//! Each status has [`pb::ErrorInfo`] with a reason for programs. ABORTED is never used: clients and
//! meshes retry it.

use std::time::Duration;

use prost::Message as _;
use prost_types::Any;
use tonic::{Code, Status, metadata::MetadataMap};
use tonic_types::{BadRequest, ErrorInfo, RetryInfo, pb};

use super::{fields::Violation, metadata, proto, responses};
use crate::{
    domain::{CommandKey, Rejection, RejectionCode, ReservationId},
    gateway::{
        CommandError, QueryError, Scope,
        streams::{Bye, StreamError},
    },
    ports::PortError,
};

/// The domain of the reasons in [`pb::ErrorInfo`].
const DOMAIN: &str = "inventory.v1";

/// How long a caller waits before it tries again, where nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The same, where streams have to end first.
const STREAMS_RETRY_AFTER: Duration = Duration::from_secs(5);

/// The most bytes of names in the details of a status: encoded in base64 and beside what else there
/// is, they stay below the 8 KiB of trailers that clients accept by default.
const NAME_BYTES_MAX: usize = 3_072;

/// The code that stands for a rejection.
#[must_use]
pub fn code_of(code: RejectionCode) -> Code {
    use RejectionCode as Rejected;
    match code {
        Rejected::InvalidMessage | Rejected::UnsupportedType | Rejected::CommandIdReused => {
            Code::InvalidArgument
        }
        Rejected::SeatNotFound | Rejected::SkuNotFound | Rejected::ReservationNotFound => {
            Code::NotFound
        }
        Rejected::NotOwner => Code::PermissionDenied,
        Rejected::ReservationExists => Code::AlreadyExists,
        Rejected::SeatsUnavailable
        | Rejected::InsufficientStock
        | Rejected::VersionMismatch
        | Rejected::NotReserved
        | Rejected::LimitExceeded
        | Rejected::CommandExpired
        | Rejected::ReservationExpired
        | Rejected::ReservationCancelled
        | Rejected::ReservationActive
        | Rejected::ReservationConfirmed
        | Rejected::ReservationFulfilled
        | Rejected::NotYetExpired => Code::FailedPrecondition,
    }
}

/// The rejection of a command, with the [`proto::Rejection`] as a detail.
#[must_use]
pub fn rejected(rejection: &Rejection) -> Status {
    let detail = Any {
        type_url: <proto::Rejection as prost::Name>::type_url(),
        value: responses::rejection(rejection, NAME_BYTES_MAX).encode_to_vec(),
    };
    let mut details = vec![detail];
    if rejection.code == RejectionCode::InvalidMessage
        && let Some((field, expected)) = rejection.message.split_once(": ")
    {
        details.push(bad_request(field.strip_prefix("data.").unwrap_or(field), expected));
    }
    let code = code_of(rejection.code);
    with_details(code, rejection.code.as_str(), rejection.message.clone(), details)
}

/// INVALID_ARGUMENT: a field is wrong.
#[must_use]
pub fn invalid(violation: &Violation) -> Status {
    let Violation { field, expected } = violation;
    let expected = format!("expected {expected}");
    let message = format!("{field}: {expected}");
    let details = vec![bad_request(field, &expected)];
    with_details(Code::InvalidArgument, "INVALID_REQUEST", message, details)
}

/// UNAUTHENTICATED, with what to send.
#[must_use]
pub fn unauthenticated(message: impl Into<String>) -> Status {
    with_details(Code::Unauthenticated, "UNAUTHENTICATED", message, Vec::new())
}

/// PERMISSION_DENIED: the caller lacks a scope.
#[must_use]
pub fn no_scope(scope: Scope) -> Status {
    let message = format!("the scope {scope} is required");
    with_details(Code::PermissionDenied, "SCOPE_REQUIRED", message, Vec::new())
}

/// UNAVAILABLE, with when to try again.
#[must_use]
pub fn unavailable(
    reason: &'static str,
    message: impl Into<String>,
    retry_after: Duration,
) -> Status {
    with_details(Code::Unavailable, reason, message, vec![retry_info(retry_after)])
}

/// UNAVAILABLE: more calls are under way than the process may hold.
#[must_use]
pub fn overloaded() -> Status {
    unavailable("OVERLOADED", "too many calls are under way", RETRY_AFTER)
}

/// RESOURCE_EXHAUSTED: the caller is above its rate.
#[must_use]
pub fn rate_limited(retry_after: Duration) -> Status {
    let details = vec![retry_info(retry_after)];
    with_details(Code::ResourceExhausted, "RATE_LIMITED", "too many calls of this caller", details)
}

/// INTERNAL: a defect of the gateway.
#[must_use]
pub(in crate::gateway) fn internal(message: &'static str) -> Status {
    with_details(Code::Internal, "INTERNAL", message, Vec::new())
}

/// DEADLINE_EXCEEDED: the command has no outcome yet, and may still take effect.
#[must_use]
pub(super) fn pending(key: &CommandKey, reservation_id: Option<ReservationId>) -> Status {
    let message = "no outcome yet: ask again under the same idempotency key";
    let status = with_details(Code::DeadlineExceeded, "PENDING", message, Vec::new());
    let status = metadata::about(status, key);
    match reservation_id {
        Some(id) => metadata::about_reservation(status, id),
        None => status,
    }
}

impl From<Violation> for Status {
    fn from(violation: Violation) -> Self {
        invalid(&violation)
    }
}

impl From<CommandError> for Status {
    fn from(error: CommandError) -> Self {
        let message = error.to_string();
        match error {
            CommandError::Invalid(rejection) => rejected(&rejection),
            CommandError::NoScope(scope) => no_scope(scope),
            CommandError::ForeignSource => {
                with_details(Code::PermissionDenied, "FOREIGN_SOURCE", message, Vec::new())
            }
            CommandError::Behind { retry_after, .. } => {
                unavailable("QUEUE_BEHIND", message, retry_after)
            }
            CommandError::Full => unavailable("OVERLOADED", message, RETRY_AFTER),
            CommandError::NotPosted { key, .. } => {
                metadata::about(unavailable("QUEUE_UNAVAILABLE", message, RETRY_AFTER), &key)
            }
            CommandError::Unreadable { key, .. } => {
                metadata::about(unavailable("STORE_UNAVAILABLE", message, RETRY_AFTER), &key)
            }
        }
    }
}

impl From<QueryError> for Status {
    fn from(error: QueryError) -> Self {
        let message = error.to_string();
        match error {
            QueryError::NotFound { code, .. } => {
                with_details(Code::NotFound, code, message, Vec::new())
            }
            QueryError::Invalid { field, expected } => {
                Violation::new(request_field(field), expected).into()
            }
            QueryError::NoScope(scope) => no_scope(scope),
            QueryError::TooLarge { .. } => {
                with_details(Code::FailedPrecondition, "POOL_TOO_LARGE", message, Vec::new())
            }
            QueryError::Busy => unavailable("OVERLOADED", message, RETRY_AFTER),
            // What the service said stays in the log.
            QueryError::Unavailable(PortError::Throttled(_) | PortError::Unavailable(_)) => {
                unavailable("STORE_UNAVAILABLE", message, RETRY_AFTER)
            }
            QueryError::Unavailable(PortError::Refused(_) | PortError::Unreadable(_)) => {
                with_details(Code::Internal, "STORE_REFUSED", message, Vec::new())
            }
        }
    }
}

impl From<StreamError> for Status {
    fn from(error: StreamError) -> Self {
        let message = error.to_string();
        match error {
            StreamError::Query(error) => error.into(),
            StreamError::Full | StreamError::FeedsFull => {
                unavailable("STREAMS_FULL", message, STREAMS_RETRY_AFTER)
            }
            StreamError::CallerFull | StreamError::CallerFeedsFull => {
                let details = vec![retry_info(STREAMS_RETRY_AFTER)];
                with_details(Code::ResourceExhausted, "TOO_MANY_STREAMS", message, details)
            }
            StreamError::Draining => unavailable("DRAINING", message, RETRY_AFTER),
            StreamError::ForeignSource => {
                with_details(Code::PermissionDenied, "FOREIGN_SOURCE", message, Vec::new())
            }
            StreamError::NotOffered => {
                with_details(Code::Unimplemented, "RESULTS_NOT_OFFERED", message, Vec::new())
            }
        }
    }
}

/// How a stream ends after its last message.
#[must_use]
pub(in crate::gateway) fn ended(reason: Bye) -> Status {
    let again = "call again, with the last resume_token where there is one";
    match reason {
        Bye::Draining => unavailable("DRAINING", again, RETRY_AFTER),
        Bye::Age => unavailable("STREAM_AGE", again, RETRY_AFTER),
        Bye::Unavailable => unavailable("STORE_UNAVAILABLE", again, RETRY_AFTER),
        Bye::Gone => with_details(Code::NotFound, "EVENT_NOT_FOUND", "event not found", Vec::new()),
        Bye::TooLarge => {
            let message = "the event has become too large to stream";
            with_details(Code::FailedPrecondition, "POOL_TOO_LARGE", message, Vec::new())
        }
    }
}

/// The name in `inventory.proto` of a field of a query.
fn request_field(field: &str) -> &str {
    match field {
        "limit" => "page_size",
        "cursor" => "page_token",
        field => field,
    }
}

fn with_details(code: Code, reason: &str, message: impl Into<String>, details: Vec<Any>) -> Status {
    let message = message.into();
    let (reason, domain) = (reason.to_owned(), DOMAIN.to_owned());
    let info = pb::ErrorInfo { reason, domain, ..pb::ErrorInfo::default() };
    let info = Any { type_url: ErrorInfo::TYPE_URL.to_owned(), value: info.encode_to_vec() };
    let details = [info].into_iter().chain(details).collect();
    let rpc = pb::Status { code: code.into(), message: message.clone(), details };
    let details = rpc.encode_to_vec().into();
    Status::with_details_and_metadata(code, message, details, MetadataMap::new())
}

fn bad_request(field: &str, description: &str) -> Any {
    let violation = pb::bad_request::FieldViolation {
        field: field.to_owned(),
        description: description.to_owned(),
        ..pb::bad_request::FieldViolation::default()
    };
    let value = pb::BadRequest { field_violations: vec![violation] }.encode_to_vec();
    Any { type_url: BadRequest::TYPE_URL.to_owned(), value }
}

fn retry_info(after: Duration) -> Any {
    let delay = prost_types::Duration::try_from(after).ok();
    let value = pb::RetryInfo { retry_delay: delay }.encode_to_vec();
    Any { type_url: RetryInfo::TYPE_URL.to_owned(), value }
}

#[cfg(test)]
mod tests;
