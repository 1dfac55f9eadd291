//! Isolation: a message that was received too often is handled alone, and its attempts are counted,
//! so that one that kills or baffles the worker ends in the dead letters and an outage condemns
//! nobody.

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

use super::{Deferral, Held, InFlight, Lanes, Settled, giving_up};
use crate::{
    domain::Timestamp,
    planted::{self, Bug},
    ports::{Attempt, PortError},
    worker::{
        Tools,
        chunks::{self, Standing},
        dead_letters::Reason,
        failure::{Failure, NO_PLACE},
        outbox::Coming,
        poller::Taken,
        reading::Read,
        settings::Settings,
    },
};

/// Between two tries to take back attempts that ended in an unavailable dependency.
const FORGIVE_EVERY: Duration = Duration::from_secs(1);

/// How long nobody may have counted an attempt when a message is condemned: a worker whose count
/// lost its answer has that time to take it back.
const QUIET: SignedDuration = SignedDuration::from_secs(20);

/// How long a message is hidden to be quiet for that long, by clocks that differ.
pub(super) const LAST_WAIT: Duration = Duration::from_secs(23);

/// Attempts that ended in an unavailable dependency and are still counted. Each is taken back
/// as soon as the store allows it, and before any other attempt is counted: an outage condemns
/// nobody, and a crash costs a message no more than one attempt.
#[derive(Clone, Default)]
pub(in crate::worker) struct Unforgiven {
    /// By the message's id.
    counted: Arc<Mutex<VecDeque<String>>>,
    /// Held while the first of them is taken back.
    settling: Arc<tokio::sync::Mutex<()>>,
    forgiving: Arc<tokio::sync::Mutex<()>>,
}

/// The most messages that a worker isolates at a time, however much room it has.
const ISOLATED_MAX: usize = 16;

/// Isolated messages take at most this share of the messages in flight.
const ISOLATED_SHARE: usize = 100;

/// How long a message that finds no place is hidden, at least half of it.
const NO_PLACE_DELAY: Duration = Duration::from_secs(10);

/// The same while isolated messages are being settled, as after an outage: places become free.
const NO_PLACE_DELAY_MOVING: Duration = Duration::from_secs(1);

/// For how long one that was settled shows that others will be.
const MOVING_FOR: Duration = Duration::from_secs(5);

/// Isolated messages of a worker are handled one after the other: were they handled side by side,
/// the one that kills the worker would condemn the others with it. A few wait for their turn, each
/// with room for one message; one that finds no place is released for a while. So what is stuck
/// never takes more of the worker's room than that, whatever its number.
#[derive(Clone)]
pub(in crate::worker) struct Isolation {
    turn: Arc<tokio::sync::Mutex<()>>,
    places: Arc<Semaphore>,
    /// When the last of them was settled.
    settled: Arc<Mutex<Option<Instant>>>,
}

impl Isolation {
    pub(in crate::worker) fn new(settings: &Settings) -> Self {
        let places = (settings.messages_in_flight_max / ISOLATED_SHARE).clamp(1, ISOLATED_MAX);
        Self {
            turn: Arc::default(),
            places: Arc::new(Semaphore::new(places)),
            settled: Arc::default(),
        }
    }

    fn settled(&self) -> MutexGuard<'_, Option<Instant>> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For how long one that finds no place is hidden.
    fn delay(&self) -> Duration {
        match *self.settled() {
            Some(at) if at.elapsed() < MOVING_FOR => NO_PLACE_DELAY_MOVING,
            _ => NO_PLACE_DELAY,
        }
    }

    /// A place to wait in, if there is one.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }
}

impl Unforgiven {
    fn counted(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, message_id: &str) {
        self.counted().push_back(message_id.to_owned());
    }

    fn first(&self) -> Option<String> {
        self.counted().front().cloned()
    }

    async fn settle(&self, tools: &Tools) -> Result<(), Failure> {
        let _settling = self.settling.lock().await;
        while let Some(message_id) = self.first() {
            tools.store.forgive_attempt(&message_id).await?;
            self.counted().pop_front();
        }
        Ok(())
    }
}

impl Lanes {
    /// Takes back what an outage had counted, for as long as it takes, or as the worker's grace
    /// lasts.
    pub(super) async fn forgive(&self) {
        // One lane is enough.
        let Ok(_alone) = self.unforgiven.forgiving.try_lock() else { return };
        while self.unforgiven.first().is_some() {
            let Err(error) = self.unforgiven.settle(&self.tools).await else { return };
            warn!(%error, "an attempt is still counted, to be taken back later");
            tokio::time::sleep(FORGIVE_EVERY).await;
        }
    }

    /// A place for the first of the messages, if there is one. What waits alone holds room for one
    /// message, and without a place for none: the others are released, and what room they had is
    /// given back.
    pub(super) async fn isolate(
        &self,
        waiting: &mut VecDeque<Held>,
        taken: &mut Taken,
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
        taken.give_back(released.iter().map(|held| &held.delivery));
        in_flight.leave(released.len());
        place
    }

