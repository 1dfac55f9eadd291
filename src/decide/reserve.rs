//! Reserve: all of the seats and lines, or none.

use super::{Change, DecideError, Limits, State, Verdict, bounds, holdings};
use crate::domain::{
    LineKey, LineShortfall, OrderLine, Outcome, PoolId, Rejection, RejectionCode, Reservation,
    ReservationStatus, Reserve, Seat, SeatKey, SeatNumber, SeatState, StockLevel, Timestamp,
};

/// Checks in the contract's order: limits, id, seats exist, SKUs exist, seats free, stock
/// sufficient. A failed check names every offender.
pub(super) fn decide(
    state: &mut State,
    pool: &PoolId,
    reserve: &Reserve,
    limits: &Limits,
    now: Timestamp,
) -> Result<Verdict, DecideError> {
    let expires_at = bounds::hold_end(reserve, limits, now)?;
    if state.reservation(reserve.reservation_id)?.is_some() {
        return Err(Rejection::new(
            RejectionCode::ReservationExists,
            format!("reservation {} is another command's", reserve.reservation_id),
        )
        .into());
    }
    let reservation = Reservation {
        reservation_id: reserve.reservation_id,
        pool: pool.clone(),
        user_id: reserve.user_id.clone(),
        status: ReservationStatus::Active,
        version: 1,
        seats: reserve.seats.clone(),
        lines: reserve.lines.clone(),
        booking_id: None,
        created_at: now,
        expires_at,
        ended_at: None,
    };
    let changes = take(state, &reservation, now)?;
    state.apply(changes);
    Ok(Outcome::Reserved { reservation }.into())
}

fn take(
    state: &State,
    reservation: &Reservation,
    now: Timestamp,
) -> Result<Vec<Change>, DecideError> {
    let mut seats = Vec::with_capacity(reservation.seats.len());
    for key in holdings::seat_keys(reservation)? {
        let seat = state.seat(&key)?;
        seats.push((key, seat));
    }
    let mut lines = Vec::with_capacity(reservation.lines.len());
    for request in &reservation.lines {
        let key = LineKey { pool: reservation.pool.clone(), sku: request.sku.clone() };
        let line = state.line(&key)?;
        lines.push((key, request, line));
    }
    if let Some(rejection) = obstacle(&seats, &lines, now) {
        return Err(rejection.into());
    }
    let mut changes = Vec::with_capacity(seats.len().saturating_add(lines.len()).saturating_add(1));
    for (key, seat) in seats {
        let Some(seat) = seat else { continue };
        let occupancy = SeatState::Reserved {
            reservation_id: reservation.reservation_id,
            by: reservation.user_id.clone(),
            until: reservation.expires_at,
        };
        changes.push(Change::Seat(key, holdings::with_occupancy(seat, occupancy, now)));
    }
    changes.extend(holdings::change_lines(state, reservation, now, |available, reserved, n| {
        (available.saturating_sub(n), reserved.saturating_add(n))
    })?);
    changes.push(Change::Reservation(reservation.clone()));
    Ok(changes)
}

type Requested<'a> = (LineKey, &'a OrderLine, Option<&'a StockLevel>);

/// The first check that fails, naming every offender.
fn obstacle(
    seats: &[(SeatKey, Option<&Seat>)],
    lines: &[Requested<'_>],
    now: Timestamp,
) -> Option<Rejection> {
    let seats_that = |fails: &dyn Fn(Option<&Seat>) -> bool| -> Vec<SeatNumber> {
        seats.iter().filter(|(_, seat)| fails(*seat)).map(|(key, _)| key.number.clone()).collect()
    };
    let lines_that = |fails: &dyn Fn(&Requested<'_>) -> bool| -> Vec<LineShortfall> {
        lines.iter().filter(|requested| fails(requested)).map(shortfall).collect()
    };
    let missing_seats = seats_that(&|seat| seat.is_none());
    if !missing_seats.is_empty() && !injected_bug!(ReservePart) {
        return Some(named(RejectionCode::SeatNotFound, missing_seats, Vec::new()));
    }
    let missing_lines = lines_that(&|(_, _, line)| line.is_none());
    if !missing_lines.is_empty() {
        return Some(named(RejectionCode::SkuNotFound, Vec::new(), missing_lines));
    }
    let is_taken = |seat: &Seat| !seat.occupancy.is_available_at(now);
    let taken = seats_that(&|seat| seat.is_some_and(is_taken));
    if !taken.is_empty() {
        return Some(named(RejectionCode::SeatsUnavailable, taken, Vec::new()));
    }
    let short = lines_that(&|requested| {
        let shortfall = shortfall(requested);
        i64::try_from(shortfall.requested).is_ok_and(|wanted| wanted > shortfall.available)
    });
    if !short.is_empty() && !injected_bug!(Oversell) {
        return Some(named(RejectionCode::InsufficientStock, Vec::new(), short));
    }
    None
}

fn shortfall((key, request, line): &Requested<'_>) -> LineShortfall {
    LineShortfall {
        sku: key.sku.clone(),
        requested: request.quantity,
        available: line.map_or(0, |line| line.available),
    }
}

fn named(code: RejectionCode, seats: Vec<SeatNumber>, lines: Vec<LineShortfall>) -> Rejection {
    let message = match code {
        RejectionCode::SeatNotFound => format!("{} of the seats do not exist", seats.len()),
        RejectionCode::SeatsUnavailable => format!("{} of the seats are not free", seats.len()),
        RejectionCode::SkuNotFound => format!("{} of the SKUs do not exist", lines.len()),
        _ => format!("{} of the lines have too little available", lines.len()),
    };
    Rejection { code, message, seats, lines }
}
