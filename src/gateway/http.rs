//! The HTTP face.
//!
//! A request passes: connection (TLS, limits of its head) → lane (shed before it queues) → caller
//! (who, and at what rate) → handler. Handlers take an [`axum::Extension`] of [`super::Caller`].
//!
//! `schemas/openapi.yaml` describes it; tests hold [`routes`] and answers against it.

mod about;
pub mod commands;
mod content;
mod negotiation;
mod overview;
pub mod page;
mod parameters;
pub mod problem;
pub mod queries;
mod routes;
mod streams;
mod stress;

use std::sync::Arc;

use axum::{Router, extract::DefaultBodyLimit, http::StatusCode};
use tokio_util::sync::CancellationToken;

use super::{
    Commands, Overview, Queries, Stress,
    streams::{Changes, Results, Tickets},
};
use crate::ports::Clock;
use parameters::Parameters;
pub use problem::Problem;
pub use routes::Route;
use routes::Routes;
use streams::StreamState;

/// What the handlers work on.
#[derive(Clone)]
pub struct HttpState {
    /// Posts commands.
    pub commands: Arc<Commands>,
    /// Looks things up.
    pub queries: Arc<Queries>,
    /// Streams what changes.
    pub changes: Changes,
    /// Streams results.
    pub results: Results,
    /// Tickets for streams.
    pub tickets: Arc<Tickets>,
    /// The figures at a glance.
    pub overview: Arc<Overview>,
    /// Storms; `None` where they are not allowed.
    pub stress: Option<Arc<Stress>>,
    /// The time at `/health`.
    pub clock: Arc<dyn Clock>,
    /// Cancelled once the gateway is about to stop, which `/health` tells.
    pub draining: CancellationToken,
}

/// Every operation that [`router`] answers.
#[must_use]
pub fn routes() -> Vec<Route> {
    [
        commands::routes().listed,
        queries::routes().listed,
        streams::routes().listed,
        overview::routes().listed,
        stress::routes().listed,
        about::routes().listed,
    ]
    .concat()
}

/// The HTTP API. Its handlers take an [`axum::Extension`] of [`super::Caller`], apart from those of
/// `/health` and `/openapi.json`.
pub fn router(state: HttpState) -> Router {
    let HttpState { commands, queries, changes, results, tickets, .. } = state;
    let HttpState { overview, stress, clock, draining, .. } = state;
    commands::routes()
        .router
        .with_state(commands)
        .merge(queries::routes().router.with_state(queries))
        .merge(streams::routes().router.with_state(StreamState { changes, results, tickets }))
        .merge(overview::routes().router.with_state(overview))
        .merge(stress::routes().router.with_state(stress))
        .merge(about::routes().router.with_state(about::About { clock, draining }))
        .fallback(|| async { no_route() })
        .method_not_allowed_fallback(|| async { wrong_method() })
        .layer(DefaultBodyLimit::max(content::BODY_BYTES_MAX))
}

fn no_route() -> Problem {
    Problem::not_found("ROUTE_NOT_FOUND", "path: expected one of those in /openapi.json")
}

/// The router adds `Allow`.
fn wrong_method() -> Problem {
    let detail = "method: expected one of those in Allow";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", detail)
}
