//! Queries over HTTP.
//!
//! Every answer says what time it is: in `now` where the body is made for the request, and in the
//! header `View-Now`.

mod documents;

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::Response,
};
use serde::Serialize;

use super::{Parameters, Problem, Routes, content::json};
use crate::{
    domain::{PoolId, Reservation, SeatKey, StoreId, Timestamp},
    gateway::{
        Caller, Queries, QueryError,
        queries::{Freshness, LineInfo, PageRequest, SeatFilter, SeatInfo},
        view::Availability,
    },
};

/// Whether an answer comes from memory or from the tables.
const VIEW_SOURCE: HeaderName = HeaderName::from_static("view-source");
/// The time of the answer.
const VIEW_NOW: HeaderName = HeaderName::from_static("view-now");

/// The routes; each handler takes an [`Extension`] of [`Caller`].
pub(super) fn routes() -> Routes<Arc<Queries>> {
    Routes::new()
        .get("/events/{id}/seats", seats)
        .get("/events/{id}/seats/{number}", seat)
        .get("/events/{id}/availability", availability)
        .get("/events/{id}/layout", documents::layout)
        .get("/events/{id}/map", documents::map)
        .get("/reservations/{id}", reservation)
        .get("/inventory/store/{store_id}", store)
}

type Queried = State<Arc<Queries>>;
pub(super) type Called = Extension<Caller>;
pub(super) type PathOf<T> = Result<Path<T>, PathRejection>;

async fn seats(
    State(queries): Queried,
    Extension(caller): Called,
    path: PathOf<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let event_id = event_id(&in_path(path)?)?;
    let known = ["sellable", "status", "section", "limit", "cursor"];
    let parameters = Parameters::parse(query.as_deref(), &known)?;
    let filter = SeatFilter {
        sellable: parameters.flag("sellable")?,
        status: parameters.status("status")?,
        section: parameters.parsed("section")?,
    };
    let request = page_request(&parameters)?;
    let found = queries.seats(&caller, event_id, &filter, &request).await?;
    let Freshness { as_of, now, .. } = found.freshness;
    let next_cursor = found.next_cursor.as_deref();
    let mut response = json(&SeatsBody { seats: &found.seats, next_cursor, as_of, now });
    found.freshness.write(response.headers_mut());
    if let Some(cursor) = next_cursor {
        let path = format!("/events/{event_id}/seats");
        response.headers_mut().extend(next_link(&path, &parameters, cursor));
    }
    Ok(response)
}

async fn seat(
    State(queries): Queried,
    Extension(caller): Called,
    path: PathOf<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let (event, number) = in_path(path)?;
    let event_id = event_id(&event)?;
    let number = number.parse().map_err(|wrong| QueryError::invalid("number", wrong))?;
    Parameters::none(query.as_deref())?;
    let found = queries.seat(&caller, &SeatKey { event_id, number }).await?;
    Ok(point(found.freshness, &SeatBody { event_id, seat: &found.seat, now: found.freshness.now }))
}

async fn reservation(
    State(queries): Queried,
    Extension(caller): Called,
    path: PathOf<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let id =
        in_path(path)?.parse().map_err(|wrong| QueryError::invalid("reservation id", wrong))?;
    Parameters::none(query.as_deref())?;
    let found = queries.reservation(&caller, id).await?;
    let now = found.freshness.now;
    Ok(point(found.freshness, &ReservationBody { reservation: &found.reservation, now }))
}

async fn availability(
    State(queries): Queried,
    Extension(caller): Called,
    path: PathOf<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let event_id = event_id(&in_path(path)?)?;
    Parameters::none(query.as_deref())?;
    let found = queries.availability(&caller, event_id).await?;
    let Freshness { as_of, now, .. } = found.freshness;
    let availability = &*found.availability;
    let mut response = json(&AvailabilityBody { event_id, availability, as_of, now });
    found.freshness.write(response.headers_mut());
    Ok(response)
}

async fn store(
    State(queries): Queried,
    Extension(caller): Called,
    path: PathOf<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let store_id: StoreId =
        in_path(path)?.parse().map_err(|wrong| QueryError::invalid("store_id", wrong))?;
    let parameters = Parameters::parse(query.as_deref(), &["limit", "cursor"])?;
    let request = page_request(&parameters)?;
    let found = queries.lines(&caller, &PoolId::Store(store_id.clone()), &request).await?;
    let rows: Vec<StoreRow<'_>> =
        found.lines.iter().map(|line| StoreRow { store_id: &store_id, line }).collect();
    let mut response = json(&rows);
    found.freshness.write(response.headers_mut());
    if let Some(cursor) = &found.next_cursor {
        let path = format!("/inventory/store/{store_id}");
        response.headers_mut().extend(next_link(&path, &parameters, cursor));
    }
    Ok(response)
}

#[derive(Serialize)]
struct SeatsBody<'a> {
    seats: &'a [SeatInfo],
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<&'a str>,
    as_of: Timestamp,
    now: Timestamp,
}

#[derive(Serialize)]
struct SeatBody<'a> {
    event_id: u64,
    seat: &'a SeatInfo,
    now: Timestamp,
}

#[derive(Serialize)]
struct ReservationBody<'a> {
    reservation: &'a Reservation,
    now: Timestamp,
}

#[derive(Serialize)]
struct AvailabilityBody<'a> {
    event_id: u64,
    #[serde(flatten)]
    availability: &'a Availability,
    as_of: Timestamp,
    now: Timestamp,
}

#[derive(Serialize)]
struct StoreRow<'a> {
    store_id: &'a StoreId,
    #[serde(flatten)]
    line: &'a LineInfo,
}

/// The parts of a path that are variable.
pub(super) fn in_path<T>(path: PathOf<T>) -> Result<T, Problem> {
    let Path(parts) = path.map_err(|_| Problem::bad_request("path: expected UTF-8"))?;
    Ok(parts)
}

/// The id of an event: canonical, so that one event has one address.
pub(super) fn event_id(text: &str) -> Result<u64, QueryError> {
    let pool: Option<PoolId> = format!("event#{text}").parse().ok();
    pool.and_then(|pool| pool.event_id()).ok_or_else(|| QueryError::Invalid {
        field: "event id",
        expected: format!("an integer from 0 to {}", crate::domain::ids::EVENT_ID_MAX),
    })
}

fn page_request(parameters: &Parameters) -> Result<PageRequest, Problem> {
    Ok(PageRequest {
        limit: parameters.limit("limit")?,
        cursor: parameters.get("cursor").map(str::to_owned),
    })
}

/// `Link` to the next page: the same query, from the cursor on.
fn next_link(
    path: &str,
    parameters: &Parameters,
    cursor: &str,
) -> Option<(HeaderName, HeaderValue)> {
    let link = format!("<{path}?{}>; rel=\"next\"", parameters.with("cursor", cursor));
    HeaderValue::try_from(link).ok().map(|link| (header::LINK, link))
}

/// The answer of a point read.
fn point(freshness: Freshness, body: &impl Serialize) -> Response {
    let mut response = json(body);
    freshness.write(response.headers_mut());
    response
}

impl Freshness {
    /// `Age`, in whole seconds, `View-Source` and `View-Now`.
    fn write(&self, headers: &mut HeaderMap) {
        headers.insert(header::AGE, HeaderValue::from(self.age.as_secs()));
        headers.insert(VIEW_SOURCE, HeaderValue::from_static(self.source.as_str()));
        if let Ok(now) = HeaderValue::try_from(self.now.to_string()) {
            headers.insert(VIEW_NOW, now);
        }
    }
}

#[cfg(test)]
mod tests;
