//! Cases from the field, one command after the other: what must come of them.

use inventory_worker::domain::{LineKey, Seat, SeatKey, StockLevel};
use serde_json::{Value, json};

use crate::worker::fixture::World;

/// A day on which the counts of the cases lie in the past.
const TODAY: &str = "2026-11-29T10:00:00Z";

fn messages(case: &str) -> Vec<Value> {
    case.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The message with that id.
fn message<'m>(messages: &'m mut [Value], id: &str) -> &'m mut Value {
    messages.iter_mut().find(|message| message["id"] == id).unwrap()
}

/// Handles the messages one at a time.
async fn play(world: &World, messages: &[Value]) {
    for message in messages {
        world.post_raw("case", &message.to_string());
        world.settle().await;
    }
}

/// The result of the command: its type without what all have in common, or its code.
fn outcome_of(world: &World, id: &str) -> String {
    let outcomes = world.outcomes();
    let of_id: Vec<_> = outcomes.iter().filter(|(of, _)| of == id).collect();
    assert_eq!(of_id.len(), 1, "{id} in {outcomes:?}");
    of_id[0].1.trim_start_matches("inventory.").trim_end_matches(".v1").to_owned()
}

/// Plays a case on a world of its own, and holds each outcome against the expected one.
async fn expect(messages: &[Value], expected: &[(&str, &str)]) -> World {
    let world = World::starting_at(TODAY);
    play(&world, messages).await;
    for (id, outcome) in expected {
        assert_eq!(outcome_of(&world, id), *outcome, "{id}");
    }
    assert_eq!(world.dead_letters.depth(), 0);
    world
}

/// The result of the command.
fn data(world: &World, id: &str) -> Value {
    let results = world.results();
    results.into_iter().find(|result| result["data"]["command"]["id"] == id).unwrap()["data"].take()
}

fn bolts(world: &World, store: &str) -> StockLevel {
    let pool = format!("store#{store}").parse().unwrap();
    let key = LineKey { pool, sku: "bolt".parse().unwrap() };
    world.store.snapshot().lines[&key].clone()
}

fn seat(world: &World, event_id: u64, number: &str) -> Seat {
    let key = SeatKey { event_id, number: number.parse().unwrap() };
    world.store.snapshot().seats[&key].clone()
}

