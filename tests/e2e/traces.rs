//! Traces: from the producer of a command, through the worker, to the reader of its result.

use std::time::Duration;

use inventory_worker::gateway::grpc::proto;
use opentelemetry_proto::tonic::trace::v1::{span::SpanKind, status::StatusCode};
use serde_json::{Value, json};

use crate::{
    collector::{Collector, Exported},
    gateway::{EVENT_JSON, Gateway, WAIT},
    messages::{SOURCE, reserve_seats, restock_seats, seat_numbers},
    process::{self, Worker},
    stack::Stack,
    wait::until,
    world::{EVENT, World},
};

on_every_stack! {
    a_trace_goes_from_send_through_the_worker_to_the_result
    a_trace_goes_from_a_request_through_the_gateway_and_the_worker_to_the_result
    a_batch_links_to_every_producer_and_each_message_stays_in_its_own_trace
    traces_that_are_switched_off_leave_no_span_and_pass_the_context_on
    a_collector_that_is_down_stops_nobody
}

/// The caller of `send`.
const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// An id that must not be in any log above debug, nor in a span.
const USER: &str = "user-7-who-is-nobodys-business";

/// Spans are exported only at the end: their arrival shows that they are flushed.
const AT_THE_END: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "600000");

fn named<'a>(name: &'a str, id: &'a str) -> impl Fn(&Exported) -> bool + 'a {
    move |one| {
        one.span.name.starts_with(name)
            && one.attribute("cloudevents.event_id").as_deref() == Some(id)
    }
}

async fn a_trace_goes_from_send_through_the_worker_to_the_result(stack: Stack) {
    let mut world = World::new(stack).await;
    let collector = Collector::start().await;
    let exporting = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()),
        ("OTEL_SERVICE_NAME", "inventory-e2e"),
        AT_THE_END,
    ];
    let worker = world.worker(&exporting).await;
    let environment = world.with(&[
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &format!("{}/v1/traces", collector.endpoint())),
        ("TRACEPARENT", CALLER),
        ("TRACESTATE", "congo=t61rcWkgMzE"),
    ]);
    let send = async |arguments: &[&str]| {
        let arguments = [&["send"], arguments, &["--source", SOURCE, "--wait", "60"]].concat();
        process::run(&environment, &arguments).await.expect_code(0);
    };
    send(&["restock", "--event", "42", "--seat", "A-1", "--id", "stock"]).await;
    send(&["reserve", "--event", "42", "--user", USER, "--seat", "A-1", "--id", "traced"]).await;
    let result = world.results.one("traced").await;
    let log = worker.lines();
    worker.stop().await;

    let sent = collector.span("the span of sending", named("send ", "traced")).await;
    assert_eq!((sent.trace().as_str(), sent.parent().as_str()), (TRACE, "b7ad6b7169203331"));
    assert_eq!(sent.span.kind(), SpanKind::Producer);
    assert_eq!(sent.service, "inventory-worker");

    let handled = collector.span("the span of handling", named("process ", "traced")).await;
    assert_eq!((handled.trace(), handled.parent()), (TRACE.to_owned(), sent.id()));
    assert_eq!(handled.span.kind(), SpanKind::Consumer);
    assert_eq!(handled.service, "inventory-e2e");
    assert_eq!(handled.span.name, format!("process {}-commands.fifo", world.name));
    assert_eq!(handled.attribute("inventory.outcome").unwrap(), "inventory.reserved.v1");
    assert_eq!(handled.attribute("inventory.pool").unwrap(), "event#42");

    // The result continues the worker's trace, in its body and in its attributes.
    let carried = format!("00-{TRACE}-{}-01", handled.id());
    for (name, value) in [("traceparent", carried.as_str()), ("tracestate", "congo=t61rcWkgMzE")] {
        assert_eq!(result.body[name], value);
        assert_eq!(result.attributes[name], value);
    }

    let [(_, batch)] = &handled.links()[..] else { panic!("one link: {handled:?}") };
    let batch = collector.span("its batch", |one| one.id() == *batch).await;
    assert!(batch.span.name.starts_with("batch "), "{}", batch.span.name);
    assert_eq!(batch.parent(), "", "a trace of its own");
    assert_eq!(batch.links(), [(TRACE.to_owned(), sent.id())]);
    assert_eq!(handled.links(), [(batch.trace(), batch.id())]);
    for step in ["lock", "load", "commit", "publish", "delete"] {
        let is_step = |one: &Exported| one.span.name == step && one.parent() == batch.id();
        assert!(collector.spans().iter().any(is_step), "{step}");
    }

    // The log names the trace, and neither names the user.
    let decided = log
        .iter()
        .find(|line| line["message"] == "decided" && line["command"] == format!("{SOURCE} traced"));
    let decided = decided.expect("a line of the log");
    assert_eq!(decided["trace_id"], TRACE);
    assert_eq!(decided["pool"], "event#42");
    assert_eq!(decided["outcome"], "inventory.reserved.v1");
    for line in log.iter().filter(|line| line["level"] != "DEBUG") {
        assert!(!line.to_string().contains(USER), "{line}");
    }
    assert!(!format!("{:?}", collector.spans()).contains(USER));
    world.audit().await;
}

