use std::sync::mpsc;

use axum::body::{Body, to_bytes};
use hyper::{Request, StatusCode};
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use tokio::{net::TcpStream, task::JoinHandle, time::advance};
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, health_client::HealthClient},
};

use super::{drain::LAST_ANSWERS, *};
use crate::{
    adapters::memory::{MemoryQueue, MemoryStore, TokioClock},
    telemetry::Metrics,
};

const DELAY: Duration = Duration::from_secs(5);
const GRACE: Duration = Duration::from_secs(10);

/// Time stands still until a test advances it, whatever sockets do meanwhile.
struct HeldClock {
    _release: mpsc::Sender<()>,
}

impl HeldClock {
    fn hold() -> Self {
        let (release, held) = mpsc::channel::<()>();
        // A paused clock does not advance by itself while a blocking task runs.
        tokio::task::spawn_blocking(move || held.recv().is_err());
        Self { _release: release }
    }
}

/// A gateway on memory, whose commands nobody decides.
struct Running {
    http: SocketAddr,
    grpc: SocketAddr,
    queue: Arc<MemoryQueue>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    _clock: HeldClock,
}

impl Running {
    async fn start() -> Self {
        let held = HeldClock::hold();
        let clock: Arc<dyn Clock> =
            Arc::new(TokioClock::new("2026-11-29T12:00:00Z".parse().unwrap()));
        let queue = Arc::new(MemoryQueue::new("commands.fifo", Arc::clone(&clock)));
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock)));
        let backends = GatewayBackends {
            commands: queue.clone(),
            restocks: queue.clone(),
            store: store.clone(),
            holds: store.clone(),
            activity: None,
            hints: None,
            snapshots: None,
            clock,
            entropy: Arc::new(Random::seeded(1)),
        };
        let config = GatewayConfig {
            port: 0,
            grpc_port: 0,
            drain_delay: DELAY,
            grace: GRACE,
            ..GatewayConfig::default()
        };
        let gateway = Gateway::bind(&config, &backends, Arc::new(Metrics::new().unwrap()), None);
        let gateway = gateway.await.unwrap();
        let (http, grpc) = (gateway.http_address(), gateway.grpc_address());
        let stop = CancellationToken::new();
        let task = tokio::spawn(gateway.serve(stop.clone()));
        Self { http, grpc, queue, stop, task, _clock: held }
    }

    /// On a connection of its own.
    async fn health(&self) -> (StatusCode, Value) {
        let url = format!("http://{}/health", self.http);
        let answer = client(false).request(Request::get(url).body(Body::empty()).unwrap());
        let (head, body) = answer.await.unwrap().into_parts();
        let body = to_bytes(Body::new(body), 1 << 10).await.unwrap();
        (head.status, serde_json::from_slice(&body).unwrap())
    }

    async fn grpc_health(&self) -> i32 {
        let address = format!("http://{}", self.grpc).parse().unwrap();
        let mut health = HealthClient::with_origin(client(true), address);
        let request = HealthCheckRequest { service: String::new() };
        health.check(request).await.unwrap().into_inner().status
    }

    /// A command that waits for as long as it may.
    fn command(&self) -> JoinHandle<StatusCode> {
        let event = r#"{"specversion":"1.0","type":"inventory.cancel.v1","data":{"event_id":42,
            "reservation_id":"00000000-0000-0000-0000-000000000007"}}"#;
        let request = Request::post(format!("http://{}/commands", self.http))
            .header("content-type", "application/cloudevents+json")
            .header("prefer", "wait=20")
            .body(Body::from(event));
        let answer = client(false).request(request.unwrap());
        tokio::spawn(async move { answer.await.unwrap().status() })
    }
}

fn client<B>(is_http2: bool) -> HttpClient<HttpConnector, B>
where
    B: hyper::body::Body + Send,
    B::Data: Send,
{
    HttpClient::builder(TokioExecutor::new()).http2_only(is_http2).build_http()
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_announced_before_connections_are_refused_and_answers_whoever_waits() {
    let running = Running::start().await;
    assert_eq!(running.health().await.0, StatusCode::OK);
    assert_eq!(running.grpc_health().await, ServingStatus::Serving as i32);
    let command = running.command();
    while running.queue.depth() == 0 {
        tokio::task::yield_now().await;
    }

    running.stop.cancel();
    while running.grpc_health().await != ServingStatus::NotServing as i32 {}
    advance(DELAY - Duration::from_millis(1)).await;
    let (status, body) = running.health().await;
    assert_eq!((status, &body["status"]), (StatusCode::SERVICE_UNAVAILABLE, &"draining".into()));

    advance(Duration::from_millis(2)).await;
    for address in [running.http, running.grpc] {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
    advance(GRACE - LAST_ANSWERS - Duration::from_millis(2)).await;
    assert!(!command.is_finished(), "there is time left for an outcome");
    advance(Duration::from_millis(2)).await;
    assert_eq!(command.await.unwrap(), StatusCode::ACCEPTED);
    running.task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_gateway_with_nothing_under_way_ends_after_the_delay_though_its_health_is_watched() {
    let running = Running::start().await;
    let address = format!("http://{}", running.grpc).parse().unwrap();
    let request = HealthCheckRequest { service: String::new() };
    let watching = HealthClient::with_origin(client(true), address).watch(request).await;
    let mut watched = watching.unwrap().into_inner();
    let mut next = async || watched.message().await.unwrap().map(|answer| answer.status);
    assert_eq!(next().await, Some(ServingStatus::Serving as i32));
    running.stop.cancel();
    assert_eq!(next().await, Some(ServingStatus::NotServing as i32));
    advance(DELAY).await;
    assert_eq!(next().await, None);
    running.task.await.unwrap();
}
