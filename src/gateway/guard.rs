//! What every request passes before its handler: a place in its lane, who calls, and how often.
//!
//! A full lane refuses at once: what cannot be answered soon waits nowhere. The body has a time of its
//! own, which a handler's wait does not share. A handler that panics fails its request alone.

mod body;
mod watch;

use std::{
    io,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, HttpBody as _},
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, Method, StatusCode},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use futures::FutureExt as _;
use hyper::body::Frame;
use tokio::{
    task::AbortHandle,
    time::{sleep, timeout},
};
use tracing::error;
use url::form_urlencoded;

use super::{
    auth::{AuthError, Authenticator},
    grpc::status,
    http::Problem,
    limits::{CallerRate, Lane, Lanes, Place},
    observer::{Protocol, RequestObserver, RequestTracer, ShedReason},
    server::PeerCertificates,
    streams::{Bye, STREAM_AGE, TICKETED_ROUTES, Tickets},
};
use body::EndingBody;
use watch::Watch;

/// How long a request's body may take to come. What has not come whole is not posted.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// The same for what needs no place in a lane, such as a health check: its message comes with it.
const CHECK_BODY_TIMEOUT: Duration = Duration::from_secs(2);

/// From a request's place in its lane to the head of its answer. Longer than a body may take and a
/// command is awaited (20 s) together: no caller whose command is posted is told this in place of
/// its id.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(45);

/// When to try again, where nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Guards the requests of one face. Clones share lanes and rates.
#[derive(Clone)]
pub struct Guard {
    /// How the requests come.
    pub protocol: Protocol,
    /// Says who calls.
    pub authenticator: Arc<Authenticator>,
    /// Opens streams to those who cannot authenticate otherwise.
    pub tickets: Arc<Tickets>,
    /// Bounds what is in flight.
    pub lanes: Arc<Lanes>,
    /// Bounds each caller.
    pub rate: Arc<CallerRate>,
    /// Measures.
    pub observer: Arc<dyn RequestObserver>,
    /// Where the spans of requests go, if they are exported.
    pub tracer: Option<Arc<dyn RequestTracer>>,
}

impl Guard {
    /// The routes, guarded. Each handler finds its [`super::Caller`] in the request's extensions,
    /// but for those that need none.
    pub fn protect(self, router: Router) -> Router {
        router.layer(from_fn_with_state(self, pass))
    }

    /// What is said to a request that does not pass.
    fn refusal(&self, refused: Refused) -> Response {
        match self.protocol {
            Protocol::Http => problem_of(refused).into_response(),
            Protocol::Grpc => status_of(refused).into_http(),
        }
    }

    /// The lane of a request; `None` for what everyone may ask at any time.
    fn lane_of(&self, path: &str, route: Option<&str>) -> Option<Lane> {
        match self.protocol {
            Protocol::Http => http_lane(route?),
            Protocol::Grpc => grpc_lane(path),
        }
    }
}

/// Why a request has no answer of its handler's.
enum Refused {
    Full,
    SlowBody(Duration),
    SlowAnswer,
    Unknown(AuthError),
    TooOften(Duration),
    Panicked,
}

const NO_ANSWER: &str = "there was no answer within 45 s: try again";
const PANICKED: &str = "the request failed; the gateway's log says where";

