//! The server of the gateway: connections, TLS, their bounds and their end.
//!
//! HTTP/1.1 and HTTP/2, by ALPN or prior knowledge. A head has 16 KiB and 10 s; a connection ends in
//! good order at its age, and all of them at the signal to stop, within the grace.

mod head;
mod tls;

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::{
    Request,
    body::Incoming,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{self, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::ports::Entropy;
use head::{HeadDeadline, Requests};
use tls::Tls;
pub use tls::{PeerCertificates, TlsFiles, check_certificates, check_key};

/// Bytes of a request's head.
const HEAD_BYTES_MAX: u32 = 16 * 1024;

/// From the first byte of a head to its last; from accepting a connection to its first head; for a
/// TLS handshake.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an HTTP/1.1 connection may wait for its next request. Longer than load balancers keep
/// theirs (60 s), so that none sends a request on a connection that is being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// Between two pings on an HTTP/2 connection, and how long an answer may take.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Requests of one HTTP/2 connection at once.
const STREAMS_MAX: u32 = 1_000;

/// How far the age of a connection varies, up and down.
const AGE_JITTER: f64 = 0.1;

/// How long a connection that has reached its age may still answer: longer than any stream lasts.
const LAST_ANSWERS_TIMEOUT: Duration = Duration::from_secs(20 * 60);

/// How often the TLS files are read again.
const TLS_RELOAD_EVERY: Duration = Duration::from_secs(5 * 60);

/// Between two attempts at accepting, where the first failed: descriptors may have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How a server treats its connections.
#[derive(Clone)]
pub struct ServerOptions {
    /// TLS; `None` means plain text.
    pub tls: Option<TlsFiles>,
    /// After which a connection is closed in good order, give or take a tenth.
    pub max_connection_age: Duration,
    /// Connections at once; those beyond wait to be accepted.
    pub connections_max: usize,
    /// For that tenth.
    pub entropy: Arc<dyn Entropy>,
}

/// A server that has its port and does not answer yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    connections: Arc<Connections>,
    places: Arc<Semaphore>,
}

impl Server {
    /// Reads the TLS files and takes the port; port 0 takes any free one.
    ///
    /// # Errors
    ///
    /// Where a TLS file is not as it should be, which is named, or the port is taken or may not be
    /// had.
    pub async fn bind(
        address: SocketAddr,
        router: Router,
        options: ServerOptions,
    ) -> io::Result<Self> {
        let tls = match options.tls {
            Some(files) => Some(Tls::load(files).await?),
            None => None,
        };
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let connections = Connections {
            router,
            tls,
            builder: builder(),
            max_age: options.max_connection_age,
            entropy: options.entropy,
        };
        let places = options.connections_max.min(Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(places));
        Ok(Self { listener, address, connections: Arc::new(connections), places })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is cancelled; then accepts no more, ends idle connections, and gives
    /// requests under way `grace`.
    pub async fn serve(self, stop: CancellationToken, grace: Duration) {
        let Self { listener, connections, places, .. } = self;
        let mut tasks = JoinSet::new();
        let mut reload = time::interval(TLS_RELOAD_EVERY);
        reload.set_missed_tick_behavior(MissedTickBehavior::Delay);
        reload.reset();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = tasks.join_next() => note_end(&ended),
                _ = reload.tick() => connections.reload_tls().await,
                (stream, permit) = accept(&listener, &places) => {
                    let connections = Arc::clone(&connections);
                    tasks.spawn(connections.serve(stream, stop.clone(), permit));
                }
            }
        }
        // Whoever tries from here on is refused by the system.
        drop(listener);
        let finish = async {
            while let Some(ended) = tasks.join_next().await {
                note_end(&ended);
            }
        };
        if time::timeout(grace, finish).await.is_err() {
            info!(connections = tasks.len(), "the grace is over: connections are cut off");
        }
        tasks.shutdown().await;
    }
}

/// A handler that panicked takes its connection along, nothing else.
fn note_end(ended: &Result<(), tokio::task::JoinError>) {
    if ended.as_ref().is_err_and(tokio::task::JoinError::is_panic) {
        warn!("a connection ended by a panic");
    }
}

/// The next connection, once there is room for it. The wait may be dropped at any time.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, OwnedSemaphorePermit) {
    loop {
        let Ok(permit) = Arc::clone(places).acquire_owned().await else {
            // The semaphore is never closed.
            return std::future::pending().await;
        };
        match listener.accept().await {
            Ok((stream, _)) => return (stream, permit),
            Err(error) => {
                warn!(%error, "the gateway accepts no connection");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_BYTES_MAX)
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// What every connection shares.
struct Connections {
    router: Router,
    tls: Option<Tls>,
    builder: auto::Builder<TokioExecutor>,
    max_age: Duration,
    entropy: Arc<dyn Entropy>,
}

impl Connections {
    async fn reload_tls(&self) {
        if let Some(tls) = &self.tls {
            tls.reload().await;
        }
    }

    /// From the handshake to the end of the connection; holds its permit so long.
    async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        stop: CancellationToken,
        _permit: OwnedSemaphorePermit,
    ) {
        // An answer is written whole: it does not wait for more.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else { return self.answer(stream, None, &stop).await };
        let handshake = time::timeout(HEAD_TIMEOUT, tls.acceptor().accept(stream));
        let stream = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = handshake => match accepted {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return debug!(%error, "a TLS handshake failed"),
                Err(_) => return debug!("a TLS handshake took too long"),
            },
        };
        let certificates = stream.get_ref().1.peer_certificates();
        let peer = certificates.map(|chain| {
            PeerCertificates(chain.iter().map(|one| one.clone().into_owned()).collect())
        });
        self.answer(stream, peer, &stop).await;
    }

    async fn answer<S>(&self, stream: S, peer: Option<PeerCertificates>, stop: &CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let requests = Arc::<Requests>::default();
        let stream = HeadDeadline::new(stream, Arc::clone(&requests), HEAD_TIMEOUT);
        let router = TowerToHyperService::new(self.router.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            let begun = requests.begin();
            if let Some(peer) = &peer {
                request.extensions_mut().insert(peer.clone());
            }
            let answer = router.call(request);
            async move {
                let answer = answer.await;
                drop(begun);
                answer as Result<_, Infallible>
            }
        });
        let mut connection = pin!(self.builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            biased;
            ended = connection.as_mut() => return note_early_end(ended),
            () = stop.cancelled() => {}
            () = time::sleep(self.age()) => {}
        }
        connection.as_mut().graceful_shutdown();
        match time::timeout(LAST_ANSWERS_TIMEOUT, connection).await {
            Ok(ended) => note_early_end(ended),
            Err(_) => debug!("a connection of full age was cut off"),
        }
    }

    /// The age at which this connection ends.
    fn age(&self) -> Duration {
        let spread = 2.0 * self.entropy.fraction() - 1.0;
        self.max_age.mul_f64(1.0 + AGE_JITTER * spread)
    }
}

fn note_early_end(ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests;
