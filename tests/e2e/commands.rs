//! Every command and every rejection, on seats and on lines.

use std::collections::BTreeMap;

use inventory_worker::{adapters::system::SystemClock, ports::Clock as _};
use serde_json::{Value, json};

use crate::{
    messages::{command, reservation},
    process::Worker,
    results::Received,
    stack::Stack,
    wait::until,
    world::{EVENT, STORE, World},
};

on_every_stack! {
    every_command_on_seats_has_its_result
    every_command_on_lines_has_its_result
}

/// An operator's limits; expiries are left to the tests.
const LIMITS: [(&str, &str); 3] = [
    ("INVENTORY_MAX_HOLD_SECONDS", "3600"),
    ("INVENTORY_MAX_ENTRIES_PER_RESERVATION", "3"),
    ("INVENTORY_NO_SWEEPER", "true"),
];

/// A message, and the word of the result it must have.
type Step = (Value, &'static str);

/// A command on a pool with `data` as its further fields.
fn on(pool: &Value, kind: &str, id: &str, data: Value) -> Value {
    let mut all = pool.clone();
    all.as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
    command(kind, id, all)
}

/// The commands that a reservation by `hold` may meet, until it is sold and given back.
fn life_of(pool: &Value, elsewhere: &Value) -> Vec<Step> {
    let held = reservation("hold");
    let unknown = "5b0c7a8e-0b0a-4c58-8f2e-6a4f5d1c7b90";
    let confirm = |id: &str, more: Value| {
        let mut data = json!({ "reservation_id": held, "booking_id": "b-1" });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        on(pool, "confirm", id, data)
    };
    let of_hold = |more: Value| {
        let mut data = json!({ "reservation_id": held });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        data
    };
    vec![
        (on(pool, "expire", "early", of_hold(json!({}))), "NOT_YET_EXPIRED"),
        (confirm("by-another", json!({ "user_id": "u-2" })), "NOT_OWNER"),
        (on(pool, "cancel", "by-another-2", of_hold(json!({ "user_id": "u-2" }))), "NOT_OWNER"),
        (on(elsewhere, "cancel", "elsewhere", of_hold(json!({}))), "RESERVATION_NOT_FOUND"),
        (
            on(pool, "cancel", "unknown", json!({ "reservation_id": unknown })),
            "RESERVATION_NOT_FOUND",
        ),
        (confirm("sell", json!({ "user_id": "u-1" })), "confirmed"),
        (confirm("sell-again", json!({})), "confirmed"),
        (confirm("sell-otherwise", json!({ "booking_id": "b-2" })), "RESERVATION_CONFIRMED"),
        (on(pool, "cancel", "sold", of_hold(json!({}))), "RESERVATION_CONFIRMED"),
        (on(pool, "expire", "sold-2", of_hold(json!({}))), "RESERVATION_CONFIRMED"),
        (
            on(pool, "cancel", "refund", of_hold(json!({ "refund": true, "reason": "rain" }))),
            "cancelled",
        ),
        (confirm("sell-cancelled", json!({})), "RESERVATION_CANCELLED"),
    ]
}

/// Messages that are not commands, or not new ones.
fn misfits(pool: &Value, again: &Value) -> Vec<Step> {
    let mut other = again.clone();
    other["data"]["user_id"] = json!("u-9");
    vec![
        (on(pool, "refund", "unsupported", json!({})), "UNSUPPORTED_TYPE"),
        (on(pool, "reserve", "invalid", json!({ "user_id": "u-1" })), "INVALID_MESSAGE"),
        (other, "COMMAND_ID_REUSED"),
    ]
}

async fn every_command_on_seats_has_its_result(stack: Stack) {
    let pool = json!({ "event_id": EVENT });
    let reserve = |id: &str, seats: &[&str], more: Value| {
        let mut data = json!({ "user_id": "u-1", "seats": seats });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        on(&pool, "reserve", id, data)
    };
    let seat = |number: &str, status: &str| json!({ "seat_number": number, "status": status });
    let mut seats: Vec<Value> =
        ["A-1", "A-2", "A-3", "A-4"].map(|number| seat(number, "AVAILABLE")).into();
    seats.push(json!({ "seat_number": "A-5", "price": "49.50", "section": "A" }));
    seats.push(seat("A-6", "BLOCKED"));
    let hold = reserve("hold", &["A-1", "A-2"], json!({}));
    let mut steps = vec![
        (on(&pool, "restock", "stock", json!({ "seats": seats })), "restocked"),
        (hold.clone(), "reserved"),
        (reserve("taken", &["A-2", "A-3"], json!({})), "SEATS_UNAVAILABLE"),
        (reserve("blocked", &["A-6"], json!({})), "SEATS_UNAVAILABLE"),
        (reserve("nowhere", &["A-3", "Z-9"], json!({})), "SEAT_NOT_FOUND"),
        (reserve("too-many", &["A-1", "A-2", "A-3", "A-4"], json!({})), "LIMIT_EXCEEDED"),
        (reserve("too-long", &["A-3"], json!({ "hold_seconds": 3601 })), "LIMIT_EXCEEDED"),
        (
            reserve("same", &["A-3"], json!({ "reservation_id": reservation("hold") })),
            "RESERVATION_EXISTS",
        ),
        (
            on(&pool, "restock", "skipped", json!({ "seats": [seat("A-1", "AVAILABLE")] })),
            "restocked",
        ),
    ];
    steps.extend(life_of(&pool, &json!({ "event_id": EVENT + 1 })));
    steps.extend(misfits(&pool, &hold));
    steps.push((reserve("short", &["A-3"], json!({ "hold_seconds": 5 })), "reserved"));

    let mut world = World::new(stack).await;
    let worker = world.worker(&LIMITS).await;
    play(&mut world, &worker, &pool, "event-42", steps).await;

    let status = async |number: &str| world.seat(number).await.occupancy.status().as_str();
    assert_eq!(status("A-1").await, "AVAILABLE", "the sale was refunded");
    assert_eq!(status("A-3").await, "AVAILABLE", "the hold ran out");
    assert_eq!(status("A-6").await, "BLOCKED");
    assert_eq!(world.seat("A-5").await.details.price.unwrap().to_string(), "49.50");
    let skipped = &world.results.one("skipped").await.body["data"]["restock"];
    assert_eq!((&skipped["seats_skipped"], &skipped["skipped"]), (&json!(1), &json!(["A-1"])));
    let taken = &world.results.one("taken").await.body["data"]["rejection"];
    assert_eq!(taken["seats"], json!(["A-2"]), "every offender and no other is named");
    assert_eq!(world.results.one("refund").await.body["data"]["reason"], "rain");
    world.dead_letters(2).await;
    worker.stop().await;
    world.audit().await;
}

async fn every_command_on_lines_has_its_result(stack: Stack) {
    let pool = json!({ "store_id": STORE });
    let line = |sku: &str, quantity: u64| json!({ "sku": sku, "quantity": quantity });
    let reserve = |id: &str, lines: Value, more: Value| {
        let mut data = json!({ "user_id": "u-1", "lines": lines });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        on(&pool, "reserve", id, data)
    };
    let restock = |id: &str, mode: &str, lines: Value, as_of: &str| {
        let data = json!({ "mode": mode, "lines": lines, "as_of": as_of });
        on(&pool, "restock", id, data)
    };
    let (noon, before) = ("2026-11-22T12:00:00Z", "2026-11-22T11:00:00Z");
    let hold = reserve("hold", json!([line("tea", 4), line("rice", 1)]), json!({}));
    let five = json!([line("tea", 10), line("rice", 5)]);
    let crowd = json!([line("a", 1), line("b", 1), line("c", 1), line("d", 1)]);
    let mut steps = vec![
        (restock("stock", "set", five, noon), "restocked"),
        (restock("older", "set", json!([line("tea", 1)]), before), "restocked"),
        (hold.clone(), "reserved"),
        (
            reserve("short-of", json!([line("tea", 7), line("rice", 4)]), json!({})),
            "INSUFFICIENT_STOCK",
        ),
        (reserve("nowhere", json!([line("tea", 1), line("salt", 1)]), json!({})), "SKU_NOT_FOUND"),
        (reserve("too-many", crowd, json!({})), "LIMIT_EXCEEDED"),
        (
            reserve("too-long", json!([line("tea", 1)]), json!({ "hold_seconds": 3601 })),
            "LIMIT_EXCEEDED",
        ),
        (
            reserve(
                "same",
                json!([line("tea", 1)]),
                json!({ "reservation_id": reservation("hold") }),
            ),
            "RESERVATION_EXISTS",
        ),
        (restock("more", "add", json!([line("tea", 5)]), noon), "restocked"),
    ];
    steps.extend(life_of(&pool, &json!({ "store_id": "store-2" })));
    steps.extend(misfits(&pool, &hold));
    steps.push((
        reserve("short", json!([line("rice", 2)]), json!({ "hold_seconds": 5 })),
        "reserved",
    ));

    let mut world = World::new(stack).await;
    let worker = world.worker(&LIMITS).await;
    play(&mut world, &worker, &pool, "store-store-1", steps).await;

    assert_eq!(world.line("tea").await, (15, 0), "10, and 5 added; the sale of 4 was refunded");
    assert_eq!(world.line("rice").await, (5, 0), "sold and refunded, held and expired");
    let older = &world.results.one("older").await.body["data"]["restock"];
    assert_eq!((&older["lines_skipped"], &older["skipped"]), (&json!(1), &json!(["tea"])));
    let short = &world.results.one("short-of").await.body["data"]["rejection"];
    let offender = json!([{ "sku": "tea", "requested": 7, "available": 6 }]);
    assert_eq!(short["lines"], offender, "every offender and no other is named");
    world.dead_letters(2).await;
    worker.stop().await;
    world.audit().await;
}

/// Posts the steps into one group and an early expire of `short`, then lets its hold end and posts
/// that expire again; every result must match, in order.
async fn play(world: &mut World, worker: &Worker, pool: &Value, group: &str, steps: Vec<Step>) {
    let held = reservation("short");
    let timely = on(pool, "expire", "timely", json!({ "reservation_id": held }));
    let early = (timely.clone(), "NOT_YET_EXPIRED");
    let (messages, mut words): (Vec<Value>, Vec<&str>) = steps.into_iter().chain([early]).unzip();
    world.post(group, &messages).await;
    let short = world.results.one("short").await.body;
    let expires_at = short["data"]["reservation"]["expires_at"].as_str().unwrap().parse().unwrap();
    until("the hold runs out", async || (SystemClock.now() >= expires_at).then_some(())).await;

    let confirm = json!({ "reservation_id": held, "booking_id": "b-1" });
    let late = [
        (on(pool, "confirm", "late", confirm.clone()), "RESERVATION_EXPIRED"),
        (timely, "expired"),
        (on(pool, "expire", "again", json!({ "reservation_id": held })), "RESERVATION_EXPIRED"),
        (on(pool, "cancel", "too-late", json!({ "reservation_id": held })), "RESERVATION_EXPIRED"),
        (on(pool, "confirm", "later", confirm), "RESERVATION_EXPIRED"),
    ];
    let (late, late_words): (Vec<Value>, Vec<&str>) = late.into_iter().unzip();
    // Under new deduplication ids: the queue has seen the expire's content a moment ago.
    let entries = late.iter().enumerate();
    let entries = entries.map(|(index, message)| (message.to_string(), Some(format!("l-{index}"))));
    world.post_entries(group, entries.collect()).await;
    words.extend(late_words);
    let ids: Vec<&str> =
        messages.iter().chain(&late).map(|message| message["id"].as_str().unwrap()).collect();
    let expected: Vec<(&str, &str)> = ids.into_iter().zip(words).collect();

    let seen = world.results.until("every result", |seen| seen.len() >= expected.len()).await;
    let seen: Vec<(&str, &str)> = seen.iter().map(|one| (one.command(), one.word())).collect();
    assert_eq!(seen, expected);
    world.drained().await;

    let mut rejections: BTreeMap<&str, f64> = BTreeMap::new();
    for (_, word) in expected.iter().filter(|(_, word)| word.chars().all(|c| !c.is_lowercase())) {
        *rejections.entry(*word).or_default() += 1.0;
    }
    for (code, count) in rejections {
        let figure = format!("inventory_rejections_total{{code=\"{code}\"}}");
        assert_eq!(worker.figure(&figure).await, count, "{code}");
    }
    assert!(world.results.seen().iter().all(|one: &Received| one.group == group));
}
