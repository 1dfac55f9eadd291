//! The errors of port calls.

/// A call that failed as a whole. No message causes these errors: all are failures of the
/// environment, to be retried later, and no reason to drop or dead-letter a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// The service throttled the call. Nothing was done, unless the client library repeated the
    /// call after a lost answer: then whether it took effect is not known.
    #[error("throttled: {0}")]
    Throttled(String),
    /// No answer, or the service's own failure. Whether the call took effect is **not known**.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The service refused the call as such: permissions, a missing queue or table, a wrong
    /// setting. Nothing was done; an operator must act.
    #[error("refused: {0}")]
    Refused(String),
    /// A stored item is not in this release's format: damaged, or written by a newer release.
    /// Nothing was done; work that does not depend on it continues.
    #[error("unreadable: {0}")]
    Unreadable(String),
}

/// One entry of a batch that failed while others may have succeeded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The lease has run out, or another consumer has the message.
    #[error("the lease was lost")]
    LeaseLost,
    /// A retry may succeed.
    #[error("failed for now: {0}")]
    Retryable(String),
    /// The service refused the entry itself; a retry will not help.
    #[error("refused: {0}")]
    Refused(String),
}

/// One answer per entry, in the order of the request. An adapter that gets no answer for an entry
/// reports it as [`EntryError::Retryable`], never as success.
pub type BatchAnswer<T = ()> = Vec<Result<T, EntryError>>;
