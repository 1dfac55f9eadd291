//! Messages of several commands: each command has an outcome of its own, in order, and the message
//! is deleted once all have.

use std::collections::BTreeSet;

use inventory_worker::{
    ports::queue::text_attribute,
    worker::{ResultBatches, dead_letters},
};
use serde_json::{Value, json};

use super::fixture::{Fault, World, until};

/// A reserve of one seat by its own user, under the id `r-<seat>`.
fn reserve(seat: &str) -> Value {
    json!({
        "specversion": "1.0", "id": format!("r-{seat}"), "source": "/test",
        "type": "inventory.reserve.v1",
        "data": {"event_id": 1, "user_id": "u", "seats": [seat]},
    })
}

fn batch(commands: impl IntoIterator<Item = Value>) -> String {
    Value::from_iter(commands).to_string()
}

async fn world(seats: usize) -> World {
    let mut world = World::new();
    world.with_seats((0..seats).map(|n| format!("A-{n}"))).await;
    world
}

/// The outcomes of reserves, in the order of their results.
fn outcomes(world: &World) -> Vec<(String, String)> {
    world.outcomes().into_iter().filter(|(id, _)| id.starts_with("r-")).collect()
}

#[tokio::test(start_paused = true)]
async fn each_command_of_a_batch_has_an_outcome_in_order() {
    let world = world(60).await;
    let seats: Vec<String> = (0..60).map(|n| format!("A-{n}")).collect();
    let twice = reserve("A-0");
    world.post_raw("event-1", &batch(seats.iter().map(|seat| reserve(seat)).chain([twice])));
    world.settle().await;
    let mut expected: Vec<String> = seats.iter().map(|seat| format!("r-{seat}")).collect();
    expected.push("r-A-0".to_owned());
    let outcomes = outcomes(&world);
    assert!(outcomes.iter().all(|(_, kind)| kind == "inventory.reserved.v1"), "{outcomes:?}");
    // The repetition's result has the same id: the topic does not deliver it again.
    expected.pop();
    assert_eq!(outcomes.into_iter().map(|(id, _)| id).collect::<Vec<_>>(), expected);
    assert_eq!(world.dead_letters.depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_command_of_a_batch_is_answered_and_copied_alone() {
    let world = world(2).await;
    let mut wrong = reserve("A-9");
    wrong["data"]["seats"] = json!([7]);
    world.post_raw("event-1", &batch([reserve("A-0"), wrong.clone(), reserve("A-1")]));
    world.settle().await;
    let expected = [
        ("r-A-0", "inventory.reserved.v1"),
        ("r-A-9", "INVALID_MESSAGE"),
        ("r-A-1", "inventory.reserved.v1"),
    ];
    let expected = expected.map(|(id, kind)| (id.to_owned(), kind.to_owned()));
    assert_eq!(outcomes(&world), expected);
    let copies = world.dead_letters.messages();
    let [copy] = &copies[..] else { panic!("{copies:?}") };
    assert_eq!(serde_json::from_str::<Value>(&copy.body).unwrap(), wrong);
    let original = text_attribute(&copy.attributes, dead_letters::ORIGINAL_MESSAGE_ID).unwrap();
    assert!(original.ends_with("/1"), "its place: {original}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_no_batch_of_1_to_100_is_one_unreadable_message() {
    let world = world(1).await;
    for body in ["[]".to_owned(), format!("[{}]", vec!["{}"; 101].join(",")), "[{}".to_owned()] {
        world.post_raw("event-1", &body);
    }
    world.settle().await;
    assert_eq!(world.dead_letters.depth(), 3);
    assert_eq!(outcomes(&world), []);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_deleted_only_once_all_its_commands_are_published() {
    let world = world(3).await;
    world.faults.mute("r-A-2");
    world.post_raw("event-1", &batch(["A-0", "A-1", "A-2"].map(reserve)));
    let running = world.start();
    until(|| outcomes(&world).len() == 2).await;
    assert_eq!(world.queue.depth(), 1, "its last result is not published");
    running.stop().await;
    world.faults.clear();
    world.settle().await;
    let ids: Vec<String> = outcomes(&world).into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 3, "{ids:?}");
}

#[tokio::test(start_paused = true)]
async fn a_command_that_can_never_be_written_is_dead_lettered_alone() {
    let world = world(5).await;
    world.faults.refuse("A-2");
    world.post_raw("event-1", &batch((0..5).map(|n| reserve(&format!("A-{n}")))));
    world.settle().await;
    let done: BTreeSet<String> = outcomes(&world).into_iter().map(|(id, _)| id).collect();
    let expected = ["r-A-0", "r-A-1", "r-A-3", "r-A-4"].map(str::to_owned);
    assert_eq!(done, BTreeSet::from(expected));
    let copies = world.dead_letters.messages();
    let [copy] = &copies[..] else { panic!("{} copies", copies.len()) };
    assert!(copy.body.contains("r-A-2"), "{}", copy.body);
}

/// Its outcome stands: the dead letter reports it to an operator, and those behind it get theirs.
#[tokio::test(start_paused = true)]
async fn a_result_of_a_batch_that_the_topic_never_takes_holds_back_no_other() {
    for batches in [ResultBatches::Single, ResultBatches::InKind] {
        let mut world = world(5).await;
        world.settings.result_batches = batches;
        world.faults.mute("\"id\":\"r-A-1\"");
        world.faults.mute("\"id\":\"r-A-3\"");
        world.post_raw("event-1", &batch((0..5).map(|n| reserve(&format!("A-{n}")))));
        world.post_raw("event-1", &reserve("A-0").to_string());
        world.settle().await;
        let told: BTreeSet<String> = outcomes(&world).into_iter().map(|(id, _)| id).collect();
        let expected = ["r-A-0", "r-A-2", "r-A-4"].map(str::to_owned);
        assert_eq!(told, BTreeSet::from(expected), "{batches:?}");
        let copies = world.dead_letters.messages();
        assert_eq!(copies.len(), 2, "{batches:?}");
        for copy in &copies {
            let detail = text_attribute(&copy.attributes, dead_letters::DETAIL).unwrap();
            assert!(detail.contains("cannot be published"), "{batches:?}: {detail}");
        }
        let seats = world.store.snapshot().seats;
        assert!(seats.values().all(|seat| seat.version == 2), "{batches:?}: all are held");
    }
}

#[tokio::test(start_paused = true)]
async fn transactions_that_share_no_item_are_in_flight_at_once() {
    let world = world(99).await;
    let commands = (0..99).map(|n| reserve(&format!("A-{n}")));
    world.faults.slow_down("commit", std::time::Duration::from_millis(100));
    world.post_raw("event-1", &batch(commands));
    world.settle_keeping_record().await;
    let begun = world.seen.begun("commit");
    let first = begun.first().copied().unwrap();
    let at_once = begun.iter().filter(|at| **at == first).count();
    // 297 items, three a command: 33 commands a transaction.
    assert_eq!((begun.len(), at_once), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_conflict_of_one_transaction_decides_its_commands_alone_again() {
    let world = world(99).await;
    world.faults.next("commit", [None, Some(Fault::Conflicts), None]);
    world.post_raw("event-1", &batch((0..99).map(|n| reserve(&format!("A-{n}")))));
    world.settle_keeping_record().await;
    assert_eq!(world.seen.begun("commit").len(), 4, "three, and one again");
    let ids: Vec<String> = outcomes(&world).into_iter().map(|(id, _)| id).collect();
    let expected: Vec<String> = (0..99).map(|n| format!("r-A-{n}")).collect();
    assert_eq!(ids, expected, "in the order of the batch all the same");
}

/// A cancel names its reservation alone; what it writes is all that this holds.
#[tokio::test(start_paused = true)]
async fn cancels_of_large_reservations_are_in_flight_at_once() {
    let world = world(240).await;
    let id = |n: u128| uuid::Uuid::from_u128(n + 1);
    let hold = |n: u128| {
        let mut reserve = reserve(&format!("large-{n}"));
        let seats = (n * 60..(n + 1) * 60).map(|seat| format!("A-{seat}"));
        reserve["data"]["seats"] = Value::from_iter(seats);
        reserve["data"]["reservation_id"] = json!(id(n));
        reserve
    };
    let cancel = |n: u128| {
        json!({
            "specversion": "1.0", "id": format!("end-{n}"), "source": "/test",
            "type": "inventory.cancel.v1",
            "data": {"event_id": 1, "reservation_id": id(n)},
        })
    };
    world.post_raw("event-1", &batch((0..4).map(hold)));
    world.settle().await;
    world.faults.slow_down("commit", std::time::Duration::from_millis(100));
    world.post_raw("event-1", &batch((0..4).map(cancel)));
    world.settle_keeping_record().await;
    let begun = world.seen.begun("commit");
    assert!(begun.len() == 4 && begun.iter().all(|at| *at == begun[0]), "{begun:?}");
    let seats = world.store.snapshot().seats;
    assert!(seats.values().all(|seat| seat.version == 3), "held and given back");
}

#[tokio::test(start_paused = true)]
async fn commands_on_one_line_are_committed_one_after_the_other() {
    let mut world = World::new();
    world.with_line("tea", 60).await;
    let take = |n: usize| {
        json!({
            "specversion": "1.0", "id": format!("r-{n}"), "source": "/test",
            "type": "inventory.reserve.v1",
            "data": {"event_id": 1, "user_id": "u", "lines": [{"sku": "tea", "quantity": 1}]},
        })
    };
    world.post_raw("event-1", &batch((0..70).map(take)));
    world.settle_keeping_record().await;
    let reserved = outcomes(&world).iter().filter(|(_, kind)| kind.contains("reserved")).count();
    assert_eq!(reserved, 60, "what is not there is refused");
    let tea = world.store.snapshot().lines.values().next().cloned().unwrap();
    assert_eq!((tea.available, tea.reserved), (0, 60));
}

#[tokio::test(start_paused = true)]
async fn results_in_kind_are_one_array_for_each_message() {
    let mut world = world(4).await;
    world.settings.result_batches = ResultBatches::InKind;
    let before = world.topic.published().len();
    world.post_raw("event-1", &batch(["A-0", "A-1", "A-1"].map(reserve)));
    world.post("reserve", json!({"user_id": "u", "seats": ["A-2"]}));
    world.settle().await;
    let published = world.topic.published();
    let [array, single] = &published[before..] else { panic!("{published:?}") };
    let results: Vec<Value> = serde_json::from_str(&array.body).unwrap();
    let ids: Vec<_> = results.iter().map(|r| r["data"]["command"]["id"].clone()).collect();
    assert_eq!(ids, ["r-A-0", "r-A-1", "r-A-1"]);
    assert_eq!(array.attributes["batch"], "true");
    assert_eq!(array.attributes["type"], "[\"inventory.reserved.v1\"]");
    assert!(single.body.starts_with('{') && !single.is_batch);
}
