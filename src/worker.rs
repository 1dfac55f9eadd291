//! The worker: from a received batch to committed, published, deleted.
//!
//! ```text
//! poller ─► lane (one a group and batch) ─► committer ─► outbox: publish, then delete
//!    ▲         │ decode                       │ lock,        │ batcher: groups share calls
//!    │         │                              │ load, decide, commit
//!   gate       └ lease, kept by the heartbeat └ chunks, for a restock of many entries
//! ```

pub mod committer;
pub mod dead_letters;
pub mod events;
pub mod failure;
pub mod settings;
pub mod trace;

mod batcher;
mod chunks;
mod gate;
mod lane;
pub mod lease;
mod loading;
mod locking;
mod outbox;
mod plan;
mod poller;
mod reading;
mod stop;

use std::sync::Arc;

use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::{
    decide::Oversold,
    ports::{Clock, CommitError, Entropy, Locks, Publisher, Queue, Store, Transaction},
};

pub use events::{Event, Observer, Unobserved};
pub use lane::Deferral;
pub use settings::{LockMode, Settings};
pub use stop::Stop;

/// What the parts of a worker work with.
pub struct Tools {
    /// The tables.
    pub store: Arc<dyn Store>,
    /// Locks.
    pub locks: Arc<dyn Locks>,
    /// Where results go.
    pub publisher: Arc<dyn Publisher>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
    /// The settings.
    pub settings: Settings,
    /// When to stop.
    pub stop: Stop,
}

impl Tools {
    /// Commits a transaction and tells of it.
    async fn commit(&self, transaction: &Transaction) -> Result<(), CommitError> {
        let span = trace::step(trace::Step::Commit);
        let result = self.store.commit(transaction, self.entropy.uuid()).await;
        drop(span);
        self.observer.observe(&Event::Commit(&result));
        result.map(|_| ())
    }

    fn note_oversold(&self, lines: Oversold) {
        if lines != Oversold::default() {
            self.observer.observe(&Event::Oversold(lines));
        }
    }
}

/// What a queue is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueKind {
    /// Commands of producers. Sources that are the workers' own are refused.
    #[default]
    Commands,
    /// Expiries, which workers alone may send to. The one queue that takes the workers' own
    /// sources.
    Expiries,
}

/// A queue to consume, and where its dead letters go.
#[derive(Clone)]
pub struct Source {
    /// Commands.
    pub queue: Arc<dyn Queue>,
    /// Dead letters.
    pub dead_letters: Arc<dyn Queue>,
    /// What the queue is for.
    pub kind: QueueKind,
}

/// Consumes the queues until told to stop; then drains within the grace. A call that hangs does not
/// keep it longer: its messages come again once their leases run out, as after a crash.
///
/// Everything it spawns ends with it: dropping the future stops the worker where it stands, as a
/// crash would.
pub async fn run(tools: Arc<Tools>, sources: Vec<Source>) {
    let new_gate = || gate::Gate::new(Arc::clone(&tools.entropy), Arc::clone(&tools.observer));
    let gate = Arc::new(new_gate().half_open());
    let mut pollers = JoinSet::new();
    let mut heartbeats = JoinSet::new();
    let budget = Arc::new(poller::Budget::new(&tools.settings));
    let unforgiven = lane::Unforgiven::default();
    let isolation = lane::Isolation::new(&tools.settings);
    let troubled = lane::TroubledPools::new(&tools.settings);
    let publishing = outbox::publishing(&tools);
    for source in sources {
        let leases = Arc::new(lease::Leases::new(
            Arc::clone(&source.queue),
            &tools.settings,
            Arc::clone(&tools.observer),
        ));
        let outbox = outbox::Outbox::new(&tools, &publishing, Arc::clone(&source.queue));
        let kept = Arc::clone(&leases);
        let every = tools.settings.heartbeat;
        let probes = gate::Probes::default();
        let queue_probes = gate::Probes::default();
        let queue_gate = Arc::new(new_gate());
        let limits = lane::KnownLimits::new(&source);
        heartbeats.spawn(async move { kept.keep(every).await });
        for _ in 0..tools.settings.pollers.max(1) {
            let lanes = lane::Lanes {
                tools: Arc::clone(&tools),
                gate: Arc::clone(&gate),
                probes: probes.clone(),
                queue_gate: Arc::clone(&queue_gate),
                queue_probes: queue_probes.clone(),
                limits: Arc::clone(&limits),
                source: source.clone(),
                leases: Arc::clone(&leases),
                unforgiven: unforgiven.clone(),
                isolation: isolation.clone(),
                troubled: troubled.clone(),
                outbox: outbox.clone(),
            };
            pollers.spawn(poller::poll(Arc::new(lanes), Arc::clone(&budget)));
        }
    }
    let finished = async {
        while let Some(ended) = pollers.join_next().await {
            if let Err(error) = ended {
                error!(%error, "a poller ended before its time");
            }
        }
    };
    let grace = async {
        tools.stop.receiving.cancelled().await;
        tokio::time::sleep(tools.settings.grace.saturating_sub(tools.settings.flush)).await;
        tools.stop.working.cancel();
        tokio::time::sleep(tools.settings.flush).await;
    };
    tokio::select! {
        biased;
        () = finished => info!("drained"),
        () = grace => warn!("the grace is over: what is still under way comes again"),
    }
}
