use std::{fs, path::Path};

use axum::{
    Extension,
    body::{Body, to_bytes},
    http::{StatusCode, Version},
    response::Response,
    routing::get,
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, Error, connect::HttpConnector};
use rustls::{ClientConfig, RootCertStore};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::Notify,
    task::JoinHandle,
    time::Instant,
};

use super::*;
use crate::{
    adapters::system::Random,
    gateway::certificates::{Ca, Identity},
};

const GRACE: Duration = Duration::from_secs(30);

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(router: Router, tls: Option<TlsFiles>) -> Self {
        Self::with(router, ServerOptions { tls, ..options() }).await
    }

    async fn with(router: Router, options: ServerOptions) -> Self {
        let address = "127.0.0.1:0".parse().unwrap();
        let server = Server::bind(address, router, options).await.unwrap();
        let (address, stop) = (server.address(), CancellationToken::new());
        let task = tokio::spawn(server.serve(stop.clone(), GRACE));
        Self { address, stop, task }
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

fn options() -> ServerOptions {
    ServerOptions {
        tls: None,
        max_connection_age: Duration::from_secs(20),
        connections_max: 100,
        entropy: Arc::new(Random::seeded(7)),
    }
}

fn hello() -> Router {
    Router::new().route("/hello", get(|| async { "hello" }))
}

/// Handlers that say when they have begun, and wait to be told to end.
#[derive(Clone, Default)]
struct Slow {
    begun: Arc<Notify>,
    end: Arc<Notify>,
}

impl Slow {
    fn router(&self) -> Router {
        let slow = self.clone();
        let answer = get(move || async move {
            slow.begun.notify_one();
            slow.end.notified().await;
            "done"
        });
        hello().route("/slow", answer)
    }
}

async fn read_to_end(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // A server that does not read all that was sent may reset the connection after its answer.
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8(bytes).unwrap()
}

/// One request of HTTP/1.1, all of it, and all that is answered to the end of the connection.
async fn exchange(running: &Running, request: &str) -> String {
    let mut stream = running.connect().await;
    stream.write_all(request.as_bytes()).await.unwrap();
    read_to_end(stream).await
}

fn plain_client(is_http2: bool) -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new()).http2_only(is_http2).build_http()
}

