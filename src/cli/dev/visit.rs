//! The gateway of the demo, with its page: so that the sale can be looked at.

use std::{net::SocketAddr, sync::Arc};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    app::{
        embedded::Embedded,
        gateway::{Gateway, GatewayBackends},
    },
    config::GatewayConfig,
    demo::venue,
    gateway::page::PageSettings,
    telemetry::Metrics,
};

/// A gateway that answers until it is ended.
pub(super) struct Visit {
    address: SocketAddr,
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
        // The demo's workers report no totals.
        let backends = GatewayBackends { activity: None, ..embedded.gateway_backends() };
        let metrics = Arc::new(Metrics::new()?);
        let gateway = match Gateway::bind(&config, &backends, metrics.clone(), None).await {
            Ok(gateway) => gateway,
            Err(_) => {
                let config = GatewayConfig { port: 0, grpc_port: 0, ..config };
                Gateway::bind(&config, &backends, metrics, None).await?
            }
        };
        let (address, stop) = (gateway.http_address(), CancellationToken::new());
        let serving = tokio::spawn(gateway.serve(stop.clone()));
        Ok(Self { address, stop, serving })
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
