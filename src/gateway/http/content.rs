//! Bodies: bounded, and refused as problems.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Serialize;

use super::Problem;
use crate::message::to_json;

/// The most bytes of a body.
pub(super) const BODY_BYTES_MAX: usize = 256 * 1024;

/// The media type of bodies that are no events.
pub(super) const JSON: &str = "application/json";

/// The body of a request.
pub(super) struct Content(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Content {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let read = Bytes::from_request(request, state).await;
        read.map(Self).map_err(|refused| match refused.into_response().status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let detail = format!("body: expected {BODY_BYTES_MAX} bytes at most");
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", detail)
            }
            _ => Problem::bad_request("body: it broke off"),
        })
    }
}

/// An answer made for one request: no cache keeps it.
pub(super) fn text(content_type: &'static str, body: String) -> Response {
    let headers = [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-store")];
    (headers, body).into_response()
}

/// [`text`] in JSON.
pub(super) fn json(body: &impl Serialize) -> Response {
    text(JSON, to_json(body))
}

/// The media type of the body, without parameters; empty where there is none.
pub(super) fn media_type(headers: &HeaderMap) -> &str {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

/// 415.
pub(super) fn unsupported(expected: &str) -> Problem {
    let detail = format!("Content-Type: expected {expected}");
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", detail)
}
