//! Transactions: what each decides, and under which leases.

use std::collections::BTreeSet;

use super::History;
use crate::{
    checks::{oracle, tables},
    topology::Incarnation,
};
use inventory_worker::{
    adapters::memory::MemoryStore,
    domain::{Action, Command, CommandKey, GroupId, Timestamp},
    ports::{LedgerKey, ReceiptHandle, Transaction, Write},
};

/// The number of commits between checks of the whole tables.
const FULL_CHECK_EVERY: u64 = 25;

impl History {
    /// Records the start of a transaction: the worker must still hold the message of each command.
    pub(crate) fn begun(
        &mut self,
        transaction: &Transaction,
        life: Incarnation,
        holds: impl Fn(usize, &ReceiptHandle) -> bool,
    ) {
        for write in &transaction.writes {
            let Write::Ledger { key: LedgerKey::Command(key), .. } = write else { continue };
            let places = self.by_key.get(key).into_iter().flatten();
            let mut all = places.filter_map(|at| Some((at, self.messages.get(at)?)));
            let is_held = all.any(|((queue, _), message)| {
                let held = message.held.as_ref().filter(|(by, _)| *by == life);
                held.is_some_and(|(_, receipt)| holds(*queue, receipt))
            });
            if !is_held {
                let (worker, id) = (life.0, &key.id);
                self.fail("lease", format!("worker {worker} commits {id}, whose lease it lost"));
            }
        }
    }

    /// Records an applied transaction. Returns its number.
    pub(crate) fn committed(
        &mut self,
        worker: usize,
        transaction: &Transaction,
        now: Timestamp,
        store: &MemoryStore,
    ) -> u64 {
        self.commits += 1;
        self.note_recorded(transaction, now);
        let limits = self.limits.get(worker).copied().unwrap_or_default();
        let before = self.before(transaction);
        let asked = (&self.sent, &before);
        let judged = oracle::transaction(&mut self.model, transaction, asked, &limits, now);
        let number = self.commits;
        self.check(judged.map_err(|violation| violation.at(number)));
        let is_full = number.is_multiple_of(FULL_CHECK_EVERY);
        let checked = store.inspect(|tables| match is_full {
            true => tables::check(tables, &self.model),
            false => tables::check_touched(tables, transaction, now + self.model.skew()),
        });
        self.check(checked.map_err(|violation| violation.at(number)));
        number
    }

    /// For each command that the transaction decides, the earlier commands of its group, in any
    /// place it was sent to. Omits those that may be decided later: dead letters, which may be
    /// redriven, and expires, which may have been early.
    fn before(&self, transaction: &Transaction) -> oracle::Before {
        let is_expire = |command: &Command| matches!(command.action, Action::Expire(_));
        let before = |queue: usize, sequence: u64, group: &GroupId| -> BTreeSet<CommandKey> {
            self.messages
                .range((queue, 0)..(queue, sequence))
                .filter(|(_, message)| message.group == *group && !message.is_dead)
                .filter_map(|(_, message)| message.command.as_deref())
                .filter(|command| !is_expire(command))
                .map(|command| command.key.clone())
                .collect()
        };
        let of = |key: &CommandKey| {
            let places = self.by_key.get(key).into_iter().flatten();
            places
                .filter_map(|at| Some((at, self.messages.get(at)?)))
                .map(|((queue, sequence), message)| before(*queue, *sequence, &message.group))
                .reduce(|one, other| &one & &other)
                .unwrap_or_default()
        };
        let decided = transaction.writes.iter().filter_map(|write| match write {
            Write::Ledger { key: LedgerKey::Command(key), .. }
            | Write::Ledger { key: LedgerKey::Chunk(key, _), .. }
            | Write::LedgerOverIntent { key, .. } => Some(key),
            _ => None,
        });
        decided.map(|key| (key.clone(), of(key))).collect()
    }
}
