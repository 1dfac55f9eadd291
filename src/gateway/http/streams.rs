//! Streams over HTTP: server-sent events, polls for those who cannot stream, and tickets.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use futures::{Stream, stream};
use serde::Serialize;

use super::{
    Parameters, Problem, Routes,
    content::json,
    queries::{Called, PathOf, event_id, in_path},
};
use crate::{
    domain::Timestamp,
    gateway::{
        Scope,
        queries::allow,
        streams::{
            Changes, IssuedTicket, Opened, OpenedResults, Results, ResultsFilter, Tickets, sse,
        },
    },
};

/// What a client that was cut off has (HTML, server-sent events).
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Tells nginx to hand on what it gets.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What the handlers work on.
#[derive(Clone)]
pub(super) struct StreamState {
    pub(super) changes: Changes,
    pub(super) results: Results,
    pub(super) tickets: Arc<Tickets>,
}

/// The routes; each handler takes an [`Extension`] of [`crate::gateway::Caller`].
pub(super) fn routes() -> Routes<StreamState> {
    Routes::new()
        .get("/events/{id}/changes", changes)
        .get("/results", results)
        .post("/stream-tickets", ticket)
}

/// A ticket in the query has been redeemed before.
async fn changes(
    State(state): State<StreamState>,
    Extension(caller): Called,
    path: PathOf<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let event_id = event_id(&in_path(path)?)?;
    let parameters = Parameters::parse(query.as_deref(), &["since", "wait", "ticket"])?;
    let wait = parameters.wait("wait")?;
    // A client that reconnects repeats the query of its first request.
    let returned = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
    let since = returned.filter(|id| !id.is_empty()).or_else(|| parameters.get("since"));
    let Opened { reader, life } = state.changes.open(&caller, event_id, since).await?;
    Ok(match wait {
        None => events(sse::body(reader, life)),
        Some(wait) => {
            // The head is sent at once: who waits for changes takes no room from requests.
            let body = async move { reader.poll(life, wait).await.map(Bytes::from) };
            answer("application/json", Body::from_stream(stream::once(body)))
        }
    })
}

async fn results(
    State(state): State<StreamState>,
    Extension(caller): Called,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let parameters = Parameters::parse(query.as_deref(), &["pool", "source"])?;
    let (pool, source) = (parameters.parsed("pool")?, parameters.parsed("source")?);
    let OpenedResults { reader, life } =
        state.results.open(&caller, ResultsFilter { pool, source })?;
    Ok(events(sse::body(reader, life)))
}

async fn ticket(
    State(state): State<StreamState>,
    Extension(caller): Called,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Parameters::none(query.as_deref())?;
    allow(&caller, Scope::Read)?;
    let IssuedTicket { text, expires_at } = state.tickets.issue(&caller)?;
    let mut response = json(&TicketBody { ticket: &text, expires_at });
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

#[derive(Serialize)]
struct TicketBody<'a> {
    ticket: &'a str,
    expires_at: Timestamp,
}

/// An answer of server-sent events.
fn events(body: impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static) -> Response {
    answer("text/event-stream", Body::from_stream(body))
}

/// An answer that comes in pieces, which nothing on the way may keep.
fn answer(content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(BUFFERING, HeaderValue::from_static("no"));
    response
}

/// The longest that a poll waits, seconds.
const WAIT_MAX: u64 = 20;

impl Parameters {
    /// Whole seconds that a poll waits.
    fn wait(&self, name: &'static str) -> Result<Option<Duration>, Problem> {
        let expected = "whole seconds from 0 to 20";
        let read = |text: &str| text.parse().ok().filter(|seconds| *seconds <= WAIT_MAX);
        Ok(self.read(name, expected, read)?.map(Duration::from_secs))
    }
}

#[cfg(test)]
mod tests;
