//! What refuses a modify: the checks, their order, whom they name, and what the verdict rests on.

use inventory_worker::{
    decide::Limits,
    domain::{Action, Holdings, Modify, QUANTITY_MAX, RejectedLine, RejectionCode, RestockStatus},
};

use super::{EVENT, Show, reserved, restock_status};
use crate::world::{
    cancel, confirm, dependencies, event, expire, holdings, modify, numbers, quantities,
    read_dependencies, reservation_id, reserve, sku, store, user,
};

fn add(seats: &[&str], lines: &[(&str, u64)]) -> Modify {
    modify(1, holdings(seats, lines), Holdings::default())
}

fn remove(seats: &[&str], lines: &[(&str, u64)]) -> Modify {
    modify(1, Holdings::default(), holdings(seats, lines))
}

fn by(modify: Modify, name: &str) -> Modify {
    Modify { user_id: Some(user(name)), ..modify }
}

fn line(name: &str, requested: u64, available: i64) -> RejectedLine {
    RejectedLine::quantity(&sku(name), requested, available)
}

#[test]
fn everything_that_it_does_not_hold_is_named_with_what_it_holds() {
    let mut show = reserved();
    show.reserve(reserve(2, "ben", &["A-3"], &[("y", 1)]), "10:00:00");
    let lines = [("x", 4), ("y", 1), ("z", 2)];
    let ran = show.modify(remove(&["A-3", "A-1", "B-1"], &lines), "10:05:00");
    assert_eq!(ran.code(), RejectionCode::NotReserved);
    assert_eq!(ran.rejection().seats, numbers(&["A-3", "B-1"]));
    assert_eq!(ran.rejection().lines, [line("x", 4, 3), line("y", 1, 0), line("z", 2, 0)]);
    assert_eq!(ran.verdict.read_dependencies, []);
    let ran = show.modify(remove(&["A-1"], &[("x", 4)]), "10:05:00");
    assert_eq!((ran.code(), ran.rejection().seats.len()), (RejectionCode::NotReserved, 0));
}

#[test]
fn something_must_remain() {
    let mut show = reserved();
    let ran = show.modify(remove(&["A-2", "A-1"], &[("x", 3)]), "10:05:00");
    assert_eq!(ran.code(), RejectionCode::LimitExceeded);
    assert!(ran.rejection().message.contains("cancel it instead"), "{ran:?}");
    show.modify(remove(&["A-2", "A-1"], &[("x", 2)]), "10:05:00").reservation();
    let stored = &show.world.items().reservations[&reservation_id(1)];
    assert_eq!((stored.seats.len(), &stored.lines), (0, &quantities(&[("x", 1)])));
}

#[test]
fn what_remains_counts_towards_the_operators_limit() {
    let mut show = reserved();
    show.world.limits = Limits { reserve_entries_max: 3, ..Limits::default() };
    assert_eq!(show.modify(add(&["A-3"], &[]), "10:05:00").code(), RejectionCode::LimitExceeded);
    assert_eq!(show.modify(add(&[], &[("y", 1)]), "10:05:00").code(), RejectionCode::LimitExceeded);
    show.modify(add(&[], &[("x", 1)]), "10:05:00").reservation();
    let exchange = modify(1, holdings(&["A-3"], &[]), holdings(&["A-1"], &[]));
    show.modify(exchange, "10:06:00").reservation();
    // A hold made before the limit was lowered.
    show.world.limits.reserve_entries_max = 1;
    let grow = modify(1, holdings(&["A-1", "A-4"], &[]), holdings(&["A-3"], &[]));
    assert_eq!(show.modify(grow, "10:07:00").code(), RejectionCode::LimitExceeded);
    show.modify(remove(&["A-3"], &[]), "10:07:00").reservation();
}

#[test]
fn a_line_holds_no_more_than_the_largest_quantity() {
    let mut show = Show::new();
    show.plant_line("x", 3_000_000_000, 0);
    show.reserve(reserve(1, "ann", &[], &[("x", QUANTITY_MAX - 1)]), "10:00:00").reservation();
    let ran = show.modify(add(&[], &[("x", 2)]), "10:05:00");
    assert_eq!(ran.code(), RejectionCode::LimitExceeded);
    assert_eq!(ran.rejection().lines, [line("x", QUANTITY_MAX + 1, 999_999_999)]);
    let message = format!("more than {QUANTITY_MAX} on 1 line of one reservation");
    assert_eq!(ran.rejection().message, message);
    show.modify(add(&[], &[("x", 1)]), "10:05:00").reservation();
    assert_eq!(show.stock("x"), [2_000_000_000, 1_000_000_000, 0]);
}

