//! Bounds, pauses, heartbeats and drains, on the paused clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use inventory_worker::ports::LedgerKey;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::fixture::{Fault, World, until};

/// The commands of event 1 whose result reports a hold.
fn reserved(world: &World) -> Vec<String> {
    let outcomes = world.outcomes();
    let holding = outcomes.into_iter().filter(|(_, kind)| kind == "inventory.reserved.v1");
    holding.map(|(id, _)| id).collect()
}

fn reserve(seat: &str) -> Value {
    json!({"user_id": "u", "seats": [seat]})
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_queued_messages_never_bring_more_into_flight_than_the_bound() {
    let mut world = World::new();
    world.settings.messages_in_flight_max = 70;
    world.settings.pollers = 8;
    for n in 0..100_000 {
        let (id, group) = (format!("r-{n}"), format!("event-1/{}", n % 5_000));
        world.post_as(&id, &group, "reserve", reserve("A-1"));
    }
    world.faults.slow_down("commit", Duration::from_secs(1));
    let running = world.start();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.watch.in_flight_max(), 70, "all the room is used, and no more");
    let leased = world.queue.messages().iter().filter(|one| one.in_flight_until.is_some()).count();
    assert!(leased <= 70, "{leased}");
    running.crash().await;
}

#[tokio::test(start_paused = true)]
async fn large_messages_never_bring_more_bytes_into_flight_than_the_bound() {
    const BOUND: usize = 12 * 1024 * 1024;
    let mut world = World::new();
    world.settings.bytes_in_flight_max = BOUND;
    for n in 0..60 {
        let mut data = reserve("A-1");
        // An unknown member is ignored, but its bytes count.
        data["note"] = json!("x".repeat(600 * 1024));
        world.post_as(&format!("r-{n}"), &format!("event-1/{n}"), "reserve", data);
    }
    world.faults.slow_down("commit", Duration::from_secs(1));
    let running = world.start();
    let mut most = 0;
    until(|| {
        let messages = world.queue.messages();
        let leased = messages.iter().filter(|one| one.in_flight_until.is_some());
        most = most.max(leased.map(|one| one.body.len()).sum());
        messages.is_empty()
    })
    .await;
    running.stop().await;
    assert!(most <= BOUND, "{most} bytes in flight");
    assert!(most > BOUND / 8, "{most}: nothing was in flight when it was looked at");
}

/// The longest pause, plus the time of a batch.
const RETURN_MAX: Duration = Duration::from_secs(30 + 2);

