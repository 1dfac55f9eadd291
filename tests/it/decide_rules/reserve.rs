use inventory_worker::{
    decide::Limits,
    domain::{
        Action, RejectedLine, RejectionCode, Reservation, ReservationStatus, Reserve, RestockMode,
    },
};

use super::{EVENT, Show, held, listed};
use crate::world::{
    at, cancel, confirm, confirm_stay, event, expire, extend, fulfil, holdings, modify, numbers,
    quantities, refund, reservation_id, reserve, restock_lines, sku, store, user,
};

fn short(name: &str, requested: u64, available: i64) -> RejectedLine {
    RejectedLine::quantity(&sku(name), requested, available)
}

#[test]
fn a_reserve_holds_every_seat_and_line_it_names() {
    let mut show = Show::new();
    let ran = show.reserve(reserve(1, "ann", &["A-2", "A-1"], &[("x", 3)]), "10:00:00");
    let expected = Reservation {
        reservation_id: reservation_id(1),
        pool: event(EVENT),
        source: "/tests".parse().unwrap(),
        user_id: user("ann"),
        status: ReservationStatus::Active,
        version: 1,
        seats: numbers(&["A-2", "A-1"]),
        lines: quantities(&[("x", 3)]),
        booking_id: None,
        goods: None,
        fulfilled_at: None,
        created_at: at("10:00:00"),
        expires_at: at("10:10:00"),
        ended_at: None,
    };
    assert_eq!(ran.reservation(), &expected);
    assert_eq!(ran.verdict.read_dependencies, []);
    for name in ["A-1", "A-2"] {
        let seat = show.seat(name);
        assert_eq!(seat.occupancy, held(1, "ann", at("10:10:00")));
        assert_eq!((seat.version, seat.updated_at), (2, at("10:00:00")));
        assert_eq!(seat.created_at, at("09:00:00"));
    }
    assert_eq!(show.status("A-3"), "AVAILABLE");
    assert_eq!(show.figures("x"), (7, 3));
    assert_eq!((show.line("x").version, show.line("x").updated_at), (2, at("10:00:00")));
    assert_eq!(show.line("y").version, 1);
}

#[test]
fn a_store_sells_lines_without_seats() {
    let mut show = Show::new();
    let stock = restock_lines(RestockMode::Set, &[("z", 5)]);
    show.run(&store("s"), Action::Restock(stock), "09:00:00");
    let ran =
        show.run(&store("s"), Action::Reserve(reserve(1, "ann", &[], &[("z", 5)])), "10:00:00");
    assert_eq!(ran.reservation().pool, store("s"));
    let again = Action::Reserve(reserve(2, "ben", &[], &[("z", 1)]));
    let ran = show.run(&store("s"), again, "10:00:00");
    assert_eq!(ran.code(), RejectionCode::InsufficientStock);
}

#[test]
fn an_expiry_is_never_sooner_than_was_asked_and_falls_on_a_second() {
    let mut show = Show::new();
    let ran = show.reserve(reserve(1, "ann", &["A-1"], &[]), "10:00:00.001");
    assert_eq!(ran.reservation().created_at, at("10:00:00.001"));
    assert_eq!(ran.reservation().expires_at, at("10:10:01"));
    assert_eq!(show.seat("A-1").occupancy, held(1, "ann", at("10:10:01")));
}

#[test]
fn without_hold_seconds_a_hold_lasts_ten_minutes_or_what_the_operator_allows() {
    let open = Reserve { hold_seconds: None, ..reserve(1, "ann", &["A-1"], &[]) };
    for (allowed, expires_at) in [(14_400, "10:10:00"), (600, "10:10:00"), (90, "10:01:30")] {
        let mut show = Show::new();
        show.world.limits = Limits { hold_seconds_max: allowed, ..Limits::default() };
        let ran = show.reserve(open.clone(), "10:00:00");
        assert_eq!(ran.reservation().expires_at, at(expires_at), "{allowed} s allowed");
    }
}

#[test]
fn a_hold_beyond_the_operators_limit_is_refused_and_one_at_it_is_not() {
    let mut show = Show::new();
    show.world.limits = Limits { hold_seconds_max: 599, ..Limits::default() };
    let ran = show.reserve(reserve(1, "ann", &["A-1"], &[]), "10:00:00");
    assert_eq!(ran.code(), RejectionCode::LimitExceeded);
    show.world.limits = Limits { hold_seconds_max: 600, ..Limits::default() };
    let ran = show.reserve(reserve(1, "ann", &["A-1"], &[]), "10:00:00");
    assert_eq!(ran.reservation().expires_at, at("10:10:00"));
}

#[test]
fn a_hold_is_never_longer_than_the_operator_allows_in_all() {
    let mut show = Show::new();
    show.world.limits = Limits { hold_total_seconds_max: 599, ..Limits::default() };
    let ran = show.reserve(reserve(1, "ann", &["A-1"], &[]), "10:00:00");
    assert_eq!(ran.code(), RejectionCode::LimitExceeded);
    let open = Reserve { hold_seconds: None, ..reserve(1, "ann", &["A-1"], &[]) };
    let ran = show.reserve(open, "10:00:00");
    assert_eq!(ran.reservation().expires_at, at("10:09:59"));
}

