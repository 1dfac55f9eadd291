//! Reservations that no command could have left.

use inventory_worker::audit::Invariant::{
    ActiveReservationHolds, BookedSeatIsSold, ConfirmedReservationOwns, EndedOnce, OutcomeAgrees,
    ReservationWellFormed, ReservedIsSum, SeatAgrees, SeatIsNamed,
};

use super::*;

pub fn of_their_seats() -> Vec<Tampered> {
    vec![
        tampered(
            "a seat put on sale while it is held",
            &[(ActiveReservationHolds, &reservation(1))],
            |tables| tables.seat("A-2").occupancy = SeatState::Available,
        ),
        tampered(
            "a seat taken over before its hold ran out",
            &[(ActiveReservationHolds, &reservation(1)), (SeatIsNamed, &seat("A-2"))],
            |tables| tables.seat("A-2").occupancy = held(5, "eve", "10:10:00"),
        ),
        tampered(
            "a seat that vanished while it was held",
            &[(ActiveReservationHolds, &reservation(1))],
            |tables| drop(tables.items.seats.remove(&seat_key("A-2"))),
        ),
        tampered(
            "a seat that vanished after its hold ran out",
            &[(ActiveReservationHolds, &reservation(5))],
            |tables| drop(tables.items.seats.remove(&seat_key("A-5"))),
        ),
        tampered(
            "a sold seat put on sale",
            &[(ConfirmedReservationOwns, &reservation(2))],
            |tables| tables.seat("A-3").occupancy = SeatState::Available,
        ),
        tampered(
            "a sold seat that vanished",
            &[(ConfirmedReservationOwns, &reservation(2))],
            |tables| drop(tables.items.seats.remove(&seat_key("A-3"))),
        ),
        tampered(
            "a confirmation undone by half",
            &[
                (BookedSeatIsSold, &seat("A-3")),
                (SeatAgrees, &seat("A-3")),
                (ReservedIsSum, &line("x")),
                (OutcomeAgrees, &command("command-5")),
            ],
            |tables| {
                let reservation = tables.reservation(2);
                reservation.status = ReservationStatus::Active;
                reservation.version = 1;
                reservation.booking_id = None;
                reservation.goods = None;
            },
        ),
    ]
}

pub fn of_their_sale() -> Vec<Tampered> {
    vec![
        tampered(
            "a sale in its first version",
            &[
                (ReservationWellFormed, &reservation(2)),
                (OutcomeAgrees, &command("command-2")),
                (OutcomeAgrees, &command("command-5")),
            ],
            |tables| tables.reservation(2).version = 1,
        ),
        tampered(
            "a hold whose goods stay",
            &[(ReservationWellFormed, &reservation(1)), (OutcomeAgrees, &command("command-14"))],
            |tables| tables.reservation(1).goods = Some(Goods::Stay),
        ),
        tampered(
            "goods that left with the sale and once more",
            &[(ReservationWellFormed, &reservation(2)), (OutcomeAgrees, &command("command-5"))],
            |tables| tables.reservation(2).fulfilled_at = Some(at("10:20:00")),
        ),
    ]
}

pub fn of_their_form() -> Vec<Tampered> {
    vec![
        tampered(
            "an ACTIVE reservation that ended",
            &[
                (ReservationWellFormed, &reservation(1)),
                (EndedOnce, &reservation(1)),
                (OutcomeAgrees, &command("command-14")),
            ],
            |tables| tables.reservation(1).ended_at = Some(at("10:29:00")),
        ),
        tampered(
            "a hold that ends within a second",
            &[
                (ReservationWellFormed, &reservation(5)),
                (SeatAgrees, &seat("A-6")),
                (OutcomeAgrees, &command("command-4")),
            ],
            |tables| {
                let expires_at = at("10:10:00.500");
                tables.reservation(5).expires_at = expires_at;
            },
        ),
        tampered(
            "a reservation of nothing",
            &[
                (ReservationWellFormed, &reservation(3)),
                (OutcomeAgrees, &command("command-3")),
                (OutcomeAgrees, &command("command-6")),
            ],
            |tables| tables.reservation(3).seats.clear(),
        ),
        tampered(
            "a seat named twice",
            &[
                (ReservationWellFormed, &reservation(3)),
                (OutcomeAgrees, &command("command-3")),
                (OutcomeAgrees, &command("command-6")),
            ],
            |tables| tables.reservation(3).seats = numbers(&["A-4", "A-4"]),
        ),
        tampered(
            "a quantity of none",
            &[
                (ReservationWellFormed, &reservation(4)),
                (OutcomeAgrees, &command("command-8")),
                (OutcomeAgrees, &command("command-12")),
            ],
            |tables| tables.reservation(4).lines = quantities(&[("y", 0)]),
        ),
        tampered(
            "a store's seats",
            &[
                (ReservationWellFormed, &reservation(3)),
                (OutcomeAgrees, &command("command-3")),
                (OutcomeAgrees, &command("command-6")),
            ],
            |tables| tables.reservation(3).pool = store("s"),
        ),
    ]
}
