//! The gateway itself: that it answers, and what.

use std::sync::Arc;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use super::{Routes, content};
use crate::{message::catalog, ports::Clock, telemetry::health_body};

pub(super) fn routes() -> Routes<Arc<dyn Clock>> {
    Routes::new().get("/health", health).get("/openapi.json", openapi)
}

async fn health(State(clock): State<Arc<dyn Clock>>) -> Response {
    content::json(&health_body(clock.now()))
}

async fn openapi() -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
    (headers, catalog::openapi_json()).into_response()
}
