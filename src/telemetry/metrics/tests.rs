use std::collections::BTreeMap;

use super::*;
use crate::{
    domain::{Rejection, RejectionCode},
    gateway::{
        limits::Lane,
        observer::{AnsweredRequest, Protocol, RequestCode, RequestObserver as _},
    },
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
        "inventory_duplicate_commands_total 1",
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
        "inventory_dynamodb_capacity_units_total{table=\"seats\"} 2.5",
        "inventory_dynamodb_capacity_units_total{table=\"ledger\"} 0",
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
fn one_line_that_comes_back_does_not_hide_another_that_goes() {
    let metrics = Metrics::new().unwrap();
    metrics.observe(&Event::Oversold(Oversold { below: 2, back: 3 }));
    metrics.observe(&Event::Oversold(Oversold { below: 1, back: 1 }));
    for expected in ["inventory_lines_oversold_total 3", "inventory_lines_recovered_total 4"] {
        assert_eq!(line(&metrics, expected), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_waits_is_seen_past_the_next_receive() {
    let metrics = Metrics::new().unwrap();
    let receive = |seconds| {
        let oldest_age = Duration::from_secs(seconds);
        metrics.observe(&Event::Received { queue: "commands.fifo", messages: 1, oldest_age });
    };
    let start = "inventory_oldest_message_age_seconds{queue=\"commands.fifo\"}";
    receive(700);
    tokio::time::advance(Duration::from_secs(60)).await;
    receive(1);
    assert_eq!(line(&metrics, start), format!("{start} 700"));
    tokio::time::advance(Duration::from_secs(60)).await;
    receive(2);
    assert_eq!(line(&metrics, start), format!("{start} 2"));
}

/// Rows of the metrics table in the guide: name, labels, name in CloudWatch.
fn documented() -> Vec<(String, Vec<String>, String)> {
    let guide = include_str!("../../../docs/operations/reference.md");
    let section = guide.split("\n## Metrics\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let rows = rows.map(|row| {
        let mut cells = row.split('|').skip(1).map(|cell| cell.trim().trim_matches('`'));
        let (first, named) = (cells.next().unwrap(), cells.next().unwrap());
        let (name, labels) = first.split_once('{').unwrap_or((first, "}"));
        let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
        (format!("inventory_{name}"), labels.map(str::to_owned).collect(), named.to_owned())
    });
    rows.collect()
}

/// Every metric that can exist, with its labels.
fn exposed(metrics: &Metrics) -> Vec<(String, Vec<String>)> {
    let _shown = crate::telemetry::Readiness::of(["queues"]).reported_to(metrics);
    let oldest_age = Duration::from_secs(3);
    metrics.observe(&Event::Received { queue: "commands.fifo", messages: 1, oldest_age });
    metrics.in_flight(Lane::Commands, 1);
    metrics.answered(&AnsweredRequest {
        protocol: Protocol::Http,
        operation: "GET /commands",
        code: RequestCode::Status(503),
        took: oldest_age,
    });
    let families = metrics.gather();
    let exposed = families.iter().map(|family| {
        let labels = family.get_metric()[0].get_label();
        (family.name().to_owned(), labels.iter().map(|label| label.name().to_owned()).collect())
    });
    exposed.collect()
}

#[test]
fn the_guide_lists_exactly_the_figures_there_are_with_their_labels() {
    let metrics = Metrics::new().unwrap();
    let sorted = |(name, mut labels): (String, Vec<String>)| {
        labels.sort();
        (name, labels)
    };
    let mut documented: Vec<_> =
        documented().into_iter().map(|(name, labels, _)| sorted((name, labels))).collect();
    documented.sort();
    let mut exposed: Vec<_> = exposed(&metrics).into_iter().map(sorted).collect();
    exposed.sort();
    assert_eq!(exposed, documented);
}

#[test]
fn the_guide_has_the_names_that_cloudwatch_gets() {
    for (name, _, named) in documented() {
        let in_cloudwatch = crate::telemetry::emf::name_of(&name).unwrap_or("");
        assert_eq!(in_cloudwatch, named, "{name}");
    }
}

#[test]
fn every_figure_says_what_it_is_and_in_which_unit() {
    let metrics = Metrics::new().unwrap();
    exposed(&metrics);
    let text = metrics.encode().unwrap();
    for family in metrics.gather() {
        let name = family.name();
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
        let is_counter = family.get_field_type() == prometheus::proto::MetricType::COUNTER;
        assert_eq!(name.ends_with("_total"), is_counter, "{name}");
    }
}

#[test]
fn a_pause_counts_by_how_long_it_is_to_be() {
    let metrics = Metrics::new().unwrap();
    metrics.observe(&Event::Paused(Duration::from_millis(1_500)));
    let expected = "inventory_receive_paused_seconds_total 1.5";
    assert_eq!(line(&metrics, expected), expected);
}

#[tokio::test(start_paused = true)]
async fn a_moment_in_which_nothing_is_received_counts_once() {
    let metrics = Metrics::new().unwrap();
    let seconds = Duration::from_secs;
    let paused = || line(&metrics, "inventory_receive_paused_seconds_total");
    // Three pollers whose receive hung for 15 s, and two breakers that pause.
    for _ in 0..3 {
        metrics.observe(&Event::CallFailed { took: seconds(15) });
    }
    tokio::time::advance(seconds(60)).await;
    for _ in 0..3 {
        metrics.observe(&Event::CallFailed { took: seconds(15) });
    }
    metrics.observe(&Event::Paused(seconds(2)));
    metrics.observe(&Event::Paused(seconds(5)));
    assert_eq!(paused(), "inventory_receive_paused_seconds_total 35");
    tokio::time::advance(seconds(10)).await;
    metrics.observe(&Event::CallFailed { took: seconds(7) });
    assert_eq!(paused(), "inventory_receive_paused_seconds_total 40");
}

#[test]
fn two_registries_do_not_share_figures() {
    let (one, other) = (Metrics::new().unwrap(), Metrics::new().unwrap());
    one.observe(&Event::ExpiriesPosted(1));
    assert_eq!(
        line(&one, "inventory_expirations_enqueued_total"),
        "inventory_expirations_enqueued_total 1"
    );
    assert_eq!(
        line(&other, "inventory_expirations_enqueued_total"),
        "inventory_expirations_enqueued_total 0"
    );
}
