//! What is measured of requests.

mod views;

use std::{fmt, time::Duration};

use super::{limits::Lane, streams::StreamKind};
use crate::{client::PostObserver, message::TraceContext};
pub use views::{HintOutcome, NoopViewObserver, RefillReason, SnapshotOutcome, ViewObserver};

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP, with problem details for errors.
    Http,
    /// gRPC, with statuses.
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

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestCode {
    /// The status of HTTP or gRPC.
    Status(u16),
    /// The caller went away before its answer, or before the end of a stream.
    ClientClosed,
}

impl fmt::Display for RequestCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => status.fmt(f),
            Self::ClientClosed => f.write_str("client_closed"),
        }
    }
}

/// A request that has ended.
#[derive(Clone, Copy, Debug)]
pub struct AnsweredRequest<'a> {
    /// How it came.
    pub protocol: Protocol,
    /// The route or call, never a path with values: `GET /events/{id}/seats`, `ReserveSeats`.
    pub operation: &'a str,
    /// How it ended.
    pub code: RequestCode,
    /// From its head to the head of its answer, or until its caller went away.
    pub took: Duration,
}

/// Why a request was refused that another time would have been taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShedReason {
    /// Its lane is full.
    LaneFull,
    /// Its caller's rate.
    Rate,
    /// As many streams are open as there may be.
    StreamsFull,
    /// Its caller has as many streams as it may have.
    CallerStreams,
    /// It is a reserve, and commands on its pool wait for too long.
    QueueBehind,
    /// It is a list of a pool too large for memory, and others are being read.
    LargeLists,
}

impl ShedReason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::LaneFull,
        Self::Rate,
        Self::StreamsFull,
        Self::CallerStreams,
        Self::QueueBehind,
        Self::LargeLists,
    ];

    /// The name of the reason in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LaneFull => "lane_full",
            Self::Rate => "rate",
            Self::StreamsFull => "streams_full",
            Self::CallerStreams => "caller_streams",
            Self::QueueBehind => "queue_behind",
            Self::LargeLists => "large_lists",
        }
    }
}

/// What became of a command of a storm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StressOutcome {
    /// It was carried out.
    Completed,
    /// It was rejected.
    Rejected,
    /// It had no outcome in time.
    Unanswered,
    /// The queue did not take it, as far as is known.
    NotPosted,
}

impl StressOutcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Completed, Self::Rejected, Self::Unanswered, Self::NotPosted];

    /// The name of the outcome in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Rejected => "rejected",
            Self::Unanswered => "unanswered",
            Self::NotPosted => "not_posted",
        }
    }
}

/// Watches requests. Never waited for.
pub trait RequestObserver: Send + Sync {
    /// A request was answered, or left by its caller.
    fn answered(&self, request: &AnsweredRequest<'_>);

    /// A request was refused; it is counted as answered too.
    fn shed(&self, reason: ShedReason);

    /// A request entered its lane (1) or left it (−1).
    fn in_flight(&self, lane: Lane, change: i64);

    /// A stream began (1) or ended (−1).
    fn streams(&self, kind: StreamKind, change: i64);

    /// The queue has one more command of a storm.
    fn stress_posted(&self) {}

    /// What became of a command of a storm is known.
    fn stressed(&self, _: StressOutcome) {}

    /// What share of its cores, percent, this process used during the last second of a storm.
    fn stress_cpu(&self, _: f64) {}
}

/// Makes a span of each request.
pub trait RequestTracer: Send + Sync {
    /// Begins the span of a request, in the trace of its caller if there is one.
    fn begin(
        &self,
        protocol: Protocol,
        operation: &str,
        caller: Option<&TraceContext>,
    ) -> Box<dyn RequestSpan>;
}

/// The span of a request.
pub trait RequestSpan: Send {
    /// The context that the request's commands continue. `None` for a span that is invalid.
    fn context(&self) -> Option<TraceContext>;

    /// The request has ended.
    fn ended(&self, code: RequestCode);
}

/// Watches all of a gateway.
pub trait GatewayObserver: RequestObserver + ViewObserver + PostObserver {}

impl<T: RequestObserver + ViewObserver + PostObserver> GatewayObserver for T {}

/// Measures nothing.
pub struct NoopRequestObserver;

impl RequestObserver for NoopRequestObserver {
    fn answered(&self, _: &AnsweredRequest<'_>) {}

    fn shed(&self, _: ShedReason) {}

    fn in_flight(&self, _: Lane, _: i64) {}

    fn streams(&self, _: StreamKind, _: i64) {}
}
