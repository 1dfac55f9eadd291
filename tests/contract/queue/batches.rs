//! The content and size of batches, and their answers.

use std::{sync::Arc, time::Duration};

use inventory_worker::{
    ports::{
        Backlog, EntryError, OutgoingMessage, PortError, Queue, ReceiptHandle,
        queue::{AttributeContent, MESSAGE_BYTES_MAX, MessageAttribute},
    },
    retention::QUEUE_RETENTION,
};

use super::{QueueHarness, helpers::*};
use crate::harness::LONG;

/// How often an approximate count is read before it counts as wrong.
const LOOKS_MAX: usize = 20;

pub async fn what_was_sent_is_received(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    let mut sent = message("event-42/section-A", "{\"text\":\"ä 日本 \\u0001 🎟\"}\n\t");
    sent.attributes.insert("traceparent".to_owned(), "00-ab-cd-01".into());
    sent.attributes.insert("Other.name_1".to_owned(), "ä".into());
    let number = AttributeContent::Text("-1.50".to_owned());
    let binary = AttributeContent::Binary(vec![0, 255]);
    for (data_type, value) in [("Number.cents", number), ("Binary.png", binary)] {
        let attribute = MessageAttribute { data_type: data_type.to_owned(), value };
        sent.attributes.insert(data_type.to_owned(), attribute);
    }
    let answers = queue.send(std::slice::from_ref(&sent)).await.unwrap();
    let received = receive(&queue).await;
    assert_eq!(bodies(&received), [sent.body.as_str()]);
    assert_eq!(received[0].attributes, sent.attributes);
    assert_eq!(received[0].group, sent.group);
    assert_eq!(answers, [Ok(received[0].message_id.clone())]);
    assert_eq!(received[0].receive_count, 1);
}

pub async fn a_message_of_one_mebibyte_is_carried(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    let body = "x".repeat(MESSAGE_BYTES_MAX);
    send(&queue, "g", &[&body]).await;
    let received = receive(&queue).await;
    assert_eq!(received.len(), 1);
    assert!(received[0].body == body, "{} bytes came", received[0].body.len());
}

pub async fn a_longer_message_is_refused(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    let body = "x".repeat(MESSAGE_BYTES_MAX + 1);
    match queue.send(&[message("g", &body)]).await {
        // In a batch of one, the entry may be too long or the batch may.
        Err(PortError::Refused(_)) => {}
        Ok(answers) => assert!(matches!(answers[..], [Err(EntryError::Refused(_))]), "{answers:?}"),
        Err(other) => panic!("{other:?}"),
    }
    assert_eq!(receive(&queue).await, []);
}

pub async fn more_than_ten_entries_are_refused(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    let eleven: Vec<OutgoingMessage> =
        (0..11).map(|number| message("g", &format!("{number}"))).collect();
    let answer = queue.send(&eleven).await;
    assert!(matches!(answer, Err(PortError::Refused(_))), "{answer:?}");
    assert_eq!(receive(&queue).await, []);

    send(&queue, "g", &["1"]).await;
    let receipt = receive(&queue).await[0].receipt.clone();
    let receipts: Vec<ReceiptHandle> = std::iter::repeat_n(receipt, 11).collect();
    let answer = queue.delete(&receipts).await;
    assert!(matches!(answer, Err(PortError::Refused(_))), "{answer:?}");
    let changes: Vec<_> = receipts.into_iter().map(|receipt| (receipt, LONG)).collect();
    let answer = queue.change_visibility(&changes).await;
    assert!(matches!(answer, Err(PortError::Refused(_))), "{answer:?}");
}

pub async fn a_batch_is_answered_entry_by_entry(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    for group in ["a", "b", "c"] {
        send(&queue, group, &[group]).await;
    }
    let received = receive_all(&queue, 3).await;
    release(&queue, &received[1..2]).await;
    let answers = queue.delete(&receipts(&received)).await.unwrap();
    assert_eq!(answers, [Ok(()), Err(EntryError::LeaseLost), Ok(())]);
    assert_eq!(bodies(&receive(&queue).await), [received[1].body.as_str()]);
}

pub async fn deleted_messages_are_gone(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send(&queue, "g", &["1", "2", "3"]).await;
    delete(&queue, &receive_all(&queue, 3).await).await;
    assert_eq!(receive(&queue).await, []);
}

async fn backlog_eventually(harness: &dyn QueueHarness, queue: &Arc<dyn Queue>, expected: Backlog) {
    let mut found = Backlog::default();
    for _ in 0..LOOKS_MAX {
        found = queue.backlog().await.unwrap();
        if found == expected {
            return;
        }
        harness.pass(Duration::from_millis(250)).await;
    }
    assert_eq!(found, expected);
}

pub async fn the_backlog_tells_what_waits_and_what_is_in_flight(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    backlog_eventually(harness, &queue, Backlog::default()).await;
    send(&queue, "a", &["1", "2", "3"]).await;
    send(&queue, "b", &["4"]).await;
    backlog_eventually(harness, &queue, Backlog { visible: 4, in_flight: 0 }).await;
    let received = receive_all(&queue, 4).await;
    backlog_eventually(harness, &queue, Backlog { visible: 0, in_flight: 4 }).await;
    delete(&queue, &received[..1]).await;
    release(&queue, &received[3..]).await;
    backlog_eventually(harness, &queue, Backlog { visible: 1, in_flight: 2 }).await;
}

pub async fn a_queue_tells_its_limits(harness: &dyn QueueHarness) {
    let (queue, dead_letters) = harness.queue_with_dead_letters(7).await;
    let limits = queue.limits().await.unwrap();
    assert_eq!((limits.retention, limits.receives_max), (QUEUE_RETENTION, Some(7)));
    assert!((262_144..=MESSAGE_BYTES_MAX).contains(&limits.message_bytes_max), "{limits:?}");
    assert_eq!(dead_letters.limits().await.unwrap().receives_max, None);
}
