//! Rules specific to the memory store. The rest is in `tests/contract`.

use super::*;
use crate::{
    adapters::memory::TokioClock,
    domain::{
        Changes, CommandKey, CommandType, Digest, Outcome, ReservationStatus, RestockSummary,
        SeatDetails, SeatState,
    },
    ports::{Expected, Write},
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn store() -> MemoryStore {
    MemoryStore::new(Arc::new(TokioClock::new(at("2026-11-22T10:00:00Z"))))
}

fn reservation(number: u128, version: u64) -> Reservation {
    Reservation {
        reservation_id: ReservationId(Uuid::from_u128(number)),
        pool: PoolId::Event(42),
        source: "/services/booking".parse().unwrap(),
        user_id: "u-7".parse().unwrap(),
        status: ReservationStatus::Active,
        version,
        seats: vec!["A-1".parse().unwrap()],
        lines: Vec::new(),
        booking_id: None,
        goods: None,
        fulfilled_at: None,
        created_at: at("2026-11-22T10:00:00Z"),
        expires_at: at("2026-11-22T10:10:00Z"),
        ended_at: None,
    }
}

fn seat_write() -> Write {
    let key = SeatKey { event_id: 42, number: "A-1".parse().unwrap() };
    let seat = Seat {
        details: SeatDetails::default(),
        occupancy: SeatState::Available,
        withheld: false,
        version: 1,
        created_at: at("2026-11-22T10:00:00Z"),
        updated_at: at("2026-11-22T10:00:00Z"),
    };
    Write::Seat { key, expected: Expected::Absent, seat }
}

fn ledger_key(id: &str) -> LedgerKey {
    LedgerKey::Command(CommandKey { source: "/test".parse().unwrap(), id: id.parse().unwrap() })
}

fn ledger_write(id: &str, outcome: Outcome) -> Write {
    let record = LedgerRecord::Outcome {
        digest: Digest([1; 32]),
        command_type: CommandType::Reserve,
        pool: PoolId::Event(42),
        outcome,
        changes: Changes::NONE,
        decided_at: at("2026-11-22T10:00:00Z"),
    };
    Write::Ledger { key: ledger_key(id), record }
}

async fn commit(store: &MemoryStore, writes: Vec<Write>, token: u128) -> Consumed {
    let transaction = Transaction { writes, checks: Vec::new() };
    store.commit(&transaction, Uuid::from_u128(token)).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_reserve_of_one_seat_costs_seven_write_units() {
    let reserved = reservation(1, 1);
    let writes = vec![
        seat_write(),
        Write::Reservation { expected: Expected::Absent, reservation: reserved.clone() },
        ledger_write("1", Outcome::Reserved { reservation: reserved }),
    ];
    let units = commit(&store(), writes, 1).await.write_units;
    let expected = [(Table::Seats, 2.0), (Table::Reservations, 3.0), (Table::Ledger, 2.0)];
    assert_eq!(units, expected.into());
}

#[tokio::test(start_paused = true)]
async fn an_item_costs_by_the_kilobyte_and_its_larger_self() {
    let store = store();
    let large = Reservation {
        seats: (0..97).map(|n| format!("seat-{n:032}").parse().unwrap()).collect(),
        status: ReservationStatus::Confirmed,
        ..reservation(1, 1)
    };
    let small = Reservation { seats: Vec::new(), version: 2, ..large.clone() };
    let put = |expected, reservation| vec![Write::Reservation { expected, reservation }];
    let first = commit(&store, put(Expected::Absent, large), 1).await;
    let second = commit(&store, put(Expected::Version(1), small.clone()), 2).await;
    assert_eq!(first, second);
    assert!(first.write_units[&Table::Reservations] >= 4.0, "{first:?}");
    let third = Reservation { version: 3, ..small };
    let third = commit(&store, put(Expected::Version(2), third), 3).await;
    assert_eq!(third.write_units[&Table::Reservations], 1.0);
}

fn restocked(restock: RestockSummary) -> Outcome {
    Outcome::Restocked { restock, reason: None, reference: None }
}

fn two_items() -> Vec<Write> {
    vec![seat_write(), ledger_write("1", restocked(RestockSummary::default()))]
}

#[tokio::test(start_paused = true)]
async fn a_token_is_forgotten_after_ten_minutes() {
    let store = store();
    commit(&store, two_items(), 1).await;
    let repetition = commit(&store, two_items(), 1).await;
    assert_eq!(repetition, Consumed::default(), "a repetition writes nothing");
    tokio::time::advance(TOKEN_INTERVAL).await;
    let again = Transaction { writes: two_items(), checks: Vec::new() };
    let again = store.commit(&again, Uuid::from_u128(1)).await;
    assert!(matches!(again, Err(CommitError::Conflict(_))), "{again:?}");
    assert!(store.state().tokens.applied.is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_write_alone_costs_half_and_has_no_token() {
    let store = store();
    let units = commit(&store, vec![seat_write()], 1).await.write_units;
    assert_eq!(units, [(Table::Seats, 1.0)].into());
    let again = Transaction { writes: vec![seat_write()], checks: Vec::new() };
    let again = store.commit(&again, Uuid::from_u128(1)).await;
    assert!(matches!(again, Err(CommitError::Conflict(_))), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn an_item_beyond_400_kilobytes_is_invalid() {
    let restock = RestockSummary {
        skipped: (0..4_000).map(|n| format!("{n:0>128}")).collect(),
        ..RestockSummary::default()
    };
    let writes = vec![ledger_write("1", restocked(restock))];
    let result = store().commit(&Transaction { writes, checks: Vec::new() }, Uuid::nil()).await;
    assert!(matches!(result, Err(CommitError::Invalid(_))), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn an_empty_transaction_does_nothing() {
    let result = store().commit(&Transaction::default(), Uuid::nil()).await;
    assert_eq!(result, Ok(Consumed::default()));
}

#[tokio::test(start_paused = true)]
async fn the_index_holds_just_the_active_reservations() {
    let store = store();
    let put = |expected, reservation| vec![Write::Reservation { expected, reservation }];
    for number in 1..=3 {
        commit(&store, put(Expected::Absent, reservation(number, 1)), number).await;
    }
    let later = at("2026-11-22T11:00:00Z");
    let prolonged = Reservation { expires_at: later, ..reservation(1, 2) };
    commit(&store, put(Expected::Version(1), prolonged), 11).await;
    let ended = Reservation { status: ReservationStatus::Expired, ..reservation(2, 2) };
    commit(&store, put(Expected::Version(1), ended), 12).await;
    store.insert([Record::Reservation(reservation(4, 1))]);
    store.inspect(|tables| {
        let expected = tables.reservations.values().filter_map(apply::index_entry).collect();
        assert_eq!(tables.expiry_index, expected);
        assert_eq!(tables.expiry_index.len(), 3);
    });
}

#[tokio::test(start_paused = true)]
async fn what_ended_ninety_days_ago_is_dropped_when_asked_for() {
    let store = store();
    let ended_at = Some(at("2026-11-22T10:00:00Z"));
    let ended = Reservation { status: ReservationStatus::Expired, ended_at, ..reservation(1, 2) };
    let put = |reservation| Write::Reservation { expected: Expected::Absent, reservation };
    let restock = RestockSummary::default();
    let writes = vec![put(ended), put(reservation(2, 1)), ledger_write("1", restocked(restock))];
    commit(&store, writes, 1).await;
    store.record_attempt("message-1", at("2026-11-22T10:00:00Z")).await.unwrap();

    let before = store.snapshot();
    store.expire_ttl(at("2027-02-20T09:59:59Z"));
    assert_eq!(store.snapshot(), before);
    store.expire_ttl(at("2027-02-20T10:00:00Z"));
    let left = store.snapshot();
    assert_eq!(left.reservations.len(), 1, "what is ACTIVE stays");
    assert!(left.ledger.is_empty() && left.attempts.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_cursor_of_another_table_is_refused() {
    let store = store();
    let cursor = PageCursor("nonsense".to_owned());
    for table in Table::ALL {
        let page = store.scan(table, Some(&cursor)).await;
        assert!(matches!(page, Err(PortError::Refused(_))), "{table:?}");
    }
}
