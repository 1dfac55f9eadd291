//! Traces, exported over OTLP where a collector is configured; the only place that knows
//! OpenTelemetry.
//!
//! ```text
//! producer's span ◄─ child ── process QUEUE, one a message ── carried on by the result
//!        ▲                          │ link
//!        └──── link ── batch QUEUE ◄┘  children: lock, load, commit, publish, delete
//! ```
//!
//! After OpenTelemetry's conventions for messaging: a message is processed in the trace of its
//! producer, and the batch, which has many producers, links to them.
//! <https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/>

mod batch;
mod context;
mod producer_span;
mod transport;

use std::time::Duration;

use opentelemetry::{InstrumentationScope, KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    resource::{EnvResourceDetector, TelemetryResourceDetector},
    trace::{SdkTracer, SdkTracerProvider},
};

pub use producer_span::ProducerSpan;

use crate::config::{TraceConfig, TraceExport};
use transport::Transport;

/// What the service is called unless the environment says otherwise.
const SERVICE_NAME: &str = "inventory-worker";

/// Why there are no traces although they were asked for.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The certificates of this system, which https needs.
    #[error("traces cannot be exported over https: {0}")]
    Roots(#[source] std::io::Error),
    /// The exporter refuses what it was given.
    #[error("traces cannot be exported: {0}")]
    Exporter(#[from] ExporterBuildError),
}

/// An exporter of spans, with a thread of its own that sends them in batches.
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// Begins to export where the configuration says so; `None` where it does not. On a Tokio
    /// runtime, which has to live as long as this.
    ///
    /// # Errors
    ///
    /// Where the exporter cannot be set up. A collector that cannot be reached is no error: the
    /// SDK logs it and goes on.
    pub fn start(config: &TraceConfig) -> Result<Option<Self>, TracesError> {
        config.export.as_ref().map(Self::export).transpose()
    }

    fn export(export: &TraceExport) -> Result<Self, TracesError> {
        let transport = Transport::new(export).map_err(TracesError::Roots)?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(transport)
            .with_endpoint(&export.endpoint)
            .with_timeout(export.timeout)
            .build()?;
        let resource = resource(export.service_name.clone());
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_batch_exporter(exporter)
            .build();
        Ok(Self::of(provider))
    }

    fn of(provider: SdkTracerProvider) -> Self {
        let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        Self { tracer: provider.tracer_with_scope(scope), provider }
    }

    /// Sends what was not sent yet and stops exporting, within that time.
    pub async fn flush(&self, within: Duration) {
        // The runtime goes on meanwhile: it carries the requests.
        let provider = self.provider.clone();
        let flushing = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(within));
        match flushing.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last spans were not exported"),
            Err(error) => tracing::error!(%error, "the exporter of spans ended before its time"),
        }
    }
}

/// What the spans are of. The environment wins over what is built in.
fn resource(service_name: Option<String>) -> Resource {
    let built_in = [
        KeyValue::new("service.name", SERVICE_NAME),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
    ];
    let resource = Resource::builder_empty()
        .with_attributes(built_in)
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match service_name {
        Some(name) => resource.with_service_name(name).build(),
        None => resource.build(),
    }
}

#[cfg(test)]
mod tests;
