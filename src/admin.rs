//! The admin port: `/health`, `/livez`, `/readyz`, `/metrics`.
//!
//! Served on a thread of its own, so that a worker that is busy or wedged answers all the same, and
//! bounded: 64 connections, one request each, 2 s for its head and 5 s for all of it. A client that
//! is slow or silent keeps no other from an answer: where all connections are taken, the oldest that
//! has not sent its head yet gives way to a new one. Nothing here reads a request's body.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::{
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use serde_json::{Map, Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::{AbortHandle, JoinSet, yield_now},
    time,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{
    ports::Clock,
    telemetry::{Metrics, Readiness, health_body},
};

/// Connections at once.
const CONNECTIONS_MAX: usize = 64;

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// From accepting a connection to the last byte of its request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(2);

/// From accepting a connection to closing it.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// An answer that has not been taken after this long may give way to another connection.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Between two looks for a connection that may give way, where none might.
const ROOM_PAUSE: Duration = Duration::from_millis(50);

/// How often the worker's runtime says that it turns.
const PULSE_EVERY: Duration = Duration::from_secs(1);

/// A runtime that has not turned for so long is wedged: nothing that it does takes a second.
const PULSE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long answers under way may take once the server is stopped.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// Between two attempts at accepting, where the first failed: descriptors may have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the admin port serves.
#[derive(Clone)]
pub struct Admin {
    /// The metrics at `/metrics`.
    pub metrics: Arc<Metrics>,
    /// The parts at `/readyz`.
    pub readiness: Readiness,
    /// The time at `/health`.
    pub clock: Arc<dyn Clock>,
}

/// A server that has its port and does not answer yet.
pub struct AdminServer {
    address: SocketAddr,
    pulse: Arc<Pulse>,
    begin: oneshot::Sender<CancellationToken>,
    ended: oneshot::Receiver<()>,
}

impl AdminServer {
    /// Takes the port; port 0 takes any free one.
    ///
    /// # Errors
    ///
    /// Where the port is taken or may not be had, or the system has no thread to answer on.
    pub async fn bind(address: SocketAddr, admin: Admin) -> io::Result<Self> {
        Self::bind_with(address, admin, Pulse::new(PULSE_TIMEOUT)).await
    }

    async fn bind_with(address: SocketAddr, admin: Admin, pulse: Pulse) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?.into_std()?;
        let address = listener.local_addr()?;
        let pulse = Arc::new(pulse);
        let router = router(Shown { admin, pulse: Arc::clone(&pulse) });
        let (ready, is_ready) = oneshot::channel();
        let (begin, begun) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let serve = move || {
            serve_on_this_thread(listener, router, ready, begun);
            // The port is free by now.
            drop(end);
        };
        std::thread::Builder::new().name("admin".to_owned()).spawn(serve)?;
        is_ready.await.map_err(io::Error::other)??;
        Ok(Self { address, pulse, begin, ended })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is cancelled, then gives answers under way a second. Stop it last: a
    /// draining process still says so at `/readyz`.
    ///
    /// Spawn it on the runtime whose liveness it reports: that runtime is alive as long as this
    /// is polled. Dropping it ends the server.
    pub async fn serve(self, stop: CancellationToken) {
        let stop = stop.child_token();
        let _ends_with_this = stop.clone().drop_guard();
        if self.begin.send(stop).is_err() {
            warn!("the admin port's thread ended before it began");
            return;
        }
        let mut ended = self.ended;
        let mut beats = time::interval(PULSE_EVERY);
        loop {
            tokio::select! {
                biased;
                _ = &mut ended => return,
                _ = beats.tick() => self.pulse.beat(),
            }
        }
    }
}

/// When the worker's runtime last turned.
struct Pulse {
    since: Instant,
    /// Milliseconds from then on.
    last: AtomicU64,
    timeout: Duration,
}

impl Pulse {
    fn new(timeout: Duration) -> Self {
        Self { since: Instant::now(), last: AtomicU64::new(0), timeout }
    }

    fn beat(&self) {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    fn age(&self) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.since.elapsed().saturating_sub(last)
    }

    fn is_alive(&self) -> bool {
        self.age() < self.timeout
    }
}

/// Reports whether it can serve, and serves from the start signal to the stop signal.
fn serve_on_this_thread(
    listener: std::net::TcpListener,
    router: Router,
    ready: oneshot::Sender<io::Result<()>>,
    begun: oneshot::Receiver<CancellationToken>,
) {
    let built = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = match built {
        Ok(runtime) => runtime,
        Err(error) => return drop(ready.send(Err(error))),
    };
    runtime.block_on(async {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return drop(ready.send(Err(error))),
        };
        // Where the caller was dropped there is no start signal either.
        let _ = ready.send(Ok(()));
        if let Ok(stop) = begun.await {
            serve(&listener, &router, &stop).await;
        }
    });
}

