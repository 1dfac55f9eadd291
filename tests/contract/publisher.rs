//! The rules for every adapter of [`Publisher`], as a subscribed queue sees it.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use inventory_worker::ports::{
    PortError, Publication, Publisher, Queue, publisher::PUBLISH_BYTES_MAX,
    queue::MessageAttributes,
};
use uuid::Uuid;

use crate::{
    harness::{Backend, DEDUPLICATION, lacks_patience},
    queue::{bodies, delete, receive},
};

/// A filter policy on message attributes: each must be present and equal one of the values. An
/// empty policy passes everything.
pub type Filter = BTreeMap<String, Vec<String>>;

/// Topics under test.
#[async_trait]
pub trait PublisherHarness: Backend {
    /// A fresh FIFO topic as `bootstrap` creates it (`FifoThroughputScope=MessageGroup`), with one
    /// fresh FIFO queue subscribed for each filter, by raw delivery.
    async fn topic(&self, filters: &[Filter]) -> (Arc<dyn Publisher>, Vec<Arc<dyn Queue>>);
}

/// Tests an adapter against every rule of [`Publisher`]; see the crate's comment.
macro_rules! publisher_contract {
    ($($test:tt)*) => {
        make_tests! {
            publisher [
                what_was_published_is_delivered
                attributes_are_delivered
                a_group_is_delivered_in_order
                a_repeated_id_is_delivered_once
                a_repeated_id_is_not_delivered_after_its_first_was_deleted
                other_ids_are_delivered_whatever_they_say
                an_id_is_repeated_within_its_group_alone
                an_id_may_come_again_after_five_minutes
                every_subscriber_gets_it
                a_filter_lets_through_what_it_names
                a_filter_wants_every_attribute_it_names
                more_than_ten_entries_are_refused_whole
                more_than_256_kib_are_refused_whole
                ten_entries_of_256_kib_in_sum_are_taken
            ]
            $($test)*
        }
    };
}

/// Every rule by name.
pub const RULES: &[&str] = &publisher_contract!(names);

fn publication(number: u128, group: &str, body: &str) -> Publication {
    Publication {
        id: Uuid::from_u128(number),
        group: group.parse().unwrap(),
        body: body.to_owned(),
        attributes: BTreeMap::new(),
        is_batch: false,
    }
}

