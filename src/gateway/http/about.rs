//! The gateway itself: that it answers, and what.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use tokio_util::sync::CancellationToken;

use super::{Routes, content};
use crate::{
    message::catalog,
    ports::Clock,
    telemetry::{draining_body, health_body},
};

/// What is told of the gateway.
#[derive(Clone)]
pub(super) struct About {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) draining: CancellationToken,
}

pub(super) fn routes() -> Routes<About> {
    Routes::new().get("/health", health).get("/openapi.json", openapi)
}

async fn health(State(About { clock, draining }): State<About>) -> Response {
    let now = clock.now();
    if !draining.is_cancelled() {
        return content::json(&health_body(now));
    }
    let mut response = content::json(&draining_body(now));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

async fn openapi() -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
    (headers, catalog::openapi_json()).into_response()
}
