//! What the worker has to tell whoever watches it.

use std::time::Duration;

use super::trace::Tracer;
use crate::{
    decide::Oversold,
    domain::{CommandType, Outcome},
    ports::{CommitError, Consumed},
};

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// Messages were received.
    Received {
        /// From which queue.
        queue: &'a str,
        /// How many.
        messages: usize,
        /// How long the oldest had waited.
        oldest_age: Duration,
    },
    /// Messages came into flight (above zero) or left it.
    InFlight(i64),
    /// Leases came into the worker's hands (above zero) or left them.
    LeasesHeld(i64),
    /// A group's batch went to a lane.
    Batch {
        /// How many messages.
        messages: usize,
    },
    /// A message has its outcome, durable.
    Decided {
        /// What was asked for; `None` where the message could not be read.
        command_type: Option<CommandType>,
        /// What it came to.
        outcome: &'a Outcome,
        /// Whether it was found in the ledger, or earlier in its batch.
        replayed: bool,
        /// Since it was received.
        took: Duration,
    },
    /// An attempt to commit a transaction ended, with the store's own account of its cost.
    Commit(&'a Result<Consumed, CommitError>),
    /// Locks were waited for.
    LockWaited(Duration),
    /// A batch went on without its locks.
    LockFallback,
    /// Leases ran out under the worker's hands.
    LeaseLost(usize),
    /// A copy went to the dead letters.
    DeadLettered {
        /// Why: a fixed set of words.
        reason: &'static str,
    },
    /// Messages were given back to their queue without an outcome.
    Released {
        /// Why: a fixed set of words.
        reason: &'static str,
        /// How many.
        messages: usize,
    },
    /// Results were published.
    Published {
        /// How long it took.
        took: Duration,
    },
    /// A dependency is unavailable, and receiving pauses for so long.
    Paused(Duration),
    /// Lines that now have less than nothing available, and lines that no longer do.
    Oversold(Oversold),
    /// The sweeper looked at a shard; this is how far past its end, and the margin, the oldest hold
    /// was, stuck ones aside.
    SweeperLag(Duration),
    /// How many holds are stuck, in all shards as this sweeper last looked them through.
    HoldsStuck(u64),
    /// Expiries were posted.
    ExpiriesPosted(usize),
    /// An expiry that could not be handled was dropped: the sweeper posts it again.
    ExpiryDeferred {
        /// Why: one of [`Deferral`](super::Deferral)'s words.
        reason: &'static str,
    },
}

/// Watches.
pub trait Observer: Send + Sync {
    /// Told of each event as it happens. Must not block.
    fn observe(&self, event: &Event<'_>);

    /// Who traces, if anybody does.
    fn tracer(&self) -> Option<&dyn Tracer> {
        None
    }
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoopObserver;

impl Observer for NoopObserver {
    fn observe(&self, _: &Event<'_>) {}
}