#[test]
fn seats_and_lines_count_together_towards_the_operators_limit() {
    let mut show = Show::new();
    show.world.limits = Limits { reserve_entries_max: 2, ..Limits::default() };
    let ran = show.reserve(reserve(1, "ann", &["A-1", "A-2"], &[("x", 1)]), "10:00:00");
    assert_eq!(ran.code(), RejectionCode::LimitExceeded);
    let ran = show.reserve(reserve(1, "ann", &["A-1"], &[("x", 1)]), "10:00:00");
    assert_eq!(ran.reservation().version, 1);
}

#[test]
fn a_reservation_id_is_used_once_whatever_became_of_it_and_in_whichever_pool() {
    let mut show = Show::new();
    show.reserve(reserve(1, "ann", &["A-1"], &[]), "10:00:00");
    show.reserve(reserve(2, "ann", &["A-2"], &[]), "10:00:00");
    show.reserve(reserve(3, "ann", &["A-3"], &[]), "10:00:00");
    show.cancel(cancel(2), "10:00:01");
    show.confirm(confirm(3, "b"), "10:00:01");
    for id in 1..=3 {
        let ran = show.reserve(reserve(id, "ann", &["A-4"], &[]), "10:00:02");
        assert_eq!(ran.code(), RejectionCode::ReservationExists);
        let elsewhere = Action::Reserve(reserve(id, "ann", &[], &[("x", 1)]));
        let ran = show.run(&store("s"), elsewhere, "10:00:02");
        assert_eq!(ran.code(), RejectionCode::ReservationExists);
    }
}

#[test]
fn every_seat_that_does_not_exist_is_named() {
    let mut show = Show::new();
    let ran = show.reserve(reserve(1, "ann", &["B-2", "A-1", "B-1"], &[("x", 1)]), "10:00:00");
    assert_eq!(ran.code(), RejectionCode::SeatNotFound);
    assert_eq!(ran.rejection().seats, numbers(&["B-2", "B-1"]));
    assert_eq!(ran.rejection().lines, []);
}

#[test]
fn a_seat_of_another_event_does_not_exist_in_this_one() {
    let mut show = Show::new();
    let elsewhere = Action::Reserve(reserve(1, "ann", &["A-1"], &[]));
    let ran = show.run(&event(43), elsewhere, "10:00:00");
    assert_eq!(ran.code(), RejectionCode::SeatNotFound);
}

#[test]
fn every_sku_that_does_not_exist_is_named() {
    let mut show = Show::new();
    let ran = show.reserve(reserve(1, "ann", &["A-1"], &[("x", 1), ("z", 4)]), "10:00:00");
    assert_eq!(ran.code(), RejectionCode::SkuNotFound);
    assert_eq!(ran.rejection().lines, [short("z", 4, 0)]);
    assert_eq!(ran.rejection().seats, []);
}

#[test]
fn every_seat_that_is_held_booked_or_blocked_is_named() {
    let mut show = Show::new();
    show.reserve(reserve(1, "ann", &["A-1"], &[]), "10:00:00");
    show.reserve(reserve(2, "ann", &["A-2"], &[]), "10:00:00");
    show.confirm(confirm(2, "b"), "10:00:01");
    let all = ["A-5", "A-3", "A-2", "A-1"];
    let ran = show.reserve(reserve(3, "ben", &all, &[("x", 1)]), "10:00:02");
    assert_eq!(ran.code(), RejectionCode::SeatsUnavailable);
    assert_eq!(ran.rejection().seats, numbers(&["A-5", "A-2", "A-1"]));
    assert_eq!(ran.rejection().lines, []);
    assert_eq!(show.status("A-3"), "AVAILABLE");
    assert_eq!(show.figures("x"), (10, 0));
}

#[test]
fn a_user_cannot_take_a_seat_from_their_own_hold() {
    let mut show = Show::new();
    show.reserve(reserve(1, "ann", &["A-1"], &[]), "10:00:00");
    let ran = show.reserve(reserve(2, "ann", &["A-1"], &[]), "10:00:01");
    assert_eq!(ran.code(), RejectionCode::SeatsUnavailable);
}

#[test]
fn every_line_with_too_little_is_named_and_the_last_piece_can_be_sold() {
    let mut show = Show::new();
    let ran = show.reserve(reserve(1, "ann", &["A-1"], &[("y", 11), ("x", 12)]), "10:00:00");
    assert_eq!(ran.code(), RejectionCode::InsufficientStock);
    assert_eq!(ran.rejection().lines, [short("y", 11, 10), short("x", 12, 10)]);
    let ran = show.reserve(reserve(1, "ann", &[], &[("y", 10), ("x", 11)]), "10:00:00");
    assert_eq!(ran.rejection().lines, [short("x", 11, 10)]);
    show.reserve(reserve(1, "ann", &[], &[("y", 10), ("x", 10)]), "10:00:00").reservation();
    assert_eq!((show.figures("x"), show.figures("y")), ((0, 10), (0, 10)));
}

