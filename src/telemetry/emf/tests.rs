use super::*;
use crate::{
    domain::{Outcome, Rejection, RejectionCode, RestockSummary},
    gateway::observer::RequestObserver as _,
    worker::{Event, Observer as _},
};

const NAMESPACE: &str = "Inventory";

fn at() -> Timestamp {
    "2026-11-22T10:00:00.123Z".parse().unwrap()
}

fn lines(emf: &mut Emf, metrics: &Metrics) -> Vec<Value> {
    let text = emf.lines(&metrics.gather(), at());
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The line with these dimensions and no others.
fn with<'a>(lines: &'a [Value], dimensions: &[(&str, &str)]) -> &'a Value {
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    let is_it = |line: &&Value| {
        line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == json!([names])
            && dimensions.iter().all(|(name, value)| line[name] == *value)
    };
    lines.iter().find(is_it).unwrap_or_else(|| panic!("no {dimensions:?} in {lines:#?}"))
}

fn restocked(metrics: &Metrics, outcome: &Outcome) {
    let (command_type, took) = (Some(CommandType::Restock), Duration::from_millis(12));
    metrics.observe(&Event::Decided { command_type, outcome, replayed: false, took });
}

fn applied() -> Outcome {
    let restock = RestockSummary { lines_applied: 5, ..RestockSummary::default() };
    Outcome::Restocked { restock, reason: None, reference: None }
}

#[test]
fn a_line_is_of_the_embedded_metric_format() {
    let metrics = Metrics::new().unwrap();
    restocked(&metrics, &applied());
    let lines = lines(&mut Emf::new(NAMESPACE.to_owned()), &metrics);
    for line in &lines {
        assert_eq!(line["_aws"]["Timestamp"], 1_795_341_600_123_i64);
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], NAMESPACE);
        let metrics = directive["Metrics"].as_array().unwrap();
        assert!((1..=100).contains(&metrics.len()));
        for metric in metrics {
            let value = &line[metric["Name"].as_str().unwrap()];
            let is_array = value.as_array().is_some_and(|values| {
                (1..=100).contains(&values.len()) && values.iter().all(Value::is_number)
            });
            assert!(value.is_number() || is_array, "{metric}: {value}");
            assert!(["Count", "Seconds", "Percent"].contains(&metric["Unit"].as_str().unwrap()));
        }
        for set in directive["Dimensions"].as_array().unwrap() {
            for name in set.as_array().unwrap() {
                assert!(line[name.as_str().unwrap()].is_string(), "{name} of {line}");
            }
        }
    }
}

#[test]
fn counts_are_those_since_the_line_before_in_all_and_by_label() {
    let metrics = Metrics::new().unwrap();
    let mut emf = Emf::new(NAMESPACE.to_owned());
    restocked(&metrics, &applied());
    restocked(&metrics, &applied());
    let rejection = Rejection::new(RejectionCode::LimitExceeded, "no");
    restocked(&metrics, &Outcome::Rejected { rejection });
    let first = lines(&mut emf, &metrics);
    let all = with(&first, &[]);
    for (name, value) in [
        ("Commands", 3.0),
        ("InventoryUpdated", 2.0),
        ("UpdateError", 1.0),
        ("RestockLines", 10.0),
        ("Rejections", 1.0),
        ("DeadLettered", 0.0),
    ] {
        assert_eq!(all[name], value, "{name}");
    }
    let by_type = [("Outcome", "restocked"), ("Type", "inventory.restock.v1")];
    assert_eq!(with(&first, &by_type)["Commands"], 2.0);
    assert_eq!(with(&first, &[("Code", "LIMIT_EXCEEDED")])["Rejections"], 1.0);

    restocked(&metrics, &applied());
    let second = lines(&mut emf, &metrics);
    assert_eq!(with(&second, &[])["Commands"], 1.0);
    assert_eq!(with(&second, &by_type)["Commands"], 1.0);
    let quiet = lines(&mut emf, &metrics);
    // A gauge is told as it stands, under its labels too.
    let counted = quiet.iter().filter(|line| line["Kind"].is_null());
    assert_eq!(counted.count(), 1, "nothing new under any label: {quiet:#?}");
    assert_eq!(with(&quiet, &[])["Commands"], 0.0);
}

