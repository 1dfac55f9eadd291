//! Layouts and maps: encoded and compressed once.

use axum::{
    Extension,
    extract::{RawQuery, State},
    http::HeaderMap,
    response::Response,
};

use super::{Called, Parameters, PathOf, Problem, Queried, event_id, in_path};
use crate::gateway::{http::negotiation, queries::DocumentAnswer};

pub(super) async fn layout(
    State(queries): Queried,
    Extension(caller): Called,
    path: PathOf<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let event_id = event_id(&in_path(path)?)?;
    Parameters::none(query.as_deref())?;
    Ok(respond(&queries.layout(&caller, event_id).await?, &headers))
}

pub(super) async fn map(
    State(queries): Queried,
    Extension(caller): Called,
    path: PathOf<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let event_id = event_id(&in_path(path)?)?;
    Parameters::none(query.as_deref())?;
    Ok(respond(&queries.map(&caller, event_id).await?, &headers))
}

/// The document in the form that the caller takes, or that it has not changed.
fn respond(answer: &DocumentAnswer, request: &HeaderMap) -> Response {
    let mut response = negotiation::respond(&answer.document, "application/json", request);
    answer.freshness.write(response.headers_mut());
    response
}
