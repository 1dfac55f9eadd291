//! Checks every outcome against the contract, at its place in commit order.
//!
//! Versions guard what a transaction writes, so there an outcome must be right exactly at its
//! place. What it depends on without writing was only read, at various moments: each such item must
//! have been right at some moment since the command was sent, including the effects of the earlier
//! commands in its group.

mod chunks;
mod ends;
mod extend;
mod holds;
mod made;
mod modify;
mod reserve;
mod restock;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::SignedDuration;

use super::{
    Violation, ensure,
    listed::{self, Listed},
    model::{Model, Since, decided_at},
};
use inventory_worker::{
    decide::Limits,
    domain::{
        Action, Changes, Command, CommandKey, Digest, LineKey, Outcome, Rejection, RejectionCode,
        Reservation, ReservationId, ReservationStatus, Restock, Seat, SeatKey, SeatNumber,
        StockLevel, Timestamp,
    },
    ports::{Check, LedgerKey, LedgerRecord, Transaction, Write},
};

/// The content of a command, and when it was first sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) command: Arc<Command>,
    pub(crate) at: Timestamp,
    /// The `expirytime` of each message with this content.
    pub(crate) deadlines: BTreeSet<Option<Timestamp>>,
}

type AllSent = BTreeMap<CommandKey, Vec<Sent>>;

/// For each command, the earlier commands of its group.
pub(crate) type Before = BTreeMap<CommandKey, BTreeSet<CommandKey>>;

/// The items that a transaction guards by their versions.
#[derive(Default)]
struct Guarded {
    seats: BTreeSet<SeatKey>,
    lines: BTreeSet<LineKey>,
    reservations: BTreeSet<ReservationId>,
}

impl Guarded {
    fn of(transaction: &Transaction) -> Self {
        let mut guarded = Self::default();
        for write in &transaction.writes {
            match write {
                Write::Seat { key, .. } => drop(guarded.seats.insert(key.clone())),
                Write::Line { key, .. } => drop(guarded.lines.insert(key.clone())),
                Write::Reservation { reservation, .. } => {
                    guarded.reservations.insert(reservation.reservation_id);
                }
                Write::Ledger { .. } | Write::LedgerOverIntent { .. } => {}
            }
        }
        for check in &transaction.checks {
            match check {
                Check::Reservation { reservation_id, .. } => {
                    guarded.reservations.insert(*reservation_id);
                }
                Check::Seat { key, .. } => drop(guarded.seats.insert(key.clone())),
                Check::Line { key, .. } => drop(guarded.lines.insert(key.clone())),
            }
        }
        guarded
    }
}

/// One command under check.
struct Case<'a> {
    model: &'a mut Model,
    guarded: &'a Guarded,
    command: &'a Command,
    limits: &'a Limits,
    since: Since<'a>,
    deadlines: &'a BTreeSet<Option<Timestamp>>,
    /// What it changed so far.
    changed: Vec<Listed>,
    /// When it was decided, by the worker's clock.
    decided_at: Timestamp,
    /// When it was committed.
    now: Timestamp,
}

/// Checks every outcome of a transaction, in order, and updates the model.
pub(crate) fn transaction(
    model: &mut Model,
    transaction: &Transaction,
    (sent, before): (&AllSent, &Before),
    limits: &Limits,
    now: Timestamp,
) -> Result<(), Violation> {
    let guarded = Guarded::of(transaction);
    let none = BTreeSet::new();
    for write in &transaction.writes {
        let (key, record) = match write {
            Write::Ledger { key, record } => (key.clone(), record),
            Write::LedgerOverIntent { key, record, .. } => {
                (LedgerKey::Command(key.clone()), record)
            }
            _ => continue,
        };
        enter(model, &key, record)?;
        let (LedgerKey::Command(command_key) | LedgerKey::Chunk(command_key, _)) = &key;
        let of_digest = |digest: Digest| {
            let all = sent.get(command_key).into_iter().flatten();
            all.into_iter().find(|sent| sent.command.digest == digest)
        };
        let Some(found) = of_digest(record.digest()) else {
            return Err(Violation::new("ledger", format!("{key:?} was never sent")));
        };
        let decided_at = decided_at(record);
        check_time(&key, decided_at, found.at, now, model.skew())?;
        let command = &*found.command;
        let since = Since { at: found.at, after: before.get(command_key).unwrap_or(&none) };
        let mut case = Case {
            model,
            guarded: &guarded,
            command,
            limits,
            since,
            deadlines: &found.deadlines,
            changed: Vec::new(),
            decided_at,
            now,
        };
        let judged = case.oracle(&key, record);
        judged.map_err(|Violation { check, detail }| {
            Violation::new(check, format!("{:?} {}: {detail}", command.action, command.key.id))
        })?;
    }
    compare(model, transaction)
}

