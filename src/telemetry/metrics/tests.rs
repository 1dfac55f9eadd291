use std::collections::BTreeMap;

use super::*;
use crate::domain::Rejection;

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
fn a_rejection_counts_as_an_outcome_and_by_its_code() {
    let metrics = Metrics::new().unwrap();
    let rejection = Rejection::new(RejectionCode::NotOwner, "another user's");
    metrics.decided(CommandType::Confirm, &Outcome::Rejected { rejection });
    let commands = "inventory_commands_total{outcome=\"rejected\",\
                    type=\"inventory.confirm.v1\"} 1";
    assert_eq!(line(&metrics, commands), commands);
    let code = "inventory_rejections_total{code=\"NOT_OWNER\"} 1";
    assert_eq!(line(&metrics, code), code);
}

#[test]
fn a_commit_is_counted_by_its_result_with_what_it_consumed() {
    let metrics = Metrics::new().unwrap();
    let write_units = BTreeMap::from([(Table::Seats, 2.5), (Table::Ledger, f64::NAN)]);
    metrics.commit(&Ok(Consumed { write_units }));
    metrics.commit(&Err(CommitError::Conflict("seat".to_owned())));
    metrics.commit(&Err(PortError::Throttled("slow down".to_owned()).into()));
    for expected in [
        "inventory_commit_attempts_total{result=\"committed\"} 1",
        "inventory_commit_attempts_total{result=\"conflict\"} 1",
        "inventory_commit_attempts_total{result=\"throttled\"} 1",
        "inventory_version_conflicts_total 1",
        "inventory_store_capacity_units_total{table=\"seats\"} 2.5",
        "inventory_store_capacity_units_total{table=\"ledger\"} 0",
    ] {
        assert_eq!(line(&metrics, expected), expected);
    }
}

#[test]
fn every_figure_says_what_it_is_and_in_which_unit() {
    let metrics = Metrics::new().unwrap();
    metrics.outcome(CommandType::Reserve, "reserved");
    metrics.command_took(CommandType::Reserve, Duration::from_millis(12));
    metrics.oldest_message("inventory-commands.fifo", Duration::from_secs(3));
    metrics.dead_lettered("INVALID_MESSAGE");
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
    sweeper_lag_seconds gauge
    version_conflicts_total counter
    ");
    assert_eq!(text.matches("# HELP inventory_").count(), types.len());
}

#[test]
fn two_registries_do_not_share_figures() {
    let (one, other) = (Metrics::new().unwrap(), Metrics::new().unwrap());
    one.replayed();
    assert_eq!(line(&one, "inventory_replays_total"), "inventory_replays_total 1");
    assert_eq!(line(&other, "inventory_replays_total"), "inventory_replays_total 0");
}
