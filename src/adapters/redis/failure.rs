//! The meaning of a failed call.

use std::{error::Error, io, sync::Arc};

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::url::RedisUrl;
use crate::ports::PortError;

/// The error with where Redis is.
pub(super) fn at(url: &RedisUrl, error: PortError) -> PortError {
    let with_place = |text| format!("Redis at {url}: {text}");
    match error {
        PortError::Throttled(text) => PortError::Throttled(with_place(text)),
        PortError::Unavailable(text) => PortError::Unavailable(with_place(text)),
        PortError::Refused(text) => PortError::Refused(with_place(text)),
        PortError::Unreadable(text) => PortError::Unreadable(with_place(text)),
    }
}

/// A call that failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// The port's error.
    pub(super) error: PortError,
    /// Whether the next call would most likely fail too, whatever its keys.
    pub(super) lasting: bool,
}

impl Failure {
    /// No answer came in time.
    pub(super) fn timeout(after: std::time::Duration) -> Self {
        let text = format!("no answer within {} ms", after.as_millis());
        Self { error: PortError::Unavailable(text), lasting: true }
    }

    /// The port's error, with where Redis is.
    pub(super) fn at(self, url: &RedisUrl) -> PortError {
        at(url, self.error)
    }

    /// Reads the client's error. Its text names hosts and the server's message, never a password.
    pub(super) fn of(error: &RedisError, cluster: bool) -> Self {
        let refused = |fix: &str| PortError::Refused(format!("{error}; {fix}"));
        let code = error.code().unwrap_or_default();
        let (error, lasting) = match error.kind() {
            ErrorKind::AuthenticationFailed => (refused(CREDENTIALS), true),
            // A cluster's client reports a node's error as text when it can reach none.
            _ if matches!(code, "NOAUTH" | "WRONGPASS") || says_authentication(error) => {
                (refused(CREDENTIALS), true)
            }
            ErrorKind::Server(ServerErrorKind::NoPerm) => (refused(RIGHTS), true),
            // From a cluster it means that the slot's master is down and another node was asked.
            ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask) if !cluster => {
                (refused(CLUSTER), true)
            }
            ErrorKind::InvalidClientConfig | ErrorKind::RESP3NotSupported => {
                (refused("see to REDIS_URL"), true)
            }
            // The server works; it refused only this call.
            ErrorKind::Server(ServerErrorKind::ResponseError | ServerErrorKind::CrossSlot)
            | ErrorKind::UnexpectedReturnType => (refused(FOREIGN), false),
            ErrorKind::Extension if code == "WRONGTYPE" => (refused(FOREIGN), false),
            ErrorKind::Io if is_tls(error) => (refused(TLS), true),
            // The client does not report why.
            ErrorKind::ClusterConnectionNotFound => {
                (PortError::Unavailable(format!("{error}; {NODES}")), true)
            }
            // Out of memory, loading, failing over, unreachable: all may pass.
            _ => (PortError::Unavailable(error.to_string()), true),
        };
        Self { error, lasting }
    }
}

fn says_authentication(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| {
        detail.contains("AuthenticationFailed")
            || detail.contains("NOAUTH")
            || detail.contains("WRONGPASS")
    })
}

/// Whether the connection was made and then failed in TLS.
fn is_tls(error: &RedisError) -> bool {
    // The client's error gives its shared pointer, not the error behind it, as the source.
    let shared = error.source().and_then(<dyn Error>::downcast_ref::<Shared>);
    let io = shared.and_then(|shared| shared.downcast_ref::<io::Error>());
    io.and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<rustls::Error>())
}

type Shared = Arc<dyn Error + Send + Sync>;

const CREDENTIALS: &str = "put the right user and password into REDIS_URL: \
                           redis://user:password@host";
const RIGHTS: &str = "the user in REDIS_URL needs the permissions ~inv:* +@read +@write \
                      +@scripting, and for hints and shared snapshots &inv:* +@pubsub +time";
const CLUSTER: &str = "this server is one of a cluster: name several of its nodes in REDIS_URL, \
                       comma-separated";
const TLS: &str = "this machine must trust the server's certificate for the host in REDIS_URL (the \
                   system's authorities, or SSL_CERT_FILE)";
const NODES: &str = "are the addresses, user and password in REDIS_URL right, and the nodes up?";
const FOREIGN: &str = "is something else using keys that begin with inv: in this database?";

#[cfg(test)]
mod tests {
    use redis::make_extension_error;

    use super::*;

    fn of(error: impl Into<RedisError>) -> Failure {
        Failure::of(&error.into(), false)
    }

    #[test]
    fn what_needs_a_person_is_refused_with_the_fix() {
        let said = |code: &str| of(make_extension_error(code.to_owned(), Some("x".to_owned())));
        for code in ["NOAUTH", "WRONGPASS"] {
            let failure = said(code);
            assert!(failure.lasting);
            assert!(
                matches!(&failure.error, PortError::Refused(text) if text.contains("password")),
                "{failure:?}"
            );
        }
        let moved = of((ErrorKind::Server(ServerErrorKind::Moved), "MOVED"));
        assert!(matches!(moved.error, PortError::Refused(text) if text.contains("comma")));
    }

    #[test]
    fn a_slot_that_moved_inside_a_cluster_may_pass() {
        let moved = (ErrorKind::Server(ServerErrorKind::Moved), "MOVED").into();
        assert!(matches!(Failure::of(&moved, true).error, PortError::Unavailable(_)));
    }

    #[test]
    fn what_may_pass_is_unavailable() {
        for error in [
            RedisError::from(io::Error::from(io::ErrorKind::ConnectionRefused)),
            (ErrorKind::Server(ServerErrorKind::BusyLoading), "LOADING").into(),
            (ErrorKind::Server(ServerErrorKind::ClusterDown), "CLUSTERDOWN").into(),
            (ErrorKind::ClusterConnectionNotFound, "none").into(),
            make_extension_error("OOM".to_owned(), None),
        ] {
            let failure = of(error);
            assert!(failure.lasting);
            assert!(matches!(failure.error, PortError::Unavailable(_)), "{failure:?}");
        }
    }

    #[test]
    fn a_certificate_that_is_not_trusted_is_refused_with_the_fix() {
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let failure = of(io::Error::new(io::ErrorKind::InvalidData, unknown));
        assert!(
            matches!(&failure.error, PortError::Refused(text) if text.contains("SSL_CERT_FILE")),
            "{failure:?}"
        );
    }

    #[test]
    fn a_call_the_server_did_not_like_says_nothing_about_the_next() {
        let wrong_type = of(make_extension_error("WRONGTYPE".to_owned(), None));
        assert!(!wrong_type.lasting);
        assert!(matches!(wrong_type.error, PortError::Refused(_)));
    }
}
