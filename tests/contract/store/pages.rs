//! Reads tables page by page.

use std::sync::Arc;

use async_trait::async_trait;
use inventory_worker::{
    domain::{PoolId, RestockSummary, SeatKey},
    ports::{Expected, LedgerKey, Page, PageCursor, PortError, Record, Store, Table, Write},
};

use super::{StoreHarness, round_trip::UNUSUAL, samples::*};

/// More pages than any rule's records fill, even one per page.
const PAGES_MAX: usize = 200;

/// A source that is read page by page.
#[async_trait]
trait Paged: Send + Sync {
    async fn page(&self, from: Option<&PageCursor>) -> Result<Page, PortError>;
}

enum Read<'a> {
    Table(&'a Arc<dyn Store>, Table),
    Seats(&'a Arc<dyn Store>, u64, usize),
    Lines(&'a Arc<dyn Store>, PoolId, usize),
}

#[async_trait]
impl Paged for Read<'_> {
    async fn page(&self, from: Option<&PageCursor>) -> Result<Page, PortError> {
        match self {
            Self::Table(store, table) => store.scan(*table, from).await,
            Self::Seats(store, event_id, limit) => store.seats(*event_id, from, *limit).await,
            Self::Lines(store, pool, limit) => store.lines(pool, from, *limit).await,
        }
    }
}

async fn all(read: Read<'_>) -> Vec<Record> {
    let mut records = Vec::new();
    let mut cursor = None;
    for _ in 0..PAGES_MAX {
        let page = read.page(cursor.as_ref()).await.unwrap();
        records.extend(page.records);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return records,
        }
    }
    panic!("no last page among {PAGES_MAX}");
}

/// The records in a fixed order: a scan has none.
fn sorted(mut records: Vec<Record>) -> Vec<Record> {
    records.sort_by_key(|record| format!("{record:?}"));
    records
}

pub async fn a_scan_shows_every_record_once(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let numbers: Vec<String> = (0..40).map(|number| format!("A-{number}")).collect();
    let mut expected: [Vec<Record>; 4] = Default::default();
    let mut writes = Vec::new();
    for (number, name) in (0..).zip(&numbers) {
        writes.push(write_seat(name, Expected::Absent, 1));
        expected[0].push(Record::Seat(seat_key(name), seat(1)));
        writes.push(write_line(name, Expected::Absent, 1));
        expected[1].push(Record::Line(line_key("store#s", name), line(1)));
        writes.push(write_reservation(Expected::Absent, reservation(number, 1)));
        expected[2].push(Record::Reservation(reservation(number, 1)));
        let key = LedgerKey::Command(command_key("/test", name));
        writes.push(Write::Ledger { key: key.clone(), record: rejected(1, name) });
        expected[3].push(Record::Ledger(key, rejected(1, name)));
        let key = LedgerKey::Chunk(command_key("/test", "0"), u32::try_from(number).unwrap());
        let record = chunk(2, RestockSummary::default());
        writes.push(Write::Ledger { key: key.clone(), record: record.clone() });
        expected[3].push(Record::Ledger(key, record));
    }
    must_commit(&store, writes).await;
    for (table, expected) in Table::ALL.into_iter().zip(expected) {
        let found = all(Read::Table(&store, table)).await;
        assert_eq!(sorted(found), sorted(expected), "{table:?}");
    }
}

pub async fn attempts_are_left_out_of_a_scan(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    store.record_attempt("message-1", at("2026-11-22T10:00:00Z")).await.unwrap();
    for table in Table::ALL {
        assert_eq!(all(Read::Table(&store, table)).await, [], "{table:?}");
    }
}

