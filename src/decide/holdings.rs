//! The seats and lines that a reservation holds, and their release.

use super::{Change, DecideError, ItemKey, State};
use crate::domain::{
    LineKey, Reservation, Seat, SeatKey, SeatNumber, SeatState, StockLevel, Timestamp,
};

/// The keys of a reservation's seats, in its order. Only events have seats.
pub(super) fn seat_keys(reservation: &Reservation) -> Result<Vec<SeatKey>, DecideError> {
    let Some(event_id) = reservation.pool.event_id() else {
        if reservation.seats.is_empty() {
            return Ok(Vec::new());
        }
        return Err(DecideError::Inconsistent(format!(
            "reservation {} of a store has seats",
            reservation.reservation_id
        )));
    };
    let key = |number: &SeatNumber| SeatKey { event_id, number: number.clone() };
    Ok(reservation.seats.iter().map(key).collect())
}

/// The seat in its next version.
pub(super) fn with_occupancy(seat: &Seat, occupancy: SeatState, now: Timestamp) -> Seat {
    Seat { occupancy, version: seat.version.saturating_add(1), updated_at: now, ..seat.clone() }
}

/// Returns the reservation's seats that it still owns, made AVAILABLE again, and the keys of those
/// that it no longer owns. The release depends on the latter, which may have been read before the
/// reservation was made.
pub(super) fn release_seats(
    state: &State,
    reservation: &Reservation,
    now: Timestamp,
) -> Result<(Vec<Change>, Vec<ItemKey>), DecideError> {
    let mut changes = Vec::with_capacity(reservation.seats.len());
    let mut lost = Vec::new();
    for key in seat_keys(reservation)? {
        let own = state.seat(&key)?.filter(|seat| {
            seat.occupancy.reservation_id() == Some(reservation.reservation_id)
                || injected_bug!(ReleaseOthersSeats)
        });
        match own {
            Some(seat) => {
                changes.push(Change::Seat(key, with_occupancy(seat, SeatState::Available, now)));
            }
            None => lost.push(ItemKey::Seat(key)),
        }
    }
    Ok((changes, lost))
}

/// Moves each of the reservation's lines to its next version by `change(available, reserved,
/// quantity)`, which returns the new quantities.
pub(super) fn change_lines(
    state: &State,
    reservation: &Reservation,
    now: Timestamp,
    change: impl Fn(i64, i64, i64) -> (i64, i64),
) -> Result<Vec<Change>, DecideError> {
    let mut changes = Vec::with_capacity(reservation.lines.len());
    for request in &reservation.lines {
        let key = LineKey { pool: reservation.pool.clone(), sku: request.sku.clone() };
        let missing = |what: &str| {
            let id = reservation.reservation_id;
            DecideError::Inconsistent(format!("a line of reservation {id} {what}"))
        };
        let line = state.line(&key)?.ok_or_else(|| missing("does not exist"))?;
        let quantity = i64::try_from(request.quantity).map_err(|_| missing("is out of bounds"))?;
        let (available, reserved) = change(line.available, line.reserved, quantity);
        if reserved < 0 {
            return Err(missing("has less reserved than the reservation holds"));
        }
        let line = StockLevel {
            available,
            reserved,
            version: line.version.saturating_add(1),
            updated_at: now,
            ..line.clone()
        };
        changes.push(Change::Line(key, line));
    }
    Ok(changes)
}

/// Moves a hold's lines back from reserved to available.
pub(super) fn release_lines(
    state: &State,
    reservation: &Reservation,
    now: Timestamp,
) -> Result<Vec<Change>, DecideError> {
    change_lines(state, reservation, now, |available, reserved, quantity| {
        let quantity = if injected_bug!(ForgetLines) { 0 } else { quantity };
        (available.saturating_add(quantity), reserved.saturating_sub(quantity))
    })
}