async fn text(
    response: Response<
        impl hyper::body::Body<Data = hyper::body::Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    >,
) -> String {
    let bytes = to_bytes(Body::new(response.into_body()), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn request(url: &str) -> Request<Body> {
    Request::get(url).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn http_1_and_http_2_are_answered_on_one_port() {
    let running = Running::start(hello(), None).await;
    let url = format!("http://{}/hello", running.address);
    for (is_http2, version) in [(false, Version::HTTP_11), (true, Version::HTTP_2)] {
        let answer = plain_client(is_http2).request(request(&url)).await.unwrap();
        assert_eq!(answer.version(), version);
        assert_eq!(text(answer).await, "hello");
    }
    running.end().await;
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let running = Running::start(hello(), None).await;
    let long = "x".repeat(20 * 1024);
    let head = format!("GET /hello HTTP/1.1\r\nHost: h\r\nX: {long}\r\n\r\n");
    assert!(exchange(&running, &head).await.starts_with("HTTP/1.1 431 "));
    let mut over_http2 = request(&format!("http://{}/hello", running.address));
    over_http2.headers_mut().insert("x", long.parse().unwrap());
    let answer = plain_client(true).request(over_http2).await;
    assert!(
        answer.is_err() || answer.unwrap().status() == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
    );
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_and_a_slow_head_are_ended() {
    let running = Running::start(hello(), None).await;
    for head in ["", "G", "GET /hello HTTP/1.1\r\nHost: h\r\n", "PRI * HTTP/2.0\r\n"] {
        let begun = Instant::now();
        assert!(!exchange(&running, head).await.contains("200 OK"), "{head:?}");
        // The paused clock goes to the next deadline: which one it was shows in what has passed.
        assert!(begun.elapsed() < Duration::from_secs(15), "{head:?}");
    }
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_at_its_age() {
    let running = Running::start(hello(), None).await;
    let begun = Instant::now();
    let answer = exchange(&running, "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(answer.ends_with("hello"), "{answer}");
    let age = begun.elapsed();
    assert!(age > Duration::from_secs(17) && age < IDLE_TIMEOUT, "{age:?}");
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_http_2_connection_is_told_at_its_age_and_answers_what_is_under_way() {
    let slow = Slow::default();
    let running = Running::start(slow.router(), None).await;
    let url = |path: &str| format!("http://{}{path}", running.address);
    let stream = TokioIo::new(running.connect().await);
    let shaken = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await;
    let (mut sender, connection) = shaken.unwrap();
    let connection = tokio::spawn(connection);
    let under_way = tokio::spawn(sender.send_request(request(&url("/slow"))));
    slow.begun.notified().await;
    time::sleep(Duration::from_secs(17)).await;
    let young = sender.send_request(request(&url("/hello"))).await.unwrap();
    assert_eq!(text(young).await, "hello");
    time::sleep(Duration::from_secs(6)).await;
    assert!(sender.send_request(request(&url("/hello"))).await.is_err(), "GOAWAY");
    slow.end.notify_one();
    assert_eq!(text(under_way.await.unwrap().unwrap()).await, "done");
    connection.await.unwrap().unwrap();
    running.end().await;
}

#[tokio::test]
async fn connections_do_not_all_end_at_one_age() {
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), hello(), options()).await.unwrap();
    let ages: std::collections::BTreeSet<_> = (0..100).map(|_| server.connections.age()).collect();
    assert!(ages.len() > 90, "{ages:?}");
    let (youngest, oldest) = (ages.first().unwrap(), ages.last().unwrap());
    assert!(*youngest >= Duration::from_secs(18) && *oldest <= Duration::from_secs(22));
    assert!(*oldest - *youngest > Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_connection_beyond_the_bound_waits_for_a_place() {
    let running = Running::with(hello(), ServerOptions { connections_max: 1, ..options() }).await;
    let first = plain_client(true);
    let url = format!("http://{}/hello", running.address);
    assert_eq!(text(first.request(request(&url)).await.unwrap()).await, "hello");
    let mut second = running.connect().await;
    let head = b"GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    second.write_all(head).await.unwrap();
    let mut byte = [0];
    let early = time::timeout(Duration::from_secs(5), second.read_exact(&mut byte)).await;
    assert!(early.is_err(), "{early:?}");
    drop(first);
    assert!(read_to_end(second).await.ends_with("hello"));
    running.end().await;
}

#[tokio::test]
async fn a_drain_answers_what_is_under_way_and_accepts_no_more() {
    for is_http2 in [false, true] {
        let slow = Slow::default();
        let running = Running::start(slow.router(), None).await;
        let idle = running.connect().await;
        let url = format!("http://{}/slow", running.address);
        let answer = tokio::spawn(plain_client(is_http2).request(request(&url)));
        slow.begun.notified().await;
        running.stop.cancel();
        let refused = async {
            while TcpStream::connect(running.address).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        time::timeout(GRACE, refused).await.unwrap();
        assert_eq!(read_to_end(idle).await, "", "an idle connection ends at once");
        assert!(!running.task.is_finished());
        slow.end.notify_one();
        let answer = answer.await.unwrap().unwrap();
        let closes = answer.headers().get("connection").is_some_and(|value| value == "close");
        assert_eq!(closes, !is_http2, "HTTP/2 says so by GOAWAY");
        assert_eq!(text(answer).await, "done", "{is_http2}");
        running.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_at_the_end_of_the_grace_is_cut_off() {
    let slow = Slow::default();
    let running = Running::start(slow.router(), None).await;
    let mut stream = running.connect().await;
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    slow.begun.notified().await;
    running.end().await;
    assert_eq!(read_to_end(stream).await, "");
}

#[tokio::test]
async fn a_handler_that_panics_takes_its_connection_along_and_nothing_else() {
    let panics = get(|| async { if true { panic!("on purpose") } else { "never" } });
    let running = Running::start(hello().route("/panics", panics), None).await;
    let url = |path: &str| format!("http://{}{path}", running.address);
    for is_http2 in [false, true] {
        let client = plain_client(is_http2);
        assert!(client.request(request(&url("/panics"))).await.is_err());
        assert_eq!(text(client.request(request(&url("/hello"))).await.unwrap()).await, "hello");
    }
    running.end().await;
}

fn tls_client(
    ca: &Ca,
    identity: Option<&Identity>,
    is_http2: bool,
) -> Client<HttpsConnector<HttpConnector>, Body> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.certificate()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder
            .with_client_auth_cert(vec![identity.certificate.clone()], identity.key())
            .unwrap(),
    };
    let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_only();
    let connector = match is_http2 {
        true => connector.enable_http2().build(),
        false => connector.enable_http1().build(),
    };
    Client::builder(TokioExecutor::new()).http2_only(is_http2).build(connector)
}

/// How many certificates the handler sees.
async fn count(peer: Option<Extension<PeerCertificates>>) -> String {
    peer.map_or(0, |Extension(peer)| peer.0.len()).to_string()
}

async fn secure(folder: &Path, ca: &Ca, has_clients: bool) -> Running {
    let files = ca.write_server(folder, has_clients);
    Running::start(Router::new().route("/count", get(count)), Some(files)).await
}

#[tokio::test]
async fn tls_speaks_http_1_and_http_2_and_needs_no_client_certificate_without_a_client_ca() {
    let (folder, ca) = (tempfile::tempdir().unwrap(), Ca::new());
    let running = secure(folder.path(), &ca, false).await;
    let url = format!("https://{}/count", running.address);
    for (is_http2, version) in [(false, Version::HTTP_11), (true, Version::HTTP_2)] {
        let answer = tls_client(&ca, None, is_http2).request(request(&url)).await.unwrap();
        assert_eq!(answer.version(), version);
        assert_eq!(text(answer).await, "0");
    }
    let plain = exchange(&running, "GET /count HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(!plain.contains("200 OK"), "{plain}");
    running.end().await;
}

#[tokio::test]
async fn a_client_needs_a_certificate_of_the_client_ca_which_handlers_see() {
    let (folder, ca) = (tempfile::tempdir().unwrap(), Ca::new());
    let running = secure(folder.path(), &ca, true).await;
    let url = format!("https://{}/count", running.address);
    let (till, strangers) = (ca.client(&["till"], &[]), Ca::new());
    let strange = strangers.client(&["till"], &[]);
    for is_http2 in [false, true] {
        let answer = tls_client(&ca, Some(&till), is_http2).request(request(&url)).await.unwrap();
        assert_eq!(text(answer).await, "1");
        for other in [None, Some(&strange)] {
            let refused: Result<_, Error> =
                tls_client(&ca, other, is_http2).request(request(&url)).await;
            assert!(refused.is_err());
        }
    }
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_shake_hands_is_let_go() {
    let (folder, ca) = (tempfile::tempdir().unwrap(), Ca::new());
    let running = secure(folder.path(), &ca, false).await;
    assert_eq!(exchange(&running, "").await, "");
    running.end().await;
}

#[tokio::test]
async fn tls_files_that_are_wrong_are_named_at_the_start_and_passed_over_later() {
    let (folder, ca) = (tempfile::tempdir().unwrap(), Ca::new());
    let files = ca.write_server(folder.path(), true);
    let tls = Tls::load(files.clone()).await.unwrap();
    let before = tls.acceptor();
    let is_before = |tls: &Tls| Arc::ptr_eq(tls.acceptor().config(), before.config());
    for path in [&files.certificate, &files.key, files.client_ca.as_ref().unwrap()] {
        let good = fs::read(path).unwrap();
        fs::write(path, "no PEM").unwrap();
        let error = Tls::load(files.clone()).await.err().unwrap().to_string();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        tls.reload().await;
        assert!(is_before(&tls));
        fs::write(path, good).unwrap();
    }
    tls.reload().await;
    assert!(!is_before(&tls));
}
