//! Checks reservations against the seats they name.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::{
    Audit, Invariant, ReservationStatus,
    finding::{CheckedRecord, Finding},
};
use crate::{
    domain::{
        Goods, QUANTITY_MAX, Reservation, Seat, SeatKey, SeatNumber, SeatState,
        command::{HOLD_TOTAL_SECONDS_MAX, RESERVE_ENTRIES_MAX},
    },
    ports::{LoadRequest, ReadSet},
};

/// Whether it still owns its seats: those of an ended reservation may have any owner.
fn has_seats(reservation: &Reservation) -> bool {
    matches!(reservation.status, ReservationStatus::Active | ReservationStatus::Confirmed)
}

fn seat_keys(reservation: &Reservation) -> impl Iterator<Item = SeatKey> {
    let event_id = reservation.pool.event_id().filter(|_| has_seats(reservation));
    event_id.into_iter().flat_map(|event_id| {
        let key = move |number: &SeatNumber| SeatKey { event_id, number: number.clone() };
        reservation.seats.iter().map(key)
    })
}

pub(super) fn required_keys(reservation: &Reservation, required: &mut LoadRequest) {
    required.seats.extend(seat_keys(reservation));
}

pub(super) fn check(
    audit: &Audit<'_>,
    reservation: &Reservation,
    loaded: &ReadSet,
    checked: &mut CheckedRecord,
) {
    checked.versions.push(reservation.version);
    for wrong in malformed(reservation) {
        checked.findings.push(Finding::new(Invariant::ReservationWellFormed, wrong));
    }
    for key in seat_keys(reservation) {
        let seat = loaded.seats.get(&key).and_then(Option::as_ref);
        checked.versions.push(seat.map_or(0, |seat| seat.version));
        let is_wrong = match (reservation.status, seat) {
            (_, None) => true,
            (ReservationStatus::Active, Some(seat)) => {
                !is_held(seat, reservation) && !audit.may_have_run_out(reservation.expires_at)
            }
            (_, Some(seat)) => !is_owned(seat, reservation),
        };
        if is_wrong {
            let invariant = if reservation.status == ReservationStatus::Active {
                Invariant::ActiveReservationHolds
            } else {
                Invariant::ConfirmedReservationOwns
            };
            let how = seat.map_or("does not exist".to_owned(), standing);
            let status = reservation.status.as_str();
            let detail = format!("{status}, and its seat {} {how}", key.number);
            checked.findings.push(Finding::new(invariant, detail));
        }
    }
}

fn is_held(seat: &Seat, reservation: &Reservation) -> bool {
    matches!(&seat.occupancy, SeatState::Reserved { reservation_id, .. }
        if *reservation_id == reservation.reservation_id)
}

fn is_owned(seat: &Seat, reservation: &Reservation) -> bool {
    matches!(&seat.occupancy, SeatState::Booked { reservation_id, .. }
        if *reservation_id == reservation.reservation_id)
}

fn standing(seat: &Seat) -> String {
    let status = seat.occupancy.status();
    match seat.occupancy.reservation_id() {
        Some(id) => format!("is {status} by reservation {id}"),
        None => format!("is {status}"),
    }
}

/// The properties that no command could have given the reservation.
fn malformed(reservation: &Reservation) -> Vec<String> {
    let (status, version) = (reservation.status.as_str(), reservation.version);
    let is_booked = reservation.booking_id.is_some();
    let due = match reservation.status {
        // Each extend and modify of a hold adds a version.
        ReservationStatus::Active => version >= 1 && !is_booked,
        ReservationStatus::Confirmed => version >= 2 && is_booked,
        ReservationStatus::Expired => version >= 2 && !is_booked,
        // Cancelled as a hold, or as a sale by a refund.
        ReservationStatus::Cancelled => version >= if is_booked { 3 } else { 2 },
    };
    let mut wrong = Vec::new();
    if !due {
        let booking = if is_booked { "with" } else { "without" };
        wrong.push(format!("{status} in version {version} {booking} a booking"));
    }
    let may_have_ended = reservation.status != ReservationStatus::Active;
    let must_have_ended = !has_seats(reservation);
    match reservation.ended_at {
        Some(_) if !may_have_ended => wrong.push(format!("{status} with ended_at")),
        None if must_have_ended => wrong.push(format!("{status} without ended_at")),
        _ => {}
    }
    let is_fulfilled = reservation.fulfilled_at.is_some();
    if reservation.goods.is_some() != is_booked
        || is_fulfilled && reservation.goods != Some(Goods::Stay)
    {
        let goods = reservation.goods.map_or("none", Goods::as_str);
        let fulfilled = if is_fulfilled { "" } else { "not " };
        wrong.push(format!("{status} with goods {goods}, {fulfilled}fulfilled"));
    }
    let held_for = reservation.expires_at.duration_since(reservation.created_at);
    let longest = SignedDuration::from_secs(i64::from(HOLD_TOTAL_SECONDS_MAX).saturating_add(1));
    let is_whole = reservation.expires_at.subsec_nanosecond() == 0;
    if held_for < SignedDuration::from_secs(1) || held_for >= longest || !is_whole {
        wrong
            .push(format!("held from {} until {}", reservation.created_at, reservation.expires_at));
    }
    wrong.extend(malformed_content(reservation));
    wrong
}

fn malformed_content(reservation: &Reservation) -> Vec<String> {
    let (seats, lines) = (&reservation.seats, &reservation.lines);
    let entries = seats.len().saturating_add(lines.len());
    let mut wrong = Vec::new();
    if entries == 0 || entries > RESERVE_ENTRIES_MAX {
        wrong.push(format!("has {entries} seats and lines"));
    }
    let numbers: BTreeSet<_> = seats.iter().collect();
    let skus: BTreeSet<_> = lines.iter().map(|request| &request.sku).collect();
    if numbers.len().saturating_add(skus.len()) != entries {
        wrong.push("names a seat or SKU twice".to_owned());
    }
    if !seats.is_empty() && reservation.pool.event_id().is_none() {
        wrong.push("has seats of a store".to_owned());
    }
    if let Some(line) = lines.iter().find(|line| !(1..=QUANTITY_MAX).contains(&line.quantity)) {
        wrong.push(format!("holds {} of {}", line.quantity, line.sku));
    }
    wrong
}
