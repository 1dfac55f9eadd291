//! What is watched, and the numbers of what was announced.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;
use uuid::Uuid;

use super::sending::Outgoing;
use crate::{
    domain::PoolId,
    ports::{
        Entropy,
        hints::{Frame, Hint, Topic},
    },
};

/// A topic without a hint for so long is idle: its heartbeats end with one that says so.
const IDLE_AFTER: Duration = Duration::from_secs(10);

/// "Read again" is announced no more often than this; the last one is made up for.
const READ_AGAIN_EVERY: Duration = Duration::from_millis(500);

/// How long a transaction without an answer may still be applied.
const UNSURE: Duration = Duration::from_secs(3);

/// Topics written to while nobody watched them, between two looks. Beyond them, any topic is taken
/// for one.
const UNWATCHED_MAX: usize = 10_000;

/// The topics that are watched, as far as this worker knows.
#[derive(Default)]
pub(super) struct Topics {
    by_topic: BTreeMap<Topic, Announced>,
    has_results: bool,
    unwatched: Unwatched,
}

/// What was announced on a topic.
struct Announced {
    stream: Uuid,
    last: u64,
    /// When the last hint was announced.
    at: Instant,
    is_idle: bool,
    read_again_at: Option<Instant>,
    owes_read_again: bool,
    unsure_until: Option<Instant>,
}

impl Announced {
    fn begin(stream: Uuid, now: Instant) -> Self {
        Self {
            stream,
            last: 0,
            at: now,
            is_idle: true,
            read_again_at: None,
            owes_read_again: false,
            unsure_until: None,
        }
    }

    /// Whether "read again" may be announced now; if not, it is owed.
    fn may_read_again(&mut self, now: Instant) -> bool {
        let is_early =
            self.read_again_at.is_some_and(|at| now.duration_since(at) < READ_AGAIN_EVERY);
        self.owes_read_again = is_early;
        if !is_early {
            self.read_again_at = Some(now);
        }
        !is_early
    }

    fn number(&mut self, topic: &Topic, hints: Vec<Hint>, now: Instant) -> Outgoing {
        self.last = self.last.saturating_add(u64::try_from(hints.len()).unwrap_or(u64::MAX));
        (self.at, self.is_idle) = (now, false);
        self.outgoing(topic, hints)
    }

    /// What each second has to say: a "read again" that is owed, or a heartbeat, or nothing.
    fn heartbeat(&mut self, topic: &Topic, now: Instant) -> Option<Outgoing> {
        let is_unsure = self.unsure_until.is_some_and(|until| now < until);
        if (self.owes_read_again || is_unsure) && self.may_read_again(now) {
            return Some(self.number(topic, vec![Hint::ReadAgain], now));
        }
        if self.is_idle {
            return None;
        }
        self.is_idle = now.duration_since(self.at) >= IDLE_AFTER;
        Some(self.outgoing(topic, Vec::new()))
    }

    fn outgoing(&self, topic: &Topic, hints: Vec<Hint>) -> Outgoing {
        let Self { stream, last, is_idle, .. } = *self;
        Outgoing { topic: topic.clone(), frame: Frame { stream, last, hints, is_idle } }
    }
}

impl Topics {
    pub(super) fn is_watched(&self, topic: &Topic) -> bool {
        self.by_topic.contains_key(topic)
    }

    /// Whether anybody watches results.
    pub(super) fn has_results(&self) -> bool {
        self.has_results
    }

    /// Something was written of a topic that nobody watches, as far as is known.
    pub(super) fn note_unwatched(&mut self, topic: Topic) {
        self.unwatched.note(topic);
    }

    /// A transaction on a pool has no answer: the pool is to be read again for a while.
    pub(super) fn unsure(&mut self, pool: &PoolId, now: Instant) {
        let topic = Topic::Changes(pool.clone());
        match self.by_topic.get_mut(&topic) {
            Some(announced) => announced.unsure_until = Some(now + UNSURE),
            None => self.unwatched.note(topic),
        }
    }

