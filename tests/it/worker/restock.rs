//! Restocks of many entries.

use serde_json::{Value, json};

use super::fixture::{Fault, World, until};

fn lines(count: usize) -> Vec<Value> {
    (0..count).map(|n| json!({"sku": format!("sku-{n}"), "quantity": n})).collect()
}

fn restocked(world: &World) -> Value {
    let results = world.results();
    let last = results.iter().rfind(|result| result["type"] == "inventory.restocked.v1");
    last.unwrap()["data"]["restock"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_restock_of_five_thousand_lines_has_one_outcome() {
    let mut world = World::new();
    world.post("restock", json!({"mode": "set", "lines": lines(5_000)}));
    world.settle().await;
    assert_eq!(restocked(&world)["lines_applied"], 5_000);
    assert_eq!(world.store.snapshot().lines.len(), 5_000);
}

#[tokio::test(start_paused = true)]
async fn a_restock_cut_short_goes_on_where_it_stopped_and_adds_nothing_twice() {
    let mut world = World::new();
    world.post("restock", json!({"mode": "add", "lines": lines(5_000)}));
    // The intent and some chunks are committed, then the store is down for a while.
    let through = (0..20).map(|_| None);
    world.faults.next("commit", through.chain((0..30).map(|_| Some(Fault::LosesAnswer))));
    let running = world.start();
    until(|| world.store.snapshot().lines.len() > 1_000).await;
    running.crash().await;
    world.settle().await;
    assert_eq!(restocked(&world)["lines_applied"], 5_000);
    let added = world.store.snapshot().lines;
    assert_eq!(added.len(), 5_000);
    for (key, line) in added {
        assert_eq!(format!("sku-{}", line.available), key.sku.as_str());
    }
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_long_restock_waits_for_it() {
    let mut world = World::new();
    world.post("restock", json!({"mode": "set", "lines": lines(300)}));
    let wanted = json!([{"sku": "sku-299", "quantity": 299}]);
    world.post("reserve", json!({"user_id": "u", "lines": wanted}));
    world.settle().await;
    let kinds: Vec<String> = world.outcomes().into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(kinds, ["inventory.restocked.v1", "inventory.reserved.v1"]);
}

#[tokio::test(start_paused = true)]
async fn a_line_set_below_what_is_held_counts_though_another_comes_back_with_it() {
    let mut world = World::new();
    let set = |first: u64, second: u64| {
        let lines = [("first", first), ("second", second)]
            .map(|(sku, quantity)| json!({"sku": sku, "quantity": quantity}));
        json!({"mode": "set", "lines": lines})
    };
    world.post("restock", set(2, 2));
    let held = [json!({"sku": "first", "quantity": 2}), json!({"sku": "second", "quantity": 2})];
    world.post("reserve", json!({"user_id": "u", "lines": held}));
    world.settle().await;
    let crossed = |world: &World| {
        ["lines_oversold_total", "lines_recovered_total"]
            .map(|name| world.figure(&format!("inventory_{name}")))
    };
    assert_eq!(crossed(&world), [0.0, 0.0]);
    world.post("restock", set(1, 2));
    world.settle().await;
    assert_eq!(crossed(&world), [1.0, 0.0]);
    world.post("restock", set(2, 1));
    world.settle().await;
    assert_eq!(crossed(&world), [2.0, 1.0]);
}

#[tokio::test(start_paused = true)]
async fn a_restock_once_begun_is_never_dead_lettered() {
    let mut world = World::new();
    world.post("restock", json!({"mode": "set", "lines": lines(300)}));
    // The intent is committed; then the store refuses chunks more often than any message may fail.
    let refused = (0..40).map(|_| Some(Fault::Refuses));
    world.faults.next("commit", std::iter::once(None).chain(refused));
    world.settle().await;
    assert_eq!(world.dead_letters.depth(), 0);
    assert_eq!(restocked(&world)["lines_applied"], 300);
}

#[tokio::test(start_paused = true)]
async fn the_same_id_with_another_restock_is_told_so_even_while_the_first_is_under_way() {
    let mut world = World::new();
    world.post_as("same", "a", "restock", json!({"mode": "set", "lines": lines(300)}));
    world.post_as("same", "b", "restock", json!({"mode": "set", "lines": lines(200)}));
    world.settle().await;
    let mut kinds: Vec<String> = world.outcomes().into_iter().map(|(_, kind)| kind).collect();
    kinds.sort();
    assert_eq!(kinds, ["COMMAND_ID_REUSED", "inventory.restocked.v1"]);
    world.post("reserve", json!({"user_id": "u", "lines": [{"sku": "sku-1", "quantity": 1}]}));
    world.settle().await;
}
