//! The limits of a call, and the capacity it reports.

use inventory_worker::{
    domain::RestockSummary,
    ports::{Expected, LedgerKey, LoadRequest, ReadSet, Table, Transaction, Write},
};

use super::{StoreHarness, samples::*};

pub async fn one_item_twice_is_invalid(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let twice = |write: Write| vec![write.clone(), write];
    assert_invalid(&commit(&store, twice(write_seat("A-1", Expected::Absent, 1))).await);
    assert_invalid(&commit(&store, twice(write_line("sku", Expected::Absent, 1))).await);
    assert_invalid(&commit(&store, twice(write_ledger("1", rejected(1, "")))).await);
    let reservation_write = write_reservation(Expected::Absent, reservation(1, 1));
    assert_invalid(&commit(&store, twice(reservation_write.clone())).await);
    let checked_and_written =
        Transaction { writes: vec![reservation_write], checks: vec![check(1, Expected::Absent)] };
    assert_invalid(&store.commit(&checked_and_written, token()).await);
    assert_eq!(seat_version(&store, "A-1").await, 0);
    assert_eq!(load_reservation(&store, 1).await, None);
}

fn seats(count: usize) -> Vec<Write> {
    (0..count).map(|number| write_seat(&format!("A-{number}"), Expected::Absent, 1)).collect()
}

pub async fn one_hundred_items_are_taken(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let transaction = Transaction { writes: seats(99), checks: vec![check(1, Expected::Absent)] };
    store.commit(&transaction, token()).await.unwrap();
    assert_eq!(seat_version(&store, "A-98").await, 1);
}

pub async fn more_than_one_hundred_items_are_invalid(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    assert_invalid(&commit(&store, seats(101)).await);
    assert_eq!(seat_version(&store, "A-0").await, 0);
}

pub async fn more_than_four_megabytes_are_invalid(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    // Each entry is 64,000 bytes of names and what goes around them.
    let summary = RestockSummary {
        skipped: (0..RestockSummary::SKIPPED_MAX).map(|n| format!("{n:0>128}")).collect(),
        ..RestockSummary::default()
    };
    let entry = |number| Write::Ledger {
        key: LedgerKey::Chunk(command_key("/test", "1"), number),
        record: chunk(1, summary.clone()),
    };
    assert_invalid(&commit(&store, (0..70).map(entry).collect()).await);
    let first = LedgerKey::Chunk(command_key("/test", "1"), 0);
    assert_eq!(load_ledger(&store, &first).await, None);
}

pub async fn every_wanted_key_is_answered(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    // More than two BatchGetItem calls take, a third of them existing.
    let numbers: Vec<String> = (0..250).map(|number| format!("A-{number}")).collect();
    let there = numbers.iter().step_by(3).map(|number| write_seat(number, Expected::Absent, 1));
    must_commit(&store, there.collect()).await;
    must_commit(&store, vec![write_line("there", Expected::Absent, 1)]).await;
    must_commit(&store, vec![write_reservation(Expected::Absent, reservation(1, 1))]).await;
    must_commit(&store, vec![write_ledger("there", intent(1))]).await;

    let ledger_key = |id| LedgerKey::Command(command_key("/test", id));
    let wanted = LoadRequest {
        ledger: [ledger_key("there"), ledger_key("absent")].into(),
        reservations: [reservation_id(1), reservation_id(2)].into(),
        seats: numbers.iter().map(|number| seat_key(number)).collect(),
        lines: [line_key("store#s", "there"), line_key("store#s", "absent")].into(),
    };
    let loaded = store.load(&wanted).await.unwrap();
    assert_eq!(loaded.seats.len(), numbers.len());
    for (index, number) in numbers.iter().enumerate() {
        let expected = (index % 3 == 0).then(|| seat(1));
        assert_eq!(loaded.seats[&seat_key(number)], expected, "{number}");
    }
    let lines =
        [(line_key("store#s", "absent"), None), (line_key("store#s", "there"), Some(line(1)))];
    assert_eq!(loaded.lines, lines.into());
    let reservations = [(reservation_id(1), Some(reservation(1, 1))), (reservation_id(2), None)];
    assert_eq!(loaded.reservations, reservations.into());
    let ledger = [(ledger_key("absent"), None), (ledger_key("there"), Some(intent(1)))];
    assert_eq!(loaded.ledger, ledger.into());
}

pub async fn nothing_wanted_is_answered_with_nothing(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    assert_eq!(store.load(&LoadRequest::default()).await.unwrap(), ReadSet::default());
}

pub async fn write_units_are_counted_where_they_are_told(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let writes = vec![
        write_seat("A-1", Expected::Absent, 1),
        write_seat("A-2", Expected::Absent, 1),
        write_reservation(Expected::Absent, reservation(1, 1)),
        write_ledger("1", rejected(1, "")),
    ];
    let units = commit(&store, writes).await.unwrap().write_units;
    if units.is_empty() {
        return;
    }
    // DynamoDB: two units for each item of up to 1 KB in a transaction; an index entry costs more.
    assert_eq!(units.get(&Table::Seats), Some(&4.0), "{units:?}");
    assert_eq!(units.get(&Table::Ledger), Some(&2.0), "{units:?}");
    assert!(units[&Table::Reservations] >= 2.0, "{units:?}");
    assert_eq!(units.get(&Table::Stock), None, "{units:?}");
}

pub async fn a_ping_succeeds(harness: &dyn StoreHarness) {
    harness.store().await.ping().await.unwrap();
}

pub async fn a_check_of_writes_succeeds_and_writes_nothing(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    for _ in 0..2 {
        store.check_writes().await.unwrap();
    }
    for table in Table::ALL {
        assert_eq!(store.scan(table, None).await.unwrap().records, [], "{table:?}");
    }
}
