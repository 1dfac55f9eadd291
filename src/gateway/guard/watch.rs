//! A request from its head to its end: answered, or left by its caller.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderMap, HeaderValue},
    response::Response,
};
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;
use tonic::Code;

use crate::{
    gateway::observer::{
        AnsweredRequest, Protocol, RequestCode, RequestObserver, RequestSpan, RequestTracer,
    },
    message::{TRACEPARENT, TRACESTATE, TraceContext},
};

/// A request that is reported once, when this is dropped: with its status, or as left by its
/// caller where there was none by then.
pub(super) struct Watch {
    observer: Arc<dyn RequestObserver>,
    protocol: Protocol,
    operation: String,
    began: Instant,
    took: Option<Duration>,
    code: RequestCode,
    span: Option<Box<dyn RequestSpan>>,
}

impl Watch {
    pub(super) fn begin(
        observer: Arc<dyn RequestObserver>,
        protocol: Protocol,
        operation: String,
    ) -> Self {
        let (began, took, code) = (Instant::now(), None, RequestCode::ClientClosed);
        Self { observer, protocol, operation, began, took, code, span: None }
    }

    /// Begins the request's span, in the trace of its caller. What its handler posts continues the
    /// span: it finds that in the headers.
    pub(super) fn trace(&mut self, tracer: &dyn RequestTracer, headers: &mut HeaderMap) {
        let caller = TraceContext::from_fields(|name| headers.get(name)?.to_str().ok());
        let span = tracer.begin(self.protocol, &self.operation, caller.as_ref());
        if let Some(context) = span.context() {
            let state = context.tracestate();
            for (name, text) in [(TRACEPARENT, Some(context.traceparent())), (TRACESTATE, state)] {
                headers.remove(name);
                if let Some(value) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
                    headers.insert(name, value);
                }
            }
        }
        self.span = Some(span);
    }

    pub(super) fn operation(&self) -> &str {
        &self.operation
    }

    /// Notes the head of the answer. A gRPC answer with a body has its status in the trailers: the
    /// request is watched until they are sent.
    pub(super) fn answered(mut self, response: Response) -> Response {
        self.took = Some(self.began.elapsed());
        let status = match self.protocol {
            Protocol::Http => Some(response.status().as_u16()),
            Protocol::Grpc => grpc_status(response.headers()),
        };
        match status {
            Some(status) => {
                self.code = RequestCode::Status(status);
                response
            }
            None => response.map(|body| Body::new(WatchedBody { body, watch: self })),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let took = self.took.unwrap_or_else(|| self.began.elapsed());
        let (protocol, operation, code) = (self.protocol, self.operation.as_str(), self.code);
        self.observer.answered(&AnsweredRequest { protocol, operation, code, took });
        if let Some(span) = &self.span {
            span.ended(code);
        }
    }
}

fn grpc_status(fields: &HeaderMap) -> Option<u16> {
    fields.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// The body of a gRPC answer.
struct WatchedBody {
    body: Body,
    watch: Watch,
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        let status = match &polled {
            Poll::Pending => return polled,
            Poll::Ready(Some(Ok(frame))) => frame.trailers_ref().map(grpc_status),
            Poll::Ready(Some(Err(_)) | None) if this.watch.code == RequestCode::ClientClosed => {
                Some(None)
            }
            Poll::Ready(Some(Err(_)) | None) => None,
        };
        if let Some(status) = status {
            // What a client makes of an answer that ends without a status.
            let status = status.unwrap_or(Code::Unknown as u16);
            this.watch.code = RequestCode::Status(status);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
