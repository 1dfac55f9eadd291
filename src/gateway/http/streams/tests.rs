//! Routes, headers and bodies; and streams on sockets.

use axum::http::Request;
use futures::StreamExt as _;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::*;
use crate::{
    adapters::{memory::TokioClock, system::Random},
    domain::SeatStatus,
    gateway::{
        Caller, Queries, QuerySettings,
        observer::NoopRequestObserver,
        server::{Server, ServerOptions},
        streams::{Results, StreamSettings, Streams},
        view::{
            Hint, SeatEntry,
            fixtures::{Tables, epoch, event},
        },
    },
    ports::{Entropy, ScanStore},
};

struct Gateway {
    queries: Arc<Queries>,
    streams: Streams,
    tickets: Arc<Tickets>,
    router: axum::Router,
}

impl Gateway {
    async fn open() -> Self {
        Self::of(Caller::local(), StreamSettings::default()).await
    }

    async fn of(caller: Caller, settings: StreamSettings) -> Self {
        let clock = Arc::new(TokioClock::new(epoch()));
        let tables = Tables::new(&clock);
        tables.fill().await;
        let store: Arc<dyn ScanStore> = tables;
        let queries = Arc::new(Queries::new(store, clock.clone(), QuerySettings::default()));
        let entropy: Arc<dyn Entropy> = Arc::new(Random::seeded(7));
        let observer = Arc::new(NoopRequestObserver);
        let streams = Streams::new(settings, Arc::clone(&entropy), observer);
        let tickets = Arc::new(Tickets::new(clock.clone(), Arc::clone(&entropy)));
        let results = Results::new(None, streams.clone(), clock.clone());
        let changes = Changes::new(Arc::clone(&queries), streams.clone(), clock, entropy);
        let state = StreamState { changes, results, tickets: Arc::clone(&tickets) };
        let router = routes().router.layer(Extension(caller)).with_state(state);
        Self { queries, streams, tickets, router }
    }

    async fn send(&self, method: &str, path: &str, last: Option<&str>) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let request = request.body(Body::empty()).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str) -> Response {
        self.send("GET", path, None).await
    }

    fn book(&self, version: u64) {
        let entry = SeatEntry::new(version, SeatStatus::Booked, None, false);
        self.queries.views().apply(&event(), &Hint::Seat("A-1".parse().unwrap(), entry));
    }
}

