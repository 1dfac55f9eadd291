//! The gateway of the demo, with its page: so that the sale can be looked at.

use std::{net::SocketAddr, sync::Arc};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    app::{embedded::Embedded, gateway::Gateway},
    config::GatewayConfig,
    demo::venue,
    gateway::page::PageSettings,
    telemetry::{ActivityReport, Metrics},
    worker::Observer,
};

/// A gateway that answers until it is ended, with the figures of the workers that report to it.
pub(super) struct Visit {
    address: SocketAddr,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Visit {
    /// Opens a page on which nothing can be reserved: the demo's books are its own. Ports that are
    /// taken are no reason not to play: others serve as well.
    ///
    /// # Errors
    ///
    /// There is no free port.
    pub(super) async fn start(embedded: &Embedded, config: &GatewayConfig) -> anyhow::Result<Self> {
        let page = PageSettings { is_demo: false, event_id: Some(venue::EVENT) };
        let config = GatewayConfig { page: Some(page), ..config.clone() };
        let (backends, metrics) = (embedded.gateway_backends(), Arc::new(Metrics::new()?));
        let gateway = match Gateway::bind(&config, &backends, metrics.clone(), None).await {
            Ok(gateway) => gateway,
            Err(_) => {
                let config = GatewayConfig { port: 0, grpc_port: 0, ..config };
                Gateway::bind(&config, &backends, metrics.clone(), None).await?
            }
        };
        // What was decided stays to be seen for as long as the page does.
        let report = ActivityReport {
            board: embedded.activity.clone(),
            metrics: Arc::clone(&metrics),
            clock: backends.clock,
            worker: backends.entropy.uuid(),
        };
        let (address, stop) = (gateway.http_address(), CancellationToken::new());
        let answering = gateway.serve(stop.clone());
        let serving = tokio::spawn(async move {
            tokio::select! {
                () = answering => {}
                () = report.run() => {}
            }
        });
        Ok(Self { address, metrics, stop, serving })
    }

    /// Watches the workers whose figures the page shows.
    pub(super) fn observer(&self) -> Arc<dyn Observer> {
        Arc::clone(&self.metrics) as Arc<dyn Observer>
    }

    /// Where the page is.
    pub(super) fn address(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Answers no more.
    pub(super) async fn end(self) {
        self.stop.cancel();
        // A task that panicked has said so.
        let _ = self.serving.await;
    }
}
