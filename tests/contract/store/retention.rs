//! Records past their retention count as absent, whatever the tables still hold.

use std::{sync::Arc, time::Duration};

use inventory_worker::{
    domain::{Reservation, ReservationStatus, Timestamp},
    ports::{Check, Expected, LedgerKey, LedgerRecord, Record, Store, Table, Transaction, Write},
};

use super::{StoreHarness, samples::*};

fn days(days: u32) -> Duration {
    Duration::from_secs(86_400) * days
}

fn decided(record: LedgerRecord, at: Timestamp) -> LedgerRecord {
    match record {
        LedgerRecord::Outcome { digest, command_type, pool, outcome, changes, .. } => {
            LedgerRecord::Outcome { digest, command_type, pool, outcome, changes, decided_at: at }
        }
        LedgerRecord::Intent { digest, chunk_ends, .. } => {
            LedgerRecord::Intent { digest, chunk_ends, decided_at: at }
        }
        LedgerRecord::Chunk { digest, summary, .. } => {
            LedgerRecord::Chunk { digest, begun_at: at, summary, decided_at: at }
        }
    }
}

/// Ninety-one days after the samples.
fn later() -> Timestamp {
    at("2027-02-21T10:00:00.123Z")
}

async fn scanned(store: &Arc<dyn Store>, table: Table) -> Vec<Record> {
    let (mut found, mut from) = (Vec::new(), None);
    loop {
        let page = store.scan(table, from.as_ref()).await.unwrap();
        found.extend(page.records);
        from = page.next;
        if from.is_none() {
            return found;
        }
    }
}

pub async fn ledger_entries_count_as_absent_after_their_retention(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let key = |id: &str| LedgerKey::Command(command_key("/test", id));
    let chunk_key = LedgerKey::Chunk(command_key("/test", "3"), 7);
    let entries = [
        (key("1"), rejected(1, "first"), rejected(2, "second")),
        (key("2"), intent(1), intent(2)),
        (chunk_key, chunk(1, Default::default()), chunk(2, Default::default())),
    ];
    let write = |key: &LedgerKey, record: LedgerRecord| Write::Ledger { key: key.clone(), record };
    let early = entries.iter().map(|(key, early, _)| write(key, early.clone())).collect();
    must_commit(&store, early).await;

    harness.set_ahead(days(89));
    for (key, early, late) in &entries {
        assert_eq!(load_ledger(&store, key).await.as_ref(), Some(early));
        assert_conflict(&commit(&store, vec![write(key, late.clone())]).await);
    }
    assert_eq!(scanned(&store, Table::Ledger).await.len(), 3);

    harness.set_ahead(days(91));
    assert_eq!(scanned(&store, Table::Ledger).await, []);
    for (key, _, late) in &entries {
        assert_eq!(load_ledger(&store, key).await, None, "{key:?}");
        let late = decided(late.clone(), later());
        // Alone, then in a transaction with others: refused once it exists.
        commit(&store, vec![write(key, late.clone())]).await.unwrap();
        assert_eq!(load_ledger(&store, key).await, Some(late.clone()));
        let again = vec![write(key, late), write_seat("A-1", Expected::Absent, 1)];
        assert_conflict(&commit(&store, again).await);
    }
}

