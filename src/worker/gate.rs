//! Holds receiving back while a dependency is unavailable.
//!
//! One failed call says little: a hot partition that is throttled, or an item whose partition does
//! not answer, is the business of the groups that rest on it, which are released with a delay of
//! their own. A gate closes only on evidence that everybody is concerned: unrelated pools fail, or
//! nothing has worked for a while.

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

/// Failures of so many pools with no success between them are unrelated to any one pool.
const UNRELATED_POOLS: usize = 3;

/// Where unrelated pools fail, a success this recent says that it is still not everybody.
const SUCCESS_AMONG_MANY: Duration = Duration::from_secs(1);

/// Where one or two pools fail, a success this recent says that it is they alone.
const SUCCESS_OF_OTHERS: Duration = Duration::from_secs(5);

/// The longest pause that one or two pools can bring about: another pool's command may be waiting
/// that would show that only they are concerned.
const PAUSE_MAX_OF_FEW: Duration = Duration::from_secs(2);

/// The longest that a receive waits for the one that is under way to show something.
const PROBE_MAX: Duration = Duration::from_secs(10);

/// A circuit breaker for receives. Every failure of all makes the pause longer, up to the policy's
/// greatest. After a pause, and when a worker starts, one receive at a time shows, a queue, whether
/// the dependency works: more would only draw messages that come back, or that a worker which dies
/// at once takes with it. The first success ends that.
pub struct Gate {
    entropy: Arc<dyn Entropy>,
    observer: Arc<dyn Observer>,
    state: Mutex<State>,
    /// Told when the dependency works again. Not a `watch`, which wakes in an order of its own
    /// chance: simulations would not repeat.
    works: Notify,
}

struct State {
    backoff: Backoff,
    closed_until: Option<Instant>,
    /// From a failure, or the start, to the next success.
    is_half_open: bool,
    /// Who is concerned by the pause, while there is one.
    concern: Concern,
    /// The call that is down, where the pause is for that alone.
    down: Option<&'static str>,
    last_success: Option<Instant>,
    /// Pools that failed since: at most [`UNRELATED_POOLS`].
    failed_pools: BTreeSet<PoolId>,
}

/// Whom a failure concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concern {
    /// Its own pool: others work.
    Pool,
    /// One or two pools, and nothing has worked lately that would show whether others do: receives
    /// pause for a moment.
    Few,
    /// Everybody: receives pause.
    All,
}

/// The right to receive while it is not known whether the dependency works: one a queue.
#[derive(Clone)]
pub struct Probes(Arc<Semaphore>);

impl Default for Probes {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// A receive and what it brought, to show whether the dependency works; others wait for it.
pub type Probe = Arc<OwnedSemaphorePermit>;

impl Gate {
    /// Open.
    #[must_use]
    pub fn new(entropy: Arc<dyn Entropy>, observer: Arc<dyn Observer>) -> Self {
        let state = State {
            backoff: Backoff::new(Policy::OUTAGE),
            closed_until: None,
            is_half_open: false,
            concern: Concern::All,
            down: None,
            last_success: None,
            failed_pools: BTreeSet::new(),
        };
        Self { entropy, observer, state: Mutex::new(state), works: Notify::new() }
    }

    /// Half open until the first success, as after a pause: a worker that dies whenever it starts
    /// takes no more with it than one receive a queue brings.
    #[must_use]
    pub fn half_open(self) -> Self {
        self.state().is_half_open = true;
        self
    }

    /// Something of a pool failed, or something of no pool. Says who is concerned, as far as can be
    /// told, and pauses receives unless it is that pool alone.
    pub fn failed(&self, what: &str, pool: Option<&PoolId>) -> Concern {
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
        if state.closed_until.is_some_and(|until| now < until) {
            // Failures during a pause belong to the one that began it.
            return state.concern;
        }
        let recent = if is_of_many { SUCCESS_AMONG_MANY } else { SUCCESS_OF_OTHERS };
        if state.last_success.is_some_and(|at| now < at + recent) {
            return Concern::Pool;
        }
        let concern = if is_of_many { Concern::All } else { Concern::Few };
        state.down = None;
        self.close(state, now, concern, what);
        concern
    }

    /// The dependency itself failed: there is nothing of it that could have worked. Ended by
    /// [`Self::answers`] to the same call, or a success.
    pub fn is_down(&self, what: &'static str) {
        let mut state = self.state();
        let now = Instant::now();
        if state.closed_until.is_none_or(|until| now >= until) {
            state.down = Some(what);
            self.close(state, now, Concern::All, what);
        }
    }

    fn close(&self, mut state: MutexGuard<'_, State>, now: Instant, concern: Concern, what: &str) {
        // Long enough ago to be another story.
        if state.closed_until.is_some_and(|until| now > until + Policy::OUTAGE.max) {
            state.backoff.reset();
        }
        let Some(delay) = state.backoff.next_delay(&*self.entropy) else { return };
        let delay = match concern {
            Concern::All => delay,
            Concern::Pool | Concern::Few => delay.min(PAUSE_MAX_OF_FEW),
        };
        state.closed_until = Some(now + delay);
        state.concern = concern;
        // Where it is a few pools alone, one receive at a time would bring but their messages, which
        // are the oldest, time and again.
        state.is_half_open = concern == Concern::All;
        drop(state);
        self.observer.observe(&Event::Paused(delay));
        warn!(what, pause_ms = delay.as_millis(), "dependency unavailable, pausing receives");
    }