fn with(mut publication: Publication, attributes: &[(&'static str, &str)]) -> Publication {
    publication.attributes =
        attributes.iter().map(|&(name, value)| (name, value.to_owned())).collect();
    publication
}

fn filter(attributes: &[(&str, &[&str])]) -> Filter {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    attributes.iter().map(|&(name, values)| (name.to_owned(), texts(values))).collect()
}

/// Publishes up to ten; every one must be accepted.
async fn publish(topic: &Arc<dyn Publisher>, batch: &[Publication]) {
    let answers = topic.publish(batch).await.unwrap();
    assert_eq!(answers.len(), batch.len());
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

/// The bodies delivered to the queue: receives and deletes until none are left.
async fn delivered(queue: &Arc<dyn Queue>) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let received = receive(queue).await;
        if received.is_empty() {
            return all;
        }
        all.extend(bodies(&received).into_iter().map(str::to_owned));
        delete(queue, &received).await;
    }
}

pub async fn what_was_published_is_delivered(harness: &dyn PublisherHarness) {
    let (topic, queues) = harness.topic(&[Filter::new()]).await;
    let body = "{\"a\":\"ä 🎟 \\\" \\n\"}";
    publish(&topic, &[publication(1, "event-42/section-A", body)]).await;
    let received = receive(&queues[0]).await;
    assert_eq!(bodies(&received), [body]);
    assert_eq!(received[0].group.as_str(), "event-42/section-A");
}

pub async fn attributes_are_delivered(harness: &dyn PublisherHarness) {
    let (topic, queues) = harness.topic(&[Filter::new()]).await;
    let sent = with(
        publication(1, "g", "1"),
        &[("type", "inventory.reserved.v1"), ("event_id", "42"), ("command_source", "/s/ä")],
    );
    publish(&topic, std::slice::from_ref(&sent)).await;
    let expected: MessageAttributes =
        sent.attributes.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    assert_eq!(receive(&queues[0]).await[0].attributes, expected);
}

pub async fn a_group_is_delivered_in_order(harness: &dyn PublisherHarness) {
    let (topic, queues) = harness.topic(&[Filter::new()]).await;
    let bodies: Vec<String> = (1..=30).map(|number| format!("m{number}")).collect();
    let all: Vec<Publication> =
        (1..).zip(&bodies).map(|(number, body)| publication(number, "g", body)).collect();
    for batch in all.chunks(10) {
        publish(&topic, batch).await;
    }
    assert_eq!(delivered(&queues[0]).await, bodies);
}

pub async fn a_repeated_id_is_delivered_once(harness: &dyn PublisherHarness) {
    let (topic, queues) = harness.topic(&[Filter::new()]).await;
    publish(&topic, &[publication(1, "g", "1"), publication(1, "g", "1")]).await;
    publish(&topic, &[publication(1, "g", "1"), publication(2, "g", "2")]).await;
    assert_eq!(delivered(&queues[0]).await, ["1", "2"]);
}

pub async fn a_repeated_id_is_not_delivered_after_its_first_was_deleted(
    harness: &dyn PublisherHarness,
) {
    let (topic, queues) = harness.topic(&[Filter::new()]).await;
    publish(&topic, &[publication(1, "g", "1")]).await;
    assert_eq!(delivered(&queues[0]).await, ["1"]);
    publish(&topic, &[publication(1, "g", "1")]).await;
    assert_eq!(delivered(&queues[0]).await, [""; 0]);
}

pub async fn other_ids_are_delivered_whatever_they_say(harness: &dyn PublisherHarness) {
    let (topic, queues) = harness.topic(&[Filter::new()]).await;
    publish(&topic, &[publication(1, "g", "same"), publication(2, "g", "same")]).await;
    assert_eq!(delivered(&queues[0]).await, ["same", "same"]);
}

pub async fn an_id_is_repeated_within_its_group_alone(harness: &dyn PublisherHarness) {
    let (topic, queues) = harness.topic(&[Filter::new()]).await;
    publish(&topic, &[publication(1, "a", "1"), publication(1, "b", "1")]).await;
    assert_eq!(delivered(&queues[0]).await, ["1", "1"]);
}

pub async fn an_id_may_come_again_after_five_minutes(harness: &dyn PublisherHarness) {
    if lacks_patience(harness, "an_id_may_come_again_after_five_minutes", DEDUPLICATION) {
        return;
    }
    let (topic, queues) = harness.topic(&[Filter::new()]).await;
    publish(&topic, &[publication(1, "g", "1")]).await;
    harness.pass(DEDUPLICATION + std::time::Duration::from_secs(5)).await;
    publish(&topic, &[publication(1, "g", "1")]).await;
    assert_eq!(delivered(&queues[0]).await, ["1", "1"]);
}

pub async fn every_subscriber_gets_it(harness: &dyn PublisherHarness) {
    let (topic, queues) = harness.topic(&[Filter::new(), Filter::new()]).await;
    publish(&topic, &[publication(1, "g", "1")]).await;
    for queue in &queues {
        assert_eq!(delivered(queue).await, ["1"]);
    }
}

pub async fn a_filter_lets_through_what_it_names(harness: &dyn PublisherHarness) {
    let types: &[&str] = &["reserved", "expired"];
    let (topic, queues) = harness.topic(&[Filter::new(), filter(&[("type", types)])]).await;
    let batch = [
        with(publication(1, "g", "1"), &[("type", "reserved")]),
        with(publication(2, "g", "2"), &[("type", "rejected")]),
        publication(3, "g", "3"),
        with(publication(4, "g", "4"), &[("type", "expired"), ("event_id", "42")]),
        with(publication(5, "g", "5"), &[("type", "Expired")]),
    ];
    publish(&topic, &batch).await;
    assert_eq!(delivered(&queues[0]).await, ["1", "2", "3", "4", "5"]);
    assert_eq!(delivered(&queues[1]).await, ["1", "4"]);
}

pub async fn a_filter_wants_every_attribute_it_names(harness: &dyn PublisherHarness) {
    let both = filter(&[("type", &["reserved"]), ("event_id", &["42"])]);
    let (topic, queues) = harness.topic(&[both]).await;
    let batch = [
        with(publication(1, "g", "1"), &[("type", "reserved")]),
        with(publication(2, "g", "2"), &[("type", "reserved"), ("event_id", "43")]),
        with(publication(3, "g", "3"), &[("type", "reserved"), ("event_id", "42")]),
    ];
    publish(&topic, &batch).await;
    assert_eq!(delivered(&queues[0]).await, ["3"]);
}

pub async fn more_than_ten_entries_are_refused_whole(harness: &dyn PublisherHarness) {
    let (topic, queues) = harness.topic(&[Filter::new()]).await;
    let batch: Vec<Publication> = (1..=11).map(|number| publication(number, "g", "x")).collect();
    let answer = topic.publish(&batch).await;
    assert!(matches!(answer, Err(PortError::Refused(_))), "{answer:?}");
    assert_eq!(delivered(&queues[0]).await, [""; 0]);
}

/// Ten publications of `bytes` in total, including attributes.
fn of_bytes(bytes: usize) -> Vec<Publication> {
    let short = |number| with(publication(number, "g", "x"), &[("type", "reserved")]);
    let mut batch: Vec<Publication> = (1..=10).map(short).collect();
    let already: usize = batch.iter().map(Publication::bytes).sum();
    batch[0].body.push_str(&"x".repeat(bytes - already));
    batch
}

pub async fn more_than_256_kib_are_refused_whole(harness: &dyn PublisherHarness) {
    let (topic, queues) = harness.topic(&[Filter::new()]).await;
    let answer = topic.publish(&of_bytes(PUBLISH_BYTES_MAX + 1)).await;
    assert!(matches!(answer, Err(PortError::Refused(_))), "{answer:?}");
    assert_eq!(delivered(&queues[0]).await, [""; 0]);
}

pub async fn ten_entries_of_256_kib_in_sum_are_taken(harness: &dyn PublisherHarness) {
    let (topic, queues) = harness.topic(&[Filter::new()]).await;
    publish(&topic, &of_bytes(PUBLISH_BYTES_MAX)).await;
    assert_eq!(delivered(&queues[0]).await.len(), 10);
}