#[test]
fn a_modify_that_finds_a_removed_seat_taken_over_is_expired_and_rests_on_seat_and_reservation() {
    let mut show = reserved();
    // By another worker's clock, which is ahead.
    show.reserve(reserve(2, "ben", &["A-2"], &[]), "10:10:00").reservation();
    let ran = show.modify(remove(&["A-1", "A-2"], &[]), "10:09:59");
    assert_eq!(ran.code(), RejectionCode::ReservationExpired);
    assert_eq!(ran.rejection().seats, numbers(&["A-2"]));
    let id = reservation_id(1);
    let message = format!("1 seat of reservation {id} was taken over after its hold ran out");
    assert_eq!(ran.rejection().message, message);
    assert_eq!(ran.verdict.read_dependencies, read_dependencies(1, &["A-2"]));
    assert_eq!(show.seat("A-1").version, 2, "all or nothing");
}

#[test]
fn every_offender_among_what_is_added_is_named_and_rested_on() {
    let mut show = reserved();
    show.reserve(reserve(2, "ben", &["A-3"], &[]), "10:00:00").reservation();
    let refused = |show: &mut Show, seats: &[&str], lines: &[(&str, u64)]| {
        let ran = show.modify(add(seats, lines), "10:05:00");
        (ran.rejection().clone(), ran.verdict.read_dependencies)
    };
    let (rejection, rests_on) = refused(&mut show, &["B-2", "A-4", "B-1"], &[("z", 1)]);
    assert_eq!(rejection.code, RejectionCode::SeatNotFound);
    assert_eq!((rejection.seats, rejection.lines), (numbers(&["B-2", "B-1"]), Vec::new()));
    assert_eq!(rests_on, dependencies(1, &["B-2", "B-1"], &[]));
    let (rejection, rests_on) = refused(&mut show, &["A-3"], &[("z", 4), ("y", 11)]);
    assert_eq!(rejection.code, RejectionCode::SkuNotFound);
    assert_eq!((rejection.seats, rejection.lines), (Vec::new(), vec![line("z", 4, 0)]));
    assert_eq!(rests_on, dependencies(1, &[], &["z"]));
    let (rejection, rests_on) = refused(&mut show, &["A-5", "A-4", "A-3"], &[("y", 11)]);
    assert_eq!(rejection.code, RejectionCode::SeatsUnavailable);
    assert_eq!((rejection.seats, rejection.lines), (numbers(&["A-5", "A-3"]), Vec::new()));
    assert_eq!(rests_on, dependencies(1, &["A-5", "A-3"], &[]));
    let (rejection, rests_on) = refused(&mut show, &["A-4"], &[("y", 11), ("x", 8)]);
    assert_eq!(rejection.code, RejectionCode::InsufficientStock);
    assert_eq!(rejection.lines, [line("y", 11, 10), line("x", 8, 7)]);
    assert_eq!(rests_on, dependencies(1, &[], &["y", "x"]));
    show.modify(add(&["A-4"], &[("y", 10), ("x", 7)]), "10:05:00").reservation();
}

#[test]
fn a_seat_it_holds_already_is_not_available_to_it() {
    let mut show = reserved();
    let ran = show.modify(add(&["A-4", "A-1"], &[]), "10:05:00");
    assert_eq!(ran.code(), RejectionCode::SeatsUnavailable);
    assert_eq!(ran.rejection().seats, numbers(&["A-1"]));
}

#[test]
fn a_seat_that_is_withheld_is_not_taken_over_after_its_hold() {
    let mut show = Show::new();
    show.reserve(reserve(2, "ben", &["A-3"], &[]), "09:55:00").reservation();
    show.restock(restock_status(&["A-3"], RestockStatus::Blocked), "09:56:00");
    show.reserve(reserve(1, "ann", &["A-1"], &[]), "10:00:00").reservation();
    let ran = show.modify(add(&["A-3"], &[]), "10:05:00");
    assert_eq!(ran.code(), RejectionCode::SeatsUnavailable);
}

