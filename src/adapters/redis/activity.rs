//! The board of workers' totals: one hash, and the time of each entry beside it.

use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tracing::debug;
use uuid::Uuid;

use super::{
    RedisLocks,
    connection::{Connection, LuaScript},
    keys::Tag,
    url::RedisUrl,
};
use crate::{
    domain::Timestamp,
    message::to_json,
    ports::{
        PortError,
        activity::{ACTIVITY_LIFETIME, ACTIVITY_WORKERS_MAX, ActivityBoard, WorkerTotals},
    },
};

/// Removes what is past its lifetime, and puts an entry where there is room. `KEYS`: the times, the
/// totals. `ARGV`: worker, totals, lifetime in milliseconds, the most workers.
const PUT: &str = "\
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[3])) do
  redis.call('ZREM', KEYS[1], gone)
  redis.call('HDEL', KEYS[2], gone)
end
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) and not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return 0
end
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return 1
";

/// The totals within their lifetime. `KEYS` as above. `ARGV`: lifetime in milliseconds, the most
/// workers.
const LIST: &str = "\
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local workers = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. (now - ARGV[1]), '+inf', 'LIMIT', 0, ARGV[2])
if #workers == 0 then return {} end
local totals = redis.call('HMGET', KEYS[2], unpack(workers))
local listed = {}
for _, entry in ipairs(totals) do
  if entry then listed[#listed + 1] = entry end
end
return listed
";

/// The longest entry that is read, bytes: three times what all types and codes take.
const ENTRY_BYTES_MAX: usize = 4_096;

/// The totals of the workers of one deployment, in one slot.
///
/// Every call is bounded in time, as those of [`RedisLocks`] are.
#[derive(Clone)]
pub struct RedisActivity {
    connection: Arc<Connection>,
    tag: Tag,
    put: LuaScript,
    list: LuaScript,
}

impl RedisActivity {
    /// The board of a deployment, over a connection of its own that is made at the first call.
    #[must_use]
    pub fn new(url: RedisUrl, deployment: &str) -> Self {
        Self::over(Arc::new(Connection::new(url)), deployment)
    }

    /// The board of a deployment, over the connection of the locks.
    #[must_use]
    pub fn beside(locks: &RedisLocks, deployment: &str) -> Self {
        Self::over(locks.connection(), deployment)
    }

    fn over(connection: Arc<Connection>, deployment: &str) -> Self {
        let tag = Tag::of(&format!("activity/{deployment}"));
        Self { connection, tag, put: LuaScript::new(PUT), list: LuaScript::new(LIST) }
    }

    fn keys(&self) -> [String; 2] {
        ["times", "totals"].map(|name| self.tag.activity(name))
    }
}

impl fmt::Debug for RedisActivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisActivity").finish_non_exhaustive()
    }
}

/// An entry as it is stored.
#[derive(Serialize, Deserialize)]
struct Entry {
    worker: Uuid,
    at: Timestamp,
    completed: BTreeMap<String, u64>,
    rejected: BTreeMap<String, u64>,
}

impl Entry {
    fn of(totals: &WorkerTotals) -> Self {
        let WorkerTotals { worker, at, completed, rejected } = totals.clone();
        Self { worker, at, completed, rejected }
    }

    fn read(text: &str) -> Option<WorkerTotals> {
        let parsed = (text.len() <= ENTRY_BYTES_MAX).then(|| serde_json::from_str(text).ok());
        let Some(Self { worker, at, completed, rejected }) = parsed.flatten() else {
            debug!("the totals of a worker of another release are left out");
            return None;
        };
        Some(WorkerTotals { worker, at, completed, rejected })
    }
}

#[async_trait]
impl ActivityBoard for RedisActivity {
    async fn put(&self, totals: &WorkerTotals) -> Result<(), PortError> {
        let arguments = [
            totals.worker.simple().to_string(),
            to_json(&Entry::of(totals)),
            ACTIVITY_LIFETIME.as_millis().to_string(),
            ACTIVITY_WORKERS_MAX.to_string(),
        ];
        let _has_place: u64 =
            self.connection.run(&self.put, self.tag.slot(), &self.keys(), &arguments).await?;
        Ok(())
    }

    async fn list(&self) -> Result<Vec<WorkerTotals>, PortError> {
        let arguments =
            [ACTIVITY_LIFETIME.as_millis().to_string(), ACTIVITY_WORKERS_MAX.to_string()];
        let entries: Vec<String> =
            self.connection.run(&self.list, self.tag.slot(), &self.keys(), &arguments).await?;
        let mut listed: Vec<_> = entries.iter().filter_map(|text| Entry::read(text)).collect();
        listed.sort_by_key(|totals| totals.worker);
        Ok(listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written_and_another_is_left_out() {
        let totals = WorkerTotals {
            worker: Uuid::from_u128(7),
            at: "2026-11-29T12:00:00.25Z".parse().unwrap(),
            completed: [("inventory.reserve.v1".to_owned(), 3)].into(),
            rejected: [("NOT_OWNER".to_owned(), 1)].into(),
        };
        assert_eq!(Entry::read(&to_json(&Entry::of(&totals))), Some(totals));
        for other in ["", "{}", "7", &"x".repeat(ENTRY_BYTES_MAX + 1)] {
            assert_eq!(Entry::read(other), None, "{other}");
        }
    }
}
