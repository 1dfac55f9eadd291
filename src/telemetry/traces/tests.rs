use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use opentelemetry::{
    KeyValue,
    trace::{SpanContext, SpanId, SpanKind, Status},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};

use super::*;
use crate::{
    domain::{CommandKey, GroupId, Outcome, PoolId, Rejection, RejectionCode, Timestamp},
    gateway::observer::{Protocol, RequestCode, RequestTracer as _},
    message::TraceContext,
    ports::{Delivery, ReceiptHandle},
    worker::{
        failure::Failure,
        trace::{Message, Step, Tracer},
    },
};

const QUEUE: &str = "inventory-commands.fifo";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PRODUCER: &str = "00f067aa0ba902b7";

/// Keeps the spans that ended.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

impl Kept {
    fn traces(&self) -> Traces {
        Traces::of(SdkTracerProvider::builder().with_simple_exporter(self.clone()).build())
    }

    fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|span| span.name.to_string()).collect()
    }

    /// The spans of this name, in the order they ended.
    fn all(&self, name: &str) -> Vec<SpanData> {
        self.0.lock().unwrap().iter().filter(|span| span.name == name).cloned().collect()
    }

    fn one(&self, name: &str) -> SpanData {
        let mut found = self.all(name);
        assert_eq!(found.len(), 1, "{name} in {:?}", self.names());
        found.remove(0)
    }
}

fn context(trace: &str, flags: &str) -> TraceContext {
    format!("00-{trace}-{PRODUCER}-{flags}").parse().unwrap()
}

fn delivery() -> Delivery {
    Delivery {
        message_id: "m-1".to_owned(),
        receipt: ReceiptHandle("r-1".to_owned()),
        group: "event-42".parse::<GroupId>().unwrap(),
        sequence: "1".to_owned(),
        sent_at: Timestamp::UNIX_EPOCH,
        receive_count: 2,
        body: "{}".to_owned(),
        attributes: BTreeMap::new(),
    }
}

fn message<'a>(delivery: &'a Delivery, context: Option<&'a TraceContext>) -> Message<'a> {
    Message { delivery, bytes: 2, key: None, command_type: None, pool: None, context }
}

fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|one| one.key.as_str() == name);
    found.map(|one| one.value.to_string())
}

fn linked(span: &SpanData) -> Vec<SpanContext> {
    span.links.iter().map(|link| link.span_context.clone()).collect()
}

fn rejected() -> Outcome {
    Outcome::Rejected { rejection: Rejection::new(RejectionCode::NotOwner, "no") }
}

