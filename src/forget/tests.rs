use std::{sync::Arc, time::Duration};

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::*;
use crate::{
    adapters::{
        memory::{MemoryStore, TokioClock},
        system::Random,
    },
    domain::{
        BookingId, Changes, CommandKey, CommandType, Digest, Outcome, PoolId, Reservation,
        ReservationId, ReservationStatus, Seat, SeatDetails, SeatKey, SeatState, Timestamp, UserId,
    },
    ports::{Clock, LedgerKey, LedgerRecord, Record},
};

const USER: &str = "ann@example.com";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn user(text: &str) -> UserId {
    text.parse().unwrap()
}

fn key(id: &str) -> CommandKey {
    CommandKey { source: "/s".parse().unwrap(), id: id.parse().unwrap() }
}

fn reservation(number: u128, of: &str, seats: &[&str]) -> Reservation {
    Reservation {
        reservation_id: ReservationId(uuid::Uuid::from_u128(number)),
        pool: PoolId::Event(42),
        source: "/s".parse().unwrap(),
        user_id: user(of),
        status: ReservationStatus::Confirmed,
        version: 2,
        seats: seats.iter().map(|seat| seat.parse().unwrap()).collect(),
        lines: Vec::new(),
        booking_id: Some("b".parse::<BookingId>().unwrap()),
        goods: Some(crate::domain::Goods::Leave),
        fulfilled_at: None,
        created_at: at("2026-11-22T09:00:00Z"),
        expires_at: at("2026-11-22T09:10:00Z"),
        ended_at: None,
    }
}

fn booked(number: &str, reservation: &Reservation) -> Record {
    let key = SeatKey { event_id: 42, number: number.parse().unwrap() };
    let seat = Seat {
        details: SeatDetails::default(),
        occupancy: SeatState::Booked {
            reservation_id: reservation.reservation_id,
            by: reservation.user_id.clone(),
            booking_id: "b".parse().unwrap(),
        },
        withheld: false,
        version: 3,
        created_at: at("2026-11-22T08:00:00Z"),
        updated_at: at("2026-11-22T09:00:00Z"),
    };
    Record::Seat(key, seat)
}

fn outcome(id: &str, reservation: &Reservation) -> Record {
    let record = LedgerRecord::Outcome {
        digest: Digest([7; 32]),
        command_type: CommandType::Confirm,
        pool: PoolId::Event(42),
        outcome: Outcome::Confirmed { reservation: reservation.clone() },
        changes: Changes::NONE,
        decided_at: at("2026-11-22T09:05:00Z"),
    };
    Record::Ledger(LedgerKey::Command(key(id)), record)
}

/// Tables with a user's booking of two seats, a seat without reservation, and another's booking.
fn tables() -> (Arc<MemoryStore>, Arc<TokioClock>) {
    let clock = Arc::new(TokioClock::new(at("2026-11-22T10:00:00Z")));
    let store = Arc::new(MemoryStore::new(clock.clone()).with_page_size(1));
    let (own, gone) = (reservation(1, USER, &["A-1", "A-2"]), reservation(2, USER, &["A-3"]));
    let other = reservation(3, "bob", &["B-1"]);
    store.insert([
        booked("A-1", &own),
        booked("A-2", &own),
        booked("A-3", &gone),
        booked("B-1", &other),
        outcome("confirm", &own),
        outcome("other", &other),
        Record::Reservation(own),
        Record::Reservation(other),
    ]);
    (store, clock)
}

fn forgetting(store: &Arc<MemoryStore>, clock: &Arc<TokioClock>, is_dry: bool) -> Forgetting {
    let entropy = Arc::new(Random::seeded(1));
    let clock: Arc<dyn Clock> = clock.clone();
    Forgetting { store: store.clone(), clock, entropy, user_id: user(USER), is_dry }
}

