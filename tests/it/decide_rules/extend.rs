use inventory_worker::{
    decide::Limits,
    domain::{Action, Extend, Outcome, RejectionCode, Reservation, RestockStatus},
};

use super::{EVENT, Show, held, listed, reserved, restock_status};
use crate::world::{
    at, cancel, confirm, event, expire, extend, numbers, read_dependencies, reservation_id,
    reserve, store, user,
};

fn by(extend: Extend, name: &str) -> Extend {
    Extend { user_id: Some(user(name)), ..extend }
}

fn stored(show: &Show) -> Reservation {
    show.world.items().reservations[&reservation_id(1)].clone()
}

#[test]
fn an_extend_moves_the_end_of_the_reservation_and_of_every_seat_it_holds() {
    let mut show = reserved();
    let active = stored(&show);
    let ran = show.extend(extend(1, 600), "10:05:00");
    let reservation = Reservation { version: 2, expires_at: at("10:15:00"), ..active };
    assert_eq!(stored(&show), reservation);
    assert_eq!(ran.verdict.outcome, Outcome::Extended { reservation });
    assert_eq!(ran.verdict.read_dependencies, []);
    let seats = ["A-1 v3 RESERVED until 10:15:00", "A-2 v3 RESERVED until 10:15:00"];
    assert_eq!(listed(&ran), seats, "no line changes");
    for name in ["A-1", "A-2"] {
        assert_eq!(show.seat(name).occupancy, held(1, "ann", at("10:15:00")));
        assert_eq!(show.seat(name).updated_at, at("10:05:00"));
    }
    assert_eq!((show.stock("x"), show.line("x").version), ([7, 3, 0], 2));
}

#[test]
fn an_extended_end_falls_on_a_second_and_never_sooner_than_was_asked() {
    let mut show = reserved();
    let ran = show.extend(extend(1, 600), "10:05:00.001");
    assert_eq!(ran.reservation().expires_at, at("10:15:01"));
}

#[test]
fn an_extend_never_shortens_a_hold_and_changes_nothing_where_its_end_is_not_later() {
    let mut show = reserved();
    let active = stored(&show);
    for (seconds, now) in [(60, "10:01:00"), (300, "10:05:00"), (1, "10:09:58.999")] {
        let ran = show.extend(extend(1, seconds), now);
        let reservation = active.clone();
        assert_eq!(ran.verdict.outcome, Outcome::Extended { reservation }, "{seconds} s at {now}");
        assert_eq!(ran.changes, []);
    }
    assert_eq!(show.extend(extend(1, 301), "10:05:00").reservation().version, 2);
}

#[test]
fn a_hold_can_be_extended_until_its_end_and_not_at_it() {
    let mut show = reserved();
    assert_eq!(show.extend(extend(1, 600), "10:10:00").code(), RejectionCode::ReservationExpired);
    show.extend(extend(1, 600), "10:09:59.999").reservation();
    assert_eq!(stored(&show).expires_at, at("10:20:00"));
}

#[test]
fn an_extended_hold_is_neither_taken_over_nor_expired_at_its_old_end() {
    let mut show = reserved();
    show.extend(extend(1, 600), "10:05:00");
    let ran = show.reserve(reserve(2, "ben", &["A-1"], &[]), "10:10:00");
    assert_eq!(ran.code(), RejectionCode::SeatsUnavailable);
    assert_eq!(show.expire(expire(1), "10:14:59.999").code(), RejectionCode::NotYetExpired);
    show.confirm(confirm(1, "b-1"), "10:14:59.999").reservation();
    let mut show = reserved();
    show.extend(extend(1, 600), "10:05:00");
    show.expire(expire(1), "10:15:00").reservation();
    assert_eq!(show.stock("x"), [10, 0, 0]);
}

#[test]
fn an_extend_beyond_the_longest_hold_is_refused_and_one_at_it_is_not() {
    let mut show = reserved();
    show.world.limits = Limits { hold_seconds_max: 599, ..Limits::default() };
    let ran = show.extend(extend(1, 600), "10:05:00");
    assert_eq!(ran.code(), RejectionCode::LimitExceeded);
    assert_eq!(ran.rejection().message, "hold_seconds 600: this deployment allows 599");
    show.extend(extend(1, 599), "10:05:00").reservation();
    assert_eq!(stored(&show).expires_at, at("10:14:59"));
}

#[test]
fn a_hold_lasts_no_longer_in_all_than_the_operator_allows_however_often_it_is_extended() {
    let mut show = reserved();
    show.world.limits = Limits { hold_total_seconds_max: 900, ..Limits::default() };
    let ran = show.extend(extend(1, 601), "10:05:00");
    assert_eq!(ran.code(), RejectionCode::LimitExceeded);
    assert!(ran.rejection().message.contains("allows 900 seconds"), "{ran:?}");
    show.extend(extend(1, 500), "10:05:00").reservation();
    show.extend(extend(1, 360), "10:09:00").reservation();
    assert_eq!((stored(&show).expires_at, stored(&show).version), (at("10:15:00"), 3));
    let ran = show.extend(extend(1, 2), "10:14:59");
    assert_eq!(ran.code(), RejectionCode::LimitExceeded);
}

