//! An OpenTelemetry collector: accepts OTLP over HTTP and keeps the spans.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message as _;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::wait::until;

/// Listens on a free port of this machine until it is dropped.
pub struct Collector {
    endpoint: String,
    kept: Kept,
    serving: JoinHandle<()>,
}

/// The received spans.
type Kept = Arc<Mutex<Vec<Exported>>>;

/// A span with its resource's service.
#[derive(Clone, Debug)]
pub struct Exported {
    pub span: Span,
    /// The resource's service name.
    pub service: String,
}

impl Collector {
    pub async fn start() -> Self {
        let kept = Kept::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&kept));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { endpoint, kept, serving }
    }

    /// The value for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// All spans received so far.
    pub fn spans(&self) -> Vec<Exported> {
        self.kept.lock().unwrap().clone()
    }

    /// Waits for a span for which this holds.
    pub async fn span(&self, what: &str, holds: impl Fn(&Exported) -> bool) -> Exported {
        until(what, async || self.spans().into_iter().find(|span| holds(span))).await
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(State(kept): State<Kept>, headers: HeaderMap, body: Bytes) -> Vec<u8> {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    for of_resource in request.resource_spans {
        let attributes = of_resource.resource.unwrap_or_default().attributes;
        let service = attribute(&attributes, "service.name").unwrap_or_default();
        let spans = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans);
        let exported = spans.map(|span| Exported { span, service: service.clone() });
        kept.lock().unwrap().extend(exported);
    }
    ExportTraceServiceResponse::default().encode_to_vec()
}

impl Exported {
    /// An attribute, as text.
    pub fn attribute(&self, name: &str) -> Option<String> {
        attribute(&self.span.attributes, name)
    }

    /// The id of its trace, in hexadecimal digits.
    pub fn trace(&self) -> String {
        hex(&self.span.trace_id)
    }

    /// Its id, in hexadecimal digits.
    pub fn id(&self) -> String {
        hex(&self.span.span_id)
    }

    /// The id of its parent, in hexadecimal digits; empty without one.
    pub fn parent(&self) -> String {
        hex(&self.span.parent_span_id)
    }

    /// Traces and spans it links to.
    pub fn links(&self) -> Vec<(String, String)> {
        self.span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect()
    }
}

fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|one| one.key == name)?;
    Some(match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(is_so) => is_so.to_string(),
        other => format!("{other:?}"),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
