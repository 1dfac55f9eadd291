//! KEDA scales each worker by the queues that it consumes.

use std::{collections::BTreeSet, path::Path};

use serde_json::Value;
use url::Url;

use super::{OVERLAYS, Overlay, Workload, rendered::list, workers};

/// The metadata KEDA reads of an `aws-sqs-queue` trigger; it silently ignores unknown keys.
const KNOWN: [&str; 7] = [
    "queueURL",
    "queueLength",
    "activationQueueLength",
    "awsRegion",
    "awsEndpoint",
    "scaleOnInFlight",
    "scaleOnDelayed",
];

/// DynamoDB: the write units per second of one partition.
const PARTITION_WRITE_UNITS: usize = 1_000;

/// DynamoDB: the default write units per second of an on-demand table.
const TABLE_WRITE_UNITS: usize = 40_000;

/// The queues of sales workers, and those of restock workers.
const SALES: [&str; 2] = ["inventory-commands.fifo", "inventory-expiries.fifo"];
const RESTOCKS: [&str; 1] = ["inventory-restock.fifo"];

/// The name that KEDA reads from a queue's URL, after `NewAwsSqsQueueScaler`: the path is an
/// account and a name, "cannot get queueName from queueURL" otherwise, and the ScaledObject never
/// becomes ready. (It also accepts a bare name, which AWS does not.)
fn queue_name_for_keda(queue_url: &str) -> Option<String> {
    let url = Url::parse(queue_url).ok()?;
    let parts: Vec<&str> = url.path().split('/').collect();
    match parts[..] {
        ["", account, name] if !account.is_empty() && !name.is_empty() => Some(name.to_owned()),
        _ => None,
    }
}

/// The queues in a worker's settings.
fn queues(worker: &Workload) -> BTreeSet<String> {
    worker.environment["INVENTORY_QUEUES"].split(',').map(str::to_owned).collect()
}

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

fn scaler(overlay: &Overlay, worker: &Workload) -> Value {
    let mine = |object: &&Value| object["spec"]["scaleTargetRef"]["name"] == worker.name.as_str();
    let found: Vec<_> = overlay.of_kind("ScaledObject").filter(mine).collect();
    assert_eq!(found.len(), 1, "{}: one ScaledObject", worker.name);
    found[0]["spec"].clone()
}

