//! No locks: every name is always free.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::ports::{Locks, PortError};

/// Grants every lock and remembers nothing. For a worker without Redis, and for one that takes no
/// locks: the store's version conditions carry safety.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoopLocks;

#[async_trait]
impl Locks for NoopLocks {
    async fn acquire(
        &self,
        _scope: &str,
        _names: &[String],
        _token: Uuid,
        _ttl: Duration,
    ) -> Result<bool, PortError> {
        Ok(true)
    }

    async fn release(
        &self,
        _scope: &str,
        _names: &[String],
        _token: Uuid,
    ) -> Result<(), PortError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everyone_holds_everything() {
        let names = ["a".to_owned()];
        for token in [1, 2] {
            let token = Uuid::from_u128(token);
            let held = NoopLocks.acquire("event#1", &names, token, Duration::from_secs(1)).await;
            assert_eq!(held, Ok(true));
            assert_eq!(NoopLocks.release("event#1", &names, token).await, Ok(()));
        }
    }
}
