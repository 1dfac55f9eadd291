use std::collections::BTreeMap;

use super::*;
use crate::{
    domain::{Rejection, RejectionCode},
    ports::Table,
};

fn line(metrics: &Metrics, start: &str) -> String {
    let text = metrics.encode().unwrap();
    let found = text.lines().find(|line| line.starts_with(start));
    found.unwrap_or_else(|| panic!("no {start} in\n{text}")).to_owned()
}

#[test]
fn every_rejection_code_is_there_at_zero_from_the_start() {
    let metrics = Metrics::new().unwrap();
    for code in RejectionCode::ALL {
        let start = format!("inventory_rejections_total{{code=\"{}\"}}", code.as_str());
        assert_eq!(line(&metrics, &start), format!("{start} 0"));
    }
}

#[test]
fn every_reason_for_dead_letters_is_there_at_zero_from_the_start() {
    let metrics = Metrics::new().unwrap();
    for reason in ["POISON", "INVALID_MESSAGE", "UNSUPPORTED_TYPE"] {
        let start = format!("inventory_dead_lettered_total{{reason=\"{reason}\"}}");
        assert_eq!(line(&metrics, &start), format!("{start} 0"));
    }
}

fn rejected(code: RejectionCode) -> Outcome {
    Outcome::Rejected { rejection: Rejection::new(code, "no") }
}

fn decided(metrics: &Metrics, kind: Option<CommandType>, outcome: &Outcome, replayed: bool) {
    let took = Duration::from_millis(12);
    metrics.observe(&Event::Decided { command_type: kind, outcome, replayed, took });
}

#[test]
fn a_rejection_counts_as_an_outcome_and_by_its_code() {
    let metrics = Metrics::new().unwrap();
    decided(&metrics, Some(CommandType::Confirm), &rejected(RejectionCode::NotOwner), false);
    decided(&metrics, None, &rejected(RejectionCode::InvalidMessage), false);
    for expected in [
        "inventory_commands_total{outcome=\"rejected\",type=\"inventory.confirm.v1\"} 1",
        "inventory_commands_total{outcome=\"rejected\",type=\"unknown\"} 1",
        "inventory_rejections_total{code=\"NOT_OWNER\"} 1",
        "inventory_rejections_total{code=\"INVALID_MESSAGE\"} 1",
        "inventory_command_duration_seconds_count{type=\"inventory.confirm.v1\"} 1",
    ] {
        assert_eq!(line(&metrics, expected), expected);
    }
}

#[test]
fn a_replay_is_no_second_decision() {
    let metrics = Metrics::new().unwrap();
    let outcome = rejected(RejectionCode::NotOwner);
    decided(&metrics, Some(CommandType::Confirm), &outcome, false);
    decided(&metrics, Some(CommandType::Confirm), &outcome, true);
    for expected in [
        "inventory_commands_total{outcome=\"rejected\",type=\"inventory.confirm.v1\"} 1",
        "inventory_rejections_total{code=\"NOT_OWNER\"} 1",
        "inventory_replays_total 1",
    ] {
        assert_eq!(line(&metrics, expected), expected);
    }
}

#[test]
fn a_commit_is_counted_by_its_result_with_what_it_consumed() {
    let metrics = Metrics::new().unwrap();
    let write_units = BTreeMap::from([(Table::Seats, 2.5), (Table::Ledger, f64::NAN)]);
    metrics.observe(&Event::Commit(&Ok(Consumed { write_units })));
    metrics.observe(&Event::Commit(&Err(CommitError::Conflict(String::new()))));
    for expected in [
        "inventory_commit_attempts_total{result=\"committed\"} 1",
        "inventory_commit_attempts_total{result=\"conflict\"} 1",
        "inventory_commit_attempts_total{result=\"invalid\"} 0",
        "inventory_version_conflicts_total 1",
        "inventory_store_capacity_units_total{table=\"seats\"} 2.5",
        "inventory_store_capacity_units_total{table=\"ledger\"} 0",
    ] {
        assert_eq!(line(&metrics, expected), expected);
    }
}

#[test]
fn messages_that_leave_are_no_longer_in_flight() {
    let metrics = Metrics::new().unwrap();
    metrics.observe(&Event::InFlight(10));
    metrics.observe(&Event::InFlight(-4));
    let expected = "inventory_messages_in_flight 6";
    assert_eq!(line(&metrics, expected), expected);
}

#[test]
fn every_figure_says_what_it_is_and_in_which_unit() {
    let metrics = Metrics::new().unwrap();
    decided(&metrics, Some(CommandType::Reserve), &rejected(RejectionCode::SeatNotFound), false);
    let oldest_age = Duration::from_secs(3);
    metrics.observe(&Event::Received { queue: "commands.fifo", messages: 1, oldest_age });
    metrics.observe(&Event::DeadLettered { reason: "INVALID_MESSAGE" });
    let text = metrics.encode().unwrap();
    let types: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE inventory_")).collect();
    insta::assert_snapshot!(types.join("\n"), @r"
    batch_size histogram
    build_info gauge
    command_duration_seconds histogram
    commands_total counter
    commit_attempts_total counter
    dead_lettered_total counter
    expired_total counter
    lease_lost_total counter
    lock_degraded_total counter
    lock_wait_seconds histogram
    messages_in_flight gauge
    oldest_message_age_seconds gauge
    oversold_lines gauge
    publish_duration_seconds histogram
    rejections_total counter
    replays_total counter
    restock_lines_total counter
    store_capacity_units_total counter
    sweeper_lag_seconds histogram
    version_conflicts_total counter
    ");
    assert_eq!(text.matches("# HELP inventory_").count(), types.len());
}

#[test]
fn two_registries_do_not_share_figures() {
    let (one, other) = (Metrics::new().unwrap(), Metrics::new().unwrap());
    one.observe(&Event::ExpiriesPosted(1));
    assert_eq!(line(&one, "inventory_expired_total"), "inventory_expired_total 1");
    assert_eq!(line(&other, "inventory_expired_total"), "inventory_expired_total 0");
}
