//! Isolation: a message that was received too often is handled alone and its attempts are counted.
//! A message that crashes the worker is eventually dead-lettered; an outage dead-letters none.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::SignedDuration;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tracing::{debug, warn};

use super::{
    Deferral, InFlight, LaneContext, Settled,
    entry::{self, LeasedEntry},
    redelivery_backoff::redelivery_backoff,
};
use crate::{
    domain::{Command, Timestamp},
    ports::{Attempt, AttemptStore, PortError},
    worker::{
        chunks::{self, LedgerStatus},
        dead_letters::Reason,
        failure::{Failure, NO_PLACE},
        outbox::Announcement,
        parsing::ParsedMessage,
        permits::BatchPermits,
        settings::Settings,
    },
};

/// The delay between tries to undo attempts that ended in an unavailable dependency.
const UNDO_EVERY: Duration = Duration::from_secs(1);

/// A message is dead-lettered only if none of its attempts was counted for this long: a worker
/// whose count lost its answer has that time to undo it.
const ATTEMPT_ROLLBACK_WINDOW: SignedDuration = SignedDuration::from_secs(20);

/// How long a message is hidden before it is dead-lettered: the rollback window plus clock skew.
pub(super) const DEAD_LETTER_DELAY: Duration = Duration::from_secs(23);

/// Attempts that ended in an unavailable dependency and are still counted. Each is undone as soon
/// as the store allows it, and before any other attempt is counted: an outage dead-letters no
/// message, and a crash costs a message at most one attempt.
#[derive(Clone, Default)]
pub(in crate::worker) struct UncountedAttempts {
    /// Message ids.
    counted: Arc<Mutex<VecDeque<String>>>,
    /// Held while the first of them is undone.
    settling: Arc<tokio::sync::Mutex<()>>,
    undoing: Arc<tokio::sync::Mutex<()>>,
}

/// The most messages that a worker isolates at a time, whatever its limit in flight.
const ISOLATED_MAX: usize = 16;

/// Isolated messages take at most one in this many of the messages in flight.
const ISOLATED_SHARE: usize = 100;

/// How long a message is hidden when no slot is free; at least half of this, with jitter.
const NO_PLACE_DELAY: Duration = Duration::from_secs(10);

/// The same while few messages wait and slots become free, as after an outage.
const NO_PLACE_DELAY_MOVING: Duration = Duration::from_secs(1);

/// The shorter delay applies for this long after an isolated message was last settled.
const MOVING_FOR: Duration = Duration::from_secs(5);

/// The shorter delay applies to at most this many messages since then. If more wait, they must not
/// dominate receives.
const MOVING_REFUSED_MAX: usize = ISOLATED_MAX;

/// Isolated messages of a worker are handled sequentially: side by side, a crash caused by one
/// would count against the others. A few wait for their turn, each with a slot for one message; a
/// message that finds no slot is released for a while. So stuck messages never take more room than
/// that, whatever their number.
#[derive(Clone)]
pub(in crate::worker) struct Isolation {
    turn: Arc<tokio::sync::Mutex<()>>,
    places: Arc<Semaphore>,
    turnover: Arc<Mutex<Turnover>>,
}

/// The state that determines the delay of a message that finds no slot.
#[derive(Default)]
struct Turnover {
    /// When the last isolated message was settled.
    settled: Option<Instant>,
    /// How many messages found no slot since then.
    refused: usize,
}

impl Isolation {
    pub(in crate::worker) fn new(settings: &Settings) -> Self {
        let places = (settings.messages_in_flight_max / ISOLATED_SHARE).clamp(1, ISOLATED_MAX);
        Self {
            turn: Arc::default(),
            places: Arc::new(Semaphore::new(places)),
            turnover: Arc::default(),
        }
    }

    fn turnover(&self) -> MutexGuard<'_, Turnover> {
        self.turnover.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settled(&self) {
        *self.turnover() = Turnover { settled: Some(Instant::now()), refused: 0 };
    }

    /// Records that a message found no slot. Returns how long to hide it.
    fn refused(&self) -> Duration {
        let mut turnover = self.turnover();
        turnover.refused = turnover.refused.saturating_add(1);
        let is_recent = turnover.settled.is_some_and(|at| at.elapsed() < MOVING_FOR);
        match is_recent && turnover.refused <= MOVING_REFUSED_MAX {
            true => NO_PLACE_DELAY_MOVING,
            false => NO_PLACE_DELAY,
        }
    }

    /// A slot to wait in, if one is free.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }
}

impl UncountedAttempts {
    fn counted(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, message_id: &str) {
        self.counted().push_back(message_id.to_owned());
    }

    fn first(&self) -> Option<String> {
        self.counted().front().cloned()
    }

