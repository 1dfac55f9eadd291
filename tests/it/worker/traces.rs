//! The worker's calls to a tracer, and its behaviour without one.

use std::sync::{Arc, Mutex};

use inventory_worker::{
    domain::Outcome,
    message::TraceContext,
    ports::OutgoingMessage,
    worker::{
        failure::Failure,
        trace::{BatchTrace, Message, Step, StepSpan, Tracer},
    },
};
use serde_json::json;

use super::fixture::{Fault, World};

const PRODUCER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const OWN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-1111111111111111-01";

/// Records the tracer's calls, in order.
#[derive(Clone, Default)]
struct Scribe(Arc<Mutex<Vec<String>>>);

impl Scribe {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Tracer for Scribe {
    fn batch(&self, queue: &str, messages: &[Message<'_>]) -> Arc<dyn BatchTrace> {
        let reported = |message: &Message<'_>| {
            let key = message.key.map_or("?".to_owned(), |key| key.id.to_string());
            let context = message.context.map_or("none", TraceContext::traceparent);
            format!("{key} {context}")
        };
        let messages: Vec<String> = messages.iter().map(reported).collect();
        self.note(format!("batch of {queue}: {}", messages.join(", ")));
        Arc::new(self.clone())
    }
}

/// Records the end of a step.
struct Ended(Scribe, Step);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.note(format!("{} ends", self.1.as_str()));
    }
}

impl BatchTrace for Scribe {
    fn step(&self, step: Step) -> StepSpan {
        self.note(step.as_str().to_owned());
        Box::new(Ended(self.clone(), step))
    }

    fn decided(&self, message: usize, outcome: &Outcome, replayed: bool) -> Option<TraceContext> {
        let again = if replayed { " again" } else { "" };
        self.note(format!("{message} is {}{again}", outcome.result_type()));
        // Like a tracer that knows only the first message.
        (message == 0).then(|| OWN.parse().unwrap())
    }

    fn settled(&self, done: usize, failure: Option<&Failure>) {
        let failure = failure.map_or("nothing", Failure::class);
        self.note(format!("{done} done, {failure} failed"));
    }
}

async fn world_with_two() -> World {
    let mut world = World::new();
    world.with_seats((0..2).map(|n| format!("A-{n}"))).await;
    for n in 0..2 {
        let body = json!({
            "specversion": "1.0", "id": format!("r-{n}"), "source": "/test",
            "type": "inventory.reserve.v1", "traceparent": PRODUCER,
            "data": { "event_id": 1, "user_id": "u", "seats": [format!("A-{n}")] },
        });
        world.post_raw("event-1", &body.to_string());
    }
    world
}

#[tokio::test(start_paused = true)]
async fn a_tracer_is_told_of_each_step_in_order_and_the_result_carries_its_context() {
    let world = world_with_two().await;
    let scribe = Scribe::default();
    world.watch.trace_with(scribe.clone());
    world.settle().await;
    let expected = [
        &format!("batch of inventory-commands.fifo: r-0 {PRODUCER}, r-1 {PRODUCER}"),
        "lock",
        "lock ends",
        "load",
        "load ends",
        "commit",
        "commit ends",
        "0 is inventory.reserved.v1",
        "1 is inventory.reserved.v1",
        "publish",
        "publish ends",
        "delete",
        "delete ends",
        "2 done, nothing failed",
    ];
    assert_eq!(scribe.take(), expected);
    let results = world.results();
    let carried: Vec<_> = results.iter().rev().map(|result| &result["traceparent"]).collect();
    assert_eq!(carried[..2], [PRODUCER, OWN], "the tracer's, or else the producer's");
}

#[tokio::test(start_paused = true)]
async fn a_tracer_is_told_what_failed_and_of_the_repetition() {
    let world = world_with_two().await;
    let scribe = Scribe::default();
    world.watch.trace_with(scribe.clone());
    world.faults.next("publish", (0..2).map(|_| Some(Fault::Fails)));
    world.settle().await;
    let reported = scribe.take();
    let ends: Vec<&String> = reported.iter().filter(|line| line.contains(" done, ")).collect();
    assert_eq!(ends.first().unwrap().as_str(), "0 done, unavailable failed");
    assert_eq!(ends.last().unwrap().as_str(), "2 done, nothing failed");
    assert!(reported.contains(&"0 is inventory.reserved.v1 again".to_owned()), "{reported:#?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_tracer_a_result_carries_the_context_of_its_command_wherever_that_was() {
    let world = world_with_two().await;
    // One more, whose context an instrumented client put into the attributes.
    let beside = "00-aaaabbbbccccddddaaaabbbbccccdddd-aaaabbbbccccdddd-00";
    let body = json!({
        "specversion": "1.0", "id": "beside", "source": "/test", "type": "inventory.reserve.v1",
        "data": { "event_id": 1, "user_id": "u", "seats": ["A-0"] },
    });
    let attributes = [("traceparent", beside), ("tracestate", "congo=t61rcWkgMzE")];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let message = OutgoingMessage {
        group: "event-1".parse().unwrap(),
        body: body.to_string(),
        deduplication_id: None,
        attributes: attributes.map(|(name, value)| (name, value.into())).into(),
    };
    world.queue.push(&message).unwrap();
    world.settle().await;
    let results = world.results();
    let of = |id: &str| results.iter().find(|one| one["data"]["command"]["id"] == id).unwrap();
    assert_eq!(of("r-0")["traceparent"], PRODUCER);
    assert!(of("r-0").get("tracestate").is_none());
    assert_eq!(of("beside")["traceparent"], beside);
    assert_eq!(of("beside")["tracestate"], "congo=t61rcWkgMzE");
}
