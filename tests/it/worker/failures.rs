//! Failures: of the environment, of a message, of the worker itself.

use std::{collections::BTreeSet, time::Duration};

use inventory_worker::{
    domain::SeatState,
    ports::{AttemptStore, Clock, queue::text_attribute},
};
use serde_json::json;
use tokio::time::Instant;

use super::fixture::{Fault, World, until};

/// The number of commands whose result reports a hold; repetitions count once.
fn reserved(world: &World) -> usize {
    let outcomes = world.outcomes();
    let holding = outcomes.into_iter().filter(|(_, kind)| kind == "inventory.reserved.v1");
    holding.map(|(id, _)| id).collect::<BTreeSet<_>>().len()
}

async fn world_with_ten() -> World {
    let mut world = World::new();
    world.with_seats((0..10).map(|n| format!("A-{n}"))).await;
    for n in 0..10 {
        world.post("reserve", json!({"user_id": "u", "seats": [format!("A-{n}")]}));
    }
    world
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_decided_again() {
    let world = world_with_ten().await;
    world.faults.next("commit", [Some(Fault::Conflicts), Some(Fault::Conflicts)]);
    world.settle().await;
    assert_eq!(reserved(&world), 10);
}

#[tokio::test(start_paused = true)]
async fn endless_conflicts_release_the_batch_and_dead_letter_no_message() {
    let world = world_with_ten().await;
    world.faults.next("commit", (0..500).map(|_| Some(Fault::Conflicts)));
    world.settle().await;
    assert_eq!(reserved(&world), 10);
    assert_eq!(world.dead_letters.depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_is_lost_takes_effect_once() {
    let world = world_with_ten().await;
    world.faults.next("commit", [Some(Fault::LosesAnswer)]);
    world.settle().await;
    assert_eq!(reserved(&world), 10);
    let seats = world.store.snapshot().seats;
    assert!(seats.values().all(|seat| seat.version == 2), "created, reserved once");
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_any_port_loses_nothing_and_sends_nothing_to_the_dead_letters() {
    for call in ["load", "commit", "publish", "delete", "acquire", "release", "receive"] {
        let world = world_with_ten().await;
        world.faults.next(call, (0..100).map(|_| Some(Fault::Fails)));
        let running = world.start();
        world.until_empty().await;
        running.stop().await;
        assert_eq!(reserved(&world), 10, "{call}");
        assert_eq!(world.dead_letters.depth(), 0, "{call}");
    }
}

#[tokio::test(start_paused = true)]
async fn receiving_pauses_while_the_environment_fails() {
    let world = world_with_ten().await;
    world.faults.next("load", (0..10_000).map(|_| Some(Fault::Fails)));
    let running = world.start();
    tokio::time::sleep(Duration::from_secs(600)).await;
    let receives = world.seen.calls()["receive"];
    // Some 35 pauses of up to 30 s, after each of which every poller tries once; without pauses
    // there would be one try every few milliseconds.
    assert!(receives < 300, "{receives} receives in ten minutes of outage");
    assert_eq!(world.dead_letters.depth(), 0);
    running.crash().await;
}

#[tokio::test(start_paused = true)]
async fn loads_and_publishes_that_fail_are_counted() {
    let world = world_with_ten().await;
    world.faults.next("load", [Some(Fault::Fails), Some(Fault::Throttled)]);
    world.faults.next("publish", [Some(Fault::Fails)]);
    world.settle().await;
    assert_eq!(reserved(&world), 10);
    let figure = |call: &str, result: &str| {
        world.figure(&format!("inventory_{call}_attempts_total{{result=\"{result}\"}}"))
    };
    assert_eq!(figure("load", "failed"), 2.0);
    assert_eq!(figure("publish", "failed"), 1.0);
    assert!(figure("load", "loaded") >= 1.0 && figure("publish", "published") >= 1.0);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_calls_that_hang_counts_as_a_pause_and_no_moment_twice() {
    const OUTAGE: Duration = Duration::from_secs(600);
    // Loads hang only while messages are there: between a pause and the next receive that brings
    // some, no time is lost to the store.
    for (call, at_least) in [("receive", 0.9), ("load", 0.5)] {
        let world = World::new();
        for event in 1..=4 {
            let reserve = json!({
                "specversion": "1.0", "id": "r", "source": "/test", "type": "inventory.reserve.v1",
                "data": { "event_id": event, "user_id": "u", "seats": ["A-1"] },
            });
            world.post_raw(&format!("event-{event}"), &reserve.to_string());
        }
        // As the client library does: three attempts of five seconds.
        world.faults.slow_down(call, Duration::from_secs(15));
        world.faults.take_down(call);
        let running = world.start();
        tokio::time::sleep(OUTAGE).await;
        let paused = world.figure("inventory_receive_paused_seconds_total");
        let share = paused / OUTAGE.as_secs_f64();
        // A pause that has begun counts to its end.
        assert!((at_least..=1.1).contains(&share), "{call}: {share}");
        running.crash().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_the_store_never_takes_is_dead_lettered_alone_and_its_followers_are_not() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned(), "A-2".to_owned()]).await;
    world.post("reserve", json!({"user_id": "poison", "seats": ["A-1"]}));
    world.post("reserve", json!({"user_id": "u", "seats": ["A-2"]}));
    world.faults.refuse("poison");
    world.settle().await;
    assert_eq!(reserved(&world), 1);
    let dead = world.dead_letters.messages();
    assert_eq!(dead.len(), 1);
    assert_eq!(text_attribute(&dead[0].attributes, "dlq_reason").unwrap(), "POISON");
    assert!(dead[0].body.contains("poison"));
}

/// However often the message was received for other reasons, its group does not wait for minutes
/// after the queue of dead letters is back.
#[tokio::test(start_paused = true)]
async fn a_copy_that_cannot_be_made_is_tried_again_within_half_a_minute() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned()]).await;
    world.post_raw("event-1", "unreadable");
    world.post("reserve", json!({"user_id": "u", "seats": ["A-1"]}));
    world.faults.next("send", (0..12).map(|_| Some(Fault::Fails)));
    world.settle_keeping_record().await;
    assert_eq!((reserved(&world), world.dead_letters.depth()), (1, 1));
    let tried = world.seen.begun("send");
    let longest = tried.windows(2).map(|two| two[1] - two[0]).max().unwrap();
    assert!(longest < Duration::from_secs(45), "{longest:?}");
}

/// Its outcome stands: the dead letter reports it to an operator, and its group continues.
#[tokio::test(start_paused = true)]
async fn a_result_the_topic_never_takes_is_dead_lettered_and_its_followers_get_theirs() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned(), "A-2".to_owned()]).await;
    let mute = world.post("reserve", json!({"user_id": "u", "seats": ["A-1"]}));
    world.post("reserve", json!({"user_id": "u", "seats": ["A-2"]}));
    world.faults.mute(&format!("\"id\":\"{mute}\""));
    world.settle().await;
    assert_eq!(reserved(&world), 1);
    let dead = world.dead_letters.messages();
    assert_eq!(dead.len(), 1);
    assert_eq!(text_attribute(&dead[0].attributes, "dlq_reason").unwrap(), "POISON");
    assert!(
        text_attribute(&dead[0].attributes, "dlq_detail").unwrap().contains("cannot be published"),
        "{dead:?}"
    );
    let seats = world.store.snapshot().seats;
    assert!(seats.values().all(|seat| seat.version == 2), "both are held");
}

