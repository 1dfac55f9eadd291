//! Fulfil: sold goods that had stayed leave.

use super::{Change, DecideError, State, Verdict, bounds, find_owned, holdings, status_rejection};
use crate::domain::{
    Fulfil, Outcome, PoolId, Rejection, RejectionCode, Reservation, ReservationStatus, Timestamp,
};

/// Checks in the contract's order: found in this pool, owner, status.
pub(super) fn decide(
    state: &mut State,
    pool: &PoolId,
    fulfil: &Fulfil,
    now: Timestamp,
) -> Result<Verdict, DecideError> {
    let reservation = find_owned(state, pool, fulfil.reservation_id, fulfil.user_id.as_ref())?;
    let id = reservation.reservation_id;
    match reservation.status {
        ReservationStatus::Confirmed => {}
        ReservationStatus::Active if !bounds::has_run_out(&reservation, now) => {
            let message = format!("reservation {id} is ACTIVE: confirm it first");
            return Err(Rejection::new(RejectionCode::ReservationActive, message).into());
        }
        _ => return Err(status_rejection(&reservation).into()),
    }
    if !reservation.has_committed_goods() && !injected_bug!(FulfilTwice) {
        let message = format!("the goods of reservation {id} have left already");
        return Err(Rejection::new(RejectionCode::ReservationFulfilled, message).into());
    }
    let lines = &reservation.lines;
    let mut changes = holdings::change_lines(state, &reservation, lines, now, |line, quantity| {
        let left = if injected_bug!(FulfilTwice) { quantity.min(line.committed) } else { quantity };
        line.committed = line.committed.saturating_sub(left);
    })?;
    let version = reservation.version.saturating_add(1);
    let fulfilled = Reservation { fulfilled_at: Some(now), version, ..reservation };
    changes.push(Change::Reservation(fulfilled.clone()));
    state.apply(changes);
    Ok(Outcome::Fulfilled { reservation: fulfilled }.into())
}
