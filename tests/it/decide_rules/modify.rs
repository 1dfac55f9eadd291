//! What a modify takes and gives back. What refuses it is in `modify_refused`.

use inventory_worker::domain::{
    Action, Holdings, Outcome, Reservation, RestockMode, RestockStatus,
};

use super::{Show, held, listed, reserved, restock_status};
use crate::world::{
    at, cancel, confirm, event, expire, extend, holdings, modify, numbers, quantities,
    reservation_id, reserve, restock_lines, store,
};

fn nothing() -> Holdings {
    Holdings::default()
}

fn stored(show: &Show) -> Reservation {
    show.world.items().reservations[&reservation_id(1)].clone()
}

#[test]
fn a_modify_takes_what_is_added_and_gives_back_what_is_removed_in_one_step() {
    let mut show = reserved();
    let active = stored(&show);
    let (add, remove) = (holdings(&["A-3"], &[("y", 2)]), holdings(&["A-1"], &[("x", 1)]));
    let ran = show.modify(modify(1, add, remove), "10:05:00");
    let reservation = Reservation {
        version: 2,
        seats: numbers(&["A-2", "A-3"]),
        lines: quantities(&[("x", 2), ("y", 2)]),
        ..active
    };
    assert_eq!(reservation.expires_at, at("10:10:00"), "the end stays");
    assert_eq!(stored(&show), reservation);
    assert_eq!(ran.verdict.outcome, Outcome::Modified { reservation });
    assert_eq!(ran.verdict.read_dependencies, []);
    let changes =
        ["A-1 v3 AVAILABLE", "A-3 v2 RESERVED until 10:10:00", "x v3 10 8 2", "y v2 10 8 2"];
    assert_eq!(listed(&ran), changes);
    assert_eq!(show.seat("A-3").occupancy, held(1, "ann", at("10:10:00")));
    assert_eq!(show.seat("A-3").updated_at, at("10:05:00"));
    assert_eq!(show.seat("A-2").version, 2);
    assert_eq!((show.stock("x"), show.stock("y")), ([8, 2, 0], [8, 2, 0]));
}

#[test]
fn to_add_a_sku_it_holds_raises_the_quantity_and_to_remove_less_than_all_lowers_it() {
    let mut show = reserved();
    show.modify(modify(1, holdings(&[], &[("x", 7)]), nothing()), "10:01:00").reservation();
    assert_eq!((stored(&show).lines, show.stock("x")), (quantities(&[("x", 10)]), [0, 10, 0]));
    show.modify(modify(1, nothing(), holdings(&[], &[("x", 9)])), "10:02:00").reservation();
    assert_eq!((stored(&show).lines, show.stock("x")), (quantities(&[("x", 1)]), [9, 1, 0]));
    show.modify(modify(1, nothing(), holdings(&[], &[("x", 1)])), "10:03:00").reservation();
    assert_eq!((stored(&show).lines, show.stock("x")), (Vec::new(), [10, 0, 0]));
    assert_eq!((stored(&show).version, show.line("x").version), (4, 5));
}

#[test]
fn what_remains_keeps_its_order_and_what_is_new_follows() {
    let mut show = Show::new();
    let lines = [("y", 1), ("x", 1)];
    show.reserve(reserve(1, "ann", &["A-3", "A-1", "A-2"], &lines), "10:00:00").reservation();
    let add = holdings(&["A-4"], &[("y", 1)]);
    show.modify(modify(1, add, holdings(&["A-1"], &[])), "10:01:00").reservation();
    assert_eq!(stored(&show).seats, numbers(&["A-3", "A-2", "A-4"]));
    assert_eq!(stored(&show).lines, quantities(&[("y", 2), ("x", 1)]));
}

#[test]
fn everything_it_held_may_be_exchanged() {
    let mut show = reserved();
    let remove = holdings(&["A-1", "A-2"], &[("x", 3)]);
    show.modify(modify(1, holdings(&["A-4"], &[]), remove), "10:05:00").reservation();
    assert_eq!((stored(&show).seats, stored(&show).lines), (numbers(&["A-4"]), Vec::new()));
    assert_eq!((show.status("A-1"), show.status("A-2")), ("AVAILABLE", "AVAILABLE"));
    assert_eq!(show.stock("x"), [10, 0, 0]);
}

