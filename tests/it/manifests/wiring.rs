//! Ports, paths, selectors and times.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use inventory_worker::{
    adapters::system::SystemClock,
    admin::{Admin, AdminServer},
    telemetry::{Metrics, Readiness},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

use super::{
    OVERLAYS, Overlay, Workload, gateways,
    rendered::{list, selects},
    workers,
};

const PROBES: [&str; 3] = ["startupProbe", "livenessProbe", "readinessProbe"];

/// "From the signal to stop to the exit; give the container five seconds more" (`--grace-seconds`).
const BEYOND_THE_GRACE: Duration = Duration::from_secs(5);

#[test]
#[ignore = "needs rendered manifests: make test"]
fn probes_and_scrapers_ask_the_admin_port() {
    for (overlay, worker) in workers() {
        let admin = u64::from(worker.config().monitoring.admin.port);
        for probe in PROBES {
            let asked = &worker.container()[probe]["httpGet"];
            assert_eq!(worker.port(&asked["port"]), admin, "{}: {probe}", worker.name);
        }
        let monitors: Vec<&Value> = overlay
            .of_kind("PodMonitor")
            .filter(|monitor| selects(&monitor["spec"]["selector"], worker.labels()))
            .collect();
        // A local machine has no Prometheus operator.
        let scraped = usize::from(overlay.name != "local");
        assert_eq!(monitors.len(), scraped, "{}: scraped once", worker.name);
        for endpoint in monitors.iter().flat_map(|one| list(&one["spec"]["podMetricsEndpoints"])) {
            assert_eq!(worker.port(&endpoint["port"]), admin, "{}", worker.name);
        }
        let policy = policy_of(&overlay, worker.labels());
        let admitted: Vec<_> =
            list(&policy["spec"]["ingress"]).iter().flat_map(|rule| list(&rule["ports"])).collect();
        assert_eq!(admitted.len(), 1, "{}: nothing else may be reached", worker.name);
        assert_eq!(admitted[0]["port"].as_u64(), Some(admin), "{}", worker.name);
    }
}

/// An object of a kind that the cluster does not know makes an apply exit with 1.
#[test]
#[ignore = "needs rendered manifests: make test"]
fn nothing_but_the_component_of_scraping_needs_more_than_keda() {
    for overlay in OVERLAYS.map(Overlay::load) {
        let foreign: BTreeSet<String> = overlay
            .api_versions()
            .into_iter()
            .filter(|version| version.split('/').next().unwrap().contains('.'))
            .filter(|version| !version.contains(".k8s.io/"))
            .collect();
        let mut expected = BTreeSet::from(["keda.sh/v1alpha1".to_owned()]);
        if overlay.name != "local" {
            expected.insert("monitoring.coreos.com/v1".to_owned());
        }
        assert_eq!(foreign, expected, "{}", overlay.name);
    }
}