pub async fn reservations_given_back_count_as_absent_after_their_retention(
    harness: &dyn StoreHarness,
) {
    let store = harness.store().await;
    let ended = |number, status| {
        let ended_at = Some(at("2026-11-22T10:00:00.123Z"));
        Reservation { status, ended_at, ..reservation(number, 5) }
    };
    let both = [(1, ReservationStatus::Cancelled), (2, ReservationStatus::Expired)];
    let make = |(number, status)| write_reservation(Expected::Absent, ended(number, status));
    must_commit(&store, both.map(make).into()).await;
    let check_with = |number, expected, seat: &str| Transaction {
        writes: vec![write_seat(seat, Expected::Absent, 1)],
        checks: vec![check(number, expected)],
    };

    harness.set_ahead(days(89));
    for (number, status) in both {
        assert_eq!(load_reservation(&store, number).await, Some(ended(number, status)));
        let new = write_reservation(Expected::Absent, reservation(number, 1));
        assert_conflict(&commit(&store, vec![new]).await);
        let checked = store.commit(&check_with(number, Expected::Absent, "A-1"), token()).await;
        assert_conflict(&checked);
    }

    harness.set_ahead(days(91));
    assert_eq!(scanned(&store, Table::Reservations).await, []);
    for (number, _) in both {
        assert_eq!(load_reservation(&store, number).await, None);
        let seat = format!("B-{number}");
        let checked = store.commit(&check_with(number, Expected::Absent, &seat), token()).await;
        checked.unwrap();
        let new = || write_reservation(Expected::Absent, reservation(number, 1));
        commit(&store, vec![new()]).await.unwrap();
        assert_eq!(load_reservation(&store, number).await, Some(reservation(number, 1)));
        assert_conflict(&commit(&store, vec![new()]).await);
    }
}

pub async fn holds_and_sales_are_kept_for_good(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let sold = Reservation { status: ReservationStatus::Confirmed, ..reservation(2, 2) };
    let both = [reservation(1, 1), sold];
    let make = |reservation| write_reservation(Expected::Absent, reservation);
    must_commit(&store, both.clone().map(make).into()).await;
    must_commit(&store, vec![write_seat("A-1", Expected::Absent, 1)]).await;
    harness.set_ahead(days(400));
    for (number, kept) in (1..).zip(both) {
        assert_eq!(load_reservation(&store, number).await, Some(kept));
        let new = write_reservation(Expected::Absent, reservation(number, 1));
        assert_conflict(&commit(&store, vec![new]).await);
        let checks = vec![Check::Reservation {
            reservation_id: reservation_id(number),
            expected: Expected::Absent,
        }];
        let writes = vec![write_seat("A-2", Expected::Absent, 1)];
        assert_conflict(&store.commit(&Transaction { writes, checks }, token()).await);
    }
    assert_conflict(&commit(&store, vec![write_seat("A-1", Expected::Absent, 1)]).await);
}

pub async fn a_marker_gives_way_to_one_of_a_later_intent(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let key = LedgerKey::Chunk(command_key("/test", "1"), 0);
    let of = |begun: &str| LedgerRecord::Chunk {
        digest: chunk(1, Default::default()).digest(),
        begun_at: at(begun),
        summary: Default::default(),
        // Decided long after its intent: still within its own retention when the intent is not.
        decided_at: at("2026-11-22T12:00:00Z"),
    };
    let write = |record| vec![Write::Ledger { key: key.clone(), record }];
    let [first, later] = ["2026-11-22T10:00:00.123Z", "2027-02-20T10:30:00Z"].map(of);
    commit(&store, write(first.clone())).await.unwrap();
    assert_conflict(&commit(&store, write(first.clone())).await);
    // Alone, and in a transaction.
    let mut transaction = write(later.clone());
    transaction.push(write_seat("A-1", Expected::Absent, 1));
    commit(&store, transaction).await.unwrap();
    assert_eq!(load_ledger(&store, &key).await, Some(later.clone()));
    assert_conflict(&commit(&store, write(first)).await);
    assert_conflict(&commit(&store, write(later)).await);
}

pub async fn an_outcome_takes_the_place_of_its_own_intent_alone(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let key = command_key("/test", "1");
    commit(&store, vec![write_ledger("1", intent(1))]).await.unwrap();
    let over = |begun_at| {
        vec![Write::LedgerOverIntent { key: key.clone(), begun_at, record: rejected(1, "done") }]
    };
    assert_conflict(&commit(&store, over(at("2026-08-20T10:00:00Z"))).await);
    assert_eq!(load_ledger(&store, &LedgerKey::Command(key.clone())).await, Some(intent(1)));
    commit(&store, over(intent(1).decided_at())).await.unwrap();
}
