//! Reserve: all of the seats and lines, or none.

use super::{
    Change, DecideError, Limits, State, Verdict, bounds, holdings,
    words::{counted, short},
};
use crate::domain::{
    Command, LineKey, OrderLine, Outcome, RejectedLine, Rejection, RejectionCode, Reservation,
    ReservationStatus, Reserve, Seat, SeatKey, SeatNumber, SeatState, StockLevel, Timestamp,
};

/// Checks in the contract's order: limits, id, seats exist, SKUs exist, seats free, stock
/// sufficient. A failed check names every offender.
pub(super) fn decide(
    state: &mut State,
    command: &Command,
    reserve: &Reserve,
    limits: &Limits,
    now: Timestamp,
) -> Result<Verdict, DecideError> {
    bounds::check_entries(reserve.seats.len().saturating_add(reserve.lines.len()), limits)?;
    let longest = limits.hold_seconds_max.min(limits.hold_total_seconds_max);
    let expires_at = bounds::hold_end(reserve.hold_seconds, longest, now)?;
    if state.reservation(reserve.reservation_id)?.is_some() {
        return Err(Rejection::new(
            RejectionCode::ReservationExists,
            format!("reservation {} is another command's", reserve.reservation_id),
        )
        .into());
    }
    let reservation = Reservation {
        reservation_id: reserve.reservation_id,
        pool: command.pool.clone(),
        source: command.key.source.clone(),
        user_id: reserve.user_id.clone(),
        status: ReservationStatus::Active,
        version: 1,
        seats: reserve.seats.clone(),
        lines: reserve.lines.clone(),
        booking_id: None,
        goods: None,
        fulfilled_at: None,
        created_at: now,
        expires_at,
        ended_at: None,
    };
    let mut changes = take(state, &reservation, &reserve.seats, &reserve.lines, now)?;
    changes.push(Change::Reservation(reservation.clone()));
    state.apply(changes);
    Ok(Outcome::Reserved { reservation }.into())
}

/// Takes seats and lines for the reservation: all of them, or none. A failed check names every
/// offender.
pub(super) fn take(
    state: &State,
    reservation: &Reservation,
    seats: &[SeatNumber],
    lines: &[OrderLine],
    now: Timestamp,
) -> Result<Vec<Change>, DecideError> {
    let mut found_seats = Vec::with_capacity(seats.len());
    for key in holdings::seat_keys(&reservation.pool, seats)? {
        let seat = state.seat(&key)?;
        found_seats.push((key, seat));
    }
    let mut found_lines = Vec::with_capacity(lines.len());
    for request in lines {
        let key = LineKey { pool: reservation.pool.clone(), sku: request.sku.clone() };
        let line = state.line(&key)?;
        found_lines.push((key, request, line));
    }
    if let Some(rejection) = obstacle(&found_seats, &found_lines, now) {
        return Err(rejection.into());
    }
    // One more than needed, for the reservation.
    let mut changes = Vec::with_capacity(seats.len().saturating_add(lines.len()).saturating_add(1));
    for (key, seat) in found_seats {
        let Some(seat) = seat else { continue };
        let occupancy = SeatState::Reserved {
            reservation_id: reservation.reservation_id,
            by: reservation.user_id.clone(),
            until: reservation.expires_at,
        };
        changes.push(Change::Seat(key, holdings::with_occupancy(seat, occupancy, now)));
    }
    changes.extend(holdings::change_lines(state, reservation, lines, now, |line, quantity| {
        line.available = line.available.saturating_sub(quantity);
        line.reserved = line.reserved.saturating_add(quantity);
    })?);
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
    let lines_that = |fails: &dyn Fn(&Requested<'_>) -> bool| -> Vec<RejectedLine> {
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
    let is_taken = |seat: &Seat| !seat.is_available_at(now);
    let taken = seats_that(&|seat| seat.is_some_and(is_taken));
    if !taken.is_empty() {
        return Some(named(RejectionCode::SeatsUnavailable, taken, Vec::new()));
    }
    let short = lines_that(&|(_, request, line)| is_short(request, *line));
    if !short.is_empty() && !injected_bug!(Oversell) {
        return Some(named(RejectionCode::InsufficientStock, Vec::new(), short));
    }
    None
}

/// Whether the line has less available than the quantity.
pub(super) fn is_short(request: &OrderLine, line: Option<&StockLevel>) -> bool {
    i64::try_from(request.quantity).is_ok_and(|wanted| wanted > available(line))
}

fn available(line: Option<&StockLevel>) -> i64 {
    line.map_or(0, |line| line.available)
}

fn shortfall((_, request, line): &Requested<'_>) -> RejectedLine {
    RejectedLine::quantity(&request.sku, request.quantity, available(*line))
}

fn named(code: RejectionCode, seats: Vec<SeatNumber>, lines: Vec<RejectedLine>) -> Rejection {
    let message = match code {
        RejectionCode::SeatNotFound => {
            counted(seats.len(), "seat does not exist", "seats do not exist")
        }
        RejectionCode::SeatsUnavailable => {
            counted(seats.len(), "seat is not available", "seats are not available")
        }
        RejectionCode::SkuNotFound => {
            counted(lines.len(), "SKU does not exist", "SKUs do not exist")
        }
        _ => short(lines.len()),
    };
    Rejection { code, message, seats, lines }
}
