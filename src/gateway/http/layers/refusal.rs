//! What is refused before a handler, in the form of each protocol.

use std::{borrow::Cow, time::Duration};

use axum::{
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::BODY_BYTES_MAX;
use crate::gateway::{auth::AuthError, http::Problem, limits::Lane, observer::Protocol};

/// When to try again, where a lane was full.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a request does not reach its handler, or has no answer from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The lane is full.
    Overloaded(Lane),
    /// Nobody knows who calls.
    Unknown(AuthError),
    /// The caller's bucket is empty, for so long.
    TooOften(Duration),
    /// The body is longer than it may be.
    TooLarge,
    /// The handler panicked.
    Panicked,
}

impl Refusal {
    /// Why it was shed, if it was.
    pub(super) fn shed(&self) -> Option<&'static str> {
        match self {
            Self::Overloaded(lane) => Some(lane.as_str()),
            Self::TooOften(_) => Some("rate"),
            Self::Unknown(_) | Self::TooLarge | Self::Panicked => None,
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Overloaded(lane) => format!("too many {} are being answered", lane.as_str()),
            Self::Unknown(error) => error.to_string(),
            Self::TooOften(_) => "this caller calls more often than it may".to_owned(),
            Self::TooLarge => format!("body: expected at most {BODY_BYTES_MAX} bytes"),
            Self::Panicked => "the request failed; the gateway's log says why".to_owned(),
        }
    }

    pub(super) fn into_response(self, protocol: Protocol) -> Response {
        match protocol {
            Protocol::Http => self.problem().into_response(),
            Protocol::Grpc => self.status().into_http(),
        }
    }

    fn problem(self) -> Problem {
        let detail = self.detail();
        match self {
            Self::Overloaded(_) => Problem::unavailable("OVERLOADED", detail),
            Self::Unknown(AuthError::KeysUnavailable) => {
                Problem::unavailable("KEYS_UNAVAILABLE", detail)
            }
            Self::Unknown(_) => Problem::unauthenticated(detail),
            Self::TooOften(wait) => {
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", detail)
                    .with_retry_after(wait)
            }
            Self::TooLarge => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", detail),
            Self::Panicked => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", detail),
        }
    }

    fn status(self) -> Status {
        let detail = self.detail();
        let with_retry = |code, after| {
            Status::with_error_details(code, &detail, ErrorDetails::with_retry_info(Some(after)))
        };
        match self {
            Self::Overloaded(_) | Self::Unknown(AuthError::KeysUnavailable) => {
                with_retry(Code::Unavailable, RETRY_AFTER)
            }
            Self::Unknown(_) => Status::unauthenticated(detail),
            Self::TooOften(wait) => with_retry(Code::ResourceExhausted, wait),
            Self::TooLarge => Status::resource_exhausted(detail),
            Self::Panicked => Status::internal(detail),
        }
    }
}

/// The code of an answer, as metrics have it. An answer of gRPC whose status comes at its end counts
/// as `OK`.
pub(super) fn code(protocol: Protocol, response: &Response) -> Cow<'static, str> {
    match protocol {
        Protocol::Http => response.status().as_u16().to_string().into(),
        Protocol::Grpc => match Status::from_header_map(response.headers()) {
            Some(status) => name(status.code()).into(),
            None => "OK".into(),
        },
    }
}

/// <https://grpc.github.io/grpc/core/md_doc_statuscodes.html>
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
