//! The events that a worker reports to its observer.

use std::time::Duration;

use super::trace::Tracer;
use crate::{
    decide::Oversold,
    domain::{CommandType, Outcome},
    ports::{CommitError, Consumed},
};

/// One event.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// Messages were received.
    Received {
        /// The queue's name.
        queue: &'a str,
        /// Number of messages.
        messages: usize,
        /// The age of the oldest message.
        oldest_age: Duration,
    },
    /// Change in the number of messages in flight.
    InFlight(i64),
    /// Change in the number of leases held.
    LeasesHeld(i64),
    /// A lane received a group's batch.
    Batch {
        /// Number of messages.
        messages: usize,
    },
    /// A message has a durable outcome.
    Decided {
        /// The type of command; `None` if the message could not be read.
        command_type: Option<CommandType>,
        /// The outcome.
        outcome: &'a Outcome,
        /// Whether the outcome was found in the ledger, or earlier in the batch.
        replayed: bool,
        /// Time since the receive.
        took: Duration,
    },
    /// An attempt to load what a batch names ended.
    Load {
        /// Whether the store answered, if only that an item is unreadable.
        is_loaded: bool,
    },
    /// An attempt to commit a transaction ended. Carries the cost that the store reported.
    Commit(&'a Result<Consumed, CommitError>),
    /// The time spent waiting for locks.
    LockWaited(Duration),
    /// A batch continued without its locks.
    LockFallback,
    /// The number of leases that expired while the worker held them.
    LeaseLost(usize),
    /// A message was copied to the dead-letter queue.
    DeadLettered {
        /// The reason, from a fixed set of words.
        reason: &'static str,
    },
    /// Messages were released without an outcome.
    Released {
        /// The reason, from a fixed set of words.
        reason: &'static str,
        /// Number of messages.
        messages: usize,
    },
    /// A group was released because it depends on an item that cannot be read.
    GroupUnreadable {
        /// The group.
        group: &'a str,
        /// Until when its first message is hidden, from now.
        delay: Duration,
    },
    /// Results were published.
    Published {
        /// Duration of the publish.
        took: Duration,
    },
    /// Results were not published: the topic failed.
    PublishFailed,
    /// Hints for gateways were published or lost.
    Hints {
        /// What became of them: one of [`OUTCOMES`](super::hints::OUTCOMES).
        outcome: &'static str,
        /// Number of hints.
        hints: usize,
    },
    /// A dependency is unavailable, and receiving pauses for this long, from now on.
    Paused(Duration),
    /// A call that holds receiving up failed: a receive, or a call whose failure pauses receiving.
    CallFailed {
        /// How long it took, until now.
        took: Duration,
    },
    /// Lines whose available quantity fell below zero, and lines that recovered.
    Oversold(Oversold),
    /// The sweeper checked a shard. Carries how far the oldest hold that is not stuck was past its
    /// end plus the margin.
    SweeperLag(Duration),
    /// The number of stuck holds in all shards, as of this sweeper's last full sweep.
    HoldsStuck(u64),
    /// The number of expiries posted.
    ExpiriesPosted(usize),
    /// An expiry that could not be handled was dropped: the sweeper posts it again.
    ExpiryDeferred {
        /// The reason: one of [`Deferral`](super::Deferral)'s words.
        reason: &'static str,
    },
}

/// Receives the worker's events.
pub trait Observer: Send + Sync {
    /// Called for each event as it happens. Must not block.
    fn observe(&self, event: &Event<'_>);

    /// The tracer, if tracing is on.
    fn tracer(&self) -> Option<&dyn Tracer> {
        None
    }
}

/// Ignores all events.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoopObserver;

impl Observer for NoopObserver {
    fn observe(&self, _: &Event<'_>) {}
}
