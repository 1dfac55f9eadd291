//! Holds receiving back while a dependency is unavailable.
//!
//! One failed call says little: a hot partition that is throttled, or an item whose partition does
//! not answer, affects only the groups that depend on it, which are released with a delay of their
//! own. A breaker opens only on evidence that all groups are affected: unrelated pools fail, or no
//! call has succeeded for a while.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tracing::{info, warn};

use super::events::{Event, Observer};
use crate::{
    domain::PoolId,
    ports::Entropy,
    retry::{Backoff, Policy},
};

/// Failures of this many pools without a success between them are unrelated to any one pool.
const UNRELATED_POOLS: usize = 3;

/// When unrelated pools fail, a success this recent shows that others still work.
const SUCCESS_AMONG_MANY: Duration = Duration::from_secs(1);

/// When one or two pools fail, a success this recent shows that only they are affected.
const SUCCESS_OF_OTHERS: Duration = Duration::from_secs(5);

/// The longest pause that failures of one or two pools cause: a command of another pool may be
/// waiting that would show that only they are affected.
const PAUSE_MAX_OF_FEW: Duration = Duration::from_secs(2);

/// The longest that a receive waits for the half-open receive that is under way.
const HALF_OPEN_WAIT_MAX: Duration = Duration::from_secs(10);

/// A circuit breaker for receives. Each failure that affects all groups doubles the pause, up to
/// the policy's maximum. After a pause, and when a worker starts, the breaker is half-open: one
/// receive at a time per queue tests whether the dependency works. More would only fetch messages
/// that have to be released, or that a worker which crashes at once delays. The first success
/// closes the breaker.
pub struct CircuitBreaker {
    entropy: Arc<dyn Entropy>,
    observer: Arc<dyn Observer>,
    state: Mutex<State>,
    /// Notified when the breaker closes. Not a `watch`, which wakes its receivers in random order:
    /// simulations would not repeat.
    works: Notify,
}

struct State {
    backoff: Backoff,
    open_until: Option<Instant>,
    /// Set by a failure, and at the start, until the next success.
    is_half_open: bool,
    /// What the pause affects, while there is one.
    scope: FailureScope,
    /// The call that is down, if that call alone caused the pause.
    down: Option<&'static str>,
    last_success: Option<Instant>,
    /// Pools that failed since: at most [`UNRELATED_POOLS`].
    failed_pools: BTreeSet<PoolId>,
}

/// What a failure affects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureScope {
    /// Its own pool; others work.
    Pool,
    /// One or two pools, and no recent success shows whether others work: receives pause briefly.
    Few,
    /// All groups: receives pause.
    All,
}

/// The permit to receive while the breaker is half-open: one per queue.
#[derive(Clone)]
pub struct HalfOpenPermits(Arc<Semaphore>);

impl Default for HalfOpenPermits {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// Held by the half-open receive and the batches it brought; other receives wait for it.
pub type HalfOpenPermit = Arc<OwnedSemaphorePermit>;

impl CircuitBreaker {
    /// Closed: receives are admitted.
    #[must_use]
    pub fn new(entropy: Arc<dyn Entropy>, observer: Arc<dyn Observer>) -> Self {
        let state = State {
            backoff: Backoff::new(Policy::OUTAGE),
            open_until: None,
            is_half_open: false,
            scope: FailureScope::All,
            down: None,
            last_success: None,
            failed_pools: BTreeSet::new(),
        };
        Self { entropy, observer, state: Mutex::new(state), works: Notify::new() }
    }

    /// Half-open until the first success: a worker that crashes on start holds up no more messages
    /// than one receive per queue brings.
    #[must_use]
    pub fn half_open(self) -> Self {
        self.state().is_half_open = true;
        self
    }

    /// Records a failure of a pool, or of a call that belongs to no pool. Returns what it affects,
    /// as far as is known, and pauses receives unless that is the pool alone.
    pub fn record_failure(&self, what: &str, pool: Option<&PoolId>) -> FailureScope {
        let mut state = self.state();
        let now = Instant::now();
        let is_of_many = match pool {
            None => true,
            Some(pool) => {
                if state.failed_pools.len() < UNRELATED_POOLS {
                    state.failed_pools.insert(pool.clone());
                }
                state.failed_pools.len() >= UNRELATED_POOLS
            }
        };
        if state.open_until.is_some_and(|until| now < until) {
            // Failures during a pause belong to the failure that began it.
            return state.scope;
        }
        let recent = if is_of_many { SUCCESS_AMONG_MANY } else { SUCCESS_OF_OTHERS };
        if state.last_success.is_some_and(|at| now < at + recent) {
            return FailureScope::Pool;
        }
        let scope = if is_of_many { FailureScope::All } else { FailureScope::Few };
        state.down = None;
        self.trip(state, now, scope, what);
        scope
    }

    /// Pauses receives because a call of the dependency itself failed, whatever worked before.
    /// Ended by [`Self::record_answer`] of the same call, or by a success.
    pub fn trip_for(&self, what: &'static str) {
        let mut state = self.state();
        let now = Instant::now();
        if state.open_until.is_none_or(|until| now >= until) {
            state.down = Some(what);
            self.trip(state, now, FailureScope::All, what);
        }
    }

    fn trip(
        &self,
        mut state: MutexGuard<'_, State>,
        now: Instant,
        scope: FailureScope,
        what: &str,
    ) {
        // The last pause was so long ago that this is a new outage.
        if state.open_until.is_some_and(|until| now > until + Policy::OUTAGE.max) {
            state.backoff.reset();
        }
        let Some(delay) = state.backoff.next_delay(&*self.entropy) else { return };
        let delay = match scope {
            FailureScope::All => delay,
            FailureScope::Pool | FailureScope::Few => delay.min(PAUSE_MAX_OF_FEW),
        };
        state.open_until = Some(now + delay);
        state.scope = scope;
        // If a few pools alone fail, one receive at a time would fetch their messages again and
        // again, as they are the oldest.
        state.is_half_open = scope == FailureScope::All;
        drop(state);
        self.observer.observe(&Event::Paused(delay));
        let pause_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        warn!(error = what, pause_ms, "dependency unavailable, pausing receives");
    }

