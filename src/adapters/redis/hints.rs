//! Hints: sharded pub/sub in the slot of the pool's locks, and one sorted set of what is watched.
//!
//! Calls and subscriptions have connections of their own. Subscriptions use RESP3 (Redis 6); where
//! sharded pub/sub is unknown (before Redis 7), plain pub/sub takes its place on both sides.

mod link;
mod nodes;

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use self::nodes::Nodes;
use super::{
    connection::{Connection, LuaScript},
    keys::Tag,
    milliseconds,
    url::RedisUrl,
};
use crate::ports::{
    HintPublisher, HintSubscriber, HintSubscription, PortError,
    hints::{Frame, TOPICS_MAX, Topic, Watched, encode},
};

/// Keeps topics watched, by the server's time. `KEYS`: the set. `ARGV`: milliseconds, the most
/// topics, topics. Returns 1 for each that was watched, 0 for each that was not, 2 for each too
/// many.
const WATCH: &str = "\
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local till = now + ARGV[1]
local most = tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
local size = redis.call('ZCARD', KEYS[1])
local answers = {}
for i = 3, #ARGV do
  local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if not score and size >= most then
    answers[i - 2] = 2
  else
    if not score or tonumber(score) < till then
      redis.call('ZADD', KEYS[1], string.format('%.0f', till), ARGV[i])
    end
    if score then
      answers[i - 2] = 1
    else
      answers[i - 2] = 0
      size = size + 1
    end
  end
end
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if last[2] then
  redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', tonumber(last[2])))
end
return answers
";

/// What is watched. `KEYS`: the set. `ARGV`: the most topics.
const WATCHED: &str = "\
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local from = '(' .. string.format('%.0f', now)
return redis.call('ZRANGEBYSCORE', KEYS[1], from, '+inf', 'LIMIT', 0, ARGV[1])
";

/// The topics of one call, so that no call keeps the server from its locks for long.
const TOPICS_A_CALL: usize = 256;

/// The longest watch, a day.
const LIFETIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Both sides of hints on Redis. Clones share connections.
#[derive(Clone)]
pub struct RedisHints {
    deployment: Arc<str>,
    calls: Arc<Connection>,
    nodes: Arc<Nodes>,
    watch: LuaScript,
    watched: LuaScript,
}

impl RedisHints {
    /// Those of a deployment. Does not connect yet.
    #[must_use]
    pub fn new(url: RedisUrl, deployment: &str) -> Self {
        Self {
            deployment: deployment.into(),
            calls: Arc::new(Connection::new(url.clone())),
            nodes: Arc::new(Nodes::new(url)),
            watch: LuaScript::new(WATCH),
            watched: LuaScript::new(WATCHED),
        }
    }
}

impl fmt::Debug for RedisHints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisHints").finish_non_exhaustive()
    }
}

impl RedisHints {
    /// The tag of the set of what is watched. No pool's or source's: those contain a `#`.
    fn registry(&self) -> Tag {
        Tag::of(&format!("hints/{}", self.deployment))
    }

    fn channel(&self, tag: &Tag, topic: &Topic) -> String {
        tag.hints(topic.kind(), &self.deployment)
    }
}

#[async_trait]
impl HintPublisher for RedisHints {
    async fn watched(&self) -> Result<BTreeSet<Topic>, PortError> {
        let tag = self.registry();
        let (keys, most) = ([tag.watched()], [TOPICS_MAX.to_string()]);
        let texts: Vec<String> = self.calls.run(&self.watched, tag.slot(), &keys, &most).await?;
        // What is no topic is one of a newer gateway, which this worker cannot serve.
        Ok(texts.iter().filter_map(|text| text.parse().ok()).collect())
    }

    async fn publish(&self, topic: &Topic, frame: &Frame) -> Result<(), PortError> {
        let tag = Tag::of(&topic.scope());
        let (channel, bytes) = (self.channel(&tag, topic), encode(frame));
        let command = |name: &str| {
            let mut command = redis::cmd(name);
            command.arg(&channel).arg(&bytes);
            command
        };
        let sharded = command("SPUBLISH");
        self.calls.ask_or(tag.slot(), &sharded, || command("PUBLISH")).await
    }
}

#[async_trait]
impl HintSubscriber for RedisHints {
    async fn watch(&self, topics: &[Topic], lifetime: Duration) -> Result<Vec<Watched>, PortError> {
        let tag = self.registry();
        let keys = [tag.watched()];
        let lifetime = milliseconds(lifetime.min(LIFETIME_MAX)).to_string();
        let mut watched = Vec::with_capacity(topics.len());
        for topics in topics.chunks(TOPICS_A_CALL) {
            let limits = [lifetime.clone(), TOPICS_MAX.to_string()];
            let arguments: Vec<String> =
                limits.into_iter().chain(topics.iter().map(Topic::to_string)).collect();
            let answers: Vec<u8> =
                self.calls.run(&self.watch, tag.slot(), &keys, &arguments).await?;
            watched.extend(answers.into_iter().map(|answer| match answer {
                0 => Watched::Begun,
                1 => Watched::Kept,
                _ => Watched::Refused,
            }));
        }
        Ok(watched)
    }

    async fn subscribe(&self, topic: &Topic) -> Result<Box<dyn HintSubscription>, PortError> {
        let tag = Tag::of(&topic.scope());
        let subscription = self.nodes.subscribe(tag.slot(), self.channel(&tag, topic)).await?;
        Ok(Box::new(subscription))
    }
}
