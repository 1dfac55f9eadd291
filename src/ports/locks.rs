//! Locks: for speed, never for safety.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::PortError;

/// Short leases on names, all or nothing.
///
/// Keeps workers from deciding on the same seats at once, which would cost them conflicts. It may
/// fail, report wrong results or forget locks: safety depends on the store's version conditions.
#[async_trait]
pub trait Locks: Send + Sync {
    /// Takes every name of the scope for `ttl`, or none.
    ///
    /// One atomic call, no waiting. `names` are sorted and unique. A name already held under the
    /// same `token` counts as free and is extended, so that a repetition after a lost answer
    /// succeeds and a lease can be renewed. Returns whether the names are now held.
    async fn acquire(
        &self,
        scope: &str,
        names: &[String],
        token: Uuid,
        ttl: Duration,
    ) -> Result<bool, PortError>;

    /// Releases those of the names that are held under `token`; leaves the others unchanged.
    async fn release(&self, scope: &str, names: &[String], token: Uuid) -> Result<(), PortError>;
}