/// Enters a ledger record: outcomes and markers are permanent; an outcome replaces its intent.
fn enter(model: &mut Model, key: &LedgerKey, record: &LedgerRecord) -> Result<(), Violation> {
    let before = model.ledger.get(key);
    let is_free = match before {
        None => true,
        Some(LedgerRecord::Intent { digest, .. }) => {
            *digest == record.digest() && matches!(record, LedgerRecord::Outcome { .. })
        }
        Some(_) => false,
    };
    ensure(is_free, "ledger", || format!("{key:?} was {before:?} and became {record:?}"))?;
    // The outcome of a chunked restock is checked against its intent, which stays until then.
    if before.is_none() {
        model.ledger.insert(key.clone(), record.clone());
    }
    if let (LedgerKey::Command(key), LedgerRecord::Outcome { .. }) = (key, record) {
        let place = model.decided.len() as u64;
        model.decided.insert(key.clone(), place);
    }
    Ok(())
}

/// Decided after the command was sent and before it was committed, within clock skew.
fn check_time(
    key: &LedgerKey,
    decided_at: Timestamp,
    sent_at: Timestamp,
    now: Timestamp,
    skew: SignedDuration,
) -> Result<(), Violation> {
    ensure(sent_at - skew <= decided_at && decided_at <= now + skew, "time", || {
        format!("{key:?} was sent at {sent_at}, decided at {decided_at}, committed at {now}")
    })
}

/// Checks that a transaction writes exactly what its outcomes state.
fn compare(model: &Model, transaction: &Transaction) -> Result<(), Violation> {
    for write in &transaction.writes {
        let (holds, what) = match write {
            Write::Seat { key, seat, .. } => {
                (model.seats.last(key) == Some(seat), format!("{key:?} {seat:?}"))
            }
            Write::Line { key, line, .. } => {
                (model.lines.last(key) == Some(line), format!("{key:?} {line:?}"))
            }
            Write::Reservation { reservation, .. } => {
                let id = &reservation.reservation_id;
                (model.reservations.last(id) == Some(reservation), format!("{reservation:?}"))
            }
            Write::Ledger { .. } | Write::LedgerOverIntent { .. } => continue,
        };
        ensure(holds, "effect", || format!("wrote {what}, which the outcomes do not say"))?;
    }
    Ok(())
}

/// `NOT_YET_EXPIRED` requires a hold that was active when it was decided, by the worker's clock.
pub(crate) fn not_yet_expired(
    model: &Model,
    command: &Command,
    decided_at: Timestamp,
) -> Result<(), Violation> {
    let Action::Expire(expire) = &command.action else {
        return Err(Violation::new("result", "NOT_YET_EXPIRED of no expire".to_owned()));
    };
    ensure(!is_after(decided_at, command.deadline), "deadline", || {
        format!("NOT_YET_EXPIRED at {decided_at} of a command to be decided by its expirytime")
    })?;
    let was_on = |found: Option<&Reservation>| {
        found.is_some_and(|found| {
            found.pool == command.pool && is_active(found) && decided_at < found.expires_at
        })
    };
    let id = expire.reservation_id;
    let since = Since { at: Timestamp::MIN, after: &BTreeSet::new() };
    let holds = model.reservations.ever_since(&id, since, was_on);
    ensure(holds, "result", || format!("NOT_YET_EXPIRED at {decided_at}, which {id} never was"))
}

