//! The topic of results.

use std::collections::BTreeMap;

use async_trait::async_trait;
use uuid::Uuid;

use super::{BatchAnswer, PortError};
use crate::domain::GroupId;

/// A result to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The result's id, the same at every delivery: the deduplication id.
    pub id: Uuid,
    /// The command's group, whose order is kept.
    pub group: GroupId,
    /// The result as JSON.
    pub body: String,
    /// Attributes for filter policies; all strings.
    pub attributes: BTreeMap<&'static str, String>,
    /// Whether it is an array of results: its [`LISTED_ATTRIBUTES`] are JSON arrays of strings.
    pub is_batch: bool,
}

/// The attributes that a batch of results has as arrays. A filter policy matches an array if it
/// matches one of its values.
pub const LISTED_ATTRIBUTES: [&str; 5] =
    ["command_source", "event_id", "reservation_source", "store_id", "type"];

/// A FIFO topic.
#[async_trait]
pub trait Publisher: Send + Sync {
    /// Publishes up to ten entries, 256 KiB in total, in order within each group.
    ///
    /// At least once: a repetition under the same id within five minutes is not delivered again.
    /// Returns one answer per entry, in the order given.
    async fn publish(&self, batch: &[Publication]) -> Result<BatchAnswer, PortError>;
}

/// SNS: "up to ten messages" in one PublishBatch.
pub const PUBLISH_ENTRIES_MAX: usize = 10;

/// SNS: "The total aggregate size of all messages" in one PublishBatch, bytes; attributes count.
pub const PUBLISH_BYTES_MAX: usize = 262_144;

impl Publication {
    /// The SNS data type of an attribute.
    #[must_use]
    pub fn data_type(&self, name: &str) -> &'static str {
        match self.is_batch && LISTED_ATTRIBUTES.contains(&name) {
            true => "String.Array",
            false => "String",
        }
    }

    /// The entry's size towards [`PUBLISH_BYTES_MAX`]: body, attribute names, values, types.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let attributes: usize = self
            .attributes
            .iter()
            .map(|(name, value)| name.len() + value.len() + self.data_type(name).len())
            .sum();
        self.body.len() + attributes
    }
}
