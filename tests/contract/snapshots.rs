//! The rules for every adapter of [`SnapshotStore`].

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use inventory_worker::{
    domain::PoolId,
    ports::{
        SnapshotStore,
        snapshots::{CLAIM_LIFETIME, SNAPSHOT_BYTES_MAX, SNAPSHOT_LIFETIME, StoredSnapshot},
    },
};
use uuid::Uuid;

use crate::harness::{A_WHILE, Backend, LONGER, lacks_patience};

/// Stores of snapshots under test.
#[async_trait]
pub trait SnapshotsHarness: Backend {
    /// A store; others may have it too, but not its pools.
    async fn snapshots(&self) -> Arc<dyn SnapshotStore>;
}

/// Tests an adapter against every rule of [`SnapshotStore`]; see the crate's comment.
macro_rules! snapshots_contract {
    ($($test:tt)*) => {
        make_tests! {
            snapshots [
                a_pool_without_a_snapshot_has_none
                what_was_put_is_found_with_its_age
                a_younger_snapshot_takes_the_place_of_an_older_one_and_not_the_other_way
                a_snapshot_past_its_lifetime_is_gone
                what_is_too_old_or_too_long_is_not_kept
                a_read_is_claimed_by_one
                a_claim_ends_with_a_put_and_with_a_release
                a_claim_ends_by_itself
                pools_are_apart
            ]
            $($test)*
        }
    };
}

/// Every rule by name.
pub const RULES: &[&str] = &snapshots_contract!(names);

/// A pool of one test alone.
fn pool() -> PoolId {
    PoolId::Store(Uuid::new_v4().to_string().parse().unwrap())
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn found(store: &dyn SnapshotStore, pool: &PoolId) -> Option<StoredSnapshot> {
    store.get(pool).await.unwrap()
}

async fn bytes(store: &dyn SnapshotStore, pool: &PoolId) -> Option<Vec<u8>> {
    found(store, pool).await.map(|found| found.bytes)
}

pub async fn a_pool_without_a_snapshot_has_none(harness: &dyn SnapshotsHarness) {
    let store = harness.snapshots().await;
    assert_eq!(found(&*store, &pool()).await, None);
}

pub async fn what_was_put_is_found_with_its_age(harness: &dyn SnapshotsHarness) {
    let (store, pool) = (harness.snapshots().await, pool());
    let every_byte: Vec<u8> = (0..=255).collect();
    store.put(&pool, &every_byte, seconds(3)).await.unwrap();
    let first = found(&*store, &pool).await.unwrap();
    assert_eq!(first.bytes, every_byte);
    assert!((seconds(3)..SNAPSHOT_LIFETIME).contains(&first.age), "{:?}", first.age);
    harness.pass(A_WHILE).await;
    let later = found(&*store, &pool).await.unwrap();
    assert!(later.age >= first.age + A_WHILE - seconds(1), "{:?}", later.age);
}

pub async fn a_younger_snapshot_takes_the_place_of_an_older_one_and_not_the_other_way(
    harness: &dyn SnapshotsHarness,
) {
    let (store, pool) = (harness.snapshots().await, pool());
    store.put(&pool, b"second", seconds(4)).await.unwrap();
    store.put(&pool, b"first", seconds(8)).await.unwrap();
    assert_eq!(bytes(&*store, &pool).await.as_deref(), Some(&b"second"[..]));
    store.put(&pool, b"third", seconds(0)).await.unwrap();
    assert_eq!(bytes(&*store, &pool).await.as_deref(), Some(&b"third"[..]));
}

pub async fn a_snapshot_past_its_lifetime_is_gone(harness: &dyn SnapshotsHarness) {
    let (store, pool) = (harness.snapshots().await, pool());
    store.put(&pool, b"old", SNAPSHOT_LIFETIME - A_WHILE).await.unwrap();
    assert!(bytes(&*store, &pool).await.is_some());
    harness.pass(A_WHILE).await;
    assert_eq!(bytes(&*store, &pool).await, None);
}

pub async fn what_is_too_old_or_too_long_is_not_kept(harness: &dyn SnapshotsHarness) {
    let (store, pool) = (harness.snapshots().await, pool());
    store.put(&pool, b"old", SNAPSHOT_LIFETIME).await.unwrap();
    assert_eq!(bytes(&*store, &pool).await, None);
    let long = vec![b'x'; SNAPSHOT_BYTES_MAX + 1];
    store.put(&pool, &long, Duration::ZERO).await.unwrap();
    assert_eq!(bytes(&*store, &pool).await, None);
}

pub async fn a_read_is_claimed_by_one(harness: &dyn SnapshotsHarness) {
    let (store, pool) = (harness.snapshots().await, pool());
    let claims = (0..10).map(|_| {
        let (store, pool) = (Arc::clone(&store), pool.clone());
        tokio::spawn(async move { store.claim(&pool).await.unwrap() })
    });
    let mut claimed = 0;
    for claim in claims.collect::<Vec<_>>() {
        claimed += usize::from(claim.await.unwrap());
    }
    assert_eq!(claimed, 1);
}

pub async fn a_claim_ends_with_a_put_and_with_a_release(harness: &dyn SnapshotsHarness) {
    let (store, pool) = (harness.snapshots().await, pool());
    assert!(store.claim(&pool).await.unwrap());
    store.put(&pool, b"read", Duration::ZERO).await.unwrap();
    assert!(store.claim(&pool).await.unwrap());
    store.release(&pool).await.unwrap();
    assert!(store.claim(&pool).await.unwrap());
    assert!(!store.claim(&pool).await.unwrap());
    // A release without a claim is none.
    store.release(&self::pool()).await.unwrap();
}

pub async fn a_claim_ends_by_itself(harness: &dyn SnapshotsHarness) {
    if lacks_patience(harness, "a_claim_ends_by_itself", LONGER) {
        return;
    }
    let (store, pool) = (harness.snapshots().await, pool());
    assert!(store.claim(&pool).await.unwrap());
    harness.pass(CLAIM_LIFETIME).await;
    assert!(store.claim(&pool).await.unwrap());
}

pub async fn pools_are_apart(harness: &dyn SnapshotsHarness) {
    let (store, one, other) = (harness.snapshots().await, pool(), pool());
    store.put(&one, b"one", Duration::ZERO).await.unwrap();
    assert_eq!(bytes(&*store, &other).await, None);
    assert!(store.claim(&one).await.unwrap() && store.claim(&other).await.unwrap());
}
