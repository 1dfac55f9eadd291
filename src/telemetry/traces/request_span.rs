//! The span of a request to the gateway.

use opentelemetry::{
    Context, KeyValue,
    trace::{SpanKind, Status, TraceContextExt as _, Tracer as _},
};

use super::{Traces, context};
use crate::{
    gateway::observer::{Protocol, RequestCode, RequestSpan, RequestTracer},
    message::TraceContext,
};

/// The codes of gRPC that are errors of a server: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED,
/// INTERNAL, UNAVAILABLE and DATA_LOSS.
/// <https://opentelemetry.io/docs/specs/semconv/rpc/grpc/>
const GRPC_ERRORS: [u16; 6] = [2, 4, 12, 13, 14, 15];

impl RequestTracer for Traces {
    fn begin(
        &self,
        protocol: Protocol,
        operation: &str,
        caller: Option<&TraceContext>,
    ) -> Box<dyn RequestSpan> {
        let parent = match caller.and_then(context::remote) {
            Some(parent) => Context::new().with_remote_span_context(parent),
            None => Context::new(),
        };
        let span = self
            .tracer
            .span_builder(operation.to_owned())
            .with_kind(SpanKind::Server)
            .with_attributes(attributes(protocol, operation))
            .start_with_context(&self.tracer, &parent);
        Box::new(Request { protocol, span: Context::new().with_span(span) })
    }
}

/// The route or call; never a path with values.
fn attributes(protocol: Protocol, operation: &str) -> [KeyValue; 2] {
    match protocol {
        Protocol::Http => {
            let (method, route) = operation.split_once(' ').unwrap_or(("_OTHER", operation));
            [
                KeyValue::new("http.request.method", method.to_owned()),
                KeyValue::new("http.route", route.to_owned()),
            ]
        }
        Protocol::Grpc => {
            [KeyValue::new("rpc.system", "grpc"), KeyValue::new("rpc.method", operation.to_owned())]
        }
    }
}

struct Request {
    protocol: Protocol,
    span: Context,
}

impl RequestSpan for Request {
    fn context(&self) -> Option<TraceContext> {
        context::to_carry(self.span.span().span_context())
    }

    fn ended(&self, code: RequestCode) {
        let span = self.span.span();
        let is_error = match (code, self.protocol) {
            (RequestCode::ClientClosed, _) => true,
            (RequestCode::Status(status), Protocol::Http) => {
                span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
                status >= 500
            }
            (RequestCode::Status(status), Protocol::Grpc) => {
                span.set_attribute(KeyValue::new("rpc.grpc.status_code", i64::from(status)));
                GRPC_ERRORS.contains(&status)
            }
        };
        if is_error {
            span.set_attribute(KeyValue::new("error.type", code.to_string()));
            span.set_status(Status::error(""));
        }
        span.end();
    }
}
