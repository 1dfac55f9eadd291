//! The last moment of a command, decided once: a repetition finds what was decided.

use std::time::Duration;

use inventory_worker::ports::{Clock as _, LedgerKey, LedgerRecord};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::fixture::{Fault, World, until};

/// A command to event 1 that is to be decided within that many seconds.
fn command(world: &World, id: &str, kind: &str, data: Value, within_s: i64) -> String {
    let mut data = data;
    data["event_id"] = json!(1);
    let expirytime = world.clock.now() + SignedDuration::from_secs(within_s);
    json!({
        "specversion": "1.0", "id": id, "source": "/test", "expirytime": expirytime.to_string(),
        "type": format!("inventory.{kind}.v1"), "data": data,
    })
    .to_string()
}

fn lines(count: usize) -> Value {
    (0..count).map(|n| json!({"sku": format!("sku-{n}"), "quantity": n + 1})).collect()
}

/// Posts the message under a group of its own, which SQS's deduplication does not know.
async fn deliver(world: &World, group: &str, body: &str) {
    world.post_raw(group, body);
    world.settle().await;
}

/// The results without the sequence, which belongs to the message and not to the command.
fn results_of(world: &World, id: &str) -> Vec<Value> {
    let all = world.results().into_iter();
    all.filter(|result| result["data"]["command"]["id"] == id)
        .map(|mut result| {
            result["data"]["command"].as_object_mut().unwrap().remove("sequence");
            result
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_repetition_after_the_expirytime_finds_the_first_outcome() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned()]).await;
    let data = json!({"user_id": "u", "seats": ["A-1"]});
    let body = command(&world, "r", "reserve", data.clone(), 10);
    deliver(&world, "a", &body).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    deliver(&world, "b", &body).await;
    let results = results_of(&world, "r");
    assert_eq!(results.len(), 2);
    assert_eq!(results[0]["type"], "inventory.reserved.v1");
    assert_eq!(results[1], results[0]);
    let late = command(&world, "late", "reserve", data, -1);
    deliver(&world, "a", &late).await;
    assert_eq!(results_of(&world, "late")[0]["data"]["rejection"]["code"], "COMMAND_EXPIRED");
}

#[tokio::test(start_paused = true)]
async fn a_retry_with_a_later_expirytime_finds_the_rejection() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned()]).await;
    let data = json!({"user_id": "u", "seats": ["A-1"]});
    let body = command(&world, "r", "reserve", data.clone(), -1);
    deliver(&world, "a", &body).await;
    let retry = command(&world, "r", "reserve", data, 600);
    assert_ne!(retry, body);
    deliver(&world, "b", &retry).await;
    let results = results_of(&world, "r");
    assert_eq!(results.len(), 2);
    assert_eq!(results[0]["data"]["rejection"]["code"], "COMMAND_EXPIRED");
    assert_eq!(results[1], results[0]);
    assert!(world.store.snapshot().reservations.is_empty());
}

/// The entries of the ledger, after checking that there is but the outcome of this one command.
fn sole_outcome(world: &World) -> LedgerRecord {
    let ledger = world.store.snapshot().ledger;
    let [(LedgerKey::Command(_), record)] = &ledger.into_iter().collect::<Vec<_>>()[..] else {
        panic!("more or less than one outcome");
    };
    assert!(matches!(record, LedgerRecord::Outcome { .. }), "{record:?}");
    record.clone()
}

#[tokio::test(start_paused = true)]
async fn a_chunked_restock_after_its_expirytime_is_refused_before_its_first_chunk() {
    let world = World::new();
    let data = json!({"mode": "set", "lines": lines(300)});
    let body = command(&world, "late", "restock", data.clone(), -1);
    deliver(&world, "a", &body).await;
    let decided = sole_outcome(&world);
    deliver(&world, "b", &command(&world, "late", "restock", data, 600)).await;
    assert_eq!(sole_outcome(&world), decided);
    assert!(world.store.snapshot().lines.is_empty());
    let results = results_of(&world, "late");
    assert_eq!(results[0]["data"]["rejection"]["code"], "COMMAND_EXPIRED");
    assert_eq!((results.len(), &results[1]), (2, &results[0]));
}

#[tokio::test(start_paused = true)]
async fn a_chunked_count_of_the_future_is_refused_before_its_first_chunk() {
    let world = World::new();
    let future = json!({"mode": "set", "lines": lines(300), "as_of": "2062-11-21T00:00:00Z"});
    let body = command(&world, "future", "restock", future, 600);
    deliver(&world, "a", &body).await;
    let decided = sole_outcome(&world);
    deliver(&world, "b", &body).await;
    assert_eq!(sole_outcome(&world), decided);
    assert!(world.store.snapshot().lines.is_empty());
    let results = results_of(&world, "future");
    assert_eq!(results[0]["data"]["rejection"]["code"], "LIMIT_EXCEEDED");
    assert_eq!((results.len(), &results[1]), (2, &results[0]));
}

#[tokio::test(start_paused = true)]
async fn a_chunked_restock_that_was_begun_in_time_is_finished_after_its_expirytime() {
    let world = World::new();
    let data = json!({"mode": "add", "lines": lines(2_000)});
    world.post_raw("a", &command(&world, "begun", "restock", data, 10));
    // The intent and some chunks are committed, then the store is down for a while.
    let through = (0..5).map(|_| None);
    world.faults.next("commit", through.chain((0..30).map(|_| Some(Fault::Fails))));
    let running = world.start();
    until(|| !world.store.snapshot().lines.is_empty()).await;
    running.crash().await;
    let applied = world.store.snapshot().lines.len();
    assert!((1..2_000).contains(&applied), "{applied}");
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.settle().await;
    let results = results_of(&world, "begun");
    assert_eq!(results.len(), 1);
    assert_eq!(results[0]["data"]["restock"]["lines_applied"], 2_000);
    let added = world.store.snapshot().lines;
    assert_eq!(added.len(), 2_000);
    for (key, line) in added {
        assert_eq!(format!("sku-{}", line.available - 1), key.sku.as_str(), "nothing twice");
    }
}
