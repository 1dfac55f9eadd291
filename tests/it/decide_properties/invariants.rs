//! Invariants after every command, checked on the items alone.

mod seats;
mod stock;

use std::collections::BTreeMap;

use inventory_worker::{
    decide::{self, Change, ItemKey},
    domain::{
        Changes, ItemState, RejectionCode, ReservationStatus, SeatState, SeatStatus, Timestamp,
    },
};
use jiff::SignedDuration;

use super::{Decided, HOLD_TOTAL_SECONDS_MAX};
use crate::world::Items;

type Checked = Result<(), String>;

/// Every invariant.
pub fn check(decided: &Decided) -> Checked {
    seats_and_their_holders_agree(&decided.after)?;
    no_hold_outlasts_the_ceiling(&decided.after)?;
    versions_count_changes(decided)?;
    a_command_is_late_after_its_deadline_alone(decided)?;
    seats::check(decided)?;
    stock::check(decided)
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

/// "In all no longer than the operator's ceiling from `created_at`", rounded up to the second.
fn no_hold_outlasts_the_ceiling(items: &Items) -> Checked {
    for reservation in items.reservations.values() {
        let ceiling = SignedDuration::from_secs(i64::from(HOLD_TOTAL_SECONDS_MAX) + 1);
        let is_whole_second = reservation.expires_at.subsec_nanosecond() == 0;
        if reservation.expires_at >= reservation.created_at + ceiling || !is_whole_second {
            return Err(format!("{reservation:?} is held for too long"));
        }
    }
    Ok(())
}

fn a_command_is_late_after_its_deadline_alone(decided: &Decided) -> Checked {
    let rejection = decided.ran.verdict.outcome.rejection();
    let is_late = rejection.is_some_and(|found| found.code == RejectionCode::CommandExpired);
    let deadline = decided.ran.command.deadline;
    if is_late == deadline.is_some_and(|deadline| decided.now > deadline) {
        return Ok(());
    }
    Err(format!("deadline {deadline:?} at {}: {:?}", decided.now, decided.ran.verdict))
}

/// The changes are the difference between before and after, each item once and one version up; a
/// rejected command has none.
fn versions_count_changes(decided: &Decided) -> Checked {
    let mut expected: BTreeMap<ItemKey, Change> = BTreeMap::new();
    let mut versions: BTreeMap<ItemKey, u64> = BTreeMap::new();
    let (before, after) = (&decided.before, &decided.after);
    let changed = difference(before, after);
    the_changes_listed_are_the_difference(decided, &changed)?;
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

/// A result lists every changed seat and line once, in the state it was left in.
fn the_changes_listed_are_the_difference(decided: &Decided, changed: &[(Change, u64)]) -> Checked {
    let Changes::Listed(listed) = decide::listed(&decided.ran.changes) else {
        return Err("the changes are not listed".to_owned());
    };
    let expected: Vec<ItemState> = changed.iter().filter_map(|(change, _)| state(change)).collect();
    let is_there = |state: &ItemState| expected.contains(state);
    if listed.len() == expected.len() && listed.iter().all(is_there) {
        return Ok(());
    }
    Err(format!("listed {listed:?}\nfound {expected:?}"))
}

/// The item as the contract lists it.
fn state(change: &Change) -> Option<ItemState> {
    match change {
        Change::Reservation(_) => None,
        Change::Seat(key, seat) => {
            let (status, reserved_until): (_, Option<Timestamp>) = match &seat.occupancy {
                SeatState::Available => (SeatStatus::Available, None),
                SeatState::Reserved { until, .. } => (SeatStatus::Reserved, Some(*until)),
                SeatState::Booked { .. } => (SeatStatus::Booked, None),
                SeatState::Blocked => (SeatStatus::Blocked, None),
            };
            let (seat_number, version) = (key.number.clone(), seat.version);
            Some(ItemState::Seat { seat_number, version, status, reserved_until })
        }
        Change::Line(key, line) => Some(ItemState::Line {
            sku: key.sku.clone(),
            version: line.version,
            on_hand: line.available + line.reserved + line.committed,
            available: line.available,
            reserved: line.reserved,
        }),
    }
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
