//! Follows the changes of one pool.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tracing::debug;

use super::{FollowerParts, SETTLE, SUBSCRIBE_AGAIN, senders::Senders, watches::Watch};
use crate::{
    domain::PoolId,
    gateway::{
        observer::HintOutcome,
        view::{Applied, Hint as Change, LineEntry, SeatEntry, Trust},
    },
    ports::{
        HintSubscription,
        hints::{Frame, Hint, Received, Topic},
    },
};

/// How often heartbeats and the watch are checked.
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// Between two reads of the pool for what hints left out, at least.
const READ_EVERY: Duration = Duration::from_secs(1);

/// How far such a read is put off at most, so that the pools of many gateways are not read at once.
const READ_JITTER: Duration = Duration::from_millis(250);

/// How long announcements are not trusted after a read found a change that nobody announced.
const DISTRUST: Duration = Duration::from_secs(60);

/// Follows one pool until it is dropped.
pub(super) struct PoolFollower {
    parts: FollowerParts,
    pool: PoolId,
    watch: Watch,
    senders: Senders,
    /// A read that begins no earlier, and the hints since, have every change.
    complete_from: Instant,
    /// A worker that should be heard from is not.
    is_one_silent: bool,
    /// Until when announcements are not trusted, as one was missing.
    distrusted_until: Option<Instant>,
    /// When something was missed last.
    missed_at: Instant,
    /// When to read the pool again.
    read_at: Option<Instant>,
    last_read: Option<Instant>,
}

impl PoolFollower {
    pub(super) fn new(parts: FollowerParts, pool: PoolId, watch: Watch) -> Self {
        Self {
            parts,
            pool,
            watch,
            senders: Senders::default(),
            complete_from: Instant::now(),
            missed_at: Instant::now(),
            is_one_silent: false,
            distrusted_until: None,
            read_at: None,
            last_read: None,
        }
    }

    /// Subscribes, and again whenever the subscription is lost.
    pub(super) async fn run(mut self) {
        let topic = Topic::Changes(self.pool.clone());
        loop {
            match self.parts.announcements.subscribe(&topic).await {
                Ok(subscription) => {
                    self.complete_from = Instant::now() + SETTLE;
                    self.receive(subscription).await;
                    self.count(HintOutcome::Lost);
                }
                Err(error) => debug!(pool = %self.pool, %error, "hints cannot be subscribed to"),
            }
            self.parts.views.trust(&self.pool, None);
            let jitter = SUBSCRIBE_AGAIN.mul_f64(self.parts.entropy.fraction());
            sleep(SUBSCRIBE_AGAIN + jitter).await;
        }
    }

    /// Receives until the subscription is lost.
    async fn receive(&mut self, mut subscription: Box<dyn HintSubscription>) {
        let mut checks = interval(CHECK_EVERY);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let read_at = self.read_at;
            let due = async {
                match read_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = due => self.read_again(),
                _ = checks.tick() => self.check(),
                received = subscription.next() => match received {
                    Received::Frame(frame) => self.hear(&frame),
                    Received::Undecodable => self.miss(HintOutcome::Undecodable),
                    Received::Overflow => self.miss(HintOutcome::Overflow),
                    Received::Lost => return,
                },
            }
        }
    }

    fn count(&self, outcome: HintOutcome) {
        self.parts.observer.hint(outcome);
    }

    fn hear(&mut self, frame: &Frame) {
        if !self.senders.hear(frame, Instant::now()) {
            self.miss(HintOutcome::Gap);
        }
        for hint in &frame.hints {
            match hint {
                Hint::ReadAgain => self.miss(HintOutcome::ReadAgain),
                Hint::Seat(seat) => {
                    self.apply(&Change::Seat(seat.number.clone(), SeatEntry::from(seat)));
                }
                Hint::Line(line) => {
                    self.apply(&Change::Line(line.sku.clone(), LineEntry::from(line)))
                }
                // Of other topics.
                Hint::Decided(_) | Hint::Result(_) => {}
            }
        }
    }

    fn apply(&mut self, change: &Change) {
        match self.parts.views.apply(&self.pool, change) {
            Applied::Changed => self.count(HintOutcome::Applied),
            Applied::Known => self.count(HintOutcome::Known),
            Applied::Unknown => {
                self.count(HintOutcome::Unknown);
                self.plan_read();
            }
        }
    }

    /// Something may be missing from here on back: only a later read has all.
    fn miss(&mut self, outcome: HintOutcome) {
        self.count(outcome);
        self.missed_at = Instant::now();
        self.complete_from = self.complete_from.max(self.missed_at);
        self.parts.views.clear_unannounced(&self.pool);
        self.tell();
        self.plan_read();
    }

    fn plan_read(&mut self) {
        if self.read_at.is_none() {
            let jitter = READ_JITTER.mul_f64(self.parts.entropy.fraction());
            let soon = Instant::now() + jitter;
            self.read_at = Some(self.last_read.map_or(soon, |last| soon.max(last + READ_EVERY)));
        }
    }

    /// Reads the pool, if it was read before what is missing and somebody asks for it.
    fn read_again(&mut self) {
        let now = Instant::now();
        self.read_at = None;
        if self.parts.views.read_again(&self.pool, self.missed_at) {
            self.last_read = Some(now);
            // A read under way that began too early is followed by another one.
            self.read_at = Some(now + READ_EVERY);
        }
    }

    /// Each half second: whether announcements are still to be trusted.
    fn check(&mut self) {
        let now = Instant::now();
        let was_silent =
            std::mem::replace(&mut self.is_one_silent, self.senders.is_one_silent(now));
        if self.is_one_silent && !was_silent {
            self.miss(HintOutcome::Silent);
        }
        // Silence may have hidden something until its very end.
        if was_silent && !self.is_one_silent || self.senders.forget_gone(now) {
            self.complete_from = self.complete_from.max(now);
        }
        if self.parts.views.has_unannounced(&self.pool) {
            self.distrusted_until = Some(now + DISTRUST);
            self.miss(HintOutcome::Unannounced);
        }
        if self.distrusted_until.is_some_and(|until| now >= until) {
            self.distrusted_until = None;
            self.complete_from = self.complete_from.max(now);
        }
        self.tell();
    }

    /// Tells the view how far the projection is to be trusted.
    fn tell(&mut self) {
        let is_trusted = !self.is_one_silent && self.distrusted_until.is_none();
        let watched = self.watch.state().filter(|_| is_trusted);
        let trust = watched.map(|watched| {
            self.complete_from = self.complete_from.max(watched.since + SETTLE);
            Trust { from: self.complete_from, until: watched.until }
        });
        self.parts.views.trust(&self.pool, trust);
    }
}
