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
}

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
    /// The entry's size towards [`PUBLISH_BYTES_MAX`]: body, attribute names, values, types.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let attributes: usize = self
            .attributes
            .iter()
            .map(|(name, value)| name.len() + value.len() + "String".len())
            .sum();
        self.body.len() + attributes
    }
}
