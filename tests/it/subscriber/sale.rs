//! A sale with every kind of command, on the worker and embedded backends.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use inventory_worker::{
    app::{embedded::Embedded, worker_group::WorkerGroup},
    client::{PreparedCommand, ResultSubscription},
    ports::PortError,
    sweeper,
    telemetry::Metrics,
    worker::{Observer, Settings},
};
use serde_json::{Value, json};
use uuid::Uuid;

/// The pools whose restocks are applied in chunks.
pub const CHUNKED: [&str; 2] = ["event#8", "store#paris"];

/// The timeout, far beyond what it takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const SEATS: usize = 30;
const BUYERS: usize = 60;
const KINDS_OF_BUYERS: usize = 6;

/// A sale that is over.
pub struct Ended {
    pub embedded: Embedded,
    /// Every result, in the order of its delivery.
    pub results: Vec<String>,
}

/// The commands of the sale that were posted, and the results they have.
struct Sale {
    embedded: Embedded,
    subscription: ResultSubscription,
    posted: usize,
    results: Vec<String>,
    /// The commands of holds that are left to run out.
    left: BTreeSet<String>,
    awaited_expiries: usize,
    outcomes: BTreeMap<String, usize>,
    /// The ids of the results: one may be delivered twice.
    seen: BTreeSet<String>,
}

/// Runs the sale until every command, and every expiry, has its result.
pub async fn run() -> Ended {
    let embedded = Embedded::start(None).await.unwrap();
    let queue = embedded.subscribe("view.fifo");
    let subscription = ResultSubscription::new(queue, Arc::clone(&embedded.backends.entropy));
    let settings = Settings { long_poll: Duration::from_millis(200), ..Settings::default() };
    let tick = Duration::from_millis(100);
    let sweeper = sweeper::Settings { interval: tick, margin: Duration::ZERO, idle: tick };
    let observer: Arc<dyn Observer> = Arc::new(Metrics::new().unwrap());
    let group = WorkerGroup::start(&embedded.backends, settings, Some(sweeper), &observer);
    let mut sale = Sale {
        embedded,
        subscription,
        posted: 0,
        results: Vec::new(),
        left: BTreeSet::new(),
        awaited_expiries: 0,
        outcomes: BTreeMap::new(),
        seen: BTreeSet::new(),
    };
    sale.open();
    sale.until_decided().await;
    // The first want different seats, so that everything happens once; then there is a rush.
    (0..KINDS_OF_BUYERS).for_each(|buyer| sale.buy(buyer));
    sale.until_decided().await;
    (KINDS_OF_BUYERS..BUYERS).for_each(|buyer| sale.buy(buyer));
    sale.until_decided().await;
    sale.call_off();
    sale.until_decided().await;
    group.drain().await;
    let kinds = sale.outcomes.len();
    assert_eq!(kinds, 9, "every kind of result: {:?}", sale.outcomes);
    Ended { embedded: sale.embedded, results: sale.results }
}

impl Sale {
    fn post(&mut self, group: &str, kind: &str, data: Value) -> String {
        let id = format!("{}-{kind}", self.posted);
        let body = json!({
            "specversion": "1.0", "id": id, "source": "/tests/sale",
            "type": format!("inventory.{kind}.v1"), "data": data,
        });
        let mut message = PreparedCommand::from_body(body.to_string()).unwrap().message();
        message.group = group.parse().unwrap();
        let queue = if kind == "restock" && group == "restock" {
            self.embedded.restocks()
        } else {
            self.embedded.commands()
        };
        queue.push(&message).unwrap();
        self.posted += 1;
        id
    }

    /// Puts everything on sale: a part of it in restocks that are applied in chunks.
    fn open(&mut self) {
        let seats = |count: usize| -> Vec<Value> {
            (1..=count).map(|n| json!({ "seat_number": format!("S-{n}") })).collect()
        };
        let lines = |count: usize| -> Vec<Value> {
            (1..=count).map(|n| json!({ "sku": format!("sku-{n}"), "quantity": 40 })).collect()
        };
        let floor = json!([{ "sku": "floor", "quantity": 90 }]);
        for data in [
            json!({ "event_id": 7, "seats": seats(SEATS), "lines": floor, "mode": "set" }),
            json!({ "event_id": 8, "seats": seats(150) }),
            json!({ "store_id": "berlin", "lines": lines(5), "mode": "set" }),
            json!({ "store_id": "paris", "lines": lines(120), "mode": "set" }),
        ] {
            self.post("restock", "restock", data);
        }
    }

