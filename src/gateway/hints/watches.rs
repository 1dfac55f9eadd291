//! Keeps topics watched, so that workers announce what they commit.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::debug;

use crate::ports::{
    HintSubscriber,
    hints::{TOPICS_MAX, Topic, Watched},
};

/// Between two renewals of all watches.
const RENEW_EVERY: Duration = Duration::from_secs(1);

/// How long a watch lives without a renewal.
const LIFETIME: Duration = Duration::from_secs(10);

/// How long after its last renewal a watch is relied upon: half its lifetime, for clocks that run
/// differently.
const RELIED_ON: Duration = Duration::from_secs(5);

/// The longest renewal.
const CALL_TIMEOUT: Duration = Duration::from_secs(1);

/// A watch, as far as this process knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WatchState {
    /// Since when it has been running without a break.
    pub(super) since: Instant,
    /// Until when it is relied upon.
    pub(super) until: Instant,
}

/// Each topic's state, and how many need it.
type Topics = BTreeMap<Topic, (usize, Option<WatchState>)>;

/// All watches of this process.
pub(super) struct Watches {
    subscriber: Arc<dyn HintSubscriber>,
    topics: Mutex<Topics>,
    joined: tokio::sync::Notify,
}

/// Keeps a topic watched for as long as it lives.
pub(super) struct Watch {
    watches: Arc<Watches>,
    topic: Topic,
}

impl Watches {
    pub(super) fn new(subscriber: Arc<dyn HintSubscriber>) -> Arc<Self> {
        Arc::new(Self { subscriber, topics: Mutex::default(), joined: tokio::sync::Notify::new() })
    }

    /// Joins those who need a topic watched.
    pub(super) fn join(self: &Arc<Self>, topic: &Topic) -> Watch {
        let mut topics = self.topics();
        topics.entry(topic.clone()).or_default().0 += 1;
        drop(topics);
        self.joined.notify_one();
        Watch { watches: Arc::clone(self), topic: topic.clone() }
    }

    /// Renews watches for as long as it is polled: each second, and for a new topic at once.
    pub(super) async fn run(&self) {
        let mut ticks = interval(RENEW_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = ticks.tick() => self.renew(|_| true).await,
                () = self.joined.notified() => self.renew(|state| state.is_none()).await,
            }
        }
    }

    async fn renew(&self, wanted: impl Fn(Option<WatchState>) -> bool) {
        let topics: Vec<Topic> = {
            let topics = self.topics();
            let wanted = topics.iter().filter(|(_, (_, state))| wanted(*state));
            wanted.map(|(topic, _)| topic.clone()).take(TOPICS_MAX).collect()
        };
        if topics.is_empty() {
            return;
        }
        let asked = Instant::now();
        match timeout(CALL_TIMEOUT, self.subscriber.watch(&topics, LIFETIME)).await {
            Ok(Ok(answers)) => self.learn(&topics, &answers, asked),
            Ok(Err(error)) => debug!(%error, "watches cannot be renewed"),
            Err(_) => debug!("watches were not renewed in time"),
        }
    }

    fn learn(&self, topics: &[Topic], answers: &[Watched], asked: Instant) {
        let now = Instant::now();
        let mut known = self.topics();
        for (topic, answer) in topics.iter().zip(answers) {
            let Some((_, state)) = known.get_mut(topic) else { continue };
            let since = match (answer, &state) {
                (Watched::Kept, Some(state)) if now < state.until => state.since,
                (Watched::Kept | Watched::Begun, _) => now,
                (Watched::Refused, _) => {
                    *state = None;
                    continue;
                }
            };
            *state = Some(WatchState { since, until: asked + RELIED_ON });
        }
    }

    fn topics(&self) -> MutexGuard<'_, Topics> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// The watch, if it is relied upon.
    pub(super) fn state(&self) -> Option<WatchState> {
        let topics = self.watches.topics();
        let (_, state) = topics.get(&self.topic)?;
        state.filter(|state| Instant::now() < state.until)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut topics = self.watches.topics();
        let Some((users, _)) = topics.get_mut(&self.topic) else { return };
        *users = users.saturating_sub(1);
        if *users == 0 {
            topics.remove(&self.topic);
        }
    }
}
