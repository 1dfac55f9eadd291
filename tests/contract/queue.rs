//! What every adapter of [`Queue`] keeps.
//!
//! The rules are SQS's for FIFO queues, from its developer guide and API reference.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use inventory_worker::ports::{Delivery, OutgoingMessage, Queue, Receipt, ReceiveRequest};

use crate::harness::{Backend, LONG};

/// Queues to be put to the test.
#[async_trait]
pub trait QueueHarness: Backend {
    /// A fresh FIFO queue as `bootstrap` makes them: content-based deduplication, high throughput
    /// (deduplication within the message group), no redrive.
    async fn queue(&self) -> Arc<dyn Queue>;

    /// A fresh queue, and the one its messages go to once they were received `max_receives` times.
    async fn queue_with_dead_letters(&self, max_receives: u32) -> (Arc<dyn Queue>, Arc<dyn Queue>);
}

/// Holds an adapter to every rule of [`Queue`]; see the crate's comment.
macro_rules! queue_contract {
    ($($test:tt)*) => {
        make_tests! {
            queue [
                what_was_sent_is_received
                a_group_comes_in_order
                a_group_is_locked_while_a_message_of_it_is_in_flight
                a_release_returns_the_message_at_once
            ]
            $($test)*
        }
    };
}

/// Every rule by name.
pub const RULES: &[&str] = &queue_contract!(names);

/// A message without deduplication id or attributes.
pub fn message(group: &str, body: &str) -> OutgoingMessage {
    OutgoingMessage {
        group: group.parse().unwrap(),
        body: body.to_owned(),
        deduplication_id: None,
        attributes: BTreeMap::new(),
    }
}

/// Sends bodies to one group, in order; every one must be accepted.
pub async fn send(queue: &Arc<dyn Queue>, group: &str, bodies: &[&str]) {
    for chunk in bodies.chunks(10) {
        let messages: Vec<_> = chunk.iter().map(|body| message(group, body)).collect();
        let answers = queue.send(&messages).await.unwrap();
        assert_eq!(answers.len(), messages.len());
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
}

/// A receive of up to ten that waits a little, under an attempt id of its own.
pub fn request(visibility: Duration) -> ReceiveRequest {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let attempt_id = format!("attempt-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    ReceiveRequest { max: 10, wait: Duration::from_secs(1), visibility, attempt_id }
}

/// Receives up to ten for [`LONG`].
pub async fn receive(queue: &Arc<dyn Queue>) -> Vec<Delivery> {
    receive_for(queue, LONG).await
}

/// Receives up to ten for `visibility`.
pub async fn receive_for(queue: &Arc<dyn Queue>, visibility: Duration) -> Vec<Delivery> {
    queue.receive(&request(visibility)).await.unwrap()
}

/// What the deliveries say, in order.
pub fn bodies(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| delivery.body.as_str()).collect()
}

/// The deliveries' receipts, in order.
pub fn receipts(deliveries: &[Delivery]) -> Vec<Receipt> {
    deliveries.iter().map(|delivery| delivery.receipt.clone()).collect()
}

/// Deletes all of them; every one must succeed.
pub async fn delete(queue: &Arc<dyn Queue>, deliveries: &[Delivery]) {
    let answers = queue.delete(&receipts(deliveries)).await.unwrap();
    assert_eq!(answers.len(), deliveries.len());
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

/// Releases all of them at once; every one must succeed.
pub async fn release(queue: &Arc<dyn Queue>, deliveries: &[Delivery]) {
    let changes: Vec<_> =
        receipts(deliveries).into_iter().map(|receipt| (receipt, Duration::ZERO)).collect();
    let answers = queue.change_visibility(&changes).await.unwrap();
    assert_eq!(answers.len(), deliveries.len());
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

pub async fn what_was_sent_is_received(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    let mut sent = message("g", "{\"text\":\"ä 日本 \\u0001 🎟\"}\n\t");
    sent.attributes.insert("traceparent".to_owned(), "00-ab-cd-01".to_owned());
    sent.attributes.insert("Other.name_1".to_owned(), "ä".to_owned());
    let answers = queue.send(std::slice::from_ref(&sent)).await.unwrap();
    let received = receive(&queue).await;
    assert_eq!(bodies(&received), [sent.body.as_str()]);
    assert_eq!(received[0].attributes, sent.attributes);
    assert_eq!(received[0].group, sent.group);
    assert_eq!(answers, [Ok(received[0].message_id.clone())]);
    assert_eq!(received[0].receive_count, 1);
}

pub async fn a_group_comes_in_order(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    let sent: Vec<String> = (0..25).map(|number| format!("m{number}")).collect();
    send(&queue, "g", &sent.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut seen = Vec::new();
    while seen.len() < sent.len() {
        let received = receive(&queue).await;
        assert!(!received.is_empty(), "after {seen:?}");
        seen.extend(bodies(&received).into_iter().map(str::to_owned));
        delete(&queue, &received).await;
    }
    assert_eq!(seen, sent);
}

pub async fn a_group_is_locked_while_a_message_of_it_is_in_flight(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send(&queue, "g", &["1", "2", "3"]).await;
    let first = queue.receive(&ReceiveRequest { max: 2, ..request(LONG) }).await.unwrap();
    assert_eq!(bodies(&first), ["1", "2"]);
    assert_eq!(receive(&queue).await, []);
    delete(&queue, &first[..1]).await;
    assert_eq!(receive(&queue).await, [], "one of the two is still in flight");
    delete(&queue, &first[1..]).await;
    assert_eq!(bodies(&receive(&queue).await), ["3"]);
}

pub async fn a_release_returns_the_message_at_once(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send(&queue, "g", &["1", "2"]).await;
    let first = receive(&queue).await;
    release(&queue, &first).await;
    let second = receive(&queue).await;
    assert_eq!(bodies(&second), ["1", "2"]);
    assert_eq!(second[0].receive_count, 2);
}
