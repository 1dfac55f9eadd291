//! Order inside a group, and answers to unreadable messages.

use std::collections::BTreeMap;

use inventory_worker::ports::{OutgoingMessage, queue::MESSAGE_BYTES_MAX};
use serde_json::json;

use super::fixture::{Fault, World, until};

fn ids(world: &World) -> Vec<String> {
    world.outcomes().into_iter().map(|(id, _)| id).filter(|id| id != "c-1").collect()
}

#[tokio::test(start_paused = true)]
async fn results_come_in_the_order_of_the_commands() {
    let mut world = World::new();
    world.with_seats((0..40).map(|n| format!("A-{n}"))).await;
    let posted: Vec<String> = (0..35)
        .map(|n| world.post("reserve", json!({"user_id": "u", "seats": [format!("A-{n}")]})))
        .collect();
    let running = world.start();
    world.until_empty().await;
    running.stop().await;
    assert_eq!(ids(&world), posted);
}

#[tokio::test(start_paused = true)]
async fn a_command_sees_what_those_before_it_in_its_batch_did() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned()]).await;
    let id = "018f6d1e-7c1b-7d6e-9a35-3f1f0e2b9c11";
    let seats = json!(["A-1"]);
    world.post("reserve", json!({"user_id": "u", "seats": seats, "reservation_id": id}));
    world.post("reserve", json!({"user_id": "v", "seats": seats}));
    world.post("cancel", json!({"reservation_id": id}));
    world.post("reserve", json!({"user_id": "v", "seats": seats}));
    world.settle().await;
    let kinds: Vec<String> = world.outcomes().into_iter().skip(1).map(|(_, kind)| kind).collect();
    let expected = [
        "inventory.reserved.v1",
        "SEATS_UNAVAILABLE",
        "inventory.cancelled.v1",
        "inventory.reserved.v1",
    ];
    assert_eq!(kinds, expected);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_answered_and_copied_and_stops_nobody() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned(), "A-2".to_owned()]).await;
    world.post("reserve", json!({"user_id": "u", "seats": ["A-1"]}));
    world.post("reserve", json!({"user_id": "u", "seats": []}));
    world.post("teleport", json!({}));
    world.post_raw("event-1", "not json");
    world.post("reserve", json!({"user_id": "u", "seats": ["A-2"]}));
    world.settle().await;
    let kinds: Vec<String> = world.outcomes().into_iter().skip(1).map(|(_, kind)| kind).collect();
    let expected =
        ["inventory.reserved.v1", "INVALID_MESSAGE", "UNSUPPORTED_TYPE", "inventory.reserved.v1"];
    assert_eq!(kinds, expected);
    let dead: Vec<(String, String)> = world
        .dead_letters
        .messages()
        .into_iter()
        .map(|dead| {
            (dead.attributes["dlq_reason"].clone(), dead.attributes["source_queue"].clone())
        })
        .collect();
    let from = |reason: &str| (reason.to_owned(), super::fixture::COMMANDS.to_owned());
    let expected = ["INVALID_MESSAGE", "UNSUPPORTED_TYPE", "INVALID_MESSAGE"].map(from);
    assert_eq!(dead, expected);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_has_the_attributes_of_its_producer_as_far_as_there_is_room() {
    let world = World::new();
    let producers: BTreeMap<String, String> =
        (0..10).map(|n| (format!("p-{n}"), n.to_string())).collect();
    let message = |body: String, attributes| OutgoingMessage {
        group: "g".parse().unwrap(),
        deduplication_id: None,
        body,
        attributes,
    };
    let few: BTreeMap<String, String> = producers.clone().into_iter().take(5).collect();
    world.queue.push(&message("few".to_owned(), few.clone())).unwrap();
    world.queue.push(&message("many".to_owned(), producers.clone())).unwrap();
    // With the producer's own attribute the message has the maximum size.
    let large = "x".repeat(MESSAGE_BYTES_MAX - "p-0String0".len());
    let one: BTreeMap<String, String> = producers.clone().into_iter().take(1).collect();
    world.queue.push(&message(large.clone(), BTreeMap::clone(&one))).unwrap();
    world.settle().await;
    let dead = world.dead_letters.messages();
    let own = ["dlq_detail", "dlq_reason", "first_sent_at", "original_message_id", "source_queue"];
    for dead in &dead[..2] {
        assert_eq!(dead.attributes.len(), 10);
        assert!(own.iter().all(|name| dead.attributes.contains_key(*name)), "{dead:?}");
        assert!(few.iter().all(|(name, value)| dead.attributes.get(name) == Some(value)));
    }
    assert_eq!(dead[2].body, large);
    assert_eq!(dead[2].attributes, one, "nothing else fits beside such a body");
}

#[tokio::test(start_paused = true)]
async fn a_failed_entry_of_a_publish_holds_back_the_results_after_it() {
    let mut world = World::new();
    world.with_seats((0..10).map(|n| format!("A-{n}"))).await;
    let posted: Vec<String> = (0..10)
        .map(|n| world.post("reserve", json!({"user_id": "u", "seats": [format!("A-{n}")]})))
        .collect();
    world.faults.next("publish_entry", [Some(Fault::Fails), Some(Fault::Fails)]);
    let running = world.start();
    world.until_empty().await;
    running.stop().await;
    assert_eq!(ids(&world), posted);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_worker_finishes_what_it_has_and_takes_no_more() {
    let mut world = World::new();
    world.with_seats((0..20).map(|n| format!("A-{n}"))).await;
    for n in 0..20 {
        world.post("reserve", json!({"user_id": "u", "seats": [format!("A-{n}")]}));
    }
    let running = world.start();
    until(|| world.seen.calls().contains_key("commit")).await;
    running.stop().await;
    let left = world.queue.messages();
    assert_eq!(left.len() % 10, 0, "whole batches");
    assert_eq!(20 - left.len() + 1, world.results().len(), "what was decided was published");
    world.settle().await;
    assert_eq!(world.results().len(), 21);
}
