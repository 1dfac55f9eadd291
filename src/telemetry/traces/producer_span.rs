//! The span of a command that is sent.

use opentelemetry::{
    Context, KeyValue,
    trace::{SpanKind, Status, TraceContextExt as _, Tracer as _},
};

use super::{Traces, context};
use crate::{domain::CommandKey, message::TraceContext};

/// The span of a command on its way to a queue; ends when it is dropped.
pub struct ProducerSpan(Context);

impl Traces {
    /// Starts the span of a command that is about to be sent, in the trace of its caller.
    #[must_use]
    pub fn producer_span(
        &self,
        queue: &str,
        key: &CommandKey,
        command_type: &str,
        parent: Option<&TraceContext>,
    ) -> ProducerSpan {
        let parent = match parent.and_then(context::remote) {
            Some(parent) => Context::new().with_remote_span_context(parent),
            None => Context::new(),
        };
        let span = self
            .tracer
            .span_builder(format!("send {queue}"))
            .with_kind(SpanKind::Producer)
            .with_attributes([
                KeyValue::new("messaging.system", "aws_sqs"),
                KeyValue::new("messaging.destination.name", queue.to_owned()),
                KeyValue::new("messaging.operation.name", "send"),
                KeyValue::new("messaging.operation.type", "send"),
                KeyValue::new("cloudevents.event_id", key.id.to_string()),
                KeyValue::new("cloudevents.event_source", key.source.to_string()),
                KeyValue::new("cloudevents.event_type", command_type.to_owned()),
            ])
            .start_with_context(&self.tracer, &parent);
        ProducerSpan(Context::new().with_span(span))
    }
}

impl ProducerSpan {
    /// The trace context that the command carries.
    #[must_use]
    pub fn context(&self) -> Option<TraceContext> {
        context::to_carry(self.0.span().span_context())
    }

    /// The queue accepted the command.
    pub fn sent(&self) {
        self.0.span().end();
    }

    /// The queue did not accept the command.
    pub fn failed(&self, why: &str) {
        let span = self.0.span();
        span.set_attribute(KeyValue::new("error.type", "not_taken"));
        span.set_status(Status::error(why.to_owned()));
        span.end();
    }
}
