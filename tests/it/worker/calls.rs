//! The port calls of a batch.

use std::{collections::BTreeMap, time::Duration};

use inventory_worker::{ports::Write, worker::LockMode};
use serde_json::json;

use super::fixture::World;

#[tokio::test(start_paused = true)]
async fn ten_one_seat_reserves_of_a_group_cost_one_call_of_each_kind() {
    let mut world = World::new();
    world.with_seats((0..10).map(|n| format!("A-{n}"))).await;
    for n in 0..10 {
        world.post("reserve", json!({"user_id": "u", "seats": [format!("A-{n}")]}));
    }
    let running = world.start();
    world.until_empty().await;
    let expected: BTreeMap<&str, u64> =
        ["receive", "acquire", "load", "commit", "release", "publish", "delete"]
            .map(|call| (call, 1))
            .into();
    assert_eq!(world.seen.calls(), expected);
    running.stop().await;
    assert_eq!(world.outcomes().iter().filter(|(_, t)| t == "inventory.reserved.v1").count(), 10);
}

#[tokio::test(start_paused = true)]
async fn ten_reserves_on_one_sku_write_its_line_once() {
    let mut world = World::new();
    world.with_line("GA", 100).await;
    for n in 0..10 {
        let lines = json!([{"sku": "GA", "quantity": 2}]);
        world.post("reserve", json!({"user_id": format!("u-{n}"), "lines": lines}));
    }
    let running = world.start();
    world.until_empty().await;
    running.stop().await;
    let transactions = world.seen.transactions.lock().unwrap().clone();
    let [transaction] = &transactions[..] else { panic!("{transactions:?}") };
    let lines: Vec<_> = transaction
        .writes
        .iter()
        .filter_map(|write| match write {
            Write::Line { line, .. } => Some((line.available, line.reserved, line.version)),
            _ => None,
        })
        .collect();
    assert_eq!(lines, [(80, 20, 11)]);
    assert_eq!(transaction.writes.len(), 1 + 10 + 10, "a line, reservations, ledger entries");
}

#[tokio::test(start_paused = true)]
async fn a_redelivered_batch_is_answered_from_the_ledger_with_no_write() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned()]).await;
    let reserve = json!({"user_id": "u", "seats": ["A-1"]});
    world.post_as("same", "event-1", "reserve", reserve.clone());
    world.settle().await;
    world.queue.forget_deduplication();
    world.post_as("same", "event-1", "reserve", reserve);
    let running = world.start();
    world.until_empty().await;
    running.stop().await;
    assert_eq!(world.seen.calls().get("commit"), None);
    assert_eq!(world.outcomes().iter().filter(|(id, _)| id == "same").count(), 1, "deduplicated");
}

#[tokio::test(start_paused = true)]
async fn locks_after_a_conflict_only_cost_nothing_where_there_is_none() {
    let mut world = World::new();
    world.settings.lock_mode = LockMode::AfterConflict;
    world.with_seats(["A-1".to_owned()]).await;
    world.post("reserve", json!({"user_id": "u", "seats": ["A-1"]}));
    let running = world.start();
    world.until_empty().await;
    running.stop().await;
    assert_eq!(world.seen.calls().get("acquire"), None);
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_message_is_no_part_of_its_commands_duration() {
    let mut world = World::new();
    let running = world.start();
    tokio::time::sleep(Duration::from_secs(15)).await;
    world.post("restock", json!({"seats": [{"seat_number": "A-1"}]}));
    world.until_empty().await;
    running.stop().await;
    let of_restocks = "{type=\"inventory.restock.v1\"}";
    let figure =
        |name| world.figure(&format!("inventory_command_duration_seconds_{name}{of_restocks}"));
    assert_eq!(figure("count"), 1.0);
    assert!(figure("sum") < 1.0, "{}", figure("sum"));
}

#[tokio::test(start_paused = true)]
async fn ten_groups_of_one_receive_share_their_publish_and_their_delete() {
    let mut world = World::new();
    world.with_seats((0..10).map(|n| format!("A-{n}"))).await;
    for n in 0..10 {
        let data = json!({"user_id": "u", "seats": [format!("A-{n}")]});
        world.post_as(&format!("r-{n}"), &format!("event-1/{n}"), "reserve", data);
    }
    let running = world.start();
    world.until_empty().await;
    running.stop().await;
    let calls = world.seen.calls();
    let of = |call| calls.get(call).copied().unwrap_or_default();
    assert_eq!(["receive", "publish", "delete"].map(of), [1, 1, 1]);
    assert_eq!(["load", "commit"].map(of), [10, 10]);
    assert_eq!(world.outcomes().iter().filter(|(_, t)| t == "inventory.reserved.v1").count(), 10);
}