#[test]
fn a_storm_is_told_by_what_it_posts_what_is_decided_of_it_and_what_it_takes() {
    let metrics = Metrics::new().unwrap();
    let mut emf = Emf::new(NAMESPACE.to_owned());
    (0..5).for_each(|_| metrics.stress_posted());
    StressOutcome::ALL.into_iter().for_each(|outcome| metrics.stressed(outcome));
    metrics.stress_cpu(42.0);
    let first = lines(&mut emf, &metrics);
    let all = with(&first, &[]);
    for (name, value) in [
        ("RestockIterations", json!(5.0)),
        ("RestockCompleted", json!(2.0)),
        ("StressCommands", json!(4.0)),
        ("RestockCPU", json!([45.0])),
    ] {
        assert_eq!(all[name], value, "{name}");
    }
    let metric = json!({ "Name": "RestockCPU", "Unit": "Percent" });
    let told = all["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
    assert!(told.contains(&metric), "{told:?}");
    let quiet = lines(&mut emf, &metrics);
    let all = with(&quiet, &[]);
    assert_eq!((&all["RestockIterations"], &all["RestockCompleted"]), (&json!(0.0), &json!(0.0)));
    assert!(all["RestockCPU"].is_null(), "no storm runs");
}

#[test]
fn a_gauge_is_told_as_it_stands_and_of_several_the_largest() {
    let metrics = Metrics::new().unwrap();
    for (queue, age) in [("a.fifo", 7), ("b.fifo", 3)] {
        let oldest_age = Duration::from_secs(age);
        metrics.observe(&Event::Received { queue, messages: 1, oldest_age });
    }
    metrics.observe(&Event::InFlight(4));
    let lines = lines(&mut Emf::new(NAMESPACE.to_owned()), &metrics);
    let all = with(&lines, &[]);
    assert_eq!((&all["OldestMessageAge"], &all["MessagesInFlight"]), (&json!(7.0), &json!(4.0)));
    assert_eq!(with(&lines, &[("Queue", "b.fifo")])["OldestMessageAge"], 3.0);
}

#[test]
fn a_histogram_is_told_by_a_sample_of_its_buckets() {
    // All in the first bucket, two in the second, and one beyond the last bound.
    assert_eq!(values(&[(1.0, 1), (2.0, 2), (2.0, 1)]), [0.5, 1.25, 1.75, 2.0]);
    let many = values(&[(1.0, 980_000), (10.0, 20_000)]);
    assert_eq!(many.len(), 100);
    assert_eq!(many.iter().filter(|value| **value > 1.0).count(), 2);
    assert!(values(&[(1.0, 0), (2.0, 0)]).is_empty());

    let metrics = Metrics::new().unwrap();
    let mut emf = Emf::new(NAMESPACE.to_owned());
    metrics.observe(&Event::Batch { messages: 10, commands: 10 });
    assert_eq!(with(&lines(&mut emf, &metrics), &[])["BatchSize"], json!([9.5]));
    assert!(with(&lines(&mut emf, &metrics), &[])["BatchSize"].is_null(), "nothing new");
    metrics.observe(&Event::Batch { messages: 1, commands: 1 });
    assert_eq!(with(&lines(&mut emf, &metrics), &[])["BatchSize"], json!([0.5]));
}

#[test]
fn every_figure_has_a_name_in_cloudwatch() {
    let metrics = Metrics::new().unwrap();
    let unnamed = metrics.gather().into_iter().map(|family| family.name().to_owned());
    let unnamed: Vec<String> = unnamed.filter(|name| names::of(name).is_none()).collect();
    assert_eq!(unnamed, ["inventory_build_info"]);
}
