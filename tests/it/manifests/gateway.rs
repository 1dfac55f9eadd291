//! The gateway: who reaches it and how, how many there are, and how a pod of it ends.

use std::{collections::BTreeSet, time::Duration};

use inventory_worker::gateway::auth::AuthSettings;
use serde_json::{Value, json};

use super::{
    Overlay, Workload, gateways,
    rendered::{list, selects},
    wiring::policy_of,
};

/// From the end of the grace to the exit: the last spans, and a slow node.
const BEYOND_THE_GRACE: Duration = Duration::from_secs(10);

/// The longest that a caller may await an outcome, and the last part of the grace, for the answers.
const OUTCOME_MAX: Duration = Duration::from_secs(20);
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// The most bytes of a request's body.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// The longest stream, 15 minutes and a tenth, and how often it carries something.
const STREAM_MAX: Duration = Duration::from_secs(990);
const PING_EVERY: Duration = Duration::from_secs(15);

/// How long the gateway keeps an idle HTTP/1.1 connection.
const IDLE_CONNECTION: Duration = Duration::from_secs(75);

fn seconds(workload: &Workload, variable: &str) -> Duration {
    Duration::from_secs(workload.environment[variable].parse().unwrap())
}

/// The objects of a kind whose selector, of labels alone, finds the pods.
fn selecting<'o>(overlay: &'o Overlay, kind: &str, gateway: &Workload) -> Vec<&'o Value> {
    let mine = |object: &&Value| {
        let labels = json!({ "matchLabels": object["spec"]["selector"] });
        selects(&labels, gateway.labels())
    };
    overlay.of_kind(kind).filter(mine).collect()
}

