//! Whether the server takes calls, as `grpc.health.v1` and `HealthCheck` report it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tonic::server::NamedService as _;
use tonic_health::{
    ServingStatus,
    pb::health_server::{Health, HealthServer},
    server::{HealthReporter, HealthService},
};

use super::{Face, proto::inventory_service_server::InventoryServiceServer};

/// The names that `grpc.health.v1` knows: the server as a whole, and the service.
const NAMES: [&str; 2] = ["", InventoryServiceServer::<Face>::NAME];

/// Whether the server takes calls. Clones share it.
#[derive(Clone, Debug)]
pub struct Serving {
    reporter: HealthReporter,
    is_serving: Arc<AtomicBool>,
}

impl Serving {
    /// It takes calls.
    pub async fn start() -> Self {
        let reporter = HealthReporter::new();
        let serving = Self { reporter, is_serving: Arc::new(AtomicBool::new(true)) };
        serving.set(true).await;
        serving
    }

    /// At drain: it takes no more calls. Watchers are notified.
    pub async fn stop(&self) {
        self.set(false).await;
    }

    /// Once connections end: lets go of those who watch, whose streams would keep theirs open. From
    /// here on `grpc.health.v1` knows no name.
    pub async fn end_watches(&self) {
        let mut reporter = self.reporter.clone();
        for name in NAMES {
            reporter.clear_service_status(name).await;
        }
    }

    /// Whether it takes calls.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.is_serving.load(Ordering::Relaxed)
    }

    async fn set(&self, is_serving: bool) {
        self.is_serving.store(is_serving, Ordering::Relaxed);
        let status = if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in NAMES {
            self.reporter.set_service_status(name, status).await;
        }
    }

    pub(super) fn server(&self) -> HealthServer<impl Health + use<>> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }
}
