//! The record of a message: its attempts, and whether it was copied to the dead-letter queue.

use async_trait::async_trait;

use crate::{domain::Timestamp, ports::PortError};

/// An attempt at a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its number, from 1, among the attempts that were not undone.
    pub count: u32,
    /// When the previous attempt was counted, undone or not; for the first attempt, its own time.
    pub before: Timestamp,
}

/// Counts attempts at messages, and records their dead letters.
#[async_trait]
pub trait AttemptStore: Send + Sync {
    /// Counts one more attempt at a message. Atomic.
    async fn record_attempt(&self, message_id: &str, now: Timestamp) -> Result<Attempt, PortError>;

    /// Undoes one attempt that ended in an unavailable dependency. The time it was counted stays
    /// recorded.
    async fn undo_attempt(&self, message_id: &str) -> Result<(), PortError>;

    /// Records that a copy of the message was dead-lettered. Kept as long as a count of attempts,
    /// 90 days.
    async fn note_dead_letter(&self, message_id: &str, now: Timestamp) -> Result<(), PortError>;

    /// Whether a dead-letter copy of the message was recorded. Strongly consistent.
    async fn has_dead_letter(&self, message_id: &str) -> Result<bool, PortError>;
}
