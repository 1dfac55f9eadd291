//! The rules for every adapter of [`Locks`].

use std::sync::Arc;

use async_trait::async_trait;
use inventory_worker::ports::Locks;
use uuid::Uuid;

use crate::harness::{A_WHILE, Backend, LONG, LONGER};

/// Locks under test.
#[async_trait]
pub trait LocksHarness: Backend {
    /// Locks under which none of the names used here is held: in a separate store, or under a
    /// separate prefix.
    async fn locks(&self) -> Arc<dyn Locks>;
}

/// Tests an adapter against every rule of [`Locks`]; see the crate's comment.
macro_rules! locks_contract {
    ($($test:tt)*) => {
        make_tests! {
            locks [
                a_free_name_is_taken
                a_held_name_is_refused
                the_same_token_takes_it_again
                a_lock_runs_out
                taking_it_again_extends_it
                all_names_or_none
                a_holder_keeps_what_it_has_when_more_is_refused
                release_frees_the_name
                release_frees_only_what_is_named
                release_under_another_token_frees_nothing
                release_of_what_is_not_held_succeeds
                a_late_release_leaves_the_next_holder_alone
                scopes_are_apart
                names_are_compared_as_they_are
                ninety_seven_names_are_taken_at_once
                of_many_at_once_one_wins
            ]
            $($test)*
        }
    };
}

/// Every rule by name.
pub const RULES: &[&str] = &locks_contract!(names);

const POOL: &str = "event#42";
const ONE: Uuid = Uuid::from_u128(1);
const TWO: Uuid = Uuid::from_u128(2);

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

async fn take(locks: &Arc<dyn Locks>, which: &[&str], token: Uuid) -> bool {
    locks.acquire(POOL, &names(which), token, LONG).await.unwrap()
}

async fn release(locks: &Arc<dyn Locks>, which: &[&str], token: Uuid) {
    locks.release(POOL, &names(which), token).await.unwrap();
}

pub async fn a_free_name_is_taken(harness: &dyn LocksHarness) {
    let locks = harness.locks().await;
    assert!(take(&locks, &["A-1"], ONE).await);
}

pub async fn a_held_name_is_refused(harness: &dyn LocksHarness) {
    let locks = harness.locks().await;
    assert!(take(&locks, &["A-1"], ONE).await);
    assert!(!take(&locks, &["A-1"], TWO).await);
}

pub async fn the_same_token_takes_it_again(harness: &dyn LocksHarness) {
    let locks = harness.locks().await;
    assert!(take(&locks, &["A-1"], ONE).await);
    assert!(take(&locks, &["A-1", "A-2"], ONE).await);
    assert!(!take(&locks, &["A-2"], TWO).await);
}

pub async fn a_lock_runs_out(harness: &dyn LocksHarness) {
    let locks = harness.locks().await;
    assert!(locks.acquire(POOL, &names(&["A-1"]), ONE, A_WHILE).await.unwrap());
    harness.pass(LONGER).await;
    assert!(take(&locks, &["A-1"], TWO).await);
}

pub async fn taking_it_again_extends_it(harness: &dyn LocksHarness) {
    let locks = harness.locks().await;
    assert!(locks.acquire(POOL, &names(&["A-1"]), ONE, A_WHILE).await.unwrap());
    assert!(take(&locks, &["A-1"], ONE).await);
    harness.pass(LONGER).await;
    assert!(!take(&locks, &["A-1"], TWO).await);
}

pub async fn all_names_or_none(harness: &dyn LocksHarness) {
    let locks = harness.locks().await;
    assert!(take(&locks, &["A-2"], ONE).await);
    assert!(!take(&locks, &["A-1", "A-2", "A-3"], TWO).await);
    // If the refused call had left behind, this would fail.
    assert!(take(&locks, &["A-1", "A-3"], ONE).await);
}

pub async fn a_holder_keeps_what_it_has_when_more_is_refused(harness: &dyn LocksHarness) {
    let locks = harness.locks().await;
    assert!(take(&locks, &["A-1"], ONE).await);
    assert!(take(&locks, &["A-2"], TWO).await);
    assert!(!take(&locks, &["A-1", "A-2"], ONE).await);
    assert!(!take(&locks, &["A-1"], TWO).await);
}