fn problem_of(refused: Refused) -> Problem {
    match refused {
        Refused::Full => {
            Problem::unavailable("OVERLOADED", "too many requests are under way: try again")
        }
        Refused::SlowBody(within) => {
            let detail = format!("body: expected within {} s", within.as_secs());
            Problem::new(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", detail)
        }
        Refused::SlowAnswer => Problem::unavailable("NO_ANSWER", NO_ANSWER),
        Refused::Unknown(error @ AuthError::KeysUnavailable) => {
            Problem::unavailable("KEYS_UNAVAILABLE", error.to_string())
        }
        Refused::Unknown(error) => Problem::unauthenticated(error.to_string()),
        Refused::TooOften(after) => {
            let detail = "too many requests of this caller: slow down";
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", detail)
                .with_retry_after(after)
        }
        Refused::Panicked => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", PANICKED),
    }
}

fn status_of(refused: Refused) -> tonic::Status {
    match refused {
        Refused::Full => status::overloaded(),
        Refused::SlowBody(within) => {
            tonic::Status::cancelled(format!("the message took longer than {} s", within.as_secs()))
        }
        Refused::SlowAnswer => status::unavailable("NO_ANSWER", NO_ANSWER, RETRY_AFTER),
        Refused::Unknown(error @ AuthError::KeysUnavailable) => {
            status::unavailable("KEYS_UNAVAILABLE", error.to_string(), RETRY_AFTER)
        }
        Refused::Unknown(error) => status::unauthenticated(error.to_string()),
        Refused::TooOften(after) => status::rate_limited(after),
        Refused::Panicked => status::internal(PANICKED),
    }
}

/// A page, a health check or a document that holds nothing of anyone's has no lane, and neither has
/// a route that does not exist.
fn http_lane(route: &str) -> Option<Lane> {
    match route {
        "/" | "/health" | "/openapi.json" => None,
        "/overview" | "/results" => Some(Lane::Lists),
        "/events/{id}/seats/{number}" => Some(Lane::Commands),
        _ if route.starts_with("/events/") || route.starts_with("/inventory/store/") => {
            Some(Lane::Lists)
        }
        _ => Some(Lane::Commands),
    }
}

/// The prefix of the calls that need a caller; health and reflection are others.
const INVENTORY_SERVICE: &str = "/inventory.v1.InventoryService/";

/// The check of `grpc.health.v1`; what is left is streams.
const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";

/// A health check has no lane: however many others ask, and however slowly, the cluster's own is
/// answered.
fn grpc_lane(path: &str) -> Option<Lane> {
    match path.strip_prefix(INVENTORY_SERVICE) {
        Some("HealthCheck") => None,
        Some("GetAvailableSeats" | "WatchChanges" | "WatchResults") => Some(Lane::Lists),
        Some(_) => Some(Lane::Commands),
        None if path == HEALTH_CHECK => None,
        None => Some(Lane::Watches),
    }
}

/// A place in a lane that is counted.
struct InLane {
    lane: Lane,
    observer: Arc<dyn RequestObserver>,
    _place: Place,
}

impl Drop for InLane {
    fn drop(&mut self) {
        self.observer.in_flight(self.lane, -1);
    }
}

async fn pass(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map(MatchedPath::as_str);
    let path = request.uri().path();
    let lane = guard.lane_of(path, route);
    let operation = operation(guard.protocol, request.method(), path, route);
    let mut watch = Watch::begin(Arc::clone(&guard.observer), guard.protocol, operation);
    // Health checks come all the time, and whoever looks for routes that do not exist.
    let is_traced = lane.is_some_and(Lane::needs_caller);
    if let Some(tracer) = guard.tracer.as_deref().filter(|_| is_traced) {
        watch.trace(tracer, request.headers_mut());
    }
    let answered = AssertUnwindSafe(answer(&guard, lane, route, (request, next)));
    let answered = answered.catch_unwind().await.unwrap_or_else(|_| {
        error!(operation = watch.operation(), "a handler panicked");
        Err(Refused::Panicked)
    });
    watch.answered(answered.unwrap_or_else(|refused| guard.refusal(refused)))
}

async fn answer(
    guard: &Guard,
    lane: Option<Lane>,
    route: Option<&str>,
    (mut request, next): (Request, Next),
) -> Result<Response, Refused> {
    let in_lane = lane.map(|lane| enter(guard, lane)).transpose()?;
    if lane.is_some_and(Lane::needs_caller) {
        identify(guard, route, &mut request).await?;
    }
    let is_late = Arc::<AtomicBool>::default();
    let body_within = if lane.is_none() { CHECK_BODY_TIMEOUT } else { BODY_TIMEOUT };
    let request = match lane {
        // Reflection asks for as long as it is answered: both end by age.
        Some(Lane::Watches) => request,
        _ => request.map(|body| in_time(body, body_within, &is_late)),
    };
    let answered = timeout(ANSWER_TIMEOUT, next.run(request)).await;
    // A handler whose body ends early says something else of it.
    if is_late.load(Ordering::Relaxed) {
        return Err(Refused::SlowBody(body_within));
    }
    let response = answered.map_err(|_| Refused::SlowAnswer)?;
    Ok(match in_lane {
        Some(place) if place.lane == Lane::Watches => response.map(|body| until_age(body, place)),
        _ => response,
    })
}

/// The body of a request, which breaks off where it takes too long.
fn in_time(body: Body, within: Duration, is_late: &Arc<AtomicBool>) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let is_late = Arc::clone(is_late);
    let break_off = move || {
        is_late.store(true, Ordering::Relaxed);
        Err(axum::Error::new(io::Error::from(io::ErrorKind::TimedOut)))
    };
    EndingBody::after(within, body, break_off)
}

