//! Redis is killed, emptied and cut off during a sale that streams show: the sale goes on, no version
//! falls, what is shown is no older than it may be, and at rest it is what the tables have.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use inventory_worker::{
    domain::Timestamp,
    ports::{Record, Table},
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    task::AbortHandle,
};

use crate::{
    faults::servers::Server,
    gateway::Gateway,
    messages::{reserve_seats, restock_seats, seat_numbers},
    proxy::{Mode, Proxy},
    stack::Stack,
    wait::until,
    world::{EVENT, World},
};

on_every_stack! {
    whatever_becomes_of_redis_a_sale_goes_on_and_its_streams_are_right
    a_view_with_a_redis_of_its_own_hears_of_commits_and_no_locks_are_taken
}

/// Seats that are sold one by one.
const SEATS: usize = 60;

/// What is shown may be that old at most, as the tables can be read all the time.
const AGE_MAX_SECONDS: i64 = 30;

/// The version and letter of each seat, by position.
type Shown = BTreeMap<usize, (u64, String)>;

/// What a stream has told.
#[derive(Default)]
struct Told {
    shown: Shown,
    wrong: Vec<String>,
}

impl Told {
    fn seat(&mut self, position: usize, version: u64, letter: String) {
        let before = self.shown.insert(position, (version, letter));
        if let Some((before, _)) = before.filter(|(before, _)| *before > version) {
            self.wrong.push(format!("seat {position} went from {before} to {version}"));
        }
    }

    fn frame(&mut self, name: &str, data: &Value) {
        if name == "bye" {
            return self.wrong.push(format!("it ended: {data}"));
        }
        let time = |name: &str| data[name].as_str().unwrap().parse::<Timestamp>().unwrap();
        let age = time("now").duration_since(time("as_of")).as_secs();
        if age > AGE_MAX_SECONDS {
            self.wrong.push(format!("{age} s old"));
        }
        let number = |value: &Value| value.as_u64().unwrap();
        if name == "snapshot" {
            let letters = data["map"]["status"].as_str().unwrap().chars();
            let versions = data["map"]["versions"].as_array().unwrap().iter();
            for (position, (version, letter)) in versions.zip(letters).enumerate() {
                self.seat(position, number(version), letter.to_string());
            }
        }
        for seat in data["seats"].as_array().into_iter().flatten() {
            let position = usize::try_from(number(&seat[0])).unwrap();
            self.seat(position, number(&seat[1]), seat[2].as_str().unwrap().to_owned());
        }
    }
}

/// Somebody who watches the event.
struct Watcher {
    told: Arc<Mutex<Told>>,
    task: AbortHandle,
}

impl Watcher {
    async fn start(gateway: &Gateway) -> Self {
        let mut connection = TcpStream::connect(gateway.http).await.unwrap();
        // In HTTP/1.0 a body ends with its connection, and has no chunks.
        let request = format!("GET /events/{EVENT}/changes HTTP/1.0\r\nhost: here\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let told: Arc<Mutex<Told>> = Arc::default();
        let telling = Arc::clone(&told);
        let task = tokio::spawn(async move {
            let mut lines = BufReader::new(connection).lines();
            let mut name = String::new();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(event) = line.strip_prefix("event: ") {
                    event.clone_into(&mut name);
                } else if let Some(data) = line.strip_prefix("data: ") {
                    let data = serde_json::from_str(data).unwrap();
                    telling.lock().unwrap().frame(&name, &data);
                }
            }
            telling.lock().unwrap().wrong.push("the connection ended".to_owned());
        });
        Self { told, task: task.abort_handle() }
    }

