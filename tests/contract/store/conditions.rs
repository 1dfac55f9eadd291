//! When a transaction is applied, and that it is applied whole and once.

use std::sync::Arc;

use inventory_worker::ports::{Check, Expected, LedgerKey, Transaction, Write};

use super::{StoreHarness, samples::*};

/// One write of each kind that has a version, from `expected` to `version`.
fn one_of_each(expected: Expected, version: u64) -> [Write; 3] {
    [
        write_seat("A-1", expected, version),
        write_line("sku", expected, version),
        write_reservation(expected, reservation(1, version)),
    ]
}

pub async fn a_write_on_absence_happens_once(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    for (first, again) in
        one_of_each(Expected::Absent, 1).into_iter().zip(one_of_each(Expected::Absent, 7))
    {
        commit(&store, vec![first]).await.unwrap();
        assert_conflict(&commit(&store, vec![again]).await);
    }
    assert_eq!(load_seat(&store, &seat_key("A-1")).await, Some(seat(1)));
    assert_eq!(load_line(&store, &line_key("store#s", "sku")).await, Some(line(1)));
    assert_eq!(load_reservation(&store, 1).await, Some(reservation(1, 1)));
}

pub async fn a_write_on_a_version_happens_once(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    must_commit(&store, one_of_each(Expected::Absent, 1).into()).await;
    for write in one_of_each(Expected::Version(1), 2) {
        commit(&store, vec![write.clone()]).await.unwrap();
        assert_conflict(&commit(&store, vec![write]).await);
    }
    assert_eq!(load_seat(&store, &seat_key("A-1")).await, Some(seat(2)));
    assert_eq!(load_line(&store, &line_key("store#s", "sku")).await, Some(line(2)));
    assert_eq!(load_reservation(&store, 1).await, Some(reservation(1, 2)));
}

pub async fn a_version_of_what_is_absent_is_a_conflict(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    for write in one_of_each(Expected::Version(1), 2) {
        assert_conflict(&commit(&store, vec![write]).await);
    }
    assert_eq!(load_seat(&store, &seat_key("A-1")).await, None);
    assert_eq!(load_line(&store, &line_key("store#s", "sku")).await, None);
    assert_eq!(load_reservation(&store, 1).await, None);
}

pub async fn an_older_or_newer_version_is_a_conflict(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    must_commit(&store, one_of_each(Expected::Absent, 9).into()).await;
    for version in [1, 8, 10, u64::from(u32::MAX)] {
        for write in one_of_each(Expected::Version(version), 11) {
            assert_conflict(&commit(&store, vec![write]).await);
        }
    }
    assert_eq!(seat_version(&store, "A-1").await, 9);
}

pub async fn all_writes_happen_or_none(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    must_commit(&store, vec![write_seat("A-9", Expected::Absent, 1)]).await;
    let mut writes: Vec<Write> = one_of_each(Expected::Absent, 1).into();
    writes.push(write_ledger("1", rejected(1, "first")));
    writes.push(write_seat("A-9", Expected::Absent, 2));
    assert_conflict(&commit(&store, writes.clone()).await);
    assert_eq!(seat_version(&store, "A-1").await, 0);
    assert_eq!(load_line(&store, &line_key("store#s", "sku")).await, None);
    assert_eq!(load_reservation(&store, 1).await, None);
    let ledger_key = LedgerKey::Command(command_key("/test", "1"));
    assert_eq!(load_ledger(&store, &ledger_key).await, None);

    writes.pop();
    must_commit(&store, writes).await;
    assert_eq!(seat_version(&store, "A-1").await, 1);
    assert!(load_line(&store, &line_key("store#s", "sku")).await.is_some());
    assert!(load_reservation(&store, 1).await.is_some());
    assert!(load_ledger(&store, &ledger_key).await.is_some());
}

pub async fn a_check_guards_what_is_not_written(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    must_commit(&store, vec![write_reservation(Expected::Absent, reservation(1, 3))]).await;
    let with = |number, checked| Transaction {
        writes: vec![write_seat(number, Expected::Absent, 1)],
        checks: vec![checked],
    };
    for wrong in [
        check(1, Expected::Version(2)),
        check(1, Expected::Version(4)),
        check(1, Expected::Absent),
        check(2, Expected::Version(1)),
    ] {
        assert_conflict(&store.commit(&with("A-1", wrong), token()).await);
        assert_eq!(seat_version(&store, "A-1").await, 0);
    }
    store.commit(&with("A-1", check(1, Expected::Version(3))), token()).await.unwrap();
    store.commit(&with("A-2", check(2, Expected::Absent)), token()).await.unwrap();
    assert_eq!(load_reservation(&store, 1).await, Some(reservation(1, 3)));
    assert_eq!(load_reservation(&store, 2).await, None);
}

