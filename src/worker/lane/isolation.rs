//! Isolation: a message that was received too often is handled alone, and its attempts are counted,
//! so that one that kills or baffles the worker ends in the dead letters and an outage
//! dead-letters none.

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
    Deferral, InFlight, LaneContext, LeasedMessage, Settled, redelivery_backoff::redelivery_backoff,
};
use crate::{
    domain::Timestamp,
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

/// Between two tries to take back attempts that ended in an unavailable dependency.
const UNDO_EVERY: Duration = Duration::from_secs(1);

/// A message is dead-lettered only if no attempt of it was counted for so long: a worker whose count
/// lost its answer has that time to undo it.
const ATTEMPT_ROLLBACK_WINDOW: SignedDuration = SignedDuration::from_secs(20);

/// How long a message is hidden to be quiet for that long, by clocks that differ.
pub(super) const DEAD_LETTER_DELAY: Duration = Duration::from_secs(23);

/// Attempts that ended in an unavailable dependency and are still counted. Each is undone
/// as soon as the store allows it, and before any other attempt is counted: an outage
/// dead-letters none, and a crash costs a message no more than one attempt.
#[derive(Clone, Default)]
pub(in crate::worker) struct UncountedAttempts {
    /// By the message's id.
    counted: Arc<Mutex<VecDeque<String>>>,
    /// Held while the first of them is undone.
    settling: Arc<tokio::sync::Mutex<()>>,
    undoing: Arc<tokio::sync::Mutex<()>>,
}

/// The most messages that a worker isolates at a time, however much room it has.
const ISOLATED_MAX: usize = 16;

/// Isolated messages take at most this share of the messages in flight.
const ISOLATED_SHARE: usize = 100;

/// How long a message that finds no place is hidden, at least half of it.
const NO_PLACE_DELAY: Duration = Duration::from_secs(10);

/// The same while few wait and are being settled, as after an outage: places become free.
const NO_PLACE_DELAY_MOVING: Duration = Duration::from_secs(1);

/// How long ago the last message was settled, at most, for that.
const MOVING_FOR: Duration = Duration::from_secs(5);

/// How many found no place since then, at most: where more wait, receives are not for them alone.
const MOVING_REFUSED_MAX: usize = ISOLATED_MAX;

/// Isolated messages of a worker are handled one after the other: were they handled side by side,
/// a crash caused by one would count against the others. A few wait for their turn, each with room
/// for one message; one that finds no place is released for a while. So what is stuck never takes
/// more of the worker's room than that, whatever its number.
#[derive(Clone)]
pub(in crate::worker) struct Isolation {
    turn: Arc<tokio::sync::Mutex<()>>,
    places: Arc<Semaphore>,
    turnover: Arc<Mutex<Turnover>>,
}

/// What the delay of a message rests on that finds no place.
#[derive(Default)]
struct Turnover {
    /// When the last isolated message was settled.
    settled: Option<Instant>,
    /// How many found no place since.
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

    /// A message found no place. Gives for how long it is hidden.
    fn refused(&self) -> Duration {
        let mut turnover = self.turnover();
        turnover.refused = turnover.refused.saturating_add(1);
        let is_recent = turnover.settled.is_some_and(|at| at.elapsed() < MOVING_FOR);
        match is_recent && turnover.refused <= MOVING_REFUSED_MAX {
            true => NO_PLACE_DELAY_MOVING,
            false => NO_PLACE_DELAY,
        }
    }

    /// A place to wait in, if there is one.
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
    /// Takes back what an outage had counted, for as long as it takes, or as the worker's grace
    /// lasts.
    pub(super) async fn undo_attempts(&self) {
        // One lane is enough.
        let Ok(_alone) = self.uncounted.undoing.try_lock() else { return };
        while self.uncounted.first().is_some() {
            let Err(error) = self.uncounted.settle(&*self.context.store).await else { return };
            warn!(%error, "an attempt is still counted, to be undone later");
            tokio::time::sleep(UNDO_EVERY).await;
        }
    }

    /// A place for the first of the messages, if there is one. What waits alone holds room for one
    /// message, and without a place for none: the others are released, and what room they had is
    /// given back.
    pub(super) async fn isolate(
        &self,
        waiting: &mut VecDeque<LeasedMessage>,
        permits: &mut BatchPermits,
        in_flight: &mut InFlight,
    ) -> Option<OwnedSemaphorePermit> {
        let place = self.isolation.place();
        let mut released = waiting.split_off(usize::from(place.is_some()));
        let delay = match place {
            Some(_) => Duration::ZERO,
            None => {
                self.note_released(NO_PLACE, released.len());
                self.isolation_delay(&released)
            }
        };
        self.release(released.make_contiguous(), delay).await;
        permits.give_back(released.iter().map(|held| &held.delivery));
        in_flight.leave(released.len());
        place
    }

    /// For how long a message is hidden that found no place: some time, so that not all of them
    /// come back at once.
    pub(super) fn isolation_delay<'a>(
        &self,
        released: impl IntoIterator<Item = &'a LeasedMessage>,
    ) -> Duration {
        let Some(head) = released.into_iter().next().map(|held| &held.delivery) else {
            return Duration::ZERO;
        };
        debug!(group = head.group.as_str(), head.receive_count, "no place to be handled alone");
        let delay = self.isolation.refused();
        let spread = delay.mul_f64(f64::midpoint(1.0, self.context.entropy.fraction()));
        spread.max(redelivery_backoff(head.receive_count))
    }

    /// A message that was received too often is handled alone, after its attempt is counted.
    ///
    /// After one attempt too many it is dead-lettered, unless another was counted a short while ago:
    /// then it is released untried.
    pub(super) async fn process_isolated(
        &self,
        head: &[LeasedMessage],
        announcement: Announcement,
    ) -> Settled {
        let Some(isolated) = head.first() else {
            return Settled { done: 0, failure: None, is_deleted: true, is_proof: false };
        };
        let _turn = self.isolation.turn.lock().await;
        let message_id = &isolated.delivery.message_id;
        // The turn may have been long in coming: what is not to be begun is not counted.
        if self.context.shutdown.working.is_cancelled() {
            return Settled::failed(Failure::Stopping);
        }
        if !isolated.lease.is_held() {
            return Settled::failed(Failure::LeaseLost);
        }
        let now = self.context.clock.now();
        let attempt = match self.count_attempt(message_id, now).await {
            Ok(attempt) => attempt,
            Err(failure) => return Settled::failed(failure),
        };
        let attempts_max = self.context.settings.attempts_max;
        let is_over = attempt.count > attempts_max;
        let is_quiet = now.duration_since(attempt.before) >= ATTEMPT_ROLLBACK_WINDOW;
        let settled = if is_over && !is_quiet {
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

    /// Counts one more attempt. One that was throttled or whose answer was lost may have been
    /// counted: it is undone, and if it was not counted, the message has one attempt more than
    /// it should.
    async fn count_attempt(&self, message_id: &str, now: Timestamp) -> Result<Attempt, Failure> {
        self.uncounted.settle(&*self.context.store).await?;
        let counted = self.context.store.record_attempt(message_id, now).await;
        if matches!(counted, Err(PortError::Unavailable(_) | PortError::Throttled(_))) {
            self.uncounted.add(message_id);
        }
        Ok(counted?)
    }

    /// To the dead letters, unless the ledger knows the command: what has begun is never given up,
    /// and what has an outcome only if that cannot be published, for then a person must be told.
    async fn dead_letter_exhausted(
        &self,
        isolated: &LeasedMessage,
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
        isolated: &LeasedMessage,
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
