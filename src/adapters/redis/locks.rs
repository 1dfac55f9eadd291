//! Locks: one script per call.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use uuid::Uuid;

use super::{
    connection::{Connection, LuaScript},
    keys::Tag,
    milliseconds,
    url::RedisUrl,
};
use crate::ports::{Locks, PortError};

/// Takes all keys for a token, or none. `KEYS`: the locks. `ARGV`: token, milliseconds.
const ACQUIRE: &str = "\
for _, key in ipairs(KEYS) do
  local holder = redis.call('GET', key)
  if holder and holder ~= ARGV[1] then return 0 end
end
for _, key in ipairs(KEYS) do
  redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
end
return 1
";

/// Releases the keys that the token holds. `KEYS`: the locks. `ARGV`: token.
const RELEASE: &str = "\
local released = 0
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then
    released = released + redis.call('DEL', key)
  end
end
return released
";

/// The longest lease, a century: Redis refuses times whose end it cannot count in 64 bits.
const TTL_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Leases in Redis: one key per name, holding the token, with a time to live.
///
/// A scope's keys share a hash tag (`inv:{event#42}:lock:<name>`), so that one script takes them
/// all, on a cluster too. Clones share one connection. Every call is bounded in time; see the
/// module for the cost of an outage.
#[derive(Clone)]
pub struct RedisLocks {
    connection: Arc<Connection>,
    acquire: LuaScript,
    release: LuaScript,
}

impl RedisLocks {
    /// Does not connect yet: the worker starts even if Redis is down.
    #[must_use]
    pub fn new(url: RedisUrl) -> Self {
        Self {
            connection: Arc::new(Connection::new(url)),
            acquire: LuaScript::new(ACQUIRE),
            release: LuaScript::new(RELEASE),
        }
    }

    pub(super) fn connection(&self) -> Arc<Connection> {
        Arc::clone(&self.connection)
    }

    /// Whether Redis answers, for the start-up log and for diagnosis; takes at most a second.
    pub async fn ping(&self) -> Result<(), PortError> {
        self.connection.ping().await
    }
}

impl fmt::Debug for RedisLocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLocks").finish_non_exhaustive()
    }
}

#[async_trait]
impl Locks for RedisLocks {
    async fn acquire(
        &self,
        scope: &str,
        names: &[String],
        token: Uuid,
        ttl: Duration,
    ) -> Result<bool, PortError> {
        if names.is_empty() {
            return Ok(true);
        }
        let tag = Tag::of(scope);
        let keys: Vec<String> = names.iter().map(|name| tag.lock(name)).collect();
        let arguments = [token.simple().to_string(), milliseconds(ttl.min(TTL_MAX)).to_string()];
        self.connection.run(&self.acquire, tag.slot(), &keys, &arguments).await
    }

    async fn release(&self, scope: &str, names: &[String], token: Uuid) -> Result<(), PortError> {
        if names.is_empty() {
            return Ok(());
        }
        let tag = Tag::of(scope);
        let keys: Vec<String> = names.iter().map(|name| tag.lock(name)).collect();
        let arguments = [token.simple().to_string()];
        let _released: u64 =
            self.connection.run(&self.release, tag.slot(), &keys, &arguments).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_never_shorter_than_asked_for_nor_of_no_length() {
        assert_eq!(milliseconds(Duration::ZERO), 1);
        assert_eq!(milliseconds(Duration::from_micros(1_001)), 2);
        assert_eq!(milliseconds(Duration::from_secs(30)), 30_000);
        assert!(i64::try_from(milliseconds(TTL_MAX)).is_ok());
    }

    #[tokio::test]
    async fn no_names_are_held_without_asking() {
        let locks = RedisLocks::new("redis://127.0.0.1:1".parse().unwrap());
        let token = Uuid::from_u128(1);
        assert_eq!(locks.acquire("event#1", &[], token, Duration::from_secs(1)).await, Ok(true));
        assert_eq!(locks.release("event#1", &[], token).await, Ok(()));
    }

    #[tokio::test]
    async fn a_redis_that_is_down_costs_an_error_and_then_not_even_a_call() {
        let locks = RedisLocks::new("redis://:s3cret@127.0.0.1:1".parse().unwrap());
        let names = ["seat/A-1".to_owned()];
        let mut said = Vec::new();
        for _ in 0..5 {
            let answer =
                locks.acquire("event#1", &names, Uuid::from_u128(1), Duration::from_secs(1)).await;
            let Err(PortError::Unavailable(text)) = answer else { panic!("{answer:?}") };
            assert!(text.contains("redis://***@127.0.0.1:1") && !text.contains("s3cret"), "{text}");
            said.push(text.contains("not asked"));
        }
        assert_eq!(said, [false, false, false, true, true]);
    }
}
