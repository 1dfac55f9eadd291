//! Helpers that send, receive and answer.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use inventory_worker::ports::{
    Delivery, EntryError, OutgoingMessage, Queue, ReceiptHandle, ReceiveRequest,
};

use crate::harness::LONG;

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

/// A receive of up to ten with a short wait, under a new attempt id.
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

/// The bodies of the deliveries, in order.
pub fn bodies(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| delivery.body.as_str()).collect()
}

/// The deliveries' receipts, in order.
pub fn receipts(deliveries: &[Delivery]) -> Vec<ReceiptHandle> {
    deliveries.iter().map(|delivery| delivery.receipt.clone()).collect()
}

/// Deletes all of them; every one must succeed.
pub async fn delete(queue: &Arc<dyn Queue>, deliveries: &[Delivery]) {
    let answers = queue.delete(&receipts(deliveries)).await.unwrap();
    assert_eq!(answers.len(), deliveries.len());
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

/// Releases all of them at once; every release must succeed.
pub async fn release(queue: &Arc<dyn Queue>, deliveries: &[Delivery]) {
    let changes: Vec<_> =
        receipts(deliveries).into_iter().map(|receipt| (receipt, Duration::ZERO)).collect();
    let answers = queue.change_visibility(&changes).await.unwrap();
    assert_eq!(answers.len(), deliveries.len());
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

/// Receives until `count` messages have arrived: a receive may return fewer than are available.
pub async fn receive_all(queue: &Arc<dyn Queue>, count: usize) -> Vec<Delivery> {
    let mut all = Vec::new();
    while all.len() < count {
        let received = receive(queue).await;
        assert!(!received.is_empty(), "{} of {count} came: {:?}", all.len(), bodies(&all));
        all.extend(received);
    }
    all
}

/// The result of deleting by one receipt.
pub async fn delete_one(queue: &Arc<dyn Queue>, delivery: &Delivery) -> Result<(), EntryError> {
    let mut answers = queue.delete(std::slice::from_ref(&delivery.receipt)).await.unwrap();
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

/// The result of ending one lease in `by`.
pub async fn change_one(
    queue: &Arc<dyn Queue>,
    delivery: &Delivery,
    by: Duration,
) -> Result<(), EntryError> {
    let change = [(delivery.receipt.clone(), by)];
    let mut answers = queue.change_visibility(&change).await.unwrap();
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}
