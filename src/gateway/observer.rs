//! What the gateway tells of its requests.

use std::time::Duration;

use super::limits::Lane;

/// The interface that a request comes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// HTTP with JSON.
    Http,
    /// gRPC.
    Grpc,
}

impl Protocol {
    /// The name of the protocol in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
        }
    }
}

/// Told of requests, for metrics. Every text is from a bounded set.
pub trait RequestObserver: Send + Sync {
    /// An answer has begun, or its caller went away. `code` is an HTTP status, a gRPC code such as
    /// `NOT_FOUND`, or `cancelled`; `duration` is from the end of the request's head.
    fn finished(&self, protocol: Protocol, operation: &str, code: &str, duration: Duration);

    /// A request was shed: `commands` or `lists` for a full lane, `rate` for a caller's rate.
    fn shed(&self, reason: &'static str);

    /// A request entered (1) or left (−1) a lane.
    fn in_flight(&self, lane: Lane, delta: i64);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl RequestObserver for Unobserved {
    fn finished(&self, _: Protocol, _: &str, _: &str, _: Duration) {}

    fn shed(&self, _: &'static str) {}

    fn in_flight(&self, _: Lane, _: i64) {}
}