pub async fn a_check_of_a_seat_guards_it_too(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    must_commit(&store, vec![write_seat("A-1", Expected::Absent, 3)]).await;
    let with = |written, checked, expected| Transaction {
        writes: vec![write_seat(written, Expected::Absent, 1)],
        checks: vec![Check::Seat { key: seat_key(checked), expected }],
    };
    for (checked, expected) in
        [("A-1", Expected::Version(2)), ("A-1", Expected::Absent), ("A-2", Expected::Version(1))]
    {
        assert_conflict(&store.commit(&with("B-1", checked, expected), token()).await);
        assert_eq!(seat_version(&store, "B-1").await, 0);
    }
    store.commit(&with("B-1", "A-1", Expected::Version(3)), token()).await.unwrap();
    store.commit(&with("B-2", "A-2", Expected::Absent), token()).await.unwrap();
    assert_eq!(seat_version(&store, "A-1").await, 3);
    assert_eq!(seat_version(&store, "A-2").await, 0);
}

pub async fn a_check_of_a_line_guards_it_too(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    must_commit(&store, vec![write_line("x", Expected::Absent, 3)]).await;
    let with = |written, (pool, sku): (&str, &str), expected| Transaction {
        writes: vec![write_seat(written, Expected::Absent, 1)],
        checks: vec![Check::Line { key: line_key(pool, sku), expected }],
    };
    let (known, unknown, elsewhere) = (("store#s", "x"), ("store#s", "y"), ("store#t", "x"));
    for (checked, expected) in [
        (known, Expected::Version(2)),
        (known, Expected::Version(4)),
        (known, Expected::Absent),
        (unknown, Expected::Version(1)),
        (elsewhere, Expected::Version(3)),
    ] {
        assert_conflict(&store.commit(&with("B-1", checked, expected), token()).await);
        assert_eq!(seat_version(&store, "B-1").await, 0);
    }
    store.commit(&with("B-1", known, Expected::Version(3)), token()).await.unwrap();
    store.commit(&with("B-2", unknown, Expected::Absent), token()).await.unwrap();
    store.commit(&with("B-3", elsewhere, Expected::Absent), token()).await.unwrap();
    assert_eq!(load_line(&store, &line_key("store#s", "x")).await, Some(line(3)));
    assert_eq!(load_line(&store, &line_key("store#s", "y")).await, None);
}

pub async fn the_ledger_keeps_its_first_entry(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let key = command_key("/test", "1");
    let outcome_key = LedgerKey::Command(key.clone());
    let chunk_key = LedgerKey::Chunk(key, 0);
    let outcome_write = |record| Write::Ledger { key: outcome_key.clone(), record };
    let chunk_write = |record| Write::Ledger { key: chunk_key.clone(), record };
    commit(&store, vec![outcome_write(rejected(1, "first"))]).await.unwrap();
    commit(&store, vec![chunk_write(chunk(1, Default::default()))]).await.unwrap();
    assert_conflict(&commit(&store, vec![outcome_write(rejected(1, "second"))]).await);
    assert_conflict(&commit(&store, vec![outcome_write(intent(1))]).await);
    assert_conflict(&commit(&store, vec![chunk_write(chunk(2, Default::default()))]).await);
    assert_eq!(load_ledger(&store, &outcome_key).await, Some(rejected(1, "first")));
    assert_eq!(load_ledger(&store, &chunk_key).await, Some(chunk(1, Default::default())));
}

pub async fn an_outcome_takes_the_place_of_its_intent(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let key = command_key("/test", "1");
    commit(&store, vec![write_ledger("1", intent(1))]).await.unwrap();
    let over = Write::LedgerOverIntent {
        key: key.clone(),
        begun_at: intent(1).decided_at(),
        record: rejected(1, "done"),
    };
    commit(&store, vec![over.clone()]).await.unwrap();
    assert_eq!(load_ledger(&store, &LedgerKey::Command(key)).await, Some(rejected(1, "done")));
    assert_conflict(&commit(&store, vec![over]).await);
}

