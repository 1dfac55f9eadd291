//! Follows what workers announce: keeps the view current, and wakes those who await outcomes.
//!
//! ```text
//! view: pools that are kept ──┐                  ┌─► ViewCache::apply, trust, read again
//!                             ├─► one follower ──┤
//! commands: pools awaited ────┘    a topic       └─► OutcomePoller::wake
//! streams: a reader of results ─► Announcements::results
//! ```
//!
//! Hints make answers fresher, never righter: whatever is not announced, or lost, is found by the
//! next read of the pool. What they change is how soon that read has to be. A projection is trusted,
//! so that it need not be read every 2 to 30 s by each gateway, while
//!
//! - its topic has been watched, and subscribed to, for long enough that every worker has learnt of
//!   it ([`pools`]), and the watch was renewed in the last 5 s;
//! - numbers show no gap, and every worker that announces is heard each second ([`senders`]);
//! - reads have found no change that nobody announced ([`super::view`]);
//!
//! and it was read after all of that began. Anything else, and it is read again as often as its size
//! allows.

mod outcomes;
mod pools;
mod results;
mod senders;
mod watches;

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

use tokio::{
    task::{AbortHandle, JoinSet},
    time::{MissedTickBehavior, interval},
};

pub use self::results::{HeardResult, ResultsFeed};
use self::watches::{Watch, Watches};
use super::{Commands, observer::ViewObserver, view::ViewCache};
use crate::ports::{Entropy, HintSubscriber, HintSubscription, PortError, hints::Topic};

/// Between two looks at which topics are needed.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// From the loss of a subscription, or a failed one, to the next.
const SUBSCRIBE_AGAIN: Duration = Duration::from_millis(500);

/// From the beginning of a watch until every worker has learnt of it: workers look each second, and
/// a look takes a second at most.
const SETTLE: Duration = Duration::from_secs(3);

/// What workers announce. Clones share watches.
#[derive(Clone)]
pub struct Announcements {
    subscriber: Arc<dyn HintSubscriber>,
    watches: Arc<Watches>,
}

impl Announcements {
    /// Announcements that come from here. Nothing is watched until a [`Follower`] runs on them.
    #[must_use]
    pub fn new(subscriber: Arc<dyn HintSubscriber>) -> Self {
        let watches = Watches::new(Arc::clone(&subscriber));
        Self { subscriber, watches }
    }

    /// The results of a topic, from now on.
    #[must_use]
    pub fn results(&self, topic: Topic) -> ResultsFeed {
        ResultsFeed::new(self.clone(), topic)
    }

    fn watch(&self, topic: &Topic) -> Watch {
        self.watches.join(topic)
    }

    async fn subscribe(&self, topic: &Topic) -> Result<Box<dyn HintSubscription>, PortError> {
        self.subscriber.subscribe(topic).await
    }
}

/// What a follower needs.
#[derive(Clone)]
pub struct FollowerParts {
    /// What workers announce.
    pub announcements: Announcements,
    /// The view to keep current.
    pub views: ViewCache,
    /// The commands whose callers wait.
    pub commands: Arc<Commands>,
    /// Varies when pools are read again.
    pub entropy: Arc<dyn Entropy>,
    /// Counts hints.
    pub observer: Arc<dyn ViewObserver>,
}

/// Follows the pools that are kept in the view and those whose outcomes are awaited.
pub struct Follower {
    parts: FollowerParts,
}

impl Follower {
    /// Follows nothing until [`Self::run`] is polled.
    #[must_use]
    pub fn new(parts: FollowerParts) -> Self {
        Self { parts }
    }

    /// Follows, and keeps topics watched, for as long as it is polled.
    pub async fn run(&self) {
        tokio::join!(self.parts.announcements.watches.run(), self.look());
    }

    async fn look(&self) {
        let mut tasks = JoinSet::new();
        let mut followed = BTreeMap::<Topic, AbortHandle>::new();
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            while tasks.try_join_next().is_some() {}
            let pools = self.parts.views.followed().into_iter().map(Topic::Changes);
            let awaited = self.parts.commands.awaited_pools().into_iter().map(Topic::Outcomes);
            let wanted: BTreeSet<Topic> = pools.chain(awaited).collect();
            followed.retain(|topic, task| {
                let is_wanted = wanted.contains(topic);
                if !is_wanted {
                    task.abort();
                }
                is_wanted
            });
            for topic in wanted {
                if let Entry::Vacant(place) = followed.entry(topic) {
                    let task = self.follow(&mut tasks, place.key());
                    place.insert(task);
                }
            }
        }
    }

    fn follow(&self, tasks: &mut JoinSet<()>, topic: &Topic) -> AbortHandle {
        let watch = self.parts.announcements.watch(topic);
        match topic {
            Topic::Changes(pool) => {
                let follower = pools::PoolFollower::new(self.parts.clone(), pool.clone(), watch);
                tasks.spawn(follower.run())
            }
            topic => tasks.spawn(outcomes::follow(self.parts.clone(), topic.clone(), watch)),
        }
    }
}

/// Keeps topics watched, as a follower does.
#[cfg(test)]
pub(super) async fn run_watches(announcements: &Announcements) {
    announcements.watches.run().await;
}

#[cfg(test)]
mod tests;
