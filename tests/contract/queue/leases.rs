//! Leases and receipts.

use std::time::Duration;

use inventory_worker::ports::EntryError;

use super::{QueueHarness, helpers::*};
use crate::harness::{A_WHILE, LONG, LONGER};

pub async fn a_release_returns_the_message_at_once(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send(&queue, "g", &["1", "2"]).await;
    let first = receive(&queue).await;
    release(&queue, &first).await;
    let second = receive(&queue).await;
    assert_eq!(bodies(&second), ["1", "2"]);
    assert_eq!(second[0].receive_count, 2);
}

pub async fn a_lease_that_runs_out_returns_the_message(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send(&queue, "g", &["1"]).await;
    let mut first = receive_for(&queue, A_WHILE).await;
    assert_eq!(receive(&queue).await, []);
    harness.pass(LONGER).await;
    let second = receive(&queue).await;
    assert_ne!(second[0].receipt, first[0].receipt);
    // The rest is the same message, received once more.
    first[0].receipt = second[0].receipt.clone();
    first[0].receive_count = 2;
    assert_eq!(first, second);
}

pub async fn an_extended_lease_lasts(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send(&queue, "g", &["1"]).await;
    let received = receive_for(&queue, A_WHILE).await;
    change_one(&queue, &received[0], LONG).await.unwrap();
    harness.pass(LONGER).await;
    assert_eq!(receive(&queue).await, []);
    delete(&queue, &received).await;
}

pub async fn a_shortened_lease_ends_sooner(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send(&queue, "g", &["1"]).await;
    let received = receive_for(&queue, LONG).await;
    change_one(&queue, &received[0], A_WHILE).await.unwrap();
    harness.pass(LONGER).await;
    assert_eq!(bodies(&receive(&queue).await), ["1"]);
}

pub async fn every_receive_gives_a_new_receipt(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send(&queue, "g", &["1"]).await;
    let mut seen = Vec::new();
    for count in 1..=4 {
        let received = receive(&queue).await;
        assert_eq!(received[0].receive_count, count);
        assert!(!seen.contains(&received[0].receipt), "{seen:?}");
        seen.push(received[0].receipt.clone());
        release(&queue, &received).await;
    }
}

pub async fn an_expired_receipt_does_not_delete(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send(&queue, "g", &["1"]).await;
    let received = receive_for(&queue, A_WHILE).await;
    harness.pass(LONGER).await;
    assert_eq!(delete_one(&queue, &received[0]).await, Err(EntryError::LeaseLost));
    assert_eq!(bodies(&receive(&queue).await), ["1"]);
}

pub async fn an_expired_receipt_does_not_extend(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send(&queue, "g", &["1"]).await;
    let received = receive_for(&queue, A_WHILE).await;
    harness.pass(LONGER).await;
    let answer = change_one(&queue, &received[0], LONG).await;
    assert_eq!(answer, Err(EntryError::LeaseLost));
    assert_eq!(bodies(&receive(&queue).await), ["1"]);
}

pub async fn a_released_receipt_is_void(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send(&queue, "g", &["1"]).await;
    let received = receive(&queue).await;
    release(&queue, &received).await;
    assert_eq!(delete_one(&queue, &received[0]).await, Err(EntryError::LeaseLost));
    let answer = change_one(&queue, &received[0], LONG).await;
    assert_eq!(answer, Err(EntryError::LeaseLost));
    assert_eq!(bodies(&receive(&queue).await), ["1"]);
}

pub async fn an_older_receipt_is_void(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send(&queue, "g", &["1"]).await;
    let first = receive_for(&queue, A_WHILE).await;
    harness.pass(LONGER).await;
    let second = receive(&queue).await;
    assert_eq!(bodies(&second), ["1"]);
    assert_eq!(delete_one(&queue, &first[0]).await, Err(EntryError::LeaseLost));
    let answer = change_one(&queue, &first[0], Duration::ZERO).await;
    assert_eq!(answer, Err(EntryError::LeaseLost));
    assert_eq!(receive(&queue).await, [], "the second holder still has it");
    delete(&queue, &second).await;
}

pub async fn deleting_again_succeeds(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send(&queue, "g", &["1", "2"]).await;
    let received = receive_all(&queue, 2).await;
    delete(&queue, &received[..1]).await;
    delete(&queue, &received[..1]).await;
    delete(&queue, &received).await;
}

pub async fn what_was_received_too_often_goes_to_the_dead_letters_in_order(
    harness: &dyn QueueHarness,
) {
    let (queue, dead_letters) = harness.queue_with_dead_letters(2).await;
    send(&queue, "g", &["1", "2"]).await;
    for count in 1..=2 {
        let received = receive_all(&queue, 2).await;
        assert_eq!(received[0].receive_count, count);
        release(&queue, &received).await;
    }
    send(&queue, "g", &["3"]).await;
    assert_eq!(bodies(&receive(&queue).await), ["3"]);
    let dead = receive_all(&dead_letters, 2).await;
    assert_eq!(bodies(&dead), ["1", "2"]);
    assert_eq!(dead[0].group, "g".parse().unwrap());
}
