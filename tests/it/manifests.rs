//! The manifests of `k8s/` agree with the binary.
//!
//! `scripts/manifests` renders the overlays, checks them against the schemas of Kubernetes and
//! KEDA, and writes them as JSON to the folder that `INVENTORY_TEST_MANIFESTS` names.

mod audit;
mod confinement;
mod rendered;
mod scaling;
mod settings;
mod wiring;

use rendered::{Overlay, Workload};

/// Every overlay, and production with the component of traces.
const OVERLAYS: [&str; 3] = ["local", "production", "production-otlp"];

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
    assert!(found.len() >= 6, "two locally, two in production, with traces and without");
    found
}
