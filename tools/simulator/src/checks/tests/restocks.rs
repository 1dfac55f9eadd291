//! What a restock may do.

use super::*;
use inventory_worker::{domain::RejectedLine, ports::Check};

/// A restock of the line, applied or not: with `available` it becomes that, in version 2.
fn restocked(judged: &mut Judged, data: &str, available: Option<i64>) -> Transaction {
    let command = judged.send(&body("1", "restock", data));
    let summary = RestockSummary { lines_applied: 1, ..RestockSummary::default() };
    let outcome = Outcome::Restocked { restock: summary, reason: None, reference: None };
    let line = available.map(|available| line(available, 0, 2, at(1)));
    let changes = line.iter().map(line_state).collect();
    let expected = Expected::Version(1);
    let write = line.map(|line| Write::Line { key: line_key(), expected, line });
    let writes = write.into_iter().chain([changed(&command, outcome, changes, at(1))]).collect();
    Transaction { writes, checks: Vec::new() }
}

fn failed(data: &str, available: Option<i64>, checks: Vec<Check>) -> Option<&'static str> {
    let mut judged = Judged::new(SeatState::Available);
    let transaction = restocked(&mut judged, data, available);
    judged.commit(&Transaction { checks, ..transaction }, at(1))
}

#[test]
fn what_is_taken_away_must_be_there() {
    let add = |quantity: i64| {
        let data = format!(r#""mode":"add","lines":[{{"sku":"x","quantity":{quantity}}}]"#);
        failed(&data, Some(5 + quantity), Vec::new())
    };
    assert_eq!(add(-5), None);
    assert_eq!(add(-6), Some("restock"));
}

#[test]
fn a_count_from_the_future_silences_no_other() {
    let set = |as_of: &str| {
        let data =
            format!(r#""mode":"set","as_of":"{as_of}","lines":[{{"sku":"x","quantity":9}}]"#);
        let mut judged = Judged::new(SeatState::Available);
        let mut transaction = restocked(&mut judged, &data, Some(9));
        if let Some(Write::Line { line, .. }) = transaction.writes.first_mut() {
            line.as_of = as_of.parse().ok();
        }
        judged.commit(&transaction, at(1))
    };
    assert_eq!(set("2026-11-22T10:01:01Z"), None);
    assert_eq!(set("2026-11-22T10:01:01.001Z"), Some("as-of"));
}

#[test]
fn a_line_is_at_the_expected_version_when_it_is_committed() {
    let data = |expected: u64, quantity: u64| {
        format!(
            r#""mode":"add","lines":[{{"sku":"x","quantity":{quantity},"expected_version":{expected}}}]"#
        )
    };
    assert_eq!(failed(&data(1, 2), Some(7), Vec::new()), None);
    assert_eq!(failed(&data(2, 2), Some(7), Vec::new()), Some("restock"));
    // Nothing to write: the version is checked all the same.
    let check = Check::Line { key: line_key(), expected: Expected::Version(1) };
    assert_eq!(failed(&data(1, 0), None, vec![check]), None);
    assert_eq!(failed(&data(1, 0), None, Vec::new()), Some("effect"));
}

#[test]
fn a_mismatch_states_the_version_that_the_line_had() {
    for (stated, expected) in [(1, None), (3, Some("rejection"))] {
        let mut judged = Judged::new(SeatState::Available);
        let data = r#""mode":"add","lines":[{"sku":"x","quantity":1,"expected_version":2}]"#;
        let command = judged.send(&body("1", "restock", data));
        let line = RejectedLine::Version { sku: line_key().sku, expected: 2, actual: stated };
        let rejection =
            Rejection { lines: vec![line], ..Rejection::new(RejectionCode::VersionMismatch, "") };
        let write = outcome(&command, Outcome::Rejected { rejection }, at(1));
        let transaction = Transaction { writes: vec![write], checks: Vec::new() };
        assert_eq!(judged.commit(&transaction, at(1)), expected, "{stated}");
    }
}
