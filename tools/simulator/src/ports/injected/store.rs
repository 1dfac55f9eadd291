//! A store that a worker with an injected bug reads and writes.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use uuid::Uuid;

use crate::injector::Injector;
use inventory_worker::{
    domain::{Changes, CommandKey, CommandType, Timestamp},
    ports::{
        Attempt, AttemptStore, CommitError, CommitStore, Consumed, LedgerKey, LedgerRecord,
        LoadRequest, PortError, ReadSet, ReadStore, Store, Transaction, Write,
    },
};

/// The store, as a worker with an injected bug uses it.
pub(super) struct BuggyStore {
    inner: Arc<dyn Store>,
    injector: Arc<Injector>,
    /// Commands whose last commit met a conflict.
    contended: Mutex<BTreeSet<CommandKey>>,
    /// The command that was isolated too often, until it is looked up in the ledger.
    exhausted: Mutex<Option<CommandKey>>,
}

impl BuggyStore {
    pub(super) fn new(inner: Arc<dyn Store>, injector: Arc<Injector>) -> Self {
        Self { inner, injector, contended: Mutex::default(), exhausted: Mutex::default() }
    }

    fn key_of(&self, message_id: &str) -> Option<CommandKey> {
        self.injector.world.history().key_of(message_id)
    }

    fn note_contention(&self, transaction: &Transaction, is_conflict: bool) {
        let mut contended = self.contended.lock().unwrap_or_else(PoisonError::into_inner);
        for write in &transaction.writes {
            if let Write::Ledger { key: LedgerKey::Command(key), .. } = write {
                match is_conflict {
                    true => drop(contended.insert(key.clone())),
                    false => drop(contended.remove(key)),
                }
            }
        }
    }

    fn is_contended(&self, message_id: &str) -> bool {
        let contended = self.contended.lock().unwrap_or_else(PoisonError::into_inner);
        !contended.is_empty() && self.key_of(message_id).is_some_and(|key| contended.contains(&key))
    }

    fn note_exhausted(&self, message_id: &str, attempts: u32) {
        let Injector { world, worker, .. } = &*self.injector;
        let settings = world.profile.settings.get(*worker);
        let is_over = settings.is_some_and(|settings| attempts > settings.attempts_max);
        let key = self.key_of(message_id).filter(|_| is_over);
        *self.exhausted.lock().unwrap_or_else(PoisonError::into_inner) = key;
    }

    /// The exhausted command, if the load requests only its ledger entry.
    fn take_exhausted(&self, wanted: &LoadRequest) -> Option<LedgerKey> {
        let mut exhausted = self.exhausted.lock().unwrap_or_else(PoisonError::into_inner);
        let key = LedgerKey::Command(exhausted.clone()?);
        if wanted.len() != 1 || !wanted.ledger.contains(&key) {
            return None;
        }
        *exhausted = None;
        Some(key)
    }
}

fn is_outcome(write: &Write) -> bool {
    matches!(
        write,
        Write::Ledger { record: LedgerRecord::Outcome { .. }, .. } | Write::LedgerOverIntent { .. }
    )
}

fn is_chunk(write: &Write) -> bool {
    matches!(write, Write::Ledger { key: LedgerKey::Chunk(..), .. })
}

/// An outcome without its changes.
fn drop_changes(write: &mut Write) {
    if let Write::Ledger { record: LedgerRecord::Outcome { changes, .. }, .. } = write {
        *changes = Changes::NONE;
    }
}

/// Whether the transaction has the outcome of a command of this type.
fn decides(transaction: &Transaction, wanted: CommandType) -> bool {
    transaction.writes.iter().any(|write| {
        matches!(
            write,
            Write::Ledger { record: LedgerRecord::Outcome { command_type, .. }, .. }
                if *command_type == wanted
        )
    })
}

/// Whether the transaction is reported as committed before it is.
fn is_late(transaction: &Transaction) -> bool {
    transaction.writes.iter().any(is_outcome)
        && inventory_worker::injected_bug!(PublishBeforeCommit)
        || transaction.writes.iter().any(is_chunk) && inventory_worker::injected_bug!(FinishEarly)
}