async fn serve(listener: &TcpListener, router: &Router, stop: &CancellationToken) {
    let mut connections = Connections::default();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            stream = accept(listener) => {
                connections.make_room().await;
                connections.answer(stream, router.clone());
            }
        }
        // What has come with the connection is read before the next is accepted: a flood of silent
        // ones pushes out none whose head is here. The first turn tells of the bytes, the second
        // reads them.
        yield_now().await;
        yield_now().await;
    }
    let finish = async { while connections.tasks.join_next().await.is_some() {} };
    if time::timeout(STOP_TIMEOUT, finish).await.is_err() {
        debug!("admin connections were cut off at the end");
    }
}

/// The next connection. The wait may be dropped at any time.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                warn!(%error, "the admin port accepts no connection");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What is connected, the oldest first.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    open: Vec<Connection>,
}

struct Connection {
    task: AbortHandle,
    accepted: Instant,
    has_head: Arc<AtomicBool>,
}

impl Connection {
    /// One that is being answered does not give way, unless its client takes no answer.
    fn may_give_way(&self) -> bool {
        !self.has_head.load(Ordering::Relaxed) || self.accepted.elapsed() > ANSWER_TIMEOUT
    }
}

impl Connections {
    /// Waits until there is room for one more, which is at once unless all are being answered.
    async fn make_room(&mut self) {
        loop {
            while self.tasks.try_join_next().is_some() {}
            self.open.retain(|connection| !connection.task.is_finished());
            if self.open.len() < CONNECTIONS_MAX {
                return;
            }
            let silent = |one: &Connection| !one.has_head.load(Ordering::Relaxed);
            let place = self.open.iter().position(silent);
            let place = place.or_else(|| self.open.iter().position(Connection::may_give_way));
            if let Some(place) = place {
                debug!("an admin connection that was silent gave way to another");
                self.open.remove(place).task.abort();
                return;
            }
            let _ = time::timeout(ROOM_PAUSE, self.tasks.join_next()).await;
        }
    }

    fn answer(&mut self, stream: TcpStream, router: Router) {
        let has_head = Arc::new(AtomicBool::new(false));
        let task = self.tasks.spawn(answer(stream, router, Arc::clone(&has_head)));
        self.open.push(Connection { task, accepted: Instant::now(), has_head });
    }
}

async fn answer(stream: TcpStream, router: Router, has_head: Arc<AtomicBool>) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request| {
        has_head.store(true, Ordering::Relaxed);
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match time::timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "an admin connection ended early"),
        Err(_) => debug!("an admin connection took too long"),
    }
}

/// What the pages show.
#[derive(Clone)]
struct Shown {
    admin: Admin,
    pulse: Arc<Pulse>,
}

fn router(shown: Shown) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(shown)
}

async fn health(State(Shown { admin, .. }): State<Shown>) -> Json<Value> {
    Json(health_body(admin.clock.now()))
}

/// Whether the worker's runtime turns. Whether it can work is for `/readyz`: a restart fixes
/// no outage of a service.
async fn livez(State(Shown { pulse, .. }): State<Shown>) -> Response {
    if pulse.is_alive() {
        return "ok\n".into_response();
    }
    let seconds = pulse.age().as_secs();
    let reported =
        format!("the worker's runtime has not turned for {seconds} s: restart the process\n");
    (StatusCode::SERVICE_UNAVAILABLE, reported).into_response()
}

async fn readyz(State(Shown { admin, .. }): State<Shown>) -> Response {
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

async fn metrics(State(Shown { admin, .. }): State<Shown>) -> Response {
    match admin.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            warn!(%error, "the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests;
