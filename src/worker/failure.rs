//! Failures, classed once where they are known.

use crate::{
    decide::DecideError,
    ports::{EntryError, PortError},
};

/// Why a message has no outcome yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Not the message's fault: release it, and stop receiving for a while unless only its own pool
    /// is concerned.
    #[error("dependency unavailable: {0}")]
    Unavailable(String),
    /// The store or the topic asks for less, of these items or of everything: release it for a
    /// while that grows; whether receiving pauses too depends on who else meets it.
    #[error("throttled: {0}")]
    Throttled(String),
    /// Its pool failed a moment ago, and as many messages as may are trying it: release it untried,
    /// for a while that grows.
    #[error("its pool fails, and as many as may are trying it")]
    PoolFailing,
    /// No copy of it could be made for the dead letters: release it for a while; other groups go
    /// on.
    #[error("no copy for the dead letters: {0}")]
    CopyFailed(String),
    /// Nobody's fault: others kept changing the same items. Release it; other groups go on.
    #[error("contention: {0}")]
    Contention(String),
    /// This message's fault: release it; handled alone, it goes to the dead letters in the end.
    #[error("poison: {0}")]
    Poison(String),
    /// It was handled alone too often, and an attempt was counted a moment ago that may yet be taken
    /// back: release it untouched, to be looked at once more.
    #[error("dead-lettering deferred: {0}")]
    DeadLetterDeferred(String),
    /// It rests on an item this release cannot read: release it; other groups go on. Nobody's fault
    /// but a person's, or a newer worker will take it: it never goes to the dead letters for it.
    #[error("unreadable: {0}")]
    Unreadable(String),
    /// Somebody else has it by now: drop it quietly.
    #[error("the lease was lost")]
    LeaseLost,
    /// The worker is stopping and its grace is over: release it.
    #[error("the worker is stopping")]
    Stopping,
}

/// Released for want of a place to be handled alone.
pub const NO_PLACE: &str = "no_place";

impl Failure {
    /// Every class, and of those that are released for want of a place to be handled alone.
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

    /// Whether store and topic answered, and what stands in the way is a matter of the message or
    /// its items.
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

    /// The class in a word.
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
