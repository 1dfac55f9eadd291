//! The worker's settings, as values. Names and defaults are declared in [`crate::config`].

use std::time::Duration;

use crate::decide::Limits;

/// When to lock names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// Before every load.
    Always,
    /// Only once a batch has met a version conflict: fewer calls where groups seldom conflict.
    AfterConflict,
}

/// How the results of a batch of commands are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultBatches {
    /// One by one: subscribers need not take arrays.
    Single,
    /// As arrays, those of one message together.
    InKind,
}

/// Intervals, timeouts and limits of a worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How long a received message stays hidden from others.
    pub visibility: Duration,
    /// The interval at which leases are extended.
    pub heartbeat: Duration,
    /// Nothing is committed with less than this left of a lease.
    pub lease_margin: Duration,
    /// How long a receive waits for the first message.
    pub long_poll: Duration,
    /// Concurrent receives per queue.
    pub pollers: usize,
    /// The most messages in flight, over all queues.
    pub messages_in_flight_max: usize,
    /// The most bytes in flight: bodies and parsed commands.
    pub bytes_in_flight_max: usize,
    /// The most messages of a group that are decided and committed together.
    pub batch_messages_max: usize,
    /// When names are locked.
    pub lock_mode: LockMode,
    /// How long a lock lasts unless it is released.
    pub lock_ttl: Duration,
    /// The longest wait for locks.
    pub lock_wait: Duration,
    /// How often a batch is decided again after conflicts, first whole, then command by command.
    pub conflict_attempts: u32,
    /// A message at the head of its group that was received more often than this is isolated.
    pub isolate_after: u32,
    /// Isolated attempts without an outcome, and without an unavailable dependency, before a
    /// message is dead-lettered.
    pub attempts_max: u32,
    /// How long a publish or delete with room for more waits for other groups' entries. It does not
    /// wait if no group is announced.
    pub linger: Duration,
    /// How the results of a batch of commands are published.
    pub result_batches: ResultBatches,
    /// The most items of a transaction of several commands: DynamoDB's limit, 100.
    pub transaction_items_max: usize,
    /// Transactions of one batch in flight, where they share no item.
    pub commit_parallelism: usize,
    /// Chunks of one restock in flight.
    pub restock_parallelism: usize,
    /// No new attempt at a batch begins after this.
    pub handler_timeout: Duration,
    /// The time from the stop signal to the end.
    pub grace: Duration,
    /// The part of the grace reserved for publishing, deleting and releasing.
    pub flush: Duration,
    /// The operator's limits on commands.
    pub limits: Limits,
}
