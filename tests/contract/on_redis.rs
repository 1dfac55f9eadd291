//! Redis, a single server and a cluster of three masters, given by the environment; and Redis's own
//! failures on separate servers: outages, restarts, lost scripts, failovers.

mod cluster;
mod hints_outages;
mod outages;
mod servers;
mod tls;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use inventory_worker::{
    adapters::redis::{RedisActivity, RedisHints, RedisLocks, RedisSnapshots},
    domain::PoolId,
    ports::{ActivityBoard, Locks, PortError, SnapshotStore, activity::ACTIVITY_LIFETIME},
};
use uuid::Uuid;

use crate::{
    activity::ActivityHarness,
    harness::Backend,
    hints::{Hints, HintsHarness},
    locks::LocksHarness,
    snapshots::SnapshotsHarness,
};

/// A Redis that other tests use at the same time.
struct Shared {
    name: &'static str,
    url: String,
}

impl Shared {
    fn server() -> Self {
        Self { name: "a Redis server", url: from_env("INVENTORY_TEST_REDIS") }
    }

    fn cluster() -> Self {
        Self { name: "a Redis cluster", url: from_env("INVENTORY_TEST_REDIS_CLUSTER") }
    }
}

fn from_env(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("set {variable} to the Redis under test; see make test"))
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
        let locks = RedisLocks::new(self.url.parse().unwrap());
        Arc::new(Apart { locks, scopes })
    }
}

#[async_trait]
impl HintsHarness for Shared {
    async fn hints(&self) -> Hints {
        let pool = || PoolId::Store(servers::unique().to_string().parse().unwrap());
        // Two processes, as in a deployment.
        let publisher = Arc::new(RedisHints::new(self.url.parse().unwrap(), "test"));
        let subscriber = Arc::new(RedisHints::new(self.url.parse().unwrap(), "test"));
        Hints { publisher, subscriber, pool: pool(), other: pool() }
    }
}

#[async_trait]
impl ActivityHarness for Shared {
    async fn boards(&self) -> (Arc<dyn ActivityBoard>, Arc<dyn ActivityBoard>) {
        let unique = servers::unique();
        let locks = RedisLocks::new(self.url.parse().unwrap());
        let board =
            |name: &str| Arc::new(RedisActivity::beside(&locks, &format!("{name}-{unique}")));
        (board("one"), board("other"))
    }
}

#[async_trait]
impl SnapshotsHarness for Shared {
    async fn snapshots(&self) -> Arc<dyn SnapshotStore> {
        Arc::new(RedisSnapshots::new(self.url.parse().unwrap(), "test"))
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

mod server_hints {
    hints_contract! {
        #[tokio::test]
        #[ignore = "needs the stack: make test"]
        on super::Shared::server()
    }
}

mod server_activity {
    activity_contract! {
        #[tokio::test]
        #[ignore = "needs the stack: make test"]
        on super::Shared::server()
    }
}

mod cluster_hints {
    hints_contract! {
        #[tokio::test]
        #[ignore = "needs the stack: make test"]
        on super::Shared::cluster()
    }
}

mod cluster_activity {
    activity_contract! {
        #[tokio::test]
        #[ignore = "needs the stack: make test"]
        on super::Shared::cluster()
    }
}

mod server_snapshots {
    snapshots_contract! {
        #[tokio::test]
        #[ignore = "needs the stack: make test"]
        on super::Shared::server()
    }
}

mod cluster_snapshots {
    snapshots_contract! {
        #[tokio::test]
        #[ignore = "needs the stack: make test"]
        on super::Shared::cluster()
    }
}
