//! One incarnation of a gateway.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Situation, Situations, log::CallLog};
use crate::{
    injector::Injector,
    ports::{
        gateway::{GatewayQueue, GatewaySnapshots, GatewayStore},
        hints::PausedSubscriber,
    },
    profile::GatewaySettings,
    rng::{Seeded, stream},
    topology::{FIRST_GATEWAY, Incarnation},
    world::World,
};
use inventory_worker::{
    adapters::memory::TokioClock,
    client::{Client, ClientLimits, ClientPorts, OutcomePoller},
    gateway::{
        CommandParts, Commands, Queries, QuerySettings,
        hints::{Announcements, Follower, FollowerParts},
        observer::{HintOutcome, RefillReason, SnapshotOutcome, ViewObserver},
    },
    message::BATCH_COMMANDS_MAX,
    ports::{
        Clock, Entropy, OutgoingMessage, Queue, ScanStore, SnapshotStore, queue::MessageAttributes,
    },
};

/// Commands that may wait to be posted.
pub(super) const POSTS_MAX: usize = 100;

const LIMITS: ClientLimits = ClientLimits {
    in_flight: POSTS_MAX,
    deadline: Duration::from_secs(20),
    commands_per_message: BATCH_COMMANDS_MAX,
};

/// A gateway: its parts, and what is known of its calls.
pub(crate) struct Gateway {
    pub(crate) life: Incarnation,
    pub(crate) injector: Arc<Injector>,
    pub(crate) commands: Arc<Commands>,
    pub(crate) queries: Queries,
    pub(crate) log: Arc<CallLog>,
    pub(crate) settings: GatewaySettings,
    pub(crate) clock: Arc<TokioClock>,
    /// Cancelled when it crashes: its callers get no answer.
    pub(crate) dead: CancellationToken,
    /// The queue of its commands.
    queue: Arc<dyn Queue>,
    task: JoinHandle<()>,
}

impl Gateway {
    pub(crate) fn start(
        world: &Arc<World>,
        life: Incarnation,
        clock: &Arc<TokioClock>,
    ) -> Arc<Self> {
        let (number, incarnation) = life;
        let injector = Arc::new(Injector::new(Arc::clone(world), number, incarnation));
        injector.trace(format_args!("starts"));
        let settings = world.profile.gateways.settings.get(number - FIRST_GATEWAY);
        let settings = settings.cloned().unwrap_or_else(|| unreachable!("each has settings"));
        let log = Arc::new(CallLog::new(Arc::clone(&world.clock)));
        let store: Arc<dyn ScanStore> = Arc::new(GatewayStore::new(&injector, &log));
        let queue_at = |index| -> Arc<dyn Queue> {
            let queue = GatewayQueue::new(&injector, &log, index);
            Arc::new(queue.unwrap_or_else(|| unreachable!("the queue is one of the world's")))
        };
        let chance = stream(world.seed, &format!("entropy of {number}.{incarnation}"));
        let entropy: Arc<dyn Entropy> = Arc::new(Seeded::new(chance));
        let time: Arc<dyn Clock> = Arc::clone(clock) as Arc<dyn Clock>;
        let queue = queue_at(0);
        let ports = ClientPorts {
            commands: Arc::clone(&queue),
            restocks: queue_at(1),
            clock: Arc::clone(&time),
            entropy: Arc::clone(&entropy),
        };
        let parts = CommandParts {
            client: Client::new(ports, LIMITS),
            outcomes: OutcomePoller::new(store.clone(), settings.waiters_max),
            store: store.clone(),
            clock: Arc::clone(&time),
            entropy: Arc::clone(&entropy),
        };
        let commands = Arc::new(Commands::new(parts, settings.commands));
        let observer = Arc::new(HintCounter(Arc::clone(&world.situations)));
        // Without hints, as without Redis, each reads for itself.
        let snapshots: Option<Arc<dyn SnapshotStore>> = match settings.has_hints {
            true => Some(Arc::new(GatewaySnapshots::new(&world.snapshots, &log))),
            false => None,
        };
        let view = QuerySettings { view: settings.view };
        let queries = Queries::observed(store, time, view, observer.clone(), snapshots);
        let follower = settings.has_hints.then(|| {
            let subscriber = Arc::new(PausedSubscriber(Arc::clone(&injector)));
            Follower::new(FollowerParts {
                announcements: Announcements::new(subscriber),
                views: queries.views().clone(),
                commands: Arc::clone(&commands),
                entropy,
                observer,
            })
        });
        let running = Arc::clone(&commands);
        let task = tokio::spawn(async move {
            let following = async {
                if let Some(follower) = follower {
                    follower.run().await;
                }
            };
            futures::future::join(running.run(), following).await;
        });
        let (clock, dead) = (Arc::clone(clock), CancellationToken::new());
        Arc::new(Self {
            life,
            injector,
            commands,
            queries,
            log,
            settings,
            clock,
            dead,
            queue,
            task,
        })
    }

    /// Posts a body that it has refused, as a gateway with that injected bug does.
    pub(super) async fn post_unvalidated(&self, body: &str) {
        let group = "unvalidated".parse();
        let message = OutgoingMessage {
            group: group.unwrap_or_else(|_| unreachable!("the group is plain")),
            body: body.to_owned(),
            deduplication_id: None,
            attributes: MessageAttributes::new(),
        };
        let _ = self.queue.send(&[message]).await;
    }

    /// Crashes it at once.
    pub(crate) fn die(&self) {
        self.injector.kill();
        self.injector.trace(format_args!("dies"));
        self.dead.cancel();
        self.task.abort();
    }
}

/// Counts what hints do.
struct HintCounter(Arc<Situations>);

impl ViewObserver for HintCounter {
    fn asked(&self, _: bool) {}

    fn aged(&self, _: Duration) {}

    fn refill(&self, _: RefillReason) {}

    fn snapshot(&self, outcome: SnapshotOutcome) {
        if outcome == SnapshotOutcome::Hit {
            self.0.cover(Situation::Shared);
        }
    }

    fn hint(&self, outcome: HintOutcome) {
        self.0.cover(match outcome {
            HintOutcome::Applied => Situation::Hinted,
            HintOutcome::Known => Situation::OldHint,
            HintOutcome::Unknown | HintOutcome::ReadAgain => Situation::ReadAgain,
            HintOutcome::Gap | HintOutcome::Unannounced => Situation::HintMissed,
            HintOutcome::Silent => Situation::WorkerSilent,
            HintOutcome::Undecodable | HintOutcome::Overflow | HintOutcome::Lost => {
                Situation::HintsLost
            }
        });
    }
}