#[tokio::test(start_paused = true)]
async fn receiving_pauses_while_a_port_fails_and_returns_when_it_is_back() {
    for call in ["receive", "load", "commit", "publish", "delete"] {
        let mut world = World::new();
        world.settings.long_poll = Duration::from_secs(1);
        // Messages received before the first failure is known.
        world.settings.messages_in_flight_max = 100;
        world.with_seats(["A-1".to_owned()]).await;
        world.seen.begun.lock().unwrap().clear();
        for n in 0..2_000 {
            // Held for longer than the outage lasts.
            let data = json!({"user_id": "u", "seats": ["A-1"], "hold_seconds": 14_400});
            // Of several events: an outage affects unrelated pools.
            let event = 1 + n % 4;
            let mut data = data;
            data["event_id"] = json!(event);
            world.post_as(&format!("r-{n}"), &format!("event-{event}/{n}"), "reserve", data);
        }
        world.faults.take_down(call);
        let running = world.start();
        tokio::time::sleep(Duration::from_secs(600)).await;
        let receives = world.seen.begun("receive").len();
        // After each of some 30 pauses of up to 30 s, one receive tries.
        assert!(receives < 60, "{call}: {receives} receives in ten minutes of outage");
        assert!(world.queue.depth() > 0, "{call}: the outage stops nothing");

        let back = Instant::now();
        world.faults.clear();
        let before = world.results().len();
        until(|| world.results().len() > before && world.seen.begun("receive").len() > receives)
            .await;
        assert!(back.elapsed() <= RETURN_MAX, "{call}: back after {:?}", back.elapsed());
        world.until_empty().await;
        running.stop().await;
        assert_eq!(world.dead_letters.depth(), 0, "{call}");
        let holders: BTreeSet<String> = reserved(&world).into_iter().collect();
        assert_eq!(holders.len(), 1, "{call}: {holders:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn locks_that_fail_hold_nobody_back() {
    let mut world = World::new();
    world.with_seats((0..10).map(|n| format!("A-{n}"))).await;
    for n in 0..10 {
        world.post("reserve", reserve(&format!("A-{n}")));
    }
    world.faults.take_down("acquire");
    world.faults.take_down("release");
    let begun = Instant::now();
    let running = world.start();
    world.until_empty().await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    running.stop().await;
    assert_eq!(reserved(&world).len(), 10);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_keep_a_message_over_a_commit_of_many_visibility_timeouts() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned()]).await;
    world.post("reserve", reserve("A-1"));
    world.faults.slow_down("commit", world.settings.visibility * 5);
    // Another worker would take the message if it were visible.
    let workers = [world.start(), world.start()];
    until(|| world.seen.calls().contains_key("receive")).await;
    world.until_empty().await;
    let calls = world.seen.calls();
    assert_eq!((calls["receive"], calls["commit"]), (1, 1));
    assert!(calls["change_visibility"] >= 10, "{calls:?}");
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(reserved(&world).len(), 1);
    assert_eq!(world.figure("inventory_duplicate_commands_total"), 0.0);
    assert_eq!(world.figure("inventory_leases_lost_total"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_under_way_does_not_hide_what_is_released_meanwhile() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned()]).await;
    world.post("reserve", reserve("A-1"));
    let (heartbeat, visibility) = (world.settings.heartbeat, world.settings.visibility);
    let late = Duration::from_millis(500);
    world.faults.slow_down("change_visibility", late);
    // The load fails while the heartbeat is under way, before the queue handles it.
    world.faults.slow_down("load", heartbeat + late / 2);
    world.faults.next("load", [Some(Fault::Throttled)]);
    let begun = Instant::now();
    let running = world.start();
    until(|| world.seen.begun("change_visibility").len() == 1).await;
    world.faults.slow_down("change_visibility", Duration::ZERO);
    world.faults.slow_down("load", Duration::ZERO);
    world.until_empty().await;
    assert!(begun.elapsed() < visibility, "{:?}", begun.elapsed());
    running.stop().await;
    assert_eq!(reserved(&world).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_long_restock_is_not_begun_on_a_lease_that_ended_while_it_was_looked_up() {
    let mut world = World::new();
    let lines: Vec<_> = (0..150).map(|n| json!({"sku": format!("x-{n}"), "quantity": 1})).collect();
    world.post("restock", json!({"mode": "add", "lines": lines}));
    world.faults.take_down("change_visibility");
    world.faults.slow_down("load", world.settings.visibility * 2);
    let running = world.start();
    until(|| world.seen.begun("load").len() == 3).await;
    assert_eq!(world.seen.begun("commit"), []);
    world.faults.clear();
    world.until_empty().await;
    running.stop().await;
    assert_eq!(world.store.snapshot().lines.len(), 150);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_committed_on_a_lease_that_could_not_be_extended() {
    let mut world = World::new();
    // A lease counts from the start of its receive.
    world.settings.long_poll = Duration::from_secs(1);
    world.with_seats(["A-1".to_owned()]).await;
    world.seen.begun.lock().unwrap().clear();
    world.post("reserve", reserve("A-1"));
    world.faults.take_down("change_visibility");
    let (visibility, margin) = (world.settings.visibility, world.settings.lease_margin);
    let running = world.start();
    // Longer than the lease; then so long that the lease would end within the margin; then shorter.
    for load in [visibility * 2, visibility - margin / 2, visibility / 2] {
        world.faults.slow_down("load", load);
        let loads = world.seen.begun("load").len();
        until(|| world.seen.begun("load").len() > loads).await;
        if load > visibility - margin {
            tokio::time::sleep(load + Duration::from_millis(100)).await;
            assert_eq!(world.seen.begun("commit"), [], "{load:?}");
        }
    }
    world.until_empty().await;
    running.stop().await;
    let commits = world.seen.begun("commit");
    assert_eq!(commits.len(), 1);
    let received = world.seen.begun("receive").into_iter().rfind(|at| *at <= commits[0]);
    assert!(received.is_some());
    assert_eq!(reserved(&world).len(), 1);
    assert_eq!(world.store.snapshot().seats.into_values().next().unwrap().version, 2);
}

/// Ten reserves of one group, each of so many seats that it needs its own transaction.
async fn world_with_large_reserves() -> (World, Vec<String>) {
    const SEATS: usize = 90;
    let mut world = World::new();
    world.with_seats((0..10 * SEATS).map(|n| format!("A-{n}"))).await;
    let posted = (0..10).map(|n| {
        let seats: Vec<String> = (n * SEATS..(n + 1) * SEATS).map(|n| format!("A-{n}")).collect();
        world.post("reserve", json!({"user_id": "u", "seats": seats}))
    });
    let posted = posted.collect();
    (world, posted)
}

#[tokio::test(start_paused = true)]
async fn a_stopped_worker_finishes_what_fits_its_grace_and_releases_the_rest_in_order() {
    let (mut world, posted) = world_with_large_reserves().await;
    world.settings.commit_parallelism = 1;
    let grace = world.settings.grace;
    world.faults.slow_down("commit", Duration::from_secs(4));
    let running = world.start();
    until(|| world.seen.calls().contains_key("commit")).await;
    let stopped = Instant::now();
    running.stop().await;
    assert!(stopped.elapsed() <= grace, "{:?}", stopped.elapsed());
    let done = reserved(&world);
    assert!((2..9).contains(&done.len()), "{done:?}");
    let left = world.queue.messages();
    assert_eq!(left.len(), posted.len() - done.len(), "what was decided was published and deleted");
    let leased = left.iter().filter(|one| one.in_flight_until.is_some()).count();
    assert_eq!(leased, 0, "the rest is to be had at once");

    world.faults.clear();
    let next = world.start();
    world.until_empty().await;
    next.stop().await;
    assert_eq!(reserved(&world), posted, "in order");
    assert_eq!(world.figure("inventory_duplicate_commands_total"), 0.0, "nothing was done twice");
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_store_hangs_ends_with_its_grace_and_the_next_has_everything() {
    let (world, posted) = world_with_large_reserves().await;
    world.faults.slow_down("commit", Duration::from_secs(3_600));
    let running = world.start();
    until(|| world.seen.calls().contains_key("commit")).await;
    let stopped = Instant::now();
    running.stop().await;
    assert_eq!(stopped.elapsed().as_secs(), world.settings.grace.as_secs());
    world.faults.clear();
    world.settle().await;
    assert_eq!(reserved(&world), posted);
}

#[tokio::test(start_paused = true)]
async fn what_a_receive_brings_after_the_signal_to_stop_is_released_at_once() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned()]).await;
    let running = world.start();
    until(|| !world.seen.begun("receive").is_empty()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    running.shutdown.receiving.cancel();
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.post("reserve", reserve("A-1"));
    running.stop().await;
    let messages = world.queue.messages();
    let [message] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!(message.in_flight_until, None);
    // A receive in progress cannot be cancelled: each may have returned the message.
    let receives = usize::try_from(message.receive_count).unwrap();
    assert!((1..=world.settings.pollers).contains(&receives), "{receives}");
    world.settle().await;
    assert_eq!(reserved(&world).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_amid_a_large_restock_ends_between_two_chunks_and_the_next_goes_on_there() {
    const LINES: usize = 5_000;
    let mut world = World::new();
    world.settings.restock_parallelism = 2;
    let lines: Vec<Value> =
        (0..LINES).map(|n| json!({"sku": format!("sku-{n}"), "quantity": 7})).collect();
    world.post("restock", json!({"mode": "add", "lines": lines}));
    world.faults.slow_down("commit", Duration::from_secs(2));
    let running = world.start();
    until(|| world.store.snapshot().lines.len() > 200).await;
    let stopped = Instant::now();
    running.stop().await;
    assert!(stopped.elapsed() <= world.settings.grace, "{:?}", stopped.elapsed());
    let applied = world.store.snapshot().lines.len();
    assert!(applied > 500 && applied < LINES, "{applied}");
    assert_eq!(chunks(&world), applied.div_ceil(99), "whole chunks, each with its marker");
    assert_eq!(world.queue.messages()[0].in_flight_until, None, "released at once");

    world.faults.clear();
    let commits = world.seen.begun("commit").len();
    let next = world.start();
    world.until_empty().await;
    next.stop().await;
    let after = world.seen.begun("commit").len() - commits;
    assert_eq!(after, LINES.div_ceil(99) - applied.div_ceil(99) + 1, "the rest, and the outcome");
    let stock: BTreeMap<_, _> = world.store.snapshot().lines;
    assert_eq!(stock.len(), LINES);
    assert!(stock.values().all(|line| (line.available, line.version) == (7, 1)), "added once");
    assert_eq!(world.outcomes().len(), 1);
}

fn chunks(world: &World) -> usize {
    let ledger = world.store.snapshot().ledger;
    ledger.keys().filter(|key| matches!(key, LedgerKey::Chunk(..))).count()
}

#[tokio::test(start_paused = true)]
async fn a_sweeper_whose_calls_hang_stops_when_told_to() {
    let world = World::new();
    world.faults.slow_down("acquire", Duration::from_secs(3_600));
    let (sweeper, _) = world.start_sweeper(Arc::clone(&world.clock) as _);
    until(|| world.seen.calls().contains_key("acquire")).await;
    let stopped = Instant::now();
    sweeper.stop().await;
    assert!(stopped.elapsed() < Duration::from_secs(1), "{:?}", stopped.elapsed());
}
