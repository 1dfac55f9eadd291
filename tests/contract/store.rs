//! What every adapter of [`Store`] keeps.

use std::sync::Arc;

use async_trait::async_trait;
use inventory_worker::{
    domain::{Occupancy, Seat, SeatDetails, SeatKey, Timestamp},
    ports::{CommitError, Consumed, Expected, Store, Transaction, Wanted, Write},
};
use uuid::Uuid;

use crate::harness::Backend;

/// Stores to be put to the test.
#[async_trait]
pub trait StoreHarness: Backend {
    /// A fresh store: empty tables of its own.
    async fn store(&self) -> Arc<dyn Store>;
}

/// Holds an adapter to every rule of [`Store`]; see the crate's comment.
macro_rules! store_contract {
    ($($test:tt)*) => {
        make_tests! {
            store [
                every_wanted_key_is_answered
                a_write_on_absence_happens_once
            ]
            $($test)*
        }
    };
}

/// Every rule by name.
pub const RULES: &[&str] = &store_contract!(names);

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn seat_key(number: &str) -> SeatKey {
    SeatKey { event_id: 42, number: number.parse().unwrap() }
}

fn seat(version: u64) -> Seat {
    Seat {
        details: SeatDetails::default(),
        occupancy: Occupancy::Available,
        version,
        created_at: at("2026-11-22T10:00:00Z"),
        updated_at: at("2026-11-22T10:00:00.123Z"),
    }
}

fn write_seat(number: &str, expected: Expected, seat: Seat) -> Write {
    Write::Seat { key: seat_key(number), expected, seat }
}

/// A token no other call of the process had.
fn token() -> Uuid {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    Uuid::from_u64_pair(u64::from(std::process::id()), NEXT.fetch_add(1, Ordering::Relaxed))
}

async fn commit(store: &Arc<dyn Store>, writes: Vec<Write>) -> Result<Consumed, CommitError> {
    store.commit(&Transaction { writes, checks: Vec::new() }, token()).await
}

async fn load_seat(store: &Arc<dyn Store>, number: &str) -> Option<Seat> {
    let key = seat_key(number);
    let wanted = Wanted { seats: [key.clone()].into(), ..Wanted::default() };
    store.load(&wanted).await.unwrap().seats.remove(&key).expect("every wanted key is answered")
}

pub async fn every_wanted_key_is_answered(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    // More than one BatchGetItem takes, a third of them there.
    let numbers: Vec<String> = (0..250).map(|number| format!("A-{number}")).collect();
    for chunk in numbers.iter().step_by(3).collect::<Vec<_>>().chunks(100) {
        let writes = chunk.iter().map(|number| write_seat(number, Expected::Absent, seat(1)));
        commit(&store, writes.collect()).await.unwrap();
    }
    let seats = numbers.iter().map(|number| seat_key(number)).collect();
    let loaded = store.load(&Wanted { seats, ..Wanted::default() }).await.unwrap();
    assert_eq!(loaded.seats.len(), numbers.len());
    for (index, number) in numbers.iter().enumerate() {
        let there = loaded.seats[&seat_key(number)].is_some();
        assert_eq!(there, index % 3 == 0, "{number}");
    }
}

pub async fn a_write_on_absence_happens_once(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    commit(&store, vec![write_seat("A-1", Expected::Absent, seat(1))]).await.unwrap();
    let again = commit(&store, vec![write_seat("A-1", Expected::Absent, seat(7))]).await;
    assert!(matches!(again, Err(CommitError::Conflict(_))), "{again:?}");
    assert_eq!(load_seat(&store, "A-1").await, Some(seat(1)));
}