    /// For how long a message is hidden that found no place: some time, so that not all of them
    /// come back at once.
    pub(super) fn isolation_delay<'a>(
        &self,
        released: impl IntoIterator<Item = &'a Held>,
    ) -> Duration {
        let Some(head) = released.into_iter().next().map(|held| &held.delivery) else {
            return Duration::ZERO;
        };
        debug!(group = head.group.as_str(), head.receive_count, "no place to be handled alone");
        let delay = self.isolation.delay();
        let spread = delay.mul_f64(f64::midpoint(1.0, self.tools.entropy.fraction()));
        spread.max(giving_up::patience(head.receive_count))
    }

    /// A message that was received too often is handled alone, after its attempt is counted.
    ///
    /// One attempt too many condemns it, unless another was counted a short while ago: then it is
    /// not touched, and waits.
    pub(super) async fn alone(&self, head: &[Held], coming: Coming) -> Settled {
        let Some(suspect) = head.first() else {
            return Settled { done: 0, failure: None, is_deleted: true, is_proof: false };
        };
        let _turn = self.isolation.turn.lock().await;
        let message_id = &suspect.delivery.message_id;
        // The turn may have been long in coming: what is not to be begun is not counted.
        if self.tools.stop.working.is_cancelled() {
            return Settled::failed(Failure::Stopping);
        }
        if !suspect.lease.is_held() {
            return Settled::failed(Failure::LeaseLost);
        }
        let now = self.tools.clock.now();
        let attempt = match self.count_attempt(message_id, now).await {
            Ok(attempt) => attempt,
            Err(failure) => return Settled::failed(failure),
        };
        let attempts_max = self.tools.settings.attempts_max;
        let is_over = attempt.count > attempts_max && !planted::on(Bug::NeverCondemn);
        let is_quiet = now.duration_since(attempt.before) >= QUIET;
        let settled = if is_over && !is_quiet && !planted::on(Bug::CondemnAtOnce) {
            let what = format!("handled alone {attempts_max} times without outcome");
            Settled::failed(Failure::DeadLetterDeferred(what))
        } else if is_over || planted::on(Bug::CondemnUntried) {
            self.condemn(suspect, attempts_max, coming).await
        } else {
            self.batch(head, coming).await
        };
        if settled.done > 0 {
            *self.isolation.settled() = Some(Instant::now());
        }
        let is_forgiven =
            settled.failure.as_ref().is_some_and(|failure| !matches!(failure, Failure::Poison(_)));
        if is_forgiven && !planted::on(Bug::CountOutages) {
            self.unforgiven.add(message_id);
        }
        settled
    }

    /// Counts one more attempt. One that was throttled or whose answer was lost may have been
    /// counted: it is taken back, and if it was not counted, the message has one attempt more than
    /// it should.
    async fn count_attempt(&self, message_id: &str, now: Timestamp) -> Result<Attempt, Failure> {
        self.unforgiven.settle(&self.tools).await?;
        let counted = self.tools.store.record_attempt(message_id, now).await;
        if matches!(counted, Err(PortError::Unavailable(_) | PortError::Throttled(_))) {
            self.unforgiven.add(message_id);
        }
        Ok(counted?)
    }

    /// To the dead letters, unless the ledger knows the command: what has begun is never given up,
    /// and what has an outcome only if that cannot be published, for then a person must be told.
    async fn condemn(&self, suspect: &Held, attempts: u32, mut coming: Coming) -> Settled {
        let standing = match Read::of(&suspect.delivery, self.source.kind) {
            Read::Command(decoded) => chunks::standing(&self.tools, &decoded.command).await,
            Read::Unreadable(undecodable) => {
                let reason = Reason::Unreadable(undecodable.rejection.code);
                return self.bury(suspect, reason, &undecodable.rejection.message, coming).await;
            }
        };
        match standing {
            Err(failure) => Settled::failed(failure),
            Ok(Standing::Begun | Standing::Decided) if !planted::on(Bug::CondemnBegun) => {
                let settled = self.batch(std::slice::from_ref(suspect), coming).await;
                match (&settled.failure, standing) {
                    (Some(Failure::Poison(what)), Ok(Standing::Decided)) => {
                        let detail = format!("its outcome stands and cannot be published: {what}");
                        self.bury(suspect, Reason::Poison, &detail, self.outbox.expect()).await
                    }
                    _ => settled,
                }
            }
            Ok(_) => {
                let detail = format!("handled alone {attempts} times without outcome");
                if self.is_expiry(&suspect.delivery) {
                    let reason = Deferral::Isolated;
                    let is_deleted = self.defer_expiry(suspect, reason, &detail, &mut coming).await;
                    return Settled { done: 1, failure: None, is_deleted, is_proof: false };
                }
                self.bury(suspect, Reason::Poison, &detail, coming).await
            }
        }
    }

    pub(super) async fn bury(
        &self,
        suspect: &Held,
        reason: Reason,
        detail: &str,
        mut coming: Coming,
    ) -> Settled {
        match self.dead_letter(&suspect.delivery, reason, detail).await {
            Ok(()) => {
                let is_deleted = self.delete(std::slice::from_ref(suspect), &mut coming).await;
                Settled { done: 1, failure: None, is_deleted, is_proof: false }
            }
            Err(failure) => Settled::failed(failure),
        }
    }
}
