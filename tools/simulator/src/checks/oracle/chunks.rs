//! The contract of a restock in chunks: an intent, markers, an outcome.

use super::{Case, Violation};
use crate::checks::ensure;
use inventory_worker::{
    domain::{Action, Outcome, RestockSummary},
    ports::{LedgerKey, LedgerRecord},
};

impl Case<'_> {
    /// The chunk boundaries while the restock is in progress.
    pub(super) fn intent(&self) -> Option<Vec<u32>> {
        match self.model.ledger.get(&LedgerKey::Command(self.command.key.clone())) {
            Some(LedgerRecord::Intent { chunk_ends, .. }) => Some(chunk_ends.clone()),
            _ => None,
        }
    }

    pub(super) fn judge_intent(&self, chunk_ends: &[u32]) -> Result<(), Violation> {
        let Action::Restock(restock) = &self.command.action else {
            return self.wrong("chunks", "an intent of no restock".to_owned());
        };
        self.in_time()?;
        ensure(!self.is_too_far_ahead(restock), "as-of", || {
            format!("{:?} was begun at {}", restock.as_of, self.decided_at)
        })?;
        let is_growing = chunk_ends.windows(2).all(|pair| match pair {
            [before, after] => before < after,
            _ => false,
        });
        let is_whole = chunk_ends.last().is_some_and(|end| *end as usize == restock.entries());
        ensure(is_growing && is_whole, "chunks", || format!("boundaries {chunk_ends:?}"))
    }

    pub(super) fn judge_chunk(
        &mut self,
        index: u32,
        summary: &RestockSummary,
    ) -> Result<(), Violation> {
        let command = self.command;
        let (Action::Restock(restock), Some(chunk_ends)) = (&command.action, self.intent()) else {
            return self.wrong("chunks", format!("chunk {index} of nothing that was begun"));
        };
        let at = |index: usize| chunk_ends.get(index).map(|end| *end as usize);
        let index = index as usize;
        let Some(end) = at(index) else {
            return self.wrong("chunks", format!("there is no chunk {index}"));
        };
        let start = index.checked_sub(1).and_then(at).unwrap_or(0);
        self.restocked(restock, start..end, summary)
    }

    /// The outcome follows every chunk, and is their sum.
    pub(super) fn judge_chunked(
        &self,
        chunk_ends: &[u32],
        outcome: &Outcome,
    ) -> Result<(), Violation> {
        let Action::Restock(restock) = &self.command.action else {
            return self.wrong("chunks", "chunks of no restock".to_owned());
        };
        self.says_why(restock, outcome)?;
        let mut sum = RestockSummary::default();
        for (index, _) in (0_u32..).zip(chunk_ends) {
            let marker = LedgerKey::Chunk(self.command.key.clone(), index);
            let Some(LedgerRecord::Chunk { summary, .. }) = self.model.ledger.get(&marker) else {
                return self.wrong("chunks", format!("the outcome came before chunk {index}"));
            };
            sum.seats_applied += summary.seats_applied;
            sum.lines_applied += summary.lines_applied;
            sum.seats_skipped += summary.seats_skipped;
            sum.lines_skipped += summary.lines_skipped;
            sum.skipped.extend(summary.skipped.iter().cloned());
        }
        sum.skipped.truncate(RestockSummary::SKIPPED_MAX);
        let holds = matches!(outcome, Outcome::Restocked { restock, .. } if *restock == sum);
        ensure(holds, "chunks", || format!("the outcome is {outcome:?}, the chunks make {sum:?}"))
    }
}
