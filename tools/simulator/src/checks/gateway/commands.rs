//! A command is answered as the ledger says, and by content.

use crate::checks::{Violation, ensure, model::Model};
use inventory_worker::{
    domain::{CommandKey, Digest, Outcome, RejectionCode},
    gateway::Decided,
    ports::{LedgerKey, LedgerRecord},
};

/// Checks the outcome of the command with this content, and this identity unless the gateway chose
/// it.
pub(crate) fn decided(
    model: &Model,
    key: Option<&CommandKey>,
    digest: Option<Digest>,
    decided: &Decided,
) -> Result<(), Violation> {
    let is_its = key.is_none_or(|key| decided.key == *key) && digest == Some(decided.digest);
    ensure(is_its, "answer", || format!("the answer to {key:?} is of {:?}", decided.key))?;
    let record = model.ledger.get(&LedgerKey::Command(decided.key.clone()));
    let Decided { outcome, changes, decided_at, pool, .. } = decided;
    let code = outcome.rejection().map(|rejection| rejection.code);
    let is_reused = code == Some(RejectionCode::CommandIdReused);
    let holds = match record {
        Some(record) if record.digest() != decided.digest => {
            is_reused && matches!(outcome, Outcome::Rejected { .. })
        }
        Some(LedgerRecord::Outcome {
            command_type,
            pool: of,
            outcome: was,
            changes: did,
            decided_at: at,
            ..
        }) => {
            let is_same = (outcome, changes, decided_at, pool) == (was, did, at, of);
            is_same && decided.command_type == command_type.as_str()
        }
        Some(LedgerRecord::Intent { .. } | LedgerRecord::Chunk { .. }) | None => false,
    };
    ensure(holds, "answer", || format!("{decided:?} is answered, and the ledger has {record:?}"))
}
