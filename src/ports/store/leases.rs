//! Leases on a share of a task, kept in the tables.

use async_trait::async_trait;
use uuid::Uuid;

use crate::{domain::Timestamp, ports::PortError};

/// A process's share of a task, until a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The process.
    pub holder: Uuid,
    /// When its share ends unless it is renewed, by the holder's clock.
    pub until: Timestamp,
}

/// Every lease on a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leases {
    /// Goes up by one with each change; 0 where there was none.
    pub version: u64,
    /// The leases, in the order they were written; those that ended are still among them.
    pub held: Vec<Lease>,
}

/// Keeps the leases of each task in one item.
///
/// They save work that several processes would do at once, and nothing else: whoever relies on one
/// must be harmless without it, as clocks differ and a holder may be paused.
#[async_trait]
pub trait LeaseStore: Send + Sync {
    /// The leases on the task. Strongly consistent.
    async fn leases(&self, task: &str) -> Result<Leases, PortError>;

    /// Puts `held` in the place of the leases of `version`, in one atomic step. Returns whether it
    /// did: otherwise they have been changed meanwhile, or by this same call, whose first answer
    /// was lost.
    async fn replace_leases(
        &self,
        task: &str,
        version: u64,
        held: &[Lease],
    ) -> Result<bool, PortError>;
}
