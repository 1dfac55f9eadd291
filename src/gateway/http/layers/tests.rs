use std::{num::NonZeroU32, sync::Mutex, time::Duration};

use axum::{
    Extension,
    body::{Bytes, to_bytes},
    http::{StatusCode, header},
    routing::{get, post},
};
use tokio::sync::{Notify, oneshot};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tower::ServiceExt as _;

use super::*;
use crate::gateway::{
    auth::{CallerRules, MtlsRules},
    limits::LimitSettings,
    operation,
};

/// What an observer was told.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Told {
    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl RequestObserver for Told {
    fn finished(&self, protocol: Protocol, operation: &str, code: &str, _: Duration) {
        let told = format!("{} {operation}: {code}", protocol.as_str());
        self.0.lock().unwrap().push(told);
    }

    fn shed(&self, reason: &'static str) {
        self.0.lock().unwrap().push(format!("shed {reason}"));
    }

    fn in_flight(&self, lane: Lane, delta: i64) {
        self.0.lock().unwrap().push(format!("{} {delta:+}", lane.as_str()));
    }
}

struct Fixture {
    gate: Gate,
    told: Arc<Told>,
}

fn fixture(protocol: Protocol, authenticator: Authenticator, burst: u32) -> Fixture {
    let settings = LimitSettings {
        rate_per_second: NonZeroU32::MIN,
        burst: NonZeroU32::new(burst).unwrap(),
        commands_in_flight_max: 1,
        lists_in_flight_max: 1,
    };
    let told = Arc::<Told>::default();
    let gate = Gate {
        protocol,
        authenticator: Arc::new(authenticator),
        lanes: Arc::new(Lanes::new(&settings)),
        rate: Arc::new(CallerRate::new(&settings)),
        observer: Arc::clone(&told) as Arc<dyn RequestObserver>,
        operation_of: match protocol {
            Protocol::Http => operation::of_http,
            Protocol::Grpc => operation::of_grpc,
        },
    };
    Fixture { gate, told }
}

fn open_fixture() -> Fixture {
    fixture(Protocol::Http, Authenticator::None, 100)
}

fn unknown_callers(protocol: Protocol) -> Fixture {
    fixture(protocol, Authenticator::Mtls(MtlsRules::new(CallerRules::default())), 100)
}

async fn who(Extension(caller): Extension<Caller>) -> String {
    caller.subject
}

async fn length(body: Bytes) -> String {
    body.len().to_string()
}

async fn panics() {
    panic!("on purpose");
}

fn router(gate: Gate) -> Router {
    let routes = Router::new()
        .route("/health", get(|| async { "healthy" }))
        .route("/commands", get(who).post(length))
        .route("/events/{id}/seats", get(who))
        .route("/panics", get(panics))
        .route("/inventory.v1.InventoryService/GetSeat", post(who))
        .route("/grpc.health.v1.Health/Check", post(|| async { "SERVING" }));
    guarded(routes, gate)
}

async fn send(router: &Router, method: &str, path: &str, body: Body) -> Response {
    let request = Request::builder().method(method).uri(path).body(body).unwrap();
    router.clone().oneshot(request).await.unwrap()
}

async fn get_path(router: &Router, path: &str) -> Response {
    send(router, "GET", path, Body::empty()).await
}

