//! What a pod may do on its node, and what it is made of.

use serde_json::{Value, json};

use super::{OVERLAYS, Overlay, workers};

#[test]
#[ignore = "needs rendered manifests: make test"]
fn a_pod_may_do_nothing_that_it_need_not() {
    for overlay in OVERLAYS.map(Overlay::load) {
        for workload in [overlay.workloads("Deployment"), overlay.workloads("Job")].concat() {
            let pod = workload.pod();
            let name = &workload.name;
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
            assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
            assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
            for shared in ["hostNetwork", "hostPID", "hostIPC"] {
                assert_eq!(pod[shared], Value::Null, "{name}: {shared}");
            }
            assert_eq!(pod["containers"].as_array().unwrap().len(), 1, "{name}");
            let allowed = json!({
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] },
            });
            assert_eq!(workload.container()["securityContext"], allowed, "{name}");
        }
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn memory_holds_what_may_be_in_flight() {
    for (_, worker) in workers() {
        let text = worker.container()["resources"]["limits"]["memory"].as_str().unwrap();
        let limit = text.strip_suffix("Mi").unwrap().parse::<usize>().unwrap() * 1024 * 1024;
        let in_flight = worker.config().worker.bytes_in_flight_max;
        assert!(limit >= 2 * in_flight, "{}: decoded beside encoded", worker.name);
        let cpu = &worker.container()["resources"]["limits"]["cpu"];
        assert_eq!(*cpu, Value::Null, "a throttled worker loses its leases");
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn every_image_has_a_version() {
    for overlay in OVERLAYS.map(Overlay::load) {
        for kind in ["Deployment", "Job"] {
            for object in overlay.of_kind(kind) {
                for container in
                    object["spec"]["template"]["spec"]["containers"].as_array().unwrap()
                {
                    let image = container["image"].as_str().unwrap();
                    let last = image.rsplit('/').next().unwrap();
                    let version = last.split_once('@').or_else(|| last.split_once(':'));
                    let version = version.unwrap_or_else(|| panic!("{image}: no version")).1;
                    assert_ne!(version, "latest", "{image}");
                }
            }
        }
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn production_runs_the_version_that_is_built() {
    for worker in Overlay::load("production").workers() {
        let image = worker.container()["image"].as_str().unwrap();
        assert!(image.ends_with(concat!(":", env!("CARGO_PKG_VERSION"))), "{image}");
    }
}
