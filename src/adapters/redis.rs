//! Redis, single or cluster: the locks.
//!
//! Redis makes the worker faster, never safer, and so it must never make it slower either: nothing
//! connects before the first call, a call that gets no answer costs at most 200 ms, and after three
//! such calls in a row a breaker answers in Redis' place until a probe, one a second, gets through.

mod breaker;
mod connection;
mod failure;
mod keys;
mod locks;
mod url;

pub use locks::RedisLocks;
pub use url::{InvalidRedisUrl, RedisUrl};
