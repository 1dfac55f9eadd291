//! Confirm: a hold becomes a sale.

use super::{
    Change, DecideError, ItemKey, State, Verdict, bounds, find_owned, holdings, status_rejection,
};
use crate::domain::{
    Confirm, Outcome, PoolId, Rejection, RejectionCode, Reservation, ReservationStatus, SeatKey,
    SeatState, Timestamp,
};

/// Checks in the contract's order: found in this pool, owner, status, expiry.
pub(super) fn decide(
    state: &mut State,
    pool: &PoolId,
    confirm: &Confirm,
    now: Timestamp,
) -> Result<Verdict, DecideError> {
    let reservation = find_owned(state, pool, confirm.reservation_id, confirm.user_id.as_ref())?;
    match reservation.status {
        ReservationStatus::Active => {}
        ReservationStatus::Confirmed
            if reservation.booking_id.as_ref() == Some(&confirm.booking_id) =>
        {
            return Ok(Outcome::Confirmed { reservation }.into());
        }
        _ => return Err(status_rejection(&reservation).into()),
    }
    if bounds::has_run_out(&reservation, now) && !injected_bug!(ConfirmExpired) {
        return Err(status_rejection(&reservation).into());
    }
    let (booked, lost) = book_seats(state, &reservation, confirm, now)?;
    if !lost.is_empty() {
        // Seat and reservation were read at different moments: the seat may be from before the
        // reservation was made or from after it was cancelled. The seat was taken over only if both
        // still stand as read.
        let read_dependencies = std::iter::once(ItemKey::Reservation(reservation.reservation_id))
            .chain(lost.iter().cloned().map(ItemKey::Seat))
            .collect();
        let outcome = Outcome::Rejected { rejection: taken_over(&reservation, lost) };
        return Ok(Verdict { outcome, read_dependencies });
    }
    let mut changes = booked;
    changes.extend(holdings::change_lines(
        state,
        &reservation,
        now,
        |available, reserved, quantity| {
            let leaving = if injected_bug!(ConfirmKeepsLines) { 0 } else { quantity };
            (available, reserved.saturating_sub(leaving))
        },
    )?);
    let confirmed = Reservation {
        status: ReservationStatus::Confirmed,
        booking_id: Some(confirm.booking_id.clone()),
        version: reservation.version.saturating_add(1),
        ..reservation
    };
    changes.push(Change::Reservation(confirmed.clone()));
    state.apply(changes);
    Ok(Outcome::Confirmed { reservation: confirmed }.into())
}

/// The seats as BOOKED, and those that the reservation no longer owns.
fn book_seats(
    state: &State,
    reservation: &Reservation,
    confirm: &Confirm,
    now: Timestamp,
) -> Result<(Vec<Change>, Vec<SeatKey>), DecideError> {
    let mut booked = Vec::with_capacity(reservation.seats.len());
    let mut lost = Vec::new();
    for key in holdings::seat_keys(reservation)? {
        let own = state.seat(&key)?.filter(|seat| {
            seat.occupancy.reservation_id() == Some(reservation.reservation_id)
                || injected_bug!(ConfirmLostSeats)
        });
        let Some(seat) = own else {
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

fn taken_over(reservation: &Reservation, seats: Vec<SeatKey>) -> Rejection {
    Rejection {
        code: RejectionCode::ReservationExpired,
        message: format!(
            "{} seats of reservation {} were taken over after its hold ran out",
            seats.len(),
            reservation.reservation_id
        ),
        seats: seats.into_iter().map(|key| key.number).collect(),
        lines: Vec::new(),
    }
}
