use inventory_worker::domain::{
    Action, Fulfil, Goods, Outcome, RejectionCode, Reservation, ReservationStatus,
};

use super::{EVENT, Show, listed, reserved};
use crate::world::{
    at, cancel, confirm, confirm_late, confirm_stay, event, expire, fulfil, refund, reservation_id,
    reserve, store, user,
};

fn by(fulfil: Fulfil, name: &str) -> Fulfil {
    Fulfil { user_id: Some(user(name)), ..fulfil }
}

/// [`reserved`], sold and still there.
fn committed() -> Show {
    let mut show = reserved();
    show.confirm(confirm_stay(1, "b-1"), "10:05:00").reservation();
    show
}

fn stored(show: &Show) -> Reservation {
    show.world.items().reservations[&reservation_id(1)].clone()
}

#[test]
fn a_fulfil_lets_the_committed_goods_leave_the_building() {
    let mut show = committed();
    let confirmed = stored(&show);
    assert_eq!((show.stock("x"), show.line("x").on_hand()), ([7, 0, 3], 10));
    let ran = show.fulfil(fulfil(1), "11:00:00");
    let reservation = Reservation { version: 3, fulfilled_at: Some(at("11:00:00")), ..confirmed };
    assert_eq!(reservation.status, ReservationStatus::Confirmed);
    assert_eq!(reservation.goods, Some(Goods::Stay));
    assert_eq!(stored(&show), reservation);
    assert_eq!(ran.verdict.outcome, Outcome::Fulfilled { reservation });
    assert_eq!(ran.verdict.read_dependencies, []);
    assert_eq!(listed(&ran), ["x v4 7 7 0"], "no seat changes");
    assert_eq!((show.stock("x"), show.line("x").on_hand()), ([7, 0, 0], 7));
    assert_eq!(show.line("x").updated_at, at("11:00:00"));
    assert_eq!((show.status("A-1"), show.seat("A-1").version), ("BOOKED", 3));
}

#[test]
fn a_sale_is_fulfilled_once() {
    let mut show = committed();
    show.fulfil(fulfil(1), "11:00:00").reservation();
    let ran = show.fulfil(fulfil(1), "11:00:01");
    assert_eq!(ran.code(), RejectionCode::ReservationFulfilled);
    assert_eq!(show.stock("x"), [7, 0, 0]);
}

#[test]
fn goods_that_left_with_the_sale_are_fulfilled_already() {
    let mut show = reserved();
    show.confirm(confirm(1, "b-1"), "10:05:00");
    assert_eq!(show.fulfil(fulfil(1), "10:06:00").code(), RejectionCode::ReservationFulfilled);
    assert_eq!(show.stock("x"), [7, 0, 0]);
}

#[test]
fn only_its_own_goods_leave() {
    let mut show = committed();
    show.reserve(reserve(2, "ben", &[], &[("x", 2)]), "10:06:00");
    show.confirm(confirm_stay(2, "b-2"), "10:07:00");
    show.reserve(reserve(3, "cid", &[], &[("x", 1)]), "10:08:00");
    assert_eq!(show.stock("x"), [4, 1, 5]);
    show.fulfil(fulfil(2), "10:09:00").reservation();
    assert_eq!((show.stock("x"), show.line("x").on_hand()), ([4, 1, 3], 8));
}

#[test]
fn a_sale_of_seats_alone_is_fulfilled_too() {
    let mut show = Show::new();
    show.reserve(reserve(1, "ann", &["A-1"], &[]), "10:00:00");
    show.confirm(confirm_stay(1, "b-1"), "10:05:00");
    let ran = show.fulfil(fulfil(1), "10:06:00");
    assert_eq!((ran.reservation().version, listed(&ran).len()), (3, 0));
    assert_eq!(show.fulfil(fulfil(1), "10:07:00").code(), RejectionCode::ReservationFulfilled);
}

#[test]
fn a_late_confirm_can_be_fulfilled() {
    let mut show = reserved();
    show.expire(expire(1), "10:10:00");
    let late = inventory_worker::domain::Confirm { goods: Goods::Stay, ..confirm_late(1, "b-1") };
    show.confirm(late, "10:11:00").reservation();
    assert_eq!(show.stock("x"), [7, 0, 3]);
    show.fulfil(fulfil(1), "10:12:00").reservation();
    assert_eq!(show.stock("x"), [7, 0, 0]);
}

#[test]
fn what_is_not_sold_cannot_be_fulfilled_and_the_code_names_the_status() {
    let mut show = reserved();
    let ran = show.fulfil(fulfil(1), "10:09:59.999");
    assert_eq!(ran.code(), RejectionCode::ReservationActive);
    assert_eq!(show.fulfil(fulfil(1), "10:10:00").code(), RejectionCode::ReservationExpired);
    show.expire(expire(1), "10:10:00");
    for now in ["10:09:00", "10:11:00"] {
        assert_eq!(show.fulfil(fulfil(1), now).code(), RejectionCode::ReservationExpired);
    }
    let mut show = reserved();
    show.cancel(cancel(1), "10:05:00");
    assert_eq!(show.fulfil(fulfil(1), "10:06:00").code(), RejectionCode::ReservationCancelled);
    for was_fulfilled in [false, true] {
        let mut show = committed();
        if was_fulfilled {
            show.fulfil(fulfil(1), "10:06:00").reservation();
        }
        show.cancel(refund(1), "10:07:00").reservation();
        let ran = show.fulfil(fulfil(1), "10:08:00");
        assert_eq!(ran.code(), RejectionCode::ReservationCancelled);
    }
}

/// Found and in this pool → owner → status, each neighbouring pair failing at once.
#[test]
fn the_first_check_that_fails_gives_the_code() {
    let mut show = committed();
    assert_eq!(show.fulfil(fulfil(9), "10:06:00").code(), RejectionCode::ReservationNotFound);
    for pool in [event(EVENT + 1), store("s")] {
        let ran = show.run(&pool, Action::Fulfil(by(fulfil(1), "ben")), "10:06:00");
        assert_eq!(ran.code(), RejectionCode::ReservationNotFound, "pool before owner");
    }
    show.fulfil(by(fulfil(1), "ann"), "10:06:00").reservation();
    let ran = show.fulfil(by(fulfil(1), "ben"), "10:07:00");
    assert_eq!(ran.code(), RejectionCode::NotOwner, "owner before status");
}
