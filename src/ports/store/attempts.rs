//! What is kept about a message: its attempts, and whether it was copied to the dead letters.

use async_trait::async_trait;

use crate::{domain::Timestamp, ports::PortError};

/// An attempt at a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its number, from 1, among those that were not taken back.
    pub count: u32,
    /// When the one before was counted, taken back or not; of the first, when it was itself.
    pub before: Timestamp,
}

/// Counts attempts at messages, and notes their dead letters.
#[async_trait]
pub trait AttemptStore: Send + Sync {
    /// Counts one more attempt at a message. Atomic.
    async fn record_attempt(&self, message_id: &str, now: Timestamp) -> Result<Attempt, PortError>;

    /// Takes back one attempt that ended in an unavailable dependency. When it was counted
    /// stays known.
    async fn undo_attempt(&self, message_id: &str) -> Result<(), PortError>;

    /// Notes that a copy of the message went to the dead letters. Kept as long as a count of
    /// attempts, 90 days.
    async fn note_dead_letter(&self, message_id: &str, now: Timestamp) -> Result<(), PortError>;

    /// Whether a copy of the message was noted. Strongly consistent.
    async fn has_dead_letter(&self, message_id: &str) -> Result<bool, PortError>;
}
