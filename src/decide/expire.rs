//! Expire: a hold that ran out is given back.

use super::{Change, DecideError, State, Verdict, cancel, find_owned, holdings, status_rejection};
use crate::domain::{
    Expire, Outcome, PoolId, Rejection, RejectionCode, ReservationStatus, Timestamp,
};

/// Effective only once the hold has run out, whoever asks.
pub(super) fn decide(
    state: &mut State,
    pool: &PoolId,
    expire: &Expire,
    now: Timestamp,
) -> Result<Verdict, DecideError> {
    let reservation = match find_owned(state, pool, expire.reservation_id, None)? {
        Ok(reservation) => reservation,
        Err(rejection) => return Ok(rejection.into()),
    };
    if reservation.status != ReservationStatus::Active {
        return Ok(status_rejection(&reservation).into());
    }
    if now < reservation.expires_at && !injected_bug!(ExpireEarly) {
        return Ok(Rejection::new(
            RejectionCode::NotYetExpired,
            format!(
                "reservation {} is held until {}",
                reservation.reservation_id, reservation.expires_at
            ),
        )
        .into());
    }
    let (mut changes, read_dependencies) = holdings::release_seats(state, &reservation, now)?;
    changes.extend(holdings::release_lines(state, &reservation, now)?);
    let expired = cancel::end(reservation, ReservationStatus::Expired, now);
    changes.push(Change::Reservation(expired.clone()));
    state.apply(changes);
    Ok(Verdict { outcome: Outcome::Expired { reservation: expired }, read_dependencies })
}
