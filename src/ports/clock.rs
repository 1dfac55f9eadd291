//! Time and randomness, injected so that a test or simulation can control them.

use std::time::Duration;

use uuid::Uuid;

use crate::domain::Timestamp;

/// The worker's clock.
///
/// Returns the UTC time, truncated to the millisecond. May jump, and differs between workers: no
/// guarantee depends on it. Waits use `tokio::time`, which tests pause.
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> Timestamp;
}

/// The worker's only source of randomness.
pub trait Entropy: Send + Sync {
    /// A new id, for tokens.
    fn uuid(&self) -> Uuid;

    /// A uniformly distributed number, at least 0 and below 1, for jitter.
    fn fraction(&self) -> f64;
}

/// The processor time of this process.
pub trait ProcessorTime: Send + Sync {
    /// What it has used since it began, on all cores together.
    fn used(&self) -> Duration;

    /// The cores that it may use, at least one.
    fn cores(&self) -> usize;
}
