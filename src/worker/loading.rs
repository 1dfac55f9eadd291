//! Loads the items and ledger entries that a batch names.

use std::collections::BTreeSet;

use super::{
    decided::{Leased, Ledger},
    failure::Failure,
    plan::Touched,
};
use crate::{
    decide::{ItemKey, State},
    domain::{
        Action, Command, LineKey, PoolId, Reservation, ReservationId, ReservationStatus, SeatKey,
        SeatNumber, Sku,
    },
    ports::{LedgerKey, LoadRequest, ReadStore},
};

/// Loads the ledger entries of the commands, and the items that commands without an entry depend
/// on.
///
/// Items are read after the last entry that was found: a command sees the effects of earlier
/// commands in its group, whichever worker committed them, although one load reads its items at
/// different moments.
pub(super) async fn load(
    store: &dyn ReadStore,
    batch: &[Leased<'_>],
) -> Result<(State, Ledger), Failure> {
    let mut ledger = Ledger::new();
    let mut unknown: Vec<&Command> = batch.iter().map(|leased| leased.command).collect();
    loop {
        let (state, found) = load_once(store, &unknown).await?;
        let is_known = |command: &Command| is_in(&found, command);
        let known = unknown.extract_if(.., |command| is_known(command)).count();
        ledger.extend(found);
        if known == 0 || unknown.is_empty() || injected_bug!(NoReload) {
            return Ok((state, ledger));
        }
    }
}

fn is_in(ledger: &Ledger, command: &Command) -> bool {
    ledger.get(&LedgerKey::Command(command.key.clone())).is_some_and(Option::is_some)
}

/// Loads a second time if a command names a reservation whose holdings it may return or book.
async fn load_once(
    store: &dyn ReadStore,
    commands: &[&Command],
) -> Result<(State, Ledger), Failure> {
    let mut wanted = LoadRequest::default();
    for command in commands {
        name(&mut wanted, command);
    }
    let mut loaded = store.load(&wanted).await?;
    let mut held = LoadRequest::default();
    for command in commands {
        let reservation = reservation_of(command)
            .filter(|_| !is_in(&loaded.ledger, command))
            .and_then(|id| loaded.reservations.get(&id)?.as_ref())
            .filter(|found| may_touch_holdings(command, found));
        if let Some(found) = reservation {
            name_seats(&mut held, &found.pool, &found.seats);
            name_lines(&mut held, &found.pool, found.lines.iter().map(|line| &line.sku));
        }
    }
    held.seats.retain(|key| !loaded.seats.contains_key(key));
    held.lines.retain(|key| !loaded.lines.contains_key(key));
    if !held.is_empty() {
        let second = store.load(&held).await?;
        loaded.seats.extend(second.seats);
        loaded.lines.extend(second.lines);
    }
    Ok((State::new(loaded.reservations, loaded.seats, loaded.lines), loaded.ledger))
}

/// What the command names, its identity, and what the reservation that it names holds now: all that
/// its verdict can rest on.
pub(super) fn footprint(state: &State, command: &Command) -> BTreeSet<Touched> {
    let mut named = LoadRequest::default();
    name(&mut named, command);
    let held = named.reservations.iter().filter_map(|id| state.reservation(*id).ok().flatten());
    let held: Vec<Reservation> = held.cloned().collect();
    for found in &held {
        name_seats(&mut named, &found.pool, &found.seats);
        name_lines(&mut named, &found.pool, found.lines.iter().map(|line| &line.sku));
    }
    let LoadRequest { ledger, reservations, seats, lines } = named;
    let items = (reservations.into_iter().map(ItemKey::Reservation))
        .chain(seats.into_iter().map(ItemKey::Seat))
        .chain(lines.into_iter().map(ItemKey::Line))
        .map(Touched::Item);
    items.chain(ledger.into_iter().map(Touched::Ledger)).collect()
}

/// How many items a command may change: those that it names, and what the reservation that it names
/// holds.
pub(super) fn items_touched_max(state: &State, command: &Command) -> usize {
    let held = reservation_of(command)
        .and_then(|id| state.reservation(id).ok().flatten())
        .filter(|found| may_touch_holdings(command, found))
        .map_or(0, |found| found.seats.len().saturating_add(found.lines.len()));
    items_named(command).max(held.saturating_add(1))
}

/// How many items a command names.
pub(super) fn items_named(command: &Command) -> usize {
    match &command.action {
        Action::Reserve(reserve) => 1 + reserve.seats.len() + reserve.lines.len(),
        Action::Modify(modify) => {
            let entries = [&modify.add, &modify.remove].map(|h| h.seats.len() + h.lines.len());
            1 + entries.iter().sum::<usize>()
        }
        Action::Restock(restock) => restock.entries(),
        // The holdings of a reservation are not known before it is read: as many as a reserve has
        // at most would make every round of them small.
        Action::Extend(_)
        | Action::Confirm(_)
        | Action::Fulfil(_)
        | Action::Cancel(_)
        | Action::Expire(_) => 4,
    }
}

/// Adds what the command itself names.
fn name(wanted: &mut LoadRequest, command: &Command) {
    wanted.ledger.insert(LedgerKey::Command(command.key.clone()));
    match &command.action {
        Action::Reserve(reserve) => {
            wanted.reservations.insert(reserve.reservation_id);
            name_seats(wanted, &command.pool, &reserve.seats);
            name_lines(wanted, &command.pool, reserve.lines.iter().map(|line| &line.sku));
        }
        Action::Modify(modify) => {
            wanted.reservations.insert(modify.reservation_id);
            for holdings in [&modify.add, &modify.remove] {
                name_seats(wanted, &command.pool, &holdings.seats);
                let skus = holdings.lines.iter().map(|line| &line.sku);
                name_lines(wanted, &command.pool, skus);
            }
        }
        Action::Restock(restock) => {
            name_seats(wanted, &command.pool, restock.seats.iter().map(|seat| &seat.number));
            name_lines(wanted, &command.pool, restock.lines.iter().map(|line| &line.sku));
        }
        Action::Extend(_)
        | Action::Confirm(_)
        | Action::Fulfil(_)
        | Action::Cancel(_)
        | Action::Expire(_) => {
            wanted.reservations.extend(reservation_of(command));
        }
    }
}

/// The reservation whose holdings the command may change without naming them.
fn reservation_of(command: &Command) -> Option<ReservationId> {
    match &command.action {
        Action::Extend(extend) => Some(extend.reservation_id),
        Action::Confirm(confirm) => Some(confirm.reservation_id),
        Action::Fulfil(fulfil) => Some(fulfil.reservation_id),
        Action::Cancel(cancel) => Some(cancel.reservation_id),
        Action::Expire(expire) => Some(expire.reservation_id),
        Action::Reserve(_) | Action::Modify(_) | Action::Restock(_) => None,
    }
}

/// Whether the command may depend on the holdings of the reservation.
fn may_touch_holdings(command: &Command, reservation: &Reservation) -> bool {
    match reservation.status {
        ReservationStatus::Active | ReservationStatus::Confirmed => true,
        ReservationStatus::Expired => {
            matches!(&command.action, Action::Confirm(confirm) if confirm.allow_expired)
        }
        ReservationStatus::Cancelled => false,
    }
}

/// Adds seats to the request; a store has none.
pub(super) fn name_seats<'a>(
    wanted: &mut LoadRequest,
    pool: &PoolId,
    seats: impl IntoIterator<Item = &'a SeatNumber>,
) {
    let Some(event_id) = pool.event_id() else { return };
    let keys = seats.into_iter().map(|number| SeatKey { event_id, number: number.clone() });
    wanted.seats.extend(keys);
}

/// Adds lines to the request.
pub(super) fn name_lines<'a>(
    wanted: &mut LoadRequest,
    pool: &PoolId,
    skus: impl IntoIterator<Item = &'a Sku>,
) {
    let keys = skus.into_iter().map(|sku| LineKey { pool: pool.clone(), sku: sku.clone() });
    wanted.lines.extend(keys);
}
