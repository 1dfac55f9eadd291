//! Attempts at messages, and records of their dead letters.

use std::{collections::BTreeSet, sync::Arc};

use inventory_worker::{
    domain::Timestamp,
    ports::{Attempt, Store},
};

use super::{StoreHarness, samples::*};

fn now() -> Timestamp {
    at("2026-11-22T10:00:00.123Z")
}

async fn count(store: &Arc<dyn Store>, message_id: &str) -> u32 {
    store.record_attempt(message_id, now()).await.unwrap().count
}

pub async fn attempts_are_counted(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    for expected in 1..=6 {
        assert_eq!(count(&store, "message-1").await, expected);
    }
    assert_eq!(count(&store, "message-2").await, 1);
}

pub async fn attempts_at_once_get_a_count_each(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let attempts: Vec<_> = (0..10)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { count(&store, "message-1").await })
        })
        .collect();
    let mut counts = BTreeSet::new();
    for attempt in attempts {
        counts.insert(attempt.await.unwrap());
    }
    assert_eq!(counts, (1..=10).collect());
}

pub async fn a_forgiven_attempt_does_not_count(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    for expected in [1, 2] {
        assert_eq!(count(&store, "message-1").await, expected);
    }
    store.undo_attempt("message-1").await.unwrap();
    assert_eq!(count(&store, "message-1").await, 2);
    // There is no attempt to undo, or none left.
    store.undo_attempt("message-2").await.unwrap();
    assert_eq!(count(&store, "message-2").await, 1);
    for _ in 0..3 {
        store.undo_attempt("message-2").await.unwrap();
    }
    assert_eq!(count(&store, "message-2").await, 1);
}

pub async fn an_attempt_says_when_the_one_before_was_counted(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    let times = ["2026-11-22T10:00:00.123Z", "2026-11-22T10:00:07Z", "2026-11-22T10:01:00.5Z"];
    let [first, second, third] = times.map(at);
    for (now, count, before) in [(first, 1, first), (second, 2, first)] {
        let attempt = store.record_attempt("message-1", now).await.unwrap();
        assert_eq!(attempt, Attempt { count, before });
    }
    store.undo_attempt("message-1").await.unwrap();
    let attempt = store.record_attempt("message-1", third).await.unwrap();
    assert_eq!(attempt, Attempt { count: 2, before: second }, "taken back or not");
}

pub async fn a_dead_letter_is_noted_for_its_message_alone(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    assert_eq!(count(&store, "message-1").await, 1);
    for message_id in ["message-1", "message-2"] {
        assert!(!store.has_dead_letter(message_id).await.unwrap());
        store.note_dead_letter(message_id, now()).await.unwrap();
        store.note_dead_letter(message_id, now()).await.unwrap();
        assert!(store.has_dead_letter(message_id).await.unwrap());
    }
    assert!(!store.has_dead_letter("message-3").await.unwrap());
    assert_eq!(count(&store, "message-1").await, 2, "a note is no attempt");
    assert_eq!(count(&store, "message-2").await, 1, "nor does it hide one");
}