impl Case<'_> {
    fn oracle(&mut self, key: &LedgerKey, record: &LedgerRecord) -> Result<(), Violation> {
        match record {
            LedgerRecord::Intent { chunk_ends, .. } => self.judge_intent(chunk_ends),
            LedgerRecord::Chunk { summary, .. } => {
                let LedgerKey::Chunk(_, index) = key else {
                    return self.wrong("ledger", "a marker in an outcome's place".to_owned());
                };
                self.model.chunked.insert(self.command.key.clone());
                self.judge_chunk(*index, summary)
            }
            LedgerRecord::Outcome { outcome, pool, command_type, changes, .. } => {
                let is_its = *pool == self.command.pool
                    && *command_type == self.command.action.command_type();
                ensure(is_its, "ledger", || "names another pool or type".to_owned())?;
                let begun = self.intent();
                if let Some(chunk_ends) = begun {
                    self.judge_chunked(&chunk_ends, outcome)?;
                    self.model.ledger.insert(key.clone(), record.clone());
                    self.model.changes.insert(self.command.key.clone(), None);
                    return ensure(*changes == Changes::Omitted, "changes", || {
                        "a chunked restock lists what it changed".to_owned()
                    });
                }
                self.judge_outcome(outcome)?;
                self.judge_changes(changes)
            }
        }
    }

    /// The ledger lists exactly what the outcome changed, in the state it left.
    fn judge_changes(&mut self, changes: &Changes) -> Result<(), Violation> {
        let changed = std::mem::take(&mut self.changed);
        let listed: Option<Vec<Listed>> = match changes {
            Changes::Listed(states) => Some(states.iter().map(Listed::from).collect()),
            Changes::Omitted => None,
        };
        let holds = listed.as_ref().is_some_and(|listed| listed::is_same(listed, &changed));
        ensure(holds, "changes", || format!("lists {listed:?} and changed {changed:?}"))?;
        self.model.changes.insert(self.command.key.clone(), Some(changed));
        Ok(())
    }

    fn judge_outcome(&mut self, outcome: &Outcome) -> Result<(), Violation> {
        let command = self.command;
        let rejection = outcome.rejection();
        if rejection.is_some_and(|rejection| rejection.code.is_unrecorded()) {
            return self.wrong("ledger", "what is no outcome is in the ledger".to_owned());
        }
        if let Some(rejection) = rejection {
            return self.judge_rejection(rejection);
        }
        self.in_time()?;
        match (&command.action, outcome) {
            (Action::Reserve(reserve), Outcome::Reserved { reservation }) => {
                self.reserved(reserve, reservation)
            }
            (Action::Extend(extend), Outcome::Extended { reservation }) => {
                self.extended(extend, reservation)
            }
            (Action::Modify(modify), Outcome::Modified { reservation }) => {
                self.modified(modify, reservation)
            }
            (Action::Confirm(confirm), Outcome::Confirmed { reservation }) => {
                self.confirmed(confirm, reservation)
            }
            (Action::Fulfil(fulfil), Outcome::Fulfilled { reservation }) => {
                self.fulfilled(fulfil, reservation)
            }
            (Action::Cancel(cancel), Outcome::Cancelled { reservation, reason }) => {
                ensure(*reason == cancel.reason, "outcome", || "another reason".to_owned())?;
                self.cancelled(cancel, reservation)
            }
            (Action::Expire(expire), Outcome::Expired { reservation }) => {
                self.expired(expire, reservation)
            }
            (Action::Restock(restock), Outcome::Restocked { restock: summary, .. }) => {
                self.says_why(restock, outcome)?;
                self.restocked(restock, 0..restock.entries(), summary)
            }
            _ => self.wrong("outcome", format!("{outcome:?} does not follow")),
        }
    }

    fn judge_rejection(&mut self, rejection: &Rejection) -> Result<(), Violation> {
        if rejection.code == RejectionCode::CommandExpired {
            let is_late = |deadline: &Option<Timestamp>| is_after(self.decided_at, *deadline);
            let holds = self.deadlines.iter().any(is_late)
                && rejection.seats.is_empty()
                && rejection.lines.is_empty();
            return ensure(holds, "deadline", || {
                format!("expired at {}, of {:?}", self.decided_at, self.deadlines)
            });
        }
        self.in_time()?;
        let command = self.command;
        match &command.action {
            Action::Reserve(reserve) => self.reserve_rejected(reserve, rejection),
            Action::Extend(extend) => self.extend_rejected(extend, rejection),
            Action::Modify(modify) => self.modify_rejected(modify, rejection),
            Action::Confirm(confirm) => self.confirm_rejected(confirm, rejection),
            Action::Fulfil(fulfil) => self.fulfil_rejected(fulfil, rejection),
            Action::Cancel(cancel) => self.cancel_rejected(cancel, rejection),
            Action::Restock(restock) => self.restock_rejected(restock, rejection),
            Action::Expire(expire) => self.expire_rejected(expire, rejection),
        }
    }

    /// Decided no later than the `expirytime` of some message of the command.
    fn in_time(&self) -> Result<(), Violation> {
        let is_late = |deadline: &Option<Timestamp>| is_after(self.decided_at, *deadline);
        ensure(!self.deadlines.iter().all(is_late), "deadline", || {
            format!("decided at {}, after {:?}", self.decided_at, self.deadlines)
        })
    }

    /// A restock's outcome repeats its reason and its reference.
    fn says_why(&self, restock: &Restock, outcome: &Outcome) -> Result<(), Violation> {
        let holds = matches!(
            outcome,
            Outcome::Restocked { reason, reference, .. }
                if *reason == restock.reason && *reference == restock.reference
        );
        ensure(holds, "outcome", || format!("another reason or reference: {outcome:?}"))
    }

    fn wrong<T>(&self, check: &'static str, detail: String) -> Result<T, Violation> {
        Err(Violation::new(check, detail))
    }

    /// Whether the seat matches: now if it is guarded, else at any allowed moment.
    fn seat(&self, key: &SeatKey, is_so: impl Fn(Option<&Seat>) -> bool) -> bool {
        match self.guarded.seats.contains(key) {
            true => is_so(self.model.seats.last(key)),
            false => self.model.seats.ever_since(key, self.since, is_so),
        }
    }

    /// The same for a line.
    fn line(&self, key: &LineKey, is_so: impl Fn(Option<&StockLevel>) -> bool) -> bool {
        match self.guarded.lines.contains(key) {
            true => is_so(self.model.lines.last(key)),
            false => self.model.lines.ever_since(key, self.since, is_so),
        }
    }

    /// The same for a reservation.
    fn reservation(&self, id: ReservationId, is_so: impl Fn(Option<&Reservation>) -> bool) -> bool {
        match self.guarded.reservations.contains(&id) {
            true => is_so(self.model.reservations.last(&id)),
            false => self.model.reservations.ever_since(&id, self.since, is_so),
        }
    }

    fn seat_key(&self, number: &SeatNumber) -> Result<SeatKey, Violation> {
        match self.command.pool.event_id() {
            Some(event_id) => Ok(SeatKey { event_id, number: number.clone() }),
            None => self.wrong("outcome", "a store has no seats".to_owned()),
        }
    }

    fn line_key(&self, sku: &inventory_worker::domain::Sku) -> LineKey {
        LineKey { pool: self.command.pool.clone(), sku: sku.clone() }
    }

    /// The next version of a seat.
    fn put_seat(&mut self, key: &SeatKey, change: impl FnOnce(&mut Seat)) {
        let Some(seat) = self.model.seats.last(key) else { return };
        let mut seat =
            Seat { version: seat.version + 1, updated_at: self.decided_at, ..seat.clone() };
        change(&mut seat);
        self.write_seat(key, seat);
    }

    fn write_seat(&mut self, key: &SeatKey, seat: Seat) {
        self.changed.push(Listed::seat(key, &seat));
        self.model.seats.put(key, seat, self.now, &self.command.key);
    }

    /// The next version of a line.
    fn put_line(&mut self, key: &LineKey, change: impl FnOnce(&mut StockLevel)) {
        let Some(line) = self.model.lines.last(key) else { return };
        let mut line =
            StockLevel { version: line.version + 1, updated_at: self.decided_at, ..line.clone() };
        change(&mut line);
        self.write_line(key, line);
    }

    fn write_line(&mut self, key: &LineKey, line: StockLevel) {
        self.changed.push(Listed::line(key, &line));
        self.model.lines.put(key, line, self.now, &self.command.key);
    }

    /// The next version of a reservation, which the outcome must show.
    fn put_reservation(&mut self, next: Reservation, shown: &Reservation) -> Result<(), Violation> {
        ensure(next == *shown, "outcome", || format!("shows {shown:?}, which should be {next:?}"))?;
        let id = next.reservation_id;
        ensure(self.guarded.reservations.contains(&id), "effect", || {
            format!("{id} was not written")
        })?;
        self.model.reservations.put(&id, next, self.now, &self.command.key);
        Ok(())
    }

    fn rejection(&self, holds: bool, rejection: &Rejection) -> Result<(), Violation> {
        ensure(holds, "rejection", || format!("never true since it was sent: {rejection:?}"))
    }
}

/// Whether the time is after the deadline, if there is one.
fn is_after(time: Timestamp, deadline: Option<Timestamp>) -> bool {
    deadline.is_some_and(|deadline| time > deadline)
}

fn signed(quantity: u64) -> i64 {
    i64::try_from(quantity).unwrap_or(i64::MAX)
}

/// Whether the hold is active from its owner's view.
fn is_active(reservation: &Reservation) -> bool {
    reservation.status == ReservationStatus::Active
}