async fn body(response: Response) -> Value {
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// Reads a stream up to the first event of a kind, and gives its id.
async fn until<E: std::fmt::Debug>(
    pieces: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
    text: &mut String,
    kind: &str,
) -> String {
    loop {
        if let Some((_, rest)) = text.split_once(&format!("event: {kind}\n"))
            && let Some((event, after)) = rest.split_once("\n\n")
        {
            let id = event.lines().find_map(|line| line.strip_prefix("id: "));
            let id = id.unwrap_or_default().to_owned();
            *text = after.to_owned();
            return id;
        }
        let piece = tokio::time::timeout(Duration::from_secs(30), pieces.next()).await;
        text.push_str(std::str::from_utf8(&piece.unwrap().expect(kind).unwrap()).unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn events_are_streamed_and_kept_by_nobody() {
    let gateway = Gateway::open().await;
    let response = gateway.get("/events/42/changes").await;
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(response.status(), 200);
    assert_eq!(header("content-type"), "text/event-stream");
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("x-accel-buffering"), "no");
    let (mut pieces, mut text) = (response.into_body().into_data_stream(), String::new());
    let first = until(&mut pieces, &mut text, "snapshot").await;
    gateway.book(2);
    let second = until(&mut pieces, &mut text, "delta").await;
    assert_ne!(first, second);
    for private in ["user", "booking", "reservation"] {
        assert!(!text.contains(private));
    }
    // The header is newer than the query, which a client repeats as it is.
    let path = format!("/events/42/changes?since={first}");
    let again = gateway.send("GET", &path, Some(&second)).await;
    let (mut pieces, mut text) = (again.into_body().into_data_stream(), String::new());
    gateway.book(3);
    let third = until(&mut pieces, &mut text, "delta").await;
    assert!(third.ends_with("-2"), "{third}");
    let again = gateway.get(&format!("/events/42/changes?since={first}")).await;
    let (mut pieces, mut text) = (again.into_body().into_data_stream(), String::new());
    assert_eq!(until(&mut pieces, &mut text, "delta").await, second);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_stream_polls() {
    let gateway = Gateway::open().await;
    let response = gateway.get("/events/42/changes?wait=20").await;
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let first = body(response).await;
    assert_eq!(first["frames"][0]["event"], "snapshot");
    let id = first["id"].as_str().unwrap();
    let nothing = body(gateway.get(&format!("/events/42/changes?since={id}&wait=1")).await).await;
    assert_eq!(nothing, json!({ "id": id, "frames": [] }));
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_named() {
    let gateway = Gateway::open().await;
    for (path, status, named) in [
        ("/events/42/changes?wait=21", 400, "wait: expected whole seconds from 0 to 20"),
        ("/events/42/changes?wait=-1", 400, "wait"),
        ("/events/42/changes?wait=", 400, "wait"),
        ("/events/42/changes?from=1", 400, "since, wait, ticket"),
        ("/events/x/changes", 400, "event id"),
        ("/events/43/changes", 404, "event not found"),
    ] {
        let response = gateway.get(path).await;
        assert_eq!(response.status(), status, "{path}");
        let problem = body(response).await;
        assert!(problem["detail"].as_str().unwrap().contains(named), "{problem}");
    }
    let scopes = [Scope::Command].into_iter().collect();
    let caller = Caller { scopes, ..Caller::local() };
    let gateway = Gateway::of(caller, StreamSettings::default()).await;
    for (method, path) in [("GET", "/events/42/changes"), ("POST", "/stream-tickets")] {
        assert_eq!(gateway.send(method, path, None).await.status(), 403, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn streams_beyond_their_bounds_are_told_when_to_come_back() {
    for (settings, status, code) in [
        (StreamSettings { streams_max: 1, per_caller_max: 9 }, 503, "STREAMS_FULL"),
        (StreamSettings { streams_max: 9, per_caller_max: 1 }, 429, "TOO_MANY_STREAMS"),
    ] {
        let gateway = Gateway::of(Caller::local(), settings).await;
        let first = gateway.get("/events/42/changes").await;
        for path in ["/events/42/changes", "/events/42/changes?wait=20"] {
            let refused = gateway.get(path).await;
            assert_eq!(
                (refused.status().as_u16(), &refused.headers()["retry-after"]),
                (status, &HeaderValue::from_static("5"))
            );
            assert_eq!(body(refused).await["code"], code);
        }
        drop(first);
        assert_eq!(gateway.get("/events/42/changes").await.status(), 200);
        gateway.streams.drain();
        let drained = gateway.get("/events/42/changes").await;
        assert_eq!(
            (drained.status().as_u16(), body(drained).await["code"].clone()),
            (503, json!("DRAINING"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_ticket_is_the_callers_own() {
    let gateway = Gateway::open().await;
    let response = gateway.send("POST", "/stream-tickets", None).await;
    assert_eq!(
        (response.status(), &response.headers()["cache-control"]),
        (StatusCode::CREATED, &HeaderValue::from_static("no-store"))
    );
    let issued = body(response).await;
    assert_eq!(issued["expires_at"], "2026-11-22T10:00:30Z");
    let caller = gateway.tickets.redeem(issued["ticket"].as_str().unwrap());
    assert_eq!(caller, Some(Caller::local()));
}

#[tokio::test]
async fn a_stream_over_a_socket_tells_changes_and_ends_within_the_grace_of_a_drain() {
    for is_http2 in [false, true] {
        let gateway = Gateway::open().await;
        let options = ServerOptions {
            tls: None,
            max_connection_age: Duration::from_secs(600),
            connections_max: 10,
            entropy: Arc::new(Random::seeded(7)),
        };
        let address = "127.0.0.1:0".parse().unwrap();
        let server = Server::bind(address, gateway.router.clone(), options).await.unwrap();
        let url = format!("http://{}/events/42/changes", server.address());
        let stop = CancellationToken::new();
        let serving = tokio::spawn(server.serve(stop.clone(), Duration::from_secs(30)));
        let client = Client::builder(TokioExecutor::new()).http2_only(is_http2).build_http();
        let request = Request::get(url).body(Body::empty()).unwrap();
        let response = client.request(request).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut pieces = Body::new(response.into_body()).into_data_stream();
        let mut text = String::new();
        until(&mut pieces, &mut text, "snapshot").await;
        gateway.book(2);
        until(&mut pieces, &mut text, "delta").await;
        stop.cancel();
        gateway.streams.drain();
        until(&mut pieces, &mut text, "bye").await;
        let told = text.len();
        while let Some(piece) = pieces.next().await {
            text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
        }
        assert!(!text[told..].contains("event:"), "after bye: {}", &text[told..]);
        tokio::time::timeout(Duration::from_secs(20), serving).await.unwrap().unwrap();
    }
}
