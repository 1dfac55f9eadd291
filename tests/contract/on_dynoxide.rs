//! The store on DynamoDB's adapter, over dynoxide in this process.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use inventory_worker::{
    adapters::{
        dynamodb::{ClientOptions, DynamoStore, TableNames, TableOptions, ensure_tables},
        embedded::EmbeddedDynamo,
        system::Random,
    },
    domain::{Occupancy, Seat, SeatDetails, SeatKey, Timestamp},
    ports::{CommitError, Expected, Store, Table, Transaction, Wanted, Write},
};
use uuid::Uuid;

use crate::{harness::Backend, store::StoreHarness};

/// A server of its own for each test.
pub struct Dynoxide {
    server: EmbeddedDynamo,
}

impl Dynoxide {
    pub async fn start() -> Self {
        Self { server: EmbeddedDynamo::start(None).await.unwrap() }
    }

    pub fn server(&self) -> &EmbeddedDynamo {
        &self.server
    }

    /// A store on fresh tables, not yet behind the port.
    pub async fn dynamo_store(&self) -> DynamoStore {
        let names = TableNames::prefixed("inventory-");
        let client = self.server.client(&ClientOptions::default());
        ensure_tables(&client, &names, &TableOptions::bare()).await.unwrap();
        DynamoStore::new(client, names, Arc::new(Random::seeded(1)))
    }
}

#[async_trait]
impl Backend for Dynoxide {
    fn name(&self) -> &'static str {
        "dynoxide 3.2.0"
    }

    fn patience(&self) -> Duration {
        Duration::ZERO
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

#[async_trait]
impl StoreHarness for Dynoxide {
    async fn store(&self) -> Arc<dyn Store> {
        // Pages small enough that listings take several.
        Arc::new(self.dynamo_store().await.with_page_items(3))
    }
}

mod store {
    store_contract! {
        #[tokio::test]
        on super::Dynoxide::start().await
    }
}

const RACERS: u64 = 8;
const ROUNDS: u64 = 20;

fn seat_key(number: &str) -> SeatKey {
    SeatKey { event_id: 42, number: number.parse().unwrap() }
}

fn seat(version: u64, by: u64) -> Seat {
    let at: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
    Seat {
        details: SeatDetails {
            section: Some(format!("racer-{by}").parse().unwrap()),
            ..SeatDetails::default()
        },
        occupancy: Occupancy::Available,
        version,
        created_at: at,
        updated_at: at,
    }
}

/// The three seats of a round, all of them under the same expectation.
fn all_three(expected: Expected, version: u64, by: u64) -> Transaction {
    let write =
        |number: &str| Write::Seat { key: seat_key(number), expected, seat: seat(version, by) };
    Transaction { writes: ["A-1", "A-2", "A-3"].map(write).into(), checks: Vec::new() }
}

/// Eight tasks commit at once, on the same condition; gives back who won.
async fn race(store: &Arc<DynamoStore>, expected: Expected, version: u64) -> Vec<u64> {
    let start = Arc::new(tokio::sync::Barrier::new(usize::try_from(RACERS).unwrap()));
    let racers: Vec<_> = (0..RACERS)
        .map(|racer| {
            let (store, start) = (Arc::clone(store), Arc::clone(&start));
            tokio::spawn(async move {
                let transaction = all_three(expected, version, racer);
                let token = Uuid::from_u64_pair(version, racer);
                start.wait().await;
                (racer, store.commit(&transaction, token).await)
            })
        })
        .collect();
    let mut winners = Vec::new();
    for racer in racers {
        match racer.await.unwrap() {
            (racer, Ok(_)) => winners.push(racer),
            (_, Err(CommitError::Conflict(_))) => {}
            (racer, Err(other)) => panic!("racer {racer}: {other}"),
        }
    }
    winners
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_transactions_racing_for_the_same_seats_exactly_one_wins_and_whole() {
    let dynoxide = Dynoxide::start().await;
    let store = Arc::new(dynoxide.dynamo_store().await);
    let keys = ["A-1", "A-2", "A-3"].map(seat_key);
    let mut expected = Expected::Absent;
    for version in 1..=ROUNDS {
        let winners = race(&store, expected, version).await;
        assert_eq!(winners.len(), 1, "round {version}");
        let wanted = Wanted { seats: keys.clone().into(), ..Wanted::default() };
        let loaded = store.load(&wanted).await.unwrap();
        for key in &keys {
            assert_eq!(loaded.seats[key], Some(seat(version, winners[0])), "round {version}");
        }
        expected = Expected::Version(version);
    }
}

#[tokio::test]
async fn the_answer_tells_write_units_by_table() {
    let dynoxide = Dynoxide::start().await;
    let store = dynoxide.dynamo_store().await;
    let several = all_three(Expected::Absent, 1, 0);
    let consumed = store.commit(&several, Uuid::from_u128(1)).await.unwrap();
    // "Two write requests for every item": three items under 1 KB.
    assert_eq!(consumed.write_units, [(Table::Seats, 6.0)].into());

    let one = Write::Seat { key: seat_key("B-1"), expected: Expected::Absent, seat: seat(1, 0) };
    let one = Transaction { writes: vec![one], checks: Vec::new() };
    let consumed = store.commit(&one, Uuid::from_u128(2)).await.unwrap();
    assert_eq!(consumed.write_units, [(Table::Seats, 1.0)].into());
}

#[tokio::test]
async fn a_data_file_keeps_what_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("inventory.db");
    for round in 1..=2 {
        let dynoxide = Dynoxide { server: EmbeddedDynamo::start(Some(&file)).await.unwrap() };
        let store = dynoxide.dynamo_store().await;
        let expected = if round == 1 { Expected::Absent } else { Expected::Version(1) };
        store.commit(&all_three(expected, round, 0), Uuid::from_u64_pair(7, round)).await.unwrap();
        drop(store);
        dynoxide.server.stop().await;
    }
}
