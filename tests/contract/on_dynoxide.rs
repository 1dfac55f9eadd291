//! The store on DynamoDB's adapter, over dynoxide in this process.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use inventory_worker::{
    adapters::{
        dynamodb::{ClientOptions, DynamoStore, TableNames, TableOptions, ensure_tables},
        embedded::EmbeddedDynamo,
        memory::TokioClock,
        system::Random,
    },
    domain::{
        CommandKey, Digest, OrderLine, Reservation, ReservationId, ReservationStatus,
        RestockSummary, Seat, SeatDetails, SeatKey, SeatState, Timestamp,
    },
    ports::{
        AttemptStore, CommitError, CommitStore, Ended, Expected, ExpiredHold, ExpiryIndex,
        ExpiryQuery, LedgerKey, LedgerRecord, LoadRequest, OutcomeEditor, ReadStore, Record,
        ScanStore, Store, Table, Transaction, Write, store::expiry_shard,
    },
};
use uuid::Uuid;

use crate::{harness::Backend, store::StoreHarness};

/// A clock that starts on the day of the samples: records written then are not past their
/// retention.
pub fn clock() -> TokioClock {
    TokioClock::new("2026-11-22T10:00:00Z".parse().unwrap())
}

/// A separate server for each test.
pub struct Dynoxide {
    server: EmbeddedDynamo,
    clock: Arc<TokioClock>,
}

impl Dynoxide {
    pub async fn start() -> Self {
        Self::over(EmbeddedDynamo::start(None).await.unwrap())
    }

    fn over(server: EmbeddedDynamo) -> Self {
        Self { server, clock: Arc::new(clock()) }
    }

    pub fn server(&self) -> &EmbeddedDynamo {
        &self.server
    }

    /// A store on fresh tables, as the concrete type.
    pub async fn dynamo_store(&self) -> DynamoStore {
        let names = TableNames::prefixed("inventory-");
        let client = self.server.client(&ClientOptions::default());
        ensure_tables(&client, &names, &TableOptions::minimal()).await.unwrap();
        DynamoStore::new(client, names, Arc::new(Random::seeded(1)), self.clock.clone())
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
        // Pages small enough that listings need several.
        Arc::new(self.dynamo_store().await.with_page_items(3))
    }

    async fn editor(&self) -> Arc<dyn OutcomeEditor> {
        Arc::new(self.dynamo_store().await)
    }

    fn set_ahead(&self, by: Duration) {
        self.clock.set_skew(i64::try_from(by.as_millis()).unwrap());
    }
}

store_contracts! {
    #[tokio::test]
    on super::Dynoxide::start().await
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
        occupancy: SeatState::Available,
        withheld: false,
        version,
        created_at: at,
        updated_at: at,
    }
}

/// The three seats of a round, all with the same expectation.
fn all_three(expected: Expected, version: u64, by: u64) -> Transaction {
    let write =
        |number: &str| Write::Seat { key: seat_key(number), expected, seat: seat(version, by) };
    Transaction { writes: ["A-1", "A-2", "A-3"].map(write).into(), checks: Vec::new() }
}

/// Eight tasks commit concurrently, on the same condition; returns the winners.
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
        let wanted = LoadRequest { seats: keys.clone().into(), ..LoadRequest::default() };
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

fn held_until(id: u128, expires_at: &str, status: ReservationStatus) -> Reservation {
    Reservation {
        // The last four bytes pick the shard: the same for all.
        reservation_id: ReservationId(Uuid::from_u128(id << 32)),
        pool: "store#s-1".parse().unwrap(),
        source: "/services/booking".parse().unwrap(),
        user_id: "ü/\"7\"".parse().unwrap(),
        status,
        version: u64::MAX,
        seats: vec![],
        lines: vec![OrderLine { sku: "席 1".parse().unwrap(), quantity: 1_000_000_000 }],
        booking_id: None,
        goods: None,
        fulfilled_at: None,
        created_at: "2026-11-22T09:00:00.123456789Z".parse().unwrap(),
        expires_at: expires_at.parse().unwrap(),
        ended_at: None,
    }
}

