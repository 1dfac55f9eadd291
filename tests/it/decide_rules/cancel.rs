use inventory_worker::domain::{
    Action, Cancel, Goods, ON_HAND_MAX, Outcome, RejectedLine, RejectionCode, Reservation,
    ReservationStatus, RestockStatus,
};

use super::{Show, held, listed, reserved};
use crate::world::{
    at, cancel, confirm, confirm_stay, event, expire, fulfil, read_dependencies, refund,
    reservation_id, reserve, sku, store, user,
};

fn confirmed() -> Show {
    let mut show = reserved();
    show.confirm(confirm(1, "b-1"), "10:05:00").reservation();
    show
}

fn by(cancel: Cancel, name: &str) -> Cancel {
    Cancel { user_id: Some(user(name)), ..cancel }
}

#[test]
fn a_cancel_gives_back_all_that_was_held() {
    let mut show = reserved();
    let active = show.world.items().reservations[&reservation_id(1)].clone();
    let reason = Some("changed my mind".parse().unwrap());
    let ran = show.cancel(Cancel { reason: reason.clone(), ..cancel(1) }, "10:05:00");
    let reservation = Reservation {
        status: ReservationStatus::Cancelled,
        version: 2,
        ended_at: Some(at("10:05:00")),
        ..active
    };
    assert_eq!(ran.verdict.outcome, Outcome::Cancelled { reservation, reason });
    for name in ["A-1", "A-2"] {
        assert_eq!((show.status(name), show.seat(name).version), ("AVAILABLE", 3));
    }
    assert_eq!((show.figures("x"), show.line("x").version), ((10, 0), 3));
}

#[test]
fn a_hold_that_ran_out_but_is_still_active_is_cancelled() {
    for now in ["10:10:00", "12:00:00"] {
        let mut show = reserved();
        assert_eq!(show.cancel(cancel(1), now).reservation().status, ReservationStatus::Cancelled);
        assert_eq!(show.status("A-1"), "AVAILABLE");
    }
}

#[test]
fn a_cancel_releases_only_what_is_still_its_own() {
    let mut show = reserved();
    show.reserve(reserve(2, "ben", &["A-1"], &[]), "10:10:00").reservation();
    show.cancel(cancel(1), "10:11:00").reservation();
    assert_eq!(show.seat("A-1").occupancy, held(2, "ben", at("10:20:00")));
    assert_eq!(show.status("A-2"), "AVAILABLE");
    assert_eq!(show.figures("x"), (10, 0));
}

#[test]
fn a_cancel_leaves_alone_a_seat_that_was_taken_over_and_sold() {
    let mut show = reserved();
    show.reserve(reserve(2, "ben", &["A-1"], &[]), "10:10:00").reservation();
    show.confirm(confirm(2, "b-2"), "10:11:00").reservation();
    let sold = show.seat("A-1");
    show.cancel(cancel(1), "10:12:00").reservation();
    assert_eq!(show.seat("A-1"), sold);
}

#[test]
fn a_cancel_leaves_alone_a_seat_that_was_taken_over_given_back_and_blocked() {
    use inventory_worker::domain::RestockStatus;
    let mut show = reserved();
    show.reserve(reserve(2, "ben", &["A-1"], &[]), "10:10:00");
    show.cancel(cancel(2), "10:11:00");
    let mut block = crate::world::restock_seats(&[]);
    block.seats.push(crate::world::seat_change("A-1", Some(RestockStatus::Blocked)));
    show.restock(block, "10:11:00");
    show.cancel(cancel(1), "10:12:00").reservation();
    assert_eq!(show.status("A-1"), "BLOCKED");
}

#[test]
fn a_sale_is_cancelled_with_refund_alone() {
    let mut show = confirmed();
    assert_eq!(show.cancel(cancel(1), "10:06:00").code(), RejectionCode::ReservationConfirmed);
    let ran = show.cancel(refund(1), "10:06:00");
    let reservation = ran.reservation();
    assert_eq!((reservation.status, reservation.version), (ReservationStatus::Cancelled, 3));
    assert_eq!(reservation.booking_id, Some("b-1".parse().unwrap()));
    assert_eq!(reservation.ended_at, Some(at("10:06:00")));
    for name in ["A-1", "A-2"] {
        assert_eq!((show.status(name), show.seat(name).version), ("AVAILABLE", 4));
    }
    assert_eq!((show.figures("x"), show.line("x").version), ((10, 0), 4));
}

#[test]
fn a_refund_is_possible_long_after_the_hold() {
    let mut show = confirmed();
    show.cancel(refund(1), "23:00:00").reservation();
    assert_eq!(show.figures("x"), (10, 0));
}

#[test]
fn a_refund_of_a_mere_hold_is_a_cancel() {
    let mut show = reserved();
    show.cancel(refund(1), "10:05:00").reservation();
    assert_eq!(show.figures("x"), (10, 0));
}

#[test]
fn a_refund_that_would_take_on_hand_beyond_its_bound_is_refused_naming_every_line() {
    let mut show = Show::new();
    show.reserve(reserve(1, "ann", &["A-1"], &[("x", 3), ("y", 3)]), "10:00:00");
    show.confirm(confirm(1, "b-1"), "10:05:00").reservation();
    show.plant_line("x", ON_HAND_MAX - 2, 0);
    show.plant_line("y", ON_HAND_MAX - 5, 3);
    let ran = show.cancel(refund(1), "10:06:00");
    assert_eq!(ran.code(), RejectionCode::LimitExceeded);
    let over = |name: &str, available| RejectedLine::quantity(&sku(name), 3, available);
    assert_eq!(ran.rejection().lines, [over("x", ON_HAND_MAX - 2), over("y", ON_HAND_MAX - 5)]);
    show.plant_line("x", ON_HAND_MAX - 3, 0);
    show.plant_line("y", ON_HAND_MAX - 6, 3);
    show.cancel(refund(1), "10:06:00").reservation();
    assert_eq!(show.line("x").on_hand(), ON_HAND_MAX);
    assert_eq!(show.line("y").on_hand(), ON_HAND_MAX);
}