#[test]
fn keda_reads_an_account_and_a_name_and_no_more() {
    for (url, name) in [
        ("https://sqs.eu-central-1.amazonaws.com/111122223333/q.fifo", Some("q.fifo")),
        ("http://localstack.inventory-local.svc:4566/000000000000/q.fifo", Some("q.fifo")),
        ("http://localstack:4566/queue/us-east-1/000000000000/q.fifo", None),
        ("http://localstack:4566/q.fifo", None),
        ("http://localstack:4566/000000000000/", None),
        ("http://localstack:4566/000000000000/q.fifo/", None),
    ] {
        assert_eq!(queue_name_for_keda(url).as_deref(), name, "{url}");
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn keda_can_read_the_name_of_every_queue() {
    for overlay in OVERLAYS.map(Overlay::load) {
        for scaler in overlay.of_kind("ScaledObject") {
            for trigger in list(&scaler["spec"]["triggers"]) {
                let url = text(&trigger, "queueURL");
                assert!(queue_name_for_keda(url).is_some(), "{}: {url}", overlay.name);
            }
        }
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn a_worker_scales_by_the_queues_that_it_consumes() {
    for (overlay, worker) in workers() {
        let consumed = queues(&worker);
        let triggers = list(&scaler(&overlay, &worker)["triggers"]);
        let watched: BTreeSet<String> = triggers
            .iter()
            .filter_map(|trigger| queue_name_for_keda(text(trigger, "queueURL")))
            .collect();
        assert_eq!(watched, consumed, "{} {}", overlay.name, worker.name);
        assert_eq!(triggers.len(), consumed.len(), "one trigger a queue");
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn every_trigger_says_what_keda_reads() {
    for (overlay, worker) in workers() {
        for trigger in list(&scaler(&overlay, &worker)["triggers"]) {
            assert_eq!(trigger["type"], "aws-sqs-queue");
            for name in trigger["metadata"].as_object().unwrap().keys() {
                assert!(KNOWN.contains(&name.as_str()), "{name}");
            }
            assert_eq!(text(&trigger, "scaleOnInFlight"), "true");
            let count = |name: &str| text(&trigger, name).parse::<u32>().unwrap();
            assert!(count("queueLength") > 0);
            assert_eq!(count("activationQueueLength"), 0, "one message wakes a worker");
            let region = &worker.environment["AWS_REGION"];
            assert_eq!(text(&trigger, "awsRegion"), region);
            // AWS's own endpoint, or the emulator's.
            let url = text(&trigger, "queueURL");
            let place = trigger["metadata"]["awsEndpoint"].as_str();
            let aws = format!("https://sqs.{region}.amazonaws.com");
            assert!(url.starts_with(&format!("{}/", place.unwrap_or(&aws))), "{url}");
            let authentication = trigger["authenticationRef"]["name"].as_str().unwrap();
            overlay.named("TriggerAuthentication", authentication);
        }
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn the_scaler_alone_says_how_many() {
    for (overlay, worker) in workers() {
        assert_eq!(worker.object["spec"]["replicas"], Value::Null, "{}", worker.name);
        let spec = scaler(&overlay, &worker);
        let count = |value: &Value| value.as_u64().unwrap();
        let (min, max) = (count(&spec["minReplicaCount"]), count(&spec["maxReplicaCount"]));
        let blind = count(&spec["fallback"]["replicas"]);
        assert!(min.max(1) <= blind && blind <= max, "{}: {min} {blind} {max}", worker.name);
        let behavior = &spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"];
        let settles = &behavior["scaleDown"]["stabilizationWindowSeconds"];
        assert!(count(settles) >= 300, "{}: what comes in waves is not torn down", worker.name);
        assert_eq!(behavior["scaleDown"]["selectPolicy"], "Min", "{}", worker.name);
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn a_scaler_that_cannot_see_its_queues_takes_no_pods_away() {
    for overlay in OVERLAYS.map(Overlay::load) {
        for scaler in overlay.of_kind("ScaledObject") {
            let name = &scaler["metadata"]["name"];
            let behavior = &scaler["spec"]["fallback"]["behavior"];
            assert_eq!(behavior, "currentReplicasIfHigher", "{} {name}", overlay.name);
        }
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn only_what_scales_from_zero_says_how_often_keda_looks() {
    for overlay in OVERLAYS.map(Overlay::load) {
        for scaler in overlay.of_kind("ScaledObject") {
            let name = &scaler["metadata"]["name"];
            let spec = &scaler["spec"];
            for setting in ["pollingInterval", "cooldownPeriod"] {
                let is_there = spec[setting] != Value::Null;
                let is_used = spec["minReplicaCount"] == 0;
                assert_eq!(is_there, is_used, "{} {name}: {setting}", overlay.name);
            }
        }
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn in_production_a_storm_of_restocks_has_workers_of_its_own() {
    let production = Overlay::load("production");
    let workers = production.workers();
    let by = |consumed: BTreeSet<String>| {
        let found = workers.iter().find(|worker| queues(worker) == consumed);
        found.unwrap_or_else(|| panic!("nobody consumes {consumed:?}"))
    };
    let sales = by(names(SALES));
    let restock = by(names(RESTOCKS));
    let spec = scaler(&production, sales);
    assert_eq!((&spec["minReplicaCount"], &spec["maxReplicaCount"]), (&5.into(), &50.into()));
    let priority = |worker: &Workload| {
        let name = worker.pod()["priorityClassName"].as_str().unwrap();
        production.named("PriorityClass", name)["value"].as_i64().unwrap()
    };
    assert!(priority(sales) > priority(restock));
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn in_production_a_storm_of_restocks_leaves_sales_half_of_what_the_table_of_lines_takes() {
    let production = Overlay::load("production");
    let workers = production.workers();
    let of_restocks = |worker: &&Workload| worker.name == "inventory-worker-restock";
    let restock = workers.iter().find(of_restocks).unwrap();
    let spec = scaler(&production, restock);
    let in_flight = restock.config().worker.messages_in_flight_max;
    let pods_max = usize::try_from(spec["maxReplicaCount"].as_u64().unwrap()).unwrap();
    // A message belongs to one pool, which is one partition key.
    let write_units_max = pods_max * in_flight * PARTITION_WRITE_UNITS;
    assert!(write_units_max * 2 <= TABLE_WRITE_UNITS, "{write_units_max}");
    // The limit also holds during a rollout.
    assert_eq!(restock.object["spec"]["strategy"]["type"], "Recreate");
    let length = text(&spec["triggers"][0], "queueLength");
    assert_eq!(length, in_flight.to_string(), "a pod is asked for when one has its hands full");
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn sales_scale_without_restocks_everywhere() {
    for overlay in OVERLAYS.map(Overlay::load) {
        let consumed: BTreeSet<_> = overlay.workers().iter().map(queues).collect();
        // A missing queue pins every worker it scales: each scaler covers only queues that belong
        // together.
        assert_eq!(consumed, [names(SALES), names(RESTOCKS)].into(), "{}", overlay.name);
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn an_autoscaler_that_keda_did_not_make_is_told_by_its_name() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("k8s/monitoring/alerts.yaml");
    let alerts = std::fs::read_to_string(path).unwrap();
    let missed: BTreeSet<String> = alerts
        .split("{horizontalpodautoscaler=\"keda-hpa-")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect();
    let production = Overlay::load("production");
    let names = production.of_kind("ScaledObject").map(|object| &object["metadata"]["name"]);
    assert_eq!(missed, names.map(|name| name.as_str().unwrap().to_owned()).collect());
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn locally_nothing_runs_where_there_is_nothing_to_do() {
    let local = Overlay::load("local");
    for worker in local.workers() {
        assert_eq!(scaler(&local, &worker)["minReplicaCount"], 0);
    }
}

fn text<'a>(trigger: &'a Value, name: &str) -> &'a str {
    trigger["metadata"][name].as_str().unwrap_or_else(|| panic!("{name} is missing"))
}