#[tokio::test]
async fn the_expiry_index_orders_by_time_to_the_nanosecond_and_holds_what_is_active() {
    let dynoxide = Dynoxide::start().await;
    let store = dynoxide.dynamo_store().await;
    let active = ReservationStatus::Active;
    let until = "2026-11-22T10:00:00.000000002Z";
    let held = [
        held_until(1, until, active),
        held_until(2, "2026-11-22T10:00:00.000000003Z", active),
        held_until(3, "2026-11-22T10:00:00.000000001Z", active),
        held_until(4, "2026-11-22T10:00:00Z", active),
        held_until(5, "2026-11-22T09:00:00Z", ReservationStatus::Confirmed),
        held_until(6, "1969-12-31T23:59:59.5Z", active),
    ];
    let write = |reservation: &Reservation| Write::Reservation {
        expected: Expected::Absent,
        reservation: reservation.clone(),
    };
    let transaction = Transaction { writes: held.iter().map(write).collect(), checks: vec![] };
    store.commit(&transaction, Uuid::from_u128(3)).await.unwrap();

    let wanted = LoadRequest {
        reservations: held.iter().map(|reservation| reservation.reservation_id).collect(),
        ..LoadRequest::default()
    };
    let loaded = store.load(&wanted).await.unwrap().reservations;
    for reservation in &held {
        assert_eq!(loaded[&reservation.reservation_id].as_ref(), Some(reservation));
    }

    let shard = expiry_shard(held[0].reservation_id);
    let due = |at: usize| ExpiredHold {
        reservation_id: held[at].reservation_id,
        pool: held[at].pool.clone(),
        expires_at: held[at].expires_at,
    };
    let until: Timestamp = until.parse().unwrap();
    let all = [due(5), due(3), due(2), due(0)];
    let by = Ended::by(until);
    let expired = async |shard, limit| {
        store.expired(&ExpiryQuery::new(shard, by, limit)).await.unwrap().holds
    };
    assert_eq!(expired(shard, 10).await, all);
    assert_eq!(expired(shard, 2).await, all[..2]);
    assert_eq!(expired(shard, 0).await, []);
    assert_eq!(expired(shard + 1, 10).await, []);
}

#[tokio::test]
async fn a_scan_goes_page_by_page_and_leaves_attempts_out() {
    let dynoxide = Dynoxide::start().await;
    let store = dynoxide.dynamo_store().await.with_page_items(2);
    let key = |number: u32| {
        let (source, id) = ("/test".parse().unwrap(), number.to_string().parse().unwrap());
        LedgerKey::Chunk(CommandKey { source, id }, number)
    };
    let decided_at: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
    let record = LedgerRecord::Chunk {
        digest: Digest([7; 32]),
        begun_at: decided_at,
        summary: RestockSummary::default(),
        decided_at,
    };
    let write = |number| Write::Ledger { key: key(number), record: record.clone() };
    let transaction = Transaction { writes: (0..7).map(write).collect(), checks: vec![] };
    store.commit(&transaction, Uuid::from_u128(4)).await.unwrap();
    for message in 0..3 {
        store.record_attempt(&format!("m-{message}"), decided_at).await.unwrap();
    }

    let mut found = Vec::new();
    let (mut from, mut pages) = (None, 0);
    loop {
        let page = store.scan(Table::Ledger, from.as_ref()).await.unwrap();
        found.extend(page.records);
        pages += 1;
        match page.next {
            Some(next) => from = Some(next),
            None => break,
        }
    }
    assert!(pages >= 5, "{pages} pages of ten items");
    found.sort_by_key(|found| match found {
        Record::Ledger(key, _) => key.clone(),
        other => panic!("{other:?}"),
    });
    let expected: Vec<_> = (0..7).map(|n| Record::Ledger(key(n), record.clone())).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_data_file_keeps_what_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("inventory.db");
    for round in 1..=2 {
        let dynoxide = Dynoxide::over(EmbeddedDynamo::start(Some(&file)).await.unwrap());
        let store = dynoxide.dynamo_store().await;
        let expected = if round == 1 { Expected::Absent } else { Expected::Version(1) };
        store.commit(&all_three(expected, round, 0), Uuid::from_u64_pair(7, round)).await.unwrap();
        drop(store);
        dynoxide.server.stop().await;
    }
}