#[tokio::test(start_paused = true)]
async fn the_id_is_in_no_table_afterwards_and_what_names_a_reservation_agrees() {
    let (store, clock) = tables();
    let before = store.snapshot();
    let mut seen = Vec::new();
    let mut progress = |table, read| seen.push((table, read));
    let removed = forgetting(&store, &clock, false).run(&mut progress).await.unwrap();
    let after = store.snapshot();
    assert!(format!("{before:?}").contains(USER) && !format!("{after:?}").contains(USER));
    assert_eq!((removed.reservations, removed.seats, removed.outcomes), (1, 1, 1), "{removed:?}");
    assert_eq!((removed.passes, removed.unreadable.len()), (2, 0));
    assert!(!seen.is_empty());
    let id = ReservationId(uuid::Uuid::from_u128(1));
    assert_eq!(after.reservations[&id].user_id, id.pseudonym());
    assert_eq!(after.reservations[&id].version, 3, "a change has a version");
    let seat = |number: &str| {
        let key = SeatKey { event_id: 42, number: number.parse().unwrap() };
        match &after.seats[&key].occupancy {
            SeatState::Booked { by, .. } => (by.clone(), after.seats[&key].version),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(seat("A-1"), (id.pseudonym(), 4));
    assert_eq!(seat("A-3").0.as_str(), "forgotten-00000000-0000-0000-0000-000000000002");
    assert_eq!(seat("B-1"), (user("bob"), 3));
    let record = &after.ledger[&LedgerKey::Command(key("confirm"))];
    let LedgerRecord::Outcome { outcome, .. } = record else { panic!("{record:?}") };
    let kept = outcome.reservation().unwrap();
    assert_eq!((&kept.user_id, kept.version), (&id.pseudonym(), 2), "the outcome stays as decided");
    assert_eq!(after.ledger.len(), before.ledger.len());
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_counts_and_changes_nothing() {
    let (store, clock) = tables();
    let before = store.snapshot();
    let removed = forgetting(&store, &clock, true).run(&mut |_, _| ()).await.unwrap();
    assert_eq!((removed.reservations, removed.seats, removed.outcomes), (1, 3, 1));
    assert_eq!(store.snapshot(), before);
}

#[tokio::test(start_paused = true)]
async fn a_removal_again_finds_nothing_and_one_that_stopped_goes_on() {
    let (store, clock) = tables();
    let other = reservation(4, USER, &["C-1"]);
    forgetting(&store, &clock, false).run(&mut |_, _| ()).await.unwrap();
    // As after a crash between the tables: the outcome still names the user.
    store.insert([outcome("late", &other)]);
    let removed = forgetting(&store, &clock, false).run(&mut |_, _| ()).await.unwrap();
    assert_eq!((removed.reservations, removed.seats, removed.outcomes), (0, 0, 1));
    let again = forgetting(&store, &clock, false).run(&mut |_, _| ()).await.unwrap();
    assert_eq!((again.places(), again.passes), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_read_before_cannot_write_the_id_back() {
    use crate::ports::{CommitError, CommitStore as _, Expected, Transaction, Write};
    let (store, clock) = tables();
    let id = ReservationId(uuid::Uuid::from_u128(1));
    let read = store.snapshot().reservations[&id].clone();
    forgetting(&store, &clock, false).run(&mut |_, _| ()).await.unwrap();
    let reservation = Reservation { version: read.version + 1, ..read.clone() };
    let write = Write::Reservation { expected: Expected::Version(read.version), reservation };
    let stale = Transaction { writes: vec![write], checks: Vec::new() };
    let refused = store.commit(&stale, uuid::Uuid::from_u128(9)).await;
    assert!(matches!(refused, Err(CommitError::Conflict(_))), "{refused:?}");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(!format!("{:?}", store.snapshot()).contains(USER));
}

/// A reservation that ended in this way, and the outcome that ended it.
fn ended(number: u128, status: ReservationStatus) -> [Record; 2] {
    let given_back = Reservation {
        status,
        booking_id: None,
        goods: None,
        ended_at: Some(at("2026-11-22T09:20:00Z")),
        ..reservation(number, USER, &["A-9"])
    };
    let (command_type, outcome) = match status {
        ReservationStatus::Expired => {
            (CommandType::Expire, Outcome::Expired { reservation: given_back.clone() })
        }
        _ => {
            let reservation = given_back.clone();
            (CommandType::Cancel, Outcome::Cancelled { reservation, reason: None })
        }
    };
    let record = LedgerRecord::Outcome {
        digest: Digest([1; 32]),
        command_type,
        pool: PoolId::Event(42),
        outcome,
        changes: Changes::NONE,
        decided_at: at("2026-11-22T09:20:00Z"),
    };
    let key = LedgerKey::Command(key(&format!("end-{number}")));
    [Record::Reservation(given_back), Record::Ledger(key, record)]
}

/// The outcome that made a reservation.
fn made(reservation: &Reservation) -> Record {
    let held = Reservation {
        status: ReservationStatus::Active,
        version: 1,
        booking_id: None,
        goods: None,
        ended_at: None,
        ..reservation.clone()
    };
    let key = key(&format!("make-{}", held.reservation_id));
    let record = LedgerRecord::Outcome {
        digest: Digest([2; 32]),
        command_type: CommandType::Reserve,
        pool: PoolId::Event(42),
        outcome: Outcome::Reserved { reservation: held },
        changes: Changes::NONE,
        decided_at: at("2026-11-22T09:00:00Z"),
    };
    Record::Ledger(LedgerKey::Command(key), record)
}

#[tokio::test(start_paused = true)]
async fn an_audit_is_clean_before_between_and_after() {
    use crate::audit::{AuditOptions, audit};
    let clock = Arc::new(TokioClock::new(at("2026-11-22T10:00:00Z")));
    let store = Arc::new(MemoryStore::new(clock.clone()));
    let own = reservation(1, USER, &["A-1"]);
    let named = outcome("confirm", &own);
    store.insert([booked("A-1", &own), named.clone(), Record::Reservation(own)]);
    let [cancelled, how] = ended(2, ReservationStatus::Cancelled);
    let [expired, when] = ended(3, ReservationStatus::Expired);
    store.insert([cancelled, how.clone(), expired, when]);
    let reservations = store.snapshot().reservations;
    store.insert(reservations.values().map(made));
    let clean = async || {
        let report = audit(&*store, clock.now(), &AuditOptions::default()).await.unwrap();
        assert!(report.is_clean(), "{:?}", report.violations);
    };
    clean().await;
    forgetting(&store, &clock, false).run(&mut |_, _| ()).await.unwrap();
    clean().await;
    // As while the ledger is still to be read.
    store.insert([named, how]);
    clean().await;
    // A reservation of other times is not excused by its pseudonym.
    let id = ReservationId(uuid::Uuid::from_u128(1));
    let mut other = store.snapshot().reservations[&id].clone();
    other.created_at = at("2026-11-22T09:01:00Z");
    store.insert([Record::Reservation(other)]);
    let report = audit(&*store, clock.now(), &AuditOptions::default()).await.unwrap();
    assert!(!report.is_clean());
}

fn command(data: &str) -> String {
    format!(r#"{{"source":"/s","id":"1","type":"t",{data}}}"#)
}

#[test]
fn a_message_names_the_pseudonym_of_its_reservation_afterwards() {
    let id = "9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90";
    let default = key("1").default_reservation_id().pseudonym();
    let plain = format!(r#""data":{{"user_id":"{USER}","reservation_id":"{id}","seats":["A"]}}"#);
    let made = format!(r#""data":{{"user_id":"{USER}"}}"#);
    for (data, expected) in [(&plain, format!("forgotten-{id}")), (&made, default.to_string())] {
        for body in [command(data), format!("[{},{{}}]", command(data))] {
            let Mention::Replaced(after) = without_user(&body, &user(USER)) else {
                panic!("{body}")
            };
            assert!(!after.contains(USER) && after.contains(&expected), "{after}");
        }
    }
    let encoded = BASE64_STANDARD.encode(format!(r#"{{"user_id":"{USER}"}}"#));
    let body = command(&format!(r#""data_base64":"{encoded}""#));
    let Mention::Replaced(after) = without_user(&body, &user(USER)) else { panic!("{body}") };
    let after: serde_json::Value = serde_json::from_str(&after).unwrap();
    let data = BASE64_STANDARD.decode(after["data_base64"].as_str().unwrap()).unwrap();
    let data = String::from_utf8(data).unwrap();
    assert!(!data.contains(USER) && data.contains(default.as_str()), "{data}");
}

#[test]
fn what_is_not_a_user_id_stays_and_text_is_told_apart() {
    let other = command(r#""data":{"user_id":"bob","seats":["ann@example.com"]}"#);
    assert_eq!(without_user(&other, &user(USER)), Mention::None);
    assert_eq!(without_user("no JSON of ann@example.com", &user(USER)), Mention::InText);
    assert_eq!(without_user("no JSON", &user(USER)), Mention::None);
    let unknown = without_user(r#"[[{"user_id":"bob"}]]"#, &user("bob"));
    assert_eq!(unknown, Mention::Replaced(r#"[[{"user_id":"forgotten"}]]"#.to_owned()));
}
