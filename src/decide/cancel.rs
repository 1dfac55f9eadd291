//! Cancel: releases a hold, or with `refund` a sale.

use super::{Change, DecideError, State, Verdict, bounds, find_owned, holdings, status_rejection};
use crate::domain::{
    Cancel, Outcome, PoolId, RejectedLine, Rejection, RejectionCode, Reservation,
    ReservationStatus, Timestamp,
};

/// Checks in the contract's order: found in this pool, owner, status. A reservation that has run
/// out but is still ACTIVE is cancelled like any other.
pub(super) fn decide(
    state: &mut State,
    pool: &PoolId,
    cancel: &Cancel,
    now: Timestamp,
) -> Result<Verdict, DecideError> {
    let reservation = find_owned(state, pool, cancel.reservation_id, cancel.user_id.as_ref())?;
    let lines = match reservation.status {
        ReservationStatus::Active => {
            holdings::release_lines(state, &reservation, &reservation.lines, now)?
        }
        ReservationStatus::Confirmed if cancel.refund => return_lines(state, &reservation, now)?,
        ReservationStatus::Confirmed if reservation.fulfilled_at.is_some() => {
            return Err(already_fulfilled(&reservation).into());
        }
        _ => return Err(status_rejection(&reservation).into()),
    };
    let over = beyond_on_hand(state, &reservation, &lines)?;
    if !over.is_empty() {
        return Ok(holdings::rests_on_named(&reservation, bounds::beyond_on_hand_max(over)));
    }
    let (seats, to) = (&reservation.seats, cancel.seats_to);
    let (mut changes, read_dependencies) =
        holdings::release_seats(state, &reservation, seats, to, now)?;
    changes.extend(lines);
    let cancelled = end(reservation, ReservationStatus::Cancelled, now);
    changes.push(Change::Reservation(cancelled.clone()));
    state.apply(changes);
    let outcome = Outcome::Cancelled { reservation: cancelled, reason: cancel.reason.clone() };
    Ok(Verdict { outcome, read_dependencies })
}

/// Puts sold lines back on sale: from committed, or if they had left, back on hand.
fn return_lines(
    state: &State,
    reservation: &Reservation,
    now: Timestamp,
) -> Result<Vec<Change>, DecideError> {
    let is_committed = reservation.has_committed_goods();
    holdings::change_lines(state, reservation, &reservation.lines, now, |line, quantity| {
        let quantity = match reservation.fulfilled_at.is_some() && injected_bug!(RefundTwice) {
            true => quantity.saturating_mul(2),
            false => quantity,
        };
        line.available = line.available.saturating_add(quantity);
        if is_committed {
            line.committed = line.committed.saturating_sub(quantity);
        }
    })
}

fn already_fulfilled(reservation: &Reservation) -> Rejection {
    let id = reservation.reservation_id;
    let message = format!("reservation {id} is fulfilled: only a refund cancels it");
    Rejection::new(RejectionCode::ReservationFulfilled, message)
}

/// The reservation after its end.
pub(super) fn end(
    reservation: Reservation,
    status: ReservationStatus,
    now: Timestamp,
) -> Reservation {
    Reservation {
        status,
        version: reservation.version.saturating_add(1),
        ended_at: Some(now),
        ..reservation
    }
}

/// The lines to which the command would return more than on hand may reach, each with what it had
/// available before.
fn beyond_on_hand(
    state: &State,
    reservation: &Reservation,
    changes: &[Change],
) -> Result<Vec<RejectedLine>, DecideError> {
    let mut over = Vec::new();
    for (change, request) in changes.iter().zip(&reservation.lines) {
        let Change::Line(key, line) = change else { continue };
        if bounds::is_beyond_on_hand_max(line) {
            let before = state.line(key)?.map_or(0, |before| before.available);
            over.push(RejectedLine::quantity(&request.sku, request.quantity, before));
        }
    }
    Ok(over)
}