    /// What one buyer does, and the shop meanwhile. Three groups contend for the same seats.
    fn buy(&mut self, buyer: usize) {
        let group = format!("event-7/{}", buyer % 3);
        let id = Uuid::from_u128(1 + buyer as u128);
        let on = |data: Value| {
            let mut data = data;
            data["event_id"] = json!(7);
            data["reservation_id"] = json!(id);
            data
        };
        let seat = |n: usize| format!("S-{}", 1 + n % SEATS);
        let held = [seat(buyer * 7), seat(buyer * 7 + 1)];
        let is_left = buyer % KINDS_OF_BUYERS == 5;
        let reserve = self.post(
            &group,
            "reserve",
            on(json!({
                "user_id": format!("u-{buyer}"), "seats": held,
                "lines": [{ "sku": "floor", "quantity": 1 + buyer % 2 }],
                "hold_seconds": if is_left { 1 } else { 600 },
            })),
        );
        let confirm =
            |goods: &str| on(json!({ "booking_id": format!("b-{buyer}"), "goods": goods }));
        match buyer % KINDS_OF_BUYERS {
            0 => {
                self.post(&group, "extend", on(json!({ "hold_seconds": 900 })));
                self.post(&group, "confirm", confirm("stay"));
                self.post(&group, "fulfil", on(json!({})));
            }
            1 => {
                let add = json!({ "seats": [seat(buyer * 7 + 2)] });
                let remove = json!({ "seats": [&held[0]] });
                self.post(&group, "modify", on(json!({ "add": add, "remove": remove })));
                self.post(&group, "confirm", confirm("leave"));
            }
            2 => {
                self.post(&group, "confirm", confirm("stay"));
                let refund = json!({ "refund": true, "seats_to": "BLOCKED" });
                self.post(&group, "cancel", on(refund));
            }
            3 => {
                self.post(&group, "cancel", on(json!({})));
            }
            4 => {
                let withheld = json!([{ "seat_number": held[0], "status": "BLOCKED" }]);
                self.post(&group, "restock", json!({ "event_id": 7, "seats": withheld }));
                self.post(&group, "cancel", on(json!({})));
            }
            _ => {
                self.left.insert(reserve);
            }
        }
        self.keep_shop(buyer);
    }

    fn keep_shop(&mut self, buyer: usize) {
        let (store, sku) = match buyer % 4 {
            0 => ("paris", "sku-119"),
            _ => ("berlin", ["sku-1", "sku-2", "sku-3"][buyer % 3]),
        };
        let group = format!("store-{store}");
        let line = |quantity: i64| json!([{ "sku": sku, "quantity": quantity }]);
        let data = match buyer % 5 {
            0 => json!({ "store_id": store, "lines": line(24), "mode": "add" }),
            1 => json!({ "store_id": store, "lines": line(-3), "mode": "add" }),
            2 => {
                let line = json!([{ "sku": sku, "quantity": 30, "expected_version": buyer }]);
                json!({ "store_id": store, "lines": line, "mode": "set" })
            }
            _ => {
                let data = json!({ "store_id": store, "user_id": "u", "lines": line(2) });
                self.post(&group, "reserve", data);
                return;
            }
        };
        self.post(&group, "restock", data);
    }

    /// Some seats of the event that was put on sale in chunks, and then some are sold.
    fn call_off(&mut self) {
        let blocked: Vec<_> = (1..=20)
            .map(|n| json!({ "seat_number": format!("S-{n}"), "status": "BLOCKED" }))
            .collect();
        self.post("event-8", "restock", json!({ "event_id": 8, "seats": blocked }));
        let seats = json!(["S-101", "S-102"]);
        let reserve = json!({ "event_id": 8, "user_id": "u", "seats": seats });
        self.post("event-8", "reserve", reserve);
    }

    /// Receives until every command has its result, and every hold that was left has run out.
    async fn until_decided(&mut self) {
        let decided = async {
            while self.results.len() < self.posted + self.awaited_expiries {
                self.receive().await;
            }
        };
        tokio::time::timeout(PATIENCE, decided).await.expect("results in time");
    }

    async fn receive(&mut self) {
        let Self { subscription, results, left, awaited_expiries, outcomes, seen, .. } = self;
        let note = |body: &str| {
            let result: Value = serde_json::from_str(body).unwrap();
            if !seen.insert(result["id"].as_str().unwrap().to_owned()) {
                return Ok(());
            }
            let kind = result["type"].as_str().unwrap().to_owned();
            let command = result["data"]["command"]["id"].as_str().unwrap();
            *awaited_expiries +=
                usize::from(kind == "inventory.reserved.v1" && left.contains(command));
            *outcomes.entry(kind).or_default() += 1;
            results.push(body.to_owned());
            Ok::<_, PortError>(())
        };
        subscription.receive(Duration::from_secs(1), note).await.unwrap();
    }
}