    /// Records that a call was answered: ends the pause that this call caused, and no other.
    pub fn record_answer(&self, what: &'static str) {
        let state = self.state();
        if state.down == Some(what) {
            self.close(state);
        }
    }

    /// Records a success: closes the breaker.
    pub fn record_success(&self) {
        let mut state = self.state();
        state.last_success = Some(Instant::now());
        state.failed_pools.clear();
        self.close(state);
    }

    fn close(&self, mut state: MutexGuard<'_, State>) {
        state.down = None;
        let was_half_open = std::mem::replace(&mut state.is_half_open, false);
        let was_open = state.open_until.take().is_some();
        if !was_half_open && !was_open {
            return;
        }
        state.backoff.reset();
        drop(state);
        self.works.notify_waiters();
        if was_open {
            info!("dependency available again");
        }
    }

    /// Waits until a receive may begin: at once while the dependency works; otherwise after the
    /// pause, and then one at a time, which the permit stands for until it is dropped.
    pub async fn admit(&self, permits: &HalfOpenPermits) -> Option<HalfOpenPermit> {
        loop {
            // Registered before the state is read, so that no success is missed.
            let mut works = std::pin::pin!(self.works.notified());
            works.as_mut().enable();
            if let Some(until) = self.open_until() {
                tokio::select! {
                    biased;
                    () = works => {}
                    () = tokio::time::sleep_until(until) => {}
                }
                continue;
            }
            if !self.state().is_half_open {
                return None;
            }
            let permit = tokio::select! {
                biased;
                () = works => continue,
                permit = Arc::clone(&permits.0).acquire_owned() => permit.ok(),
                // One that hangs, or handles a long restock, holds up no other.
                () = tokio::time::sleep(HALF_OPEN_WAIT_MAX) => None,
            };
            // The receive before may have failed while this one waited.
            if self.open_until().is_none() {
                return permit.map(Arc::new);
            }
        }
    }

    /// Until when receives are paused, if they are.
    fn open_until(&self) -> Option<Instant> {
        self.state().open_until.filter(|until| Instant::now() < *until)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{adapters::system::Random, worker::NoopObserver};

    fn breaker() -> CircuitBreaker {
        let breaker = CircuitBreaker::new(Arc::new(Random::seeded(1)), Arc::new(NoopObserver));
        breaker.record_success();
        breaker
    }

    fn pool(number: u64) -> PoolId {
        PoolId::Event(number)
    }

    async fn advance(time: Duration) {
        tokio::time::advance(time).await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_pool_that_fails_among_others_that_work_pauses_nobody() {
        let breaker = breaker();
        for _ in 0..100 {
            assert_eq!(breaker.record_failure("throttled", Some(&pool(1))), FailureScope::Pool);
            advance(Duration::from_millis(100)).await;
            breaker.record_success();
        }
        assert!(breaker.admit(&HalfOpenPermits::default()).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn unrelated_pools_that_fail_with_nothing_that_works_pause_receives() {
        let breaker = breaker();
        advance(SUCCESS_AMONG_MANY).await;
        assert_eq!(breaker.record_failure("throttled", Some(&pool(1))), FailureScope::Pool);
        assert_eq!(breaker.record_failure("throttled", Some(&pool(2))), FailureScope::Pool);
        assert_eq!(breaker.record_failure("throttled", Some(&pool(3))), FailureScope::All);
        let begun = Instant::now();
        assert!(breaker.admit(&HalfOpenPermits::default()).await.is_some());
        assert!(begun.elapsed() >= Policy::OUTAGE.initial / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn one_pool_alone_pauses_receives_for_a_moment_where_nothing_else_shows_that_they_work() {
        let breaker = breaker();
        advance(SUCCESS_OF_OTHERS).await;
        for _ in 0..10 {
            assert_eq!(breaker.record_failure("unavailable", Some(&pool(1))), FailureScope::Few);
            let begun = Instant::now();
            assert!(
                breaker.admit(&HalfOpenPermits::default()).await.is_none(),
                "one receive at a time"
            );
            assert!(begun.elapsed() <= PAUSE_MAX_OF_FEW);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_of_no_pool_is_everybodys_unless_others_work() {
        let breaker = breaker();
        assert_eq!(breaker.record_failure("publish", None), FailureScope::Pool);
        advance(SUCCESS_AMONG_MANY).await;
        assert_eq!(breaker.record_failure("publish", None), FailureScope::All);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_begins_with_one_receive_a_queue() {
        let breaker =
            CircuitBreaker::new(Arc::new(Random::seeded(1)), Arc::new(NoopObserver)).half_open();
        let (one_queue, other_queue) = (HalfOpenPermits::default(), HalfOpenPermits::default());
        let first = breaker.admit(&one_queue).await;
        assert!(first.is_some() && breaker.admit(&other_queue).await.is_some());
        let second = tokio::time::timeout(HALF_OPEN_WAIT_MAX / 2, breaker.admit(&one_queue));
        assert!(second.await.is_err(), "a second receive while the first has shown nothing");
        let begun = Instant::now();
        assert!(breaker.admit(&one_queue).await.is_none(), "the first hangs");
        assert_eq!(begun.elapsed(), HALF_OPEN_WAIT_MAX);
        breaker.record_success();
        assert!(breaker.admit(&one_queue).await.is_none());
    }
}
