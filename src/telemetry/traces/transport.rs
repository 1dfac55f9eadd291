//! Transport of spans: HTTP, with the client and the TLS that the AWS SDK uses.

use std::{io, sync::Arc};

use async_trait::async_trait;
use hyper_rustls::HttpsConnectorBuilder;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response, hyper::HyperClient};
use tokio::runtime::Handle;

use crate::config::TraceExport;

/// An HTTP client that runs on a Tokio runtime, from whatever thread it is called. The SDK calls it
/// from its own thread.
#[derive(Debug)]
pub(super) struct Transport {
    client: Arc<dyn HttpClient>,
    runtime: Handle,
}

impl Transport {
    pub(super) fn new(export: &TraceExport) -> io::Result<Self> {
        let runtime = Handle::current();
        if !export.endpoint.starts_with("https:") {
            let client = HyperClient::with_default_connector(export.timeout, None);
            return Ok(Self { client: Arc::new(client), runtime });
        }
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::aws_lc_rs::default_provider())?
            .https_only()
            .enable_http1()
            .build();
        let client = HyperClient::new(connector, export.timeout, None);
        Ok(Self { client: Arc::new(client), runtime })
    }
}

#[async_trait]
impl HttpClient for Transport {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = Arc::clone(&self.client);
        self.runtime.spawn(async move { client.send_bytes(request).await }).await?
    }
}