    async fn settle(&self, store: &dyn AttemptStore) -> Result<(), Failure> {
        let _settling = self.settling.lock().await;
        while let Some(message_id) = self.first() {
            store.undo_attempt(&message_id).await?;
            self.counted().pop_front();
        }
        Ok(())
    }
}

impl LaneContext {
    /// Undoes the attempts that an outage counted, retrying until done or until the worker's grace
    /// has passed.
    pub(super) async fn undo_attempts(&self) {
        // One lane at a time is enough.
        let Ok(_alone) = self.uncounted.undoing.try_lock() else { return };
        while self.uncounted.first().is_some() {
            let Err(error) = self.uncounted.settle(&*self.context.store).await else { return };
            warn!(%error, "an attempt is still counted, to be undone later");
            tokio::time::sleep(UNDO_EVERY).await;
        }
    }

    /// A slot for the first of the messages, if one is free. An isolated message holds permits for
    /// itself alone; without a slot it holds none. The other messages are released and their
    /// permits returned.
    pub(super) async fn isolate(
        &self,
        waiting: &mut VecDeque<LeasedEntry>,
        permits: &mut BatchPermits,
        in_flight: &mut InFlight,
    ) -> Option<OwnedSemaphorePermit> {
        let place = self.isolation.place();
        let kept = if place.is_some() { entry::of_head(waiting) } else { 0 };
        let mut released = waiting.split_off(kept);
        let (messages, kibibytes) = entry::room_of(&released);
        let delay = match place {
            Some(_) => Duration::ZERO,
            None => {
                self.note_released(NO_PLACE, messages);
                self.isolation_delay(&released)
            }
        };
        self.release(released.make_contiguous(), delay).await;
        permits.give_back(messages, kibibytes);
        in_flight.leave(messages);
        place
    }

