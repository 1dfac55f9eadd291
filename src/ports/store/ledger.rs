//! Entries of the ledger.

use crate::domain::{
    Changes, CommandKey, CommandType, Digest, Outcome, PoolId, RestockSummary, Timestamp,
};

/// The key of a ledger entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LedgerKey {
    /// A command's outcome, or the intent of its chunked restock.
    Command(CommandKey),
    /// The marker of one chunk of a chunked restock.
    Chunk(CommandKey, u32),
}

/// A ledger entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::large_enum_variant, reason = "almost every entry is an outcome")]
pub enum LedgerRecord {
    /// A command's outcome, which never changes.
    Outcome {
        /// The digest of the command's content.
        digest: Digest,
        /// The command's type.
        command_type: CommandType,
        /// The pool the command names.
        pool: PoolId,
        /// The decided outcome.
        outcome: Outcome,
        /// The seats and lines that the command changed.
        changes: Changes,
        /// When it was decided.
        decided_at: Timestamp,
    },
    /// A chunked restock has begun. Kept under [`LedgerKey::Command`] until the outcome takes its
    /// place.
    Intent {
        /// The digest of the command's content.
        digest: Digest,
        /// The end (exclusive) of each chunk, counted over the seats and then the lines.
        chunk_ends: Vec<u32>,
        /// When it began, which distinguishes this intent from an earlier one under the same key,
        /// older by the [retention](crate::retention).
        decided_at: Timestamp,
    },
    /// A chunk of a restock was applied.
    Chunk {
        /// The digest of the command's content.
        digest: Digest,
        /// When the intent it belongs to began.
        begun_at: Timestamp,
        /// The chunk's changes.
        summary: RestockSummary,
        /// When it was applied.
        decided_at: Timestamp,
    },
}

impl LedgerRecord {
    /// The digest of the command's content.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match self {
            Self::Outcome { digest, .. }
            | Self::Intent { digest, .. }
            | Self::Chunk { digest, .. } => *digest,
        }
    }

    /// The start of its [retention](crate::retention).
    #[must_use]
    pub fn decided_at(&self) -> Timestamp {
        match self {
            Self::Outcome { decided_at, .. }
            | Self::Intent { decided_at, .. }
            | Self::Chunk { decided_at, .. } => *decided_at,
        }
    }
}
