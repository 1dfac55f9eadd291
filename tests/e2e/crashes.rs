//! Workers killed between two steps of one command.

use inventory_worker::ports::{LedgerKey, LedgerRecord};

use serde_json::{Value, json};

use crate::{
    messages::{command, key, reservation, reserve_seats, restock_seats, seat_numbers},
    process::Worker,
    proxy::{Mode, Proxy},
    stack::Stack,
    wait::until,
    world::{EVENT, SHORT_LEASES, World},
};

on_every_stack! {
    a_worker_killed_between_commit_and_publish_leaves_its_results_to_the_next
    a_worker_killed_between_publish_and_delete_has_its_results_repeated_under_their_ids
    a_publish_that_comes_late_from_the_dead_repeats_what_was_published
    workers_killed_again_and_again_under_load_lose_nothing_and_sell_nothing_twice
}

/// Text in the body of a request to SNS.
const PUBLISH: &str = "Action=PublishBatch";
/// Text in the head of a request to SQS.
const DELETE: &str = "AmazonSQS.DeleteMessageBatch";

const COMMITTED: &str = "inventory_commit_attempts_total{result=\"committed\"}";

const COMMANDS: [&str; 3] = ["stock", "r-1", "r-2"];

/// A worker stuck in the middle of a group's batch: SQS and SNS are behind the proxy.
async fn worker_stuck_at(world: &World, what: &'static str) -> (Worker, Proxy) {
    let proxy = Proxy::of(&world.stack.endpoint).await;
    proxy.set(Mode::Hold(what));
    let stock = restock_seats("stock", EVENT, &seat_numbers(2));
    let reserves =
        [reserve_seats("r-1", EVENT, &["A-1"]), reserve_seats("r-2", EVENT, &["A-1", "A-2"])];
    world.post("event", &[&[stock], &reserves[..]].concat()).await;
    let behind = [&SHORT_LEASES[..], &[("AWS_ENDPOINT_URL", proxy.url())]].concat();
    let worker = world.worker(&behind).await;
    for id in COMMANDS {
        until("the outcome is in the ledger", async || {
            world.ledger(LedgerKey::Command(key(id))).await
        })
        .await;
    }
    proxy.held().await;
    (worker, proxy)
}

/// When each command was decided, according to its result.
async fn decided(world: &World) -> Vec<String> {
    let mut times = Vec::new();
    for id in COMMANDS {
        match world.ledger(LedgerKey::Command(key(id))).await.unwrap() {
            LedgerRecord::Outcome { decided_at, .. } => times.push(decided_at.to_string()),
            other => panic!("no outcome: {other:?}"),
        }
    }
    times
}

/// Another worker finishes the batch: each command has one result, under its fixed id, with the
/// time when it was decided.
async fn next_worker_publishes(world: &mut World) {
    let before = decided(world).await;
    let next = world.worker(&SHORT_LEASES).await;
    world.results.of(&COMMANDS).await;
    world.drained().await;
    assert_eq!(
        next.figure("inventory_duplicate_commands_total").await,
        3.0,
        "none was decided anew"
    );
    assert_eq!(next.figure(COMMITTED).await, 0.0);
    next.stop().await;
    let results = world.results.of(&COMMANDS).await;
    let words: Vec<&str> = results.iter().map(|one| one.word()).collect();
    assert_eq!(words, ["restocked", "reserved", "SEATS_UNAVAILABLE"]);
    for ((result, id), time) in results.into_iter().zip(COMMANDS).zip(before) {
        assert_eq!(result.id(), key(id).result_id().to_string());
        assert_eq!(result.body["time"], time);
    }
    assert_eq!(decided(world).await.len(), 3);
    world.results.assert_each_once();
    let seen: Vec<&str> = world.results.seen().iter().map(|one| one.command()).collect();
    assert_eq!(seen, COMMANDS, "in order");
    world.audit().await;
}

async fn a_worker_killed_between_commit_and_publish_leaves_its_results_to_the_next(stack: Stack) {
    let mut world = World::new(stack).await;
    let (worker, proxy) = worker_stuck_at(&world, PUBLISH).await;
    // The first worker's results have the same ids as those that the second publishes.
    let request = proxy.held().await;
    for id in COMMANDS {
        let id = key(id).result_id().to_string();
        assert!(request.contains(&format!("MessageDeduplicationId={id}")), "{request}");
    }
    worker.kill().await;
    assert!(world.results.seen().is_empty());
    next_worker_publishes(&mut world).await;
}

