//! Holds that expire.

use serde_json::json;

use crate::{
    messages::{
        command, named, reservation, reserve_seats, restock_lines, restock_seats, seat_numbers,
    },
    stack::Stack,
    world::{EVENT, STORE, World},
};

on_every_stack! {
    a_hold_that_ran_out_is_released_by_the_sweeper
    a_seat_whose_hold_ran_out_is_sold_before_any_sweep
}

async fn a_hold_that_ran_out_is_released_by_the_sweeper(stack: Stack) {
    let mut world = World::new(stack).await;
    let worker = world.worker(&[("INVENTORY_SWEEPER_MARGIN_SECONDS", "0.1")]).await;
    let mut seats = reserve_seats("seats", EVENT, &["A-1", "A-2"]);
    seats["data"]["hold_seconds"] = json!(1);
    let lines = json!({
        "store_id": STORE, "user_id": "u-1", "lines": named(&[("tea", 3)]), "hold_seconds": 1
    });
    world.post("event", &[restock_seats("stock-1", EVENT, &seat_numbers(3)), seats]).await;
    let kept = reserve_seats("kept", EVENT, &["A-3"]);
    world.post("event", &[kept]).await;
    let stock = restock_lines("stock-2", STORE, &[("tea", 10)]);
    world.post("store", &[stock, command("reserve", "lines", lines)]).await;

    let held = world.results.of(&["seats", "lines"]).await;
    let swept: Vec<String> = held.iter().map(|one| one.expiry_id()).collect();
    for (result, held) in world.results.of(&swept).await.into_iter().zip(["seats", "lines"]) {
        assert_eq!(result.word(), "expired");
        assert_eq!(result.body["data"]["command"]["source"], "/inventory-worker/sweeper");
        let expired = &result.body["data"]["reservation"];
        assert_eq!(expired["reservation_id"], reservation(held));
        assert_eq!(expired["status"], "EXPIRED");
        assert_eq!(result.group, format!("expire/{}", reservation(held)));
    }
    for seat in ["A-1", "A-2"] {
        assert_eq!(world.seat(seat).await.occupancy.status().as_str(), "AVAILABLE");
    }
    assert_eq!(
        world.seat("A-3").await.occupancy.status().as_str(),
        "RESERVED",
        "its hold has not run out"
    );
    assert_eq!(world.line("tea").await, (10, 0));
    assert!(worker.figure("inventory_expirations_enqueued_total").await >= 2.0);
    world.drained().await;
    worker.stop().await;
    world.results.assert_each_once();
    world.audit().await;
}

async fn a_seat_whose_hold_ran_out_is_sold_before_any_sweep(stack: Stack) {
    let mut world = World::new(stack).await;
    let worker = world.worker(&[("INVENTORY_NO_SWEEPER", "true")]).await;
    let mut brief = reserve_seats("brief", EVENT, &["A-1", "A-2"]);
    brief["data"]["hold_seconds"] = json!(1);
    world.post("event", &[restock_seats("stock", EVENT, &seat_numbers(2)), brief]).await;
    // Tries for the seat until it is free: each try is a separate command.
    let mut sold = None;
    for attempt in 0.. {
        let id = format!("try-{attempt}");
        world.post("event", &[reserve_seats(&id, EVENT, &["A-1"])]).await;
        let result = world.results.one(&id).await;
        if result.word() == "reserved" {
            sold = Some(id);
            break;
        }
        assert_eq!(result.word(), "SEATS_UNAVAILABLE");
    }
    let sold = sold.unwrap();
    let reservation_id = reservation("brief");
    let confirm = json!({ "event_id": EVENT, "reservation_id": reservation_id, "booking_id": "b" });
    let expire = json!({ "event_id": EVENT, "reservation_id": reservation_id });
    let late = [command("confirm", "late", confirm), command("expire", "expire", expire)];
    world.post("event", &late).await;
    let words: Vec<&str> =
        world.results.of(&["late", "expire"]).await.iter().map(|one| one.word()).collect();
    assert_eq!(words, ["RESERVATION_EXPIRED", "expired"]);
    let owner = world.seat("A-1").await.occupancy.reservation_id().unwrap().to_string();
    assert_eq!(owner, reservation(&sold), "the expiry released only what was still its own");
    assert_eq!(world.seat("A-2").await.occupancy.status().as_str(), "AVAILABLE");
    worker.stop().await;
    world.audit().await;
}
