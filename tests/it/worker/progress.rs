//! Stuck messages do not delay others.

use std::time::Duration;

use inventory_worker::{
    domain::{OrderLine, PoolId, Reservation, ReservationId, ReservationStatus},
    ports::{Clock, Record},
};
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use super::fixture::{Fault, World, until};

/// Cancels, each in its own group, of reservations whose line is missing: none can be decided.
fn post_stuck(world: &World, count: u128) {
    for number in 1..=count {
        let reservation_id = ReservationId(Uuid::from_u128(number));
        let now = world.clock.now();
        world.store.insert([Record::Reservation(Reservation {
            reservation_id,
            pool: PoolId::Event(1),
            source: "/services/booking".parse().unwrap(),
            user_id: "u".parse().unwrap(),
            status: ReservationStatus::Active,
            version: 1,
            seats: Vec::new(),
            lines: vec![OrderLine { sku: "gone".parse().unwrap(), quantity: 1 }],
            booking_id: None,
            goods: None,
            fulfilled_at: None,
            created_at: now,
            expires_at: now,
            ended_at: None,
        })]);
        let data = json!({"reservation_id": reservation_id.to_string()});
        world.post_as(&format!("stuck-{number}"), &format!("stuck-{number}"), "cancel", data);
    }
}

fn is_reserved(world: &World, id: &str) -> bool {
    world.outcomes().iter().any(|(of, kind)| of == id && kind == "inventory.reserved.v1")
}

#[tokio::test(start_paused = true)]
async fn a_thousand_messages_that_cannot_be_handled_stop_no_sale() {
    let mut world = World::new();
    world.with_seats((0..10).map(|n| format!("A-{n}"))).await;
    post_stuck(&world, 1_000);
    let running = world.start();
    for n in 0..5 {
        tokio::time::sleep(Duration::from_secs(40)).await;
        let (id, begun) = (format!("sale-{n}"), Instant::now());
        let data = json!({"user_id": "u", "seats": [format!("A-{n}")]});
        world.post_as(&id, &format!("sale/{n}"), "reserve", data);
        until(|| is_reserved(&world, &id)).await;
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(10), "sale {n} took {took:?}");
    }
    running.crash().await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_to_be_handled_alone_takes_a_small_share_of_the_room() {
    let mut world = World::new();
    world.settings.isolate_after = 0;
    post_stuck(&world, 1_000);
    // Each takes a while.
    world.faults.slow_down("load", Duration::from_secs(1));
    let running = world.start();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut most = 0;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(777)).await;
        most = most.max(world.watch.in_flight());
    }
    assert!(most <= 16, "{most} of {} in flight", world.settings.messages_in_flight_max);
    running.crash().await;
}

