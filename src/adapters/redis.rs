//! Locks, and a board of workers' totals, on Redis, single or cluster.
//!
//! Redis makes the worker faster, never safer, so it must never make it slower either: no
//! connection is made before the first call, a call without an answer costs at most 200 ms, and
//! after three such calls in a row a breaker fails calls at once until a probe, one a second,
//! succeeds.

mod activity;
mod breaker;
mod connection;
mod failure;
mod keys;
mod locks;
mod url;

pub use activity::RedisActivity;
pub use locks::RedisLocks;
pub use url::{InvalidRedisUrl, RedisUrl};