#[test]
fn the_seats_of_an_event_that_is_called_off_become_blocked() {
    let blocked = |cancel| Cancel { seats_to: RestockStatus::Blocked, ..cancel };
    let mut show = reserved();
    let ran = show.cancel(blocked(cancel(1)), "10:05:00");
    assert_eq!(listed(&ran), ["A-1 v3 BLOCKED", "A-2 v3 BLOCKED", "x v3 10 10 0"]);
    let mut show = confirmed();
    let ran = show.cancel(blocked(refund(1)), "10:06:00");
    assert_eq!(listed(&ran), ["A-1 v4 BLOCKED", "A-2 v4 BLOCKED", "x v4 10 10 0"]);
    let ran = show.reserve(reserve(2, "ben", &["A-1"], &[]), "10:07:00");
    assert_eq!(ran.code(), RejectionCode::SeatsUnavailable);
}

#[test]
fn a_cancel_blocks_only_what_is_still_its_own() {
    let mut show = reserved();
    show.reserve(reserve(2, "ben", &["A-1"], &[]), "10:10:00").reservation();
    let blocked = Cancel { seats_to: RestockStatus::Blocked, ..cancel(1) };
    let ran = show.cancel(blocked, "10:11:00");
    assert_eq!(ran.verdict.read_dependencies, &read_dependencies(1, &["A-1"])[1..]);
    assert_eq!(show.seat("A-1").occupancy, held(2, "ben", at("10:20:00")));
    assert_eq!(show.status("A-2"), "BLOCKED");
}

#[test]
fn a_refund_of_committed_goods_puts_them_back_on_sale_and_on_hand_stays() {
    let mut show = reserved();
    show.confirm(confirm_stay(1, "b-1"), "10:05:00").reservation();
    assert_eq!(show.cancel(cancel(1), "10:06:00").code(), RejectionCode::ReservationConfirmed);
    let ran = show.cancel(refund(1), "10:06:00");
    assert_eq!(listed(&ran), ["A-1 v4 AVAILABLE", "A-2 v4 AVAILABLE", "x v4 10 10 0"]);
    assert_eq!(show.stock("x"), [10, 0, 0]);
    assert_eq!(ran.reservation().goods, Some(Goods::Stay));
}

#[test]
fn a_refund_after_the_fulfil_brings_the_goods_back_once() {
    let mut show = reserved();
    show.confirm(confirm_stay(1, "b-1"), "10:05:00").reservation();
    show.fulfil(fulfil(1), "10:06:00").reservation();
    assert_eq!(show.line("x").on_hand(), 7);
    let ran = show.cancel(cancel(1), "10:07:00");
    assert_eq!(ran.code(), RejectionCode::ReservationFulfilled);
    let ran = show.cancel(refund(1), "10:07:00");
    assert_eq!((ran.reservation().version, show.stock("x")), (4, [10, 0, 0]));
    assert_eq!(ran.reservation().fulfilled_at, Some(at("10:06:00")));
    for again in [cancel(1), refund(1)] {
        assert_eq!(show.cancel(again, "10:08:00").code(), RejectionCode::ReservationCancelled);
    }
}

#[test]
fn a_refund_of_committed_goods_meets_no_bound_since_they_are_on_hand_already() {
    let mut show = reserved();
    show.confirm(confirm_stay(1, "b-1"), "10:05:00").reservation();
    show.plant_line("x", ON_HAND_MAX - 3, 0);
    assert_eq!(show.line("x").on_hand(), ON_HAND_MAX);
    show.cancel(refund(1), "10:06:00").reservation();
    assert_eq!(show.stock("x"), [ON_HAND_MAX, 0, 0]);
}

#[test]
fn what_has_ended_cannot_be_cancelled() {
    let mut show = reserved();
    show.cancel(cancel(1), "10:05:00");
    for again in [cancel(1), refund(1)] {
        assert_eq!(show.cancel(again, "10:06:00").code(), RejectionCode::ReservationCancelled);
    }
    let mut show = reserved();
    show.expire(expire(1), "10:10:00");
    for again in [cancel(1), refund(1)] {
        assert_eq!(show.cancel(again, "10:11:00").code(), RejectionCode::ReservationExpired);
    }
}

#[test]
fn a_reservation_is_found_in_its_own_pool_alone_and_only_its_owner_may_cancel_it() {
    let mut show = reserved();
    assert_eq!(show.cancel(cancel(9), "10:05:00").code(), RejectionCode::ReservationNotFound);
    for pool in [event(43), store("s")] {
        let ran = show.run(&pool, Action::Cancel(by(cancel(1), "ben")), "10:05:00");
        assert_eq!(ran.code(), RejectionCode::ReservationNotFound, "pool before owner");
    }
    assert_eq!(show.cancel(by(cancel(1), "ben"), "10:05:00").code(), RejectionCode::NotOwner);
    show.cancel(by(cancel(1), "ann"), "10:05:00").reservation();
    let ran = show.cancel(by(cancel(1), "ben"), "10:06:00");
    assert_eq!(ran.code(), RejectionCode::NotOwner, "owner before status");
}
