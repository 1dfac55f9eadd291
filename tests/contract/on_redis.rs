//! Redis, a single server and a cluster of three masters, given by the environment; and Redis's own
//! failures on separate servers: outages, restarts, lost scripts, failovers.

mod cluster;
mod outages;
mod servers;
mod tls;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use inventory_worker::{
    adapters::redis::{RedisActivity, RedisLocks},
    ports::{ActivityBoard, Locks, PortError, activity::ACTIVITY_LIFETIME},
};
use uuid::Uuid;

use crate::{activity::ActivityHarness, harness::Backend, locks::LocksHarness};

/// A Redis that other tests use at the same time.
struct Shared {
    name: &'static str,
    locks: RedisLocks,
}

impl Shared {
    fn server() -> Self {
        Self { name: "a Redis server", locks: from_env("INVENTORY_TEST_REDIS") }
    }

    fn cluster() -> Self {
        Self { name: "a Redis cluster", locks: from_env("INVENTORY_TEST_REDIS_CLUSTER") }
    }
}

fn from_env(variable: &str) -> RedisLocks {
    let url = std::env::var(variable)
        .unwrap_or_else(|_| panic!("set {variable} to the Redis under test; see make test"));
    RedisLocks::new(url.parse().unwrap())
}

#[async_trait]
impl Backend for Shared {
    fn name(&self) -> &'static str {
        self.name
    }

    fn patience(&self) -> Duration {
        ACTIVITY_LIFETIME
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

#[async_trait]
impl LocksHarness for Shared {
    async fn locks(&self) -> Arc<dyn Locks> {
        let scopes = servers::unique();
        Arc::new(Apart { locks: self.locks.clone(), scopes })
    }
}

#[async_trait]
impl ActivityHarness for Shared {
    async fn boards(&self) -> (Arc<dyn ActivityBoard>, Arc<dyn ActivityBoard>) {
        let unique = servers::unique();
        let board =
            |name: &str| Arc::new(RedisActivity::beside(&self.locks, &format!("{name}-{unique}")));
        (board("one"), board("other"))
    }
}

/// The same locks in separate scopes, so that tests do not collide.
struct Apart {
    locks: RedisLocks,
    scopes: Uuid,
}

impl Apart {
    fn scope(&self, scope: &str) -> String {
        format!("{scope}@{}", self.scopes)
    }
}

#[async_trait]
impl Locks for Apart {
    async fn acquire(
        &self,
        scope: &str,
        names: &[String],
        token: Uuid,
        ttl: Duration,
    ) -> Result<bool, PortError> {
        self.locks.acquire(&self.scope(scope), names, token, ttl).await
    }

    async fn release(&self, scope: &str, names: &[String], token: Uuid) -> Result<(), PortError> {
        self.locks.release(&self.scope(scope), names, token).await
    }
}

mod server_locks {
    locks_contract! {
        #[tokio::test]
        #[ignore = "needs the stack: make test"]
        on super::Shared::server()
    }
}

mod cluster_locks {
    locks_contract! {
        #[tokio::test]
        #[ignore = "needs the stack: make test"]
        on super::Shared::cluster()
    }
}

mod server_activity {
    activity_contract! {
        #[tokio::test]
        #[ignore = "needs the stack: make test"]
        on super::Shared::server()
    }
}

mod cluster_activity {
    activity_contract! {
        #[tokio::test]
        #[ignore = "needs the stack: make test"]
        on super::Shared::cluster()
    }
}
