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
    server.metrics.observe(&Event::LockFallback);
    let (status, body) = server.get("/metrics").await;
    assert_eq!(status, 200);
    assert!(body.contains("\ninventory_lock_fallbacks_total 1\n"), "{body}");
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

/// Connections that send one byte of their head and no more.
async fn stalled(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The server may have closed it already, in favour of a later one.
        let _ = stream.write_all(b"G").await;
        streams.push(stream);
    }
    streams
}

/// The status of an answer that comes before a silent client could have timed out: waiting for
/// those is what a server may not do.
async fn answered(server: &Running, path: &str) -> u16 {
    let answer = time::timeout(HEAD_TIMEOUT * 2, server.get(path)).await;
    answer.expect("no answer until silent clients timed out").0
}

#[tokio::test]
async fn clients_that_send_a_byte_and_stall_keep_no_probe_from_its_answer() {
    let server = running(&[]).await;
    let mut stalling = Vec::new();
    for count in [200, 600] {
        stalling.push(stalled(server.address, count).await);
        for path in ["/livez", "/readyz", "/metrics", "/livez"] {
            assert_eq!(answered(&server, path).await, 200, "{path} beside {count} more");
        }
    }
}

#[tokio::test]
async fn a_flood_of_silent_clients_keeps_no_probe_from_its_answer() {
    let server = running(&[]).await;
    let address = server.address;
    let flood = tokio::spawn(async move {
        loop {
            drop(stalled(address, 100).await);
        }
    });
    for _ in 0..20 {
        assert_eq!(answered(&server, "/livez").await, 200);
    }
    flood.abort();
}

#[tokio::test]
async fn a_client_that_takes_no_answer_gives_way_too() {
    let server = running(&[]).await;
    let mut waiting = Vec::new();
    for _ in 0..CONNECTIONS_MAX * 2 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n").await;
        waiting.push(stream);
    }
    assert_eq!(answered(&server, "/livez").await, 200);
}

#[tokio::test]
async fn a_process_whose_runtime_no_longer_turns_is_not_alive_and_says_so() {
    let admin = Admin {
        metrics: Arc::new(Metrics::new().unwrap()),
        readiness: Readiness::of([]),
        clock: Arc::new(StoppedClock),
    };
    let pulse = Pulse::new(Duration::from_millis(200));
    let address = "127.0.0.1:0".parse().unwrap();
    let server = AdminServer::bind_with(address, admin, pulse).await.unwrap();
    let address = server.address();
    let asked = async || {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: t\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let until = async |status: &str| {
        let asking = async {
            while !asked().await.starts_with(&format!("HTTP/1.1 {status}")) {
                tokio::task::yield_now().await;
            }
        };
        time::timeout(Duration::from_secs(30), asking).await.unwrap();
    };
    // What stands for the worker's runtime is polled where this test says so.
    let mut serving = std::pin::pin!(server.serve(CancellationToken::new()));
    assert!(futures::poll!(&mut serving).is_pending());
    until("503").await;
    assert!(asked().await.contains("has not turned for"), "says why");
    tokio::select! {
        () = &mut serving => panic!("ended"),
        () = until("200") => {}
    }
}

#[tokio::test]
async fn a_server_that_is_dropped_gives_its_port_back() {
    let server = running(&[]).await;
    assert_eq!(server.get("/livez").await.0, 200);
    server.task.abort();
    let closed = async {
        while TcpStream::connect(server.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    time::timeout(Duration::from_secs(30), closed).await.unwrap();
}
