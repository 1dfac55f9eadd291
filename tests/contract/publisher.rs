//! What every adapter of [`Publisher`] keeps, as a subscribed queue sees it.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use inventory_worker::ports::{Publication, Publisher, Queue};
use uuid::Uuid;

use crate::{
    harness::Backend,
    queue::{bodies, receive},
};

/// A filter policy on message attributes: each must be there and equal one of the texts. An empty
/// one lets everything through.
pub type Filter = BTreeMap<String, Vec<String>>;

/// Topics to be put to the test.
#[async_trait]
pub trait PublisherHarness: Backend {
    /// A fresh FIFO topic as `bootstrap` makes it (`FifoThroughputScope=MessageGroup`), with one
    /// fresh FIFO queue subscribed for each filter, by raw delivery.
    async fn topic(&self, filters: &[Filter]) -> (Arc<dyn Publisher>, Vec<Arc<dyn Queue>>);
}

/// Holds an adapter to every rule of [`Publisher`]; see the crate's comment.
macro_rules! publisher_contract {
    ($($test:tt)*) => {
        make_tests! {
            publisher [
                what_was_published_is_delivered
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
    }
}

pub async fn what_was_published_is_delivered(harness: &dyn PublisherHarness) {
    let (topic, queues) = harness.topic(&[Filter::new()]).await;
    let answers = topic.publish(&[publication(1, "g", "{\"a\":\"ä 🎟\"}")]).await.unwrap();
    assert_eq!(answers, [Ok(())]);
    assert_eq!(bodies(&receive(&queues[0]).await), ["{\"a\":\"ä 🎟\"}"]);
}
