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
    a_hold_is_extended_modified_and_confirmed_late
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

async fn a_hold_is_extended_modified_and_confirmed_late(stack: Stack) {
    let of = |id: &str, more: Value| {
        let mut data = json!({ "reservation_id": reservation(id) });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        data
    };
    let stock = ["A-1", "A-2", "A-3", "A-4"].map(|number| json!({ "seat_number": number }));
    let reserve = |id: &str, seat: &str, seconds: u64| {
        let data = json!({ "user_id": "u-1", "seats": [seat], "hold_seconds": seconds });
        seats("reserve", id, data)
    };
    let mut late = seats("reserve", "too-old", json!({ "user_id": "u-1", "seats": ["A-4"] }));
    late["expirytime"] = json!("2026-11-22T10:00:05Z");
    let mut timely = reserve("hold", "A-1", 600);
    timely["expirytime"] = json!("2099-11-22T10:00:05Z");
    let mut world = World::new(stack).await;
    let worker = world.worker(&SETTINGS).await;
    let steps = vec![
        (seats("restock", "stock", json!({ "seats": stock })), "restocked"),
        (late, "COMMAND_EXPIRED"),
        (timely, "reserved"),
        (seats("extend", "longer", of("hold", json!({ "hold_seconds": 3600 }))), "extended"),
        (seats("extend", "shorter", of("hold", json!({ "hold_seconds": 60 }))), "extended"),
        (seats("extend", "beyond", of("hold", json!({ "hold_seconds": 14400 }))), "LIMIT_EXCEEDED"),
        (
            seats("modify", "not-held", of("hold", json!({ "remove": { "seats": ["A-2"] } }))),
            "NOT_RESERVED",
        ),
        (
            seats("modify", "all", of("hold", json!({ "remove": { "seats": ["A-1"] } }))),
            "LIMIT_EXCEEDED",
        ),
        (
            seats(
                "modify",
                "swap",
                of("hold", json!({ "add": { "seats": ["A-2"] }, "remove": { "seats": ["A-1"] } })),
            ),
            "modified",
        ),
        (seats("fulfil", "unsold", of("hold", json!({}))), "RESERVATION_ACTIVE"),
        (reserve("short", "A-3", 1), "reserved"),
    ];
    play(&mut world, "event-42", steps).await;
    runs_out(&mut world, "short").await;
    let sale = |more: Value| {
        let mut data = of("short", json!({ "booking_id": "b-1" }));
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        data
    };
    let steps = vec![
        (
            seats("extend", "ended", of("short", json!({ "hold_seconds": 60 }))),
            "RESERVATION_EXPIRED",
        ),
        (seats("confirm", "too-late", sale(json!({}))), "RESERVATION_EXPIRED"),
        (seats("expire", "swept", of("short", json!({}))), "expired"),
        (seats("confirm", "late", sale(json!({ "allow_expired": true }))), "confirmed"),
        (reserve("short-2", "A-4", 1), "reserved"),
    ];
    play(&mut world, "event-42", steps).await;
    runs_out(&mut world, "short-2").await;
    let steps = vec![
        (reserve("next", "A-4", 600), "reserved"),
        (
            seats(
                "confirm",
                "gone",
                of("short-2", json!({ "booking_id": "b-2", "allow_expired": true })),
            ),
            "RESERVATION_EXPIRED",
        ),
    ];
    play(&mut world, "event-42", steps).await;

    let longer = data(&mut world, "longer").await;
    assert_eq!(longer["changes"][0]["reserved_until"], longer["reservation"]["expires_at"]);
    assert_eq!(data(&mut world, "shorter").await["changes"], json!(null), "nothing changed");
    let swap = data(&mut world, "swap").await;
    assert_eq!(swap["reservation"]["seats"], json!(["A-2"]));
    let changed: Vec<_> = swap["changes"].as_array().unwrap().iter().collect();
    let names: Vec<_> = changed.iter().map(|one| (&one["seat_number"], &one["status"])).collect();
    let expected = [(json!("A-2"), json!("RESERVED")), (json!("A-1"), json!("AVAILABLE"))];
    assert_eq!(names, expected.iter().map(|(name, status)| (name, status)).collect::<Vec<_>>());
    assert_eq!(data(&mut world, "not-held").await["rejection"]["seats"], json!(["A-2"]));
    assert_eq!(data(&mut world, "gone").await["rejection"]["seats"], json!(["A-4"]));
    let hold = world.results.one("hold").await;
    assert_eq!(hold.attributes["reservation_source"], hold.attributes["command_source"]);
    worker.stop().await;
    world.audit().await;
}

async fn sold_goods_stay_until_they_are_fulfilled(stack: Stack) {
    let of = |more: Value| {
        let mut data = json!({ "reservation_id": reservation("hold") });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        data
    };
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
    let stock = ["E-1", "E-2", "E-3"].map(|number| json!({ "seat_number": number }));
    let reserve = |id: &str, numbers: &[&str]| {
        seats("reserve", id, json!({ "user_id": "u-1", "seats": numbers }))
    };
    let of = |id: &str, more: Value| {
        let mut data = json!({ "reservation_id": reservation(id) });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        data
    };
    let called_off = json!({ "refund": true, "seats_to": "BLOCKED", "reason": "called off" });
    let mut world = World::new(stack).await;
    let worker = world.worker(&SETTINGS).await;
    let steps = vec![
        (seats("restock", "stock", json!({ "seats": stock })), "restocked"),
        (reserve("held", &["E-1"]), "reserved"),
        (reserve("sold", &["E-2"]), "reserved"),
        (seats("confirm", "sell", of("sold", json!({ "booking_id": "b-1" }))), "confirmed"),
        (seats("restock", "block", block("E-1")), "restocked"),
        (seats("cancel", "back", of("held", json!({}))), "cancelled"),
        (reserve("nobody", &["E-1"]), "SEATS_UNAVAILABLE"),
        (seats("cancel", "refund", of("sold", called_off)), "cancelled"),
        (reserve("nobody-2", &["E-2"]), "SEATS_UNAVAILABLE"),
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
