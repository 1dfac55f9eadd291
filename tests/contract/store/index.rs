//! Holds past their end, by shard.

use std::{sync::Arc, time::Duration};

use inventory_worker::{
    domain::{PoolId, Reservation, ReservationId, ReservationStatus, Timestamp},
    ports::{
        Ended, Expected, ExpiredHold, ExpiryQuery, PageCursor, PortError, Store,
        store::expiry_shard,
    },
};

use super::{StoreHarness, samples::*};

/// Reservations of one shard: the shard is the number modulo [`EXPIRY_SHARDS`].
const ONE_SHARD: [u128; 5] = [3, 19, 35, 51, 67];

/// How often a lagging index is queried before it counts as wrong.
const LOOKS_MAX: usize = 20;

fn until(second: u8) -> Timestamp {
    at(&format!("2026-11-22T10:10:{second:02}Z"))
}

fn ending(number: u128, second: u8) -> Reservation {
    Reservation { expires_at: until(second), ..reservation(number, 1) }
}

async fn make(store: &Arc<dyn Store>, reservations: impl IntoIterator<Item = Reservation>) {
    let write = |reservation| write_reservation(Expected::Absent, reservation);
    must_commit(store, reservations.into_iter().map(write).collect()).await;
}

/// Queries until the answer is right: the index is eventually consistent. Returns the last answer.
async fn expired_eventually(
    harness: &dyn StoreHarness,
    store: &Arc<dyn Store>,
    until: Timestamp,
    limit: usize,
    expected: &[u128],
) {
    let shard = expiry_shard(reservation_id(ONE_SHARD[0]));
    let expected: Vec<ReservationId> = expected.iter().copied().map(reservation_id).collect();
    let mut found = Vec::new();
    for _ in 0..LOOKS_MAX {
        let holds =
            store.expired(&ExpiryQuery::new(shard, Ended::by(until), limit)).await.unwrap().holds;
        found = holds.iter().map(|hold| hold.reservation_id).collect();
        if found == expected {
            return;
        }
        harness.pass(Duration::from_millis(250)).await;
    }
    assert_eq!(found, expected);
}

pub async fn what_ran_out_is_found_oldest_first(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    make(&store, [ending(3, 9), ending(19, 2), ending(35, 7)]).await;
    // A reservation of another shard.
    make(&store, [ending(4, 1)]).await;
    expired_eventually(harness, &store, until(30), 10, &[19, 35, 3]).await;
    let shard = expiry_shard(reservation_id(3));
    let holds =
        store.expired(&ExpiryQuery::new(shard, Ended::by(until(30)), 1)).await.unwrap().holds;
    let oldest = ExpiredHold {
        reservation_id: reservation_id(19),
        pool: PoolId::Event(42),
        expires_at: until(2),
    };
    assert_eq!(holds, [oldest]);
    assert_eq!(expiry_shard(reservation_id(4)), shard + 1);
    let others =
        store.expired(&ExpiryQuery::new(shard + 1, Ended::by(until(30)), 10)).await.unwrap().holds;
    assert_eq!(others.len(), 1);
}

pub async fn what_runs_out_later_is_not_found(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    make(&store, [ending(3, 1), ending(19, 2), ending(35, 3)]).await;
    // Once the last is seen, all are.
    expired_eventually(harness, &store, until(30), 10, &[3, 19, 35]).await;
    expired_eventually(harness, &store, until(2), 10, &[3, 19]).await;
    expired_eventually(harness, &store, until(1), 10, &[3]).await;
    expired_eventually(harness, &store, at("2026-11-22T10:10:00.999Z"), 10, &[]).await;
}

pub async fn only_what_is_active_is_found(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    make(&store, ONE_SHARD.map(|number| ending(number, 1))).await;
    expired_eventually(harness, &store, until(30), 10, &ONE_SHARD).await;
    let end = |number, status| {
        let ended_at = Some(until(5)).filter(|_| status != ReservationStatus::Confirmed);
        let ended = Reservation { status, version: 2, ended_at, ..ending(number, 1) };
        write_reservation(Expected::Version(1), ended)
    };
    let ends = vec![
        end(3, ReservationStatus::Confirmed),
        end(19, ReservationStatus::Cancelled),
        end(51, ReservationStatus::Expired),
    ];
    must_commit(&store, ends).await;
    expired_eventually(harness, &store, until(30), 10, &[35, 67]).await;
}

pub async fn a_limit_leaves_out_the_newest(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    make(&store, (1..).zip(ONE_SHARD).map(|(second, number)| ending(number, second))).await;
    expired_eventually(harness, &store, until(30), 10, &ONE_SHARD).await;
    expired_eventually(harness, &store, until(30), 2, &ONE_SHARD[..2]).await;
}

