//! `allow_expired`: money that came a moment too late.

use inventory_worker::domain::{
    Confirm, Goods, RejectedLine, RejectionCode, Reservation, ReservationStatus, RestockStatus,
    SeatState,
};

use super::{Show, held, listed, reserved, restock_status};
use crate::world::{
    at, booking, cancel, confirm, confirm_late, confirm_stay, dependencies, expire, numbers,
    read_dependencies, refund, reservation_id, reserve, sku, user,
};

fn expired() -> Show {
    let mut show = reserved();
    show.expire(expire(1), "10:10:00").reservation();
    show
}

fn booked() -> SeatState {
    let (reservation_id, by) = (reservation_id(1), user("ann"));
    SeatState::Booked { reservation_id, by, booking_id: booking("b-1") }
}

fn stored(show: &Show) -> Reservation {
    show.world.items().reservations[&reservation_id(1)].clone()
}

#[test]
fn a_hold_that_ran_out_and_is_still_active_is_booked_and_its_lines_leave_what_is_reserved() {
    let mut show = reserved();
    let active = stored(&show);
    let ran = show.confirm(confirm_late(1, "b-1"), "12:00:00");
    let confirmed = Reservation {
        status: ReservationStatus::Confirmed,
        version: 2,
        booking_id: Some(booking("b-1")),
        goods: Some(Goods::Leave),
        ..active
    };
    assert_eq!(ran.reservation(), &confirmed);
    assert_eq!(ran.verdict.read_dependencies, []);
    assert_eq!(listed(&ran), ["A-1 v3 BOOKED", "A-2 v3 BOOKED", "x v3 7 7 0"]);
    assert_eq!(show.seat("A-1").occupancy, booked());
}

#[test]
fn an_expired_reservation_is_booked_if_all_it_held_is_free_and_its_lines_leave_what_is_available() {
    // Whatever this worker's clock: the other's said that the hold had run out.
    for now in ["10:09:59", "10:10:00", "12:00:00"] {
        let mut show = expired();
        let was = stored(&show);
        assert_eq!(was.ended_at, Some(at("10:10:00")));
        let ran = show.confirm(confirm_late(1, "b-1"), now);
        let confirmed = Reservation {
            status: ReservationStatus::Confirmed,
            version: 3,
            booking_id: Some(booking("b-1")),
            goods: Some(Goods::Leave),
            ..was
        };
        assert_eq!(ran.reservation(), &confirmed, "at {now}");
        assert_eq!(listed(&ran), ["A-1 v4 BOOKED", "A-2 v4 BOOKED", "x v4 7 7 0"]);
        assert_eq!(show.seat("A-2").occupancy, booked());
    }
}

#[test]
fn late_goods_may_stay() {
    for mut show in [reserved(), expired()] {
        let stay = Confirm { goods: Goods::Stay, ..confirm_late(1, "b-1") };
        show.confirm(stay, "10:11:00").reservation();
        assert_eq!((show.stock("x"), show.line("x").on_hand()), ([7, 0, 3], 10));
    }
}

#[test]
fn a_late_sale_is_refunded_like_any_other() {
    let mut show = expired();
    show.confirm(confirm_late(1, "b-1"), "10:11:00").reservation();
    assert_eq!(show.cancel(cancel(1), "10:12:00").code(), RejectionCode::ReservationConfirmed);
    let ran = show.cancel(refund(1), "10:12:00");
    assert_eq!(ran.reservation().ended_at, Some(at("10:12:00")));
    assert_eq!((show.status("A-1"), show.stock("x")), ("AVAILABLE", [10, 0, 0]));
}

#[test]
fn without_it_a_hold_that_ran_out_is_expired() {
    for mut show in [reserved(), expired()] {
        let ran = show.confirm(confirm(1, "b-1"), "10:10:00");
        assert_eq!(ran.code(), RejectionCode::ReservationExpired);
        assert_eq!((ran.rejection().seats.len(), ran.rejection().lines.len()), (0, 0));
    }
}

#[test]
fn every_seat_and_line_that_is_gone_is_named_and_the_verdict_rests_on_each() {
    let mut show = expired();
    show.reserve(reserve(2, "ben", &["A-2"], &[("x", 8)]), "10:10:01").reservation();
    let ran = show.confirm(confirm_late(1, "b-1"), "10:11:00");
    assert_eq!(ran.code(), RejectionCode::ReservationExpired);
    assert_eq!(ran.rejection().seats, numbers(&["A-2"]));
    assert_eq!(ran.rejection().lines, [RejectedLine::quantity(&sku("x"), 3, 2)]);
    let id = reservation_id(1);
    let message =
        format!("1 seat and 1 line of reservation {id} were taken after its hold ran out");
    assert_eq!(ran.rejection().message, message);
    assert_eq!(ran.verdict.read_dependencies, dependencies(1, &["A-2"], &["x"]));
    assert_eq!(show.status("A-1"), "AVAILABLE", "all or nothing");
    show.cancel(cancel(2), "10:12:00");
    show.confirm(confirm_late(1, "b-1"), "10:13:00").reservation();
}