async fn a_trace_goes_from_a_request_through_the_gateway_and_the_worker_to_the_result(
    stack: Stack,
) {
    let mut world = World::new(stack).await;
    let collector = Collector::start().await;
    let exporting = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()), AT_THE_END];
    let worker = world.worker(&exporting).await;
    let gateway = Gateway::start(&world.with(&exporting)).await;
    let traced = [EVENT_JSON, WAIT, ("traceparent", CALLER), ("tracestate", "congo=t61rcWkgMzE")];
    let stock = restock_seats("stock", EVENT, &seat_numbers(2));
    gateway.command(&stock).await.expect(200);
    let mut reserve = reserve_seats("over-http", EVENT, &["A-1"]);
    reserve["data"]["user_id"] = USER.into();
    gateway.post("/commands", &traced, &reserve).await.expect(200);
    let mut call = tonic::Request::new(proto::ReserveSeatsRequest {
        pool: Some(proto::Pool { pool: Some(proto::pool::Pool::EventId(42)) }),
        user_id: USER.to_owned(),
        seats: vec!["A-2".to_owned()],
        ..proto::ReserveSeatsRequest::default()
    });
    for (name, value) in [("traceparent", CALLER), ("idempotency-key", "over-grpc")] {
        call.metadata_mut().insert(name, value.parse().unwrap());
    }
    call.set_timeout(Duration::from_secs(20));
    gateway.service().reserve_seats(call).await.unwrap();
    let result = world.results.one("over-http").await;
    let log = gateway.process.lines();
    gateway.process.stop().await;
    worker.stop().await;

    for (operation, id) in [("POST /commands", "over-http"), ("ReserveSeats", "over-grpc")] {
        let is_it = |one: &Exported| one.span.name == operation && one.trace() == TRACE;
        let request = collector.span(operation, is_it).await;
        assert_eq!(request.parent(), "b7ad6b7169203331", "{operation}");
        assert_eq!(request.span.kind(), SpanKind::Server);
        let handled = collector.span("the span of handling", named("process ", id)).await;
        assert_eq!((handled.trace(), handled.parent()), (TRACE.to_owned(), request.id()));
        if id == "over-http" {
            assert_eq!(request.attribute("http.response.status_code").unwrap(), "200");
            let carried = format!("00-{TRACE}-{}-01", handled.id());
            assert_eq!(result.body["traceparent"], carried);
            assert_eq!(result.body["tracestate"], "congo=t61rcWkgMzE");
        } else {
            assert_eq!(request.attribute("rpc.grpc.status_code").unwrap(), "0");
        }
    }
    // A request whose caller does not trace has a trace of its own.
    let is_own = |one: &Exported| one.span.name == "POST /commands" && one.parent().is_empty();
    let own = collector.span("the request of the restock", is_own).await;
    let restocked = collector.span("the restock", named("process ", "stock")).await;
    assert_eq!((restocked.trace(), restocked.parent()), (own.trace(), own.id()));
    for line in log.iter().filter(|line| line["level"] != "DEBUG") {
        assert!(!line.to_string().contains(USER), "{line}");
    }
    assert!(!format!("{:?}", collector.spans()).contains(USER));
    world.audit().await;
}

