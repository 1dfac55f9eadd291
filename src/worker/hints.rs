//! Announces commits to gateways that watch, after the commit and never waited for.
//!
//! ```text
//! commit ─► announcements: numbered, into a bounded queue ─► sending: frames ─► publisher
//!                 ▲ each second: what is watched, heartbeats
//! ```
//!
//! What does not fit the queue is dropped and counted, and its numbers with it, so that the next
//! frame shows the gap.

mod sending;
mod topics;
mod written;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::mpsc::{Receiver, Sender, channel, error::TrySendError},
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tracing::debug;

use self::{
    sending::{Outgoing, QueuedBytes},
    topics::Topics,
};
use super::{Event, Observer};
use crate::{
    domain::PoolId,
    ports::{
        CommitError, Consumed, Entropy, HintPublisher, PortError, Publication, Transaction,
        hints::{Hint, Topic},
    },
};

/// Announcements that wait to be sent.
const QUEUE_MAX: usize = 1_024;

/// Between two looks at what is watched, and between heartbeats.
const TICK: Duration = Duration::from_secs(1);

/// The longest look at what is watched, and the longest publish.
const CALL_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest that the last announcements may take when the worker stops.
const FAREWELL_TIMEOUT: Duration = Duration::from_millis(500);

/// What became of hints: the values of a label.
pub const OUTCOMES: [&str; 3] = [PUBLISHED, DROPPED, FAILED];

const PUBLISHED: &str = "published";
const DROPPED: &str = "dropped";
const FAILED: &str = "failed";

/// Announces what a worker commits. Costs a check where it is off.
pub struct Announcer(Option<Inner>);

struct Inner {
    publisher: Arc<dyn HintPublisher>,
    entropy: Arc<dyn Entropy>,
    observer: Arc<dyn Observer>,
    topics: Mutex<Topics>,
    queue: Sender<Outgoing>,
    bytes: QueuedBytes,
    queued: tokio::sync::Mutex<Receiver<Outgoing>>,
}

impl Announcer {
    /// Announces nothing.
    #[must_use]
    pub fn off() -> Self {
        Self(None)
    }

    /// Announces to a publisher, as long as the worker runs.
    #[must_use]
    pub fn new(
        publisher: Arc<dyn HintPublisher>,
        entropy: Arc<dyn Entropy>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let (queue, queued) = channel(QUEUE_MAX);
        let (topics, bytes) = (Mutex::default(), QueuedBytes::default());
        let queued = tokio::sync::Mutex::new(queued);
        Self(Some(Inner { publisher, entropy, observer, topics, queue, bytes, queued }))
    }

    /// A transaction was sent. One whose answer is lost may have been applied, now or in a moment.
    pub(super) fn committed(
        &self,
        transaction: &Transaction,
        result: &Result<Consumed, CommitError>,
    ) {
        let Some(inner) = &self.0 else { return };
        match result {
            Ok(_) => inner.announce(transaction),
            Err(CommitError::Port(PortError::Unavailable(_))) => {
                let mut topics = inner.topics();
                for pool in written::pools(transaction) {
                    topics.unsure(&pool, Instant::now());
                    inner.announce_on(&mut topics, Topic::Changes(pool), vec![Hint::ReadAgain]);
                }
            }
            Err(_) => {}
        }
    }

    /// The topics of a result that are watched: its pool's, and those of who sent its command and of
    /// who made the reservation.
    pub(super) fn results_watched(
        &self,
        pool: Option<&PoolId>,
        result: &Publication,
    ) -> BTreeSet<Topic> {
        let Some(inner) = &self.0 else { return BTreeSet::new() };
        let topics = inner.topics();
        if !topics.has_results() {
            return BTreeSet::new();
        }
        let of_pool = pool.map(|pool| Topic::Results(pool.clone()));
        let sources = ["command_source", "reservation_source"].into_iter();
        let sources = sources.filter_map(|name| result.attributes.get(name)?.parse().ok());
        let wanted = of_pool.into_iter().chain(sources.map(Topic::ResultsOf));
        wanted.filter(|topic| topics.is_watched(topic)).collect()
    }

    /// A result was published.
    pub(super) fn published(&self, topics: BTreeSet<Topic>, body: &Arc<str>) {
        let Some(inner) = &self.0 else { return };
        let mut known = inner.topics();
        for topic in topics {
            inner.announce_on(&mut known, topic, vec![Hint::Result(Arc::clone(body))]);
        }
    }

    /// Sends announcements, and keeps itself informed of what is watched, for as long as it is
    /// polled.
    pub(super) async fn run(&self) {
        match &self.0 {
            Some(inner) => {
                tokio::join!(inner.tick(), inner.send());
            }
            None => std::future::pending().await,
        }
    }

    /// Sends what is left, and tells gateways that nothing more comes. Once [`Self::run`] is no
    /// longer polled.
    pub(super) async fn farewell(&self) {
        let Some(inner) = &self.0 else { return };
        for outgoing in inner.topics().farewell() {
            inner.enqueue(outgoing);
        }
        // What is not sent in time is missed by gateways as that of a crashed worker would be.
        let _ = timeout(FAREWELL_TIMEOUT, inner.send_queued()).await;
    }
}

impl Inner {
    fn topics(&self) -> MutexGuard<'_, Topics> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self, transaction: &Transaction) {
        let mut topics = self.topics();
        for (topic, hints) in written::hints(transaction, &mut topics) {
            self.announce_on(&mut topics, topic, hints);
        }
    }

    fn announce_on(&self, topics: &mut Topics, topic: Topic, hints: Vec<Hint>) {
        if let Some(outgoing) = topics.number(topic, hints, Instant::now()) {
            self.enqueue(outgoing);
        }
    }

    /// Puts an announcement into the queue, or drops it. Called while the topics are locked, so
    /// that announcements of a topic are queued in the order of their numbers.
    fn enqueue(&self, outgoing: Outgoing) {
        let count = outgoing.frame.hints.len();
        let bytes = outgoing.bytes();
        if !self.bytes.add(bytes) {
            return self.report(DROPPED, count);
        }
        if let Err(TrySendError::Full(lost) | TrySendError::Closed(lost)) =
            self.queue.try_send(outgoing)
        {
            self.bytes.remove(bytes);
            self.report(DROPPED, lost.frame.hints.len());
        }
    }

    fn report(&self, outcome: &'static str, hints: usize) {
        if hints > 0 {
            self.observer.observe(&Event::Hints { outcome, hints });
        }
    }

    /// Each second: what is watched, then heartbeats.
    async fn tick(&self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await;
            let mut topics = self.topics();
            for outgoing in topics.heartbeats(Instant::now()) {
                self.enqueue(outgoing);
            }
        }
    }

    async fn look(&self) {
        self.topics().begin_look();
        let watched = match timeout(CALL_TIMEOUT, self.publisher.watched()).await {
            Ok(Ok(watched)) => watched,
            Ok(Err(error)) => return debug!(%error, "what is watched cannot be read"),
            Err(_) => return debug!("what is watched was not read in time"),
        };
        let mut topics = self.topics();
        for outgoing in topics.learn(watched, &*self.entropy, Instant::now()) {
            self.enqueue(outgoing);
        }
    }
}

#[cfg(test)]
#[cfg(feature = "embedded")]
mod tests;
