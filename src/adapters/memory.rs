//! In-memory ports that keep the contracts of the real ones.
//!
//! `dev`, the bench and the simulation run on them, so they are exact (`tests/contract` holds them
//! and the real adapters to the same rules), repeatable (ordered maps, time from a
//! [`crate::ports::Clock`], no randomness) and cheap (no call reads more than it returns).

pub mod activity;
pub mod broker;
pub mod clock;
mod dedup;
pub mod hints;
pub mod locks;
pub mod publisher;
pub mod queue;
pub mod snapshots;
pub mod store;

pub use activity::MemoryActivity;
pub use broker::MemoryBroker;
pub use clock::TokioClock;
pub use hints::MemoryHints;
pub use locks::MemoryLocks;
pub use publisher::{FilterPolicy, MemoryTopic};
pub use queue::{MemoryQueue, StoredMessage};
pub use snapshots::MemorySnapshots;
pub use store::{MemoryStore, Tables};

use std::time::Duration;

use jiff::SignedDuration;

use crate::domain::{Timestamp, time::saturating_add};

/// `at + by`, capped at the last instant that can be written.
fn after(at: Timestamp, by: Duration) -> Timestamp {
    saturating_add(at, SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX))
}