async fn text(response: Response) -> String {
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_handler_knows_its_caller_and_the_observer_the_request() {
    let Fixture { gate, told } = open_fixture();
    let router = router(gate);
    assert_eq!(text(get_path(&router, "/events/42/seats").await).await, "local");
    assert_eq!(told.all(), ["lists +1", "lists -1", "http GET /events/{id}/seats: 200"]);
    assert_eq!(get_path(&router, "/no/such/path").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(told.all().last().unwrap(), "http unmatched: 404");
}

#[tokio::test]
async fn a_full_lane_sheds_at_once_and_leaves_the_other_and_health_alone() {
    let Fixture { gate, told } = open_fixture();
    let place = gate.lanes.enter(Lane::Commands);
    let router = router(gate);
    let shed = get_path(&router, "/commands").await;
    assert_eq!(shed.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(shed.headers()[header::RETRY_AFTER], "1");
    assert!(text(shed).await.contains("OVERLOADED"));
    assert!(told.all().contains(&"shed commands".to_owned()));
    assert_eq!(get_path(&router, "/events/42/seats").await.status(), StatusCode::OK);
    assert_eq!(get_path(&router, "/health").await.status(), StatusCode::OK);
    drop(place);
    assert_eq!(get_path(&router, "/commands").await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_calls_too_often_is_told_when_to_call_again() {
    let Fixture { gate, told } = fixture(Protocol::Http, Authenticator::None, 2);
    let router = router(gate);
    for _ in 0..2 {
        assert_eq!(get_path(&router, "/commands").await.status(), StatusCode::OK);
    }
    let refused = get_path(&router, "/commands").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()[header::RETRY_AFTER], "1");
    assert!(text(refused).await.contains("RATE_LIMITED"));
    assert!(told.all().contains(&"shed rate".to_owned()));
    assert_eq!(get_path(&router, "/health").await.status(), StatusCode::OK);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(get_path(&router, "/commands").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn who_is_not_known_reaches_open_paths_alone() {
    let router = router(unknown_callers(Protocol::Http).gate);
    let refused = get_path(&router, "/commands").await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(text(refused).await.contains("UNAUTHENTICATED"));
    assert_eq!(get_path(&router, "/no/such/path").await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(text(get_path(&router, "/health").await).await, "healthy");
}

#[tokio::test]
async fn refusals_over_grpc_are_statuses() {
    let method = "/inventory.v1.InventoryService/GetSeat";
    let Fixture { gate, told } = unknown_callers(Protocol::Grpc);
    let unknown = router(gate);
    let refused = send(&unknown, "POST", method, Body::empty()).await;
    assert_eq!(refused.status(), StatusCode::OK);
    let status = Status::from_header_map(refused.headers()).unwrap();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(told.all().last().unwrap(), "grpc GetSeat: UNAUTHENTICATED");
    let health = send(&unknown, "POST", "/grpc.health.v1.Health/Check", Body::empty()).await;
    assert_eq!(text(health).await, "SERVING");

    let Fixture { gate, .. } = fixture(Protocol::Grpc, Authenticator::None, 1);
    let place = gate.lanes.enter(Lane::Commands);
    let router = router(gate);
    let shed = send(&router, "POST", method, Body::empty()).await;
    let status = Status::from_header_map(shed.headers()).unwrap();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.get_details_retry_info().is_some());
    drop(place);
    assert_eq!(text(send(&router, "POST", method, Body::empty()).await).await, "local");
    let often = send(&router, "POST", method, Body::empty()).await;
    let status = Status::from_header_map(often.headers()).unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
}

#[tokio::test]
async fn a_body_beyond_its_bound_is_refused_whether_its_length_is_known_or_not() {
    let router = router(open_fixture().gate);
    let post = |bytes| send(&router, "POST", "/commands", Body::from(vec![0_u8; bytes]));
    assert_eq!(text(post(BODY_BYTES_MAX).await).await, BODY_BYTES_MAX.to_string());
    assert_eq!(post(BODY_BYTES_MAX + 1).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let request = Request::post("/commands").header(header::CONTENT_LENGTH, BODY_BYTES_MAX + 1);
    let request = request.body(Body::empty()).unwrap();
    let refused = router.clone().oneshot(request).await.unwrap();
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(text(refused).await.contains("BODY_TOO_LARGE"));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_gives_its_place_back() {
    let Fixture { gate, told } = open_fixture();
    let router = router(gate);
    let endless = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    let answer = send(&router, "POST", "/commands", endless).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert!(told.all().contains(&"commands -1".to_owned()), "{:?}", told.all());
    assert_eq!(get_path(&router, "/commands").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_handler_that_panics_is_answered_and_leaves_its_lane() {
    let Fixture { gate, told } = open_fixture();
    let router = router(gate);
    for _ in 0..2 {
        let failed = get_path(&router, "/panics").await;
        assert_eq!(failed.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(text(failed).await.contains("INTERNAL"));
    }
    assert_eq!(told.all().last().unwrap(), "http GET /panics: 500");
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_its_lane_and_is_counted() {
    let Fixture { gate, told } = open_fixture();
    let (entered, has_entered) = oneshot::channel::<()>();
    let entered = Arc::new(Mutex::new(Some(entered)));
    let waits = get(move || async move {
        let _ = entered.lock().unwrap().take().unwrap().send(());
        Notify::new().notified().await;
    });
    let router = guarded(Router::new().route("/waits", waits), gate);
    let request = Request::get("/waits").body(Body::empty()).unwrap();
    let task = tokio::spawn(router.oneshot(request));
    has_entered.await.unwrap();
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    let told = told.all();
    assert_eq!(told, ["commands +1", "commands -1", "http GET /waits: cancelled"]);
}