/// Both ends are rounded up to the second.
#[test]
fn the_ceiling_in_all_counts_from_the_creation_to_the_second() {
    let mut show = Show::new();
    show.world.limits = Limits { hold_total_seconds_max: 900, ..Limits::default() };
    show.reserve(reserve(1, "ann", &["A-1"], &[]), "10:00:00.001").reservation();
    let ran = show.extend(extend(1, 600), "10:05:01.001");
    assert_eq!(ran.code(), RejectionCode::LimitExceeded);
    show.extend(extend(1, 600), "10:05:01").reservation();
    assert_eq!(stored(&show).expires_at, at("10:15:01"));
}

#[test]
fn an_extend_that_finds_a_seat_taken_over_is_expired_and_rests_on_seat_and_reservation() {
    let mut show = reserved();
    // By another worker's clock, which is ahead.
    show.reserve(reserve(2, "ben", &["A-2"], &[]), "10:10:00").reservation();
    let ran = show.extend(extend(1, 600), "10:09:59");
    assert_eq!(ran.code(), RejectionCode::ReservationExpired);
    assert_eq!((&ran.rejection().seats, &ran.rejection().lines), (&numbers(&["A-2"]), &vec![]));
    assert_eq!(ran.verdict.read_dependencies, read_dependencies(1, &["A-2"]));
    assert_eq!(show.seat("A-1").occupancy, held(1, "ann", at("10:10:00")));
}

#[test]
fn a_withheld_seat_stays_withheld_and_its_hold_is_extended() {
    let mut show = reserved();
    show.restock(restock_status(&["A-1"], RestockStatus::Blocked), "10:01:00");
    show.extend(extend(1, 600), "10:05:00").reservation();
    assert_eq!(show.seat("A-1").occupancy, held(1, "ann", at("10:15:00")));
    show.cancel(cancel(1), "10:06:00");
    assert_eq!((show.status("A-1"), show.status("A-2")), ("BLOCKED", "AVAILABLE"));
}

#[test]
fn what_is_no_longer_active_cannot_be_extended_whatever_the_time() {
    for now in ["10:06:00", "10:10:00"] {
        let mut show = reserved();
        show.confirm(confirm(1, "b-1"), "10:05:00");
        assert_eq!(show.extend(extend(1, 600), now).code(), RejectionCode::ReservationConfirmed);
        let mut show = reserved();
        show.cancel(cancel(1), "10:05:00");
        assert_eq!(show.extend(extend(1, 600), now).code(), RejectionCode::ReservationCancelled);
        let mut show = reserved();
        show.expire(expire(1), "10:10:00");
        assert_eq!(show.extend(extend(1, 600), now).code(), RejectionCode::ReservationExpired);
    }
}

/// Found and in this pool → owner → status → expiry → longest hold → ceiling in all → its seats,
/// each neighbouring pair failing at once.
#[test]
fn the_first_check_that_fails_gives_the_code() {
    let mut show = reserved();
    show.world.limits =
        Limits { hold_seconds_max: 700, hold_total_seconds_max: 900, ..Limits::default() };
    assert_eq!(show.extend(extend(9, 600), "10:05:00").code(), RejectionCode::ReservationNotFound);
    for pool in [event(EVENT + 1), store("s")] {
        let ran = show.run(&pool, Action::Extend(by(extend(1, 600), "ben")), "10:05:00");
        assert_eq!(ran.code(), RejectionCode::ReservationNotFound, "pool before owner");
    }
    let ran = show.extend(by(extend(1, 600), "ben"), "10:10:00");
    assert_eq!(ran.code(), RejectionCode::NotOwner, "owner before expiry");
    let ran = show.extend(extend(1, 701), "10:10:00");
    assert_eq!(ran.code(), RejectionCode::ReservationExpired, "expiry before limits");
    show.reserve(reserve(2, "ben", &["A-2"], &[]), "10:10:00").reservation();
    let ran = show.extend(extend(1, 700), "10:09:59");
    assert_eq!(ran.code(), RejectionCode::LimitExceeded, "the ceiling before its seats");
    let ran = show.extend(extend(1, 60), "10:09:59");
    assert_eq!(ran.code(), RejectionCode::ReservationExpired);
    let ran = show.extend(extend(1, 1), "10:09:59");
    assert_eq!(ran.changes, [], "an end that is not later asks nothing of its seats");
    assert!(matches!(ran.verdict.outcome, Outcome::Extended { .. }));
    show.world.limits.hold_seconds_max = 1;
    let ran = show.extend(extend(1, 2), "10:00:01");
    assert_eq!(ran.code(), RejectionCode::LimitExceeded, "the longest hold even if not later");
    show.cancel(cancel(1), "10:05:00");
    let ran = show.extend(by(extend(1, 2), "ben"), "10:05:00");
    assert_eq!(ran.code(), RejectionCode::NotOwner, "owner before status");
    let ran = show.extend(by(extend(1, 2), "ann"), "10:10:00");
    assert_eq!(ran.code(), RejectionCode::ReservationCancelled, "status before expiry and limits");
}
