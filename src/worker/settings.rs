//! The worker's settings, as values. Their declarations, with names and defaults, are in
//! [`crate::config`].

use std::time::Duration;

use crate::decide::Limits;

/// When names are locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// Before every load.
    Always,
    /// Only once a batch has met a version conflict: fewer calls where groups seldom meet.
    AfterConflict,
}

/// The worker's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How long a received message stays hidden from others.
    pub visibility: Duration,
    /// How often leases are extended.
    pub heartbeat: Duration,
    /// Nothing is committed with less than this left of a lease.
    pub lease_margin: Duration,
    /// How long a receive waits for the first message.
    pub long_poll: Duration,
    /// Receives at a time, a queue.
    pub pollers: usize,
    /// The most messages in flight.
    pub messages_in_flight_max: usize,
    /// The most bytes in flight: bodies and the commands in them.
    pub bytes_in_flight_max: usize,
    /// The most messages of a group that are decided and committed together.
    pub batch_messages_max: usize,
    /// When names are locked.
    pub lock_mode: LockMode,
    /// How long a lock lasts unless it is released.
    pub lock_ttl: Duration,
    /// The longest wait for locks.
    pub lock_wait: Duration,
    /// How often a batch is decided again after conflicts, whole and then command by command.
    pub conflict_attempts: u32,
    /// A head message received more often than this is handled alone.
    pub isolate_after: u32,
    /// Attempts alone, without outcome and without an unavailable dependency, before a message
    /// goes to the dead letters.
    pub attempts_max: u32,
    /// How long a publish or delete that could carry more waits for other groups' entries. It
    /// waits for none where no group is on its way to it.
    pub linger: Duration,
    /// Chunks of one restock in flight.
    pub restock_parallelism: usize,
    /// No further attempt at a batch is begun after this.
    pub handler_timeout: Duration,
    /// From the stop signal to the end.
    pub grace: Duration,
    /// The part of the grace that is kept for publishing, deleting and releasing.
    pub flush: Duration,
    /// The operator's limits.
    pub limits: Limits,
}
