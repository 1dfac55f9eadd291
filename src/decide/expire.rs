//! Expire: releases a hold that has run out.

use super::{
    Change, DecideError, State, Verdict, bounds, cancel, find_owned, holdings, status_rejection,
};
use crate::domain::{
    Expire, Outcome, PoolId, Rejection, RejectionCode, ReservationStatus, RestockStatus, Timestamp,
};

/// Takes effect only after the hold has run out, whatever the source of the command.
pub(super) fn decide(
    state: &mut State,
    pool: &PoolId,
    expire: &Expire,
    now: Timestamp,
) -> Result<Verdict, DecideError> {
    let reservation = find_owned(state, pool, expire.reservation_id, None)?;
    if reservation.status != ReservationStatus::Active {
        return Err(status_rejection(&reservation).into());
    }
    if !bounds::has_run_out(&reservation, now) && !injected_bug!(ExpireEarly) {
        return Err(Rejection::new(
            RejectionCode::NotYetExpired,
            format!(
                "reservation {} is held until {}",
                reservation.reservation_id, reservation.expires_at
            ),
        )
        .into());
    }
    let (seats, lines) = (&reservation.seats, &reservation.lines);
    let to = RestockStatus::Available;
    let (mut changes, read_dependencies) =
        holdings::release_seats(state, &reservation, seats, to, now)?;
    changes.extend(holdings::release_lines(state, &reservation, lines, now)?);
    let expired = cancel::end(reservation, ReservationStatus::Expired, now);
    changes.push(Change::Reservation(expired.clone()));
    state.apply(changes);
    Ok(Verdict { outcome: Outcome::Expired { reservation: expired }, read_dependencies })
}
