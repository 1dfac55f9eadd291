//! What results say beside the outcome: the changes, and whose reservation it is.

use std::sync::Arc;

use serde_json::{Value, json};

use super::fixture::{World, until};

fn last(world: &World) -> Value {
    world.results().pop().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_result_lists_the_changes_of_its_command_and_one_without_changes_none() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned()]).await;
    let created = json!([{"seat_number": "A-1", "version": 1, "status": "AVAILABLE"}]);
    assert_eq!(last(&world)["data"]["changes"], created);
    world.post("restock", json!({"seats": [{"seat_number": "A-1"}]}));
    world.settle().await;
    assert_eq!(last(&world)["data"]["restock"]["seats_applied"], 1);
    world.post("reserve", json!({"user_id": "u", "seats": ["A-9"]}));
    world.settle().await;
    for result in &world.results()[1..] {
        let data = result["data"].as_object().unwrap();
        assert!(!data.contains_key("changes") && !data.contains_key("changes_omitted"), "{data:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_restock_in_chunks_says_that_its_changes_are_omitted_and_a_repetition_says_the_same() {
    let world = World::new();
    let lines: Value = (0..300).map(|n| json!({"sku": format!("s-{n}"), "quantity": 1})).collect();
    let data = json!({"mode": "set", "lines": lines, "reason": "count", "reference": "doc:7"});
    world.post_as("large", "a", "restock", data.clone());
    world.settle().await;
    world.post_as("large", "b", "restock", data);
    world.settle().await;
    let results = world.results();
    assert_eq!(results.len(), 2);
    for result in results {
        let data = result["data"].as_object().unwrap();
        assert_eq!(data["changes_omitted"], true);
        assert!(!data.contains_key("changes"));
        assert_eq!((&data["reason"], &data["reference"]), (&json!("count"), &json!("doc:7")));
        assert_eq!(data["restock"]["lines_applied"], 300);
    }
}

#[tokio::test(start_paused = true)]
async fn an_expiry_names_the_source_that_made_the_hold() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned()]).await;
    let worker = world.start();
    let (sweeper, _) = world.start_sweeper(Arc::clone(&world.clock) as _);
    world.post("reserve", json!({"user_id": "u", "seats": ["A-1"], "hold_seconds": 60}));
    let expired = |world: &World| {
        let published = world.topic.published();
        published.into_iter().find(|result| result.attributes["type"] == "inventory.expired.v1")
    };
    until(|| expired(&world).is_some()).await;
    let result = expired(&world).unwrap();
    assert_eq!(result.attributes["command_source"], "/inventory-worker/sweeper");
    assert_eq!(result.attributes["reservation_source"], "/test");
    let body: Value = serde_json::from_str(&result.body).unwrap();
    assert_eq!(body["data"]["reservation"]["source"], "/test");
    let restocked = &world.topic.published()[0];
    assert!(!restocked.attributes.contains_key("reservation_source"), "{restocked:?}");
    worker.stop().await;
    sweeper.stop().await;
}
