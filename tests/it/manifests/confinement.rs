//! A pod's privileges on its node, and its images.

use serde_json::{Value, json};

use super::{
    OVERLAYS, Overlay,
    rendered::{KINDS, template},
    workers,
};

/// The version in an image's name: its digest, or its tag.
fn version_of(image: &str) -> Option<&str> {
    let last = image.rsplit('/').next()?;
    let version = last.split_once('@').or_else(|| last.split_once(':'))?.1;
    (version != "latest").then_some(version)
}

/// Whether an image is the version of the product that is built. A digest identifies its content,
/// and only its registry knows which version that is.
fn is_of_version(image: &str, version: &str) -> bool {
    version_of(image).is_some_and(|found| match found.strip_prefix("sha256:") {
        Some(digest) => digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => found == version,
    })
}

#[test]
fn an_image_is_pinned_by_its_tag_or_its_digest() {
    let digest = format!("sha256:{}", "0a".repeat(32));
    for (image, pinned) in [
        ("registry:5000/inventory-worker:0.1.0".to_owned(), true),
        (format!("registry:5000/inventory-worker@{digest}"), true),
        (format!("registry/inventory-worker:0.1.0@{digest}"), true),
        ("registry/inventory-worker:0.0.9".to_owned(), false),
        ("registry/inventory-worker:latest".to_owned(), false),
        ("registry:5000/inventory-worker".to_owned(), false),
        ("registry/inventory-worker@sha256:0a".to_owned(), false),
    ] {
        assert_eq!(is_of_version(&image, "0.1.0"), pinned, "{image}");
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn a_pod_may_do_nothing_that_it_need_not() {
    for overlay in OVERLAYS.map(Overlay::load) {
        for workload in overlay.all_workloads() {
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
        for object in KINDS.iter().flat_map(|kind| overlay.of_kind(kind)) {
            for container in template(object)["spec"]["containers"].as_array().unwrap() {
                let image = container["image"].as_str().unwrap();
                assert!(version_of(image).is_some(), "{image}: no version");
            }
        }
    }
}

#[test]
#[ignore = "needs rendered manifests: make test"]
fn production_runs_the_version_that_is_built() {
    let workloads = Overlay::load("production").all_workloads();
    assert_eq!(workloads.len(), 4, "sales, restocks, the gateway, the audit");
    for workload in workloads {
        let image = workload.container()["image"].as_str().unwrap();
        assert!(is_of_version(image, env!("CARGO_PKG_VERSION")), "{image}");
    }
}