/// The answer of a stream that has no [`Life`](super::streams::Life), which lasts as long as one that
/// has. Its place is kept until it ends, and no longer than that, even where a caller who takes nothing
/// keeps it from ending.
fn until_age(body: Body, place: InLane) -> Body {
    let place = PlaceUntil::after(STREAM_AGE, place);
    let end = move || {
        drop(place);
        let mut trailers = HeaderMap::new();
        // Its text is ASCII.
        let _ = status::ended(Bye::Age).add_header(&mut trailers);
        Ok(Frame::trailers(trailers))
    };
    EndingBody::after(STREAM_AGE, body, end)
}

/// A place that is given back at an instant, if not before.
struct PlaceUntil {
    place: Arc<Mutex<Option<InLane>>>,
    ending: AbortHandle,
}

impl PlaceUntil {
    fn after(time: Duration, place: InLane) -> Self {
        let place = Arc::new(Mutex::new(Some(place)));
        let kept = Arc::clone(&place);
        let ending = tokio::spawn(async move {
            sleep(time).await;
            give_back(&kept);
        });
        Self { place, ending: ending.abort_handle() }
    }
}

impl Drop for PlaceUntil {
    fn drop(&mut self) {
        self.ending.abort();
        give_back(&self.place);
    }
}

fn give_back(place: &Mutex<Option<InLane>>) {
    drop(place.lock().unwrap_or_else(PoisonError::into_inner).take());
}

/// Lets a request into its lane.
fn enter(guard: &Guard, lane: Lane) -> Result<InLane, Refused> {
    let Some(place) = guard.lanes.enter(lane) else {
        guard.observer.shed(ShedReason::LaneFull);
        return Err(Refused::Full);
    };
    guard.observer.in_flight(lane, 1);
    Ok(InLane { lane, observer: Arc::clone(&guard.observer), _place: place })
}

/// Notes who calls.
async fn identify(
    guard: &Guard,
    route: Option<&str>,
    request: &mut Request,
) -> Result<(), Refused> {
    let caller = match ticket(route, request) {
        Some(ticket) => guard.tickets.redeem(&ticket).ok_or(AuthError::Ticket),
        None => {
            let certificates = request.extensions().get::<PeerCertificates>();
            guard.authenticator.authenticate(request.headers(), certificates).await
        }
    };
    let caller = caller.map_err(Refused::Unknown)?;
    guard.rate.check(&caller.subject).map_err(|after| {
        guard.observer.shed(ShedReason::Rate);
        Refused::TooOften(after)
    })?;
    request.extensions_mut().insert(caller);
    Ok(())
}

/// The ticket of a request for a stream. Others have none, whatever their query.
fn ticket(route: Option<&str>, request: &Request) -> Option<String> {
    let is_stream = route.is_some_and(|route| TICKETED_ROUTES.contains(&route));
    let query = request.uri().query().filter(|_| is_stream && request.method() == Method::GET)?;
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    parameters.find(|(name, _)| name == "ticket").map(|(_, ticket)| ticket.into_owned())
}

const UNKNOWN: &str = "unknown";

/// The calls that exist; the names of others are the caller's, and no label.
const CALLS: [&str; 14] = [
    "GetAvailableSeats",
    "GetSeat",
    "GetReservation",
    "ReserveSeats",
    "ConfirmReservations",
    "CancelReservations",
    "ExtendReservation",
    "Restock",
    "WatchChanges",
    "WatchResults",
    "HealthCheck",
    "Check",
    "Watch",
    "ServerReflectionInfo",
];

fn operation(protocol: Protocol, method: &Method, path: &str, route: Option<&str>) -> String {
    match (protocol, route) {
        (Protocol::Http, Some(route)) if is_usual(method) => format!("{method} {route}"),
        (Protocol::Http, _) => UNKNOWN.to_owned(),
        (Protocol::Grpc, _) => {
            let called = path.rsplit('/').next().unwrap_or(UNKNOWN);
            let known = CALLS.into_iter().find(|call| *call == called);
            known.unwrap_or(UNKNOWN).to_owned()
        }
    }
}

/// A method may be any token.
fn is_usual(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::POST, Method::DELETE, Method::OPTIONS].contains(method)
}

#[cfg(test)]
pub(in crate::gateway) mod tests;
