//! Failures, classified once, where they are known.

use crate::{
    decide::DecideError,
    ports::{EntryError, PortError},
};

/// Why a message has no outcome yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Not the message's fault: release it, and pause receiving unless only its own pool is
    /// affected.
    #[error("dependency unavailable: {0}")]
    Unavailable(String),
    /// The store or the topic throttles, for these items or for everything: release the message for
    /// a growing delay; receiving pauses too if other pools are throttled.
    #[error("throttled: {0}")]
    Throttled(String),
    /// Its pool failed a moment ago, and the maximum number of lanes is trying it: release the
    /// message untried, for a growing delay.
    #[error("its pool fails, and as many as may are trying it")]
    PoolFailing,
    /// The message could not be copied to the dead-letter queue: release it for a while; other
    /// groups continue.
    #[error("no copy for the dead letters: {0}")]
    CopyFailed(String),
    /// Others kept changing the same items: release the message; other groups continue.
    #[error("contention: {0}")]
    Contention(String),
    /// This message's fault: release it; isolated, it is eventually dead-lettered.
    #[error("poison: {0}")]
    Poison(String),
    /// It was isolated too often, but a recently counted attempt may yet be undone: release it
    /// untouched and check once more.
    #[error("dead-lettering deferred: {0}")]
    DeadLetterDeferred(String),
    /// It depends on an item that this release cannot read: release it; other groups continue. An
    /// operator must repair the item, or a newer worker reads it: this failure never dead-letters
    /// the message.
    #[error("unreadable: {0}")]
    Unreadable(String),
    /// The lease expired and another worker may have the message: drop it silently.
    #[error("the lease was lost")]
    LeaseLost,
    /// The worker is stopping and its grace has passed: release the message.
    #[error("the worker is stopping")]
    Stopping,
}

/// The reason for releasing a message when no isolation slot is free.
pub const NO_PLACE: &str = "no_place";

impl Failure {
    /// Every class, and [`NO_PLACE`].
    pub const CLASSES: [&str; 11] = [
        "unavailable",
        "throttled",
        "pool_failing",
        "copy_failed",
        "contention",
        "unreadable",
        "poison",
        "dead_letter_deferred",
        "lease_lost",
        "stopping",
        NO_PLACE,
    ];

    /// Whether the store and the topic answered, so that the cause is the message or its items.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        match self {
            Self::Contention(_)
            | Self::Poison(_)
            | Self::DeadLetterDeferred(_)
            | Self::Unreadable(_) => true,
            Self::Unavailable(_)
            | Self::Throttled(_)
            | Self::PoolFailing
            | Self::CopyFailed(_)
            | Self::LeaseLost
            | Self::Stopping => false,
        }
    }

    /// The class's name: one word.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Throttled(_) => "throttled",
            Self::PoolFailing => "pool_failing",
            Self::CopyFailed(_) => "copy_failed",
            Self::Contention(_) => "contention",
            Self::Unreadable(_) => "unreadable",
            Self::Poison(_) => "poison",
            Self::DeadLetterDeferred(_) => "dead_letter_deferred",
            Self::LeaseLost => "lease_lost",
            Self::Stopping => "stopping",
        }
    }
}

impl From<PortError> for Failure {
    fn from(error: PortError) -> Self {
        match error {
            PortError::Unreadable(what) => Self::Unreadable(what),
            PortError::Throttled(what) => Self::Throttled(what),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<DecideError> for Failure {
    fn from(error: DecideError) -> Self {
        Self::Poison(error.to_string())
    }
}

impl From<EntryError> for Failure {
    fn from(error: EntryError) -> Self {
        match error {
            EntryError::LeaseLost => Self::LeaseLost,
            EntryError::Retryable(what) => Self::Unavailable(what),
            EntryError::Refused(what) => Self::Poison(what),
        }
    }
}