#[test]
fn a_message_is_processed_in_its_producers_trace_and_the_batch_links_to_all_of_them() {
    let (kept, delivery) = (Kept::default(), delivery());
    let producer = context(TRACE, "01").with_tracestate(Some("congo=t61rcWkgMzE"));
    let key = CommandKey { source: "/s".parse().unwrap(), id: "c-1".parse().unwrap() };
    let pool = PoolId::Event(42);
    let reported = Message {
        key: Some(&key),
        command_type: Some("inventory.reserve.v1"),
        pool: Some(&pool),
        ..message(&delivery, Some(&producer))
    };
    let trace = kept.traces().batch(QUEUE, &[reported, message(&delivery, None)]);
    let carried = trace.decided(0, &rejected(), false).unwrap();
    trace.settled(2, None);

    let spans = kept.all("process inventory-commands.fifo");
    let batch = kept.one("batch inventory-commands.fifo");
    let own = &spans[0];
    assert_eq!(own.span_context.trace_id().to_string(), TRACE);
    assert_eq!(own.parent_span_id.to_string(), PRODUCER);
    assert!(own.parent_span_is_remote);
    assert_eq!(own.span_kind, SpanKind::Consumer);
    assert_eq!(own.status, Status::Unset, "a rejection is an answer");
    assert_eq!(linked(own), std::slice::from_ref(&batch.span_context));
    assert_eq!(
        linked(&batch).iter().map(|link| link.span_id().to_string()).collect::<Vec<_>>(),
        [PRODUCER]
    );
    assert_eq!(batch.parent_span_id, SpanId::INVALID, "a trace of its own");
    assert_ne!(batch.span_context.trace_id(), own.span_context.trace_id());
    // Both commands are of one message.
    assert_eq!(attribute(&batch.attributes, "messaging.batch.message_count").unwrap(), "1");
    assert_eq!(attribute(&batch.attributes, "inventory.commands").unwrap(), "2");

    let without = &spans[1];
    assert_eq!(without.parent_span_id, batch.span_context.span_id());
    assert_eq!(linked(without), []);

    let span_id = own.span_context.span_id();
    assert_eq!(carried.traceparent(), format!("00-{TRACE}-{span_id}-01"));
    assert_eq!(carried.tracestate(), Some("congo=t61rcWkgMzE"));
    for (name, value) in [
        ("messaging.system", "aws_sqs"),
        ("messaging.destination.name", QUEUE),
        ("messaging.operation.type", "process"),
        ("messaging.message.id", "m-1"),
        ("cloudevents.event_id", "c-1"),
        ("cloudevents.event_source", "/s"),
        ("cloudevents.event_type", "inventory.reserve.v1"),
        ("inventory.pool", "event#42"),
        ("inventory.group", "event-42"),
        ("inventory.receive_count", "2"),
        ("inventory.outcome", "inventory.rejected.v1"),
        ("inventory.rejection", "NOT_OWNER"),
        ("inventory.replayed", "false"),
    ] {
        assert_eq!(attribute(&own.attributes, name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn steps_are_children_of_the_batch_and_end_when_they_are_dropped() {
    let (kept, delivery) = (Kept::default(), delivery());
    let trace = kept.traces().batch(QUEUE, &[message(&delivery, None)]);
    let lock = trace.step(Step::Lock);
    let load = trace.step(Step::Load);
    drop(lock);
    assert_eq!(kept.names(), ["lock"]);
    drop(load);
    drop(trace);
    let batch = kept.one("batch inventory-commands.fifo");
    for step in ["lock", "load"] {
        assert_eq!(kept.one(step).parent_span_id, batch.span_context.span_id());
    }
}

#[test]
fn a_failure_is_told_of_the_messages_that_are_left() {
    let (kept, delivery) = (Kept::default(), delivery());
    let messages = [message(&delivery, None), message(&delivery, None)];
    let trace = kept.traces().batch(QUEUE, &messages);
    trace.settled(1, Some(&Failure::Unavailable("throttled".to_owned())));
    let spans = kept.all("process inventory-commands.fifo");
    assert_eq!(spans[0].status, Status::Unset);
    for failed in [&spans[1], &kept.one("batch inventory-commands.fifo")] {
        assert_eq!(failed.status, Status::error("dependency unavailable: throttled"));
        assert_eq!(attribute(&failed.attributes, "error.type").unwrap(), "unavailable");
    }
}

#[test]
fn what_a_producer_did_not_sample_is_carried_on_and_not_exported() {
    let (kept, delivery) = (Kept::default(), delivery());
    let producer = context(TRACE, "00");
    let trace = kept.traces().batch(QUEUE, &[message(&delivery, Some(&producer))]);
    let carried = trace.decided(0, &rejected(), true).unwrap();
    trace.settled(1, None);
    assert_eq!(carried.trace_id(), TRACE);
    assert!(carried.traceparent().ends_with("-00"), "{carried}");
    assert_eq!(kept.names(), ["batch inventory-commands.fifo"]);
}

#[test]
fn a_command_is_sent_in_the_trace_of_whoever_asks_and_carries_its_own_span() {
    let kept = Kept::default();
    let (traces, caller) = (kept.traces(), context(TRACE, "01"));
    let key = CommandKey { source: "/s".parse().unwrap(), id: "c-1".parse().unwrap() };
    let span = traces.producer_span(QUEUE, &key, "inventory.reserve.v1", Some(&caller));
    let carried = span.context().unwrap();
    span.sent();
    let span = kept.one("send inventory-commands.fifo");
    assert_eq!(span.span_kind, SpanKind::Producer);
    assert_eq!(span.parent_span_id.to_string(), PRODUCER);
    let span_id = span.span_context.span_id();
    assert_eq!(carried.traceparent(), format!("00-{TRACE}-{span_id}-01"));
    let refused = traces.producer_span(QUEUE, &key, "inventory.reserve.v1", None);
    refused.failed("access denied");
    let spans = kept.all("send inventory-commands.fifo");
    assert_eq!(spans[1].status, Status::error("access denied"));
    assert_eq!(spans[1].parent_span_id, SpanId::INVALID);
}

#[test]
fn the_service_has_a_name_and_a_version_unless_it_is_told_another() {
    let named = |name: Option<&str>| {
        let resource = resource(name.map(str::to_owned));
        resource.get(&"service.name".into()).unwrap().to_string()
    };
    assert_eq!(named(Some("inventory-blue")), "inventory-blue");
    assert_eq!(named(None), "inventory-worker");
    let version = resource(None).get(&"service.version".into()).unwrap().to_string();
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_request_continues_its_callers_trace_and_its_commands_continue_it() {
    let kept = Kept::default();
    let caller = context(TRACE, "01").with_tracestate(Some("congo=t61rcWkgMzE"));
    let traces = kept.traces();
    let span = traces.begin(Protocol::Http, "POST /commands", Some(&caller));
    let carried = span.context().unwrap();
    span.ended(RequestCode::Status(202));
    let request = kept.one("POST /commands");
    assert_eq!(request.span_context.trace_id().to_string(), TRACE);
    assert_eq!(request.parent_span_id.to_string(), PRODUCER);
    assert_eq!((request.span_kind, request.status), (SpanKind::Server, Status::Unset));
    let span_id = request.span_context.span_id();
    assert_eq!(carried.traceparent(), format!("00-{TRACE}-{span_id}-01"));
    assert_eq!(carried.tracestate(), Some("congo=t61rcWkgMzE"));
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/commands"),
        ("http.response.status_code", "202"),
    ] {
        assert_eq!(attribute(&request.attributes, name).as_deref(), Some(value), "{name}");
    }
    traces.begin(Protocol::Grpc, "GetSeat", None).ended(RequestCode::Status(5));
    let call = kept.one("GetSeat");
    assert_eq!(call.parent_span_id, SpanId::INVALID, "a trace of its own");
    assert_eq!(attribute(&call.attributes, "rpc.grpc.status_code").as_deref(), Some("5"));
    assert_eq!(call.status, Status::Unset, "the caller's mistake");
}

#[test]
fn a_request_that_failed_is_an_error() {
    for (protocol, code, error) in [
        (Protocol::Http, RequestCode::Status(500), "500"),
        (Protocol::Grpc, RequestCode::Status(13), "13"),
        (Protocol::Http, RequestCode::ClientClosed, "client_closed"),
    ] {
        let kept = Kept::default();
        kept.traces().begin(protocol, "GET /commands", None).ended(code);
        let request = kept.one("GET /commands");
        assert_ne!(request.status, Status::Unset);
        assert_eq!(attribute(&request.attributes, "error.type").as_deref(), Some(error));
    }
}
