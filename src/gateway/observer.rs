//! What is measured of requests.

use std::time::Duration;

use super::limits::Lane;

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

/// A request that was answered.
#[derive(Clone, Copy, Debug)]
pub struct AnsweredRequest<'a> {
    /// How it came.
    pub protocol: Protocol,
    /// The route or call, never a path with values: `GET /events/{id}/seats`, `ReserveSeats`.
    pub operation: &'a str,
    /// The status of HTTP or gRPC.
    pub code: u16,
    /// From its head to the head of its answer.
    pub took: Duration,
}

/// Why a request was refused before its handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShedReason {
    /// Its lane is full.
    LaneFull,
    /// Its caller's rate.
    Rate,
}

impl ShedReason {
    /// Every reason.
    pub const ALL: [Self; 2] = [Self::LaneFull, Self::Rate];

    /// The name of the reason in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LaneFull => "lane_full",
            Self::Rate => "rate",
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
    /// A request was answered.
    fn answered(&self, request: &AnsweredRequest<'_>);

    /// A request was refused before its handler; it is counted as answered too.
    fn shed(&self, reason: ShedReason);

    /// A request entered its lane (1) or left it (−1).
    fn in_flight(&self, lane: Lane, change: i64);

    /// What became of a command of a storm is known.
    fn stressed(&self, _: StressOutcome) {}
}

/// Measures nothing.
pub struct NoopRequestObserver;

impl RequestObserver for NoopRequestObserver {
    fn answered(&self, _: &AnsweredRequest<'_>) {}

    fn shed(&self, _: ShedReason) {}

    fn in_flight(&self, _: Lane, _: i64) {}
}
