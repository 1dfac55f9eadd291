//! The deadline of a request's head, on an HTTP/1.1 connection.
//!
//! hyper's own timeout counts from the end of the request before, so it would also end connections
//! that a load balancer keeps for its next request. This one counts from the head's first byte; on
//! a new connection, from its beginning. It also bounds how long a connection may say nothing
//! before it is known to be HTTP/2.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// What an HTTP/2 connection begins with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The requests of a connection: heads that have been read, and answers that have begun.
#[derive(Debug, Default)]
pub(super) struct Requests {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Requests {
    /// Counts a head that has been read; its answer begins when what is returned is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Begun {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Begun(Arc::clone(self))
    }

    fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    fn is_idle(&self) -> bool {
        self.begun() == self.ended.load(Ordering::Relaxed)
    }
}

/// A request that is being handled.
pub(super) struct Begun(Arc<Requests>);

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// So many bytes agree with the preface of HTTP/2.
    Unknown(usize),
    Http1,
    Http2,
}

impl Version {
    fn after(self, bytes: &[u8]) -> Self {
        let Self::Unknown(matched) = self else { return self };
        let rest = PREFACE.get(matched..).unwrap_or_default();
        let compared = rest.len().min(bytes.len());
        if rest.get(..compared) != bytes.get(..compared) {
            Self::Http1
        } else if compared == rest.len() {
            Self::Http2
        } else {
            Self::Unknown(matched + compared)
        }
    }
}

/// A connection whose reads fail once a head is overdue.
pub(super) struct HeadDeadline<S> {
    stream: S,
    requests: Arc<Requests>,
    timeout: Duration,
    version: Version,
    /// Heads that had been read when the deadline was set.
    begun: u64,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> HeadDeadline<S> {
    pub(super) fn new(stream: S, requests: Arc<Requests>, timeout: Duration) -> Self {
        Self {
            stream,
            begun: requests.begun(),
            requests,
            timeout,
            version: Version::Unknown(0),
            deadline: Some(Box::pin(sleep(timeout))),
        }
    }

    fn note(&mut self, bytes: &[u8]) {
        self.lift_if_met();
        self.version = self.version.after(bytes);
        match self.version {
            Version::Http2 => self.deadline = None,
            Version::Http1 if !bytes.is_empty() && self.requests.is_idle() => {
                self.begun = self.requests.begun();
                let timeout = self.timeout;
                self.deadline.get_or_insert_with(|| Box::pin(sleep(timeout)));
            }
            Version::Http1 | Version::Unknown(_) => {}
        }
    }

    fn lift_if_met(&mut self) {
        if self.requests.begun() != self.begun {
            self.begun = self.requests.begun();
            self.deadline = None;
        }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.lift_if_met();
        match self.deadline.as_mut().map(|deadline| deadline.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => {
                let late = "the head of a request took too long";
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, late)))
            }
            Some(Poll::Pending) | None => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HeadDeadline<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => {
                this.note(buf.filled().get(before..).unwrap_or_default());
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => this.poll_deadline(cx),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HeadDeadline<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    async fn read(stream: &mut (impl AsyncRead + Unpin), bytes: usize) -> io::Result<usize> {
        stream.read_exact(&mut vec![0; bytes]).await
    }

    fn is_timeout(result: io::Result<usize>) -> bool {
        result.is_err_and(|error| error.kind() == io::ErrorKind::TimedOut)
    }

    #[test]
    fn the_version_is_known_by_the_preface_however_it_is_cut() {
        for cut in 0..=PREFACE.len() {
            let version = Version::Unknown(0).after(&PREFACE[..cut]).after(&PREFACE[cut..]);
            assert_eq!(version, Version::Http2, "{cut}");
        }
        assert_eq!(Version::Unknown(0).after(b"POST"), Version::Http1);
        assert_eq!(Version::Unknown(0).after(b"P").after(b"UT /"), Version::Http1);
        assert_eq!(Version::Unknown(0).after(b"PRI"), Version::Unknown(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_and_a_slow_head_run_out() {
        let (_silent, server) = duplex(64);
        let mut server = HeadDeadline::new(server, Arc::default(), TIMEOUT);
        assert!(is_timeout(read(&mut server, 1).await));

        let (mut client, server) = duplex(64);
        let mut server = HeadDeadline::new(server, Arc::default(), TIMEOUT);
        for _ in 0..9 {
            client.write_all(b"G").await.unwrap();
            read(&mut server, 1).await.unwrap();
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(is_timeout(read(&mut server, 1).await), "though it sent a byte each second");
    }

    #[tokio::test(start_paused = true)]
    async fn no_deadline_runs_between_requests_or_while_one_is_handled() {
        let requests = Arc::<Requests>::default();
        let (mut client, server) = duplex(64);
        let mut server = HeadDeadline::new(server, Arc::clone(&requests), TIMEOUT);
        client.write_all(b"GET").await.unwrap();
        read(&mut server, 3).await.unwrap();
        let handled = requests.begin();
        client.write_all(b"body").await.unwrap();
        read(&mut server, 4).await.unwrap();
        let hour = Duration::from_secs(3_600);
        assert!(tokio::time::timeout(hour, read(&mut server, 1)).await.is_err(), "body");
        drop(handled);
        assert!(tokio::time::timeout(hour, read(&mut server, 1)).await.is_err(), "idle");
        client.write_all(b"G").await.unwrap();
        read(&mut server, 1).await.unwrap();
        assert!(is_timeout(read(&mut server, 1).await), "the next head");
    }

    #[tokio::test(start_paused = true)]
    async fn an_http2_connection_has_no_deadline_after_its_preface() {
        let (mut client, server) = duplex(64);
        let mut server = HeadDeadline::new(server, Arc::default(), TIMEOUT);
        client.write_all(PREFACE).await.unwrap();
        read(&mut server, PREFACE.len()).await.unwrap();
        let hour = Duration::from_secs(3_600);
        assert!(tokio::time::timeout(hour, read(&mut server, 1)).await.is_err());
    }
}
