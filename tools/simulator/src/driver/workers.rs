//! The workers of a history: each is restarted after a crash or a stop.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::running::Running;
use crate::{
    checks::Violation,
    fault::Fault,
    profile::SKEW_MAX_MS,
    rng::{happens, stream},
    world::World,
};
use inventory_worker::adapters::memory::TokioClock;

/// The workers of a history, each supervised by its own task.
#[derive(Default)]
pub(super) struct Workers {
    keepers: JoinSet<Result<(), Violation>>,
    stop: CancellationToken,
}

impl Workers {
    /// `life`: the number of each worker's first incarnation.
    pub(super) fn start(world: &Arc<World>, life: u32) -> Self {
        let mut workers = Self::default();
        for worker in 0..world.profile.workers {
            let supervisor = Supervisor {
                world: Arc::clone(world),
                worker,
                life,
                rng: stream(world.seed, &format!("supervisor {worker}.{life}")),
                clock: clock(world, worker),
                stop: workers.stop.clone(),
            };
            workers.keepers.spawn(supervisor.keep());
        }
        workers
    }

    /// Crashes all workers at once.
    pub(super) async fn crash(mut self) {
        self.keepers.shutdown().await;
    }

    /// Stops all workers in good order.
    pub(super) async fn drain(mut self) -> Result<(), Violation> {
        self.stop.cancel();
        while let Some(ended) = self.keepers.join_next().await {
            ended.map_err(|error| Violation::new("worker", error.to_string()))??;
        }
        Ok(())
    }
}

fn clock(world: &World, worker: usize) -> Arc<TokioClock> {
    let mut rng = stream(world.seed, &format!("clock {worker}"));
    let is_wrong = world.profile.rate(Fault::WrongClock) > 0 && !world.is_fault_free();
    let is_off = is_wrong || world.profile.rate(Fault::Skew) > 0;
    let most = if is_wrong { world.profile.skew_max_ms() } else { SKEW_MAX_MS };
    let skew_ms = if is_off { rng.i64(-most..=most) } else { 0 };
    if is_wrong {
        world.count(Some(Fault::WrongClock));
    }
    Arc::new(world.clock.skewed(skew_ms))
}

/// Keeps one worker running: restarts it after a crash or a stop.
struct Supervisor {
    world: Arc<World>,
    worker: usize,
    life: u32,
    rng: Rng,
    clock: Arc<TokioClock>,
    stop: CancellationToken,
}

/// An event that ends an incarnation, or changes it.
enum Turn {
    Ended(Result<(), tokio::task::JoinError>),
    Died,
    Stop,
    Moment,
}

impl Supervisor {
    async fn keep(mut self) -> Result<(), Violation> {
        loop {
            let running = Running::start(&self.world, self.worker, self.life, &self.clock);
            let is_over = self.live(running).await?;
            if is_over {
                return Ok(());
            }
            self.life += 1;
            let pause = Duration::from_millis(self.rng.u64(10..=15_000));
            tokio::time::sleep(pause).await;
        }
    }

    /// Runs one incarnation. Returns whether it was the last.
    async fn live(&mut self, mut running: Running) -> Result<bool, Violation> {
        loop {
            let moment = Duration::from_millis(self.rng.u64(50..=2_000));
            let injector = Arc::clone(&running.injector);
            let turn = tokio::select! {
                biased;
                ended = &mut running.task => Turn::Ended(ended),
                () = injector.died() => Turn::Died,
                () = self.stop.cancelled() => Turn::Stop,
                () = tokio::time::sleep(moment) => Turn::Moment,
            };
            match turn {
                Turn::Ended(ended) => {
                    let how = ended.map_or_else(|error| error.to_string(), |()| "early".to_owned());
                    return Err(Violation::new("worker", format!("ended by itself: {how}")));
                }
                Turn::Died => {
                    running.crash().await;
                    return Ok(false);
                }
                Turn::Stop => {
                    running.drain().await?;
                    return Ok(true);
                }
                Turn::Moment if self.world.is_fault_free() => {}
                Turn::Moment => {
                    if let Some(running_on) = self.moment(running).await? {
                        running = running_on;
                    } else {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// Draws an external event for the worker. Returns the worker if it lives on.
    async fn moment(&mut self, running: Running) -> Result<Option<Running>, Violation> {
        let profile = &self.world.profile;
        let rate = |fault| profile.rate(fault);
        if happens(&mut self.rng, rate(Fault::Skew).saturating_mul(3)) {
            let most = profile.skew_max_ms();
            let skew_ms = self.rng.i64(-most..=most);
            self.clock.set_skew(skew_ms);
            self.world.count(Some(Fault::Skew));
            running.injector.trace(format_args!("clock off by {skew_ms} ms"));
        }
        if happens(&mut self.rng, rate(Fault::CrashAnytime)) && self.world.may_crash() {
            self.world.count(Some(Fault::CrashAnytime));
            running.crash().await;
            return Ok(None);
        }
        if happens(&mut self.rng, rate(Fault::Drain)) {
            self.world.count(Some(Fault::Drain));
            running.drain().await?;
            return Ok(None);
        }
        Ok(Some(running))
    }
}
