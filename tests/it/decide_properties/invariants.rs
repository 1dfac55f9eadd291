//! Invariants after every command, checked on the items alone.

use std::collections::BTreeMap;

use inventory_worker::{
    decide::{Change, ItemKey},
    domain::{
        Action, LineKey, Outcome, Reservation, ReservationStatus, RestockMode, SeatKey, SeatState,
        SeatStatus, StockLevel,
    },
};

use super::Decided;
use crate::world::Items;

type Checked = Result<(), String>;

/// Every invariant.
pub fn check(decided: &Decided) -> Checked {
    seats_and_their_holders_agree(&decided.after)?;
    reservations_have_their_seats(&decided.after)?;
    reserved_is_the_sum_of_active_reservations(&decided.after)?;
    versions_count_changes(decided)?;
    seats_go_the_allowed_ways(decided)?;
    stock_is_conserved(decided)
}

/// A RESERVED seat's reservation is ACTIVE, a BOOKED seat's CONFIRMED, and their fields agree.
fn seats_and_their_holders_agree(items: &Items) -> Checked {
    for (key, seat) in &items.seats {
        let holder = seat.occupancy.reservation_id().map(|id| &items.reservations[&id]);
        let agrees = match (&seat.occupancy, holder) {
            (SeatState::Available | SeatState::Blocked, _) => true,
            (SeatState::Reserved { by, until, .. }, Some(holder)) => {
                holder.status == ReservationStatus::Active
                    && holder.user_id == *by
                    && holder.expires_at == *until
            }
            (SeatState::Booked { by, booking_id, .. }, Some(holder)) => {
                holder.status == ReservationStatus::Confirmed
                    && holder.user_id == *by
                    && holder.booking_id.as_ref() == Some(booking_id)
            }
            _ => false,
        };
        let is_named = holder.is_none_or(|holder| {
            holder.pool.event_id() == Some(key.event_id) && holder.seats.contains(&key.number)
        });
        if !agrees || !is_named {
            return Err(format!("{key:?} is {seat:?} but its reservation {holder:?}"));
        }
    }
    Ok(())
}

/// An ACTIVE reservation's seats are RESERVED by it, unless another reserve took them over at or
/// after its end; a CONFIRMED one's are BOOKED by it. So a seat has one owner.
fn reservations_have_their_seats(items: &Items) -> Checked {
    for reservation in items.reservations.values() {
        for number in &reservation.seats {
            let event_id = reservation.pool.event_id().unwrap();
            let seat = &items.seats[&SeatKey { event_id, number: number.clone() }];
            let is_own = seat.occupancy.reservation_id() == Some(reservation.reservation_id);
            let was_taken_over = items.reservations.values().any(|other| {
                other.reservation_id != reservation.reservation_id
                    && other.pool == reservation.pool
                    && other.seats.contains(number)
                    && other.created_at >= reservation.expires_at
            });
            let holds = match reservation.status {
                ReservationStatus::Active => is_own || was_taken_over,
                ReservationStatus::Confirmed => {
                    is_own && seat.occupancy.status() == SeatStatus::Booked
                }
                ReservationStatus::Cancelled | ReservationStatus::Expired => !is_own,
            };
            if !holds {
                return Err(format!("{reservation:?} and its seat {number}: {seat:?}"));
            }
        }
    }
    Ok(())
}

fn reserved_is_the_sum_of_active_reservations(items: &Items) -> Checked {
    let mut sums: BTreeMap<LineKey, i64> = BTreeMap::new();
    for reservation in items.reservations.values() {
        if reservation.status == ReservationStatus::Active {
            for request in &reservation.lines {
                let key = LineKey { pool: reservation.pool.clone(), sku: request.sku.clone() };
                *sums.entry(key).or_default() += i64::try_from(request.quantity).unwrap();
            }
        }
    }
    for (key, line) in &items.lines {
        let sum = sums.remove(key).unwrap_or(0);
        if line.reserved != sum || line.on_hand() != line.available + line.reserved {
            return Err(format!("{key:?} is {line:?}, ACTIVE reservations hold {sum}"));
        }
    }
    if sums.is_empty() { Ok(()) } else { Err(format!("held but not there: {sums:?}")) }
}

/// The changes are the difference between before and after, each item once and one version up; a
/// rejected command has none.
fn versions_count_changes(decided: &Decided) -> Checked {
    let mut expected: BTreeMap<ItemKey, Change> = BTreeMap::new();
    let mut versions: BTreeMap<ItemKey, u64> = BTreeMap::new();
    let (before, after) = (&decided.before, &decided.after);
    let changed = difference(before, after);
    for (change, version) in changed {
        versions.insert(change.key(), version);
        expected.insert(change.key(), change);
    }
    let reported: BTreeMap<ItemKey, Change> =
        decided.ran.changes.iter().map(|change| (change.key(), change.clone())).collect();
    if reported != expected || reported.len() != decided.ran.changes.len() {
        return Err(format!("changes told {reported:?}\nfound {expected:?}"));
    }
    if let Some(wrong) =
        reported.values().find(|reported| reported.version() != versions[&reported.key()] + 1)
    {
        return Err(format!("{wrong:?} follows version {}", versions[&wrong.key()]));
    }
    if decided.ran.verdict.outcome.rejection().is_some() && !reported.is_empty() {
        return Err("rejected, and yet changed".to_owned());
    }
    Ok(())
}

