//! Checks seats against the reservations that own them.

use super::{
    Invariant, ReservationStatus,
    finding::{CheckedRecord, Finding},
};
use crate::{
    domain::{Reservation, Seat, SeatKey, SeatState},
    ports::{LoadRequest, ReadSet},
};

pub(super) fn required_keys(seat: &Seat, required: &mut LoadRequest) {
    required.reservations.extend(seat.occupancy.reservation_id());
}

pub(super) fn check(key: &SeatKey, seat: &Seat, loaded: &ReadSet, checked: &mut CheckedRecord) {
    let id = seat.occupancy.reservation_id();
    let least = if id.is_some() { 2 } else { 1 };
    let mut found = |invariant, detail| checked.findings.push(Finding::new(invariant, detail));
    if seat.version < least {
        let status = seat.occupancy.status();
        found(Invariant::SeatVersion, format!("{status} in version {}", seat.version));
    }
    if seat.withheld && id.is_none() {
        let status = seat.occupancy.status();
        found(Invariant::WithheldSeatIsOwned, format!("{status} and withheld"));
    }
    checked.versions.push(seat.version);
    let Some(id) = id else { return };
    let holder = loaded.reservations.get(&id).and_then(Option::as_ref);
    checked.versions.push(holder.map_or(0, |holder| holder.version));
    let (invariant, due) = match &seat.occupancy {
        SeatState::Booked { .. } => (Invariant::BookedSeatIsSold, ReservationStatus::Confirmed),
        _ => (Invariant::ReservedSeatIsHeld, ReservationStatus::Active),
    };
    let status = seat.occupancy.status();
    let Some(holder) = holder else {
        found(invariant, format!("{status} by reservation {id}, which does not exist"));
        return;
    };
    if holder.status != due {
        found(
            invariant,
            format!("{status} by reservation {id}, which is {}", holder.status.as_str()),
        );
    }
    if holder.pool.event_id() != Some(key.event_id) {
        let pool = &holder.pool;
        found(Invariant::SeatIsNamed, format!("{status} by reservation {id} of {pool}"));
    } else if !holder.seats.contains(&key.number) {
        let detail = format!("{status} by reservation {id}, which does not name it");
        found(Invariant::SeatIsNamed, detail);
    }
    for what in disagreements(&seat.occupancy, holder) {
        let detail = format!("its {what} is not the one of reservation {id}");
        found(Invariant::SeatAgrees, detail);
    }
}

/// The fields in which the seat and its reservation disagree.
fn disagreements(occupancy: &SeatState, holder: &Reservation) -> Vec<&'static str> {
    let (by, other) = match occupancy {
        SeatState::Available | SeatState::Blocked => return Vec::new(),
        SeatState::Reserved { by, until, .. } => {
            (by, ("reserved_until", *until != holder.expires_at))
        }
        SeatState::Booked { by, booking_id, .. } => {
            (by, ("booking_id", holder.booking_id.as_ref() != Some(booking_id)))
        }
    };
    let user = ("reserved_by", *by != holder.user_id);
    [user, other].into_iter().filter(|(_, differs)| *differs).map(|(what, _)| what).collect()
}
