//! Every forbidden result is detected, and no allowed one is reported.

use super::*;
use crate::{
    domain::{Changes, Outcome, Rejection, RejectionCode},
    message::AnsweredCommand,
};

const MADE: u32 = 0;
const EXPIRES: u32 = 10;

fn at(second: u32) -> Timestamp {
    format!("2026-11-22T10:00:{second:02}Z").parse().unwrap()
}

fn key(id: &str) -> CommandKey {
    CommandKey { source: "/demo".parse().unwrap(), id: id.parse().unwrap() }
}

/// The result of a command of that id on event 1.
fn result_of(id: &str, time: u32, outcome: Outcome) -> DecodedResult {
    let command = AnsweredCommand { key: key(id), command_type: None, sequence: None };
    DecodedResult {
        id: Uuid::new_v5(&Uuid::nil(), id.as_bytes()),
        time: at(time),
        command,
        pool: Some(PoolId::Event(1)),
        outcome,
        changes: Changes::NONE,
        traceparent: None,
    }
}

fn reservation_id(number: u128) -> ReservationId {
    ReservationId(Uuid::from_u128(number))
}

/// A result about a reservation of seat A-1.
fn seat_result(
    id: &str,
    kind: &str,
    reservation: u128,
    version: u64,
    [made, time]: [u32; 2],
) -> DecodedResult {
    let reservation = |status| Reservation {
        reservation_id: reservation_id(reservation),
        pool: PoolId::Event(1),
        source: "/services/booking".parse().unwrap(),
        user_id: "u".parse().unwrap(),
        status,
        version,
        seats: vec!["A-1".parse().unwrap()],
        lines: Vec::new(),
        booking_id: None,
        goods: None,
        fulfilled_at: None,
        created_at: at(made),
        expires_at: at(made + EXPIRES),
        ended_at: None,
    };
    let outcome = match kind {
        result::RESERVED => {
            Outcome::Reserved { reservation: reservation(ReservationStatus::Active) }
        }
        result::CONFIRMED => {
            Outcome::Confirmed { reservation: reservation(ReservationStatus::Confirmed) }
        }
        result::CANCELLED => {
            let reservation = reservation(ReservationStatus::Cancelled);
            Outcome::Cancelled { reservation, reason: None }
        }
        _ => Outcome::Expired { reservation: reservation(ReservationStatus::Expired) },
    };
    result_of(id, time, outcome)
}

fn not_owner(id: &str) -> DecodedResult {
    let rejection = Rejection::new(RejectionCode::NotOwner, "no");
    result_of(id, 1, Outcome::Rejected { rejection })
}

/// The problems if all of these results are expected.
fn problems_of(results: &[DecodedResult]) -> Vec<String> {
    let mut expectations = Expectations::default();
    let any: ExpectedOutcomes =
        &[result::RESERVED, result::CONFIRMED, result::CANCELLED, result::EXPIRED];
    for result in results {
        expectations.expect(&result.command.key, any);
        assert!(expectations.record(result) && expectations.was_expected(result));
    }
    expectations.close();
    expectations.problems
}

#[test]
fn a_seat_held_by_two_at_once_is_noticed() {
    let first = seat_result("a", result::RESERVED, 1, 1, [MADE, MADE]);
    let second = seat_result("b", result::RESERVED, 2, 1, [5, 5]);
    let problems = problems_of(&[first, second]);
    assert_eq!(problems, ["seat A-1 was given to two at the same time"]);
}

#[test]
fn a_seat_sold_and_given_to_another_later_is_noticed() {
    let problems = problems_of(&[
        seat_result("a", result::RESERVED, 1, 1, [MADE, MADE]),
        seat_result("b", result::CONFIRMED, 1, 2, [MADE, 3]),
        seat_result("c", result::RESERVED, 2, 1, [20, 20]),
    ]);
    assert_eq!(problems, ["seat A-1 was given to two at the same time"]);
}

#[test]
fn a_seat_that_came_back_may_go_to_another() {
    let reserved = || seat_result("a", result::RESERVED, 1, 1, [MADE, MADE]);
    let next = |made| seat_result("z", result::RESERVED, 2, 1, [made, made]);
    let cancelled = seat_result("b", result::CANCELLED, 1, 2, [MADE, 4]);
    assert_eq!(problems_of(&[reserved(), cancelled, next(4)]), [""; 0]);
    // Taken over at the end of the hold, before the expiry.
    let expired = seat_result("b", result::EXPIRED, 1, 2, [MADE, 13]);
    assert_eq!(problems_of(&[reserved(), expired, next(EXPIRES)]), [""; 0]);
    let sold = seat_result("b", result::CONFIRMED, 1, 2, [MADE, 3]);
    let refunded = seat_result("c", result::CANCELLED, 1, 3, [MADE, 5]);
    assert_eq!(problems_of(&[reserved(), sold, refunded, next(5)]), [""; 0]);
}

#[test]
fn a_command_without_its_outcome_is_noticed() {
    let mut expectations = Expectations::default();
    expectations.expect(&key("a"), &[result::RESERVED]);
    expectations.close();
    assert_eq!(expectations.problems, ["/demo a: 0 outcomes for 1 commands"]);
}

#[test]
fn an_unexpected_outcome_is_noticed() {
    let mut expectations = Expectations::default();
    expectations.expect(&key("a"), &[result::RESERVED, "SEATS_UNAVAILABLE"]);
    for result in [not_owner("a"), not_owner("b")] {
        assert!(expectations.record(&result) && !expectations.was_expected(&result));
    }
    assert_eq!(
        expectations.problems,
        [
            "/demo a resulted in NOT_OWNER, expected inventory.reserved.v1 or SEATS_UNAVAILABLE",
            "/demo b has more results than commands",
        ]
    );
}

#[test]
fn a_result_delivered_twice_counts_once() {
    let mut expectations = Expectations::default();
    expectations.expect(&key("a"), &["NOT_OWNER"]);
    assert!(expectations.record(&not_owner("a")) && expectations.was_expected(&not_owner("a")));
    assert!(!expectations.record(&not_owner("a")), "a repetition");
    expectations.close();
    assert_eq!(
        (expectations.decided(), expectations.redelivered, expectations.problems.len()),
        (1, 1, 0)
    );
}

#[test]
fn a_hold_that_must_run_out_and_does_not_is_noticed() {
    let mut expectations = Expectations::default();
    expectations.runs_out(reservation_id(1));
    assert!(!expectations.all_ran_out());
    expectations.close();
    assert!(
        expectations.problems[0].contains("ran out and was not released"),
        "{:?}",
        expectations.problems
    );
}

#[test]
fn a_percentile_is_a_value_that_was_measured() {
    let mut expectations = Expectations::default();
    assert_eq!(expectations.percentile(50), None);
    expectations.latencies = (1..=100).rev().map(Duration::from_millis).collect();
    assert_eq!(expectations.percentile(50), Some(Duration::from_millis(50)));
    assert_eq!(expectations.percentile(99), Some(Duration::from_millis(99)));
    expectations.latencies.truncate(1);
    assert_eq!(expectations.percentile(99), Some(Duration::from_millis(100)));
}
