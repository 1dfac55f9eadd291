use std::{
    num::NonZeroU32,
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll},
};

use axum::{
    Extension,
    body::{Body, Bytes, HttpBody, to_bytes},
    http::{HeaderMap, HeaderName, Uri},
    routing::{get, post},
};
use futures::future::{join, join_all};
use hyper::body::Frame;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::*;
use crate::{
    adapters::{memory::TokioClock, system::Random},
    gateway::{
        Caller,
        limits::LimitSettings,
        observer::{AnsweredRequest, RequestCode, RequestSpan, RequestTracer},
        server::{Server, ServerOptions},
        streams::StreamKind,
    },
    message::TraceContext,
};

/// Notes what it is told.
#[derive(Default)]
struct Recorder(Mutex<Vec<String>>);

impl Recorder {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl RequestObserver for Recorder {
    fn answered(&self, request: &AnsweredRequest<'_>) {
        let AnsweredRequest { protocol, operation, code, .. } = request;
        self.note(format!("{} {operation} {code}", protocol.as_str()));
    }

    fn shed(&self, reason: ShedReason) {
        self.note(format!("shed {}", reason.as_str()));
    }

    fn in_flight(&self, lane: Lane, change: i64) {
        self.note(format!("{} {change:+}", lane.as_str()));
    }