/// Limits → RESERVATION_EXISTS → SEAT_NOT_FOUND → SKU_NOT_FOUND → SEATS_UNAVAILABLE →
/// INSUFFICIENT_STOCK, each neighbouring pair failing at once.
#[test]
fn the_first_check_that_fails_gives_the_code() {
    let mut show = Show::new();
    show.reserve(reserve(1, "ann", &["A-1"], &[]), "10:00:00");
    show.world.limits = Limits { reserve_entries_max: 2, ..Limits::default() };
    let three = reserve(1, "ben", &["A-2", "A-3", "A-4"], &[]);
    let cases = [
        (three, RejectionCode::LimitExceeded),
        (
            Reserve { hold_seconds: Some(14_401), ..reserve(1, "ben", &["A-2"], &[]) },
            RejectionCode::LimitExceeded,
        ),
        (reserve(1, "ben", &["B-1"], &[]), RejectionCode::ReservationExists),
        (reserve(2, "ben", &["B-1"], &[("z", 1)]), RejectionCode::SeatNotFound),
        (reserve(2, "ben", &["A-1"], &[("z", 1)]), RejectionCode::SkuNotFound),
        (reserve(2, "ben", &["A-1"], &[("x", 11)]), RejectionCode::SeatsUnavailable),
        (reserve(2, "ben", &["A-2"], &[("x", 11)]), RejectionCode::InsufficientStock),
        // And across the pairs.
        (reserve(2, "ben", &["B-1", "A-1"], &[]), RejectionCode::SeatNotFound),
        (reserve(2, "ben", &[], &[("x", 11), ("z", 1)]), RejectionCode::SkuNotFound),
    ];
    for (reserve, code) in cases {
        let ran = show.reserve(reserve.clone(), "10:00:01");
        assert_eq!(ran.code(), code, "{reserve:?}");
    }
}

#[test]
fn a_hold_that_ran_out_is_taken_over_from_its_very_end() {
    let mut show = Show::new();
    show.reserve(reserve(1, "ann", &["A-1", "A-2"], &[]), "10:00:00");
    let ran = show.reserve(reserve(2, "ben", &["A-1", "A-3"], &[]), "10:09:59.999");
    assert_eq!(ran.code(), RejectionCode::SeatsUnavailable);
    assert_eq!(ran.rejection().seats, numbers(&["A-1"]));
    let ran = show.reserve(reserve(2, "ben", &["A-1", "A-3"], &[]), "10:10:00");
    assert_eq!(ran.reservation().expires_at, at("10:20:00"));
    assert_eq!(show.seat("A-1").occupancy, held(2, "ben", at("10:20:00")));
    assert_eq!(show.seat("A-1").version, 3);
    assert_eq!(show.seat("A-2").occupancy, held(1, "ann", at("10:10:00")));
    let old = show.world.items().reservations[&reservation_id(1)].clone();
    assert_eq!((old.status, old.version), (ReservationStatus::Active, 1));
}

#[test]
fn a_reservation_keeps_the_source_of_the_command_that_made_it() {
    let mut show = Show::new();
    let reserved = show.reserve(reserve(1, "ann", &["A-1"], &[("x", 1)]), "10:00:00");
    let source = reserved.command.key.source.clone();
    assert_eq!(reserved.reservation().source, source);
    let extended = show.extend(extend(1, 900), "10:01:00");
    let modified = show.modify(modify(1, holdings(&["A-2"], &[]), holdings(&[], &[])), "10:02:00");
    let confirmed = show.confirm(confirm_stay(1, "b-1"), "10:03:00");
    let fulfilled = show.fulfil(fulfil(1), "10:04:00");
    let cancelled = show.cancel(refund(1), "10:05:00");
    for ran in [extended, modified, confirmed, fulfilled, cancelled] {
        assert_eq!(ran.reservation().source, source);
    }
}

#[test]
fn the_changes_are_every_seat_and_line_in_the_state_they_were_left_in() {
    let mut show = Show::new();
    let ran = show.reserve(reserve(1, "ann", &["A-2", "A-1"], &[("x", 3)]), "10:00:00");
    let changes =
        ["A-1 v2 RESERVED until 10:10:00", "A-2 v2 RESERVED until 10:10:00", "x v2 10 7 3"];
    assert_eq!(listed(&ran), changes);
}

#[test]
fn lines_of_a_hold_that_ran_out_come_back_with_its_expiry_and_not_before() {
    let mut show = Show::new();
    show.reserve(reserve(1, "ann", &[], &[("x", 10)]), "10:00:00");
    let ran = show.reserve(reserve(2, "ben", &[], &[("x", 1)]), "11:00:00");
    assert_eq!(ran.code(), RejectionCode::InsufficientStock);
    show.expire(expire(1), "11:00:00");
    show.reserve(reserve(2, "ben", &[], &[("x", 1)]), "11:00:00").reservation();
    assert_eq!(show.figures("x"), (9, 1));
}
