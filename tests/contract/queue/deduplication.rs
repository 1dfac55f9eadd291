//! Deduplication of repeated messages.

use std::sync::Arc;

use inventory_worker::ports::{OutgoingMessage, Queue};

use super::{QueueHarness, helpers::*};
use crate::harness::{DEDUPLICATION, lacks_patience};

async fn send_under(queue: &Arc<dyn Queue>, group: &str, body: &str, id: &str) {
    let message = OutgoingMessage { deduplication_id: Some(id.to_owned()), ..message(group, body) };
    let answers = queue.send(&[message]).await.unwrap();
    assert!(matches!(answers[..], [Ok(_)]), "{answers:?}");
}

pub async fn the_same_content_is_sent_once(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send(&queue, "g", &["1", "2", "1"]).await;
    send(&queue, "g", &["2", "3"]).await;
    // Attributes are not part of the content.
    let mut same = message("g", "3");
    same.attributes.insert("name".to_owned(), "value".into());
    assert!(queue.send(&[same]).await.unwrap()[0].is_ok());
    assert_eq!(bodies(&receive_all(&queue, 3).await), ["1", "2", "3"]);
}

pub async fn the_same_deduplication_id_is_sent_once(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send_under(&queue, "g", "1", "x").await;
    send_under(&queue, "g", "2", "x").await;
    assert_eq!(bodies(&receive(&queue).await), ["1"]);
}

pub async fn other_deduplication_ids_are_other_messages(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send_under(&queue, "g", "1", "x").await;
    send_under(&queue, "g", "1", "X").await;
    send(&queue, "g", &["1"]).await;
    assert_eq!(bodies(&receive_all(&queue, 3).await), ["1", "1", "1"]);
}

pub async fn deduplication_is_within_the_group(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send(&queue, "a", &["1"]).await;
    send(&queue, "b", &["1"]).await;
    send_under(&queue, "a", "2", "x").await;
    send_under(&queue, "b", "2", "x").await;
    assert_eq!(receive_all(&queue, 4).await.len(), 4);
}

pub async fn deduplication_outlives_the_message(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send(&queue, "g", &["1"]).await;
    delete(&queue, &receive(&queue).await).await;
    send(&queue, "g", &["1"]).await;
    assert_eq!(receive(&queue).await, []);
}

pub async fn deduplication_ends_after_five_minutes(harness: &dyn QueueHarness) {
    if lacks_patience(harness, "deduplication_ends_after_five_minutes", DEDUPLICATION) {
        return;
    }
    let queue = harness.queue().await;
    send(&queue, "g", &["1"]).await;
    delete(&queue, &receive(&queue).await).await;
    harness.pass(DEDUPLICATION / 2).await;
    // A repetition does not prolong it.
    send(&queue, "g", &["1"]).await;
    harness.pass(DEDUPLICATION / 2 - std::time::Duration::from_secs(5)).await;
    send(&queue, "g", &["1"]).await;
    assert_eq!(receive(&queue).await, []);
    harness.pass(std::time::Duration::from_secs(10)).await;
    send(&queue, "g", &["1"]).await;
    assert_eq!(bodies(&receive(&queue).await), ["1"]);
}
