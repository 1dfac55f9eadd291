//! Order inside a group, and answers to unreadable messages.

use inventory_worker::ports::queue::text_attribute;
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
            let text = |name| text_attribute(&dead.attributes, name).unwrap().to_owned();
            (text("dlq_reason"), text("source_queue"))
        })
        .collect();
    let from = |reason: &str| (reason.to_owned(), super::fixture::COMMANDS.to_owned());
    let expected = ["INVALID_MESSAGE", "UNSUPPORTED_TYPE", "INVALID_MESSAGE"].map(from);
    assert_eq!(dead, expected);
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
