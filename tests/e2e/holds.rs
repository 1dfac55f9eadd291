//! What becomes of a hold: extended, modified, confirmed late, sold and still there, fulfilled,
//! withheld; and stock counted, corrected and compared. Every code that these can meet.

use inventory_worker::{adapters::system::SystemClock, ports::Clock as _};
use serde_json::{Value, json};

use crate::{
    messages::{command, reservation},
    stack::Stack,
    wait::until,
    world::{EVENT, STORE, World},
};

on_every_stack! {
    a_hold_is_extended_and_modified
    a_payment_that_came_too_late_books_what_is_still_free
    sold_goods_stay_until_they_are_fulfilled
    stock_is_corrected_and_compared
    a_seat_that_is_blocked_while_held_is_nobodys_afterwards
}

/// Expiries are left to the tests.
const SETTINGS: [(&str, &str); 2] =
    [("INVENTORY_NO_SWEEPER", "true"), ("INVENTORY_MAX_HOLD_TOTAL_SECONDS", "7200")];

/// A message, and the word of the result it must have.
type Step = (Value, &'static str);

fn seats(kind: &str, id: &str, mut data: Value) -> Value {
    data["event_id"] = json!(EVENT);
    command(kind, id, data)
}

fn lines(kind: &str, id: &str, mut data: Value) -> Value {
    data["store_id"] = json!(STORE);
    command(kind, id, data)
}

/// Posts the steps into one group; every result must match, in order.
async fn play(world: &mut World, group: &str, steps: Vec<Step>) {
    let before = world.results.seen().len();
    let (messages, words): (Vec<Value>, Vec<&str>) = steps.into_iter().unzip();
    world.post(group, &messages).await;
    let ids = messages.iter().map(|message| message["id"].as_str().unwrap());
    let expected: Vec<(&str, &str)> = ids.zip(words).collect();
    let count = before + expected.len();
    let seen = world.results.until("every result", |seen| seen.len() >= count).await;
    let seen: Vec<(&str, &str)> =
        seen[before..].iter().map(|one| (one.command(), one.word())).collect();
    assert_eq!(seen, expected);
    world.drained().await;
}

/// The `data` of the result that answers the command.
async fn data(world: &mut World, id: &str) -> Value {
    world.results.one(id).await.body["data"].clone()
}

async fn runs_out(world: &mut World, id: &str) {
    let held = data(world, id).await;
    let expires_at = held["reservation"]["expires_at"].as_str().unwrap().parse().unwrap();
    until("the hold runs out", async || (SystemClock.now() >= expires_at).then_some(())).await;
}

/// `data` about the reservation that the command of this id made.
fn of(id: &str, more: Value) -> Value {
    let mut data = json!({ "reservation_id": reservation(id) });
    data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    data
}

fn reserve(id: &str, seat: &str, seconds: u64) -> Value {
    let data = json!({ "user_id": "u-1", "seats": [seat], "hold_seconds": seconds });
    seats("reserve", id, data)
}

fn stock(numbers: &[&str]) -> Step {
    let stock: Vec<Value> = numbers.iter().map(|number| json!({ "seat_number": number })).collect();
    (seats("restock", "stock", json!({ "seats": stock })), "restocked")
}

async fn a_hold_is_extended_and_modified(stack: Stack) {
    let mut late = reserve("too-old", "A-2", 600);
    late["expirytime"] = json!("2026-11-22T10:00:05Z");
    let mut timely = reserve("hold", "A-1", 600);
    timely["expirytime"] = json!("2099-11-22T10:00:05Z");
    let extend = |id: &str, seconds: u64| {
        seats("extend", id, of("hold", json!({ "hold_seconds": seconds })))
    };
    let modify = |id: &str, data: Value| seats("modify", id, of("hold", data));
    let swap = json!({ "add": { "seats": ["A-2"] }, "remove": { "seats": ["A-1"] } });
    let mut world = World::new(stack).await;
    let worker = world.worker(&SETTINGS).await;
    let steps = vec![
        stock(&["A-1", "A-2"]),
        (late, "COMMAND_EXPIRED"),
        (timely, "reserved"),
        (extend("longer", 3600), "extended"),
        (extend("shorter", 60), "extended"),
        (extend("beyond", 14400), "LIMIT_EXCEEDED"),
        (modify("not-held", json!({ "remove": { "seats": ["A-2"] } })), "NOT_RESERVED"),
        (modify("all", json!({ "remove": { "seats": ["A-1"] } })), "LIMIT_EXCEEDED"),
        (modify("swap", swap), "modified"),
        (seats("fulfil", "unsold", of("hold", json!({}))), "RESERVATION_ACTIVE"),
    ];
    play(&mut world, "event-42", steps).await;
    let longer = data(&mut world, "longer").await;
    assert_eq!(longer["changes"][0]["reserved_until"], longer["reservation"]["expires_at"]);
    assert_eq!(data(&mut world, "shorter").await["changes"], json!(null), "nothing changed");
    let swap = data(&mut world, "swap").await;
    assert_eq!(swap["reservation"]["seats"], json!(["A-2"]));
    let changes = swap["changes"].as_array().unwrap();
    let changed = changes.iter().map(|one| json!([one["seat_number"], one["status"]]));
    let expected = [json!(["A-2", "RESERVED"]), json!(["A-1", "AVAILABLE"])];
    assert_eq!(changed.collect::<Vec<_>>(), expected);
    assert_eq!(data(&mut world, "not-held").await["rejection"]["seats"], json!(["A-2"]));
    let hold = world.results.one("hold").await;
    assert_eq!(hold.attributes["reservation_source"], hold.attributes["command_source"]);
    worker.stop().await;
    world.audit().await;
}

async fn a_payment_that_came_too_late_books_what_is_still_free(stack: Stack) {
    let extend = seats("extend", "ended", of("short", json!({ "hold_seconds": 60 })));
    let sale = json!({ "booking_id": "b-1" });
    let late = json!({ "booking_id": "b-1", "allow_expired": true });
    let mut world = World::new(stack).await;
    let worker = world.worker(&SETTINGS).await;
    let steps = vec![stock(&["A-1", "A-2"]), (reserve("short", "A-1", 1), "reserved")];
    play(&mut world, "event-42", steps).await;
    runs_out(&mut world, "short").await;
    let steps = vec![
        (extend, "RESERVATION_EXPIRED"),
        (seats("confirm", "too-late", of("short", sale)), "RESERVATION_EXPIRED"),
        (seats("expire", "swept", of("short", json!({}))), "expired"),
        (seats("confirm", "late", of("short", late.clone())), "confirmed"),
        (reserve("short-2", "A-2", 1), "reserved"),
    ];
    play(&mut world, "event-42", steps).await;
    runs_out(&mut world, "short-2").await;
    let steps = vec![
        (reserve("next", "A-2", 600), "reserved"),
        (seats("confirm", "gone", of("short-2", late)), "RESERVATION_EXPIRED"),
    ];
    play(&mut world, "event-42", steps).await;
    assert_eq!(data(&mut world, "gone").await["rejection"]["seats"], json!(["A-2"]));
    assert_eq!(world.seat("A-1").await.occupancy.status().as_str(), "BOOKED");
    worker.stop().await;
    world.audit().await;
}

async fn sold_goods_stay_until_they_are_fulfilled(stack: Stack) {
    let of = |more: Value| of("hold", more);
    let bolts = |quantity: i64| json!([{ "sku": "bolt", "quantity": quantity }]);
    let count = |id: &str| lines("restock", id, json!({ "mode": "set", "lines": bolts(30) }));
    let mut world = World::new(stack).await;
    let worker = world.worker(&SETTINGS).await;
    let steps = vec![
        (count("stock"), "restocked"),
        (lines("reserve", "hold", json!({ "user_id": "u-1", "lines": bolts(29) })), "reserved"),
        (
            lines("confirm", "sell", of(json!({ "booking_id": "o-1", "goods": "stay" }))),
            "confirmed",
        ),
        (count("count"), "restocked"),
        (
            lines("reserve", "too-much", json!({ "user_id": "u-2", "lines": bolts(30) })),
            "INSUFFICIENT_STOCK",
        ),
        (lines("fulfil", "leave", of(json!({ "user_id": "u-1" }))), "fulfilled"),
        (lines("fulfil", "again", of(json!({}))), "RESERVATION_FULFILLED"),
        (lines("cancel", "no-refund", of(json!({}))), "RESERVATION_FULFILLED"),
        (lines("cancel", "refund", of(json!({ "refund": true }))), "cancelled"),
        (lines("fulfil", "cancelled", of(json!({}))), "RESERVATION_CANCELLED"),
    ];
    play(&mut world, "store-store-1", steps).await;
    let change = |data: &Value| data["changes"][0].clone();
    let sold = change(&data(&mut world, "sell").await);
    assert_eq!((&sold["on_hand"], &sold["available"]), (&json!(30), &json!(1)));
    let counted = data(&mut world, "count").await;
    assert_eq!(counted["changes"], json!(null), "29 of the 30 on the shelf are sold");
    let left = change(&data(&mut world, "leave").await);
    assert_eq!((&left["on_hand"], &left["available"]), (&json!(1), &json!(1)));
    assert_eq!(world.line("bolt").await, (30, 0), "the refund brought 29 back");
    worker.stop().await;
    world.audit().await;
}

async fn stock_is_corrected_and_compared(stack: Stack) {
    let restock = |id: &str, mode: &str, line: Value, more: Value| {
        let mut data = json!({ "mode": mode, "lines": [line] });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        lines("restock", id, data)
    };
    let bolt = |quantity: i64| json!({ "sku": "bolt", "quantity": quantity });
    let at = |quantity: i64, version: u64| json!({ "sku": "bolt", "quantity": quantity, "expected_version": version });
    let why = json!({ "reason": "water damage", "reference": "https://erp.example/docs/7" });
    let future = json!({ "as_of": "2062-11-21T00:00:00Z" });
    let mut world = World::new(stack).await;
    let worker = world.worker(&SETTINGS).await;
    let steps = vec![
        (restock("new", "set", at(11, 0), json!({})), "restocked"),
        (restock("exists", "set", at(11, 0), json!({})), "VERSION_MISMATCH"),
        (restock("damage", "add", bolt(-3), why), "restocked"),
        (restock("too-many", "add", bolt(-9), json!({})), "INSUFFICIENT_STOCK"),
        (restock("stale", "set", at(20, 1), json!({})), "VERSION_MISMATCH"),
        (restock("current", "set", at(20, 2), json!({})), "restocked"),
        (restock("future", "set", bolt(99), future), "LIMIT_EXCEEDED"),
    ];
    play(&mut world, "store-store-1", steps).await;
    assert_eq!(world.line("bolt").await, (20, 0));
    let damage = data(&mut world, "damage").await;
    assert_eq!(damage["reason"], "water damage");
    assert_eq!(damage["reference"], "https://erp.example/docs/7");
    let stale = data(&mut world, "stale").await["rejection"]["lines"].clone();
    assert_eq!(stale, json!([{ "sku": "bolt", "expected": 1, "actual": 2 }]));
    let short = data(&mut world, "too-many").await["rejection"]["lines"].clone();
    assert_eq!(short, json!([{ "sku": "bolt", "requested": -9, "available": 8 }]));
    worker.stop().await;
    world.audit().await;
}

async fn a_seat_that_is_blocked_while_held_is_nobodys_afterwards(stack: Stack) {
    let block = |number: &str| json!({ "seats": [{ "seat_number": number, "status": "BLOCKED" }] });
    let called_off = json!({ "refund": true, "seats_to": "BLOCKED", "reason": "called off" });
    let mut world = World::new(stack).await;
    let worker = world.worker(&SETTINGS).await;
    let steps = vec![
        stock(&["E-1", "E-2"]),
        (reserve("held", "E-1", 600), "reserved"),
        (reserve("sold", "E-2", 600), "reserved"),
        (seats("confirm", "sell", of("sold", json!({ "booking_id": "b-1" }))), "confirmed"),
        (seats("restock", "block", block("E-1")), "restocked"),
        (seats("cancel", "back", of("held", json!({}))), "cancelled"),
        (reserve("nobody", "E-1", 600), "SEATS_UNAVAILABLE"),
        (seats("cancel", "refund", of("sold", called_off)), "cancelled"),
        (reserve("nobody-2", "E-2", 600), "SEATS_UNAVAILABLE"),
    ];
    play(&mut world, "event-42", steps).await;
    let block = data(&mut world, "block").await["restock"].clone();
    assert_eq!((&block["seats_applied"], &block["seats_skipped"]), (&json!(1), &json!(0)));
    for number in ["E-1", "E-2"] {
        assert_eq!(world.seat(number).await.occupancy.status().as_str(), "BLOCKED", "{number}");
    }
    worker.stop().await;
    world.audit().await;
}
