//! What a transaction says to those who watch.

use std::collections::{BTreeMap, BTreeSet};

use super::topics::Topics;
use crate::{
    domain::{CommandType, PoolId},
    ports::{
        LedgerKey, LedgerRecord, Transaction, Write,
        hints::{Hint, LineHint, SeatHint, Topic},
    },
};

/// The pools whose seats or lines it writes.
pub(super) fn pools(transaction: &Transaction) -> BTreeSet<PoolId> {
    transaction.writes.iter().filter_map(pool_of).collect()
}

fn pool_of(write: &Write) -> Option<PoolId> {
    match write {
        Write::Seat { key, .. } => Some(PoolId::Event(key.event_id)),
        Write::Line { key, .. } => Some(key.pool.clone()),
        Write::Reservation { .. } | Write::Ledger { .. } | Write::LedgerOverIntent { .. } => None,
    }
}

fn record_of(write: &Write) -> Option<(LedgerKey, &LedgerRecord)> {
    match write {
        Write::Ledger { key, record } => Some((key.clone(), record)),
        Write::LedgerOverIntent { key, record, .. } => {
            Some((LedgerKey::Command(key.clone()), record))
        }
        Write::Seat { .. } | Write::Line { .. } | Write::Reservation { .. } => None,
    }
}

fn is_restock(record: &LedgerRecord) -> bool {
    matches!(record, LedgerRecord::Outcome { command_type: CommandType::Restock, .. })
}

/// The hint of a write to a seat or line of the pool.
fn change(write: &Write, pool: &PoolId) -> Option<Hint> {
    match write {
        Write::Seat { key, seat, .. } if *pool == PoolId::Event(key.event_id) => {
            Some(Hint::Seat(SeatHint::of(&key.number, seat)))
        }
        Write::Line { key, line, .. } if *pool == key.pool => {
            Some(Hint::Line(LineHint::of(key, line)))
        }
        _ => None,
    }
}

/// The hints of what was written, by topic, of topics that are watched. Pools that are not are
/// noted.
///
/// A restock may change what hints do not carry, such as a seat's price: its events are read again.
/// One chunk of a large restock is not announced entry by entry.
pub(super) fn hints(transaction: &Transaction, topics: &mut Topics) -> BTreeMap<Topic, Vec<Hint>> {
    let mut hints = BTreeMap::<Topic, Vec<Hint>>::new();
    let records: Vec<_> = transaction.writes.iter().filter_map(record_of).collect();
    let is_chunk = records.iter().any(|(key, _)| matches!(key, LedgerKey::Chunk(..)));
    let has_restock = is_chunk || records.iter().any(|(_, record)| is_restock(record));
    for pool in pools(transaction) {
        let topic = Topic::Changes(pool.clone());
        if !topics.is_watched(&topic) {
            topics.note_unwatched(topic);
            continue;
        }
        let writes = transaction.writes.iter().filter(|_| !is_chunk);
        let mut of_pool: Vec<Hint> = writes.filter_map(|write| change(write, &pool)).collect();
        if has_restock && (is_chunk || pool.event_id().is_some()) {
            of_pool.push(Hint::ReadAgain);
        }
        hints.insert(topic, of_pool);
    }
    for (key, record) in records {
        if let (LedgerKey::Command(key), LedgerRecord::Outcome { pool, .. }) = (key, record) {
            let topic = Topic::Outcomes(pool.clone());
            if topics.is_watched(&topic) {
                hints.entry(topic).or_default().push(Hint::Decided(key));
            }
        }
    }
    hints
}
