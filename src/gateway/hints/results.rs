//! The results of a pool or source, as they are announced.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, sleep_until};

use super::{Announcements, SETTLE, SUBSCRIBE_AGAIN, senders::Senders, watches::Watch};
use crate::ports::{
    HintSubscription,
    hints::{Frame, Hint, Received, Topic},
};

/// How often heartbeats and the watch are checked.
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// What a feed of results has heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeardResult {
    /// From here on, every worker announces results.
    Begin,
    /// A result: its CloudEvent in JSON.
    Result(Arc<str>),
    /// Results may have been lost.
    Gap,
}

/// The results of one topic, for one reader. Best effort: what is lost is said to be lost.
pub struct ResultsFeed {
    announcements: Announcements,
    topic: Topic,
    watch: Watch,
    subscription: Option<Box<dyn HintSubscription>>,
    senders: Senders,
    heard: VecDeque<HeardResult>,
    /// Until when all are expected to learn of the watch; `None` once they have.
    settles: Option<Instant>,
    /// Since when the topic has been watched without a break.
    watched_since: Option<Instant>,
    is_one_silent: bool,
    next_check: Instant,
}

impl ResultsFeed {
    pub(super) fn new(announcements: Announcements, topic: Topic) -> Self {
        let watch = announcements.watch(&topic);
        let now = Instant::now();
        Self {
            announcements,
            topic,
            watch,
            subscription: None,
            senders: Senders::default(),
            heard: VecDeque::new(),
            settles: Some(now + SETTLE),
            watched_since: None,
            is_one_silent: false,
            next_check: now,
        }
    }

    /// What is heard next. May be dropped at any time: the next one goes on where it was.
    pub async fn next(&mut self) -> HeardResult {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return heard;
            }
            let Some(subscription) = &mut self.subscription else {
                self.subscribe().await;
                continue;
            };
            tokio::select! {
                received = subscription.next() => self.receive(received),
                () = sleep_until(self.next_check) => self.check(),
            }
        }
    }

    async fn subscribe(&mut self) {
        match self.announcements.subscribe(&self.topic).await {
            Ok(subscription) => {
                self.subscription = Some(subscription);
                // What was published meanwhile is lost, unless this is the first time.
                let settled = Instant::now() + SETTLE;
                self.settles = self.settles.map(|settles| settles.max(settled));
                self.miss();
            }
            Err(_) => sleep(SUBSCRIBE_AGAIN).await,
        }
    }

    fn receive(&mut self, received: Received) {
        match received {
            Received::Frame(frame) => self.hear(frame),
            Received::Undecodable | Received::Overflow => self.miss(),
            Received::Lost => self.subscription = None,
        }
    }

    fn hear(&mut self, frame: Frame) {
        if !self.senders.hear(&frame, Instant::now()) {
            self.miss();
        }
        for hint in frame.hints {
            if let Hint::Result(body) = hint {
                self.heard.push_back(HeardResult::Result(body));
            }
        }
    }

    /// Says that results may have been lost, once at a time, and not before it has begun.
    fn miss(&mut self) {
        if self.settles.is_none() && self.heard.back() != Some(&HeardResult::Gap) {
            self.heard.push_back(HeardResult::Gap);
        }
    }

    fn check(&mut self) {
        let now = Instant::now();
        self.next_check = now + CHECK_EVERY;
        let since = self.watch.state().map(|state| state.since);
        if since != self.watched_since {
            self.watched_since = since;
            self.miss();
        }
        let was_silent =
            std::mem::replace(&mut self.is_one_silent, self.senders.is_one_silent(now));
        if self.is_one_silent && !was_silent {
            self.miss();
        }
        self.senders.forget_gone(now);
        let has_settled = self.settles.is_some_and(|settles| settles <= now)
            && since.is_some_and(|since| since + SETTLE <= now);
        if has_settled {
            self.settles = None;
            self.heard.push_back(HeardResult::Begin);
        }
    }
}
