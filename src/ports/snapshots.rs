//! Snapshots of pools that gateways share, so that many that need a pool at once are one read of
//! its tables.
//!
//! For cost alone: a gateway that finds no snapshot, or cannot ask for one, reads the tables itself.

use std::time::Duration;

use async_trait::async_trait;

use super::PortError;
use crate::domain::PoolId;

/// The age at which a snapshot is gone, from the beginning of the read that it comes from.
pub const SNAPSHOT_LIFETIME: Duration = Duration::from_secs(10);

/// After this a claim has ended, whatever became of the read that it was made for.
pub const CLAIM_LIFETIME: Duration = Duration::from_secs(2);

/// The most bytes of a snapshot: one of 50,000 seats is far below.
pub const SNAPSHOT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A pool as a gateway has read and packed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSnapshot {
    /// What was put.
    pub bytes: Vec<u8>,
    /// How long ago the read began that it comes from, by the store's clock.
    pub age: Duration,
}

/// Where gateways share snapshots.
#[async_trait]
pub trait SnapshotStore: Send + Sync {
    /// The snapshot of a pool; `None` where there is none that is younger than
    /// [`SNAPSHOT_LIFETIME`].
    async fn get(&self, pool: &PoolId) -> Result<Option<StoredSnapshot>, PortError>;

    /// Claims the next read of a pool for [`CLAIM_LIFETIME`], or until a snapshot is put; false
    /// where another has claimed it.
    async fn claim(&self, pool: &PoolId) -> Result<bool, PortError>;

    /// Ends the claim on a pool, of which there is nothing to put.
    async fn release(&self, pool: &PoolId) -> Result<(), PortError>;

    /// Puts a snapshot that was read `age` ago in the place of an older one. One that is as old as
    /// [`SNAPSHOT_LIFETIME`], or longer than [`SNAPSHOT_BYTES_MAX`], is not kept.
    async fn put(&self, pool: &PoolId, bytes: &[u8], age: Duration) -> Result<(), PortError>;
}