    fn streams(&self, kind: StreamKind, change: i64) {
        self.note(format!("{} {change:+}", kind.as_str()));
    }
}

/// A guard that lets anybody pass.
pub(in crate::gateway) fn open_guard() -> Guard {
    guard(Protocol::Http, 10, 10).0
}

fn guard(protocol: Protocol, lists: usize, burst: u32) -> (Guard, Arc<Recorder>) {
    let settings = LimitSettings {
        rate_per_second: NonZeroU32::MIN,
        burst: NonZeroU32::new(burst).unwrap(),
        commands_in_flight_max: 10,
        lists_in_flight_max: lists,
    };
    let recorder = Arc::new(Recorder::default());
    let guard = Guard {
        protocol,
        authenticator: Arc::new(Authenticator::None),
        lanes: Arc::new(Lanes::new(&settings)),
        tickets: tickets(),
        rate: Arc::new(CallerRate::new(&settings)),
        observer: recorder.clone(),
        tracer: None,
    };
    (guard, recorder)
}

fn tickets() -> Arc<Tickets> {
    let clock = Arc::new(TokioClock::new("2026-11-22T10:00:00Z".parse().unwrap()));
    Arc::new(Tickets::new(clock, Arc::new(Random::seeded(7))))
}

async fn send(router: &Router, method: &str, path: &str) -> Response {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    router.clone().oneshot(request).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_handler_knows_the_caller_and_the_observer_the_route() {
    let (guard, recorder) = guard(Protocol::Http, 10, 10);
    let who = async |Extension(caller): Extension<Caller>| caller.subject;
    let router = guard.protect(Router::new().route("/events/{id}/seats/{number}", get(who)));
    assert_eq!(send(&router, "GET", "/events/1/seats/A-1").await.status(), 200);
    assert_eq!(
        recorder.take(),
        ["commands +1", "commands -1", "http GET /events/{id}/seats/{number} 200"]
    );
    assert_eq!(send(&router, "GET", "/secret").await.status(), 404);
    assert_eq!(recorder.take(), ["http unknown 404"]);
}

#[tokio::test(start_paused = true)]
async fn a_ticket_opens_one_stream_and_nothing_else() {
    let (guard, _) = guard(Protocol::Http, 10, 100);
    let tickets = Arc::clone(&guard.tickets);
    let who = async |Extension(caller): Extension<Caller>| caller.subject;
    let router = Router::new()
        .route("/events/{id}/changes", get(who).post(who))
        .route("/events/{id}/map", get(who));
    let router = guard.protect(router);
    let shop = Caller { subject: "shop".to_owned(), ..Caller::local() };
    let subject = async |method: &str, path: &str, ticket: &str| {
        let response = send(&router, method, &format!("{path}?a=b&ticket={ticket}")).await;
        let (status, body) = (response.status().as_u16(), response.into_body());
        let body = axum::body::to_bytes(body, 1_000).await.unwrap();
        (status, String::from_utf8_lossy(&body).into_owned())
    };
    let ticket = tickets.issue(&shop).ok().unwrap().text;
    for (method, path) in [("GET", "/events/1/map"), ("POST", "/events/1/changes")] {
        // Without authentication every caller is local.
        assert_eq!(subject(method, path, &ticket).await, (200, "local".to_owned()), "{path}");
    }
    let changes = "/events/1/changes";
    assert_eq!(subject("GET", changes, &ticket).await, (200, "shop".to_owned()));
    for wrong in [&*ticket, "", "another"] {
        let (status, problem) = subject("GET", changes, wrong).await;
        assert_eq!(status, 401);
        assert!(problem.contains("ticket: expected") && !problem.contains(&ticket), "{problem}");
    }
    let late = tickets.issue(&shop).ok().unwrap().text;
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(subject("GET", changes, &late).await.0, 401);
}

#[tokio::test(start_paused = true)]
async fn a_full_lane_refuses_at_once_and_leaves_the_other_alone() {
    let (guard, recorder) = guard(Protocol::Http, 1, 10);
    let release = Arc::new(Notify::new());
    let waiting = Arc::clone(&release);
    let slow = async move || waiting.notified().await;
    let router = Router::new()
        .route("/events/{id}/map", get(slow))
        .route("/commands", post(async || "done"));
    let router = guard.protect(router);
    let first = tokio::spawn({
        let router = router.clone();
        async move { send(&router, "GET", "/events/1/map").await.status() }
    });
    tokio::task::yield_now().await;
    let shed = send(&router, "GET", "/events/2/map").await;
    assert_eq!(
        (shed.status().as_u16(), shed.headers()["retry-after"].as_bytes()),
        (503, &b"1"[..])
    );
    assert_eq!(send(&router, "POST", "/commands").await.status(), 200);
    release.notify_one();
    assert_eq!(first.await.unwrap(), 200);
    let noted = recorder.take();
    assert!(noted.contains(&"shed lane_full".to_owned()), "{noted:?}");
    let second = {
        release.notify_one();
        send(&router, "GET", "/events/2/map").await
    };
    assert_eq!(second.status(), 200, "the place is free again");
}

#[tokio::test(start_paused = true)]
async fn a_caller_above_its_rate_is_told_when_to_come_back() {
    let (guard, recorder) = guard(Protocol::Http, 10, 2);
    let router = guard.protect(Router::new().route("/commands", post(async || "done")));
    for _ in 0..2 {
        assert_eq!(send(&router, "POST", "/commands").await.status(), 200);
    }
    let refused = send(&router, "POST", "/commands").await;
    assert_eq!(
        (refused.status().as_u16(), refused.headers()["retry-after"].as_bytes()),
        (429, &b"1"[..])
    );
    assert!(recorder.take().contains(&"shed rate".to_owned()));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(send(&router, "POST", "/commands").await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn health_and_the_page_are_answered_whatever_the_load_and_whoever_asks() {
    let (guard, recorder) = guard(Protocol::Http, 0, 1);
    let routes = ["/", "/health"].into_iter();
    let routes = routes.fold(Router::new(), |all, path| all.route(path, get(async || "ok")));
    let router = guard.protect(routes);
    for path in ["/", "/health", "/", "/health"] {
        assert_eq!(send(&router, "GET", path).await.status(), 200);
    }
    assert!(recorder.take().iter().all(|note| note.starts_with("http GET /")), "no place taken");
}

/// A request whose body never comes.
async fn send_without_end(router: &Router, path: &str) -> Response {
    let silent = futures::stream::pending::<Result<Bytes, std::convert::Infallible>>();
    let request = Request::post(path).body(Body::from_stream(silent)).unwrap();
    router.clone().oneshot(request).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_gives_its_place_back() {
    let (http, recorder) = guard(Protocol::Http, 10, 10);
    let router = Router::new().route("/commands", post(async |_: Bytes| "done"));
    let slow = send_without_end(&http.protect(router), "/commands").await;
    assert_eq!(slow.status(), 408);
    assert_eq!(recorder.take(), ["commands +1", "commands -1", "http POST /commands 408"]);

    let (grpc, recorder) = guard(Protocol::Grpc, 10, 10);
    let router = grpc.protect(Router::new().fallback(async |_: Bytes| "done"));
    let slow = send_without_end(&router, "/inventory.v1.InventoryService/ReserveSeats").await;
    assert_eq!(slow.headers()["grpc-status"].as_bytes(), b"1");
    assert_eq!(recorder.take(), ["commands +1", "commands -1", "grpc ReserveSeats 1"]);
}

#[tokio::test(start_paused = true)]
async fn health_checks_whose_messages_never_come_keep_no_other_out() {
    let (grpc, recorder) = guard(Protocol::Grpc, 10, 10);
    let router = grpc.protect(Router::new().fallback(async |_: Bytes| "done"));
    for path in ["/inventory.v1.InventoryService/HealthCheck", "/grpc.health.v1.Health/Check"] {
        let silent = (0..2_000).map(|_| send_without_end(&router, path));
        let begun = Instant::now();
        let (silent, asked) = join(join_all(silent), send(&router, "POST", path)).await;
        assert_eq!(asked.status(), 200);
        assert!(!asked.headers().contains_key("grpc-status"), "it is answered");
        let is_cancelled = |slow: &Response| slow.headers()["grpc-status"].as_bytes() == b"1";
        assert!(silent.iter().all(is_cancelled));
        assert_eq!(begun.elapsed(), CHECK_BODY_TIMEOUT);
    }
    assert!(recorder.take().iter().all(|note| note.starts_with("grpc ")), "no place taken");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_answers_gives_its_place_back() {
    let (guard, recorder) = guard(Protocol::Http, 10, 10);
    let never = async || std::future::pending::<()>().await;
    let router = guard.protect(Router::new().route("/overview", get(never)));
    assert_eq!(send(&router, "GET", "/overview").await.status(), 503);
    assert_eq!(recorder.take(), ["lists +1", "lists -1", "http GET /overview 503"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_does_not_exist_is_no_label() {
    let (guard, recorder) = guard(Protocol::Grpc, 1, 10);
    let unimplemented = async || tonic::Status::unimplemented("").into_http::<Body>();
    let router = guard.protect(Router::new().fallback(unimplemented));
    send(&router, "POST", "/inventory.v1.InventoryService/Users-own-text").await;
    assert_eq!(recorder.take(), ["commands +1", "commands -1", "grpc unknown 12"]);
}

#[tokio::test(start_paused = true)]
async fn grpc_is_refused_with_a_status() {
    let (guard, recorder) = guard(Protocol::Grpc, 0, 1);
    let router = guard.protect(Router::new().fallback(async || "never"));
    let refused = send(&router, "POST", "/inventory.v1.InventoryService/GetAvailableSeats").await;
    assert_eq!(refused.status(), 200);
    assert_eq!(refused.headers()["grpc-status"].as_bytes(), b"14");
    let noted = recorder.take();
    assert_eq!(noted, ["shed lane_full", "grpc GetAvailableSeats 14"]);
}

const HEALTH_WATCH: &str = "/grpc.health.v1.Health/Watch";

#[tokio::test(start_paused = true)]
async fn grpc_health_is_checked_whatever_the_load_and_whoever_asks() {
    let (guard, _) = guard(Protocol::Grpc, 0, 1);
    let others = [Lane::Commands, Lane::Lists, Lane::Watches];
    let lanes = Arc::clone(&guard.lanes);
    let full = others.map(|lane| std::iter::from_fn(|| lanes.enter(lane)).collect::<Vec<_>>());
    let router = guard.protect(Router::new().fallback(async || "ok"));
    for check in [HEALTH_CHECK, "/inventory.v1.InventoryService/HealthCheck", HEALTH_CHECK] {
        assert!(send(&router, "POST", check).await.headers().get("grpc-status").is_none());
    }
    let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    for stream in [HEALTH_WATCH, reflection] {
        let refused = send(&router, "POST", stream).await;
        assert_eq!(refused.headers()["grpc-status"].as_bytes(), b"14", "{stream}");
    }
    drop(full);
    assert!(send(&router, "POST", HEALTH_WATCH).await.headers().get("grpc-status").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_health_has_its_place_until_it_ends_by_age() {
    let (guard, recorder) = guard(Protocol::Grpc, 10, 10);
    let silent = || futures::stream::pending::<Result<Bytes, std::convert::Infallible>>();
    let router = guard.protect(Router::new().fallback(async move || Body::from_stream(silent())));
    let left = send(&router, "POST", HEALTH_WATCH).await;
    assert_eq!(recorder.take(), ["watches +1"]);
    drop(left);
    assert_eq!(recorder.take(), ["watches -1", "grpc Watch client_closed"]);
    let watch = send(&router, "POST", HEALTH_WATCH).await;
    assert_eq!(to_bytes(watch.into_body(), 100).await.unwrap(), "");
    assert_eq!(recorder.take(), ["watches +1", "watches -1", "grpc Watch 14"]);
    // Whose caller takes nothing is not even asked for its end.
    let _stuck = send(&router, "POST", HEALTH_WATCH).await;
    sleep(STREAM_AGE + Duration::from_millis(1)).await;
    assert_eq!(recorder.take(), ["watches +1", "watches -1"]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_fails_its_request_alone() {
    let panics = async || if true { panic!("on purpose") } else { "never" };
    let (guard, recorder) = guard(Protocol::Http, 10, 10);
    let router = guard.clone().protect(Router::new().route("/commands", post(panics)));
    let failed = send(&router, "POST", "/commands").await;
    assert_eq!(failed.status(), 500);
    let body = to_bytes(failed.into_body(), 1 << 10).await.unwrap();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["code"], "INTERNAL", "{problem}");
    assert_eq!(recorder.take(), ["commands +1", "commands -1", "http POST /commands 500"]);

    let guard = Guard { protocol: Protocol::Grpc, ..guard };
    let router = guard.protect(Router::new().fallback(panics));
    let failed = send(&router, "POST", "/grpc.health.v1.Health/Check").await;
    assert_eq!(failed.headers()["grpc-status"].as_bytes(), b"13");
    assert_eq!(recorder.take(), ["grpc Check 13"]);
}

/// A gRPC answer: a message, and trailers once they are let go.
struct Answered {
    message: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl HttpBody for Answered {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let message = self.message.take().map(Frame::data);
        Poll::Ready(message.or_else(|| self.trailers.take().map(Frame::trailers)).map(Ok))
    }
}

#[tokio::test(start_paused = true)]
async fn a_grpc_answer_has_the_status_of_its_trailers() {
    let (guard, recorder) = guard(Protocol::Grpc, 10, 10);
    let answer = async |uri: Uri| {
        let status = uri.query().map(|status| {
            HeaderMap::from_iter([(
                HeaderName::from_static("grpc-status"),
                status.parse().unwrap(),
            )])
        });
        let message = Some(Bytes::from_static(b"message"));
        Body::new(Answered { message, trailers: status })
    };
    let router = guard.protect(Router::new().fallback(answer));
    let call = "/inventory.v1.InventoryService/GetSeat";
    for (query, code) in [("?0", "0"), ("?14", "14"), ("", "2")] {
        let answer = send(&router, "POST", &format!("{call}{query}")).await;
        let entered = ["commands +1", "commands -1"];
        assert_eq!(recorder.take(), entered, "the end is not known yet");
        assert_eq!(&to_bytes(answer.into_body(), 100).await.unwrap()[..], b"message");
        assert_eq!(recorder.take(), [format!("grpc GetSeat {code}")]);
    }
    drop(send(&router, "POST", &format!("{call}?0")).await);
    assert_eq!(recorder.take().last().unwrap(), "grpc GetSeat client_closed");
}

#[tokio::test]
async fn a_caller_that_goes_away_before_its_answer_is_counted() {
    let (guard, recorder) = guard(Protocol::Http, 10, 10);
    let begun = Arc::new(Notify::new());
    let waiting = Arc::clone(&begun);
    let never = async move || {
        waiting.notify_one();
        std::future::pending::<()>().await;
    };
    let options = ServerOptions {
        tls: None,
        max_connection_age: Duration::from_secs(600),
        connections_max: 10,
        entropy: Arc::new(crate::adapters::system::Random::seeded(7)),
    };
    let router = guard.protect(Router::new().route("/commands", post(never)));
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), router, options).await.unwrap();
    let (address, stop) = (server.address(), CancellationToken::new());
    let serving = tokio::spawn(server.serve(stop.clone(), Duration::from_secs(30)));
    let mut caller = TcpStream::connect(address).await.unwrap();
    caller.write_all(b"POST /commands HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    begun.notified().await;
    drop(caller);
    // The server ends once every connection has.
    stop.cancel();
    serving.await.unwrap();
    let noted = recorder.take();
    assert_eq!(noted, ["commands +1", "commands -1", "http POST /commands client_closed"]);
}

/// Notes the spans of requests.
#[derive(Clone, Default)]
struct SpanRecorder(Arc<Mutex<Vec<String>>>);

const SPAN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b8-01";

impl RequestTracer for SpanRecorder {
    fn begin(
        &self,
        protocol: Protocol,
        operation: &str,
        caller: Option<&TraceContext>,
    ) -> Box<dyn RequestSpan> {
        let caller = caller.map_or("nobody", TraceContext::traceparent);
        let begun = format!("{} {operation} of {caller}", protocol.as_str());
        self.0.lock().unwrap().push(begun);
        Box::new(self.clone())
    }
}

impl RequestSpan for SpanRecorder {
    fn context(&self) -> Option<TraceContext> {
        Some(SPAN.parse().unwrap())
    }

    fn ended(&self, code: RequestCode) {
        self.0.lock().unwrap().push(code.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_has_a_span_that_its_handler_continues() {
    const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let recorder = SpanRecorder::default();
    let tracer: Option<Arc<dyn RequestTracer>> = Some(Arc::new(recorder.clone()));
    let guard = Guard { tracer, ..guard(Protocol::Http, 1, 10).0 };
    let seen = async |headers: HeaderMap| {
        let all: Vec<_> = headers.get_all("traceparent").iter().cloned().collect();
        assert!(headers.get("tracestate").is_none(), "it is the span's, which has none");
        all[0].to_str().unwrap().to_owned()
    };
    let routes = Router::new().route("/commands", post(seen)).route("/health", get(async || "ok"));
    let router = guard.protect(routes);
    let request = Request::post("/commands").header("traceparent", CALLER);
    let request = request.header("tracestate", "a=1").body(Body::empty()).unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    assert_eq!(to_bytes(answer.into_body(), 100).await.unwrap(), SPAN);
    let without = send(&router, "POST", "/commands").await;
    assert_eq!(to_bytes(without.into_body(), 100).await.unwrap(), SPAN);
    send(&router, "GET", "/health").await;
    let noted = std::mem::take(&mut *recorder.0.lock().unwrap());
    let begun = |caller: &str| format!("http POST /commands of {caller}");
    assert_eq!(noted, [&*begun(CALLER), "200", &*begun("nobody"), "200"]);
}