async fn a_worker_killed_between_publish_and_delete_has_its_results_repeated_under_their_ids(
    stack: Stack,
) {
    let mut world = World::new(stack).await;
    let (worker, _proxy) = worker_stuck_at(&world, DELETE).await;
    world.results.of(&COMMANDS).await;
    worker.kill().await;
    next_worker_publishes(&mut world).await;
}

async fn a_publish_that_comes_late_from_the_dead_repeats_what_was_published(stack: Stack) {
    let mut world = World::new(stack).await;
    let (worker, proxy) = worker_stuck_at(&world, PUBLISH).await;
    worker.kill().await;
    let next = world.worker(&SHORT_LEASES).await;
    world.results.of(&COMMANDS).await;
    world.drained().await;
    // The network delivers the held request after all.
    proxy.set(Mode::Pass);
    world.post("event", &[reserve_seats("last", EVENT, &["A-2"])]).await;
    assert_eq!(world.results.one("last").await.word(), "reserved");
    for result in world.results.seen() {
        assert_eq!(result.id(), key(result.command()).result_id().to_string());
    }
    next.stop().await;
    world.audit().await;
}

/// Groups of buyers, each competing for its own seats and one that all of them want.
const GROUPS: usize = 8;
/// Each buyer reserves, then confirms or cancels.
const BUYERS: usize = 8;

/// The commands of a group's buyers, in order.
fn buyers(group: usize) -> Vec<Value> {
    let mut messages = Vec::new();
    for buyer in 0..BUYERS {
        let own = format!("A-{}", 2 + group);
        let hold = format!("{group}-{buyer}-hold");
        let seats: &[&str] = if buyer.is_multiple_of(2) { &[&own] } else { &[&own, "A-1"] };
        messages.push(reserve_seats(&hold, EVENT, seats));
        let data = json!({
            "event_id": EVENT, "reservation_id": reservation(&hold), "booking_id": "b-1"
        });
        let is_last = buyer + 1 == BUYERS;
        let kind = if is_last { "confirm" } else { "cancel" };
        messages.push(command(kind, &format!("{group}-{buyer}-end"), data));
    }
    messages
}

async fn workers_killed_again_and_again_under_load_lose_nothing_and_sell_nothing_twice(
    stack: Stack,
) {
    let mut world = World::new(stack).await;
    let stock = restock_seats("stock", EVENT, &seat_numbers(1 + GROUPS));
    world.post("event", &[stock]).await;
    let mut alive = world.worker(&SHORT_LEASES).await;
    world.results.one("stock").await;
    let mut ids = Vec::new();
    // Each worker is killed once it has decided some new commands; the next one inherits the rest.
    for groups in (0..GROUPS).collect::<Vec<_>>().chunks(2) {
        let before = alive.figure(COMMITTED).await;
        for group in groups {
            let messages = buyers(*group);
            ids.extend(messages.iter().map(|message| message["id"].as_str().unwrap().to_owned()));
            world.post(&format!("event/{group}"), &messages).await;
        }
        until("the worker has decided something new", async || {
            (alive.figure(COMMITTED).await > before).then_some(())
        })
        .await;
        alive.kill().await;
        alive = world.worker(&SHORT_LEASES).await;
    }
    let results = world.results.of(&ids).await;
    for result in &results {
        assert_eq!(result.id(), key(result.command()).result_id().to_string());
    }
    let held: Vec<&str> = (results.iter())
        .filter(|one| one.command().ends_with("-hold"))
        .filter(|one| one.word() == "reserved")
        .map(|one| one.command().trim_end_matches("-hold"))
        .collect();
    for end in results.iter().filter(|one| one.command().ends_with("-end")) {
        let is_held = held.contains(&end.command().trim_end_matches("-end"));
        let expected: &[&str] =
            if is_held { &["confirmed", "cancelled"] } else { &["RESERVATION_NOT_FOUND"] };
        assert!(expected.contains(&end.word()), "{}: {}", end.command(), end.word());
    }
    let sales = results.iter().filter(|one| one.word() == "confirmed");
    let common = sales.filter(|one| one.body["data"]["reservation"]["seats"][1] == "A-1").count();
    assert!(common <= 1, "the seat that all of them wanted was sold {common} times");
    world.drained().await;
    world.dead_letters(0).await;
    alive.stop().await;
    let report = world.audit().await;
    assert_eq!(report["ledger_entries"], ids.len() + 1);
}