#[test]
fn nothing_is_given_back_where_what_is_added_is_refused() {
    let mut show = reserved();
    let before = show.world.items();
    let exchange = modify(1, holdings(&["A-5"], &[]), holdings(&["A-1"], &[("x", 1)]));
    let ran = show.modify(exchange, "10:05:00");
    assert_eq!(ran.code(), RejectionCode::SeatsUnavailable);
    assert_eq!(show.world.items(), before);
}

#[test]
fn a_hold_can_be_modified_until_its_end_and_not_at_it() {
    let mut show = reserved();
    let ran = show.modify(add(&["A-3"], &[]), "10:10:00");
    assert_eq!(ran.code(), RejectionCode::ReservationExpired);
    show.modify(add(&["A-3"], &[]), "10:09:59.999").reservation();
}

#[test]
fn what_is_no_longer_active_cannot_be_modified_whatever_the_time() {
    for now in ["10:06:00", "10:10:00"] {
        let mut show = reserved();
        show.confirm(confirm(1, "b-1"), "10:05:00");
        let ran = show.modify(add(&["A-3"], &[]), now);
        assert_eq!(ran.code(), RejectionCode::ReservationConfirmed);
        let mut show = reserved();
        show.cancel(cancel(1), "10:05:00");
        let ran = show.modify(add(&["A-3"], &[]), now);
        assert_eq!(ran.code(), RejectionCode::ReservationCancelled);
        let mut show = reserved();
        show.expire(expire(1), "10:10:00");
        let ran = show.modify(add(&["A-3"], &[]), now);
        assert_eq!(ran.code(), RejectionCode::ReservationExpired);
    }
}

/// Found and in this pool → owner → status → expiry → held → limits of what remains → its own →
/// what is added, each neighbouring pair failing at once.
#[test]
fn the_first_check_that_fails_gives_the_code() {
    let mut show = reserved();
    let unheld = || by(remove(&["A-4"], &[]), "ben");
    let ran = show.modify(modify(9, holdings(&["A-3"], &[]), Holdings::default()), "10:05:00");
    assert_eq!(ran.code(), RejectionCode::ReservationNotFound);
    for pool in [event(EVENT + 1), store("s")] {
        let elsewhere = by(remove(&[], &[("y", 1)]), "ben");
        let ran = show.run(&pool, Action::Modify(elsewhere), "10:05:00");
        assert_eq!(ran.code(), RejectionCode::ReservationNotFound, "pool before owner");
    }
    let ran = show.modify(unheld(), "10:10:00");
    assert_eq!(ran.code(), RejectionCode::NotOwner, "owner before expiry");
    let ran = show.modify(by(unheld(), "ann"), "10:10:00");
    assert_eq!(ran.code(), RejectionCode::ReservationExpired, "expiry before held");
    show.world.limits.reserve_entries_max = 3;
    let over = holdings(&["A-3", "B-1"], &[]);
    let ran = show.modify(modify(1, over.clone(), holdings(&["A-4"], &[])), "10:05:00");
    assert_eq!(ran.code(), RejectionCode::NotReserved, "held before limits");
    show.reserve(reserve(2, "ben", &["A-2"], &[]), "10:10:00").reservation();
    let ran = show.modify(modify(1, over, holdings(&["A-2"], &[])), "10:09:59");
    assert_eq!(ran.code(), RejectionCode::LimitExceeded, "limits before its own");
    let exchange = modify(1, holdings(&["B-1"], &[]), holdings(&["A-2"], &[]));
    let ran = show.modify(exchange, "10:09:59");
    assert_eq!(ran.code(), RejectionCode::ReservationExpired, "its own before what is added");
    show.cancel(cancel(1), "10:09:59");
    let ran = show.modify(unheld(), "10:09:59");
    assert_eq!(ran.code(), RejectionCode::NotOwner, "owner before status");
    let ran = show.modify(by(unheld(), "ann"), "10:10:00");
    assert_eq!(ran.code(), RejectionCode::ReservationCancelled, "status before expiry and held");
}
