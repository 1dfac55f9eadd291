//! What every request passes before its handler: a place in its lane, who calls, and how often.
//!
//! A full lane refuses at once: what cannot be answered soon waits nowhere. A handler that panics
//! fails its request alone.

mod watch;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use futures::FutureExt as _;
use tokio::time::timeout;
use tracing::error;
use url::form_urlencoded;

use super::{
    auth::{AuthError, Authenticator},
    grpc::status,
    http::Problem,
    limits::{CallerRate, Lane, Lanes, Place},
    observer::{Protocol, RequestObserver, RequestTracer, ShedReason},
    server::PeerCertificates,
    streams::{TICKETED_ROUTES, Tickets},
};
use watch::Watch;

/// From a request's place in its lane to the head of its answer: longer than any command is awaited,
/// so that only a body that comes too slowly reaches it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(45);

/// When to try again where the issuer's keys have not been read yet.
const KEYS_RETRY_AFTER: Duration = Duration::from_secs(1);

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
    TooSlow,
    Unknown(AuthError),
    TooOften(Duration),
    Panicked,
}

const PANICKED: &str = "the request failed; the gateway's log says where";

fn problem_of(refused: Refused) -> Problem {
    match refused {
        Refused::Full => {
            Problem::unavailable("OVERLOADED", "too many requests are under way: try again")
        }
        Refused::TooSlow => {
            let detail = "body: expected within 45 s";
            Problem::new(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", detail)
        }
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
        Refused::TooSlow => tonic::Status::cancelled("the message took longer than 45 s"),
        Refused::Unknown(error @ AuthError::KeysUnavailable) => {
            status::unavailable("KEYS_UNAVAILABLE", error.to_string(), KEYS_RETRY_AFTER)
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

fn grpc_lane(path: &str) -> Option<Lane> {
    match path.strip_prefix(INVENTORY_SERVICE)? {
        "HealthCheck" => None,
        "GetAvailableSeats" | "WatchChanges" | "WatchResults" => Some(Lane::Lists),
        _ => Some(Lane::Commands),
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
    if let Some(tracer) = guard.tracer.as_deref().filter(|_| lane.is_some()) {
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
    let Some(lane) = lane else { return Ok(next.run(request).await) };
    let _in_lane = admit(guard, lane, route, &mut request).await?;
    timeout(REQUEST_TIMEOUT, next.run(request)).await.map_err(|_| Refused::TooSlow)
}

/// Lets a request in, and notes who calls.
async fn admit(
    guard: &Guard,
    lane: Lane,
    route: Option<&str>,
    request: &mut Request,
) -> Result<InLane, Refused> {
    let Some(place) = guard.lanes.enter(lane) else {
        guard.observer.shed(ShedReason::LaneFull);
        return Err(Refused::Full);
    };
    guard.observer.in_flight(lane, 1);
    let in_lane = InLane { lane, observer: Arc::clone(&guard.observer), _place: place };
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
    Ok(in_lane)
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
mod tests;
