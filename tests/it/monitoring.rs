//! Dashboard and alerts against the binary they watch.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use inventory_worker::{
    config::GatewayConfig,
    gateway::{
        http,
        limits::Lane,
        observer::{AnsweredRequest, Protocol, RequestCode, RequestObserver as _},
    },
    telemetry::{Metrics, Readiness},
    worker::{Event, Observer as _},
};
use serde_json::Value;

const DASHBOARD: &str = include_str!("../../k8s/monitoring/dashboard.json");
const ALERTS: &str = include_str!("../../k8s/monitoring/alerts.yaml");
const ALARMS: &str = include_str!("../../k8s/aws/alarms.tf");
const POD_MONITOR: &str = include_str!("../../k8s/components/prometheus-operator/pod-monitor.yaml");
const PROTO: &str = include_str!("../../proto/inventory/v1/inventory.proto");
const GUIDE: &str = include_str!("../../docs/operations/runbook.md");

/// The guide's address on the web.
const GUIDE_URL: &str =
    concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/operations/runbook.md");

/// The pod's label that distinguishes sales workers, restock workers and gateways, and its name in
/// Prometheus.
const COMPONENT: (&str, &str) = ("app.kubernetes.io/component", "app_kubernetes_io_component");

/// Labels that the scrape adds.
const SCRAPED: [&str; 5] = ["namespace", "pod", "instance", "job", COMPONENT.1];

/// The Deployments of production: component, manifest, settings.
const DEPLOYED: [(&str, &str, &str); 3] = [
    (
        "worker",
        include_str!("../../k8s/base/worker/kustomization.yaml"),
        include_str!("../../k8s/base/worker/settings.env"),
    ),
    (
        "restock-worker",
        include_str!("../../k8s/base/restock-worker/kustomization.yaml"),
        include_str!("../../k8s/base/restock-worker/settings.env"),
    ),
    (
        "gateway",
        include_str!("../../k8s/base/gateway/kustomization.yaml"),
        include_str!("../../k8s/base/gateway/settings.env"),
    ),
];

/// Series at `/metrics`, with their labels: a histogram's three under their own names.
fn exposed() -> BTreeMap<String, BTreeSet<String>> {
    let metrics = Metrics::new().unwrap();
    let _shown = Readiness::of(["queues"]).reported_to(&metrics);
    let oldest_age = Duration::from_secs(3);
    metrics.observe(&Event::Received { queue: "commands.fifo", messages: 1, oldest_age });
    metrics.in_flight(Lane::Commands, 1);
    metrics.answered(&AnsweredRequest {
        protocol: Protocol::Http,
        operation: "GET /commands",
        code: RequestCode::Status(503),
        took: oldest_age,
    });
    let text = metrics.encode().unwrap();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let series = line.rsplit_once(' ').unwrap().0;
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            (name.to_owned(), label_names(labels))
        })
        .collect()
}

/// The names in `a="x",b=~"y"}`.
fn label_names(labels: &str) -> BTreeSet<String> {
    let quoted = labels.split('"').step_by(2);
    let names = quoted.map(|part| part.trim_matches([',', '=', '~', '!', '}', ' ']));
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The product's series in an expression, with the labels it selects by.
fn used(expression: &str) -> Vec<(String, BTreeSet<String>)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = expression.match_indices("inventory_").map(|(at, _)| at);
    let starts = starts.filter(|at| !expression[..*at].ends_with(is_part));
    starts
        .map(|at| {
            let rest = &expression[at..];
            let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            let selector = rest[end..].strip_prefix('{').and_then(|rest| rest.split('}').next());
            (rest[..end].to_owned(), label_names(selector.unwrap_or_default()))
        })
        .collect()
}

/// The labels in the groups of `by (…)`.
fn grouped_by(expression: &str) -> BTreeSet<String> {
    let groups = expression.split("by (").skip(1).map(|rest| rest.split(')').next().unwrap());
    groups.flat_map(|group| group.split(',')).map(|label| label.trim().to_owned()).collect()
}

#[track_caller]
fn assert_exposed(place: &str, expression: &str) {
    let exposed = exposed();
    let mut labels: BTreeSet<String> = SCRAPED.map(str::to_owned).into();
    for (series, selected) in used(expression) {
        let known = exposed.get(&series).unwrap_or_else(|| panic!("{place}: no {series}"));
        labels.extend(known.iter().cloned());
        for label in selected {
            let is_known = known.contains(&label) || SCRAPED.contains(&label.as_str());
            assert!(is_known, "{place}: {series} has no label {label}");
        }
    }
    if used(expression).is_empty() {
        return;
    }
    for label in grouped_by(expression) {
        assert!(labels.contains(&label), "{place}: no label {label} in {expression}");
    }
}

fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    dashboard["panels"].as_array().unwrap().clone()
}

/// Titles and expressions.
fn targets() -> Vec<(String, String)> {
    let of = |panel: &Value| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        let expressions = targets.into_iter().map(|target| target["expr"].clone());
        expressions
            .map(move |expression| (title.clone(), expression.as_str().unwrap().to_owned()))
            .collect::<Vec<_>>()
    };
    panels().iter().flat_map(of).collect()
}

