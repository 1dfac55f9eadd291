//! Sample records, and helpers that store and load them.

use std::sync::Arc;

use inventory_worker::{
    domain::{
        Changes, CommandKey, CommandType, Digest, LineKey, OrderLine, Outcome, PoolId, Rejection,
        RejectionCode, Reservation, ReservationId, ReservationStatus, RestockSummary, Seat,
        SeatDetails, SeatKey, SeatState, StockLevel, Timestamp,
    },
    ports::{
        Check, CommitError, Consumed, Expected, LedgerKey, LedgerRecord, LoadRequest, Store,
        Transaction, Write,
    },
};
use uuid::Uuid;

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn seat_key(number: &str) -> SeatKey {
    SeatKey { event_id: 42, number: number.parse().unwrap() }
}

pub fn seat(version: u64) -> Seat {
    Seat {
        details: SeatDetails::default(),
        occupancy: SeatState::Available,
        withheld: false,
        version,
        created_at: at("2026-11-22T10:00:00Z"),
        updated_at: at("2026-11-22T10:00:00.123Z"),
    }
}

pub fn write_seat(number: &str, expected: Expected, version: u64) -> Write {
    Write::Seat { key: seat_key(number), expected, seat: seat(version) }
}

pub fn line_key(pool: &str, sku: &str) -> LineKey {
    LineKey { pool: pool.parse().unwrap(), sku: sku.parse().unwrap() }
}

pub fn line(version: u64) -> StockLevel {
    StockLevel {
        available: 7,
        reserved: 3,
        committed: 0,
        as_of: None,
        version,
        updated_at: at("2026-11-22T10:00:00.123Z"),
    }
}

pub fn write_line(sku: &str, expected: Expected, version: u64) -> Write {
    Write::Line { key: line_key("store#s", sku), expected, line: line(version) }
}

/// The number is in the last byte of the id, which alone decides the expiry shard.
pub fn reservation_id(number: u128) -> ReservationId {
    ReservationId(Uuid::from_u128(0x9d1c_0000_0000_4000_8000_0000_0000_0000 | number))
}

pub fn reservation(number: u128, version: u64) -> Reservation {
    Reservation {
        reservation_id: reservation_id(number),
        pool: PoolId::Event(42),
        source: "/services/booking".parse().unwrap(),
        user_id: "u-7".parse().unwrap(),
        status: ReservationStatus::Active,
        version,
        seats: vec!["A-2".parse().unwrap(), "A-1".parse().unwrap()],
        lines: vec![OrderLine { sku: "sku".parse().unwrap(), quantity: 3 }],
        booking_id: None,
        goods: None,
        fulfilled_at: None,
        created_at: at("2026-11-22T10:00:00.123Z"),
        expires_at: at("2026-11-22T10:10:00Z"),
        ended_at: None,
    }
}

pub fn write_reservation(expected: Expected, reservation: Reservation) -> Write {
    Write::Reservation { expected, reservation }
}

pub fn check(number: u128, expected: Expected) -> Check {
    Check::Reservation { reservation_id: reservation_id(number), expected }
}

pub fn command_key(source: &str, id: &str) -> CommandKey {
    CommandKey { source: source.parse().unwrap(), id: id.parse().unwrap() }
}

pub fn outcome(digest: u8, outcome: Outcome) -> LedgerRecord {
    LedgerRecord::Outcome {
        digest: Digest([digest; 32]),
        command_type: CommandType::Reserve,
        pool: PoolId::Event(42),
        outcome,
        changes: Changes::NONE,
        decided_at: at("2026-11-22T10:00:00.123Z"),
    }
}

/// A rejection with `message`.
pub fn rejected(digest: u8, message: &str) -> LedgerRecord {
    let rejection = Rejection::new(RejectionCode::SeatNotFound, message);
    outcome(digest, Outcome::Rejected { rejection })
}

pub fn intent(digest: u8) -> LedgerRecord {
    LedgerRecord::Intent {
        digest: Digest([digest; 32]),
        chunk_ends: vec![100, 200, 10_000],
        decided_at: at("2026-11-22T10:00:00.123Z"),
    }
}

pub fn chunk(digest: u8, summary: RestockSummary) -> LedgerRecord {
    LedgerRecord::Chunk {
        digest: Digest([digest; 32]),
        begun_at: at("2026-11-22T10:00:00.123Z"),
        summary,
        decided_at: at("2026-11-22T10:00:00.123Z"),
    }
}

pub fn write_ledger(id: &str, record: LedgerRecord) -> Write {
    Write::Ledger { key: LedgerKey::Command(command_key("/test", id)), record }
}

/// A token that no other call uses.
pub fn token() -> Uuid {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    Uuid::from_u64_pair(u64::from(std::process::id()), NEXT.fetch_add(1, Ordering::Relaxed))
}

pub async fn commit(store: &Arc<dyn Store>, writes: Vec<Write>) -> Result<Consumed, CommitError> {
    store.commit(&Transaction { writes, checks: Vec::new() }, token()).await
}

pub async fn must_commit(store: &Arc<dyn Store>, writes: Vec<Write>) {
    for chunk in writes.chunks(100) {
        commit(store, chunk.to_vec()).await.unwrap();
    }
}

pub fn assert_conflict(result: &Result<Consumed, CommitError>) {
    assert!(matches!(result, Err(CommitError::Conflict(_))), "{result:?}");
}

pub fn assert_invalid(result: &Result<Consumed, CommitError>) {
    assert!(matches!(result, Err(CommitError::Invalid(_))), "{result:?}");
}

pub async fn load_seat(store: &Arc<dyn Store>, key: &SeatKey) -> Option<Seat> {
    let wanted = LoadRequest { seats: [key.clone()].into(), ..LoadRequest::default() };
    store.load(&wanted).await.unwrap().seats.remove(key).expect("every wanted key is answered")
}

/// The version of the seat of that number; 0 if there is none.
pub async fn seat_version(store: &Arc<dyn Store>, number: &str) -> u64 {
    load_seat(store, &seat_key(number)).await.map_or(0, |seat| seat.version)
}

pub async fn load_line(store: &Arc<dyn Store>, key: &LineKey) -> Option<StockLevel> {
    let wanted = LoadRequest { lines: [key.clone()].into(), ..LoadRequest::default() };
    store.load(&wanted).await.unwrap().lines.remove(key).expect("every wanted key is answered")
}

pub async fn load_reservation(store: &Arc<dyn Store>, number: u128) -> Option<Reservation> {
    let id = reservation_id(number);
    let wanted = LoadRequest { reservations: [id].into(), ..LoadRequest::default() };
    let mut loaded = store.load(&wanted).await.unwrap();
    loaded.reservations.remove(&id).expect("every wanted key is answered")
}

pub async fn load_ledger(store: &Arc<dyn Store>, key: &LedgerKey) -> Option<LedgerRecord> {
    let wanted = LoadRequest { ledger: [key.clone()].into(), ..LoadRequest::default() };
    store.load(&wanted).await.unwrap().ledger.remove(key).expect("every wanted key is answered")
}
