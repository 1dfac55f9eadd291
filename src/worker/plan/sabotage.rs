//! Bugs injected into the packing. Without the feature `injected-bugs` nothing here does anything.

use std::collections::BTreeMap;

use super::{DecidedCommand, PlannedTransaction};
use crate::{
    decide::{Change, ItemKey, Oversold},
    injected::{self, Bug},
    ports::{Transaction, Write},
};

/// How the last command of the batch leaves each item; nothing unless that is to be leaked.
pub(super) fn last_changes(steps: &[DecidedCommand]) -> BTreeMap<ItemKey, Change> {
    if !injected::on(Bug::LeakLaterChange) {
        return BTreeMap::new();
    }
    let changes = steps.iter().flat_map(|step| &step.changes);
    changes.map(|change| (change.key(), change.clone())).collect()
}

/// The transactions as they are, unless a bug is injected.
pub(super) fn sabotaged(
    packed: Vec<PlannedTransaction>,
    last: &BTreeMap<ItemKey, Change>,
) -> Vec<PlannedTransaction> {
    if injected::on(Bug::LeakLaterChange) {
        return packed.into_iter().map(|packed| leaked(packed, last)).collect();
    }
    if injected::on(Bug::LedgerApart) {
        return packed.into_iter().flat_map(ledger_apart).collect();
    }
    packed
}

fn leaked(mut packed: PlannedTransaction, last: &BTreeMap<ItemKey, Change>) -> PlannedTransaction {
    for write in packed.transaction.iter_mut().flat_map(|transaction| &mut transaction.writes) {
        match write {
            Write::Seat { key, seat, .. } => {
                if let Some(Change::Seat(_, leaked)) = last.get(&ItemKey::Seat(key.clone())) {
                    *seat = leaked.clone();
                }
            }
            Write::Line { key, line, .. } => {
                if let Some(Change::Line(_, leaked)) = last.get(&ItemKey::Line(key.clone())) {
                    *line = leaked.clone();
                }
            }
            Write::Reservation { reservation, .. } => {
                let key = ItemKey::Reservation(reservation.reservation_id);
                if let Some(Change::Reservation(leaked)) = last.get(&key) {
                    *reservation = leaked.clone();
                }
            }
            Write::Ledger { .. } | Write::LedgerOverIntent { .. } => {}
        }
    }
    packed
}

fn ledger_apart(packed: PlannedTransaction) -> [PlannedTransaction; 2] {
    let PlannedTransaction { transaction, commands, oversold } = packed;
    let transaction = transaction.unwrap_or_default();
    let is_ledger = |write: &Write| matches!(write, Write::Ledger { .. });
    let (ledger, changes): (Vec<Write>, Vec<Write>) =
        transaction.writes.into_iter().partition(is_ledger);
    let of =
        |writes: Vec<Write>, checks| (!writes.is_empty()).then_some(Transaction { writes, checks });
    [
        PlannedTransaction { transaction: of(changes, transaction.checks), commands: 0, oversold },
        PlannedTransaction {
            transaction: of(ledger, Vec::new()),
            commands,
            oversold: Oversold::default(),
        },
    ]
}