#[test]
fn a_line_alone_can_be_gone() {
    let mut show = expired();
    show.reserve(reserve(2, "ben", &[], &[("x", 8)]), "10:10:01").reservation();
    let ran = show.confirm(confirm_late(1, "b-1"), "10:11:00");
    assert_eq!(ran.code(), RejectionCode::ReservationExpired);
    let message = format!("1 line of reservation {} was taken", reservation_id(1));
    assert!(ran.rejection().message.starts_with(&message), "{ran:?}");
    assert_eq!(ran.verdict.read_dependencies, dependencies(1, &[], &["x"]));
    show.cancel(cancel(2), "10:12:00");
    show.reserve(reserve(3, "ben", &[], &[("x", 7)]), "10:12:01").reservation();
    show.confirm(confirm_late(1, "b-1"), "10:13:00").reservation();
    assert_eq!(show.stock("x"), [0, 7, 0]);
}

/// Its lines come back with the expiry alone: until then they are its own.
#[test]
fn the_lines_of_an_active_hold_that_ran_out_are_its_own_even_in_a_shortfall() {
    let mut show = reserved();
    show.plant_line("x", -2, 3);
    show.confirm(confirm_late(1, "b-1"), "10:11:00").reservation();
    assert_eq!(show.stock("x"), [-2, 0, 0]);
}

#[test]
fn a_seat_taken_over_is_gone_while_it_is_held_or_sold_and_free_once_it_is_given_back() {
    let mut show = reserved();
    show.reserve(reserve(2, "ben", &["A-2"], &[]), "10:10:00").reservation();
    let gone = |show: &mut Show, now: &str| {
        let ran = show.confirm(confirm_late(1, "b-1"), now);
        assert_eq!(ran.code(), RejectionCode::ReservationExpired);
        assert_eq!(ran.rejection().seats, numbers(&["A-2"]));
        assert_eq!(ran.verdict.read_dependencies, read_dependencies(1, &["A-2"]));
    };
    gone(&mut show, "10:11:00");
    // By a clock that is behind, too.
    gone(&mut show, "10:09:00");
    show.confirm(confirm(2, "b-2"), "10:12:00").reservation();
    gone(&mut show, "10:13:00");
    show.cancel(refund(2), "10:14:00").reservation();
    show.confirm(confirm_late(1, "b-1"), "10:15:00").reservation();
    assert_eq!(show.seat("A-2").occupancy, booked());
}

#[test]
fn a_seat_whose_next_hold_ran_out_as_well_is_free() {
    let mut show = reserved();
    show.reserve(reserve(2, "ben", &["A-2"], &[]), "10:10:00").reservation();
    let ran = show.confirm(confirm_late(1, "b-1"), "10:19:59.999");
    assert_eq!(ran.code(), RejectionCode::ReservationExpired);
    show.confirm(confirm_late(1, "b-1"), "10:20:00").reservation();
    assert_eq!(show.seat("A-2").occupancy, booked());
    show.expire(expire(2), "10:20:01").reservation();
    assert_eq!(show.seat("A-2").occupancy, booked(), "the other releases only its own");
}

#[test]
fn a_seat_that_was_blocked_meanwhile_is_gone_and_one_withheld_is_its_own_until_the_expiry() {
    let mut show = expired();
    show.restock(restock_status(&["A-1"], RestockStatus::Blocked), "10:11:00");
    let ran = show.confirm(confirm_late(1, "b-1"), "10:12:00");
    assert_eq!(ran.rejection().seats, numbers(&["A-1"]));
    let mut show = reserved();
    show.restock(restock_status(&["A-1"], RestockStatus::Blocked), "10:05:00");
    show.confirm(confirm_late(1, "b-1"), "10:12:00").reservation();
    assert_eq!((show.seat("A-1").occupancy, show.seat("A-1").withheld), (booked(), true));
    let mut show = reserved();
    show.restock(restock_status(&["A-1"], RestockStatus::Blocked), "10:05:00");
    show.expire(expire(1), "10:10:00");
    let ran = show.confirm(confirm_late(1, "b-1"), "10:12:00");
    assert_eq!(ran.code(), RejectionCode::ReservationExpired);
}

#[test]
fn in_time_it_is_an_ordinary_confirm() {
    let mut show = reserved();
    show.confirm(confirm_late(1, "b-1"), "10:05:00").reservation();
    assert_eq!((show.seat("A-1").occupancy, show.stock("x")), (booked(), [7, 0, 0]));
    let mut show = reserved();
    assert_eq!(show.seat("A-1").occupancy, held(1, "ann", at("10:10:00")));
    show.cancel(cancel(1), "10:05:00");
    let ran = show.confirm(confirm_late(1, "b-1"), "10:06:00");
    assert_eq!(ran.code(), RejectionCode::ReservationCancelled);
}

#[test]
fn a_confirm_again_is_the_first_confirm_whatever_it_says_of_the_goods() {
    let mut show = reserved();
    let first = show.confirm(confirm_stay(1, "b-1"), "10:05:00");
    for again in [confirm(1, "b-1"), confirm_stay(1, "b-1"), confirm_late(1, "b-1")] {
        let again = show.confirm(again, "12:00:00");
        assert_eq!((again.verdict, again.changes), (first.verdict.clone(), Vec::new()));
    }
    assert_eq!(show.stock("x"), [7, 0, 3]);
    let ran = show.confirm(confirm_late(1, "b-2"), "12:00:00");
    assert_eq!(ran.code(), RejectionCode::ReservationConfirmed);
}

#[test]
fn its_owner_is_checked_first() {
    let mut show = expired();
    let by_ben = Confirm { user_id: Some(user("ben")), ..confirm_late(1, "b-1") };
    assert_eq!(show.confirm(by_ben, "10:11:00").code(), RejectionCode::NotOwner);
}
