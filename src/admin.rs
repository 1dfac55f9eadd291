//! The admin port: `/health`, `/livez`, `/readyz`, `/metrics`.
//!
//! Served apart from the work, and bounded: 64 connections, one request each, 10 s for all of it.
//! Nothing here reads a request's body.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use serde_json::{Map, Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{
    ports::Clock,
    telemetry::{Metrics, Readiness},
};

/// The service's name in `/health`.
const SERVICE: &str = "inventory-worker";

/// Connections at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 64;

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// From the first byte of a request's head to its last.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// From accepting a connection to closing it.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// What answers under way get once the server is told to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// Between two attempts at accepting, where the first failed: descriptors may have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the admin port tells of.
#[derive(Clone)]
pub struct Admin {
    /// The figures at `/metrics`.
    pub metrics: Arc<Metrics>,
    /// The parts at `/readyz`.
    pub readiness: Readiness,
    /// The time at `/health`.
    pub clock: Arc<dyn Clock>,
}

/// A server that has its port and does not answer yet.
pub struct AdminServer {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
}

impl AdminServer {
    /// Takes the port; port 0 takes any free one.
    ///
    /// # Errors
    ///
    /// Where the port is taken or may not be had.
    pub async fn bind(address: SocketAddr, admin: Admin) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, router: router(admin) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is cancelled, then gives answers under way a second. Stop it last: a
    /// draining process still says so at `/readyz`.
    pub async fn serve(self, stop: CancellationToken) {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(_) = connections.join_next() => {}
                Some((stream, permit)) = accept(&self.listener, &permits) => {
                    connections.spawn(answer(stream, self.router.clone(), permit));
                }
            }
        }
        let finish = async { while connections.join_next().await.is_some() {} };
        if time::timeout(STOP_TIMEOUT, finish).await.is_err() {
            debug!("admin connections were cut off at the end");
        }
    }
}

/// The next connection, once there is room for one. Both waits may be dropped at any time.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    loop {
        let permit = Arc::clone(permits).acquire_owned().await.ok()?;
        match listener.accept().await {
            Ok((stream, _)) => return Some((stream, permit)),
            Err(error) => {
                warn!(%error, "the admin port accepts no connection");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn answer(stream: TcpStream, router: Router, _permit: OwnedSemaphorePermit) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match time::timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "an admin connection ended early"),
        Err(_) => debug!("an admin connection took too long"),
    }
}

fn router(admin: Admin) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

async fn health(State(admin): State<Admin>) -> Json<Value> {
    let timestamp = admin.clock.now().to_string();
    Json(json!({ "status": "healthy", "service": SERVICE, "timestamp": timestamp }))
}

/// That it answers is the answer: the runtime turns. Whether it can work is `/readyz`'s business;
/// a restart mends no outage of a service.
async fn livez() -> &'static str {
    "ok\n"
}

async fn readyz(State(admin): State<Admin>) -> Response {
    let report = admin.readiness.report();
    let (code, status) = match (report.is_ready(), report.draining) {
        (true, _) => (StatusCode::OK, "ready"),
        (false, true) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    let word = |state: Result<(), String>| state.err().unwrap_or_else(|| "ready".to_owned());
    let parts: Map<String, Value> =
        report.parts.into_iter().map(|(part, state)| (part, word(state).into())).collect();
    (code, Json(json!({ "status": status, "parts": parts }))).into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    match admin.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            warn!(%error, "the figures cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests;
