//! Errors as problem details (RFC 9457): the one place that maps errors to HTTP.

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{
    domain::{CommandKey, RejectedLine, Rejection, RejectionCode, SeatNumber},
    gateway::{CommandError, EventError, QueryError, Scope, streams::StreamError},
    ports::PortError,
};

/// The media type of problem details.
const PROBLEM_JSON: &str = "application/problem+json";

/// How long a caller waits before it tries again, where nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The same, where streams have to end first.
const STREAMS_RETRY_AFTER: Duration = Duration::from_secs(5);

/// An error as a caller sees it. Never holds a value that the caller sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    retry_after: Option<Duration>,
    body: Box<Body>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Body {
    title: &'static str,
    status: u16,
    detail: String,
    code: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    seats: Vec<SeatNumber>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<RejectedLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<CommandKey>,
}

impl Problem {
    /// A problem with a code for programs and a detail for people, which names the field and the
    /// fix.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        let (status_number, detail) = (status.as_u16(), detail.into());
        let body = Body {
            title,
            status: status_number,
            detail,
            code,
            seats: Vec::new(),
            lines: Vec::new(),
            command: None,
        };
        Self { status, retry_after: None, body: Box::new(body) }
    }

    /// 400: a path, parameter or header that is wrong; `detail` names it and what was expected.
    #[must_use]
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "INVALID_REQUEST", detail)
    }

    /// 404.
    #[must_use]
    pub fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// 401, with what to send.
    #[must_use]
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", detail)
    }

    /// 403: the caller lacks a scope.
    #[must_use]
    pub fn no_scope(scope: Scope) -> Self {
        let detail = format!("the scope {scope} is required");
        Self::new(StatusCode::FORBIDDEN, "SCOPE_REQUIRED", detail)
    }

    /// 503, to be retried.
    #[must_use]
    pub fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).with_retry_after(RETRY_AFTER)
    }

    /// With `Retry-After`, in whole seconds, at least one.
    #[must_use]
    pub fn with_retry_after(self, after: Duration) -> Self {
        Self { retry_after: Some(after), ..self }
    }

    /// With the identity of the command that it is about.
    #[must_use]
    pub fn about(mut self, command: &CommandKey) -> Self {
        self.body.command = Some(command.clone());
        self
    }

    /// The rejection of a command.
    #[must_use]
    pub fn rejected(rejection: &Rejection) -> Self {
        let mut problem = Self::new(
            status_of(rejection.code),
            rejection.code.as_str(),
            rejection.message.clone(),
        );
        problem.body.seats.clone_from(&rejection.seats);
        problem.body.lines.clone_from(&rejection.lines);
        problem
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

/// The status that stands for a rejection.
#[must_use]
pub fn status_of(code: RejectionCode) -> StatusCode {
    use RejectionCode as Code;
    match code {
        Code::InvalidMessage | Code::UnsupportedType => StatusCode::BAD_REQUEST,
        Code::CommandIdReused | Code::LimitExceeded => StatusCode::UNPROCESSABLE_ENTITY,
        Code::SeatNotFound | Code::SkuNotFound | Code::ReservationNotFound => StatusCode::NOT_FOUND,
        Code::NotOwner => StatusCode::FORBIDDEN,
        Code::ReservationExpired | Code::CommandExpired => StatusCode::GONE,
        Code::SeatsUnavailable
        | Code::InsufficientStock
        | Code::VersionMismatch
        | Code::NotReserved
        | Code::ReservationExists
        | Code::ReservationCancelled
        | Code::ReservationActive
        | Code::ReservationConfirmed
        | Code::ReservationFulfilled
        | Code::NotYetExpired => StatusCode::CONFLICT,
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        let detail = error.to_string();
        match error {
            CommandError::Invalid(rejection) => Self::rejected(&rejection),
            CommandError::NoScope(scope) => Self::no_scope(scope),
            CommandError::ForeignSource => {
                Self::new(StatusCode::FORBIDDEN, "FOREIGN_SOURCE", detail)
            }
            CommandError::Behind { retry_after, .. } => {
                Self::unavailable("QUEUE_BEHIND", detail).with_retry_after(retry_after)
            }
            CommandError::Full => Self::unavailable("OVERLOADED", detail),
            CommandError::NotPosted { key, .. } => {
                Self::unavailable("QUEUE_UNAVAILABLE", detail).about(&key)
            }
            CommandError::Unreadable { key } => {
                Self::unavailable("STORE_UNAVAILABLE", detail).about(&key)
            }
        }
    }
}

impl From<EventError> for Problem {
    fn from(EventError { key, error }: EventError) -> Self {
        let problem = Self::from(error);
        match key {
            Some(key) => problem.about(&key),
            None => problem,
        }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let detail = error.to_string();
        match error {
            QueryError::NotFound { code, .. } => Self::not_found(code, detail),
            QueryError::Invalid { .. } => Self::bad_request(detail),
            QueryError::NoScope(scope) => Self::no_scope(scope),
            QueryError::TooLarge { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "POOL_TOO_LARGE", detail)
            }
            QueryError::Busy => Self::unavailable("OVERLOADED", detail),
            QueryError::Unavailable(error) => Self::from(error),
        }
    }
}

impl From<StreamError> for Problem {
    fn from(error: StreamError) -> Self {
        let detail = error.to_string();
        match error {
            StreamError::Query(error) => error.into(),
            StreamError::Full | StreamError::FeedsFull => {
                Self::unavailable("STREAMS_FULL", detail).with_retry_after(STREAMS_RETRY_AFTER)
            }
            StreamError::CallerFull | StreamError::CallerFeedsFull => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_STREAMS", detail)
                    .with_retry_after(STREAMS_RETRY_AFTER)
            }
            StreamError::Draining => Self::unavailable("DRAINING", detail),
            StreamError::ForeignSource => {
                Self::new(StatusCode::FORBIDDEN, "FOREIGN_SOURCE", detail)
            }
            StreamError::NotOffered => {
                Self::new(StatusCode::NOT_IMPLEMENTED, "RESULTS_NOT_OFFERED", detail)
            }
        }
    }
}

/// A table that cannot be read. What the service said stays in the log.
impl From<PortError> for Problem {
    fn from(error: PortError) -> Self {
        match error {
            PortError::Throttled(_) | PortError::Unavailable(_) => {
                Self::unavailable("STORE_UNAVAILABLE", "the tables cannot be read: try again")
            }
            PortError::Refused(_) | PortError::Unreadable(_) => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "STORE_REFUSED",
                "the tables cannot be read; the gateway's log says why",
            ),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let json = crate::message::to_json(&self.body);
        let content_type = HeaderValue::from_static(PROBLEM_JSON);
        let mut response =
            (self.status, [(header::CONTENT_TYPE, content_type)], json).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0));
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
