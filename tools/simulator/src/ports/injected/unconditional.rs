//! A commit without the condition that an injected bug removes.

use std::mem;

use uuid::Uuid;

use inventory_worker::{
    adapters::memory::{MemoryStore, Tables},
    ports::{
        CommitError, CommitStore as _, Consumed, Expected, LedgerKey, Record, Transaction, Write,
    },
};

/// Commits to the store, whatever the current state of an item whose condition is removed.
pub(crate) async fn commit(
    store: &MemoryStore,
    transaction: &Transaction,
    token: Uuid,
) -> Result<Consumed, CommitError> {
    let mut transaction = transaction.clone();
    store.inspect(|tables| transaction.writes.iter_mut().for_each(|write| expect(write, tables)));
    if !inventory_worker::injected_bug!(OverwriteLedger) {
        return store.commit(&transaction, token).await;
    }
    let (ledger, others) = mem::take(&mut transaction.writes).into_iter().partition(is_ledger);
    transaction.writes = others;
    // The in-memory store never waits: nothing can happen between the two calls.
    let consumed = store.commit(&transaction, token).await?;
    store.insert(Vec::into_iter(ledger).filter_map(|write| match write {
        Write::Ledger { key, record } => Some(Record::Ledger(key, record)),
        Write::LedgerOverIntent { key, record, .. } => {
            Some(Record::Ledger(LedgerKey::Command(key), record))
        }
        Write::Seat { .. } | Write::Line { .. } | Write::Reservation { .. } => None,
    }));
    Ok(consumed)
}

fn is_ledger(write: &Write) -> bool {
    matches!(write, Write::Ledger { .. } | Write::LedgerOverIntent { .. })
}

/// Makes the write expect the current item.
fn expect(write: &mut Write, tables: &Tables) {
    let (expected, found) = match write {
        Write::Seat { key, expected, .. } if inventory_worker::injected_bug!(DropSeatCondition) => {
            (expected, tables.seats.get(key).map(|seat| seat.version))
        }
        Write::Line { key, expected, .. } if inventory_worker::injected_bug!(DropLineCondition) => {
            (expected, tables.lines.get(key).map(|line| line.version))
        }
        Write::Reservation { expected, reservation }
            if inventory_worker::injected_bug!(DropReservationCondition) =>
        {
            let found = tables.reservations.get(&reservation.reservation_id);
            (expected, found.map(|found| found.version))
        }
        _ => return,
    };
    *expected = found.map_or(Expected::Absent, Expected::Version);
}
