//! Commands of callers: checked, posted, and answered once they are decided.

use std::time::Duration;

use crate::{
    domain::{
        Action, Changes, CommandId, CommandKey, Digest, GroupId, Outcome, PoolId, Rejection,
        ReservationId, Timestamp,
    },
    gateway::{Caller, Scope},
    message::TraceContext,
};

/// A command as a face builds it.
#[derive(Clone, Debug)]
pub struct CommandRequest {
    /// Its identity: [`Commands::key`].
    pub key: CommandKey,
    /// The pool it names.
    pub pool: PoolId,
    /// The requested change.
    pub action: Action,
    /// How long the caller waits for the outcome. A reserve is not decided later than a second
    /// after that.
    pub wait: Duration,
    /// Its message group; `None` for the gateway's own choice.
    pub group: Option<GroupId>,
    /// The caller's trace context, if any.
    pub traceparent: Option<TraceContext>,
}

/// What a caller is told of a command that was posted, or had been before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was decided.
    Decided(Box<Decided>),
    /// It has no outcome yet, and may still take effect.
    Pending {
        /// Its identity.
        key: CommandKey,
        /// The reservation it is about.
        reservation_id: Option<ReservationId>,
        /// Chunks applied, and all, of a chunked restock that has begun.
        chunks: Option<(u32, u32)>,
    },
}

/// A command's outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The command's identity.
    pub key: CommandKey,
    /// Its CloudEvents `type`.
    pub command_type: &'static str,
    /// The digest of its content.
    pub digest: Digest,
    /// The pool it names.
    pub pool: PoolId,
    /// The outcome.
    pub outcome: Outcome,
    /// The seats and lines it changed.
    pub changes: Changes,
    /// When it was decided.
    pub decided_at: Timestamp,
}

/// A command that was not posted, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// It cannot be read: `INVALID_MESSAGE` or `UNSUPPORTED_TYPE`.
    #[error("{}: {}", .0.code.as_str(), .0.message)]
    Invalid(Rejection),
    /// The caller lacks a scope.
    #[error("the scope {0} is required")]
    NoScope(Scope),
    /// The source belongs to another caller.
    #[error("source: expected one of the caller's own sources")]
    ForeignSource,
    /// Reserves are refused while the queue is behind.
    #[error("the queue is behind: commands wait for {} s", age.as_secs())]
    Behind {
        /// The age of the oldest command without an outcome.
        age: Duration,
        /// When to try again.
        retry_after: Duration,
    },
    /// More commands await their outcomes than one process may hold.
    #[error("too many commands await their outcomes")]
    TooManyWaiting,
    /// The queue did not accept the command, or its answer was lost. It may still take effect; a
    /// retry keeps the identity.
    #[error("the command could not be posted: {reason}")]
    NotPosted {
        /// Its identity.
        key: CommandKey,
        /// The cause.
        reason: String,
    },
    /// The ledger cannot be read. A command that was posted may still take effect.
    #[error("the ledger cannot be read: {reason}")]
    Unreadable {
        /// Its identity.
        key: CommandKey,
        /// The cause.
        reason: String,
    },
}

/// Posts commands of callers, and awaits their outcomes.
pub struct Commands;

impl Commands {
    /// The identity of a command: the caller's idempotency key under its default source, or a new
    /// UUIDv7.
    ///
    /// # Errors
    ///
    /// The caller's subject cannot be a part of a source.
    pub fn key(&self, caller: &Caller, id: Option<CommandId>) -> Result<CommandKey, CommandError> {
        let _ = (caller, id);
        Err(CommandError::TooManyWaiting)
    }

    /// Posts a command, and waits until it is decided or the caller's time is over.
    ///
    /// # Errors
    ///
    /// It was not posted, as far as is known.
    #[expect(clippy::unused_async, reason = "being built")]
    pub async fn submit(
        &self,
        caller: &Caller,
        request: CommandRequest,
    ) -> Result<Answer, CommandError> {
        let _ = (caller, request);
        Err(CommandError::TooManyWaiting)
    }
}