    fn shown(&self) -> Shown {
        let told = self.told.lock().unwrap();
        assert_eq!(told.wrong, Vec::<String>::new());
        told.shown.clone()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the tables have.
async fn stored(world: &World) -> Shown {
    let mut seats = Vec::new();
    for record in world.scan(Table::Seats).await {
        if let Record::Seat(key, seat) = record {
            let status = serde_json::to_value(seat.occupancy.status()).unwrap();
            let letter = if status == "RESERVED" { "R" } else { "A" };
            seats.push((key.number, (seat.version, letter.to_owned())));
        }
    }
    seats.sort();
    seats.into_iter().map(|(_, shown)| shown).enumerate().collect()
}

/// Sells the next seats, one by one, and waits until every stream shows it.
async fn sell(gateway: &Gateway, watchers: &[Watcher], left: &mut Vec<String>, count: usize) {
    let sold_before = SEATS - left.len();
    for _ in 0..count {
        let seat = left.pop().unwrap();
        gateway.command(&reserve_seats(&format!("of-{seat}"), EVENT, &[&seat])).await.expect(200);
    }
    for watcher in watchers {
        until("a stream shows what is sold", async || {
            let shown = watcher.shown();
            let sold = shown.values().filter(|(_, letter)| letter == "R").count();
            (sold == sold_before + count).then_some(())
        })
        .await;
    }
}

async fn whatever_becomes_of_redis_a_sale_goes_on_and_its_streams_are_right(stack: Stack) {
    let world = World::new(stack).await;
    let mut redis = Server::redis().await;
    let of_worker = Proxy::of(&format!("http://{}", redis.address)).await;
    let of_gateway = Proxy::of(&format!("http://{}", redis.address)).await;
    let url = |proxy: &Proxy| proxy.url().replace("http://", "redis://");
    let worker = world.worker(&[("REDIS_URL", &url(&of_worker))]).await;
    let gateway = Gateway::start(&world.with(&[("REDIS_URL", &url(&of_gateway))])).await;
    let mut left = seat_numbers(SEATS);
    gateway.command(&restock_seats("stock", EVENT, &left)).await.expect(200);
    let watchers = [Watcher::start(&gateway).await, Watcher::start(&gateway).await];
    sell(&gateway, &watchers, &mut left, 4).await;

    redis.kill().await;
    sell(&gateway, &watchers, &mut left, 6).await;
    redis.restart().await;
    sell(&gateway, &watchers, &mut left, 4).await;

    let mut connection = TcpStream::connect(redis.address).await.unwrap();
    connection.write_all(b"FLUSHALL\r\n").await.unwrap();
    BufReader::new(connection).lines().next_line().await.unwrap().unwrap();
    sell(&gateway, &watchers, &mut left, 6).await;

    for proxy in [&of_worker, &of_gateway] {
        for mode in [Mode::Cut, Mode::Hang] {
            proxy.set(mode);
            sell(&gateway, &watchers, &mut left, 6).await;
            proxy.set(Mode::Pass);
            sell(&gateway, &watchers, &mut left, 2).await;
        }
    }

    let expected = stored(&world).await;
    assert_eq!(expected.len(), SEATS);
    for watcher in &watchers {
        assert_eq!(watcher.shown(), expected);
    }
    drop(watchers);
    gateway.process.stop().await;
    worker.stop().await;
    world.audit().await;
}

async fn a_view_with_a_redis_of_its_own_hears_of_commits_and_no_locks_are_taken(stack: Stack) {
    let mut world = World::new(stack).await;
    world.environment.remove("REDIS_URL");
    let redis = Server::redis().await;
    let url = format!("redis://{}", redis.address);
    let own = [("INVENTORY_VIEW_REDIS_URL", url.as_str())];
    let worker = world.worker(&own).await;
    let gateway = Gateway::start(&world.with(&own)).await;
    let mut left = seat_numbers(SEATS);
    gateway.command(&restock_seats("stock", EVENT, &left)).await.expect(200);
    let watchers = [Watcher::start(&gateway).await];
    // The worker learns of the watch in its own time.
    let applied = r#"inventory_hints_received_total{outcome="applied"}"#;
    while gateway.process.figure(applied).await == 0.0 {
        sell(&gateway, &watchers, &mut left, 1).await;
    }
    assert!(worker.logged("REDIS_URL is not set: no locks, version conditions alone").is_some());
    assert_eq!(worker.figure("inventory_lock_fallbacks_total").await, 0.0, "nothing is missing");
    drop(watchers);
    gateway.process.stop().await;
    worker.stop().await;
    world.audit().await;
}