#[tokio::test(start_paused = true)]
async fn an_outage_while_an_isolated_message_is_handled_does_not_count_against_it() {
    let world = world_with_ten().await;
    // Enough failures that every message is received often enough to be isolated.
    world.faults.next("load", (0..60).map(|_| Some(Fault::Fails)));
    world.settle().await;
    assert_eq!(reserved(&world), 10);
    assert_eq!(world.dead_letters.depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn lost_answers_to_counts_of_attempts_dead_letter_no_message() {
    let world = world_with_ten().await;
    // Enough failures that every message is received often enough to be isolated.
    world.faults.next("load", (0..60).map(|_| Some(Fault::Fails)));
    world.faults.next("record_attempt", (0..100).map(|_| Some(Fault::LosesAnswer)));
    world.settle().await;
    assert_eq!(reserved(&world), 10);
    assert_eq!(world.dead_letters.depth(), 0);
}

/// A message isolated as often as allowed, a moment ago, by workers that have stopped.
async fn world_with_an_isolated_message() -> (World, String) {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned()]).await;
    world.post("reserve", json!({"user_id": "u", "seats": ["A-1"]}));
    let message_id = world.queue.messages()[0].message_id.clone();
    for _ in 0..world.settings.attempts_max {
        world.store.record_attempt(&message_id, world.clock.now()).await.unwrap();
    }
    world.settings.isolate_after = 0;
    (world, message_id)
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_taken_back_during_the_last_wait_leaves_one_more() {
    let (world, message_id) = world_with_an_isolated_message().await;
    let running = world.start();
    until(|| world.seen.calls().contains_key("undo_attempt")).await;
    world.store.undo_attempt(&message_id).await.unwrap();
    world.until_empty().await;
    running.stop().await;
    assert_eq!(reserved(&world), 1);
    assert_eq!(world.dead_letters.depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_message_isolated_too_often_is_dead_lettered_after_the_deferral() {
    let (world, _) = world_with_an_isolated_message().await;
    let begun = Instant::now();
    world.settle().await;
    assert!(begun.elapsed() >= Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(reserved(&world), 0);
    assert_eq!(world.dead_letters.depth(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_last_wait_costs_no_attempt() {
    let (world, message_id) = world_with_an_isolated_message().await;
    let running = world.start();
    until(|| world.seen.calls().contains_key("undo_attempt")).await;
    running.stop().await;
    let attempt = world.store.record_attempt(&message_id, world.clock.now()).await.unwrap();
    assert_eq!(attempt.count, world.settings.attempts_max + 1);
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_commit_and_publish_is_healed_by_the_next_worker() {
    let world = world_with_ten().await;
    world.faults.next("publish", (0..1_000).map(|_| Some(Fault::Fails)));
    let running = world.start();
    until(|| world.seen.calls().contains_key("publish")).await;
    running.crash().await;
    assert_eq!(reserved(&world), 0);
    world.faults.clear();
    world.settle().await;
    assert_eq!(reserved(&world), 10);
    let seats = world.store.snapshot().seats;
    assert!(seats.values().all(|seat| seat.version == 2));
}

#[tokio::test(start_paused = true)]
async fn two_workers_in_contention_sell_each_seat_once() {
    let mut world = World::new();
    world.with_seats((0..30).map(|n| format!("A-{n}"))).await;
    for n in 0..300 {
        let seat = format!("A-{}", n % 30);
        let data = json!({"user_id": format!("u-{n}"), "seats": [seat]});
        world.post_as(&format!("r-{n}"), &format!("event-1/{}", n % 7), "reserve", data);
    }
    let workers = [world.start(), world.start()];
    world.until_empty().await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(reserved(&world), 30);
    assert_eq!(world.outcomes().len(), 301);
}

#[tokio::test(start_paused = true)]
async fn an_item_that_cannot_be_read_holds_up_what_rests_on_it_and_nobody_else() {
    let mut world = World::new();
    world.with_seats((1..=4).map(|n| format!("A-{n}"))).await;
    world.faults.damage("A-2");
    let reserve = |seat: &str| json!({"user_id": "u", "seats": [seat]});
    for (id, group, seat) in
        [("before", "a", "A-1"), ("on-it", "a", "A-2"), ("after", "a", "A-3"), ("else", "b", "A-4")]
    {
        world.post_as(id, group, "reserve", reserve(seat));
    }
    let running = world.start();
    until(|| reserved(&world) == 2).await;
    // Long enough to be received more often than any message before it is isolated.
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(reserved(&world), 2, "what comes after it in its group waits");
    let receives = world.seen.begun("receive");
    let longest = receives.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(longest <= world.settings.long_poll, "receiving went on, but for {longest:?}");
    assert_eq!(world.dead_letters.depth(), 0);
    world.faults.clear();
    until(|| reserved(&world) == 4).await;
    running.stop().await;
    assert_eq!(world.dead_letters.depth(), 0);
}

/// SQS itself moves a message to the dead-letter queue at the thousandth receive.
#[tokio::test(start_paused = true)]
async fn a_message_that_nobody_is_to_blame_for_is_received_ever_more_seldom() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned()]).await;
    world.faults.damage("A-1");
    world.post("reserve", json!({"user_id": "u", "seats": ["A-1"]}));
    let running = world.start();
    tokio::time::sleep(Duration::from_secs(12 * 3_600)).await;
    let loads = world.seen.calls()["load"];
    assert!((100..800).contains(&loads), "{loads} receives");
    world.faults.clear();
    until(|| reserved(&world) == 1).await;
    running.stop().await;
}

/// A reserve of another group commits between the reads of one load: the batch has the old seat and
/// the new reservation.
#[tokio::test(start_paused = true)]
async fn a_cancel_that_read_its_seat_before_the_reservation_was_made_still_gives_it_back() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned(), "A-2".to_owned()]).await;
    let id = "018f6d1e-7c1b-7d6e-9a35-3f1f0e2b9c11";
    let seats = json!(["A-1"]);
    let reserve = json!({"user_id": "u", "seats": seats, "reservation_id": id});
    let before = world.store.snapshot().seats;
    world.post_as("made", "a", "reserve", reserve);
    world.settle().await;
    // The first names A-1 and does not write it, since A-3 does not exist.
    world.post_as("blind", "b", "reserve", json!({"user_id": "v", "seats": ["A-1", "A-3"]}));
    world.post_as("cancel", "b", "cancel", json!({"reservation_id": id}));
    world.faults.show_stale_seats(before);
    world.settle().await;
    let seats = world.store.snapshot().seats;
    assert!(seats.values().all(|seat| seat.occupancy == SeatState::Available), "{seats:?}");
}

/// The ledger has the command that freed the seat, and the load the seat as it was before: a load
/// reads its items at different moments.
#[tokio::test(start_paused = true)]
async fn a_command_sees_what_one_before_it_did_that_another_worker_decided_meanwhile() {
    let mut world = World::new();
    let restock = |status: &str| json!({"seats": [{"seat_number": "A-1", "status": status}]});
    world.post("restock", restock("BLOCKED"));
    world.settle().await;
    let before = world.store.snapshot().seats;
    world.post_as("free", "a", "restock", restock("AVAILABLE"));
    world.settle().await;
    world.post_as("free", "b", "restock", restock("AVAILABLE"));
    world.post_as("reserve", "b", "reserve", json!({"user_id": "u", "seats": ["A-1"]}));
    world.faults.show_stale_seats(before);
    world.settle().await;
    assert_eq!(reserved(&world), 1, "{:?}", world.outcomes());
}

/// The last entry of the shared call fails twice: its group publishes it alone, the others are
/// done.
#[tokio::test(start_paused = true)]
async fn a_failed_entry_of_a_shared_publish_is_its_own_groups_matter() {
    let mut world = World::new();
    world.with_seats((0..4).map(|n| format!("A-{n}"))).await;
    for n in 0..4 {
        let data = json!({"user_id": "u", "seats": [format!("A-{n}")]});
        world.post_as(&format!("r-{n}"), &format!("event-1/{n}"), "reserve", data);
    }
    world.faults.next("publish_entry", [Some(Fault::Fails), Some(Fault::Fails)]);
    let running = world.start();
    until(|| reserved(&world) == 3).await;
    assert_eq!(world.seen.calls()["publish"], 1, "the three were not held back");
    world.until_empty().await;
    running.stop().await;
    assert_eq!(reserved(&world), 4);
    assert_eq!(world.seen.calls()["publish"], 3);
}
