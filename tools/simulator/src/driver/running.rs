//! One incarnation of a worker, with its sweeper.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::Instant};

use crate::{
    checks::Violation,
    injector::Injector,
    ports::{Ports, hints::FaultyPublisher},
    progress::Gauge,
    rng::{Seeded, stream},
    world::World,
};
use inventory_worker::{
    adapters::memory::TokioClock,
    ports::{Clock, Entropy},
    sweeper::{Sweeper, Turns},
    worker::{self, Announcer, NoopObserver, Observer, QueueKind, Shutdown, WorkerContext},
};

/// A worker with its sweeper. Dropping it crashes it.
pub(super) struct Running {
    pub(super) injector: Arc<Injector>,
    pub(super) task: JoinHandle<()>,
    stop: Shutdown,
    grace: Duration,
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.task.is_finished() {
            self.die();
        }
    }
}

impl Running {
    pub(super) fn start(
        world: &Arc<World>,
        worker: usize,
        life: u32,
        clock: &Arc<TokioClock>,
    ) -> Self {
        let injector = Arc::new(Injector::new(Arc::clone(world), worker, life));
        injector.trace(format_args!("starts"));
        let mut settings = world.profile.settings.get(worker).cloned().unwrap_or_default();
        let gauge = Arc::new(Gauge::new(settings.messages_in_flight_max));
        world.watch(injector.life(), Arc::clone(&gauge));
        if inventory_worker::injected_bug!(NoBudget) {
            settings.messages_in_flight_max = usize::MAX;
        }
        let stop = Shutdown::default();
        let chance = stream(world.seed, &format!("entropy of {worker}.{life}"));
        let entropy: Arc<dyn Entropy> = Arc::new(Seeded::new(chance));
        let clock: Arc<dyn Clock> = Arc::clone(clock) as Arc<dyn Clock>;
        let grace = settings.grace;
        let Ports { store, topic, locks, queues } = Ports::new(&injector);
        let context = Arc::new(WorkerContext {
            store,
            locks,
            publisher: topic,
            announcer: announcer(&injector, &gauge),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
            observer: gauge,
            settings,
            shutdown: stop.clone(),
        });
        let expiries = queues.iter().find(|pair| pair.kind == QueueKind::Expiries);
        let expiries = expiries.filter(|_| !inventory_worker::injected_bug!(NeverSweep));
        let sweeper = expiries.map(|pair| Sweeper {
            index: context.store.clone(),
            turns: match world.profile.has_leases {
                true => Turns::Leases(context.store.clone()),
                false => Turns::Locks(Arc::clone(&context.locks)),
            },
            queue: Arc::clone(&pair.queue),
            clock,
            entropy,
            observer: Arc::new(NoopObserver),
            settings: world.profile.sweeper.clone(),
        });
        let sweeping = stop.receiving.clone();
        let task = tokio::spawn(async move {
            let sweep = async {
                if let Some(sweeper) = sweeper {
                    sweeper.run(sweeping).await;
                }
            };
            futures::future::join(worker::run(context, queues), sweep).await;
        });
        Self { injector, task, stop, grace }
    }

    /// Crashes the worker at once.
    pub(super) async fn crash(mut self) {
        self.die();
        let _ = (&mut self.task).await;
    }

    fn die(&self) {
        self.injector.kill();
        self.injector.trace(format_args!("dies"));
        let (world, injector) = (&self.injector.world, &self.injector);
        world.history().crashed(injector.life());
        world.unwatch(injector.life());
        self.task.abort();
    }

    /// Stops the worker, and kills it after its grace. In the fault-free phase that is a violation.
    pub(super) async fn drain(mut self) -> Result<(), Violation> {
        self.injector.trace(format_args!("is told to stop"));
        self.injector.request_stop();
        self.stop.receiving.cancel();
        let reported = Instant::now();
        let is_fault_free = self.injector.world.is_fault_free();
        let timeout = self.grace + Duration::from_secs(2);
        tokio::select! {
            biased;
            ended = &mut self.task => {
                self.injector.trace(format_args!("has stopped"));
                let (world, life) = (&self.injector.world, self.injector.life());
                let held = world.unwatch(life);
                // Work cut off by the grace is left as after a crash.
                if reported.elapsed() >= self.grace {
                    world.history().crashed(life);
                } else if let Some(held) = held {
                    world.history().fail("rest", format!("worker {} ended with {held}", life.0));
                }
                return ended.map_err(|error| Violation::new("worker", error.to_string()));
            }
            () = self.injector.died() => {}
            () = tokio::time::sleep(timeout) => {
                if is_fault_free {
                    let detail = format!("worker {} did not stop in time", self.injector.worker);
                    return Err(Violation::new("drain", detail));
                }
            }
        }
        self.crash().await;
        Ok(())
    }
}

/// Announces what is committed, in a history in which a gateway listens.
fn announcer(injector: &Arc<Injector>, gauge: &Arc<Gauge>) -> Announcer {
    let world = &injector.world;
    if !world.profile.gateways.has_hints() {
        return Announcer::off();
    }
    let (worker, life) = injector.life();
    let chance = stream(world.seed, &format!("streams of {worker}.{life}"));
    let observer: Arc<dyn Observer> = Arc::clone(gauge) as Arc<dyn Observer>;
    let publisher = Arc::new(FaultyPublisher::new(injector));
    Announcer::new(publisher, Arc::new(Seeded::new(chance)), observer)
}
