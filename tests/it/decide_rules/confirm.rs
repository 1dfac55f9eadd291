use inventory_worker::domain::{
    Action, Confirm, Goods, RejectionCode, Reservation, ReservationStatus, SeatState,
};

use super::{held, listed, reserved};
use crate::world::{
    at, booking, cancel, confirm, confirm_stay, event, expire, numbers, read_dependencies,
    reservation_id, reserve, store, user,
};

fn confirm_by(id: u32, booked: &str, by: &str) -> Confirm {
    Confirm { user_id: Some(user(by)), ..confirm(id, booked) }
}

#[test]
fn a_confirm_books_the_seats_and_lets_the_lines_leave_the_building() {
    let mut show = reserved();
    let active = show.world.items().reservations[&reservation_id(1)].clone();
    let ran = show.confirm(confirm(1, "b-1"), "10:05:00");
    let expected = Reservation {
        status: ReservationStatus::Confirmed,
        version: 2,
        booking_id: Some(booking("b-1")),
        goods: Some(Goods::Leave),
        ..active
    };
    assert_eq!(ran.reservation(), &expected);
    assert_eq!(ran.verdict.read_dependencies, []);
    for name in ["A-1", "A-2"] {
        let seat = show.seat(name);
        let booked = SeatState::Booked {
            reservation_id: reservation_id(1),
            by: user("ann"),
            booking_id: booking("b-1"),
        };
        assert_eq!(seat.occupancy, booked);
        assert_eq!((seat.version, seat.updated_at), (3, at("10:05:00")));
    }
    assert_eq!(show.figures("x"), (7, 0));
    assert_eq!(show.line("x").on_hand(), 7);
    assert_eq!(show.line("x").version, 3);
    assert_eq!(listed(&ran), ["A-1 v3 BOOKED", "A-2 v3 BOOKED", "x v3 7 7 0"]);
}

#[test]
fn goods_that_stay_are_committed_and_still_on_hand() {
    let mut show = reserved();
    let ran = show.confirm(confirm_stay(1, "b-1"), "10:05:00");
    assert_eq!(ran.reservation().goods, Some(Goods::Stay));
    assert_eq!(ran.reservation().fulfilled_at, None);
    assert_eq!((show.stock("x"), show.line("x").on_hand()), ([7, 0, 3], 10));
    assert_eq!(listed(&ran), ["A-1 v3 BOOKED", "A-2 v3 BOOKED", "x v3 10 7 0"]);
    let ran = show.reserve(reserve(2, "ben", &[], &[("x", 8)]), "10:06:00");
    assert_eq!(ran.code(), RejectionCode::InsufficientStock, "what is committed is not for sale");
}

#[test]
fn a_booked_seat_stays_booked_after_its_hold_would_have_run_out() {
    let mut show = reserved();
    show.confirm(confirm(1, "b-1"), "10:05:00");
    let ran = show.reserve(reserve(2, "ben", &["A-1"], &[]), "12:00:00");
    assert_eq!(ran.code(), RejectionCode::SeatsUnavailable);
}

#[test]
fn a_hold_can_be_confirmed_until_its_end_and_not_at_it() {
    let mut show = reserved();
    let ran = show.confirm(confirm(1, "b-1"), "10:10:00");
    assert_eq!(ran.code(), RejectionCode::ReservationExpired);
    let ran = show.confirm(confirm(1, "b-1"), "10:30:00");
    assert_eq!(ran.code(), RejectionCode::ReservationExpired);
    // A worker whose clock is behind.
    show.confirm(confirm(1, "b-1"), "10:09:59.999").reservation();
}

/// Another worker's clock was ahead: it took over a seat at 10:10 by its own clock.
#[test]
fn a_confirm_that_finds_a_seat_taken_over_is_expired_and_rests_on_seat_and_reservation() {
    let mut show = reserved();
    show.reserve(reserve(2, "ben", &["A-2"], &[]), "10:10:00").reservation();
    let ran = show.confirm(confirm(1, "b-1"), "10:09:59");
    assert_eq!(ran.code(), RejectionCode::ReservationExpired);
    assert_eq!(ran.rejection().seats, numbers(&["A-2"]));
    assert_eq!(ran.verdict.read_dependencies, read_dependencies(1, &["A-2"]));
    assert_eq!(show.seat("A-1").occupancy, held(1, "ann", at("10:10:00")));
    assert_eq!(show.figures("x"), (7, 3));
}

