//! Follows what workers announce: keeps the view current, and wakes those who await outcomes.
//!
//! ```text
//! view: pools that are kept ──┐                  ┌─► ViewCache::apply, trust, read again
//!                             ├─► one follower ──┤
//! commands: pools awaited ────┘    a topic       └─► OutcomePoller::wake
//! ```
//!
//! Hints make answers fresher, never righter: whatever is not announced, or lost, is found by the
//! next read of the pool. What they change is how soon that read has to be. A projection is trusted,
//! so that it need not be read every 2 s, while
//!
//! - its topic has been watched, and subscribed to, for long enough that every worker has learnt of
//!   it ([`pools`]), and the watch was renewed in the last 5 s;
//! - numbers show no gap, and every worker that announces is heard each second ([`senders`]);
//! - reads have found no change that nobody announced ([`super::view`]);
//!
//! and it was read after all of that began. Anything else, and it is read every 2 s again.

mod outcomes;
mod pools;
mod senders;
mod watches;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    task::{AbortHandle, JoinSet},
    time::{MissedTickBehavior, interval},
};

use self::watches::Watches;
use super::{Commands, observer::ViewObserver, view::ViewCache};
use crate::ports::{Entropy, HintSubscriber, hints::Topic};

/// Between two looks at which topics are needed.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// From the loss of a subscription, or a failed one, to the next.
const SUBSCRIBE_AGAIN: Duration = Duration::from_millis(500);

/// What a follower needs.
#[derive(Clone)]
pub struct FollowerParts {
    /// Where hints come from.
    pub subscriber: Arc<dyn HintSubscriber>,
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
    watches: Arc<Watches>,
}

impl Follower {
    /// Follows nothing until [`Self::run`] is polled.
    #[must_use]
    pub fn new(parts: FollowerParts) -> Self {
        let watches = Watches::new(Arc::clone(&parts.subscriber));
        Self { parts, watches }
    }

    /// Follows for as long as it is polled.
    pub async fn run(&self) {
        tokio::join!(self.watches.run(), self.look());
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
            let wanted: Vec<Topic> = pools.chain(awaited).collect();
            followed.retain(|topic, task| {
                let is_wanted = wanted.contains(topic);
                if !is_wanted {
                    task.abort();
                }
                is_wanted
            });
            for topic in wanted {
                if !followed.contains_key(&topic) {
                    let task = self.follow(&mut tasks, &topic);
                    followed.insert(topic, task);
                }
            }
        }
    }

    fn follow(&self, tasks: &mut JoinSet<()>, topic: &Topic) -> AbortHandle {
        let watch = self.watches.join(topic);
        match topic {
            Topic::Changes(pool) => {
                let follower = pools::PoolFollower::new(self.parts.clone(), pool.clone(), watch);
                tasks.spawn(follower.run())
            }
            topic => tasks.spawn(outcomes::follow(self.parts.clone(), topic.clone(), watch)),
        }
    }
}

#[cfg(test)]
mod tests;