/// Changed items, with their previous version (0 if they did not exist). No item disappears.
fn difference(before: &Items, after: &Items) -> Vec<(Change, u64)> {
    let mut changes = Vec::new();
    for (id, new) in &after.reservations {
        let old = before.reservations.get(id);
        if old != Some(new) {
            changes.push((Change::Reservation(new.clone()), old.map_or(0, |old| old.version)));
        }
    }
    for (key, new) in &after.seats {
        let old = before.seats.get(key);
        if old != Some(new) {
            let change = Change::Seat(key.clone(), new.clone());
            changes.push((change, old.map_or(0, |old| old.version)));
        }
    }
    for (key, new) in &after.lines {
        let old = before.lines.get(key);
        if old != Some(new) {
            let change = Change::Line(key.clone(), new.clone());
            changes.push((change, old.map_or(0, |old| old.version)));
        }
    }
    changes
}

/// "AVAILABLE → RESERVED → BOOKED; RESERVED → AVAILABLE; BOOKED → AVAILABLE (refund); AVAILABLE ↔
/// BLOCKED", and RESERVED → RESERVED by a takeover from the hold's end on.
fn seats_go_the_allowed_ways(decided: &Decided) -> Checked {
    for (key, old) in &decided.before.seats {
        let new = &decided.after.seats[key];
        let outcome = &decided.ran.verdict.outcome;
        let allowed = match (&old.occupancy, &new.occupancy) {
            (old, new) if old == new => true,
            (SeatState::Available, SeatState::Reserved { .. }) => {
                matches!(outcome, Outcome::Reserved { .. })
            }
            (SeatState::Reserved { until, .. }, SeatState::Reserved { .. }) => {
                matches!(outcome, Outcome::Reserved { .. }) && *until <= decided.now
            }
            (
                SeatState::Reserved { reservation_id: held, until, .. },
                SeatState::Booked { reservation_id: booked, .. },
            ) => held == booked && decided.now < *until,
            (SeatState::Reserved { .. }, SeatState::Available) => {
                matches!(outcome, Outcome::Cancelled { .. } | Outcome::Expired { .. })
            }
            (SeatState::Booked { .. }, SeatState::Available) => {
                matches!(&decided.ran.command.action, Action::Cancel(cancel) if cancel.refund)
            }
            (SeatState::Available, SeatState::Blocked)
            | (SeatState::Blocked, SeatState::Available) => {
                matches!(outcome, Outcome::Restocked { .. })
            }
            _ => false,
        };
        if !allowed {
            return Err(format!("{key:?} went from {old:?} to {new:?}"));
        }
    }
    Ok(())
}

/// Only restock, confirm and refund change the quantity on hand, by the quantities they name.
fn stock_is_conserved(decided: &Decided) -> Checked {
    for (key, new) in &decided.after.lines {
        let old = decided.before.lines.get(key);
        let on_hand = old.map_or(0, StockLevel::on_hand);
        let expected = match &decided.ran.verdict.outcome {
            Outcome::Confirmed { reservation } => {
                on_hand - asked_of(key, reservation, was(decided, reservation, "ACTIVE"))
            }
            Outcome::Cancelled { reservation, .. } => {
                on_hand + asked_of(key, reservation, was(decided, reservation, "CONFIRMED"))
            }
            Outcome::Restocked { .. } => restocked(decided, key, on_hand),
            _ => on_hand,
        };
        if new.on_hand() != expected {
            return Err(format!("{key:?}: on hand {} where {expected} is due", new.on_hand()));
        }
    }
    Ok(())
}

fn was(decided: &Decided, reservation: &Reservation, status: &str) -> bool {
    let before = &decided.before.reservations[&reservation.reservation_id];
    before.status.as_str() == status
}

fn asked_of(key: &LineKey, reservation: &Reservation, counts: bool) -> i64 {
    let of_line = |key: &LineKey| -> i64 {
        let lines = reservation.lines.iter().filter(|request| request.sku == key.sku);
        lines.map(|request| i64::try_from(request.quantity).unwrap()).sum()
    };
    if counts && reservation.pool == key.pool { of_line(key) } else { 0 }
}

fn restocked(decided: &Decided, key: &LineKey, on_hand: i64) -> i64 {
    let Action::Restock(restock) = &decided.ran.command.action else { return on_hand };
    if decided.ran.command.pool != key.pool {
        return on_hand;
    }
    let Some(request) = restock.lines.iter().find(|request| request.sku == key.sku) else {
        return on_hand;
    };
    let quantity = request.quantity;
    let newest = decided.before.lines.get(key).and_then(|line| line.as_of);
    match restock.mode {
        RestockMode::Add => on_hand + quantity,
        RestockMode::Set if restock.as_of.is_some_and(|this| newest > Some(this)) => on_hand,
        RestockMode::Set => quantity,
    }
}