#[test]
fn a_seat_taken_over_and_given_back_since_is_still_lost() {
    let mut show = reserved();
    show.reserve(reserve(2, "ben", &["A-1"], &[]), "10:10:00");
    show.cancel(cancel(2), "10:10:00");
    assert_eq!(show.status("A-1"), "AVAILABLE");
    let ran = show.confirm(confirm(1, "b-1"), "10:09:59");
    assert_eq!(ran.code(), RejectionCode::ReservationExpired);
    assert_eq!(ran.verdict.read_dependencies, read_dependencies(1, &["A-1"]));
}

#[test]
fn a_confirm_again_with_the_same_booking_is_confirmed_again_without_a_change() {
    let mut show = reserved();
    let first = show.confirm(confirm(1, "b-1"), "10:05:00");
    for now in ["10:06:00", "10:10:00", "12:00:00"] {
        let again = show.confirm(confirm(1, "b-1"), now);
        assert_eq!(again.verdict, first.verdict);
        assert_eq!(again.changes, []);
    }
}

#[test]
fn a_confirm_with_another_booking_meets_the_confirmed_reservation() {
    let mut show = reserved();
    show.confirm(confirm(1, "b-1"), "10:05:00");
    for now in ["10:06:00", "10:10:00"] {
        let ran = show.confirm(confirm(1, "b-2"), now);
        assert_eq!(ran.code(), RejectionCode::ReservationConfirmed);
    }
}

#[test]
fn what_was_given_back_cannot_be_confirmed() {
    let mut show = reserved();
    show.cancel(cancel(1), "10:05:00");
    assert_eq!(
        show.confirm(confirm(1, "b"), "10:06:00").code(),
        RejectionCode::ReservationCancelled
    );
    let mut show = reserved();
    show.expire(expire(1), "10:10:00");
    assert_eq!(show.confirm(confirm(1, "b"), "10:11:00").code(), RejectionCode::ReservationExpired);
    // Even by a clock that is behind, the status decides.
    assert_eq!(show.confirm(confirm(1, "b"), "10:06:00").code(), RejectionCode::ReservationExpired);
}

#[test]
fn a_reservation_is_found_in_its_own_pool_alone() {
    let mut show = reserved();
    assert_eq!(
        show.confirm(confirm(9, "b"), "10:05:00").code(),
        RejectionCode::ReservationNotFound
    );
    for pool in [event(43), store("s")] {
        let ran = show.run(&pool, Action::Confirm(confirm(1, "b")), "10:05:00");
        assert_eq!(ran.code(), RejectionCode::ReservationNotFound);
    }
}

#[test]
fn a_user_who_is_named_must_be_the_owner() {
    let mut show = reserved();
    let ran = show.confirm(confirm_by(1, "b", "ben"), "10:05:00");
    assert_eq!(ran.code(), RejectionCode::NotOwner);
    show.confirm(confirm_by(1, "b", "ann"), "10:05:00").reservation();
}

/// Found and in this pool → owner → status → expiry, each neighbouring pair failing at once.
#[test]
fn the_first_check_that_fails_gives_the_code() {
    let mut show = reserved();
    let elsewhere = Action::Confirm(confirm_by(1, "b", "ben"));
    let ran = show.run(&event(43), elsewhere, "10:05:00");
    assert_eq!(ran.code(), RejectionCode::ReservationNotFound, "pool before owner");
    let ran = show.confirm(confirm_by(1, "b", "ben"), "10:10:00");
    assert_eq!(ran.code(), RejectionCode::NotOwner, "owner before expiry");
    show.cancel(cancel(1), "10:05:00");
    let ran = show.confirm(confirm_by(1, "b", "ben"), "10:05:00");
    assert_eq!(ran.code(), RejectionCode::NotOwner, "owner before status");
    let ran = show.confirm(confirm(1, "b"), "10:10:00");
    assert_eq!(ran.code(), RejectionCode::ReservationCancelled, "status before expiry");
}

#[test]
fn another_user_is_not_told_that_a_booking_is_confirmed() {
    let mut show = reserved();
    show.confirm(confirm(1, "b-1"), "10:05:00");
    let ran = show.confirm(confirm_by(1, "b-1", "ben"), "10:06:00");
    assert_eq!(ran.code(), RejectionCode::NotOwner);
}

#[test]
fn a_hold_of_what_a_shortfall_has_eaten_can_still_be_confirmed() {
    let mut show = reserved();
    show.plant_line("x", -2, 3);
    show.confirm(confirm(1, "b-1"), "10:05:00").reservation();
    assert_eq!(show.figures("x"), (-2, 0));
}