#[tokio::test]
#[ignore = "needs rendered manifests: make test"]
async fn the_admin_port_answers_every_path_that_is_asked() {
    let admin = Admin {
        metrics: Arc::new(Metrics::new().unwrap()),
        readiness: Readiness::of([]),
        clock: Arc::new(SystemClock),
    };
    let server = AdminServer::bind(([127, 0, 0, 1], 0).into(), admin).await.unwrap();
    let address = server.address();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(server.serve(stop.clone()));
    let mut asked = BTreeSet::new();
    for (overlay, workload) in [workers(), gateways()].concat() {
        for probe in PROBES {
            let path = workload.container()[probe]["httpGet"]["path"].as_str();
            asked.extend(path.map(|path| format!("\"{path}\"")));
        }
        for monitor in overlay.of_kind("PodMonitor") {
            for endpoint in list(&monitor["spec"]["podMetricsEndpoints"]) {
                asked.insert(endpoint["path"].to_string());
            }
        }
    }
    let status = async |path: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(status("/nothing").await, "404", "a path that is not served is told apart");
    assert_eq!(asked.len(), 3, "alive, ready, metrics: {asked:?}");
    for path in asked {
        assert_ne!(status(path.trim_matches('"')).await, "404", "{path}");
    }
    stop.cancel();
    serving.await.unwrap();
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn liveness_says_nothing_of_the_environment() {
    for (_, worker) in workers() {
        let path = |probe: &str| worker.container()[probe]["httpGet"]["path"].clone();
        assert_eq!(path("livenessProbe"), "/livez");
        assert_eq!(path("startupProbe"), "/livez", "an outage at the start is no restart either");
        assert_eq!(path("readinessProbe"), "/readyz");
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn a_pod_is_given_longer_than_its_drain_takes() {
    for (_, worker) in workers() {
        let given = worker.pod()["terminationGracePeriodSeconds"].as_u64().unwrap();
        let grace = worker.config().worker.grace;
        assert!(Duration::from_secs(given) >= grace + BEYOND_THE_GRACE, "{}", worker.name);
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn every_selector_finds_its_own_pods_and_no_others() {
    for overlay in OVERLAYS.map(Overlay::load) {
        let deployed = overlay.workloads("Deployment");
        for workload in &deployed {
            let budgets = overlay.of_kind("PodDisruptionBudget");
            let mine = |object: &&Value| selects(&object["spec"]["selector"], workload.labels());
            assert_eq!(budgets.filter(mine).count(), 1, "{}: one budget", workload.name);
            policy_of(&overlay, workload.labels());
            let deployments = overlay.of_kind("Deployment").filter(mine);
            assert_eq!(deployments.count(), 1, "{}: one Deployment", workload.name);
        }
        let audits = overlay.workloads("CronJob");
        for audit in &audits {
            policy_of(&overlay, audit.labels());
        }
        for (kind, count) in [
            ("PodDisruptionBudget", deployed.len()),
            ("NetworkPolicy", deployed.len() + audits.len()),
        ] {
            assert_eq!(overlay.of_kind(kind).count(), count, "{}: {kind}", overlay.name);
        }
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn a_pod_may_reach_what_its_settings_name() {
    for (overlay, worker) in [workers(), gateways()].concat() {
        let ports = egress_ports(&overlay, &worker);
        let mut wanted = BTreeSet::from([53, 443]);
        for name in [
            "REDIS_URL",
            "INVENTORY_VIEW_REDIS_URL",
            "AWS_ENDPOINT_URL",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
        ] {
            wanted.extend(port_in(&worker, name));
        }
        assert!(ports.is_superset(&wanted), "{} {}: {ports:?}", overlay.name, worker.name);
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn in_production_only_who_sells_or_answers_may_reach_redis_and_nobody_more_than_it_uses() {
    // DNS, HTTPS, and the agent that provides credentials.
    let everybody = BTreeSet::from([53, 80, 443]);
    for name in OVERLAYS.into_iter().filter(|name| *name != "local") {
        let overlay = Overlay::load(name);
        for workload in overlay.all_workloads() {
            let mut expected = everybody.clone();
            let traces = port_in(&workload, "OTEL_EXPORTER_OTLP_ENDPOINT");
            match &*workload.name {
                "inventory-worker" | "inventory-gateway" => {
                    // The port is allowed before a URL is set.
                    expected.insert(port_in(&workload, "REDIS_URL").unwrap_or(6379));
                    expected.extend(port_in(&workload, "INVENTORY_VIEW_REDIS_URL"));
                    expected.extend(traces);
                }
                "inventory-worker-restock" => expected.extend(traces),
                "inventory-audit" => {}
                other => panic!("{other}: what may it reach?"),
            }
            assert_eq!(egress_ports(&overlay, &workload), expected, "{name} {}", workload.name);
        }
    }
}

/// The port in a variable's URL, if it is set.
fn port_in(workload: &Workload, variable: &str) -> Option<u64> {
    let url = workload.environment.get(variable)?;
    Some(u64::from(url::Url::parse(url).unwrap().port().unwrap()))
}

/// The ports that a pod may connect to.
fn egress_ports(overlay: &Overlay, workload: &Workload) -> BTreeSet<u64> {
    list(&policy_of(overlay, workload.labels())["spec"]["egress"])
        .iter()
        .flat_map(|rule| list(&rule["ports"]))
        .map(|port| port["port"].as_u64().unwrap())
        .collect()
}

/// The one network policy that selects pods with these labels.
pub fn policy_of<'a>(overlay: &'a Overlay, labels: &Value) -> &'a Value {
    let mut binding = overlay
        .of_kind("NetworkPolicy")
        .filter(|policy| selects(&policy["spec"]["podSelector"], labels));
    let policy = binding.next().expect("a network policy");
    assert!(binding.next().is_none(), "one network policy");
    policy
}
