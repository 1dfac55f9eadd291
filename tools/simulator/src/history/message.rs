//! What is known of a message that was sent.

use std::{collections::BTreeMap, sync::Arc};

use jiff::SignedDuration;

use crate::{
    fault::{CRASH_TRIGGER, POISON},
    topology::Incarnation,
};
use inventory_worker::{
    domain::{Command, CommandKey, GroupId, Timestamp},
    ports::ReceiptHandle,
};

/// Before this age nothing is copied for its retention's sake.
const RETENTION_ENDS: SignedDuration = SignedDuration::from_hours(13 * 24 - 12);

/// A message on a queue of commands.
pub(super) struct TrackedMessage {
    pub(super) group: GroupId,
    pub(super) body: String,
    pub(super) attributes: BTreeMap<String, String>,
    /// What it asks for; `None` where it is no command.
    pub(super) command: Option<Arc<Command>>,
    /// Its identity, where one can be read.
    pub(super) key: Option<CommandKey>,
    /// The result of it that went out first, as a place among all results.
    pub(super) published: Option<usize>,
    /// Whether a failed entry before it in one batch excuses its place.
    pub(super) is_excused: bool,
    /// Of an expiry: deleted without an outcome, to be posted again.
    pub(super) is_dropped: bool,
    pub(super) is_dead: bool,
    /// Moved to the dead letters by the queue itself.
    pub(super) is_redriven: bool,
    /// Copied to the dead letters before the queue itself would move or drop it.
    pub(super) is_handed_over: bool,
    /// Copies of it that the dead letters took.
    pub(super) copies: u32,
    /// Given up after its attempts, whatever it was.
    pub(super) is_abandoned: bool,
    pub(super) is_deleted: bool,
    pub(super) sent_at: Timestamp,
    /// How often it was received.
    pub(super) receives: u32,
    /// Who received it last, and the receipt.
    pub(super) held: Option<(Incarnation, ReceiptHandle)>,
}

impl TrackedMessage {
    /// Whether a copy for this reason is right, of what was not handled alone too often.
    pub(super) fn is_deserved(&self, reason: &str, redrive_after: u32, now: Timestamp) -> bool {
        match reason {
            "INVALID_MESSAGE" | "UNSUPPORTED_TYPE" => self.command.is_none(),
            // A hundredth of the receives before the queue itself would move it.
            "RECEIVES" => self.receives + (redrive_after / 100).max(1) >= redrive_after,
            // A day before its retention ends, by clocks that are off.
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
