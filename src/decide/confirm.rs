//! Confirm: a hold becomes a sale.

use super::{
    Change, DecideError, State, Verdict, bounds, find_owned, holdings, reserve, status_rejection,
    words,
};
use crate::domain::{
    Confirm, Goods, LineKey, Outcome, PoolId, RejectedLine, Reservation, ReservationStatus,
    SeatKey, SeatState, Timestamp,
};

/// Checks in the contract's order: found in this pool, owner, status, expiry, what it held.
pub(super) fn decide(
    state: &mut State,
    pool: &PoolId,
    confirm: &Confirm,
    now: Timestamp,
) -> Result<Verdict, DecideError> {
    let reservation = find_owned(state, pool, confirm.reservation_id, confirm.user_id.as_ref())?;
    match reservation.status {
        ReservationStatus::Active => {}
        ReservationStatus::Expired if confirm.allow_expired => {}
        ReservationStatus::Confirmed
            if reservation.booking_id.as_ref() == Some(&confirm.booking_id) =>
        {
            return Ok(Outcome::Confirmed { reservation }.into());
        }
        _ => return Err(status_rejection(&reservation).into()),
    }
    let is_late = bounds::has_run_out(&reservation, now);
    if is_late && !confirm.allow_expired && !injected_bug!(ConfirmExpired) {
        return Err(status_rejection(&reservation).into());
    }
    let (mut changes, lost_seats) = book_seats(state, &reservation, confirm, now)?;
    let lost_lines = lost_lines(state, &reservation)?;
    if !lost_seats.is_empty() || !lost_lines.is_empty() {
        return Ok(not_held(&reservation, lost_seats, lost_lines));
    }
    changes.extend(sell_lines(state, &reservation, confirm.goods, now)?);
    let confirmed = Reservation {
        status: ReservationStatus::Confirmed,
        booking_id: Some(confirm.booking_id.clone()),
        goods: Some(confirm.goods),
        version: reservation.version.saturating_add(1),
        ..reservation
    };
    changes.push(Change::Reservation(confirmed.clone()));
    state.apply(changes);
    Ok(Outcome::Confirmed { reservation: confirmed }.into())
}

/// The seats as BOOKED, and those that cannot be booked: not the reservation's own, nor free where
/// an expired reservation is allowed. Whether the hold has run out is not asked of this worker's
/// clock then: that a seat is no longer its own shows that it had by another's.
fn book_seats(
    state: &State,
    reservation: &Reservation,
    confirm: &Confirm,
    now: Timestamp,
) -> Result<(Vec<Change>, Vec<SeatKey>), DecideError> {
    let mut booked = Vec::with_capacity(reservation.seats.len());
    let mut lost = Vec::new();
    for key in holdings::seat_keys(&reservation.pool, &reservation.seats)? {
        let found = state.seat(&key)?.filter(|seat| {
            let is_free = seat.is_available_at(now) || injected_bug!(LateConfirmTakesSold);
            let is_own = holdings::is_own(reservation, seat) || injected_bug!(ConfirmLostSeats);
            is_own || confirm.allow_expired && is_free
        });
        let Some(seat) = found else {
            lost.push(key);
            continue;
        };
        let occupancy = SeatState::Booked {
            reservation_id: reservation.reservation_id,
            by: reservation.user_id.clone(),
            booking_id: confirm.booking_id.clone(),
        };
        booked.push(Change::Seat(key, holdings::with_occupancy(seat, occupancy, now)));
    }
    Ok((booked, lost))
}

/// The lines of an EXPIRED reservation that have less available than it held. An ACTIVE reservation
/// still has its lines reserved.
fn lost_lines(state: &State, reservation: &Reservation) -> Result<Vec<RejectedLine>, DecideError> {
    let mut lost = Vec::new();
    if reservation.status != ReservationStatus::Expired {
        return Ok(lost);
    }
    for request in &reservation.lines {
        let key = LineKey { pool: reservation.pool.clone(), sku: request.sku.clone() };
        let line = state.line(&key)?;
        if reserve::is_short(request, line) {
            let available = line.map_or(0, |line| line.available);
            lost.push(RejectedLine::quantity(&request.sku, request.quantity, available));
        }
    }
    Ok(lost)
}

fn not_held(reservation: &Reservation, seats: Vec<SeatKey>, lines: Vec<RejectedLine>) -> Verdict {
    if lines.is_empty() {
        return holdings::taken_over(reservation, seats);
    }
    let lost = words::lost(seats.len(), lines.len(), reservation.reservation_id);
    let message = format!("{lost} taken after its hold ran out");
    holdings::gone(reservation, seats, lines, message)
}

/// The lines after the sale: from reserved, or of an EXPIRED reservation from available, they leave
/// or become committed.
fn sell_lines(
    state: &State,
    reservation: &Reservation,
    goods: Goods,
    now: Timestamp,
) -> Result<Vec<Change>, DecideError> {
    let is_released = reservation.status == ReservationStatus::Expired;
    holdings::change_lines(state, reservation, &reservation.lines, now, |line, quantity| {
        let quantity = if injected_bug!(ConfirmKeepsLines) { 0 } else { quantity };
        let from = if is_released { &mut line.available } else { &mut line.reserved };
        *from = from.saturating_sub(quantity);
        if goods == Goods::Stay && !injected_bug!(ForgetCommitted) {
            line.committed = line.committed.saturating_add(quantity);
        }
    })
}