async fn a_batch_links_to_every_producer_and_each_message_stays_in_its_own_trace(stack: Stack) {
    let mut world = World::new(stack).await;
    let collector = Collector::start().await;
    let context = |n: usize| (format!("{n:032x}"), format!("{n:016x}"));
    let mut commands = vec![restock_seats("stock", EVENT, &seat_numbers(3))];
    for n in 1..=3 {
        let mut reserve = reserve_seats(&format!("r-{n}"), EVENT, &["A-1"]);
        let (trace, parent) = context(n);
        reserve["traceparent"] = json!(format!("00-{trace}-{parent}-01"));
        commands.push(reserve);
    }
    // One whose producer does not trace, and one that is not a command.
    commands.push(reserve_seats("plain", EVENT, &["A-2"]));
    let mut wrong = reserve_seats("wrong", EVENT, &["A-3"]);
    wrong["data"]["seats"] = json!([]);
    let (trace, parent) = context(9);
    wrong["traceparent"] = json!(format!("00-{trace}-{parent}-01"));
    commands.push(wrong);
    // Sent before the worker starts, so that it receives them together.
    world.post("event", &commands).await;
    let exporting = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()), AT_THE_END];
    let worker = world.worker(&exporting).await;
    world.results.of(&["r-1", "r-2", "r-3", "plain", "wrong"]).await;
    worker.stop().await;

    let wrong = collector.span("the span of the wrong one", named("process ", "wrong")).await;
    assert_eq!((wrong.trace(), wrong.parent()), context(9));
    assert_eq!(wrong.attribute("inventory.rejection").unwrap(), "INVALID_MESSAGE");
    let mut linked = Vec::new();
    for batch in collector.spans().iter().filter(|one| one.span.name.starts_with("batch ")) {
        linked.extend(batch.links());
    }
    linked.sort();
    assert_eq!(linked, [context(1), context(2), context(3), context(9)]);
    for n in 1..=3 {
        let id = format!("r-{n}");
        let handled = collector.span(&id, named("process ", &id)).await;
        assert_eq!((handled.trace(), handled.parent()), context(n));
        let status = handled.span.status.clone().unwrap_or_default();
        assert_eq!(status.code(), StatusCode::Unset, "a rejection is an answer");
        let result = world.results.one(&id).await;
        let carried = format!("00-{}-{}-01", handled.trace(), handled.id());
        assert_eq!(result.body["traceparent"], carried);
    }
    let plain = collector.span("the plain one", named("process ", "plain")).await;
    let is_its_batch = |one: &Exported| one.id() == plain.parent();
    let batch = collector.span("its batch", is_its_batch).await;
    assert!(batch.span.name.starts_with("batch "), "{}", batch.span.name);
    let carried = format!("00-{}-{}-01", batch.trace(), plain.id());
    assert_eq!(world.results.one("plain").await.body["traceparent"], carried);
    world.audit().await;
}

async fn traces_that_are_switched_off_leave_no_span_and_pass_the_context_on(stack: Stack) {
    let mut world = World::new(stack).await;
    let collector = Collector::start().await;
    let off = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()),
        ("OTEL_SDK_DISABLED", "true"),
        ("TRACEPARENT", CALLER),
        ("TRACESTATE", "congo=t61rcWkgMzE"),
    ];
    let worker = world.worker(&off).await;
    let environment = world.with(&off);
    let line = ["send", "restock", "--store", "s", "--line", "tea=5", "--mode", "set"];
    let command = ["--id", "passed-on", "--source", SOURCE, "--wait", "60"];
    process::run(&environment, &[&line[..], &command].concat()).await.expect_code(0);
    let result = world.results.one("passed-on").await;
    for (name, value) in [("traceparent", CALLER), ("tracestate", "congo=t61rcWkgMzE")] {
        assert_eq!(result.body[name], value);
        assert_eq!(result.attributes[name], value);
    }
    worker.stop().await;
    assert_eq!(collector.spans().len(), 0);
    world.audit().await;
}

async fn a_collector_that_is_down_stops_nobody(stack: Stack) {
    let mut world = World::new(stack).await;
    let nobody = {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", port.local_addr().unwrap())
    };
    let exporting = [("OTEL_EXPORTER_OTLP_ENDPOINT", nobody.as_str())];
    let mut worker = Worker::start(&world.with(&exporting)).await;
    world.post("event", &[restock_seats("stock", EVENT, &seat_numbers(2))]).await;
    assert_eq!(world.results.one("stock").await.word(), "restocked");
    worker.terminate().await;
    assert_eq!(worker.ended(Duration::from_secs(30)).await, 0, "the grace and five seconds");
    // The SDK's own message.
    let is_told = |line: &Value| line["name"] == "BatchSpanProcessor.ExportError";
    let reported = async || worker.lines().into_iter().find(is_told);
    assert_eq!(until("it is in the log", reported).await["target"], "opentelemetry_sdk");
    world.audit().await;
}
