//! Modify: a hold takes more seats and lines, and releases some, in one step.

use std::collections::BTreeSet;

use super::{Change, DecideError, Limits, State, Verdict, bounds, find_held, holdings, reserve};
use crate::domain::{
    Holdings, Modify, OrderLine, Outcome, PoolId, RejectedLine, Rejection, RejectionCode,
    Reservation, RestockStatus, SeatNumber, Timestamp,
};

/// Checks in the contract's order: found in this pool, owner, status, expiry, held what is removed,
/// limits of what remains, then what is added as in a reserve.
pub(super) fn decide(
    state: &mut State,
    pool: &PoolId,
    modify: &Modify,
    limits: &Limits,
    now: Timestamp,
) -> Result<Verdict, DecideError> {
    let user_id = modify.user_id.as_ref();
    let reservation = find_held(state, pool, modify.reservation_id, user_id, now)?;
    check_held(&reservation, &modify.remove)?;
    let modified = modified(&reservation, modify, limits)?;
    let (_, lost) = holdings::own_seats(state, &reservation, &modify.remove.seats)?;
    if !lost.is_empty() {
        return Ok(holdings::taken_over(&reservation, lost));
    }
    let Holdings { seats, lines } = &modify.add;
    let mut changes = match reserve::take(state, &reservation, seats, lines, now) {
        Err(DecideError::Rejected(rejection)) => {
            return Ok(holdings::rests_on_named(&reservation, rejection));
        }
        changes => changes?,
    };
    if !injected_bug!(ModifyOnlyTakes) {
        let Holdings { seats, lines } = &modify.remove;
        let to = RestockStatus::Available;
        let (released, _) = holdings::release_seats(state, &reservation, seats, to, now)?;
        changes.extend(released);
        changes.extend(holdings::release_lines(state, &reservation, lines, now)?);
    }
    changes.push(Change::Reservation(modified.clone()));
    state.apply(changes);
    Ok(Outcome::Modified { reservation: modified }.into())
}

/// Rejects the removal of seats, or of quantities, that the reservation does not hold.
fn check_held(reservation: &Reservation, remove: &Holdings) -> Result<(), DecideError> {
    let held: BTreeSet<&SeatNumber> = reservation.seats.iter().collect();
    let seats: Vec<_> = remove.seats.iter().filter(|seat| !held.contains(seat)).cloned().collect();
    let lines: Vec<_> = remove
        .lines
        .iter()
        .map(|line| (line, quantity_of(&reservation.lines, line)))
        .filter(|(line, held)| line.quantity > *held)
        .map(|(line, held)| RejectedLine::quantity(&line.sku, line.quantity, held.cast_signed()))
        .collect();
    if seats.is_empty() && lines.is_empty() {
        return Ok(());
    }
    let id = reservation.reservation_id;
    let message = format!(
        "reservation {id} does not hold {} of the seats and {} of the lines to remove",
        seats.len(),
        lines.len()
    );
    Err(Rejection { code: RejectionCode::NotReserved, message, seats, lines }.into())
}

fn quantity_of(lines: &[OrderLine], wanted: &OrderLine) -> u64 {
    lines.iter().find(|line| line.sku == wanted.sku).map_or(0, |line| line.quantity)
}

/// The reservation afterwards: what remains in its order, then what is new. Rejects one that holds
/// nothing, or more than the operator or the contract allows.
fn modified(
    reservation: &Reservation,
    modify: &Modify,
    limits: &Limits,
) -> Result<Reservation, DecideError> {
    let changed: BTreeSet<&SeatNumber> =
        modify.remove.seats.iter().chain(&modify.add.seats).collect();
    let seats: Vec<_> = reservation
        .seats
        .iter()
        .filter(|seat| !changed.contains(seat))
        .chain(&modify.add.seats)
        .cloned()
        .collect();
    let known = reservation.lines.iter();
    let is_new = |line: &&OrderLine| quantity_of(&reservation.lines, line) == 0;
    let lines: Vec<_> = known
        .map(|line| OrderLine {
            sku: line.sku.clone(),
            quantity: line
                .quantity
                .saturating_sub(quantity_of(&modify.remove.lines, line))
                .saturating_add(quantity_of(&modify.add.lines, line)),
        })
        .filter(|line| line.quantity > 0)
        .chain(modify.add.lines.iter().filter(is_new).cloned())
        .collect();
    let too_many: Vec<_> = lines
        .iter()
        .filter(|line| !bounds::is_line_quantity(line.quantity))
        .map(|line| {
            let held = quantity_of(&reservation.lines, line);
            RejectedLine::quantity(&line.sku, line.quantity, held.cast_signed())
        })
        .collect();
    if !too_many.is_empty() {
        return Err(bounds::beyond_line_quantity(too_many).into());
    }
    let entries = seats.len().saturating_add(lines.len());
    if entries == 0 {
        let message = "nothing would remain in the reservation: cancel it instead";
        return Err(Rejection::new(RejectionCode::LimitExceeded, message).into());
    }
    // A hold that was made before the limit was lowered may shrink step by step.
    if entries > reservation.seats.len().saturating_add(reservation.lines.len()) {
        bounds::check_entries(entries, limits)?;
    }
    let version = reservation.version.saturating_add(1);
    Ok(Reservation { seats, lines, version, ..reservation.clone() })
}
