//! KEDA scales each worker by the queues that it consumes.

use std::collections::BTreeSet;

use inventory_worker::adapters::sqs;
use serde_json::Value;

use super::{Overlay, Workload, rendered::list, workers};

/// What KEDA knows of an `aws-sqs-queue` trigger; an unknown one is ignored without a word.
const KNOWN: [&str; 7] = [
    "queueURL",
    "queueLength",
    "activationQueueLength",
    "awsRegion",
    "awsEndpoint",
    "scaleOnInFlight",
    "scaleOnDelayed",
];

/// DynamoDB: write units a second that one partition takes.
const PARTITION_WRITE_UNITS: usize = 1_000;

/// DynamoDB: write units a second that an on-demand table takes by default.
const TABLE_WRITE_UNITS: usize = 40_000;

fn scaler(overlay: &Overlay, worker: &Workload) -> Value {
    let mine = |object: &&Value| object["spec"]["scaleTargetRef"]["name"] == worker.name.as_str();
    let found: Vec<_> = overlay.of_kind("ScaledObject").filter(mine).collect();
    assert_eq!(found.len(), 1, "{}: one ScaledObject", worker.name);
    found[0]["spec"].clone()
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn a_worker_scales_by_the_queues_that_it_consumes() {
    for (overlay, worker) in workers() {
        let consumed: BTreeSet<String> =
            worker.config().aws.queues.iter().map(|queue| queue.name().to_owned()).collect();
        let triggers = list(&scaler(&overlay, &worker)["triggers"]);
        let watched: BTreeSet<String> = triggers
            .iter()
            .map(|trigger| sqs::queue_name(text(trigger, "queueURL")).to_owned())
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
            assert!(text(&trigger, "queueURL").contains(region.as_str()));
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
fn in_production_a_storm_of_restocks_has_workers_of_its_own() {
    let production = Overlay::load("production");
    let workers = production.workers();
    for worker in &workers {
        assert_eq!(worker.config().aws.queues.len(), 1, "{}: one queue each", worker.name);
    }
    let by = |name: &str| {
        let consumes = |worker: &&Workload| worker.config().aws.queues[0].name() == name;
        workers.iter().find(consumes).unwrap_or_else(|| panic!("nobody consumes {name}"))
    };
    let sales = by("inventory-commands.fifo");
    let restock = by("inventory-restock.fifo");
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
    // A message is one pool's, which is one partition key.
    let write_units_max = pods_max * in_flight * PARTITION_WRITE_UNITS;
    assert!(write_units_max * 2 <= TABLE_WRITE_UNITS, "{write_units_max}");
    // Not in a rollout either.
    assert_eq!(restock.object["spec"]["strategy"]["type"], "Recreate");
    let length = text(&spec["triggers"][0], "queueLength");
    assert_eq!(length, in_flight.to_string(), "a pod is asked for when one has its hands full");
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
