//! Messages as producers write them.

use serde_json::{Value, json};

/// The `source` of every command here, unless a test sets another.
pub const SOURCE: &str = "/tests/e2e";

/// A command: `kind` is the middle part of its type.
pub fn command(kind: &str, id: &str, data: Value) -> Value {
    json!({
        "specversion": "1.0",
        "id": id,
        "source": SOURCE,
        "type": format!("inventory.{kind}.v1"),
        "time": "2026-11-22T10:00:00Z",
        "datacontenttype": "application/json",
        "data": data,
    })
}

/// Creates seats of an event, on sale.
pub fn restock_seats(id: &str, event_id: u64, seats: &[String]) -> Value {
    let seats: Vec<Value> = seats.iter().map(|seat| json!({ "seat_number": seat })).collect();
    command("restock", id, json!({ "event_id": event_id, "seats": seats }))
}

/// Sets the quantity on hand in a store.
pub fn restock_lines(id: &str, store_id: &str, lines: &[(&str, u64)]) -> Value {
    let data = json!({ "store_id": store_id, "mode": "set", "lines": named(lines) });
    command("restock", id, data)
}

/// Lines in the form of messages.
pub fn named(lines: &[(&str, u64)]) -> Vec<Value> {
    lines.iter().map(|(sku, quantity)| json!({ "sku": sku, "quantity": quantity })).collect()
}

/// Holds seats for a user, under the reservation id of [`reservation`] for the command's id.
pub fn reserve_seats(id: &str, event_id: u64, seats: &[&str]) -> Value {
    let data = json!({ "event_id": event_id, "user_id": "u-1", "seats": seats });
    command("reserve", id, data)
}

/// The reservation that a reserve of [`SOURCE`] makes unless it names another.
pub fn reservation(id: &str) -> String {
    key(id).default_reservation_id().to_string()
}

/// The identity of a command of [`SOURCE`].
pub fn key(id: &str) -> inventory_worker::domain::CommandKey {
    inventory_worker::domain::CommandKey {
        source: SOURCE.parse().unwrap(),
        id: id.parse().unwrap(),
    }
}

/// Seat numbers `A-1`, `A-2` and so on.
pub fn seat_numbers(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("A-{number}")).collect()
}
