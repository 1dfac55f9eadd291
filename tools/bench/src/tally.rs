//! Counts a worker's transactions, and records when outcomes became durable.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use tokio::time::Instant;
use uuid::Uuid;

use inventory_worker::{
    domain::{CommandId, SeatKey, SeatState},
    ports::{CommitError, CommitStore, Consumed, LedgerKey, Store, Table, Transaction, Write},
    worker::{Event, Observer},
};

/// Counts of a worker's transactions and commands, from its events.
#[derive(Debug, Default)]
pub(super) struct Tally {
    transactions: AtomicU64,
    cancelled: AtomicU64,
    rejected: AtomicU64,
    write_units: Mutex<BTreeMap<Table, f64>>,
}

impl Observer for Tally {
    fn observe(&self, event: &Event<'_>) {
        let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        match event {
            Event::Commit(result) => {
                count(&self.transactions);
                match result {
                    Ok(consumed) => self.consumed(consumed),
                    Err(CommitError::Conflict(_)) => drop(count(&self.cancelled)),
                    Err(_) => {}
                }
            }
            Event::Decided { outcome, .. } if outcome.rejection().is_some() => {
                count(&self.rejected);
            }
            _ => {}
        }
    }
}

impl Tally {
    fn consumed(&self, consumed: &Consumed) {
        let mut sum = self.write_units.lock().unwrap_or_else(PoisonError::into_inner);
        for (table, units) in &consumed.write_units {
            *sum.entry(*table).or_default() += units;
        }
    }

    pub(super) fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }

    pub(super) fn cancelled(&self) -> u64 {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// The number of rejected commands: a bench with rejections measures something else.
    pub(super) fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }

    pub(super) fn write_units(&self) -> BTreeMap<Table, f64> {
        self.write_units.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A store that records when each outcome became durable and when each seat became free.
pub(super) struct RecordingStore {
    store: Arc<dyn Store>,
    durable: Mutex<BTreeMap<CommandId, Instant>>,
    freed: Mutex<BTreeMap<SeatKey, Instant>>,
}

impl RecordingStore {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, durable: Mutex::default(), freed: Mutex::default() }
    }

    pub(super) fn take_durable(&self) -> BTreeMap<CommandId, Instant> {
        std::mem::take(&mut *self.durable.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn take_freed(&self) -> BTreeMap<SeatKey, Instant> {
        std::mem::take(&mut *self.freed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, transaction: &Transaction) {
        let now = Instant::now();
        for write in &transaction.writes {
            match write {
                Write::Ledger { key: LedgerKey::Command(key), .. } => {
                    let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
                    durable.entry(key.id.clone()).or_insert(now);
                }
                Write::Seat { key, seat, .. } if seat.occupancy == SeatState::Available => {
                    let mut freed = self.freed.lock().unwrap_or_else(PoisonError::into_inner);
                    freed.entry(key.clone()).or_insert(now);
                }
                _ => {}
            }
        }
    }
}

inventory_worker::forward_store!(RecordingStore => store: ReadStore, ScanStore, ExpiryIndex, AttemptStore, LeaseStore);

#[async_trait]
impl CommitStore for RecordingStore {
    async fn commit(
        &self,
        transaction: &Transaction,
        token: Uuid,
    ) -> Result<Consumed, CommitError> {
        let consumed = self.store.commit(transaction, token).await?;
        self.note(transaction);
        Ok(consumed)
    }
}
