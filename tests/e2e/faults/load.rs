//! The producers' load: many groups compete for the same seats and lines.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{
    messages::{command, named, reservation, restock_seats, seat_numbers},
    world::{EVENT, STORE},
};

/// Seats of the event: few, so that all buyers compete.
pub const SEATS: usize = 48;
/// The event's line without seats.
pub const FLOOR: &str = "floor";
const FLOOR_PLACES: u64 = 40;
/// Lines of the store: a restock of all of them needs chunks.
pub const LINES: usize = 150;
const EACH_LINE: u64 = 5;
/// Lines of the store that are bought.
const HOT_LINES: usize = 6;
const GROUPS: usize = 14;
/// Holds of at most that many seconds are left to expire; the others outlast the test.
pub const SHORT_HOLD_S_MAX: i64 = 4;
/// A confirm or cancel refers to one of the last that many reserves.
const LATELY: usize = 40;

/// Texts for one group, each with or without its own deduplication id.
pub type Batch = (String, Vec<(String, Option<String>)>);

/// Generates commands, and records them.
pub struct Load {
    random: fastrand::Rng,
    /// The commands by id.
    pub commands: BTreeMap<String, Value>,
    /// Messages that no worker can read, or of an unknown type.
    pub unreadable: BTreeSet<String>,
    /// The number of messages that repeat a command.
    pub repeated: usize,
    reserves: Vec<(String, &'static str)>,
    last: usize,
}

impl Load {
    pub fn new(seed: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            commands: BTreeMap::new(),
            unreadable: BTreeSet::new(),
            repeated: 0,
            reserves: Vec::new(),
            last: 0,
        }
    }

    /// Restocks that put everything on sale.
    pub fn stock(&mut self) -> Vec<Batch> {
        let floor = json!({
            "event_id": EVENT, "mode": "set", "lines": named(&[(FLOOR, FLOOR_PLACES)])
        });
        let stock = [
            restock_seats("stock-seats", EVENT, &seat_numbers(SEATS)),
            command("restock", "stock-floor", floor),
            restock_store("stock-store", "set", EACH_LINE),
        ];
        let batch =
            |message: &Value| -> Batch { ("stock".to_owned(), vec![(message.to_string(), None)]) };
        let batches = stock.iter().map(batch).collect();
        for message in stock {
            self.commands.insert(message["id"].as_str().unwrap().to_owned(), message);
        }
        batches
    }

    /// More messages for a random group. Of every third batch, what is JSON is one message.
    pub fn batch(&mut self) -> Batch {
        let group = format!("load/{}", self.random.usize(0..GROUPS));
        let count = self.random.usize(1..=10);
        let texts: Vec<_> = (0..count).map(|_| self.message()).collect();
        let (together, mut apart): (Vec<_>, Vec<_>) = match self.random.u32(0..3) {
            0 => texts.into_iter().partition(|(text, _)| text.starts_with('{')),
            _ => (Vec::new(), texts),
        };
        if !together.is_empty() {
            let texts: Vec<_> = together.into_iter().map(|(text, _)| text).collect();
            apart.push((format!("[{}]", texts.join(",")), Some(format!("batch-{}", self.last))));
        }
        (group, apart)
    }

    fn message(&mut self) -> (String, Option<String>) {
        self.last += 1;
        let id = format!("c-{:06}", self.last);
        let message = match self.random.u32(0..100) {
            0..40 => self.reserve(&id, "seats"),
            40..50 => self.reserve(&id, "floor"),
            50..58 => self.reserve(&id, "store"),
            58..74 => self.follow(&id, "confirm"),
            74..89 => self.follow(&id, "cancel"),
            89 => restock_store(&id, "add", 1),
            90..98 => return self.again(&id),
            _ => return self.unreadable(&id),
        };
        self.commands.insert(id, message.clone());
        (message.to_string(), None)
    }

    fn reserve(&mut self, id: &str, what: &'static str) -> Value {
        let user = format!("u-{}", self.random.u32(0..100));
        let mut data = json!({ "user_id": user, "hold_seconds": 14_400 });
        match what {
            "seats" => {
                let first = self.random.usize(1..=SEATS - 2);
                let seats: Vec<String> = (0..self.random.usize(1..=3))
                    .map(|offset| format!("A-{}", first + offset))
                    .collect();
                data["seats"] = json!(seats);
            }
            "floor" => data["lines"] = json!(named(&[(FLOOR, self.random.u64(1..=4))])),
            _ => {
                let first = self.random.usize(0..HOT_LINES);
                let skus = [sku(first), sku((first + 1) % HOT_LINES)];
                data["lines"] = json!(named(&skus.each_ref().map(|sku| (sku.as_str(), 1))));
            }
        }
        // Some expire, and are left to the sweeper or taken over.
        if self.random.u32(0..4) == 0 {
            data["hold_seconds"] = json!(self.random.i64(1..SHORT_HOLD_S_MAX));
        }
        let pool = if what == "store" { "store" } else { "event" };
        self.reserves.push((id.to_owned(), pool));
        command("reserve", id, on(pool, data))
    }

    /// A confirm or cancel of a reserve, which may be undecided or rejected.
    fn follow(&mut self, id: &str, kind: &str) -> Value {
        let from = self.reserves.len().saturating_sub(LATELY);
        let lately = &self.reserves[from..];
        let Some((held, pool)) = self.random.choice(lately).cloned() else {
            return self.reserve(id, "seats");
        };
        let mut data = json!({ "reservation_id": reservation(&held) });
        match kind {
            "confirm" => data["booking_id"] = json!(format!("b-{held}")),
            _ => data["refund"] = json!(self.random.u32(0..3) > 0),
        }
        command(kind, id, on(pool, data))
    }

    /// A command that was sent before, under a new deduplication id.
    fn again(&mut self, id: &str) -> (String, Option<String>) {
        let index = self.random.usize(0..self.commands.len());
        let message = self.commands.values().nth(index).unwrap();
        self.repeated += 1;
        (message.to_string(), Some(format!("again-{id}")))
    }

    fn unreadable(&mut self, id: &str) -> (String, Option<String>) {
        let text = if self.random.bool() {
            format!("unreadable {id}")
        } else {
            command("teleport", &format!("unknown-{id}"), json!({ "event_id": EVENT })).to_string()
        };
        self.unreadable.insert(text.clone());
        (text, None)
    }
}

fn sku(number: usize) -> String {
    format!("sku-{number:03}")
}

fn restock_store(id: &str, mode: &str, quantity: u64) -> Value {
    let lines: Vec<Value> =
        (0..LINES).map(|n| json!({ "sku": sku(n), "quantity": quantity })).collect();
    command("restock", id, json!({ "store_id": STORE, "mode": mode, "lines": lines }))
}

fn on(pool: &str, mut data: Value) -> Value {
    match pool {
        "store" => data["store_id"] = json!(STORE),
        _ => data["event_id"] = json!(EVENT),
    }
    data
}
