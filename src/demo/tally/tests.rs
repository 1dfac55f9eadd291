//! The books notice what must never happen, and nothing else.

use serde_json::json;

use super::*;

const MADE: u32 = 0;
const EXPIRES: u32 = 10;

fn at(second: u32) -> String {
    format!("2026-11-22T10:00:{second:02}Z")
}

fn key(id: &str) -> CommandKey {
    CommandKey { source: "/demo".parse().unwrap(), id: id.parse().unwrap() }
}

/// A result about a reservation of seat A-1.
fn seat_result(
    id: &str,
    kind: &str,
    reservation: u128,
    version: u64,
    made: u32,
    time: u32,
) -> ResultView {
    let status = match kind {
        result::RESERVED => "ACTIVE",
        result::CONFIRMED => "CONFIRMED",
        result::CANCELLED => "CANCELLED",
        _ => "EXPIRED",
    };
    let body = json!({
        "id": Uuid::new_v5(&Uuid::nil(), id.as_bytes()), "type": kind, "time": at(time),
        "data": {
            "command": { "source": "/demo", "id": id }, "event_id": 1,
            "reservation": {
                "reservation_id": Uuid::from_u128(reservation), "user_id": "u", "status": status,
                "version": version, "seats": ["A-1"], "lines": [],
                "created_at": at(made), "expires_at": at(made + EXPIRES),
            },
        },
    });
    serde_json::from_value(body).unwrap()
}

fn rejected(id: &str, code: &str) -> ResultView {
    let body = json!({
        "id": Uuid::new_v5(&Uuid::nil(), id.as_bytes()), "type": result::REJECTED, "time": at(1),
        "data": {
            "command": { "source": "/demo", "id": id }, "event_id": 1,
            "rejection": { "code": code, "message": "no" },
        },
    });
    serde_json::from_value(body).unwrap()
}

/// The problems of books in which all of these were expected.
fn problems_of(results: &[ResultView]) -> Vec<String> {
    let mut tally = Tally::default();
    let any: Expected = &[result::RESERVED, result::CONFIRMED, result::CANCELLED, result::EXPIRED];
    for result in results {
        tally.ask(&result.key(), any, Instant::now());
        assert_eq!(tally.answer(result, Instant::now()), Some(true));
    }
    tally.close();
    tally.problems
}

#[test]
fn a_seat_held_by_two_at_once_is_noticed() {
    let first = seat_result("a", result::RESERVED, 1, 1, MADE, MADE);
    let second = seat_result("b", result::RESERVED, 2, 1, 5, 5);
    let problems = problems_of(&[first, second]);
    assert_eq!(problems, ["seat A-1 was given to two at the same time"]);
}

#[test]
fn a_seat_sold_and_given_to_another_later_is_noticed() {
    let problems = problems_of(&[
        seat_result("a", result::RESERVED, 1, 1, MADE, MADE),
        seat_result("b", result::CONFIRMED, 1, 2, MADE, 3),
        seat_result("c", result::RESERVED, 2, 1, 20, 20),
    ]);
    assert_eq!(problems, ["seat A-1 was given to two at the same time"]);
}

#[test]
fn a_seat_that_came_back_may_go_to_another() {
    let reserved = || seat_result("a", result::RESERVED, 1, 1, MADE, MADE);
    let next = |made| seat_result("z", result::RESERVED, 2, 1, made, made);
    let cancelled = seat_result("b", result::CANCELLED, 1, 2, MADE, 4);
    assert_eq!(problems_of(&[reserved(), cancelled, next(4)]), [""; 0]);
    // Taken over at the end of the hold, before the expiry.
    let expired = seat_result("b", result::EXPIRED, 1, 2, MADE, 13);
    assert_eq!(problems_of(&[reserved(), expired, next(EXPIRES)]), [""; 0]);
    let sold = seat_result("b", result::CONFIRMED, 1, 2, MADE, 3);
    let refunded = seat_result("c", result::CANCELLED, 1, 3, MADE, 5);
    assert_eq!(problems_of(&[reserved(), sold, refunded, next(5)]), [""; 0]);
}

#[test]
fn a_command_without_its_outcome_is_noticed() {
    let mut tally = Tally::default();
    tally.ask(&key("a"), &[result::RESERVED], Instant::now());
    tally.close();
    assert_eq!(tally.problems, ["/demo a: 0 outcomes for 1 commands"]);
}

#[test]
fn an_outcome_nobody_expects_is_noticed() {
    let mut tally = Tally::default();
    tally.ask(&key("a"), &[result::RESERVED, "SEATS_UNAVAILABLE"], Instant::now());
    assert_eq!(tally.answer(&rejected("a", "NOT_OWNER"), Instant::now()), Some(false));
    assert_eq!(tally.answer(&rejected("b", "NOT_OWNER"), Instant::now()), Some(false));
    assert_eq!(
        tally.problems,
        [
            "/demo a came to NOT_OWNER, expected inventory.reserved.v1 or SEATS_UNAVAILABLE",
            "/demo b was answered more often than asked",
        ]
    );
}

#[test]
fn a_result_delivered_twice_counts_once() {
    let mut tally = Tally::default();
    tally.ask(&key("a"), &["NOT_OWNER"], Instant::now());
    assert_eq!(tally.answer(&rejected("a", "NOT_OWNER"), Instant::now()), Some(true));
    assert_eq!(tally.answer(&rejected("a", "NOT_OWNER"), Instant::now()), None);
    tally.close();
    assert_eq!((tally.decided(), tally.redelivered, tally.problems.len()), (1, 1, 0));
}

#[test]
fn a_hold_that_must_run_out_and_does_not_is_noticed() {
    let mut tally = Tally::default();
    tally.runs_out(Uuid::from_u128(1));
    assert!(!tally.all_ran_out());
    tally.close();
    assert!(tally.problems[0].contains("ran out and was not released"), "{:?}", tally.problems);
}

#[test]
fn a_percentile_is_a_value_that_was_measured() {
    let mut tally = Tally::default();
    assert_eq!(tally.percentile(50), None);
    tally.latencies = (1..=100).rev().map(Duration::from_millis).collect();
    assert_eq!(tally.percentile(50), Some(Duration::from_millis(50)));
    assert_eq!(tally.percentile(99), Some(Duration::from_millis(99)));
    tally.latencies.truncate(1);
    assert_eq!(tally.percentile(99), Some(Duration::from_millis(100)));
}
