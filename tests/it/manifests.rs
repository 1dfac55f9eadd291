//! The manifests of `k8s/` agree with the binary.
//!
//! `scripts/manifests` renders the overlays, checks them against the schemas of Kubernetes and
//! KEDA, and writes them as JSON to the folder that `INVENTORY_TEST_MANIFESTS` names.

mod audit;
mod confinement;
mod gateway;
mod rendered;
mod scaling;
mod settings;
mod wiring;

use rendered::{Overlay, Workload};

/// Every overlay, and production with each component.
const OVERLAYS: [&str; 5] =
    ["local", "production", "production-otlp", "production-alb", "production-nginx"];

/// Every worker of every overlay, with the overlay it is in.
fn workers() -> Vec<(Overlay, Workload)> {
    let overlays = OVERLAYS.into_iter().map(Overlay::load);
    let found: Vec<_> = overlays
        .flat_map(|overlay| {
            let workers = overlay.workers();
            assert!(!workers.is_empty(), "{} has workers", overlay.name);
            workers.into_iter().map(move |worker| (overlay.clone(), worker))
        })
        .collect();
    assert!(found.len() >= 2 * OVERLAYS.len(), "of sales and of restocks in each");
    found
}

/// Every gateway of every overlay, with the overlay it is in.
fn gateways() -> Vec<(Overlay, Workload)> {
    let of_each = |overlay: Overlay| {
        let mut gateways = overlay.gateways();
        assert_eq!(gateways.len(), 1, "{} has a gateway", overlay.name);
        (overlay, gateways.remove(0))
    };
    OVERLAYS.into_iter().map(Overlay::load).map(of_each).collect()
}
