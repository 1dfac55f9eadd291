//! What a receive returns, and how it waits.

use std::{sync::Arc, time::Duration};

use inventory_worker::ports::{Delivery, Queue, ReceiveRequest};
use tokio::task::JoinHandle;

use super::{QueueHarness, helpers::*};
use crate::harness::{A_WHILE, LONG, LONGER};

/// The longest long poll.
const POLL: Duration = Duration::from_secs(20);

/// A receive that was woken returns long before [`POLL`] is over.
const WOKEN_WITHIN: Duration = Duration::from_secs(10);

/// Starts a long poll, and returns once it waits.
async fn wait_for_messages(
    harness: &dyn QueueHarness,
    queue: &Arc<dyn Queue>,
) -> JoinHandle<Vec<Delivery>> {
    let queue = Arc::clone(queue);
    let request = ReceiveRequest { wait: POLL, ..request(LONG) };
    let waiting = tokio::spawn(async move { queue.receive(&request).await.unwrap() });
    harness.pass(Duration::from_millis(500)).await;
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished(), "there is nothing to receive yet");
    waiting
}

async fn woken(waiting: JoinHandle<Vec<Delivery>>) -> Vec<Delivery> {
    let woken = tokio::time::timeout(WOKEN_WITHIN, waiting).await;
    woken.expect("the receive was not woken").unwrap()
}

pub async fn a_receive_gives_no_more_than_asked_for(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    for group in ["a", "b", "c"] {
        send(&queue, group, &["1", "2", "3", "4", "5"]).await;
    }
    for max in [1, 3, 10] {
        let received = queue.receive(&ReceiveRequest { max, ..request(LONG) }).await.unwrap();
        assert!((1..=max).contains(&received.len()), "{} of {max}", received.len());
        delete(&queue, &received).await;
    }
}

pub async fn a_receive_fills_up_from_several_groups(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    let groups = ["a", "b", "c", "d"];
    for group in groups {
        let sent: Vec<String> = (0..3).map(|number| format!("{group}{number}")).collect();
        send(&queue, group, &sent.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    let received = receive(&queue).await;
    assert!(received.len() > 3, "one group's alone: {:?}", bodies(&received));
    for group in groups {
        let of_group: Vec<&str> =
            bodies(&received).into_iter().filter(|body| body.starts_with(group)).collect();
        let expected: Vec<String> =
            (0..of_group.len()).map(|number| format!("{group}{number}")).collect();
        assert_eq!(of_group, expected);
    }
}

pub async fn nothing_to_give_is_no_failure(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    assert_eq!(receive(&queue).await, []);
    let at_once = ReceiveRequest { wait: Duration::ZERO, ..request(LONG) };
    assert_eq!(queue.receive(&at_once).await.unwrap(), []);
}

pub async fn a_waiting_receive_wakes_on_a_send(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    let waiting = wait_for_messages(harness, &queue).await;
    send(&queue, "g", &["1"]).await;
    assert_eq!(bodies(&woken(waiting).await), ["1"]);
}

pub async fn a_waiting_receive_wakes_on_a_release(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send(&queue, "g", &["1"]).await;
    let first = receive(&queue).await;
    let waiting = wait_for_messages(harness, &queue).await;
    release(&queue, &first).await;
    assert_eq!(bodies(&woken(waiting).await), ["1"]);
}

pub async fn a_waiting_receive_wakes_when_its_group_is_unlocked(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send(&queue, "g", &["1"]).await;
    let first = receive(&queue).await;
    send(&queue, "g", &["2"]).await;
    let waiting = wait_for_messages(harness, &queue).await;
    delete(&queue, &first).await;
    assert_eq!(bodies(&woken(waiting).await), ["2"]);
}

pub async fn a_waiting_receive_wakes_when_a_lease_runs_out(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    // The second waits before the first has its lease, and must be notified of it.
    let first = wait_for_messages(harness, &queue).await;
    send(&queue, "g", &["1"]).await;
    let first = woken(first).await;
    let second = wait_for_messages(harness, &queue).await;
    change_one(&queue, &first[0], A_WHILE).await.unwrap();
    assert_eq!(bodies(&woken(second).await), ["1"]);
}

pub async fn a_repeated_attempt_gives_the_same_messages(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send(&queue, "a", &["1", "2"]).await;
    send(&queue, "b", &["3"]).await;
    let request = request(LONG);
    let first = queue.receive(&request).await.unwrap();
    let again = queue.receive(&request).await.unwrap();
    assert_eq!(bodies(&again), bodies(&first));
    assert_eq!(receipts(&again), receipts(&first));
    delete(&queue, &again).await;
}

pub async fn a_repeated_attempt_renews_the_leases(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send(&queue, "g", &["1"]).await;
    let request = request(LONGER);
    let first = queue.receive(&request).await.unwrap();
    harness.pass(A_WHILE).await;
    assert_eq!(bodies(&queue.receive(&request).await.unwrap()), ["1"]);
    // Under the first receive's lease alone, the lease would have ended by now.
    harness.pass(A_WHILE).await;
    delete(&queue, &first).await;
}

pub async fn another_attempt_gets_nothing_of_them(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send(&queue, "g", &["1", "2"]).await;
    assert_eq!(receive_all(&queue, 2).await.len(), 2);
    assert_eq!(receive(&queue).await, []);
}
