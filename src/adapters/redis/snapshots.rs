//! Shared snapshots: two keys a pool, in the slot of its locks. Both expire by themselves.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use redis::ToRedisArgs;
use tokio::time::Instant;

use super::{
    connection::{Connection, LuaScript},
    keys::Tag,
    milliseconds,
    url::RedisUrl,
};
use crate::{
    domain::PoolId,
    ports::{
        PortError, SnapshotStore,
        snapshots::{CLAIM_LIFETIME, SNAPSHOT_BYTES_MAX, SNAPSHOT_LIFETIME, StoredSnapshot},
    },
};

/// A snapshot and the milliseconds that are left of its lifetime. `KEYS`: the snapshot.
const GET: &str = "\
local left = redis.call('PTTL', KEYS[1])
if left <= 0 then return false end
return {redis.call('GET', KEYS[1]), left}
";

/// Claims a read. `KEYS`: the claim. `ARGV`: milliseconds.
const CLAIM: &str = "\
if redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) then return 1 end
return 0
";

/// Ends a claim. `KEYS`: the claim.
const RELEASE: &str = "return redis.call('DEL', KEYS[1])";

/// The server's time, milliseconds since 1970. `KEYS`: the snapshot.
const NOW: &str = "\
local now = redis.call('TIME')
return now[1] * 1000 + math.floor(now[2] / 1000)
";

/// Puts a snapshot in the place of an older one, and ends the claim. `KEYS`: the snapshot, the
/// claim. `ARGV`: the snapshot, the end of its lifetime by the server's time: one that arrives late
/// is not taken for younger than it is.
const PUT: &str = "\
local now = redis.call('TIME')
local left = ARGV[2] - (now[1] * 1000 + math.floor(now[2] / 1000))
if left > 0 and redis.call('PTTL', KEYS[1]) < left then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', string.format('%.0f', left))
end
redis.call('DEL', KEYS[2])
return 1
";

/// The snapshots of one Redis. Every call is bounded in time. Clones share the connection.
#[derive(Clone)]
pub struct RedisSnapshots {
    deployment: Arc<str>,
    connection: Arc<Connection>,
    get: LuaScript,
    claim: LuaScript,
    release: LuaScript,
    now: LuaScript,
    put: LuaScript,
}

impl RedisSnapshots {
    /// Those of a deployment: another has other items under the same keys. Does not connect yet.
    #[must_use]
    pub fn new(url: RedisUrl, deployment: &str) -> Self {
        let [get, claim, release, now, put] = [GET, CLAIM, RELEASE, NOW, PUT].map(LuaScript::new);
        let (deployment, connection) = (deployment.into(), Arc::new(Connection::new(url)));
        Self { deployment, connection, get, claim, release, now, put }
    }
}

impl fmt::Debug for RedisSnapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSnapshots").finish_non_exhaustive()
    }
}

/// An argument of a script.
#[derive(Clone, Copy)]
enum Argument<'a> {
    Bytes(&'a [u8]),
    Milliseconds(Duration),
}

impl ToRedisArgs for Argument<'_> {
    fn write_redis_args<W: ?Sized + redis::RedisWrite>(&self, out: &mut W) {
        match self {
            Self::Bytes(bytes) => out.write_arg(bytes),
            Self::Milliseconds(time) => milliseconds(*time).write_redis_args(out),
        }
    }
}

#[async_trait]
impl SnapshotStore for RedisSnapshots {
    async fn get(&self, pool: &PoolId) -> Result<Option<StoredSnapshot>, PortError> {
        let tag = Tag::of(&pool.to_string());
        let (keys, none) = ([tag.snapshot(&self.deployment)], <[String; 0]>::default());
        let found: Option<(Vec<u8>, u64)> =
            self.connection.run(&self.get, tag.slot(), &keys, &none).await?;
        Ok(found.map(|(bytes, left)| StoredSnapshot {
            bytes,
            age: SNAPSHOT_LIFETIME.saturating_sub(Duration::from_millis(left)),
        }))
    }

    async fn claim(&self, pool: &PoolId) -> Result<bool, PortError> {
        let tag = Tag::of(&pool.to_string());
        let arguments = [Argument::Milliseconds(CLAIM_LIFETIME)];
        self.connection
            .run(&self.claim, tag.slot(), &[tag.claim(&self.deployment)], &arguments)
            .await
    }

    async fn release(&self, pool: &PoolId) -> Result<(), PortError> {
        let tag = Tag::of(&pool.to_string());
        let none = <[String; 0]>::default();
        let _: u64 = self
            .connection
            .run(&self.release, tag.slot(), &[tag.claim(&self.deployment)], &none)
            .await?;
        Ok(())
    }

    async fn put(&self, pool: &PoolId, bytes: &[u8], age: Duration) -> Result<(), PortError> {
        let read_at = Instant::now().checked_sub(age);
        let Some(read_at) = read_at.filter(|_| bytes.len() <= SNAPSHOT_BYTES_MAX) else {
            return Ok(());
        };
        let tag = Tag::of(&pool.to_string());
        let keys = [tag.snapshot(&self.deployment), tag.claim(&self.deployment)];
        let none = <[String; 0]>::default();
        // Some time before now, so that the snapshot counts as older than it is, if anything.
        let now: u64 = self.connection.run(&self.now, tag.slot(), &keys[..1], &none).await?;
        let left = SNAPSHOT_LIFETIME.saturating_sub(read_at.elapsed());
        let until = Duration::from_millis(now).saturating_add(left);
        let arguments = [Argument::Bytes(bytes), Argument::Milliseconds(until)];
        let _: bool = self.connection.run(&self.put, tag.slot(), &keys, &arguments).await?;
        Ok(())
    }
}
