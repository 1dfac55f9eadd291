//! What every request passes before its handler, over HTTP and gRPC alike: its lane, its caller and
//! the caller's rate. What is refused here is answered in the protocol's own form.

mod body;
mod refusal;

use std::{panic::AssertUnwindSafe, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Request, State},
    http::request::Parts,
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use futures::FutureExt as _;
use tokio::time::Instant;
use tracing::error;

use crate::gateway::{
    Caller,
    auth::Authenticator,
    limits::{CallerRate, Lane, Lanes},
    observer::{Protocol, RequestObserver},
    operation::Operation,
    server::PeerCertificates,
};
use body::BoundedBody;
use refusal::Refusal;

/// Bytes of a request's body.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// What requests are checked by. The parts are shared between protocols, so that a caller has one
/// rate and a lane one bound.
#[derive(Clone)]
pub struct Gate {
    /// The form of what is refused.
    pub protocol: Protocol,
    /// Who calls.
    pub authenticator: Arc<Authenticator>,
    /// What is in flight.
    pub lanes: Arc<Lanes>,
    /// How often a caller calls.
    pub rate: Arc<CallerRate>,
    /// Told of every request.
    pub observer: Arc<dyn RequestObserver>,
    /// What a request is for: [`crate::gateway::operation::of_http`] or
    /// [`crate::gateway::operation::of_grpc`].
    pub operation_of: fn(&Parts) -> Operation,
}

/// The router behind the gate. Handlers find an [`axum::Extension`] of [`Caller`], apart from those
/// of open operations. A handler that panics is answered like any other failure.
pub fn guarded(router: Router, gate: Gate) -> Router {
    router
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(Arc::new(gate), pass))
}

async fn pass(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let operation = (gate.operation_of)(&parts);
    let lane = operation.lane;
    let mut watch = Watch::new(Arc::clone(&gate), operation.name.into_owned());
    let answered = match operation.is_open {
        true => run(parts, body, next).await,
        false => admit(&gate, lane, parts, body, next).await,
    };
    let response = answered.unwrap_or_else(|refusal| {
        if let Some(reason) = refusal.shed() {
            gate.observer.shed(reason);
        }
        if refusal == Refusal::Panicked {
            error!(operation = watch.operation, "a handler panicked");
        }
        refusal.into_response(gate.protocol)
    });
    watch.code = refusal::code(gate.protocol, &response);
    response
}

/// Lane, caller and rate, in the order of what they cost.
async fn admit(
    gate: &Gate,
    lane: Lane,
    mut parts: Parts,
    body: Body,
    next: Next,
) -> Result<Response, Refusal> {
    let _place = gate.lanes.enter(lane).ok_or(Refusal::Overloaded(lane))?;
    let _in_flight = InFlight::new(Arc::clone(&gate.observer), lane);
    let certificates = parts.extensions.get::<PeerCertificates>();
    let caller: Caller = gate
        .authenticator
        .authenticate(&parts.headers, certificates)
        .await
        .map_err(Refusal::Unknown)?;
    gate.rate.check(&caller.subject).map_err(Refusal::TooOften)?;
    parts.extensions.insert(caller);
    let body = BoundedBody::of(body, &parts.headers)?;
    run(parts, body, next).await
}

async fn run(parts: Parts, body: Body, next: Next) -> Result<Response, Refusal> {
    let answer = AssertUnwindSafe(next.run(Request::from_parts(parts, body)));
    answer.catch_unwind().await.map_err(|_| Refusal::Panicked)
}

/// A request in a lane, until it is dropped.
struct InFlight {
    observer: Arc<dyn RequestObserver>,
    lane: Lane,
}

impl InFlight {
    fn new(observer: Arc<dyn RequestObserver>, lane: Lane) -> Self {
        observer.in_flight(lane, 1);
        Self { observer, lane }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.observer.in_flight(self.lane, -1);
    }
}

/// Tells of a request when it is dropped: once it is answered, or its caller has gone.
struct Watch {
    gate: Arc<Gate>,
    operation: String,
    since: Instant,
    code: std::borrow::Cow<'static, str>,
}

impl Watch {
    fn new(gate: Arc<Gate>, operation: String) -> Self {
        Self { gate, operation, since: Instant::now(), code: "cancelled".into() }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let (protocol, elapsed) = (self.gate.protocol, self.since.elapsed());
        self.gate.observer.finished(protocol, &self.operation, &self.code, elapsed);
    }
}

#[cfg(test)]
mod tests;