pub async fn release_frees_the_name(harness: &dyn LocksHarness) {
    let locks = harness.locks().await;
    assert!(take(&locks, &["A-1"], ONE).await);
    release(&locks, &["A-1"], ONE).await;
    assert!(take(&locks, &["A-1"], TWO).await);
}

pub async fn release_frees_only_what_is_named(harness: &dyn LocksHarness) {
    let locks = harness.locks().await;
    assert!(take(&locks, &["A-1", "A-2"], ONE).await);
    release(&locks, &["A-1"], ONE).await;
    assert!(take(&locks, &["A-1"], TWO).await);
    assert!(!take(&locks, &["A-2"], TWO).await);
}

pub async fn release_under_another_token_frees_nothing(harness: &dyn LocksHarness) {
    let locks = harness.locks().await;
    assert!(take(&locks, &["A-1"], ONE).await);
    assert!(take(&locks, &["A-2"], TWO).await);
    release(&locks, &["A-1", "A-2"], TWO).await;
    assert!(!take(&locks, &["A-1"], TWO).await, "A-1 is not TWO's to give back");
    assert!(take(&locks, &["A-2"], ONE).await, "A-2 is");
}

pub async fn release_of_what_is_not_held_succeeds(harness: &dyn LocksHarness) {
    let locks = harness.locks().await;
    release(&locks, &["A-1", "A-2"], ONE).await;
    assert!(take(&locks, &["A-1"], TWO).await);
}

pub async fn a_late_release_leaves_the_next_holder_alone(harness: &dyn LocksHarness) {
    let locks = harness.locks().await;
    assert!(locks.acquire(POOL, &names(&["A-1"]), ONE, A_WHILE).await.unwrap());
    harness.pass(LONGER).await;
    assert!(take(&locks, &["A-1"], TWO).await);
    release(&locks, &["A-1"], ONE).await;
    assert!(!take(&locks, &["A-1"], ONE).await);
}

pub async fn scopes_are_apart(harness: &dyn LocksHarness) {
    let locks = harness.locks().await;
    let name = names(&["A-1"]);
    assert!(locks.acquire("event#1", &name, ONE, LONG).await.unwrap());
    assert!(locks.acquire("event#11", &name, TWO, LONG).await.unwrap());
    locks.release("event#11", &name, ONE).await.unwrap();
    assert!(!locks.acquire("event#11", &name, ONE, LONG).await.unwrap());
}

pub async fn names_are_compared_as_they_are(harness: &dyn LocksHarness) {
    let locks = harness.locks().await;
    // Case, a composed and a decomposed letter, and separators of key schemes.
    let alike = ["a", "a:b", "a{b}", "A", "a\u{308}", "ä", "日本", "a b", "*", "a}b"];
    for (number, name) in (1..).zip(alike) {
        assert!(take(&locks, &[name], Uuid::from_u128(number)).await, "{name:?}");
    }
    for name in alike {
        assert!(!take(&locks, &[name], Uuid::from_u128(99)).await, "{name:?}");
    }
}

pub async fn ninety_seven_names_are_taken_at_once(harness: &dyn LocksHarness) {
    let locks = harness.locks().await;
    let all: Vec<String> = (100..197).map(|number| format!("A-{number}")).collect();
    assert!(locks.acquire(POOL, &all, ONE, LONG).await.unwrap());
    for name in &all {
        assert!(!take(&locks, &[name], TWO).await, "{name}");
    }
    locks.release(POOL, &all, ONE).await.unwrap();
    assert!(locks.acquire(POOL, &all, TWO, LONG).await.unwrap());
}

pub async fn of_many_at_once_one_wins(harness: &dyn LocksHarness) {
    let locks = harness.locks().await;
    let attempts = (1..=20).map(|number| {
        let locks = Arc::clone(&locks);
        // Every two share a name.
        let which = names(&["A-0", if number % 2 == 0 { "A-1" } else { "A-2" }]);
        tokio::spawn(
            async move { locks.acquire(POOL, &which, Uuid::from_u128(number), LONG).await },
        )
    });
    let mut won = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        won += u32::from(attempt.await.unwrap().unwrap());
    }
    assert_eq!(won, 1);
}
