//! One reservation's life in one batch.

use inventory_worker::{
    domain::ReservationStatus,
    ports::{Write, store::TRANSACTION_ITEMS_MAX},
};
use serde_json::{Value, json};

use super::fixture::World;

const RESERVATION: &str = "9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90";

/// The changes of a result as (name, version).
fn changes(result: &Value) -> Vec<(String, u64)> {
    let changes = result["data"]["changes"].as_array().unwrap();
    let name = |change: &Value| {
        let name = change.get("seat_number").or(change.get("sku")).unwrap();
        (name.as_str().unwrap().to_owned(), change["version"].as_u64().unwrap())
    };
    changes.iter().map(name).collect()
}

#[tokio::test(start_paused = true)]
async fn a_life_from_reserve_to_fulfil_is_decided_in_one_transaction() {
    let mut world = World::new();
    world.with_seats(["A-1", "A-2", "A-3"].map(str::to_owned)).await;
    world.with_line("tea", 10).await;
    let before = world.results().len();
    let of = |mut data: Value| {
        data["reservation_id"] = json!(RESERVATION);
        data
    };
    let tea = |quantity: u64| json!([{"sku": "tea", "quantity": quantity}]);
    let reserve = json!({"user_id": "u", "seats": ["A-1", "A-2"], "lines": tea(3)});
    let modify = json!({"add": {"seats": ["A-3"]}, "remove": {"seats": ["A-1"], "lines": tea(1)}});
    world.post("reserve", of(reserve));
    world.post("modify", of(modify));
    world.post("extend", of(json!({"hold_seconds": 900})));
    world.post("confirm", of(json!({"booking_id": "b-1", "goods": "stay"})));
    world.post("fulfil", of(json!({})));
    let running = world.start();
    world.until_empty().await;
    running.stop().await;

    let transactions = world.seen.transactions.lock().unwrap().clone();
    assert_eq!(transactions.len(), 1, "{transactions:#?}");
    let writes = &transactions[0].writes;
    let entries = writes.iter().filter(|write| matches!(write, Write::Ledger { .. })).count();
    // Three seats, a line, the reservation, and the commands' entries in the ledger.
    assert_eq!((entries, writes.len()), (5, 10));
    assert!(writes.len() <= TRANSACTION_ITEMS_MAX);

    let tables = world.store.snapshot();
    let reservation = tables.reservations.values().next().unwrap();
    assert_eq!((reservation.status, reservation.version), (ReservationStatus::Confirmed, 5));
    assert_eq!(reservation.fulfilled_at, Some(reservation.created_at));
    let statuses: Vec<_> =
        tables.seats.values().map(|seat| seat.occupancy.status().as_str()).collect();
    assert_eq!(statuses, ["AVAILABLE", "BOOKED", "BOOKED"]);
    let tea = tables.lines.values().next().unwrap();
    assert_eq!([tea.available, tea.reserved, tea.committed], [8, 0, 0]);

    let results = &world.results()[before..];
    let kinds: Vec<_> = results.iter().map(|result| result["type"].as_str().unwrap()).collect();
    let expected = ["reserved", "modified", "extended", "confirmed", "fulfilled"]
        .map(|kind| format!("inventory.{kind}.v1"));
    assert_eq!(kinds, expected);
    let listed: Vec<_> = results.iter().map(changes).map(sorted).collect();
    let named = |items: &[(&str, u64)]| -> Vec<(String, u64)> {
        items.iter().map(|(name, version)| ((*name).to_owned(), *version)).collect()
    };
    let each_its_own = [
        named(&[("A-1", 2), ("A-2", 2), ("tea", 2)]),
        named(&[("A-1", 3), ("A-3", 2), ("tea", 3)]),
        named(&[("A-2", 3), ("A-3", 3)]),
        named(&[("A-2", 4), ("A-3", 4), ("tea", 4)]),
        named(&[("tea", 5)]),
    ];
    assert_eq!(listed, each_its_own);
}

fn sorted(mut changes: Vec<(String, u64)>) -> Vec<(String, u64)> {
    changes.sort();
    changes
}
