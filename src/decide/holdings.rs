//! The seats and lines that a reservation holds, and their release.

use super::{Change, DecideError, ItemKey, State, Verdict, words};
use crate::domain::{
    LineKey, OrderLine, Outcome, PoolId, RejectedLine, Rejection, RejectionCode, Reservation,
    RestockStatus, Seat, SeatKey, SeatNumber, SeatState, StockLevel, Timestamp,
};

/// The keys of seats in the pool, in their order. Only events have seats.
pub(super) fn seat_keys(pool: &PoolId, seats: &[SeatNumber]) -> Result<Vec<SeatKey>, DecideError> {
    let Some(event_id) = pool.event_id() else {
        if seats.is_empty() {
            return Ok(Vec::new());
        }
        return Err(DecideError::Inconsistent(format!("a reservation of {pool} has seats")));
    };
    let key = |number: &SeatNumber| SeatKey { event_id, number: number.clone() };
    Ok(seats.iter().map(key).collect())
}

/// The seat in its next version.
pub(super) fn with_occupancy(seat: &Seat, occupancy: SeatState, now: Timestamp) -> Seat {
    Seat { occupancy, version: seat.version.saturating_add(1), updated_at: now, ..seat.clone() }
}

/// Seats that a reservation still owns, and the keys of those that it no longer owns.
type OwnAndLost<'s> = (Vec<(SeatKey, &'s Seat)>, Vec<SeatKey>);

/// The seats that the reservation still owns, and the keys of those that it no longer owns.
///
/// A verdict on a lost seat depends on the seat and the reservation, which were read at different
/// moments: the seat may be from before the reservation was made or from after it was released.
pub(super) fn own_seats<'s>(
    state: &'s State,
    reservation: &Reservation,
    seats: &[SeatNumber],
) -> Result<OwnAndLost<'s>, DecideError> {
    let mut own = Vec::with_capacity(seats.len());
    let mut lost = Vec::new();
    for key in seat_keys(&reservation.pool, seats)? {
        match state.seat(&key)?.filter(|seat| is_own(reservation, seat)) {
            Some(seat) => own.push((key, seat)),
            None => lost.push(key),
        }
    }
    Ok((own, lost))
}

/// Whether the reservation owns the seat.
pub(super) fn is_own(reservation: &Reservation, seat: &Seat) -> bool {
    seat.occupancy.reservation_id() == Some(reservation.reservation_id)
}

/// The rejection for seats that another reservation took over.
pub(super) fn taken_over(reservation: &Reservation, lost: Vec<SeatKey>) -> Verdict {
    let seats = words::lost(lost.len(), 0, reservation.reservation_id);
    let message = format!("{seats} taken over after its hold ran out");
    gone(reservation, lost, Vec::new(), message)
}

/// The rejection for seats and lines that a reservation no longer has.
pub(super) fn gone(
    reservation: &Reservation,
    seats: Vec<SeatKey>,
    lines: Vec<RejectedLine>,
    message: String,
) -> Verdict {
    let seats = seats.into_iter().map(|key| key.number).collect();
    let code = RejectionCode::ReservationExpired;
    rests_on_named(reservation, Rejection { code, message, seats, lines })
}

/// The rejection that depends on the reservation, and on each seat and line that it names.
pub(super) fn rests_on_named(reservation: &Reservation, rejection: Rejection) -> Verdict {
    let pool = &reservation.pool;
    let seats = pool.event_id().into_iter().flat_map(|event_id| {
        let key = move |number: &SeatNumber| SeatKey { event_id, number: number.clone() };
        rejection.seats.iter().map(key).map(ItemKey::Seat)
    });
    let key = |line: &RejectedLine| LineKey { pool: pool.clone(), sku: line.sku().clone() };
    let lines = rejection.lines.iter().map(key).map(ItemKey::Line);
    let reservation = ItemKey::Reservation(reservation.reservation_id);
    let read_dependencies = std::iter::once(reservation).chain(seats).chain(lines).collect();
    Verdict { outcome: Outcome::Rejected { rejection }, read_dependencies }
}

/// Releases those of the seats that the reservation still owns. Returns the keys of the others too:
/// the release depends on them, which may have been read before the reservation was made.
///
/// A released seat becomes what `to` says, and BLOCKED if it was withheld.
pub(super) fn release_seats(
    state: &State,
    reservation: &Reservation,
    seats: &[SeatNumber],
    to: RestockStatus,
    now: Timestamp,
) -> Result<(Vec<Change>, Vec<ItemKey>), DecideError> {
    let mut changes = Vec::with_capacity(seats.len());
    let mut lost = Vec::new();
    for key in seat_keys(&reservation.pool, seats)? {
        let own = state
            .seat(&key)?
            .filter(|seat| is_own(reservation, seat) || injected_bug!(ReleaseOthersSeats));
        match own {
            Some(seat) => changes.push(Change::Seat(key, released(seat, to, now))),
            None => lost.push(ItemKey::Seat(key)),
        }
    }
    Ok((changes, lost))
}

fn released(seat: &Seat, to: RestockStatus, now: Timestamp) -> Seat {
    let is_withheld = seat.withheld && !injected_bug!(ForgetWithheld);
    let to = if is_withheld { RestockStatus::Blocked } else { to };
    Seat { withheld: false, ..with_occupancy(seat, to.into(), now) }
}

/// Moves lines of the reservation to their next version by `change(line, quantity)`.
pub(super) fn change_lines(
    state: &State,
    reservation: &Reservation,
    lines: &[OrderLine],
    now: Timestamp,
    change: impl Fn(&mut StockLevel, i64),
) -> Result<Vec<Change>, DecideError> {
    let mut changes = Vec::with_capacity(lines.len());
    for request in lines {
        let key = LineKey { pool: reservation.pool.clone(), sku: request.sku.clone() };
        let inconsistent = |what: &str| {
            let id = reservation.reservation_id;
            DecideError::Inconsistent(format!("a line of reservation {id} {what}"))
        };
        let found = state.line(&key)?.ok_or_else(|| inconsistent("does not exist"))?;
        let quantity =
            i64::try_from(request.quantity).map_err(|_| inconsistent("is out of bounds"))?;
        let version = found.version.saturating_add(1);
        let mut line = StockLevel { version, updated_at: now, ..found.clone() };
        change(&mut line, quantity);
        if line.reserved < 0 || line.committed < 0 {
            return Err(inconsistent("has less reserved or committed than the reservation holds"));
        }
        changes.push(Change::Line(key, line));
    }
    Ok(changes)
}

/// Moves lines of a hold back from reserved to available.
pub(super) fn release_lines(
    state: &State,
    reservation: &Reservation,
    lines: &[OrderLine],
    now: Timestamp,
) -> Result<Vec<Change>, DecideError> {
    change_lines(state, reservation, lines, now, |line, quantity| {
        let quantity = if injected_bug!(ForgetLines) { 0 } else { quantity };
        line.available = line.available.saturating_add(quantity);
        line.reserved = line.reserved.saturating_sub(quantity);
    })
}
