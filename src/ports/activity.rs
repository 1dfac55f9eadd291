//! What the workers did, for those who look on.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use uuid::Uuid;

use super::PortError;
use crate::domain::Timestamp;

/// How long what a worker put stays on the board.
pub const ACTIVITY_LIFETIME: Duration = Duration::from_secs(10);

/// How often a worker puts its totals.
pub const ACTIVITY_EVERY: Duration = Duration::from_secs(2);

/// The most workers on a board.
pub const ACTIVITY_WORKERS_MAX: usize = 200;

/// The totals of one worker since it began. Repetitions that the ledger answered are not counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerTotals {
    /// The worker: a new id each time that it starts.
    pub worker: Uuid,
    /// When it counted, by its own clock.
    pub at: Timestamp,
    /// Commands that were carried out, by their CloudEvents `type`.
    pub completed: BTreeMap<String, u64>,
    /// Commands and messages that were rejected, by code.
    pub rejected: BTreeMap<String, u64>,
}

impl WorkerTotals {
    /// All that it decided.
    #[must_use]
    pub fn decided(&self) -> u64 {
        let counts = self.completed.values().chain(self.rejected.values());
        counts.fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// A board that the workers of one deployment write their totals on.
///
/// It may fail or forget: nothing depends on it but figures to be looked at.
#[async_trait]
pub trait ActivityBoard: Send + Sync {
    /// Puts a worker's totals in the place of what it put before, for [`ACTIVITY_LIFETIME`]. One
    /// more worker than [`ACTIVITY_WORKERS_MAX`] finds no place, which is no error.
    async fn put(&self, totals: &WorkerTotals) -> Result<(), PortError>;

    /// What is on the board, by worker, none past its lifetime. What cannot be read, as another
    /// release wrote it, is left out.
    async fn list(&self) -> Result<Vec<WorkerTotals>, PortError>;
}
