//! Traces, exported over OTLP if a collector is configured; the only module that uses
//! OpenTelemetry.
//!
//! ```text
//! producer's span ◄─ child ── process QUEUE, one a message ── carried on by the result
//!        ▲                          │ link
//!        └──── link ── batch QUEUE ◄┘  children: lock, load, commit, publish, delete
//! ```
//!
//! This follows OpenTelemetry's conventions for messaging: a message is processed in the trace of
//! its producer, and the batch, which has many producers, links to them. A request to the gateway
//! is, in the trace of its caller, the producer's span of the commands that it posts.
//! <https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/>

mod batch;
mod context;
mod producer_span;
mod request_span;
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

/// The service's name unless the environment sets another.
const SERVICE_NAME: &str = "inventory-worker";

/// The most links of a span: the span of a batch has one to each producer of a round, ten messages
/// of 100 commands at most.
const LINKS_MAX: u32 = 1_000;

/// Why traces cannot be exported although they are configured.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The system's certificates, which https needs, cannot be loaded.
    #[error("traces cannot be exported over https: {0}")]
    Roots(#[source] std::io::Error),
    /// The exporter refuses its configuration.
    #[error("traces cannot be exported: {0}")]
    Exporter(#[from] ExporterBuildError),
}

/// An exporter of spans, with its own thread that sends them in batches.
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// Starts to export if the configuration says so; `None` if it does not. Needs a Tokio runtime
    /// that outlives it.
    ///
    /// # Errors
    ///
    /// The exporter cannot be set up. An unreachable collector is not an error: the SDK logs it and
    /// continues.
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
            .with_max_links_per_span(LINKS_MAX)
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

    /// Sends the remaining spans and stops exporting, within that time.
    pub async fn flush(&self, within: Duration) {
        // The runtime keeps running meanwhile: it carries the requests.
        let provider = self.provider.clone();
        let flushing = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(within));
        match flushing.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last spans were not exported"),
            Err(error) => tracing::error!(%error, "the exporter of spans ended before its time"),
        }
    }
}

/// The resource the spans describe. The environment overrides the built-in values.
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