/// Every hold of the range, in pages of two; the limit is kept.
async fn in_pages(store: &Arc<dyn Store>, ended: Ended) -> Vec<ReservationId> {
    let shard = expiry_shard(reservation_id(ONE_SHARD[0]));
    let mut found = Vec::new();
    let mut query = ExpiryQuery::new(shard, ended, 2);
    loop {
        let page = store.expired(&query).await.unwrap();
        assert!(page.holds.len() <= 2, "{page:?}");
        found.extend(page.holds.iter().map(|hold| hold.reservation_id));
        query.from = page.next;
        if query.from.is_none() {
            return found;
        }
    }
}

pub async fn holds_come_page_by_page_each_once(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    // Two pairs end together.
    make(&store, [1, 2, 2, 3, 3].into_iter().zip(ONE_SHARD).map(|(s, n)| ending(n, s))).await;
    let shard = expiry_shard(reservation_id(ONE_SHARD[0]));
    for _ in 0..LOOKS_MAX {
        let by = Ended::by(until(30));
        if store.expired(&ExpiryQuery::new(shard, by, 10)).await.unwrap().holds.len()
            == ONE_SHARD.len()
        {
            break;
        }
        harness.pass(Duration::from_millis(250)).await;
    }
    let mut found = in_pages(&store, Ended::by(until(30))).await;
    // Those that end together may come in either order.
    found[1..3].sort();
    found[3..5].sort();
    assert_eq!(found, ONE_SHARD.map(reservation_id));
}

pub async fn what_is_given_back_meanwhile_does_not_disturb_a_cursor(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    make(&store, (1..).zip(ONE_SHARD).map(|(second, number)| ending(number, second))).await;
    expired_eventually(harness, &store, until(30), 10, &ONE_SHARD).await;
    let shard = expiry_shard(reservation_id(ONE_SHARD[0]));
    let by = Ended::by(until(30));
    let first = store.expired(&ExpiryQuery::new(shard, by, 2)).await.unwrap();
    let give_back = |number, second| {
        let (status, ended_at) = (ReservationStatus::Expired, Some(until(40)));
        let ended = Reservation { status, version: 2, ended_at, ..ending(number, second) };
        write_reservation(Expected::Version(1), ended)
    };
    // Gives back the reservation at the cursor, and all before it.
    must_commit(&store, vec![give_back(3, 1), give_back(19, 2)]).await;
    expired_eventually(harness, &store, until(30), 10, &ONE_SHARD[2..]).await;
    let rest = store
        .expired(&ExpiryQuery { shard, ended: by, from: first.next, limit: 10 })
        .await
        .unwrap();
    let rest: Vec<_> = rest.holds.iter().map(|hold| hold.reservation_id).collect();
    assert_eq!(rest, ONE_SHARD[2..].iter().copied().map(reservation_id).collect::<Vec<_>>());
}

pub async fn what_ended_before_the_range_is_left_out(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    make(&store, (1..).zip(ONE_SHARD).map(|(second, number)| ending(number, second))).await;
    expired_eventually(harness, &store, until(30), 10, &ONE_SHARD).await;
    let from_to = |from, to| Ended { from: until(from), until: until(to) };
    let ids = |numbers: &[u128]| numbers.iter().copied().map(reservation_id).collect::<Vec<_>>();
    assert_eq!(in_pages(&store, from_to(2, 4)).await, ids(&ONE_SHARD[1..4]));
    assert_eq!(in_pages(&store, from_to(3, 3)).await, ids(&ONE_SHARD[2..3]));
    assert_eq!(in_pages(&store, from_to(6, 9)).await, ids(&[]));
}

pub async fn a_cursor_of_another_range_is_refused(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    make(&store, (1..).zip(ONE_SHARD).map(|(second, number)| ending(number, second))).await;
    expired_eventually(harness, &store, until(30), 10, &ONE_SHARD).await;
    let shard = expiry_shard(reservation_id(ONE_SHARD[0]));
    let page = store.expired(&ExpiryQuery::new(shard, Ended::by(until(30)), 2)).await.unwrap();
    let foreign = [
        (shard + 1, Ended::by(until(30)), page.next.clone()),
        (shard, Ended { from: until(3), until: until(30) }, page.next.clone()),
        (shard, Ended::by(until(1)), page.next),
        (shard, Ended::by(until(30)), Some(PageCursor("nonsense".to_owned()))),
    ];
    for (shard, ended, from) in foreign {
        let answer = store.expired(&ExpiryQuery { shard, ended, from, limit: 2 }).await;
        assert!(matches!(answer, Err(PortError::Refused(_))), "{answer:?}");
    }
}
