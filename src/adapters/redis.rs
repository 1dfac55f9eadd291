//! Locks, hints, and a board of workers' totals, on Redis, single or cluster.
//!
//! Redis makes the worker faster, never safer, so it must never make it slower either: no
//! connection is made before the first call, a call without an answer costs at most 200 ms, and
//! after three such calls in a row a breaker fails calls at once until a probe, one a second,
//! succeeds.

mod activity;
mod breaker;
mod connection;
mod failure;
mod hints;
mod keys;
mod locks;
mod snapshots;
mod url;

use std::time::Duration;

pub use activity::RedisActivity;
pub use hints::RedisHints;
pub use locks::RedisLocks;
pub use snapshots::RedisSnapshots;
pub use url::{InvalidRedisUrl, RedisUrl};

/// Whole milliseconds, at least one: Redis refuses a time to live of zero.
fn milliseconds(ttl: Duration) -> u128 {
    ttl.as_nanos().div_ceil(1_000_000).max(1)
}
