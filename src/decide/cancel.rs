//! Cancel: a hold is given back, or a sale with `refund`.

use super::{Change, DecideError, State, Verdict, find_owned, holdings, status_rejection};
use crate::domain::{
    Cancel, LineShortfall, ON_HAND_MAX, Outcome, PoolId, Rejection, RejectionCode, Reservation,
    ReservationStatus, Timestamp,
};

/// Checks in the contract's order: found in this pool, owner, status. A reservation that ran out
/// but is still ACTIVE is cancelled like any other.
pub(super) fn decide(
    state: &mut State,
    pool: &PoolId,
    cancel: &Cancel,
    now: Timestamp,
) -> Result<Verdict, DecideError> {
    let found = find_owned(state, pool, cancel.reservation_id, cancel.user_id.as_ref())?;
    let reservation = match found {
        Ok(reservation) => reservation,
        Err(rejection) => return Ok(rejection.into()),
    };
    let lines = match reservation.status {
        ReservationStatus::Active => holdings::release_lines(state, &reservation, now)?,
        ReservationStatus::Confirmed if cancel.refund => {
            holdings::change_lines(state, &reservation, now, |available, reserved, quantity| {
                (available.saturating_add(quantity), reserved)
            })?
        }
        _ => return Ok(status_rejection(&reservation).into()),
    };
    if let Some(rejection) = beyond_bound(state, &reservation, &lines)? {
        return Ok(rejection.into());
    }
    let (mut changes, read_dependencies) = holdings::release_seats(state, &reservation, now)?;
    changes.extend(lines);
    let cancelled = end(reservation, ReservationStatus::Cancelled, now);
    changes.push(Change::Reservation(cancelled.clone()));
    state.apply(changes);
    let outcome = Outcome::Cancelled { reservation: cancelled, reason: cancel.reason.clone() };
    Ok(Verdict { outcome, read_dependencies })
}

/// The reservation as it ended.
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

/// Goods that come back may not take a line beyond what on hand can be. Names what there was of
/// each such line, before the goods came back.
fn beyond_bound(
    state: &State,
    reservation: &Reservation,
    changes: &[Change],
) -> Result<Option<Rejection>, DecideError> {
    let mut over = Vec::new();
    for (change, request) in changes.iter().zip(&reservation.lines) {
        let Change::Line(key, line) = change else { continue };
        if line.on_hand() > ON_HAND_MAX {
            over.push(LineShortfall {
                sku: request.sku.clone(),
                requested: request.quantity,
                available: state.line(key)?.map_or(0, |before| before.available),
            });
        }
    }
    if over.is_empty() {
        return Ok(None);
    }
    Ok(Some(Rejection {
        code: RejectionCode::LimitExceeded,
        message: format!("on hand would pass {ON_HAND_MAX} on {} lines", over.len()),
        seats: Vec::new(),
        lines: over,
    }))
}
