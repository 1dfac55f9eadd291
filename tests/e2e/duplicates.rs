//! The same command more than once, and another under its id.

use inventory_worker::ports::LedgerKey;
use serde_json::json;

use crate::{
    messages::{key, reservation, reserve_seats, restock_seats, seat_numbers},
    stack::Stack,
    world::{EVENT, World},
};

on_every_stack! {
    a_duplicate_has_the_outcome_and_the_result_id_of_the_first
    an_id_used_for_another_command_is_refused_and_the_first_outcome_stands
}

async fn a_duplicate_has_the_outcome_and_the_result_id_of_the_first(stack: Stack) {
    let mut world = World::new(stack).await;
    let worker = world.worker(&[]).await;
    let twice = reserve_seats("twice", EVENT, &["A-1"]);
    world.post("event", &[restock_seats("stock", EVENT, &seat_numbers(2))]).await;
    // Content-based deduplication lets one of these through.
    world.post("event", &[twice.clone(), twice.clone()]).await;
    let first = world.results.one("twice").await;
    assert_eq!(first.word(), "reserved");
    assert_eq!(first.id(), key("twice").result_id().to_string());
    assert_eq!(
        worker.figure("inventory_duplicate_commands_total").await,
        0.0,
        "the queue dropped the other"
    );

    // Under new deduplication ids all are delivered: two in one batch, one in another group.
    let mut spaced: String = twice.to_string();
    world.post_as("event", "again-1", &spaced).await;
    // The same JSON in other bytes.
    spaced.insert(1, ' ');
    world.post_as("event", "again-2", &spaced).await;
    world.post_as("elsewhere", "again-3", &spaced).await;
    for (group, id) in [("event", "last-1"), ("elsewhere", "last-2")] {
        world.post(group, &[reserve_seats(id, EVENT, &["A-1"])]).await;
    }
    let words: Vec<String> = (world.results.of(&["last-1", "last-2"]).await.iter())
        .map(|one| one.word().to_owned())
        .collect();
    assert_eq!(words, ["SEATS_UNAVAILABLE", "SEATS_UNAVAILABLE"]);
    world.drained().await;
    assert_eq!(worker.figure("inventory_duplicate_commands_total").await, 3.0);
    for again in world.results.seen().iter().filter(|one| one.command() == "twice") {
        assert_eq!(again.id(), first.id());
        assert_eq!(again.body["data"]["reservation"], first.body["data"]["reservation"]);
        assert_eq!(again.body["time"], first.body["time"]);
    }
    assert_eq!(world.seat("A-1").await.version, 2, "created, and held once");
    assert_eq!(world.reservations().await.len(), 1);
    worker.stop().await;
    world.audit().await;
}

async fn an_id_used_for_another_command_is_refused_and_the_first_outcome_stands(stack: Stack) {
    let mut world = World::new(stack).await;
    let worker = world.worker(&[]).await;
    let first = reserve_seats("id", EVENT, &["A-1"]);
    let mut elsewhere = first.clone();
    elsewhere["source"] = json!("/tests/another");
    elsewhere["data"]["seats"] = json!(["A-3"]);
    world.post("event", &[restock_seats("stock", EVENT, &seat_numbers(3)), first.clone()]).await;
    world.post("event", &[reserve_seats("id", EVENT, &["A-2"]), elsewhere]).await;
    world.post_as("event", "replay", &first.to_string()).await;
    world.post("event", &[reserve_seats("last", EVENT, &["A-1"])]).await;
    world.results.one("last").await;

    let of_id: Vec<_> = world.results.seen().iter().filter(|one| one.command() == "id").collect();
    let words: Vec<&str> = of_id.iter().map(|one| one.word()).take(3).collect();
    assert_eq!(
        words,
        ["reserved", "COMMAND_ID_REUSED", "reserved"],
        "the last is another source's"
    );
    assert_ne!(of_id[0].id(), of_id[1].id(), "a result of its own");
    assert_ne!(of_id[0].id(), of_id[2].id());
    assert_eq!(of_id[0].body["data"]["reservation"]["reservation_id"], reservation("id"));
    assert!(of_id[3..].iter().all(|one| one.id() == of_id[0].id()), "the replay's is the first's");
    assert_eq!(world.seat("A-2").await.occupancy.status().as_str(), "AVAILABLE");
    assert!(world.ledger(LedgerKey::Command(key("id"))).await.is_some());
    worker.stop().await;
    world.audit().await;
}