pub async fn an_intent_of_other_content_stays(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let key = command_key("/test", "1");
    let over = Write::LedgerOverIntent {
        key: key.clone(),
        begun_at: intent(1).decided_at(),
        record: rejected(2, "done"),
    };
    assert_conflict(&commit(&store, vec![over.clone()]).await);
    assert_eq!(load_ledger(&store, &LedgerKey::Command(key.clone())).await, None);
    commit(&store, vec![write_ledger("1", intent(1))]).await.unwrap();
    assert_conflict(&commit(&store, vec![over]).await);
    assert_eq!(load_ledger(&store, &LedgerKey::Command(key)).await, Some(intent(1)));
}

pub async fn a_second_outcome_never_takes_the_place_of_the_first(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let key = command_key("/test", "1");
    commit(&store, vec![write_ledger("1", rejected(1, "first"))]).await.unwrap();
    let over = Write::LedgerOverIntent {
        key: key.clone(),
        begun_at: intent(1).decided_at(),
        record: rejected(1, "second"),
    };
    assert_conflict(&commit(&store, vec![over]).await);
    assert_eq!(load_ledger(&store, &LedgerKey::Command(key)).await, Some(rejected(1, "first")));
}

pub async fn of_many_at_once_on_one_version_one_wins(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    must_commit(&store, vec![write_seat("A-1", Expected::Absent, 1)]).await;
    let attempts: Vec<_> = (0..12)
        .map(|number| {
            let store = Arc::clone(&store);
            let writes = vec![
                write_seat(&format!("B-{number}"), Expected::Absent, 1),
                write_seat("A-1", Expected::Version(1), 2),
            ];
            tokio::spawn(async move { commit(&store, writes).await })
        })
        .collect();
    let mut won = Vec::new();
    for (number, attempt) in attempts.into_iter().enumerate() {
        match attempt.await.unwrap() {
            Ok(_) => won.push(number),
            lost => assert_conflict(&lost),
        }
    }
    assert_eq!(won.len(), 1, "{won:?}");
    for number in 0..12 {
        let expected = u64::from(won.contains(&number));
        assert_eq!(seat_version(&store, &format!("B-{number}")).await, expected, "B-{number}");
    }
}

pub async fn transactions_on_different_items_all_win(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let attempts: Vec<_> = (0..12)
        .map(|number| {
            let store = Arc::clone(&store);
            let writes = vec![write_seat(&format!("B-{number}"), Expected::Absent, 1)];
            tokio::spawn(async move { commit(&store, writes).await })
        })
        .collect();
    for attempt in attempts {
        attempt.await.unwrap().unwrap();
    }
}

pub async fn the_same_token_applies_once(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let token = token();
    let transaction = Transaction {
        writes: vec![write_seat("A-1", Expected::Absent, 1)],
        checks: vec![check(1, Expected::Absent)],
    };
    store.commit(&transaction, token).await.unwrap();
    // Its conditions no longer hold; it succeeds because it was already applied.
    store.commit(&transaction, token).await.unwrap();
    must_commit(&store, vec![write_seat("A-1", Expected::Version(1), 2)]).await;
    store.commit(&transaction, token).await.unwrap();
    assert_eq!(seat_version(&store, "A-1").await, 2, "it was not applied again");
}

pub async fn the_same_token_with_other_content_is_invalid(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let token = token();
    // With a check: a single write may be sent without its token.
    let put = |number| Transaction {
        writes: vec![write_seat(number, Expected::Absent, 1)],
        checks: vec![check(1, Expected::Absent)],
    };
    store.commit(&put("A-1"), token).await.unwrap();
    assert_invalid(&store.commit(&put("A-2"), token).await);
    assert_eq!(seat_version(&store, "A-2").await, 0);
}

pub async fn a_token_whose_transaction_failed_may_be_used_again(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let token = token();
    let raise = Transaction {
        writes: vec![write_seat("A-1", Expected::Version(1), 2)],
        checks: Vec::new(),
    };
    assert_conflict(&store.commit(&raise, token).await);
    must_commit(&store, vec![write_seat("A-1", Expected::Absent, 1)]).await;
    store.commit(&raise, token).await.unwrap();
    assert_eq!(seat_version(&store, "A-1").await, 2);
}
