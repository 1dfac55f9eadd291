//! Outcomes that are replaced: for the removal of a user's id alone.

use async_trait::async_trait;

use super::{CommitError, CommitStore, LedgerRecord, ScanStore};
use crate::domain::CommandKey;

/// Replaces outcomes in the ledger. No worker has it: to a worker, an outcome never changes.
#[async_trait]
pub trait OutcomeEditor: ScanStore + CommitStore {
    /// Replaces a command's outcome by `record`, another [`LedgerRecord::Outcome`] with the same
    /// digest and time, if the entry is the outcome with these. Its time to live stays.
    ///
    /// [`CommitError::Conflict`] if the entry is another one, or absent; [`CommitError::Invalid`]
    /// if `record` is no outcome.
    async fn replace_outcome(
        &self,
        key: &CommandKey,
        record: &LedgerRecord,
    ) -> Result<(), CommitError>;
}