fn autoscaler<'o>(overlay: &'o Overlay, gateway: &Workload) -> &'o Value {
    let mine = |object: &&Value| object["spec"]["scaleTargetRef"]["name"] == gateway.name.as_str();
    let mut found = overlay.of_kind("HorizontalPodAutoscaler").filter(mine);
    let first = found.next().expect("an autoscaler");
    assert!(found.next().is_none(), "{}: one autoscaler", overlay.name);
    first
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn its_ports_are_those_of_its_settings_and_each_service_leads_to_them() {
    for (overlay, gateway) in gateways() {
        let config = gateway.serve_config();
        assert_eq!(config.gateway.host.to_string(), "0.0.0.0", "callers come from outside");
        let port = |name: &str| gateway.port(&json!(name));
        assert_eq!(port("http"), u64::from(config.gateway.port));
        assert_eq!(port("grpc"), u64::from(config.gateway.grpc_port));
        assert_eq!(port("admin"), u64::from(config.monitoring.admin.port));
        let services = selecting(&overlay, "Service", &gateway);
        assert_eq!(services.len(), 2, "{}: one for all, one of addresses", overlay.name);
        for service in services {
            for port in list(&service["spec"]["ports"]) {
                assert_eq!(port["name"], port["targetPort"]);
                gateway.port(&port["targetPort"]);
                assert_ne!(port["name"], "admin", "metrics are nobody's outside");
            }
            let headless = service["spec"]["clusterIP"] == "None";
            let name = service["metadata"]["name"].as_str().unwrap();
            assert_eq!(headless, name.ends_with("-headless"), "{name}");
        }
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn nobody_calls_unknown_but_locally() {
    for (overlay, gateway) in gateways() {
        let is_open = matches!(gateway.serve_config().gateway.auth, AuthSettings::None);
        assert_eq!(is_open, overlay.name == "local", "{}", overlay.name);
        let insecure = gateway.environment.contains_key("INVENTORY_INSECURE");
        assert_eq!(insecure, is_open, "{}", overlay.name);
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn it_sends_to_queues_that_workers_consume_and_never_expiries() {
    for (overlay, gateway) in gateways() {
        let config = gateway.serve_config().aws;
        let (commands, restocks) = config.producer_queues().unwrap();
        assert_eq!(commands.as_str(), "inventory-commands.fifo", "{}", overlay.name);
        assert_eq!(restocks.as_str(), "inventory-restock.fifo", "{}", overlay.name);
        let names = gateway.environment["INVENTORY_QUEUES"].split(',');
        let consumed: BTreeSet<String> = overlay
            .workers()
            .iter()
            .flat_map(|worker| worker.config().aws.queues.clone())
            .map(|queue| queue.as_str().to_owned())
            .collect();
        for queue in names {
            assert!(consumed.contains(queue), "{}: nobody consumes {queue}", overlay.name);
            assert_ne!(queue, config.expiries.as_str());
        }
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn probes_ask_the_admin_port_and_health_over_grpc() {
    for (overlay, gateway) in gateways() {
        let container = gateway.container();
        let admin = u64::from(gateway.serve_config().monitoring.admin.port);
        for (probe, path) in [("startupProbe", "/readyz"), ("livenessProbe", "/livez")] {
            let asked = &container[probe]["httpGet"];
            assert_eq!((&asked["path"], gateway.port(&asked["port"])), (&json!(path), admin));
        }
        // An outage at the start is no reason to restart.
        let startup = &container["startupProbe"];
        let allowed = startup["periodSeconds"].as_u64().unwrap()
            * startup["failureThreshold"].as_u64().unwrap();
        assert!(allowed >= 3600, "{}: {allowed} s", overlay.name);
        let config = gateway.serve_config().gateway;
        let ready = &container["readinessProbe"];
        assert_eq!(ready["grpc"]["port"].as_u64(), Some(u64::from(config.grpc_port)));
        assert_eq!(config.tls, None, "{}: the kubelet has no TLS for gRPC", overlay.name);
        // A pod that drains is noticed before it takes no more connections.
        let noticed = ready["periodSeconds"].as_u64().unwrap();
        let delay = seconds(&gateway, "INVENTORY_DRAIN_DELAY_SECONDS");
        assert!(delay >= Duration::from_secs(noticed), "{}", overlay.name);
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn callers_reach_http_and_grpc_and_the_scraper_alone_the_admin_port() {
    for (overlay, gateway) in gateways() {
        let config = gateway.serve_config();
        let admin = u64::from(config.monitoring.admin.port);
        let public = BTreeSet::from([config.gateway.port, config.gateway.grpc_port].map(u64::from));
        let policy = policy_of(&overlay, gateway.labels());
        let mut admitted = BTreeSet::new();
        for rule in list(&policy["spec"]["ingress"]) {
            let ports: BTreeSet<u64> =
                list(&rule["ports"]).iter().map(|port| port["port"].as_u64().unwrap()).collect();
            if ports.contains(&admin) {
                assert_eq!(ports.len(), 1, "{}", overlay.name);
                let namespace = &rule["from"][0]["namespaceSelector"]["matchLabels"];
                assert_eq!(namespace["kubernetes.io/metadata.name"], "monitoring");
                assert_eq!(list(&rule["from"]).len(), 1);
            } else {
                assert_eq!(ports, public, "{}", overlay.name);
            }
            admitted.extend(ports);
        }
        let all = public.into_iter().chain([admin]).collect();
        assert_eq!(admitted, all, "{}", overlay.name);
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn it_is_scraped_where_workers_are() {
    for (overlay, gateway) in gateways() {
        let monitors: Vec<&Value> = overlay
            .of_kind("PodMonitor")
            .filter(|monitor| selects(&monitor["spec"]["selector"], gateway.labels()))
            .collect();
        assert_eq!(monitors.len(), usize::from(overlay.name != "local"), "{}", overlay.name);
        for endpoint in monitors.iter().flat_map(|one| list(&one["spec"]["podMetricsEndpoints"])) {
            assert_eq!(gateway.port(&endpoint["port"]), gateway.port(&json!("admin")));
        }
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn a_pod_is_given_longer_than_its_drain_takes() {
    for (overlay, gateway) in gateways() {
        let given = gateway.pod()["terminationGracePeriodSeconds"].as_u64().unwrap();
        let delay = seconds(&gateway, "INVENTORY_DRAIN_DELAY_SECONDS");
        let grace = seconds(&gateway, "INVENTORY_GATEWAY_GRACE_SECONDS");
        // The grace begins after the delay.
        let needed = delay + grace + BEYOND_THE_GRACE;
        assert!(Duration::from_secs(given) >= needed, "{}: {given} s", overlay.name);
        assert!(grace >= OUTCOME_MAX + LAST_ANSWERS, "{}", overlay.name);
        let behind_a_balancer = overlay.name != "local";
        assert_eq!(delay >= Duration::from_secs(15), behind_a_balancer, "{}", overlay.name);
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn the_autoscaler_alone_says_how_many() {
    for (overlay, gateway) in gateways() {
        assert_eq!(gateway.object["spec"]["replicas"], Value::Null, "{}", overlay.name);
        let spec = &autoscaler(&overlay, &gateway)["spec"];
        let range = (spec["minReplicas"].as_u64(), spec["maxReplicas"].as_u64());
        let expected = if overlay.name == "local" { (1, 2) } else { (5, 50) };
        assert_eq!(range, (Some(expected.0), Some(expected.1)), "{}", overlay.name);
        let cpu = &spec["metrics"][0]["resource"];
        assert_eq!(
            (&cpu["name"], &cpu["target"]["averageUtilization"]),
            (&json!("cpu"), &json!(70))
        );
        // A share of the request: without one the autoscaler computes nothing.
        assert!(gateway.container()["resources"]["requests"]["cpu"].is_string());
        let settles = &spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"];
        assert!(settles.as_u64() >= Some(300), "{}", overlay.name);
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn by_its_requests_and_streams_pods_are_added_before_one_refuses_any() {
    let overlay = Overlay::load("production-alb");
    let gateway = overlay.gateways().remove(0);
    let metrics = list(&autoscaler(&overlay, &gateway)["spec"]["metrics"]);
    assert_eq!(metrics.len(), 3, "beside CPU");
    let target = |name: &str| {
        let named = metrics.iter().find(|metric| metric["pods"]["metric"]["name"] == name);
        let value = named.unwrap()["pods"]["target"]["averageValue"].as_str().unwrap();
        value.parse::<usize>().unwrap()
    };
    let config = gateway.serve_config().gateway;
    assert!(target("inventory_commands_in_flight") * 2 <= config.limits.commands_in_flight_max);
    assert!(target("inventory_streams") * 10 <= config.streams.streams_max * 7);
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn memory_holds_the_bodies_of_a_full_lane() {
    for (overlay, gateway) in gateways() {
        let text = gateway.container()["resources"]["limits"]["memory"].as_str().unwrap();
        let limit = text.strip_suffix("Mi").unwrap().parse::<usize>().unwrap() * 1024 * 1024;
        let bodies = gateway.serve_config().gateway.limits.commands_in_flight_max * BODY_BYTES_MAX;
        assert!(limit >= 2 * bodies, "{}: {bodies} of {limit}", overlay.name);
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn an_ingress_leads_to_both_ports_and_cuts_no_stream() {
    for name in ["production-alb", "production-nginx"] {
        let overlay = Overlay::load(name);
        let (mut ports, mut groups) = (BTreeSet::new(), BTreeSet::new());
        for ingress in overlay.of_kind("Ingress") {
            let backend = &ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"];
            let service = overlay.named("Service", backend["name"].as_str().unwrap());
            let port = backend["port"]["name"].as_str().unwrap();
            let offered = list(&service["spec"]["ports"]);
            assert!(offered.iter().any(|one| one["name"] == port), "{name}: {port}");
            ports.insert(port.to_owned());
            let notes = &ingress["metadata"]["annotations"];
            let note = |key: &str| notes[key].as_str().unwrap_or_else(|| panic!("{key}"));
            if name == "production-alb" {
                let timeout = note("alb.ingress.kubernetes.io/load-balancer-attributes");
                let timeout = timeout.strip_prefix("idle_timeout.timeout_seconds=").unwrap();
                let idle = Duration::from_secs(timeout.parse().unwrap());
                // It is that of all Ingresses of a group.
                let group = note("alb.ingress.kubernetes.io/group.name");
                assert!(groups.insert(group.to_owned()), "{group}");
                match port {
                    "grpc" => assert!(idle > STREAM_MAX, "{idle:?}"),
                    _ => assert!(2 * PING_EVERY < idle && idle < IDLE_CONNECTION, "{idle:?}"),
                }
                let version = note("alb.ingress.kubernetes.io/backend-protocol-version");
                assert_eq!(version, if port == "grpc" { "GRPC" } else { "HTTP1" });
                let targets = note("alb.ingress.kubernetes.io/target-group-attributes");
                assert_eq!(targets.contains("stickiness.enabled=true"), port == "http");
            } else {
                let timeout = note("nginx.ingress.kubernetes.io/proxy-read-timeout");
                assert!(Duration::from_secs(timeout.parse().unwrap()) > STREAM_MAX);
                let expected: &[(&str, &str)] = match port {
                    "grpc" => &[("backend-protocol", "GRPC")],
                    _ => &[("proxy-buffering", "off"), ("affinity", "cookie")],
                };
                for (key, value) in expected {
                    assert_eq!(note(&format!("nginx.ingress.kubernetes.io/{key}")), *value);
                }
            }
        }
        assert_eq!(ports, ["grpc", "http"].map(str::to_owned).into(), "{name}");
    }
}
