//! Seats that no command could have left.

use inventory_worker::audit::Invariant::{
    ActiveReservationHolds, BookedSeatIsSold, ConfirmedReservationOwns, ReservedSeatIsHeld,
    SeatAgrees, SeatIsNamed, SeatVersion, WithheldSeatIsOwned,
};

use super::*;

pub fn all() -> Vec<Tampered> {
    vec![
        tampered("a seat without a version", &[(SeatVersion, &seat("A-7"))], |tables| {
            tables.seat("A-7").version = 0;
        }),
        tampered("a free seat withheld", &[(WithheldSeatIsOwned, &seat("A-7"))], |tables| {
            tables.seat("A-7").withheld = true;
        }),
        tampered("a seat held since it was made", &[(SeatVersion, &seat("A-1"))], |tables| {
            tables.seat("A-1").version = 1;
        }),
        tampered(
            "a seat held by what never was",
            &[(ReservedSeatIsHeld, &seat("A-7"))],
            |tables| {
                tables.seat("A-7").occupancy = held(9, "ann", "10:40:00");
                tables.seat("A-7").version = 2;
            },
        ),
        tampered("a seat left to a cancelled hold", &[(ReservedSeatIsHeld, &seat("A-4"))], |t| {
            t.seat("A-4").occupancy = held(3, "cid", "10:10:00");
        }),
        tampered("a seat left to an expired hold", &[(ReservedSeatIsHeld, &seat("A-4"))], |t| {
            t.seat("A-4").occupancy = held(4, "dee", "10:16:00");
        }),
        tampered(
            "a seat left reserved by a confirm",
            &[(ReservedSeatIsHeld, &seat("A-3")), (ConfirmedReservationOwns, &reservation(2))],
            |tables| tables.seat("A-3").occupancy = held(2, "ben", "10:10:00"),
        ),
        tampered("a seat booked by what never was", &[(BookedSeatIsSold, &seat("A-7"))], |t| {
            t.seat("A-7").occupancy = booked(9, "ann", "b");
            t.seat("A-7").version = 2;
        }),
        tampered("a seat still booked after a refund", &[(BookedSeatIsSold, &seat("A-5"))], |t| {
            t.seat("A-5").occupancy = booked(6, "fay", "b-6");
        }),
        tampered(
            "a seat booked before its confirm",
            &[
                (BookedSeatIsSold, &seat("A-1")),
                (SeatAgrees, &seat("A-1")),
                (ActiveReservationHolds, &reservation(1)),
            ],
            |tables| tables.seat("A-1").occupancy = booked(1, "ann", "b-1"),
        ),
        tampered("a seat held and not named", &[(SeatIsNamed, &seat("A-7"))], |tables| {
            tables.seat("A-7").occupancy = held(1, "ann", "10:40:00");
            tables.seat("A-7").version = 2;
        }),
        tampered("a seat held from another event", &[(SeatIsNamed, "seat A-1 of event#43")], |t| {
            let mut key = seat_key("A-1");
            key.event_id = 43;
            let seat = t.seat("A-1").clone();
            t.items.seats.insert(key, seat);
        }),
        tampered("a seat held for another user", &[(SeatAgrees, &seat("A-1"))], |tables| {
            tables.seat("A-1").occupancy = held(1, "ben", "10:40:00");
        }),
        tampered("a seat held for longer", &[(SeatAgrees, &seat("A-1"))], |tables| {
            tables.seat("A-1").occupancy = held(1, "ann", "10:40:01");
        }),
        tampered("a seat sold to another user", &[(SeatAgrees, &seat("A-3"))], |tables| {
            tables.seat("A-3").occupancy = booked(2, "ann", "b-2");
        }),
        tampered("a seat of another booking", &[(SeatAgrees, &seat("A-3"))], |tables| {
            tables.seat("A-3").occupancy = booked(2, "ben", "b-other");
        }),
    ]
}
