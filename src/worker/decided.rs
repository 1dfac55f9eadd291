//! What loading, the committer and chunked restocks share: leased commands, ledger entries, and
//! decided commands.

use std::collections::BTreeMap;

use super::{WorkerContext, failure::Failure, lease::Lease};
use crate::{
    domain::{Changes, Command, Outcome, Rejection, RejectionCode, Timestamp},
    ports::{LedgerKey, LedgerRecord},
};

/// A command under the lease of its message.
#[derive(Clone, Copy)]
pub struct Leased<'a> {
    /// The parsed command.
    pub command: &'a Command,
    /// The message's lease; without one, no lease can be lost.
    pub lease: Option<&'a Lease>,
}

/// The durable outcome of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The outcome, or an answer that is not recorded as one.
    pub outcome: Outcome,
    /// The seats and lines that it changed; for a replay, the first time.
    pub changes: Changes,
    /// When it was decided; for a replay, the first time.
    pub decided_at: Timestamp,
    /// Whether it was found in the ledger or earlier in the batch.
    pub is_replay: bool,
}

impl Decided {
    /// An answer that changed nothing.
    pub(super) fn unrecorded(outcome: Outcome, decided_at: Timestamp) -> Self {
        Self { outcome, changes: Changes::NONE, decided_at, is_replay: false }
    }
}

/// Ledger entries by key, `None` where there is none.
pub(super) type Ledger = BTreeMap<LedgerKey, Option<LedgerRecord>>;

/// Refuses if a lease has expired or the shutdown grace has passed.
pub(super) fn check_leases(context: &WorkerContext, undone: &[Leased<'_>]) -> Result<(), Failure> {
    if context.shutdown.working.is_cancelled() && !injected_bug!(CommitPastGrace) {
        return Err(Failure::Stopping);
    }
    let count = if injected_bug!(CheckFirstLease) { 1 } else { undone.len() };
    let mut leases = undone.iter().take(count).filter_map(|leased| leased.lease);
    match leases.all(Lease::is_held) || injected_bug!(KeepLostLease) {
        true => Ok(()),
        false => Err(Failure::LeaseLost),
    }
}

/// What the ledger says about a command it already has.
pub(super) fn found_in_ledger(
    command: &Command,
    record: &LedgerRecord,
    now: Timestamp,
) -> Result<Decided, Failure> {
    if record.digest() != command.digest && !injected_bug!(IgnoreDigest) {
        let rejection = Rejection::new(
            RejectionCode::CommandIdReused,
            "another command came under the same source and id before: its outcome stands",
        );
        let outcome = Outcome::Rejected { rejection };
        return Ok(Decided::unrecorded(outcome, now));
    }
    match record {
        LedgerRecord::Outcome { outcome, changes, decided_at, .. } => Ok(Decided {
            outcome: outcome.clone(),
            changes: changes.clone(),
            decided_at: *decided_at,
            is_replay: true,
        }),
        LedgerRecord::Intent { .. } | LedgerRecord::Chunk { .. } => Err(Failure::Poison(format!(
            "the ledger has a chunked restock under {}, which fits one transaction",
            command.key
        ))),
    }
}