#[test]
fn what_was_added_is_sold_and_what_was_removed_is_not() {
    let mut show = reserved();
    let (add, remove) = (holdings(&["A-3"], &[("y", 2)]), holdings(&["A-1"], &[("x", 3)]));
    show.modify(modify(1, add, remove), "10:05:00");
    show.confirm(confirm(1, "b-1"), "10:06:00").reservation();
    let statuses = ["A-1", "A-2", "A-3"].map(|seat| show.status(seat));
    assert_eq!(statuses, ["AVAILABLE", "BOOKED", "BOOKED"]);
    assert_eq!((show.stock("x"), show.stock("y")), ([10, 0, 0], [8, 0, 0]));
}

#[test]
fn what_was_added_comes_back_with_a_cancel_and_with_the_expiry() {
    for expires in [false, true] {
        let mut show = reserved();
        show.modify(modify(1, holdings(&["A-3"], &[("y", 2)]), nothing()), "10:05:00");
        match expires {
            true => show.expire(expire(1), "10:10:00").reservation(),
            false => show.cancel(cancel(1), "10:06:00").reservation(),
        };
        for name in ["A-1", "A-2", "A-3"] {
            assert_eq!(show.status(name), "AVAILABLE");
        }
        assert_eq!((show.stock("x"), show.stock("y")), ([10, 0, 0], [10, 0, 0]));
    }
}

#[test]
fn a_removed_seat_can_be_reserved_at_once() {
    let mut show = reserved();
    show.modify(modify(1, nothing(), holdings(&["A-1"], &[])), "10:05:00");
    show.reserve(reserve(2, "ben", &["A-1"], &[]), "10:05:00").reservation();
    show.cancel(cancel(1), "10:06:00");
    assert_eq!(show.seat("A-1").occupancy, held(2, "ben", at("10:15:00")));
}

#[test]
fn an_extended_hold_is_modified_to_its_new_end() {
    let mut show = reserved();
    show.extend(extend(1, 600), "10:05:00");
    show.modify(modify(1, holdings(&["A-3"], &[]), nothing()), "10:12:00").reservation();
    assert_eq!(show.seat("A-3").occupancy, held(1, "ann", at("10:15:00")));
}

#[test]
fn a_seat_whose_hold_ran_out_is_taken_over() {
    let mut show = Show::new();
    show.reserve(reserve(2, "ben", &["A-3"], &[]), "09:55:00").reservation();
    show.reserve(reserve(1, "ann", &["A-1"], &[]), "10:00:00").reservation();
    show.modify(modify(1, holdings(&["A-3"], &[]), nothing()), "10:05:00").reservation();
    assert_eq!(show.seat("A-3").occupancy, held(1, "ann", at("10:10:00")));
}

#[test]
fn a_withheld_seat_that_is_removed_becomes_blocked() {
    let mut show = reserved();
    show.restock(restock_status(&["A-1", "A-2"], RestockStatus::Blocked), "10:01:00");
    let ran = show.modify(modify(1, nothing(), holdings(&["A-1"], &[])), "10:05:00");
    assert_eq!(listed(&ran), ["A-1 v4 BLOCKED"]);
    assert_eq!(show.seat("A-2").occupancy, held(1, "ann", at("10:10:00")));
    assert_eq!((show.seat("A-1").withheld, show.seat("A-2").withheld), (false, true));
}

#[test]
fn a_hold_of_lines_in_a_store_is_modified() {
    let mut show = Show::new();
    let pool = store("s");
    let stock = restock_lines(RestockMode::Set, &[("x", 5), ("z", 5)]);
    show.run(&pool, Action::Restock(stock), "09:00:00");
    show.run(&pool, Action::Reserve(reserve(1, "ann", &[], &[("x", 5)])), "10:00:00");
    let action = modify(1, holdings(&[], &[("z", 4)]), holdings(&[], &[("x", 2)]));
    let ran = show.run(&pool, Action::Modify(action), "10:05:00");
    assert_eq!(ran.reservation().lines, quantities(&[("x", 3), ("z", 4)]));
    assert_eq!(listed(&ran), ["x v3 5 2 3", "z v2 5 1 4"]);
    let elsewhere = modify(1, holdings(&[], &[("x", 1)]), nothing());
    let ran = show.run(&event(42), Action::Modify(elsewhere), "10:05:00");
    assert_eq!(ran.code().as_str(), "RESERVATION_NOT_FOUND");
}