#[tokio::test(start_paused = true)]
async fn everything_that_is_stuck_ends_with_the_dead_letters_in_the_end() {
    let mut world = World::new();
    world.settings.messages_in_flight_max = 100;
    post_stuck(&world, 100);
    world.settle().await;
    assert_eq!(world.dead_letters.depth(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_event_holds_back_no_other() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned()]).await;
    world.faults.throttle("event_id: 7");
    let seats = json!([{"seat_number": "A-1"}]);
    world.post_as("hot", "event-7", "restock", json!({"event_id": 7, "seats": seats}));
    let running = world.start();
    for second in 0..120 {
        for n in 0..20 {
            let data = json!({"event_id": 100 + n, "user_id": "u", "seats": ["A-1"]});
            world.post_as(
                &format!("o-{second}-{n}"),
                &format!("event-{}", 100 + n),
                "reserve",
                data,
            );
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let done = world.outcomes().iter().filter(|(id, _)| id.starts_with("o-")).count();
    assert!(done >= 2_380, "{done} of 2,400 commands of others are done");
    assert!(world.outcomes().iter().all(|(id, _)| id != "hot"));
    world.faults.clear();
    let back = Instant::now();
    until(|| world.outcomes().iter().any(|(id, _)| id == "hot")).await;
    assert!(back.elapsed() < Duration::from_secs(45), "back after {:?}", back.elapsed());
    world.until_empty().await;
    running.stop().await;
    assert_eq!(world.dead_letters.depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_cannot_be_received_from_pauses_no_other_queue() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned()]).await;
    world.faults.take_down("receive");
    let running = world.start_with_second_queue();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let begun = Instant::now();
    let data = json!({"user_id": "u", "seats": ["A-1"]});
    world.post_to_second_queue("sale", "event-1", "reserve", data);
    until(|| is_reserved(&world, "sale")).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    running.crash().await;
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_item_is_looked_at_ever_more_seldom_and_soon_after_it_is_mended() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned()]).await;
    world.faults.damage("A-1");
    world.post("reserve", json!({"user_id": "u", "seats": ["A-1"]}));
    let running = world.start();
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    let receives = world.queue.messages()[0].receive_count;
    assert!(receives < 300, "{receives} receives in a day");
    assert_eq!(world.figure("inventory_groups_unreadable"), 1.0, "the alert is about this");
    world.faults.clear();
    let back = Instant::now();
    world.until_empty().await;
    assert!(back.elapsed() < Duration::from_secs(1_200), "back after {:?}", back.elapsed());
    running.stop().await;
    assert_eq!(world.dead_letters.depth(), 0);
    // A group whose head does not come again waits no more.
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(world.figure("inventory_groups_unreadable"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_failed_as_a_whole_is_not_repeated_on_top_of_the_client() {
    for call in ["publish", "delete"] {
        let mut world = World::new();
        world.with_seats(["A-1".to_owned()]).await;
        world.post("reserve", json!({"user_id": "u", "seats": ["A-1"]}));
        world.seen.begun.lock().unwrap().clear();
        let before = world.figure("inventory_batch_size_count");
        world.faults.next(call, [const { Some(Fault::Fails) }; 3]);
        let running = world.start();
        world.until_empty().await;
        running.stop().await;
        let calls = world.seen.begun(call).len();
        let deliveries = world.figure("inventory_batch_size_count") - before;
        assert_eq!((calls, deliveries), (4, 4.0), "{call}: one call a delivery");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_dies_as_it_begins_takes_one_receive_a_queue_with_it() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned()]).await;
    for n in 0..200 {
        let data = json!({"user_id": "u", "seats": ["A-1"]});
        world.post_as(&format!("r-{n}"), &format!("event-1/{n}"), "reserve", data);
    }
    world.faults.slow_down("load", Duration::from_secs(3_600));
    let running = world.start();
    tokio::time::sleep(Duration::from_secs(5)).await;
    running.crash().await;
    let received = world.queue.messages().iter().filter(|one| one.receive_count > 0).count();
    assert_eq!(received, 10);
}

/// SQS refuses an attempt id that it has throttled.
#[tokio::test(start_paused = true)]
async fn a_throttled_receive_is_repeated_under_an_attempt_id_of_its_own() {
    let world = World::new();
    // Both queues in turn.
    let faults = [Fault::Throttled, Fault::Throttled, Fault::Fails, Fault::Fails];
    world.faults.next("receive", faults.map(Some));
    let running = world.start();
    until(|| world.seen.attempt_ids().len() >= 3).await;
    running.crash().await;
    let ids = world.seen.attempt_ids();
    assert_ne!(ids[0], ids[1], "throttled");
    assert_eq!(ids[1], ids[2], "no answer");
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_hangs_takes_a_share_of_the_room_however_much_is_sent_to_it() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned()]).await;
    world.faults.hang_event(7, Duration::from_secs(6));
    let running = world.start();
    for second in 0..20 {
        for n in 0..400 {
            let (id, group) = (format!("h-{second}-{n}"), format!("event-7/{second}-{n}"));
            let data = json!({"event_id": 7, "user_id": "u", "seats": ["A-1"]});
            world.post_as(&id, &group, "reserve", data);
        }
        let (id, begun) = (format!("sale-{second}"), Instant::now());
        let data = json!({"event_id": 100 + second, "user_id": "u", "seats": ["A-1"]});
        world.post_as(&id, &format!("event-{}", 100 + second), "reserve", data);
        until(|| world.outcomes().iter().any(|(of, _)| *of == id)).await;
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(12), "sale {second} took {took:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    running.crash().await;
}