    /// A call answers: that ends the pause it brought about, and says nothing of other calls.
    pub fn answers(&self, what: &'static str) {
        let state = self.state();
        if state.down == Some(what) {
            self.open(state);
        }
    }

    /// The dependency works.
    pub fn succeeded(&self) {
        let mut state = self.state();
        state.last_success = Some(Instant::now());
        state.failed_pools.clear();
        self.open(state);
    }

    fn open(&self, mut state: MutexGuard<'_, State>) {
        state.down = None;
        let was_half_open = std::mem::replace(&mut state.is_half_open, false);
        let was_closed = state.closed_until.take().is_some();
        if !was_half_open && !was_closed {
            return;
        }
        state.backoff.reset();
        drop(state);
        self.works.notify_waiters();
        if was_closed {
            info!("dependency available again");
        }
    }

    /// Waits until a receive may begin: at once while the dependency works; otherwise after the
    /// pause, and then one at a time, which the probe stands for until it is dropped.
    pub async fn opened(&self, probes: &Probes) -> Option<Probe> {
        loop {
            // From here on no success is missed.
            let mut works = std::pin::pin!(self.works.notified());
            works.as_mut().enable();
            if let Some(until) = self.closed_until() {
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
            let probe = tokio::select! {
                biased;
                () = works => continue,
                probe = Arc::clone(&probes.0).acquire_owned() => probe.ok(),
                // One that hangs, or is at a long restock, shows nothing and keeps nobody.
                () = tokio::time::sleep(PROBE_MAX) => None,
            };
            // While it was waited for, the one before may have failed.
            if self.closed_until().is_none() {
                return probe.map(Arc::new);
            }
        }
    }

    /// Until when receiving is held back, if it is.
    fn closed_until(&self) -> Option<Instant> {
        self.state().closed_until.filter(|until| Instant::now() < *until)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{adapters::system::Random, worker::Unobserved};

    fn gate() -> Gate {
        let gate = Gate::new(Arc::new(Random::seeded(1)), Arc::new(Unobserved));
        gate.succeeded();
        gate
    }

    fn pool(number: u64) -> PoolId {
        PoolId::Event(number)
    }

    async fn advance(time: Duration) {
        tokio::time::advance(time).await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_pool_that_fails_among_others_that_work_pauses_nobody() {
        let gate = gate();
        for _ in 0..100 {
            assert_eq!(gate.failed("throttled", Some(&pool(1))), Concern::Pool);
            advance(Duration::from_millis(100)).await;
            gate.succeeded();
        }
        assert!(gate.opened(&Probes::default()).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn unrelated_pools_that_fail_with_nothing_that_works_pause_receives() {
        let gate = gate();
        advance(SUCCESS_AMONG_MANY).await;
        assert_eq!(gate.failed("throttled", Some(&pool(1))), Concern::Pool);
        assert_eq!(gate.failed("throttled", Some(&pool(2))), Concern::Pool);
        assert_eq!(gate.failed("throttled", Some(&pool(3))), Concern::All);
        let begun = Instant::now();
        assert!(gate.opened(&Probes::default()).await.is_some());
        assert!(begun.elapsed() >= Policy::OUTAGE.initial / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn one_pool_alone_pauses_receives_for_a_moment_where_nothing_else_shows_that_they_work() {
        let gate = gate();
        advance(SUCCESS_OF_OTHERS).await;
        for _ in 0..10 {
            assert_eq!(gate.failed("unavailable", Some(&pool(1))), Concern::Few);
            let begun = Instant::now();
            assert!(gate.opened(&Probes::default()).await.is_none(), "one receive at a time");
            assert!(begun.elapsed() <= PAUSE_MAX_OF_FEW);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_of_no_pool_is_everybodys_unless_others_work() {
        let gate = gate();
        assert_eq!(gate.failed("publish", None), Concern::Pool);
        advance(SUCCESS_AMONG_MANY).await;
        assert_eq!(gate.failed("publish", None), Concern::All);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_begins_with_one_receive_a_queue() {
        let gate = Gate::new(Arc::new(Random::seeded(1)), Arc::new(Unobserved)).half_open();
        let (one_queue, other_queue) = (Probes::default(), Probes::default());
        let first = gate.opened(&one_queue).await;
        assert!(first.is_some() && gate.opened(&other_queue).await.is_some());
        let second = tokio::time::timeout(PROBE_MAX / 2, gate.opened(&one_queue));
        assert!(second.await.is_err(), "a second receive while the first has shown nothing");
        let begun = Instant::now();
        assert!(gate.opened(&one_queue).await.is_none(), "the first hangs");
        assert_eq!(begun.elapsed(), PROBE_MAX);
        gate.succeeded();
        assert!(gate.opened(&one_queue).await.is_none());
    }
}
