//! A restock that blocks a seat while it is held or sold.

use inventory_worker::domain::{
    Cancel, Outcome, RejectionCode, Restock, RestockStatus, RestockSummary, Seat, SeatChange,
};

use super::{Show, held, listed, reserved, restock_status};
use crate::world::{Ran, at, cancel, confirm, expire, refund, reserve, restock_seats, seat_change};

use RestockStatus::{Available, Blocked};

fn summary(ran: &Ran) -> &RestockSummary {
    match &ran.verdict.outcome {
        Outcome::Restocked { restock, .. } => restock,
        other => panic!("not restocked: {other:?}"),
    }
}

fn applied(seats_applied: u64) -> RestockSummary {
    RestockSummary { seats_applied, ..RestockSummary::default() }
}

/// A-1 is held and A-2 sold, and both are withheld.
fn withheld() -> Show {
    let mut show = Show::new();
    show.reserve(reserve(1, "ann", &["A-1"], &[]), "10:00:00");
    show.reserve(reserve(2, "ben", &["A-2"], &[]), "10:00:00");
    show.confirm(confirm(2, "b-2"), "10:00:01");
    show.restock(restock_status(&["A-1", "A-2"], Blocked), "10:00:02");
    show
}

#[test]
fn a_block_of_a_held_or_sold_seat_is_applied_as_a_mark_and_the_seat_stays_its_holders() {
    let mut show = Show::new();
    show.reserve(reserve(1, "ann", &["A-1"], &[]), "10:00:00");
    show.reserve(reserve(2, "ben", &["A-2"], &[]), "10:00:00");
    show.confirm(confirm(2, "b-2"), "10:00:01");
    let (was_held, was_sold) = (show.seat("A-1"), show.seat("A-2"));
    let ran = show.restock(restock_status(&["A-1", "A-2", "A-3"], Blocked), "10:00:02");
    assert_eq!(summary(&ran), &applied(3));
    let changes = ["A-1 v3 RESERVED until 10:10:00", "A-2 v4 BOOKED", "A-3 v2 BLOCKED"];
    assert_eq!(listed(&ran), changes);
    let marked = |was: Seat| Seat {
        withheld: true,
        version: was.version + 1,
        updated_at: at("10:00:02"),
        ..was
    };
    assert_eq!(show.seat("A-1"), marked(was_held));
    assert_eq!(show.seat("A-2"), marked(was_sold));
    assert!(!show.seat("A-3").withheld);
}

#[test]
fn only_the_mark_is_set_and_the_details_of_a_held_seat_stay() {
    let mut show = reserved();
    let priced =
        SeatChange { price: Some("1.00".parse().unwrap()), ..seat_change("A-1", Some(Blocked)) };
    let restock = Restock { seats: vec![priced], ..restock_seats(&[]) };
    assert_eq!(summary(&show.restock(restock, "10:01:00")), &applied(1));
    assert_eq!((show.seat("A-1").details.price, show.seat("A-1").withheld), (None, true));
}

#[test]
fn a_mark_that_is_there_is_applied_again_without_a_new_version() {
    let mut show = withheld();
    let ran = show.restock(restock_status(&["A-1", "A-2"], Blocked), "10:00:03");
    assert_eq!((summary(&ran), ran.changes.len()), (&applied(2), 0));
}

#[test]
fn available_takes_the_mark_away_and_without_a_mark_leaves_the_seat_alone() {
    let mut show = withheld();
    let ran = show.restock(restock_status(&["A-1", "A-2"], Available), "10:00:03");
    assert_eq!(summary(&ran), &applied(2));
    assert_eq!(listed(&ran), ["A-1 v4 RESERVED until 10:10:00", "A-2 v5 BOOKED"]);
    assert_eq!((show.seat("A-1").withheld, show.seat("A-2").withheld), (false, false));
    let ran = show.restock(restock_status(&["A-1", "A-2"], Available), "10:00:04");
    assert_eq!((summary(&ran).seats_skipped, ran.changes.len()), (2, 0));
    show.cancel(cancel(1), "10:00:05");
    assert_eq!(show.status("A-1"), "AVAILABLE");
}

#[test]
fn a_change_that_says_nothing_of_the_status_leaves_the_mark_and_the_seat_alone() {
    let mut show = withheld();
    let ran = show.restock(restock_seats(&["A-1", "A-2"]), "10:00:03");
    assert_eq!((summary(&ran).seats_skipped, ran.changes.len()), (2, 0));
    assert!(show.seat("A-1").withheld);
}

#[test]
fn a_withheld_seat_becomes_blocked_when_it_is_given_back_by_a_cancel_an_expiry_or_a_refund() {
    let give_back: [fn(&mut Show) -> Ran; 3] = [
        |show| show.cancel(cancel(1), "10:05:00"),
        |show| show.expire(expire(1), "10:10:00"),
        |show| show.cancel(refund(2), "10:05:00"),
    ];
    for (given_back, seat) in give_back.iter().zip(["A-1", "A-1", "A-2"]) {
        let mut show = withheld();
        let version = show.seat(seat).version;
        let ran = given_back(&mut show);
        assert_eq!(listed(&ran), [format!("{seat} v{} BLOCKED", version + 1)]);
        assert!(!show.seat(seat).withheld, "the mark has done its work");
        let ran = show.reserve(reserve(3, "cid", &[seat], &[]), "10:11:00");
        assert_eq!(ran.code(), RejectionCode::SeatsUnavailable);
        show.restock(restock_status(&[seat], Available), "10:12:00");
        show.reserve(reserve(3, "cid", &[seat], &[]), "10:13:00").reservation();
    }
}

#[test]
fn a_withheld_seat_becomes_blocked_even_where_the_cancel_says_available() {
    let mut show = withheld();
    show.cancel(Cancel { seats_to: Available, ..cancel(1) }, "10:05:00").reservation();
    assert_eq!(show.status("A-1"), "BLOCKED");
}

#[test]
fn the_owner_of_a_withheld_seat_can_confirm_it_and_the_mark_stays() {
    let mut show = withheld();
    show.confirm(confirm(1, "b-1"), "10:05:00").reservation();
    assert_eq!((show.status("A-1"), show.seat("A-1").withheld), ("BOOKED", true));
    show.cancel(refund(1), "10:06:00").reservation();
    assert_eq!(show.status("A-1"), "BLOCKED");
}

#[test]
fn a_withheld_seat_is_not_taken_over_after_its_hold_ran_out() {
    let mut show = withheld();
    for now in ["10:09:59", "10:10:00", "23:00:00"] {
        let ran = show.reserve(reserve(3, "cid", &["A-1"], &[]), now);
        assert_eq!(ran.code(), RejectionCode::SeatsUnavailable, "at {now}");
    }
    assert_eq!(show.seat("A-1").occupancy, held(1, "ann", at("10:10:00")));
    show.restock(restock_status(&["A-1"], Available), "23:00:01");
    show.reserve(reserve(3, "cid", &["A-1"], &[]), "23:00:02").reservation();
}
