//! Transactions: what each decides, and under which leases.

use std::collections::BTreeSet;

use super::{History, Spot, message::TrackedMessage};
use crate::{
    checks::{oracle, tables},
    topology::Incarnation,
};
use inventory_worker::{
    adapters::memory::MemoryStore,
    domain::{Action, Command, CommandKey, ReservationId, SeatNumber, Sku, Timestamp},
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
            let is_held = all.any(|((queue, ..), message)| {
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
        let before = |at: Spot, message: &TrackedMessage| -> BTreeSet<CommandKey> {
            let own: BTreeSet<String> =
                message.command.as_deref().map(names).into_iter().flatten().collect();
            let shares = |command: &&Command| {
                !self.is_parallel || names(command).iter().any(|name| own.contains(name))
            };
            self.messages
                .range((at.0, 0, 0)..at)
                .filter(|(_, other)| other.group == message.group && !other.is_dead)
                .filter_map(|(_, other)| other.command.as_deref())
                .filter(|command| !is_expire(command))
                .filter(shares)
                .map(|command| command.key.clone())
                .collect()
        };
        let of = |key: &CommandKey| {
            let places = self.by_key.get(key).into_iter().flatten();
            places
                .filter_map(|at| Some((at, self.messages.get(at)?)))
                .map(|(at, message)| before(*at, message))
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

/// The reservation, seats and lines that a command names.
pub(super) fn names(command: &Command) -> Vec<String> {
    let pool = &command.pool;
    let seats = |seats: &[SeatNumber]| -> Vec<String> {
        seats.iter().map(|seat| format!("{pool} seat {seat}")).collect()
    };
    let line = |sku: &Sku| format!("{pool} line {sku}");
    let of_reservation = |id: ReservationId| format!("reservation {id}");
    match &command.action {
        Action::Reserve(reserve) => {
            let mut named = seats(&reserve.seats);
            named.extend(reserve.lines.iter().map(|asked| line(&asked.sku)));
            named.push(of_reservation(reserve.reservation_id));
            named
        }
        Action::Modify(modify) => {
            let mut named = vec![of_reservation(modify.reservation_id)];
            for holdings in [&modify.add, &modify.remove] {
                named.extend(seats(&holdings.seats));
                named.extend(holdings.lines.iter().map(|held| line(&held.sku)));
            }
            named
        }
        Action::Restock(restock) => {
            let numbers = restock.seats.iter().map(|seat| seat.number.clone()).collect::<Vec<_>>();
            let mut named = seats(&numbers);
            named.extend(restock.lines.iter().map(|change| line(&change.sku)));
            named
        }
        Action::Extend(extend) => vec![of_reservation(extend.reservation_id)],
        Action::Confirm(confirm) => vec![of_reservation(confirm.reservation_id)],
        Action::Fulfil(fulfil) => vec![of_reservation(fulfil.reservation_id)],
        Action::Cancel(cancel) => vec![of_reservation(cancel.reservation_id)],
        Action::Expire(expire) => vec![of_reservation(expire.reservation_id)],
    }
}
