//! Workers killed between two steps of one command.

use inventory_worker::ports::{LedgerKey, LedgerRecord};

use crate::{
    messages::{key, reserve_seats, restock_seats, seat_numbers},
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
}

/// In the body of a request to SNS.
const PUBLISH: &str = "Action=PublishBatch";
/// In the head of a request to SQS.
const DELETE: &str = "AmazonSQS.DeleteMessageBatch";

const COMMANDS: [&str; 3] = ["stock", "r-1", "r-2"];

/// A worker with a group's batch in the middle of it: SQS and SNS are behind the proxy.
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

/// When each command was decided, as results say it.
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

/// Another worker ends what was begun: each command has one result, under the id it always has,
/// and of the time when it was decided.
async fn next_worker_publishes(world: &mut World) {
    let before = decided(world).await;
    let next = world.worker(&SHORT_LEASES).await;
    world.results.of(&COMMANDS).await;
    world.drained().await;
    assert_eq!(next.figure("inventory_replays_total").await, 3.0, "none was decided anew");
    let committed = "inventory_commit_attempts_total{result=\"committed\"}";
    assert_eq!(next.figure(committed).await, 0.0);
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
    // What the first would have published has the ids that the second publishes.
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
    // The network had it all along.
    proxy.set(Mode::Pass);
    world.post("event", &[reserve_seats("last", EVENT, &["A-2"])]).await;
    assert_eq!(world.results.one("last").await.word(), "reserved");
    for result in world.results.seen() {
        assert_eq!(result.id(), key(result.command()).result_id().to_string());
    }
    next.stop().await;
    world.audit().await;
}
