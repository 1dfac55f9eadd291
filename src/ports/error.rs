//! How a port call can fail.

/// A call that failed as a whole. None of these is the fault of one message: all are failures of
/// the environment, to be retried later, and no reason to drop or dead-letter anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// The service asked for less. Nothing was done, unless the client library repeated the call
    /// after a lost answer: then whether it took effect is not known.
    #[error("throttled: {0}")]
    Throttled(String),
    /// No answer, or the service's own failure. Whether the call took effect is **not known**.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The service refused the call as such: rights, a missing queue or table, a wrong setting.
    /// Nothing was done; it needs a person.
    #[error("refused: {0}")]
    Refused(String),
    /// Something stored is not as this release writes it: damaged, or written by a newer one.
    /// Nothing was done; what does not rest on it goes on.
    #[error("unreadable: {0}")]
    Unreadable(String),
}

/// One entry of a batch that failed while others may have succeeded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The lease has run out, or another consumer has the message.
    #[error("the lease was lost")]
    LeaseLost,
    /// Worth another try.
    #[error("failed for now: {0}")]
    Retryable(String),
    /// The entry itself was refused; repeating it will not help.
    #[error("refused: {0}")]
    Refused(String),
}

/// One answer an entry, in the order of the request. An adapter that gets no answer for an entry
/// reports it as [`EntryError::Retryable`]: silence is not success.
pub type BatchAnswer<T = ()> = Vec<Result<T, EntryError>>;
