//! The worker: from a received batch to committed, published, deleted.
//!
//! ```text
//! poller ─► lane (one a group and batch) ─► committer ─► outbox: publish, then delete
//!    ▲         │ decode                       │ lock,        │ batcher: groups share calls
//!    │         │                              │ load, decide, commit
//!   breaker       └ lease, kept by the heartbeat └ chunks, for a restock of many entries
//! ```

pub mod committer;
pub mod dead_letters;
pub mod decided;
pub mod events;
pub mod failure;
pub mod hints;
pub mod settings;
pub mod trace;

mod batcher;
mod chunks;
mod circuit_breaker;
mod lane;
pub mod lease;
mod loading;
mod locking;
mod outbox;
mod parsing;
mod permits;
mod plan;
mod poller;
mod shutdown;

use std::sync::Arc;

use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::{
    decide::Oversold,
    ports::{Clock, CommitError, Entropy, Locks, Publisher, Queue, Store, Transaction},
};

use failure::Failure;

pub use events::{Event, NoopObserver, Observer};
pub use hints::Announcer;
pub use lane::Deferral;
pub use settings::{LockMode, Settings};
pub use shutdown::Shutdown;

/// What every part of a worker uses.
pub struct WorkerContext {
    /// Items and the ledger.
    pub store: Arc<dyn Store>,
    /// Locks for speed, not for safety.
    pub locks: Arc<dyn Locks>,
    /// The topic that results go to.
    pub publisher: Arc<dyn Publisher>,
    /// Announces commits to gateways, for speed alone.
    pub announcer: Announcer,
    /// The source of the current time.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Receives the worker's events.
    pub observer: Arc<dyn Observer>,
    /// Intervals, timeouts and limits.
    pub settings: Settings,
    /// Signals the end of receiving and of work.
    pub shutdown: Shutdown,
}

impl WorkerContext {
    /// Commits a transaction and reports it to the observer.
    async fn commit(&self, transaction: &Transaction) -> Result<(), CommitError> {
        let span = trace::step(trace::Step::Commit);
        let result = self.store.commit(transaction, self.entropy.uuid()).await;
        drop(span);
        self.announcer.committed(transaction, &result);
        self.observer.observe(&Event::Commit(&result));
        result.map(|_| ())
    }

    /// Reports how a load ended to the observer, and passes it on.
    fn note_load<T>(&self, result: Result<T, Failure>) -> Result<T, Failure> {
        let failed = matches!(&result, Err(Failure::Unavailable(_) | Failure::Throttled(_)));
        self.observer.observe(&Event::Load { is_loaded: !failed });
        result
    }

    fn note_oversold(&self, lines: Oversold) {
        if lines != Oversold::default() {
            self.observer.observe(&Event::Oversold(lines));
        }
    }
}

/// The purpose of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueKind {
    /// Commands of producers. Sources reserved for the workers are refused.
    #[default]
    Commands,
    /// Expiries. Only workers may send to this queue, and only it accepts the workers' own sources.
    Expiries,
}

/// A queue to consume, and its dead-letter queue.
#[derive(Clone)]
pub struct QueuePair {
    /// The queue to consume.
    pub queue: Arc<dyn Queue>,
    /// The dead-letter queue.
    pub dead_letters: Arc<dyn Queue>,
    /// The purpose of the queue.
    pub kind: QueueKind,
}

/// Consumes the queues until shutdown, then drains within the grace. A call that hangs does not
/// extend the grace: its messages are received again after their leases expire, as after a crash.
///
/// Every spawned task ends with this future: dropping it stops the worker at once, like a crash.
pub async fn run(context: Arc<WorkerContext>, pairs: Vec<QueuePair>) {
    let new_breaker = || {
        circuit_breaker::CircuitBreaker::new(
            Arc::clone(&context.entropy),
            Arc::clone(&context.observer),
        )
    };
    let breaker = Arc::new(new_breaker().half_open());
    let mut pollers = JoinSet::new();
    let mut heartbeats = JoinSet::new();
    let in_flight = Arc::new(permits::InFlightLimits::new(&context.settings));
    let uncounted = lane::UncountedAttempts::default();
    let isolation = lane::Isolation::new(&context.settings);
    let troubled = lane::TroubledPools::new(&context.settings);
    let publishing = outbox::publishing(&context);
    for pair in pairs {
        let leases = Arc::new(lease::Leases::new(
            Arc::clone(&pair.queue),
            &context.settings,
            Arc::clone(&context.observer),
        ));
        let outbox = outbox::Outbox::new(&context, &publishing, Arc::clone(&pair.queue));
        let kept = Arc::clone(&leases);
        let every = context.settings.heartbeat;
        let half_open = circuit_breaker::HalfOpenPermits::default();
        let queue_half_open = circuit_breaker::HalfOpenPermits::default();
        let queue_breaker = Arc::new(new_breaker());
        let limits = lane::KnownLimits::new(&pair);
        heartbeats.spawn(async move { kept.keep(every).await });
        for _ in 0..context.settings.pollers.max(1) {
            let lane = lane::LaneContext {
                context: Arc::clone(&context),
                breaker: Arc::clone(&breaker),
                half_open: half_open.clone(),
                queue_breaker: Arc::clone(&queue_breaker),
                queue_half_open: queue_half_open.clone(),
                limits: Arc::clone(&limits),
                queues: pair.clone(),
                leases: Arc::clone(&leases),
                uncounted: uncounted.clone(),
                isolation: isolation.clone(),
                troubled: troubled.clone(),
                outbox: outbox.clone(),
            };
            pollers.spawn(poller::poll(Arc::new(lane), Arc::clone(&in_flight)));
        }
    }
    let (mut announcing, announced) = (JoinSet::new(), Arc::clone(&context));
    announcing.spawn(async move { announced.announcer.run().await });
    let finished = async {
        while let Some(ended) = pollers.join_next().await {
            if let Err(error) = ended {
                error!(%error, "a poller ended before its time");
            }
        }
    };
    let grace = async {
        context.shutdown.receiving.cancelled().await;
        tokio::time::sleep(context.settings.grace.saturating_sub(context.settings.flush)).await;
        context.shutdown.working.cancel();
        tokio::time::sleep(context.settings.flush).await;
    };
    tokio::select! {
        biased;
        () = finished => info!("drained"),
        () = grace => warn!("the grace is over: what is still under way comes again"),
    }
    announcing.shutdown().await;
    context.announcer.farewell().await;
}