#[tokio::test(start_paused = true)]
async fn a_count_dated_decades_ahead_is_refused_and_the_counts_of_today_apply() {
    let messages = messages(include_str!("cases/01-future-as-of.jsonl"));
    let world = expect(&messages[..1], &[("c01-1", "LIMIT_EXCEEDED")]).await;
    assert!(world.store.snapshot().lines.is_empty(), "the line is unchanged");
    let applied = ["c01-2", "c01-3", "c01-4"].map(|id| (id, "restocked"));
    let world = expect(&messages, &applied).await;
    for (id, _) in applied {
        assert_eq!(data(&world, id)["restock"]["lines_skipped"], 0, "{id}");
    }
    let line = bolts(&world, "case-01");
    assert_eq!((line.available, line.on_hand()), (2, 2));
    assert_eq!(line.as_of, Some("2026-11-29T00:00:00Z".parse().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_plain_count_taken_before_a_sale_and_posted_after_it_brings_the_goods_back() {
    let messages = messages(include_str!("cases/02-stale-snapshot.jsonl"));
    let expected = [
        ("c02-1", "restocked"),
        ("c02-2", "reserved"),
        ("c02-3", "confirmed"),
        ("c02-4", "restocked"),
        ("c02-5", "reserved"),
    ];
    let world = expect(&messages, &expected).await;
    assert_eq!(bolts(&world, "case-02").reserved, 20);
}

#[tokio::test(start_paused = true)]
async fn a_count_that_says_which_version_it_was_taken_at_is_refused_after_a_sale() {
    let mut messages = messages(include_str!("cases/02-stale-snapshot.jsonl"));
    // The version that the first count left, as its result says.
    message(&mut messages, "c02-4")["data"]["lines"][0]["expected_version"] = json!(1);
    let expected =
        [("c02-3", "confirmed"), ("c02-4", "VERSION_MISMATCH"), ("c02-5", "INSUFFICIENT_STOCK")];
    let world = expect(&messages, &expected).await;
    let counted =
        json!([{"sku": "bolt", "version": 1, "on_hand": 20, "available": 20, "reserved": 0}]);
    assert_eq!(data(&world, "c02-1")["changes"], counted);
    let named = json!([{"sku": "bolt", "expected": 1, "actual": 3}]);
    assert_eq!(data(&world, "c02-4")["rejection"]["lines"], named);
    let short = json!([{"sku": "bolt", "requested": 20, "available": 5}]);
    assert_eq!(data(&world, "c02-5")["rejection"]["lines"], short);
    assert_eq!(bolts(&world, "case-02").available, 5);
}

#[tokio::test(start_paused = true)]
async fn a_count_that_finds_sold_goods_still_on_the_shelf_puts_none_of_them_on_sale() {
    let mut messages = messages(include_str!("cases/03-count-holds-sold-unshipped.jsonl"));
    message(&mut messages, "c03-3")["data"]["goods"] = json!("stay");
    let expected =
        [("c03-3", "confirmed"), ("c03-4", "restocked"), ("c03-5", "INSUFFICIENT_STOCK")];
    let world = expect(&messages, &expected).await;
    let line = bolts(&world, "case-03");
    assert_eq!([line.available, line.reserved, line.committed], [1, 0, 29]);
    let short = json!([{"sku": "bolt", "requested": 30, "available": 1}]);
    assert_eq!(data(&world, "c03-5")["rejection"]["lines"], short);
    let fulfil = json!({
        "specversion": "1.0", "id": "c03-6", "source": "/warehouse",
        "type": "inventory.fulfil.v1",
        "data": {
            "store_id": "case-03", "reservation_id": "c0300000-0000-4000-8000-000000000001",
        },
    });
    play(&world, &[fulfil]).await;
    assert_eq!(outcome_of(&world, "c03-6"), "fulfilled");
    let line = bolts(&world, "case-03");
    assert_eq!([line.available, line.committed, line.on_hand()], [1, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn where_goods_leave_with_the_sale_a_count_says_what_can_be_sold() {
    let messages = messages(include_str!("cases/03-count-holds-sold-unshipped.jsonl"));
    let world = expect(&messages, &[("c03-4", "restocked"), ("c03-5", "reserved")]).await;
    let line = bolts(&world, "case-03");
    assert_eq!([line.available, line.reserved, line.committed], [0, 30, 0]);
}

#[tokio::test(start_paused = true)]
async fn nobody_can_have_a_refunded_seat_of_an_event_that_was_blocked_before() {
    let messages = messages(include_str!("cases/04-refund-of-called-off-event.jsonl"));
    let expected = [("c04-4", "restocked"), ("c04-5", "cancelled"), ("c04-6", "SEATS_UNAVAILABLE")];
    let world = expect(&messages, &expected).await;
    let restock = &data(&world, "c04-4")["restock"];
    assert_eq!((&restock["seats_applied"], &restock["seats_skipped"]), (&json!(2), &json!(0)));
    for number in ["E-1", "E-2"] {
        assert_eq!(seat(&world, 9004, number).occupancy.status().as_str(), "BLOCKED");
    }
    let changes = json!([{"seat_number": "E-1", "version": 5, "status": "BLOCKED"}]);
    assert_eq!(data(&world, "c04-5")["changes"], changes);
}

#[tokio::test(start_paused = true)]
async fn nobody_can_have_a_seat_that_the_refund_itself_blocks() {
    let mut messages = messages(include_str!("cases/04-refund-of-called-off-event.jsonl"));
    messages.retain(|message| message["id"] != "c04-4");
    message(&mut messages, "c04-5")["data"]["seats_to"] = json!("BLOCKED");
    let expected = [("c04-5", "cancelled"), ("c04-6", "SEATS_UNAVAILABLE")];
    let world = expect(&messages, &expected).await;
    assert_eq!(seat(&world, 9004, "E-1").occupancy.status().as_str(), "BLOCKED");
    assert_eq!(seat(&world, 9004, "E-2").occupancy.status().as_str(), "AVAILABLE");
}

#[tokio::test(start_paused = true)]
async fn a_seat_that_is_blocked_while_it_is_held_is_blocked_once_it_is_given_back() {
    let messages = messages(include_str!("cases/05-block-while-held.jsonl"));
    let world = expect(&messages[..3], &[("c05-2", "reserved"), ("c05-3", "restocked")]).await;
    let held = seat(&world, 9005, "A-1");
    assert_eq!((held.occupancy.status().as_str(), held.withheld), ("RESERVED", true));
    let expected = [("c05-3", "restocked"), ("c05-4", "cancelled"), ("c05-5", "SEATS_UNAVAILABLE")];
    let world = expect(&messages, &expected).await;
    assert_eq!(data(&world, "c05-3")["restock"]["seats_applied"], 1);
    let blocked = seat(&world, 9005, "A-1");
    assert_eq!((blocked.occupancy.status().as_str(), blocked.withheld), ("BLOCKED", false));
}

#[tokio::test(start_paused = true)]
async fn data_that_an_sdk_put_in_base64_is_read() {
    let messages = messages(include_str!("cases/06-data-base64.jsonl"));
    let stock = json!({
        "specversion": "1.0", "id": "c06-0", "source": "/office",
        "type": "inventory.restock.v1",
        "data": {"event_id": 42, "seats": [{"seat_number": "A-5"}]},
    });
    let all = [&[stock], &messages[..]].concat();
    let world = expect(&all, &[("c06-1", "reserved")]).await;
    assert_eq!(data(&world, "c06-1")["reservation"]["user_id"], "u-7");
    assert_eq!(seat(&world, 42, "A-5").occupancy.status().as_str(), "RESERVED");
}
