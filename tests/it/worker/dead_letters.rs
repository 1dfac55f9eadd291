//! Copies of messages for the dead-letter queue, and their attributes.

use std::{collections::BTreeMap, sync::Arc};

use inventory_worker::{
    adapters::{memory::MemoryQueue, system::Random},
    dlq::{DlqManager, Options, Selection},
    ports::{
        OutgoingMessage,
        queue::{
            AttributeContent, MESSAGE_BYTES_MAX, MessageAttribute, MessageAttributes,
            text_attribute,
        },
    },
    worker::dead_letters::{
        DETAIL, FIRST_SENT_AT, ORIGINAL_MESSAGE_ID, PRODUCER_ATTRIBUTES, REASON, SOURCE_QUEUE,
    },
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::fixture::World;

const OWN: [&str; 5] = [DETAIL, FIRST_SENT_AT, ORIGINAL_MESSAGE_ID, REASON, SOURCE_QUEUE];
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// `count` attributes of every type, and the last ones a trace context.
fn producers(count: usize) -> MessageAttributes {
    let attribute =
        |data_type: &str, value| MessageAttribute { data_type: data_type.into(), value };
    let text = |text: &str| AttributeContent::Text(text.to_owned());
    let all = [
        ("traceparent", attribute("String", text(TRACE))),
        ("tracestate", attribute("String", text("vendor=1"))),
        ("amount", attribute("Number.cents", text("4950"))),
        ("logo", attribute("Binary.png", AttributeContent::Binary(vec![0, 255, 34]))),
        ("tenant", attribute("String", text("t-1 \"quoted\" ü"))),
        ("u-1", attribute("Number", text("-1.5e3"))),
        ("u-2", attribute("String", text("2"))),
        ("u-3", attribute("Binary", AttributeContent::Binary(b"{}".to_vec()))),
        ("u-4", attribute("String", text("4"))),
        ("u-5", attribute("String", text("5"))),
    ];
    all.into_iter().take(count).map(|(name, value)| (name.to_owned(), value)).collect()
}

fn message(body: &str, attributes: &MessageAttributes) -> OutgoingMessage {
    OutgoingMessage {
        group: "g".parse().unwrap(),
        deduplication_id: None,
        body: body.to_owned(),
        attributes: attributes.clone(),
    }
}

/// The attributes of the producer in a message, as a reader by the documentation finds them.
fn found(attributes: &MessageAttributes) -> MessageAttributes {
    let mut found = attributes.clone();
    found.retain(|name, _| !OWN.contains(&name.as_str()));
    let Some(packed) = found.remove(PRODUCER_ATTRIBUTES) else { return found };
    let packed: BTreeMap<String, Value> = serde_json::from_str(packed.text().unwrap()).unwrap();
    for (name, attribute) in packed {
        let data_type = attribute["type"].as_str().unwrap().to_owned();
        let value = match attribute["value"].as_str() {
            Some(text) => AttributeContent::Text(text.to_owned()),
            None => {
                use base64::prelude::{BASE64_STANDARD, Engine as _};
                let encoded = attribute["base64"].as_str().unwrap();
                AttributeContent::Binary(BASE64_STANDARD.decode(encoded).unwrap())
            }
        };
        found.insert(name, MessageAttribute { data_type, value });
    }
    found
}

fn only(queue: &MemoryQueue) -> MessageAttributes {
    let messages = queue.messages();
    assert_eq!(messages.len(), 1);
    messages[0].attributes.clone()
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_has_all_attributes_of_its_producer_with_their_types() {
    for count in 0..=10 {
        let world = World::new();
        let producers = producers(count);
        world.queue.push(&message("unreadable", &producers)).unwrap();
        world.settle().await;
        let copy = only(&world.dead_letters);
        assert!(OWN.iter().all(|name| copy.contains_key(*name)), "{count}: {copy:?}");
        assert_eq!(found(&copy), producers, "{count}");
        assert!(copy.len() <= 10, "{count}: {copy:?}");
        assert_eq!(copy.contains_key(PRODUCER_ATTRIBUTES), count > 5, "{count}");
        let trace = text_attribute(&copy, "traceparent");
        assert_eq!(trace, (count > 0).then_some(TRACE), "never packed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_redrive_gives_the_attributes_back_as_often_as_it_is_repeated() {
    for count in 0..=10 {
        let world = World::new();
        let producers = producers(count);
        world.queue.push(&message("unreadable", &producers)).unwrap();
        for round in 0..3 {
            world.settle().await;
            assert_eq!(found(&only(&world.dead_letters)), producers, "{count}, {round}");
            let desk = DlqManager {
                dead_letters: Arc::clone(&world.dead_letters) as _,
                clock: Arc::clone(&world.clock) as _,
                entropy: Arc::new(Random::new()),
                options: Options::default(),
                stop: CancellationToken::new(),
            };
            assert!(desk.redrive(&*world.queue, &Selection::all()).await.is_done());
            let sent_back = only(&world.queue);
            assert_eq!(found(&sent_back), producers, "{count}, {round}");
            // Nine and the time it was first sent are ten.
            assert_eq!(sent_back.contains_key(PRODUCER_ATTRIBUTES), count > 9, "{count}");
        }
    }
}

/// What a producer puts under the reserved name cannot make SQS refuse the copy, nor speak for the
/// worker.
#[tokio::test(start_paused = true)]
async fn packed_attributes_of_a_producer_are_unpacked_only_if_sqs_accepts_them() {
    for refused in [
        r#"{"x":{"type":"Bogus","value":"1"}}"#,
        r#"{"a b":{"type":"String","value":"1"}}"#,
        r#"{"AWS.x":{"type":"String","value":"1"}}"#,
        r#"{"x":{"type":"Number","value":"abc"}}"#,
        r#"{"x":{"type":"Binary","base64":""}}"#,
        r#"{"x":{"type":"Binary","value":"1"}}"#,
        r#"{"x":{"type":"String","value":"\u0001"}}"#,
    ] {
        let world = World::new();
        let own: MessageAttributes = [(PRODUCER_ATTRIBUTES.to_owned(), refused.into())].into();
        world.queue.push(&message("unreadable", &own)).unwrap();
        world.settle().await;
        let copy = only(&world.dead_letters);
        assert_eq!(text_attribute(&copy, PRODUCER_ATTRIBUTES), Some(refused));
    }
    let world = World::new();
    let forged = r#"{"dlq_reason":{"type":"String","value":"NONE"},
        "first_sent_at":{"type":"String","value":"2099-01-01T00:00:00Z"},
        "original_message_id":{"type":"String","value":"another"}}"#;
    let own: MessageAttributes = [(PRODUCER_ATTRIBUTES.to_owned(), forged.into())].into();
    world.queue.push(&message("unreadable", &own)).unwrap();
    world.settle().await;
    let copy = only(&world.dead_letters);
    assert_eq!(text_attribute(&copy, REASON), Some("INVALID_MESSAGE"));
    assert_ne!(text_attribute(&copy, ORIGINAL_MESSAGE_ID), Some("another"));
    assert!(text_attribute(&copy, FIRST_SENT_AT).unwrap() < "2099");
}

#[tokio::test(start_paused = true)]
async fn an_attribute_under_the_reserved_name_is_packed_with_the_others() {
    let world = World::new();
    let mut own = producers(9);
    own.insert(PRODUCER_ATTRIBUTES.to_owned(), "hello".into());
    world.queue.push(&message("unreadable", &own)).unwrap();
    world.settle().await;
    let copy = only(&world.dead_letters);
    assert_eq!(found(&copy), own);
    assert_eq!(text_attribute(&copy, "traceparent"), Some(TRACE));
    assert_eq!(text_attribute(&copy, "tracestate"), Some("vendor=1"));
}

#[tokio::test(start_paused = true)]
async fn attributes_that_have_no_room_beside_the_body_are_left_out() {
    let world = World::new();
    let one: MessageAttributes = [("p-0".to_owned(), "0".into())].into();
    // With the producer's own attribute the message has the maximum size.
    let body = "x".repeat(MESSAGE_BYTES_MAX - "p-0String0".len());
    world.queue.push(&message(&body, &one)).unwrap();
    world.settle().await;
    let dead = world.dead_letters.messages();
    assert_eq!((dead[0].body.len(), &dead[0].attributes), (body.len(), &one));
}

#[tokio::test(start_paused = true)]
async fn the_trace_context_has_the_first_place_beside_a_large_body() {
    let world = World::new();
    let trace = producers(1);
    let body = "x".repeat(MESSAGE_BYTES_MAX - "traceparentString".len() - TRACE.len());
    world.queue.push(&message(&body, &trace)).unwrap();
    world.settle().await;
    assert_eq!(only(&world.dead_letters), trace);
}

#[tokio::test(start_paused = true)]
async fn an_attribute_under_a_reserved_name_in_another_form_is_kept_as_it_is() {
    let world = World::new();
    let own: MessageAttributes = [(PRODUCER_ATTRIBUTES.to_owned(), "no JSON".into())].into();
    world.queue.push(&message("unreadable", &own)).unwrap();
    world.settle().await;
    let copy = only(&world.dead_letters);
    assert_eq!(text_attribute(&copy, PRODUCER_ATTRIBUTES), Some("no JSON"));
}
