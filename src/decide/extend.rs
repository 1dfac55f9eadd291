//! Extend: a hold runs out later.

use super::{Change, DecideError, Limits, State, Verdict, bounds, find_held, holdings};
use crate::domain::{Extend, Outcome, PoolId, Reservation, SeatState, Timestamp};

/// Checks in the contract's order: found in this pool, owner, status, expiry, limits, seats still
/// its own. Never shortens a hold: an end that is not later is `extended` without a change.
pub(super) fn decide(
    state: &mut State,
    pool: &PoolId,
    extend: &Extend,
    limits: &Limits,
    now: Timestamp,
) -> Result<Verdict, DecideError> {
    let user_id = extend.user_id.as_ref();
    let reservation = find_held(state, pool, extend.reservation_id, user_id, now)?;
    let end = bounds::hold_end(Some(extend.hold_seconds), limits.hold_seconds_max, now)?;
    if end <= reservation.expires_at {
        return Ok(Outcome::Extended { reservation }.into());
    }
    bounds::check_hold_total(&reservation, end, limits)?;
    let (own, lost) = holdings::own_seats(state, &reservation, &reservation.seats)?;
    if !lost.is_empty() {
        return Ok(holdings::taken_over(&reservation, lost));
    }
    let mut changes: Vec<Change> = own
        .into_iter()
        .map(|(key, seat)| {
            let occupancy = SeatState::Reserved {
                reservation_id: reservation.reservation_id,
                by: reservation.user_id.clone(),
                until: if injected_bug!(ExtendKeepsSeats) { reservation.expires_at } else { end },
            };
            Change::Seat(key, holdings::with_occupancy(seat, occupancy, now))
        })
        .collect();
    let version = reservation.version.saturating_add(1);
    let extended = Reservation { expires_at: end, version, ..reservation };
    changes.push(Change::Reservation(extended.clone()));
    state.apply(changes);
    Ok(Outcome::Extended { reservation: extended }.into())
}
