//! What is known of a sent message.

use std::sync::Arc;

use jiff::SignedDuration;

use crate::{
    fault::{CRASH_TRIGGER, POISON},
    topology::Incarnation,
};
use inventory_worker::{
    domain::{Command, CommandKey, GroupId, Timestamp},
    ports::{ReceiptHandle, queue::MessageAttributes},
};

/// No message younger than this is copied because of its retention.
const RETENTION_ENDS: SignedDuration = SignedDuration::from_hours(13 * 24 - 12);

/// A message on a queue of commands.
pub(super) struct TrackedMessage {
    pub(super) group: GroupId,
    pub(super) body: String,
    pub(super) attributes: MessageAttributes,
    /// The command; `None` if the message is no command.
    pub(super) command: Option<Arc<Command>>,
    /// The command's identity, if readable.
    pub(super) key: Option<CommandKey>,
    /// Its first published result, as an index into all results.
    pub(super) published: Option<usize>,
    /// Whether a failed entry before it in the same batch excuses its order.
    pub(super) is_excused: bool,
    /// For an expiry: deleted without an outcome, to be posted again.
    pub(super) is_dropped: bool,
    pub(super) is_dead: bool,
    /// Moved to the dead-letter queue by the queue itself.
    pub(super) is_redriven: bool,
    /// Copied to the dead letters before the queue itself would move or drop it.
    pub(super) is_handed_over: bool,
    /// The number of copies that the dead-letter queue accepted.
    pub(super) copies: u32,
    /// Dead-lettered after its attempts, whatever its content.
    pub(super) is_abandoned: bool,
    pub(super) is_deleted: bool,
    pub(super) sent_at: Timestamp,
    /// How often it was received.
    pub(super) receives: u32,
    /// The worker that received it last, and the receipt.
    pub(super) held: Option<(Incarnation, ReceiptHandle)>,
}

impl TrackedMessage {
    /// Whether a copy for this reason is right for a message that was not isolated too often.
    pub(super) fn is_deserved(&self, reason: &str, redrive_after: u32, now: Timestamp) -> bool {
        match reason {
            "INVALID_MESSAGE" | "UNSUPPORTED_TYPE" => self.command.is_none(),
            // A hundredth of the receives before the queue itself moves it.
            "RECEIVES" => self.receives + (redrive_after / 100).max(1) >= redrive_after,
            // A day before its retention ends, allowing for clock skew.
            "RETENTION" => now.duration_since(self.sent_at) > RETENTION_ENDS,
            _ => false,
        }
    }

    pub(super) fn is_poison(&self) -> bool {
        self.key.as_ref().is_some_and(|key| {
            key.id.as_str().starts_with(POISON) || key.id.as_str().starts_with(CRASH_TRIGGER)
        })
    }
}
