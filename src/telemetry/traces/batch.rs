//! The spans of a batch and of each message in it.

use std::sync::Arc;

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanKind, Status, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::trace::SdkTracer;

use super::{Traces, context};
use crate::{
    domain::Outcome,
    message::TraceContext,
    worker::{
        failure::Failure,
        trace::{BatchTrace, Message, Step, StepSpan, Tracer},
    },
};

impl Tracer for Traces {
    fn batch(&self, queue: &str, messages: &[Message<'_>]) -> Arc<dyn BatchTrace> {
        Arc::new(Batch::begin(self.tracer.clone(), queue, messages))
    }
}

/// The spans of one batch. They end with it at the latest.
struct Batch {
    tracer: SdkTracer,
    batch: Context,
    messages: Vec<Context>,
}

impl Batch {
    fn begin(tracer: SdkTracer, queue: &str, messages: &[Message<'_>]) -> Self {
        let producer = |message: &Message<'_>| message.context.and_then(context::remote);
        let links = messages.iter().filter_map(producer).map(|link| Link::new(link, Vec::new(), 0));
        let beside = messages.windows(2).filter(|two| is_of_one_message(two)).count();
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let group = messages.first().map(|message| message.delivery.group.to_string());
        let attributes = of_queue(queue, "batch")
            .into_iter()
            .chain([
                KeyValue::new("messaging.batch.message_count", count(messages.len() - beside)),
                KeyValue::new("inventory.commands", count(messages.len())),
            ])
            .chain(group.map(|group| KeyValue::new("inventory.group", group)));
        let batch = tracer
            .span_builder(format!("batch {queue}"))
            .with_kind(SpanKind::Consumer)
            .with_links(links.collect())
            .with_attributes(attributes)
            .start_with_context(&tracer, &Context::new());
        let batch = Context::new().with_span(batch);
        let process = |message: &Message<'_>| {
            let producer = producer(message);
            // A message with its own trace links to the batch that processes it.
            let links = producer.iter().map(|_| batch.span().span_context().clone());
            let parent = match &producer {
                Some(producer) => Context::new().with_remote_span_context(producer.clone()),
                None => batch.clone(),
            };
            let span = tracer
                .span_builder(format!("process {queue}"))
                .with_kind(SpanKind::Consumer)
                .with_links(links.map(|link| Link::new(link, Vec::new(), 0)).collect())
                .with_attributes(of_message(queue, message))
                .start_with_context(&tracer, &parent);
            Context::new().with_span(span)
        };
        let messages = messages.iter().map(process).collect();
        Self { tracer, batch, messages }
    }
}

/// Whether two that follow each other are commands of the same message.
fn is_of_one_message(two: &[Message<'_>]) -> bool {
    matches!(two, [one, other] if std::ptr::eq(one.delivery, other.delivery))
}

/// A span's attributes about a queue.
fn of_queue(queue: &str, operation: &'static str) -> [KeyValue; 4] {
    [
        KeyValue::new("messaging.system", "aws_sqs"),
        KeyValue::new("messaging.destination.name", queue.to_owned()),
        KeyValue::new("messaging.operation.name", operation),
        KeyValue::new("messaging.operation.type", "process"),
    ]
}

/// The attributes of a message's span: ids only, no user and no body.
fn of_message(queue: &str, message: &Message<'_>) -> Vec<KeyValue> {
    let Message { delivery, bytes, key, command_type, pool, context: _ } = message;
    let size = i64::try_from(*bytes).unwrap_or(i64::MAX);
    let text =
        |name: &'static str, value: Option<String>| value.map(|value| KeyValue::new(name, value));
    of_queue(queue, "process")
        .into_iter()
        .chain([
            KeyValue::new("messaging.message.id", delivery.message_id.clone()),
            KeyValue::new("messaging.message.body.size", size),
            KeyValue::new("inventory.group", delivery.group.to_string()),
            KeyValue::new("inventory.receive_count", i64::from(delivery.receive_count)),
        ])
        .chain(text("cloudevents.event_id", key.map(|key| key.id.to_string())))
        .chain(text("cloudevents.event_source", key.map(|key| key.source.to_string())))
        .chain(text("cloudevents.event_type", command_type.map(str::to_owned)))
        .chain(text("inventory.pool", pool.map(ToString::to_string)))
        .collect()
}

impl BatchTrace for Batch {
    fn step(&self, step: Step) -> StepSpan {
        let builder = self.tracer.span_builder(step.as_str());
        Box::new(builder.start_with_context(&self.tracer, &self.batch))
    }

    fn decided(&self, message: usize, outcome: &Outcome, replayed: bool) -> Option<TraceContext> {
        let span = self.messages.get(message)?.span();
        span.set_attribute(KeyValue::new("inventory.outcome", outcome.result_type()));
        span.set_attribute(KeyValue::new("inventory.replayed", replayed));
        if let Some(rejection) = outcome.rejection() {
            // A rejection is an answer, not an error.
            span.set_attribute(KeyValue::new("inventory.rejection", rejection.code.as_str()));
        }
        context::to_carry(span.span_context())
    }

    fn settled(&self, done: usize, failure: Option<&Failure>) {
        let failed = self.messages.iter().skip(done).chain([&self.batch]);
        if let Some(failure) = failure {
            for context in failed {
                let span = context.span();
                span.set_attribute(KeyValue::new("error.type", failure.class()));
                span.set_status(Status::error(failure.to_string()));
            }
        }
        for context in self.messages.iter().chain([&self.batch]) {
            context.span().end();
        }
    }
}
