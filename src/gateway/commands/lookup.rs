//! What became of a command that was posted before.

use super::{CommandError, Commands, Decided, unreadable};
use crate::{
    domain::{CommandKey, Timestamp},
    gateway::Caller,
    ports::{LedgerKey, LedgerRecord, LoadRequest, PortError},
};

/// What the ledger holds of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Its outcome.
    Decided(Box<Decided>),
    /// A chunked restock that has begun.
    Running {
        /// Chunks applied.
        done: u32,
        /// All its chunks.
        chunks: u32,
    },
}

impl Commands {
    /// What the ledger holds of one of the caller's commands; `None` where it holds nothing, yet or
    /// any more.
    ///
    /// # Errors
    ///
    /// The source is not the caller's, or the ledger cannot be read.
    pub async fn lookup(
        &self,
        caller: &Caller,
        key: &CommandKey,
    ) -> Result<Option<Recorded>, CommandError> {
        if !caller.may_use(&key.source) {
            return Err(CommandError::ForeignSource);
        }
        match self.record(key).await? {
            Some(LedgerRecord::Outcome {
                digest,
                command_type,
                pool,
                outcome,
                changes,
                decided_at,
            }) => {
                let key = key.clone();
                let command_type = command_type.as_str();
                let decided =
                    Decided { key, command_type, digest, pool, outcome, changes, decided_at };
                Ok(Some(Recorded::Decided(Box::new(decided))))
            }
            Some(LedgerRecord::Intent { chunk_ends, decided_at, .. }) => {
                let chunks = u32::try_from(chunk_ends.len()).unwrap_or(u32::MAX);
                let done = self.chunks_done(key, chunks, decided_at).await;
                let done = done.map_err(|error| unreadable(key, &error))?;
                Ok(Some(Recorded::Running { done, chunks }))
            }
            // A chunk's marker has a key of its own.
            Some(LedgerRecord::Chunk { .. }) | None => Ok(None),
        }
    }

    async fn chunks_done(
        &self,
        key: &CommandKey,
        chunks: u32,
        begun: Timestamp,
    ) -> Result<u32, PortError> {
        let ledger = (0..chunks).map(|chunk| LedgerKey::Chunk(key.clone(), chunk)).collect();
        let wanted = LoadRequest { ledger, ..LoadRequest::default() };
        let read = self.parts.store.load(&wanted).await?;
        let is_done = |record: &LedgerRecord| matches!(record, LedgerRecord::Chunk { begun_at, .. } if *begun_at == begun);
        let done = read.ledger.values().flatten().filter(|record| is_done(record)).count();
        Ok(u32::try_from(done).unwrap_or(chunks))
    }
}