    /// How long to hide a message that found no slot, with jitter so that not all return at once.
    pub(super) fn isolation_delay<'a>(
        &self,
        released: impl IntoIterator<Item = &'a LeasedEntry>,
    ) -> Duration {
        let Some(head) = released.into_iter().next().map(LeasedEntry::delivery) else {
            return Duration::ZERO;
        };
        debug!(group = head.group.as_str(), head.receive_count, "no place to be handled alone");
        let delay = self.isolation.refused();
        let spread = delay.mul_f64(f64::midpoint(1.0, self.context.entropy.fraction()));
        spread.max(redelivery_backoff(head.receive_count))
    }

    /// How many of the first commands of a batch that was received too often have an outcome: they
    /// need no attempt of their own. None of a message of one command.
    pub(super) async fn decided_before(&self, waiting: &VecDeque<LeasedEntry>) -> usize {
        let of_head = entry::of_head(waiting);
        if of_head <= 1 {
            return 0;
        }
        let commands: Vec<&Command> = waiting
            .iter()
            .take(of_head)
            .map_while(|held| match held.parsed() {
                ParsedMessage::Command(decoded) => Some(&decoded.command),
                ParsedMessage::Unreadable(_) => None,
            })
            .collect();
        chunks::decided_before(&*self.context.store, &commands).await
    }

    /// Publishes outcomes that are in the ledger. One that cannot be published is handled as one
    /// without outcome, its attempts are counted; those behind it follow once it is dealt with.
    pub(super) async fn process_known(
        &self,
        known: &[LeasedEntry],
        mut announcement: Announcement,
    ) -> Settled {
        // Until the last of them: a message that waits for a turn has a slot to wait in.
        let _place = announcement.take_place();
        let mut all = self.batch(known, announcement).await;
        while let (Some(Failure::Poison(_)), Some(refused)) =
            (&all.failure, known.get(all.done..).and_then(|left| left.get(..1)))
        {
            all.then(self.process_isolated(refused, self.outbox.expect()).await);
            let left = known.get(all.done..).unwrap_or_default();
            if all.failure.is_some() || left.is_empty() {
                break;
            }
            all.then(self.batch(left, self.outbox.expect()).await);
        }
        all
    }

    /// Handles an entry that was received too often alone, after counting its attempt.
    ///
    /// After its last allowed attempt it is dead-lettered, unless an attempt was counted a short
    /// while ago: then it is released untried.
    pub(super) async fn process_isolated(
        &self,
        head: &[LeasedEntry],
        announcement: Announcement,
    ) -> Settled {
        let Some(isolated) = head.first() else {
            return Settled { done: 0, failure: None, is_deleted: true, is_proof: false };
        };
        let _turn = self.isolation.turn.lock().await;
        let message_id = isolated.id();
        // The wait for its turn may have been long: an attempt that must not begin is not counted.
        if self.context.shutdown.working.is_cancelled() {
            return Settled::failed(Failure::Stopping);
        }
        if !isolated.lease().is_held() {
            return Settled::failed(Failure::LeaseLost);
        }
        let now = self.context.clock.now();
        let attempt = match self.count_attempt(message_id, now).await {
            Ok(attempt) => attempt,
            Err(failure) => return Settled::failed(failure),
        };
        let attempts_max = self.context.settings.attempts_max;
        let is_over = attempt.count > attempts_max;
        let may_be_dead_lettered = now.duration_since(attempt.before) >= ATTEMPT_ROLLBACK_WINDOW;
        let settled = if is_over && !may_be_dead_lettered {
            let what = format!("handled alone {attempts_max} times without outcome");
            Settled::failed(Failure::DeadLetterDeferred(what))
        } else if is_over {
            self.dead_letter_exhausted(isolated, attempts_max, announcement).await
        } else {
            self.batch(head, announcement).await
        };
        if settled.done > 0 {
            self.isolation.settled();
        }
        let is_undone =
            settled.failure.as_ref().is_some_and(|failure| !matches!(failure, Failure::Poison(_)));
        if is_undone {
            self.uncounted.add(message_id);
        }
        settled
    }

    /// Counts one more attempt. If the call was throttled or its answer lost, the attempt may have
    /// been counted: it is undone, and if it was not counted, the message gets one attempt too
    /// many.
    async fn count_attempt(&self, message_id: &str, now: Timestamp) -> Result<Attempt, Failure> {
        self.uncounted.settle(&*self.context.store).await?;
        let counted = self.context.store.record_attempt(message_id, now).await;
        if matches!(counted, Err(PortError::Unavailable(_) | PortError::Throttled(_))) {
            self.uncounted.add(message_id);
        }
        Ok(counted?)
    }

    /// Dead-letters the message, unless the ledger has the command: a begun command is never
    /// dead-lettered, and a decided one only if its outcome cannot be published, because then an
    /// operator must know.
    async fn dead_letter_exhausted(
        &self,
        isolated: &LeasedEntry,
        attempts: u32,
        mut announcement: Announcement,
    ) -> Settled {
        let status = match isolated.parsed() {
            ParsedMessage::Command(decoded) => {
                chunks::ledger_status(&*self.context.store, &decoded.command).await
            }
            ParsedMessage::Unreadable(undecodable) => {
                let reason = Reason::Unreadable(undecodable.rejection.code);
                return self
                    .dead_letter_and_delete(
                        isolated,
                        reason,
                        &undecodable.rejection.message,
                        announcement,
                    )
                    .await;
            }
        };
        match status {
            Err(failure) => Settled::failed(failure),
            Ok(LedgerStatus::Begun | LedgerStatus::Decided) => {
                let settled = self.batch(std::slice::from_ref(isolated), announcement).await;
                match (&settled.failure, status) {
                    (Some(Failure::Poison(what)), Ok(LedgerStatus::Decided)) => {
                        let detail = format!("its outcome stands and cannot be published: {what}");
                        self.dead_letter_and_delete(
                            isolated,
                            Reason::Poison,
                            &detail,
                            self.outbox.expect(),
                        )
                        .await
                    }
                    _ => settled,
                }
            }
            Ok(LedgerStatus::Unknown) => {
                let detail = format!("handled alone {attempts} times without outcome");
                if self.is_expiry(isolated) {
                    let reason = Deferral::Isolated;
                    let is_deleted =
                        self.defer_expiry(isolated, reason, &detail, &mut announcement).await;
                    return Settled { done: 1, failure: None, is_deleted, is_proof: false };
                }
                self.dead_letter_and_delete(isolated, Reason::Poison, &detail, announcement).await
            }
        }
    }

    pub(super) async fn dead_letter_and_delete(
        &self,
        isolated: &LeasedEntry,
        reason: Reason,
        detail: &str,
        mut announcement: Announcement,
    ) -> Settled {
        match self.dead_letter(isolated, reason, detail).await {
            Ok(()) => {
                let is_deleted =
                    self.delete(std::slice::from_ref(isolated), &mut announcement).await;
                Settled { done: 1, failure: None, is_deleted, is_proof: false }
            }
            Err(failure) => Settled::failed(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn messages_without_a_place_come_back_soon_while_few_wait_and_are_settled() {
        let isolation = Isolation::new(&Settings::default());
        assert_eq!(isolation.refused(), NO_PLACE_DELAY, "none was settled");
        isolation.settled();
        let delays: Vec<Duration> = (0..=MOVING_REFUSED_MAX).map(|_| isolation.refused()).collect();
        let (soon, late) = delays.split_at(MOVING_REFUSED_MAX);
        assert!(soon.iter().all(|delay| *delay == NO_PLACE_DELAY_MOVING));
        assert_eq!(late, [NO_PLACE_DELAY], "many wait");
        isolation.settled();
        tokio::time::advance(MOVING_FOR).await;
        assert_eq!(isolation.refused(), NO_PLACE_DELAY, "settled long ago");
    }
}
