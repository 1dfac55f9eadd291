//! Time and chance, passed in so that a test or simulation can own them.

use uuid::Uuid;

use crate::domain::Timestamp;

/// The worker's clock.
///
/// Gives the time of day in UTC, truncated to the millisecond. May jump, and differs between
/// workers: no guarantee rests on it. Waiting is done by `tokio::time`, which tests pause.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The only source of chance in the worker.
pub trait Entropy: Send + Sync {
    /// A new id, for tokens.
    fn uuid(&self) -> Uuid;

    /// An evenly distributed number from 0 up to and without 1, for jitter.
    fn fraction(&self) -> f64;
}