/// The transactions that the store gets instead, in order.
fn replacements(transaction: &Transaction) -> impl Iterator<Item = Transaction> {
    let mut first = transaction.clone();
    if inventory_worker::injected_bug!(SkipChecks)
        || decides(transaction, CommandType::Cancel)
            && inventory_worker::injected_bug!(CancelUnchecked)
        || decides(transaction, CommandType::Expire)
            && inventory_worker::injected_bug!(ExpireUnchecked)
        || decides(transaction, CommandType::Modify)
            && inventory_worker::injected_bug!(ModifyUnchecked)
        || decides(transaction, CommandType::Restock)
            && inventory_worker::injected_bug!(RestockUnchecked)
    {
        first.checks.clear();
    }
    if inventory_worker::injected_bug!(DropChanges) {
        first.writes.iter_mut().for_each(drop_changes);
    }
    first.writes.retain(|write| {
        !(is_outcome(write) && inventory_worker::injected_bug!(SkipLedger)
            || is_chunk(write) && inventory_worker::injected_bug!(ForgetChunkMarker))
    });
    let mut entries = 0;
    let mut is_put_off = |write: &mut Write| {
        let is_entry = matches!(write, Write::Ledger { .. });
        entries += usize::from(is_entry);
        is_entry
            && (inventory_worker::injected_bug!(LedgerApart)
                || entries > 1 && inventory_worker::injected_bug!(LeakLaterChange))
    };
    let writes = first.writes.extract_if(.., &mut is_put_off).collect();
    let second = Transaction { writes, checks: Vec::new() };
    [first, second].into_iter().filter(|part| !part.writes.is_empty())
}

/// Whether a commit with this error is reported as done.
fn is_ignored(error: &CommitError) -> bool {
    match error {
        CommitError::Port(PortError::Unavailable(_)) => {
            inventory_worker::injected_bug!(AssumeCommitted)
        }
        CommitError::Conflict(_) => inventory_worker::injected_bug!(TrustLocks),
        CommitError::Invalid(_) | CommitError::Port(_) => {
            inventory_worker::injected_bug!(PublishUncommitted)
        }
    }
}

inventory_worker::forward_store!(BuggyStore => inner: ScanStore, LeaseStore, ExpiryIndex);

#[async_trait]
impl ReadStore for BuggyStore {
    async fn load(&self, wanted: &LoadRequest) -> Result<ReadSet, PortError> {
        let mut loaded = self.inner.load(wanted).await?;
        if inventory_worker::injected_bug!(ForgetLedger) {
            let is_outcome =
                |record: &mut LedgerRecord| matches!(record, LedgerRecord::Outcome { .. });
            loaded.ledger.values_mut().for_each(|record| drop(record.take_if(is_outcome)));
        }
        if inventory_worker::injected_bug!(DeadLetterBegun)
            && let Some(key) = self.take_exhausted(wanted)
        {
            loaded.ledger.insert(key, None);
        }
        Ok(loaded)
    }

    async fn ping(&self) -> Result<(), PortError> {
        self.inner.ping().await
    }
}

#[async_trait]
impl CommitStore for BuggyStore {
    async fn commit(
        &self,
        transaction: &Transaction,
        token: Uuid,
    ) -> Result<Consumed, CommitError> {
        if is_late(transaction) {
            let (inner, transaction) = (Arc::clone(&self.inner), transaction.clone());
            // A call of a crashed worker goes no further: the commit is lost.
            tokio::spawn(async move { inner.commit(&transaction, token).await });
            return Ok(Consumed::default());
        }
        let mut result = Ok(Consumed::default());
        for (number, part) in (0..).zip(replacements(transaction)) {
            let token = Uuid::from_u128(token.as_u128() ^ number);
            result = self.inner.commit(&part, token).await;
            if result.is_err() {
                break;
            }
        }
        self.note_contention(transaction, matches!(result, Err(CommitError::Conflict(_))));
        match result {
            Err(error) if is_ignored(&error) => Ok(Consumed::default()),
            result => result,
        }
    }
}

#[async_trait]
impl AttemptStore for BuggyStore {
    async fn record_attempt(&self, message_id: &str, now: Timestamp) -> Result<Attempt, PortError> {
        let mut attempt = self.inner.record_attempt(message_id, now).await?;
        if inventory_worker::injected_bug!(NeverDeadLetter) {
            attempt.count = 1;
        }
        if inventory_worker::injected_bug!(DeadLetterUntried) {
            attempt.count = u32::MAX;
        }
        if inventory_worker::injected_bug!(DeadLetterUntried)
            || inventory_worker::injected_bug!(DeadLetterAtOnce)
        {
            attempt.before = Timestamp::UNIX_EPOCH;
        }
        self.note_exhausted(message_id, attempt.count);
        Ok(attempt)
    }

    async fn undo_attempt(&self, message_id: &str) -> Result<(), PortError> {
        if inventory_worker::injected_bug!(CountOutages)
            || inventory_worker::injected_bug!(CountContention) && self.is_contended(message_id)
        {
            return Ok(());
        }
        self.inner.undo_attempt(message_id).await
    }

    async fn note_dead_letter(&self, message_id: &str, now: Timestamp) -> Result<(), PortError> {
        self.inner.note_dead_letter(message_id, now).await
    }

    async fn has_dead_letter(&self, message_id: &str) -> Result<bool, PortError> {
        self.inner.has_dead_letter(message_id).await
    }
}
