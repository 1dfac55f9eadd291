use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinHandle,
};

use super::*;
use crate::{
    domain::Timestamp,
    worker::{Event, Observer as _},
};

struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        "2026-11-22T10:00:00Z".parse().unwrap()
    }
}

struct Running {
    address: SocketAddr,
    readiness: Readiness,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

async fn running(parts: &[&str]) -> Running {
    let readiness = Readiness::of(parts.iter().copied());
    let metrics = Arc::new(Metrics::new().unwrap());
    let admin = Admin {
        metrics: Arc::clone(&metrics),
        readiness: readiness.clone(),
        clock: Arc::new(StoppedClock),
    };
    let server = AdminServer::bind("127.0.0.1:0".parse().unwrap(), admin).await.unwrap();
    let (address, stop) = (server.address(), CancellationToken::new());
    let task = tokio::spawn(server.serve(stop.clone()));
    Running { address, readiness, metrics, stop, task }
}

impl Running {
    async fn get(&self, path: &str) -> (u16, String) {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await
    }

    /// Status and body of the answer; the server closes the connection after it.
    async fn send(&self, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }
}

#[tokio::test]
async fn health_says_who_and_when() {
    let (status, body) = running(&[]).await.get("/health").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    let expected = json!({
        "status": "healthy", "service": "inventory-worker", "timestamp": "2026-11-22T10:00:00Z"
    });
    assert_eq!((status, body), (200, expected));
}

#[tokio::test]
async fn a_process_is_alive_before_it_is_ready() {
    let server = running(&["store"]).await;
    assert_eq!(server.get("/livez").await.0, 200);
    assert_eq!(server.get("/readyz").await.0, 503);
}

#[tokio::test]
async fn readyz_says_which_part_is_missing_and_why() {
    let server = running(&["queues", "store"]).await;
    server.readiness.set("queues", Ok(()));
    server.readiness.set("store", Err("unavailable: connection refused".to_owned()));
    let (status, body) = server.get("/readyz").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    let parts = json!({ "queues": "ready", "store": "unavailable: connection refused" });
    assert_eq!((status, body), (503, json!({ "status": "not ready", "parts": parts })));
    server.readiness.set("store", Ok(()));
    assert_eq!(server.get("/readyz").await.0, 200);
    server.readiness.drain();
    let (status, body) = server.get("/readyz").await;
    assert!(status == 503 && body.contains("draining"), "{body}");
}

#[tokio::test]
async fn metrics_are_what_the_process_counted() {
    let server = running(&[]).await;
    server.metrics.observe(&Event::LockDegraded);
    let (status, body) = server.get("/metrics").await;
    assert_eq!(status, 200);
    assert!(body.contains("\ninventory_lock_degraded_total 1\n"), "{body}");
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let server = running(&[]).await;
    assert_eq!(server.get("/").await.0, 404);
    assert_eq!(server.send("POST /livez HTTP/1.1\r\nHost: t\r\n\r\n").await.0, 405);
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let server = running(&[]).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!("GET /livez HTTP/1.1\r\nHost: t\r\nX: {}", "x".repeat(HEAD_BYTES_MAX));
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The server may close with bytes unread, which some systems report as a reset.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(server.get("/livez").await.0, 200);
}

#[tokio::test]
async fn silent_connections_do_not_keep_the_server_from_stopping() {
    let server = running(&[]).await;
    let silent = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(server.get("/livez").await.0, 200);
    server.stop.cancel();
    time::timeout(Duration::from_secs(30), server.task).await.unwrap().unwrap();
    drop(silent);
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error() {
    let server = running(&[]).await;
    let admin = Admin {
        metrics: Arc::clone(&server.metrics),
        readiness: server.readiness.clone(),
        clock: Arc::new(StoppedClock),
    };
    assert!(AdminServer::bind(server.address, admin).await.is_err());
}
