//! The board of workers' totals: a key each, which expires by itself, and an index of them.

use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use redis::FromRedisValue;
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

/// Puts an entry where there is room. `KEYS`: the index, the entry. `ARGV`: worker, totals, lifetime
/// in milliseconds, the most workers.
const PUT: &str = "\
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then
  if redis.call('SCARD', KEYS[1]) >= tonumber(ARGV[4]) then return 0 end
  redis.call('SADD', KEYS[1], ARGV[1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return 1
";

/// Lists the workers. `KEYS`: the index.
const WORKERS: &str = "return redis.call('SMEMBERS', KEYS[1])";

/// Reads entries, and takes those that are past their lifetime out of the index. `KEYS`: the index,
/// the entries. `ARGV`: their workers.
const READ: &str = "\
local listed = {}
for place, worker in ipairs(ARGV) do
  local entry = redis.call('GET', KEYS[place + 1])
  if entry then
    listed[#listed + 1] = entry
  else
    redis.call('SREM', KEYS[1], worker)
  end
end
return listed
";

/// The name of the index among the names of workers.
const INDEX: &str = "workers";

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
    workers: LuaScript,
    read: LuaScript,
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
        let [put, workers, read] = [PUT, WORKERS, READ].map(LuaScript::new);
        Self { connection, tag, put, workers, read }
    }

    async fn run<T: FromRedisValue>(
        &self,
        script: &LuaScript,
        keys: &[String],
        arguments: &[String],
    ) -> Result<T, PortError> {
        self.connection.run(script, self.tag.slot(), keys, arguments).await
    }

    /// The entries, without what is past its lifetime, in the index neither.
    async fn entries(&self) -> Result<Vec<String>, PortError> {
        let index = self.tag.activity(INDEX);
        let workers: Vec<String> =
            self.run(&self.workers, std::slice::from_ref(&index), &[]).await?;
        if workers.is_empty() {
            return Ok(Vec::new());
        }
        let entries = workers.iter().map(|worker| self.tag.activity(worker));
        let keys: Vec<String> = std::iter::once(index).chain(entries).collect();
        self.run(&self.read, &keys, &workers).await
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
        let worker = totals.worker.simple().to_string();
        let keys = [INDEX, &worker].map(|name| self.tag.activity(name));
        let arguments = [
            worker,
            to_json(&Entry::of(totals)),
            ACTIVITY_LIFETIME.as_millis().to_string(),
            ACTIVITY_WORKERS_MAX.to_string(),
        ];
        let has_place: bool = self.run(&self.put, &keys, &arguments).await?;
        if !has_place {
            // Some of those in the index may be gone.
            self.entries().await?;
            let _has_place: bool = self.run(&self.put, &keys, &arguments).await?;
        }
        Ok(())
    }

    async fn list(&self) -> Result<Vec<WorkerTotals>, PortError> {
        let entries = self.entries().await?;
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