/// An alert's expression, on one line.
fn expression(alert: &str) -> String {
    let rest = alert.split_once("expr: ").unwrap().1.trim_start_matches(">-\n");
    // The next key has the same indentation as `expr`.
    let is_of_it = |line: &&str| line.starts_with("          ");
    let first = rest.lines().next().unwrap_or_default();
    let lines = [first].into_iter().chain(rest.lines().skip(1).take_while(is_of_it));
    lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

/// An alert's lines, by its name.
fn alerts() -> BTreeMap<String, String> {
    let alerts = ALERTS.split("- alert: ").skip(1);
    let named = alerts.map(|alert| alert.split_once('\n').unwrap());
    named.map(|(name, rest)| (name.to_owned(), rest.to_owned())).collect()
}

#[test]
fn every_series_on_the_dashboard_is_one_the_binary_has() {
    let targets = targets();
    assert!(targets.len() > 20, "{targets:?}");
    for (title, expression) in &targets {
        assert_exposed(title, expression);
        assert!(!used(expression).is_empty(), "{title}: {expression}");
    }
}

#[test]
fn every_figure_is_on_the_dashboard() {
    let shown: BTreeSet<String> = targets()
        .iter()
        .flat_map(|(_, expression)| used(expression))
        .map(|(name, _)| name)
        .collect();
    let ends = ["_bucket", "_sum", "_count"];
    let missing = exposed().into_keys().filter(|name| {
        let figure = ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        !shown.iter().any(|series| series.starts_with(figure))
    });
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn panels_have_an_id_each_and_do_not_overlap() {
    let panels = panels();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    let mut taken = BTreeSet::new();
    for panel in &panels {
        let of = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        let (left, right, top) = (of("x"), of("x") + of("w"), of("y"));
        assert!(right <= 24, "{}", panel["title"]);
        for (x, y) in (left..right).flat_map(|x| (top..top + of("h")).map(move |y| (x, y))) {
            assert!(taken.insert((x, y)), "{} lies on another", panel["title"]);
        }
    }
}

#[test]
fn every_series_an_alert_rests_on_is_one_the_binary_has() {
    let alerts = alerts();
    assert!(alerts.len() >= 15);
    // Metrics of kube-state-metrics, and of KEDA from 2.17 on.
    let foreign = [
        "kube_pod_container_status_restarts_total",
        "kube_job_failed",
        "kube_horizontalpodautoscaler_spec_max_replicas",
        "kube_horizontalpodautoscaler_status_condition",
        "keda_scaler_metrics_value",
        "keda_scaled_object_errors_total",
    ];
    for (name, alert) in &alerts {
        let expression = &expression(alert);
        let is_ours = !used(expression).is_empty();
        assert!(is_ours || foreign.iter().any(|series| expression.contains(series)), "{name}");
        assert_exposed(name, expression);
    }
}

#[test]
fn every_alert_has_a_runbook_in_the_guide_and_every_runbook_an_alert() {
    let runbooks = GUIDE.split("\n## Runbooks\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let headings: BTreeSet<String> =
        runbooks.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_owned).collect();
    let alerts = alerts();
    assert_eq!(headings, alerts.keys().cloned().collect());
    for (name, alert) in &alerts {
        // A heading's anchor is its text in lower case.
        let url = format!("runbook_url: {GUIDE_URL}#{}", name.to_ascii_lowercase());
        assert!(alert.lines().any(|line| line.trim() == url), "{name}: {url}");
        let severities = ["critical", "warning", "info"];
        let is_severity = |word: &&str| alert.contains(&format!("severity: {word}\n"));
        assert!(severities.iter().any(is_severity), "{name}");
    }
}

#[test]
fn alerts_and_aws_alarms_let_the_oldest_message_wait_equally_long() {
    let alarms = ALARMS.split_once("oldest_message_seconds = {").unwrap().1;
    let alarms = alarms.split('}').next().unwrap();
    let alarms: BTreeMap<&str, &str> = alarms
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(queue, seconds)| (queue.trim(), seconds.trim()))
        .collect();
    let expression = expression(&alerts()["InventoryBacklogOld"]);
    let of_each: BTreeMap<&str, &str> = expression
        .split(" or ")
        .flat_map(|part| {
            let sales = part.contains("queue!~");
            let queues: &[&str] = if sales { &["commands", "expiries"] } else { &["restock"] };
            let seconds = part.rsplit_once("> ").unwrap().1;
            queues.iter().map(move |queue| (*queue, seconds))
        })
        .collect();
    assert_eq!(of_each, alarms);
}

/// SQS: "looks through the first 120,000 messages to determine available message groups".
const SEARCHED_FOR_GROUPS: u32 = 120_000;

#[test]
fn a_backlog_is_told_before_it_hides_other_groups() {
    let alarm = ALARMS.split_once("waiting_messages_max = ").unwrap().1.lines().next().unwrap();
    let expression = expression(&alerts()["InventoryBacklogDeep"]);
    assert_eq!(expression.rsplit_once("> ").unwrap().1, alarm);
    assert!(alarm.parse::<u32>().unwrap() < SEARCHED_FOR_GROUPS);
}

#[test]
fn a_gateway_is_told_to_be_near_its_bounds_at_four_fifths_of_them() {
    let expression_of = |alert: &str| expression(&alerts()[alert]);
    let expression = expression_of("InventoryGatewayNearBound");
    let (commands, lists) = expression.split_once(" or ").unwrap();
    let threshold = |part: &str| part.rsplit_once("> ").unwrap().1.parse::<usize>().unwrap();
    let (_, _, settings) = DEPLOYED.iter().find(|(component, ..)| *component == "gateway").unwrap();
    let given =
        settings.lines().find_map(|line| line.strip_prefix("INVENTORY_COMMANDS_IN_FLIGHT="));
    let defaults = GatewayConfig::default();
    let mut limits = defaults.limits;
    limits.commands_in_flight_max = given.unwrap().parse().unwrap();
    assert_eq!(threshold(commands), limits.waiters_max() * 4 / 5);
    assert!(!settings.contains("INVENTORY_LISTS_IN_FLIGHT"), "the default");
    assert_eq!(threshold(lists), defaults.limits.lists_in_flight_max * 4 / 5);
    assert!(!settings.contains("INVENTORY_STREAMS_MAX"), "the default");
    let streams = expression_of("InventoryStreamsNearBound");
    assert_eq!(threshold(&streams), defaults.streams.streams_max * 4 / 5);
}

/// Restocks have targets of their own, streams none.
#[test]
fn the_operations_whose_time_is_watched_are_the_gateways() {
    let routes = http::routes();
    let routes = routes.iter().map(|route| format!("{} {}", route.method, route.path));
    let calls = PROTO.lines().filter_map(|line| line.trim().strip_prefix("rpc "));
    let calls = calls.map(|call| call.split('(').next().unwrap().to_owned());
    let known: BTreeSet<String> = routes.chain(calls).collect();
    for alert in ["InventoryGatewaySlowCommands", "InventoryGatewaySlowLookups"] {
        let expression = expression(&alerts()[alert]);
        let watched = expression.split("operation=~\"").nth(1).unwrap();
        for operation in watched.split('"').next().unwrap().split('|') {
            let is_it = |one: &&String| match operation.strip_suffix(".*") {
                Some(prefix) => one.starts_with(prefix),
                None => *one == operation,
            };
            assert!(known.iter().any(|one| is_it(&one)), "{alert}: {operation}");
        }
    }
}

#[test]
fn what_alerts_tell_apart_is_what_production_deploys() {
    let (label, scraped) = COMPONENT;
    assert!(POD_MONITOR.contains(&format!("podTargetLabels:\n    - {label}\n")));
    for (component, manifest, settings) in DEPLOYED {
        let given = format!("{label}: {component}");
        assert!(manifest.lines().any(|line| line.trim() == given), "{component}: {manifest}");
        let queues = settings.lines().find_map(|line| line.strip_prefix("INVENTORY_QUEUES="));
        // A gateway sends to both, and receives from none.
        for queue in queues.unwrap().split(',').filter(|_| component != "gateway") {
            assert_eq!(queue.contains("restock"), component == "restock-worker", "{queue}");
        }
    }
    let alerts = alerts();
    let expressions: Vec<String> = alerts.values().map(|alert| expression(alert)).collect();
    let selected = |label: &str| -> BTreeSet<String> {
        let rests = expressions.iter().flat_map(|expression| expression.split(label).skip(1));
        let values = rests.filter(|rest| rest.starts_with(['=', '!']));
        values.map(|rest| rest.split('"').nth(1).unwrap().to_owned()).collect()
    };
    let queues = [".*expiries.*", ".*restock.*"].map(str::to_owned);
    assert_eq!(selected("queue"), queues.into());
    let components = DEPLOYED.map(|(component, ..)| component.to_owned());
    assert_eq!(selected(scraped), components.into());
}

const REFERENCE: &str = include_str!("../../docs/operations/reference.md");

#[test]
fn every_service_level_is_a_query_on_series_that_the_binary_has() {
    let section = REFERENCE.split_once("### Service levels").unwrap().1;
    let section = section.split_once("\n###").unwrap().0;
    let queries = section.split('`').skip(1).step_by(2).filter(|code| code.contains("inventory_"));
    let mut count = 0;
    for query in queries {
        assert_exposed("a service level", query);
        count += 1;
    }
    assert_eq!(count, 5);
}

#[test]
fn a_process_has_as_many_series_as_the_reference_says() {
    let metrics = Metrics::new().unwrap();
    let _shown = Readiness::of(["queues", "store", "writes"]).reported_to(&metrics);
    let text = metrics.encode().unwrap();
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    let stated = REFERENCE.split_once("A process has some ").unwrap().1;
    let stated: usize = stated.split(' ').next().unwrap().parse().unwrap();
    assert!(series.abs_diff(stated) <= 20, "{series} series, {stated} stated");
}
