//! Identities that return after ninety days, while DynamoDB still holds records of their first use:
//! it deletes within days, and in no order.

use std::sync::Arc;

use inventory_worker::{
    domain::{SeatKey, SeatState},
    ports::{LedgerKey, Record},
};
use serde_json::{Value, json};

use super::fixture::{World, until};

const DAYS_91_MS: i64 = 91 * 86_400_000;

fn kinds(world: &World) -> Vec<String> {
    world.outcomes().into_iter().map(|(_, kind)| kind).collect()
}

fn is_free(world: &World) -> bool {
    let key = SeatKey { event_id: 1, number: "A-1".parse().unwrap() };
    world.store.inspect(|tables| tables.seats[&key].occupancy == SeatState::Available)
}

#[tokio::test(start_paused = true)]
async fn a_second_hold_under_the_same_reservation_id_is_released_like_the_first() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned()]).await;
    let reservation_id = "9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90";
    let worker = world.start();
    let (sweeper, _) = world.start_sweeper(Arc::clone(&world.clock) as _);
    for round in 0..2 {
        world.clock.set_skew(round * DAYS_91_MS);
        let data = json!({
            "user_id": "u", "seats": ["A-1"], "hold_seconds": 30, "reservation_id": reservation_id
        });
        world.post("reserve", data);
        until(|| !is_free(&world)).await;
        until(|| is_free(&world)).await;
    }
    world.until_empty().await;
    sweeper.stop().await;
    worker.stop().await;
    let expected = ["reserved", "expired", "reserved", "expired"];
    let expected = expected.map(|word| format!("inventory.{word}.v1"));
    assert_eq!(kinds(&world)[1..], expected);
    let expiries = world.outcomes().into_iter().filter(|(_, kind)| kind == "inventory.expired.v1");
    let ids: Vec<String> = expiries.map(|(id, _)| id).collect();
    assert_ne!(ids[0], ids[1], "each expiry has an identity of its own");
}

#[tokio::test(start_paused = true)]
async fn a_command_id_is_a_new_command_after_ninety_days() {
    let mut world = World::new();
    world.with_line("sku", 10).await;
    for round in 0..2 {
        world.clock.set_skew(round * DAYS_91_MS);
        let lines = json!([{"sku": "sku", "quantity": 1 + round}]);
        world.post_as("again", "event-1", "restock", json!({"mode": "add", "lines": lines}));
        world.settle().await;
    }
    assert_eq!(kinds(&world), vec!["inventory.restocked.v1"; 3]);
    let lines = world.store.snapshot().lines;
    assert_eq!(lines.values().map(|line| line.available).collect::<Vec<_>>(), [13]);
}

/// A restock of 150 lines, each of that quantity.
fn restock(world: &World, quantity: u64) {
    let lines: Vec<Value> =
        (0..150).map(|n| json!({"sku": format!("{n}"), "quantity": quantity})).collect();
    world.post_as("long", "event-1", "restock", json!({"mode": "add", "lines": lines}));
}

fn applied(world: &World) -> (Value, usize) {
    let results = world.results();
    let restocked = &results.last().unwrap()["data"]["restock"];
    (restocked["lines_applied"].clone(), world.store.snapshot().lines.len())
}

#[tokio::test(start_paused = true)]
async fn a_chunks_marker_answers_for_no_restock_but_its_own() {
    let first = World::new();
    restock(&first, 1);
    first.settle().await;
    assert_eq!(applied(&first), (json!(150), 150));
    let markers: Vec<_> = first
        .store
        .snapshot()
        .ledger
        .into_iter()
        .filter(|(key, _)| matches!(key, LedgerKey::Chunk(..)))
        .collect();
    assert_eq!(markers.len(), 2);
    // Ninety-one days later no other record is left; with other content, and with the same.
    for quantity in [2, 1] {
        let world = World::new();
        world.clock.set_skew(DAYS_91_MS);
        world.store.insert(markers.clone().into_iter().map(|(key, it)| Record::Ledger(key, it)));
        restock(&world, quantity);
        world.settle().await;
        assert_eq!(applied(&world), (json!(150), 150), "{quantity}");
        let lines = world.store.snapshot().lines;
        assert!(lines.values().all(|line| line.available == i64::try_from(quantity).unwrap()));
    }
}

/// A long restock's chunks are decided some time after it started: their markers outlive the
/// intent.
#[tokio::test(start_paused = true)]
async fn a_marker_that_outlived_its_intent_answers_for_no_other() {
    let first = World::new();
    restock(&first, 1);
    first.settle().await;
    let world = World::new();
    // Not yet past their own retention.
    world.clock.set_skew(DAYS_91_MS - 2 * 86_400_000);
    let markers = first.store.snapshot().ledger.into_iter();
    let markers = markers.filter(|(key, _)| matches!(key, LedgerKey::Chunk(..)));
    world.store.insert(markers.map(|(key, it)| Record::Ledger(key, it)));
    restock(&world, 1);
    world.settle().await;
    assert_eq!(applied(&world), (json!(150), 150));
}
