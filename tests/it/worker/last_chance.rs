//! No message is dropped without a copy, and none is copied twice.

use std::{sync::Arc, time::Duration};

use inventory_worker::{
    adapters::memory::MemoryQueue, ports::queue::text_attribute, retention::QUEUE_RETENTION,
};
use serde_json::json;

use super::fixture::{COMMANDS, World, until};

const DAY: Duration = Duration::from_secs(86_400);

/// A queue with a dead-letter queue and limits set by an operator.
fn limit(world: &mut World, bytes_max: usize, retention: Duration, receives_max: u32) {
    let clock = world.clock.clone();
    let dead = MemoryQueue::new("inventory-commands-dlq.fifo", clock.clone());
    world.dead_letters = Arc::new(dead.with_limits(bytes_max, QUEUE_RETENTION));
    let queue = MemoryQueue::new(COMMANDS, clock).with_limits(bytes_max, retention);
    world.queue = Arc::new(queue.with_dead_letters(Arc::clone(&world.dead_letters), receives_max));
}

#[tokio::test(start_paused = true)]
async fn a_copy_fits_the_queue_at_hand_down_to_the_bare_body() {
    let bytes_max = 262_144;
    for (room, attributes) in [(0, 0), (60, 1), (4_096, 5)] {
        let mut world = World::new();
        limit(&mut world, bytes_max, QUEUE_RETENTION, 1_000);
        world.post_raw("g", &"x".repeat(bytes_max - room));
        world.settle().await;
        let dead = world.dead_letters.messages();
        assert_eq!(dead.len(), 1, "with {room} bytes to spare");
        assert_eq!(dead[0].body.len(), bytes_max - room);
        assert_eq!(dead[0].attributes.len(), attributes, "{:?}", dead[0].attributes);
        assert!(attributes == 0 || dead[0].attributes.contains_key("first_sent_at"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_refused_holds_up_its_group_alone() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned()]).await;
    let dead = MemoryQueue::new("inventory-commands-dlq.fifo", world.clock.clone());
    world.dead_letters = Arc::new(dead.with_limits(1_024, QUEUE_RETENTION));
    world.post_raw("g", &"x".repeat(2_000));
    let running = world.start();
    tokio::time::sleep(Duration::from_secs(120)).await;
    for n in 0..20 {
        let data = json!({"user_id": "u", "seats": ["A-1"]});
        world.post_as(&format!("r-{n}"), &format!("event-1/{n}"), "reserve", data);
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.queue.depth(), 1, "what cannot be copied is still there, and it alone");
    running.crash().await;
}

#[tokio::test(start_paused = true)]
async fn what_has_no_outcome_is_copied_before_its_retention_ends_with_its_followers_in_order() {
    for retention in [QUEUE_RETENTION, 4 * DAY] {
        let mut world = World::new();
        limit(&mut world, 262_144, retention, 1_000);
        world.with_seats(["A-1".to_owned(), "A-2".to_owned()]).await;
        world.faults.damage("A-1");
        let sent_at = world.clock_now();
        for n in 0..3 {
            let data = json!({"user_id": "u", "seats": ["A-1"]});
            world.post_as(&format!("stuck-{n}"), "event-1", "reserve", data);
        }
        world.post_as("behind", "event-1", "reserve", json!({"user_id": "u", "seats": ["A-2"]}));
        let running = world.start();
        tokio::time::sleep(retention - 2 * DAY).await;
        assert_eq!(world.dead_letters.depth(), 0, "two days before the end");
        tokio::time::sleep(2 * DAY - Duration::from_secs(60)).await;
        running.stop().await;
        assert_eq!(world.queue.depth(), 0);
        let dead = world.dead_letters.messages();
        assert_eq!(dead.len(), 3);
        for (n, letter) in dead.iter().enumerate() {
            assert!(letter.body.contains(&format!("stuck-{n}")), "in order");
            assert_eq!(text_attribute(&letter.attributes, "dlq_reason").unwrap(), "RETENTION");
            assert_eq!(text_attribute(&letter.attributes, "first_sent_at").unwrap(), sent_at);
        }
        assert_eq!(world.outcomes().last().unwrap().0, "behind");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_topic_makes_one_copy_of_what_cannot_be_read() {
    let world = World::new();
    let body = json!({"specversion": "1.0", "id": "u", "source": "/test", "type": "no.such.v1"});
    world.post_raw("g", &body.to_string());
    world.faults.take_down("publish");
    let running = world.start();
    tokio::time::sleep(Duration::from_secs(4 * 3_600)).await;
    world.faults.clear();
    world.until_empty().await;
    running.stop().await;
    assert_eq!(world.dead_letters.depth(), 1);
    assert_eq!(world.outcomes(), [("u".to_owned(), "UNSUPPORTED_TYPE".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_deleted_is_copied_once_however_often_it_comes() {
    let world = World::new();
    world.post_raw("g", "not json");
    world.faults.take_down("delete");
    let running = world.start();
    tokio::time::sleep(Duration::from_secs(4 * 3_600)).await;
    assert!(world.queue.messages()[0].receive_count > 20);
    assert_eq!(world.dead_letters.depth(), 1);
    world.faults.clear();
    world.until_empty().await;
    running.stop().await;
    assert_eq!(world.dead_letters.depth(), 1);
}

/// Workers that die before they have counted an attempt: SQS's own redrive would move the message
/// after that many receives.
#[tokio::test(start_paused = true)]
async fn a_crash_loop_hands_what_it_held_to_the_dead_letters_with_all_that_is_known() {
    let mut world = World::new();
    limit(&mut world, 262_144, QUEUE_RETENTION, 100);
    world.with_seats(["A-1".to_owned()]).await;
    let sent_at = world.clock_now();
    for n in 0..30 {
        let data = json!({"user_id": "u", "seats": ["A-1"]});
        world.post_as(&format!("r-{n}"), &format!("event-1/{n}"), "reserve", data);
    }
    // They die while they read the ledger, or count the attempt.
    world.faults.slow_down("load", Duration::from_secs(3_600));
    world.faults.slow_down("record_attempt", Duration::from_secs(3_600));
    for _ in 0..400 {
        let running = world.start();
        tokio::time::sleep(Duration::from_secs(1)).await;
        running.crash().await;
        world.queue.expire_all_leases();
    }
    world.faults.clear();
    world.settle().await;
    let dead = world.dead_letters.messages();
    assert!(!dead.is_empty(), "nothing was received often enough");
    for letter in &dead {
        assert_eq!(text_attribute(&letter.attributes, "dlq_reason").unwrap(), "RECEIVES");
        assert_eq!(text_attribute(&letter.attributes, "first_sent_at").unwrap(), sent_at);
    }
    let answered = world.outcomes().iter().filter(|(id, _)| id.starts_with("r-")).count();
    assert_eq!(answered + dead.len(), 30);
    until(|| world.queue.depth() == 0).await;
}