    /// Numbers hints of a topic; `None` where it is not watched, or where "read again" alone was
    /// announced a moment ago.
    pub(super) fn number(
        &mut self,
        topic: Topic,
        mut hints: Vec<Hint>,
        now: Instant,
    ) -> Option<Outgoing> {
        let announced = self.by_topic.get_mut(&topic)?;
        if hints.contains(&Hint::ReadAgain) && !announced.may_read_again(now) {
            hints.retain(|hint| *hint != Hint::ReadAgain);
        }
        (!hints.is_empty()).then(|| announced.number(&topic, hints, now))
    }

    /// A look at what is watched begins.
    pub(super) fn begin_look(&mut self) {
        self.unwatched.begin_look();
    }

    /// What is watched now, by a look that has begun. Returns what there is to say about topics that
    /// were written to before this worker learnt of them.
    pub(super) fn learn(
        &mut self,
        watched: BTreeSet<Topic>,
        entropy: &dyn Entropy,
        now: Instant,
    ) -> Vec<Outgoing> {
        self.by_topic.retain(|topic, _| watched.contains(topic));
        let mut news = Vec::new();
        for topic in watched {
            if self.by_topic.contains_key(&topic) {
                continue;
            }
            let mut announced = Announced::begin(entropy.uuid(), now);
            if matches!(topic, Topic::Changes(_)) && self.unwatched.has(&topic) {
                announced.read_again_at = Some(now);
                news.push(announced.number(&topic, vec![Hint::ReadAgain], now));
            }
            self.by_topic.insert(topic, announced);
        }
        let is_results = |topic: &Topic| matches!(topic, Topic::Results(_) | Topic::ResultsOf(_));
        self.has_results = self.by_topic.keys().any(is_results);
        self.unwatched.end_look();
        news
    }

    /// What each second has to say. Outcomes need no heartbeats: nobody minds a lost one for long.
    pub(super) fn heartbeats(&mut self, now: Instant) -> Vec<Outgoing> {
        let beating =
            self.by_topic.iter_mut().filter(|(topic, _)| !matches!(topic, Topic::Outcomes(_)));
        beating.filter_map(|(topic, announced)| announced.heartbeat(topic, now)).collect()
    }

    /// The last heartbeats.
    pub(super) fn farewell(&mut self) -> Vec<Outgoing> {
        let active = self.by_topic.iter_mut().filter(|(_, announced)| !announced.is_idle);
        active
            .map(|(topic, announced)| {
                announced.is_idle = true;
                announced.outgoing(topic, Vec::new())
            })
            .collect()
    }
}

/// Topics that were written to although nobody watched them, as far as was known.
///
/// A topic that a look finds for the first time was watched by nobody when the look before it
/// began, or that look would have found it. So what was written since then may be what its watcher
/// misses.
#[derive(Default)]
struct Unwatched {
    /// Since the last successful look began, until the one under way began.
    before: Noted,
    /// Since then.
    since: Noted,
}

#[derive(Default)]
struct Noted {
    topics: BTreeSet<Topic>,
    is_full: bool,
}

impl Noted {
    fn has(&self, topic: &Topic) -> bool {
        self.is_full || self.topics.contains(topic)
    }

    fn add(&mut self, topic: Topic) {
        if self.topics.len() >= UNWATCHED_MAX {
            self.is_full = true;
            self.topics.clear();
        }
        if !self.is_full {
            self.topics.insert(topic);
        }
    }
}

impl Unwatched {
    fn note(&mut self, topic: Topic) {
        self.since.add(topic);
    }

    fn has(&self, topic: &Topic) -> bool {
        self.before.has(topic) || self.since.has(topic)
    }

    fn begin_look(&mut self) {
        let since = std::mem::take(&mut self.since);
        // A look that failed leaves what was before it.
        self.before.is_full |= since.is_full;
        for topic in since.topics {
            self.before.add(topic);
        }
    }

    /// The look that is over found what is watched: what was written before it began is known to be
    /// of no one's interest.
    fn end_look(&mut self) {
        self.before = Noted::default();
    }
}
