//! Outages and recovery, and the memory of a backlog.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    messages::{reserve_seats, restock_seats, seat_numbers},
    process::Worker,
    proxy::{Mode, Proxy},
    stack::{Broker, Stack},
    wait::until,
    world::{EVENT, SHORT_LEASES, World},
};

on_every_stack! {
    a_worker_is_back_soon_after_an_outage_of_the_store
    a_worker_is_back_soon_after_an_outage_of_queue_and_topic
}

/// The longest pause while the environment fails, the remaining timeout of a call, and a lease that
/// must expire.
const BACK_WITHIN: Duration = Duration::from_secs(30 + 15 + 5);

/// Long enough for several pauses.
const OUTAGE: Duration = Duration::from_secs(12);

async fn a_worker_is_back_soon_after_an_outage_of_the_store(stack: Stack) {
    back_soon(World::new(stack).await, "AWS_ENDPOINT_URL_DYNAMODB").await;
}

async fn a_worker_is_back_soon_after_an_outage_of_queue_and_topic(stack: Stack) {
    back_soon(World::new(stack).await, "AWS_ENDPOINT_URL").await;
}

async fn back_soon(mut world: World, variable: &str) {
    let proxy = Proxy::of(&world.environment[variable]).await;
    let behind = [&SHORT_LEASES[..], &[(variable, proxy.url())]].concat();
    let worker = world.worker(&behind).await.ready().await;
    world.post("event", &[restock_seats("stock", EVENT, &seat_numbers(1))]).await;
    world.results.one("stock").await;
    proxy.set(Mode::Cut);
    let ids: Vec<String> = (0..100).map(|n| format!("r-{n:02}")).collect();
    for (n, id) in ids.iter().enumerate() {
        world.post(&format!("event/{}", n % 20), &[reserve_seats(id, EVENT, &["A-1"])]).await;
    }
    let paused = "dependency unavailable, pausing receives";
    until("the worker pauses", async || worker.logged(paused)).await;
    tokio::time::sleep(OUTAGE).await;
    proxy.set(Mode::Pass);
    let begun = Instant::now();
    world.results.until("a result", |seen| seen.len() > 1).await;
    let back = begun.elapsed();
    println!("back after {:.1} s", back.as_secs_f64());
    assert!(back <= BACK_WITHIN, "{back:?}");
    let words: Vec<&str> = world.results.of(&ids).await.iter().map(|one| one.word()).collect();
    assert_eq!(words.iter().filter(|word| **word == "reserved").count(), 1);
    world.drained().await;
    worker.stop().await;
    assert_eq!(world.take_dead_letters().await, [].into());
    world.audit().await;
}

const SHORT: usize = 1_000;
const LONG: usize = 20_000;

/// The limit on additional memory for a backlog 20 times as long. A message and its results take
/// some 2 KB: if the backlog were held, it would take 40 MB.
const MORE_MAX: u64 = 10 * 1024 * 1024;

/// Runs on one server of SQS only: posting takes long, and the server makes no difference.
#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_long_backlog_takes_no_more_memory_than_a_short_one() {
    let world = World::new(Stack::of(Broker::LocalStack)).await;
    let short = resident_with_a_backlog_of(SHORT, &world).await;
    let long = resident_with_a_backlog_of(LONG, &world).await;
    println!(
        "resident: {} KiB with {SHORT} messages, {} KiB with {LONG}",
        short / 1024,
        long / 1024
    );
    assert!(long <= short + MORE_MAX, "{short} bytes with {SHORT}, {long} with {LONG}");
}

/// The peak resident memory of a worker while it handles part of a backlog of that length.
async fn resident_with_a_backlog_of(messages: usize, world: &World) -> u64 {
    const HANDLED: f64 = 600.0;
    let mut posted = 0;
    while posted < messages {
        let texts = (0..10).map(|n| {
            let id = format!("{messages}-{}", posted + n);
            (reserve_seats(&id, EVENT, &["A-1"]).to_string(), None)
        });
        world.post_entries(&format!("{messages}/{}", posted / 10 % 200), texts.collect()).await;
        posted += 10;
    }
    let worker: Worker = world.worker(&[("INVENTORY_IN_FLIGHT_MESSAGES", "200")]).await;
    let mut most = 0;
    let rejected = "inventory_rejections_total{code=\"SEAT_NOT_FOUND\"}";
    until("messages are handled", async || {
        most = most.max(worker.resident());
        (worker.figure(rejected).await >= HANDLED).then_some(())
    })
    .await;
    worker.kill().await;
    most
}