pub async fn the_seats_of_an_event_come_by_number(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let mut numbers: Vec<String> = (0..30).map(|number| format!("A-{number}")).collect();
    numbers.extend(UNUSUAL.map(str::to_owned));
    let mut writes: Vec<Write> =
        numbers.iter().map(|number| write_seat(number, Expected::Absent, 1)).collect();
    for event_id in [4, 41, 43, 420] {
        let key = SeatKey { event_id, number: "A-1".parse().unwrap() };
        writes.push(Write::Seat { key, expected: Expected::Absent, seat: seat(1) });
    }
    must_commit(&store, writes).await;
    numbers.sort();
    let expected: Vec<Record> =
        numbers.iter().map(|number| Record::Seat(seat_key(number), seat(1))).collect();
    for limit in [1, 7, usize::MAX] {
        assert_eq!(all(Read::Seats(&store, 42, limit)).await, expected, "{limit} at a time");
        assert_eq!(all(Read::Seats(&store, 5, limit)).await, []);
    }
}

pub async fn the_lines_of_a_pool_come_by_sku(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let mut skus: Vec<String> = (0..30).map(|number| format!("sku-{number}")).collect();
    skus.extend(UNUSUAL.map(str::to_owned));
    let mut writes: Vec<Write> =
        skus.iter().map(|sku| write_line(sku, Expected::Absent, 1)).collect();
    for pool in ["store#S", "store#s1", "store#r", "event#42"] {
        let key = line_key(pool, "sku-1");
        writes.push(Write::Line { key, expected: Expected::Absent, line: line(1) });
    }
    must_commit(&store, writes).await;
    skus.sort();
    let expected: Vec<Record> =
        skus.iter().map(|sku| Record::Line(line_key("store#s", sku), line(1))).collect();
    for limit in [1, 7, usize::MAX] {
        let of = |pool: &str| Read::Lines(&store, pool.parse().unwrap(), limit);
        assert_eq!(all(of("store#s")).await, expected, "{limit} at a time");
        assert_eq!(all(of("store#none")).await, []);
    }
}

pub async fn a_page_of_a_partition_has_no_more_than_was_asked_for(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let names = ["A-1", "A-2", "A-3", "A-4"];
    let seats = names.iter().map(|name| write_seat(name, Expected::Absent, 1));
    let lines = names.iter().map(|name| write_line(name, Expected::Absent, 1));
    must_commit(&store, seats.chain(lines).collect()).await;
    for limit in [1, 2] {
        let seats = store.seats(42, None, limit).await.unwrap();
        let lines = store.lines(&"store#s".parse().unwrap(), None, limit).await.unwrap();
        for page in [seats, lines] {
            assert_eq!((page.records.len(), page.next), (limit, Some(cursor(names[limit - 1]))));
        }
    }
}

pub async fn a_partition_continues_after_a_key_whether_or_not_it_is_there(
    harness: &dyn StoreHarness,
) {
    let store = harness.store().await;
    let names = ["A-1", "A-3"];
    let seats = names.iter().map(|name| write_seat(name, Expected::Absent, 1));
    let lines = names.iter().map(|name| write_line(name, Expected::Absent, 1));
    must_commit(&store, seats.chain(lines).collect()).await;
    let pool = "store#s".parse().unwrap();
    for (after, rest) in [("A-0", 2), ("A-1", 1), ("A-2", 1), ("A-3", 0), ("Z", 0)] {
        let seats = store.seats(42, Some(&cursor(after)), 1).await.unwrap();
        let lines = store.lines(&pool, Some(&cursor(after)), 1).await.unwrap();
        let expected = names.iter().rev().take(rest).next_back();
        let seat = expected.map(|name| Record::Seat(seat_key(name), seat(1)));
        assert_eq!(seats.records, Vec::from_iter(seat), "after {after}");
        let line = expected.map(|name| Record::Line(line_key("store#s", name), line(1)));
        assert_eq!(lines.records, Vec::from_iter(line), "after {after}");
    }
    let refused = store.seats(42, Some(&cursor("")), 1).await;
    assert!(matches!(refused, Err(PortError::Refused(_))), "{refused:?}");
}

fn cursor(after: &str) -> PageCursor {
    PageCursor(after.to_owned())
}
