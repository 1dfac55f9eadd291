//! Gateways beside the workers: each crashes and starts again; callers ask it for commands and
//! queries, and every answer is checked against what was committed.

mod callers;
pub(crate) mod log;
mod readers;
mod running;
mod situation;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fastrand::Rng;
use tokio::{task::JoinHandle, time::Instant};

use super::{
    fault::Fault,
    profile::SKEW_MAX_MS,
    rng::{happens, stream},
    topology::FIRST_GATEWAY,
    workload::visits::{Ask, Visit},
    world::World,
};
use inventory_worker::{adapters::memory::TokioClock, ports::PortError};
pub(crate) use running::Gateway;
pub use situation::Situation;
pub(crate) use situation::Situations;

/// Where callers find the incarnation of a gateway that runs, if any.
pub(crate) type Door = Arc<Mutex<Option<Arc<Gateway>>>>;

/// The gateways of a history.
pub(super) struct Gateways {
    world: Arc<World>,
    doors: Vec<Door>,
    keepers: Vec<JoinHandle<()>>,
}

impl Drop for Gateways {
    fn drop(&mut self) {
        self.keepers.iter().for_each(JoinHandle::abort);
        for door in &self.doors {
            let running = door.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(running) = running {
                running.die();
            }
        }
    }
}

impl Gateways {
    pub(super) fn start(world: &Arc<World>) -> Self {
        let (mut doors, mut keepers) = (Vec::new(), Vec::new());
        for number in 0..world.profile.gateways.settings.len() {
            let mut rng = stream(world.seed, &format!("keeper of gateway {number}"));
            let skew_ms = rng.i64(-SKEW_MAX_MS..=SKEW_MAX_MS);
            let skew_ms = if rng.bool() { skew_ms } else { 0 };
            let keeper = Keeper {
                world: Arc::clone(world),
                number,
                rng,
                clock: Arc::new(world.clock.skewed(skew_ms)),
                door: Door::default(),
            };
            doors.push(Arc::clone(&keeper.door));
            keepers.push(tokio::spawn(keeper.keep()));
        }
        if !keepers.is_empty() {
            keepers.push(tokio::spawn(lose_hints(Arc::clone(world))));
        }
        Self { world: Arc::clone(world), doors, keepers }
    }

    /// Lets every visit happen at its time.
    pub(super) fn receive(&self, visits: Vec<Visit>) {
        let began = Instant::now();
        for visit in visits {
            let (world, doors) = (Arc::clone(&self.world), self.doors.clone());
            let under_way = world.visit();
            tokio::spawn(async move {
                tokio::time::sleep_until(began + visit.at).await;
                match visit.ask {
                    Ask::Commands(calls) => callers::ask(&world, &doors, &calls).await,
                    Ask::Query(query) => readers::ask(&world, &doors, &query).await,
                }
                drop(under_way);
            });
        }
    }

    /// Checks that each gateway shows what the tables have, now that nothing changes, and ends it.
    pub(super) async fn close(self) {
        for door in &self.doors {
            readers::at_rest(&self.world, door).await;
        }
    }
}

/// Lets the server of hints be away now and then, until the fault-free phase.
async fn lose_hints(world: Arc<World>) {
    let rng = &mut stream(world.seed, "server of hints");
    loop {
        tokio::time::sleep(Duration::from_millis(rng.u64(500..=5_000))).await;
        if world.is_fault_free() {
            return;
        }
        if !happens(rng, world.profile.rate(Fault::HintsAway)) {
            continue;
        }
        world.count(Some(Fault::HintsAway));
        world.hints.forget_watches();
        if rng.bool() {
            world.trace(format_args!("hints are away"));
            world.hints.fail(Some(PortError::Unavailable("no answer".to_owned())));
            tokio::time::sleep(Duration::from_millis(rng.u64(200..=12_000))).await;
            world.hints.fail(None);
        }
    }
}

/// The incarnation behind a door.
fn behind(doors: &[Door], gateway: usize) -> Option<Arc<Gateway>> {
    let door = doors.get(gateway)?;
    door.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Keeps one gateway running: starts it again after a crash.
struct Keeper {
    world: Arc<World>,
    number: usize,
    rng: Rng,
    clock: Arc<TokioClock>,
    door: Door,
}

impl Keeper {
    async fn keep(mut self) {
        let mut life = 0;
        loop {
            let running = (FIRST_GATEWAY + self.number, life);
            let running = Gateway::start(&self.world, running, &self.clock);
            self.open(Some(Arc::clone(&running)));
            while !self.moment(&running).await {}
            self.open(None);
            running.die();
            life += 1;
            let pause = Duration::from_millis(self.rng.u64(10..=5_000));
            tokio::time::sleep(pause).await;
        }
    }

    fn open(&self, running: Option<Arc<Gateway>>) {
        *self.door.lock().unwrap_or_else(PoisonError::into_inner) = running;
    }

    /// Draws an external event for the gateway. Returns whether it crashes.
    async fn moment(&mut self, running: &Gateway) -> bool {
        tokio::time::sleep(Duration::from_millis(self.rng.u64(50..=2_000))).await;
        if self.world.is_fault_free() {
            // Nothing happens any more, until the end of the history.
            return std::future::pending().await;
        }
        let rate = |fault| self.world.profile.rate(fault);
        if happens(&mut self.rng, rate(Fault::Skew).saturating_mul(3)) {
            self.clock.set_skew(self.rng.i64(-SKEW_MAX_MS..=SKEW_MAX_MS));
        }
        if happens(&mut self.rng, rate(Fault::Blind)) {
            let lasts = Duration::from_millis(self.rng.u64(500..=90_000));
            running.injector.trace(format_args!("is blind for {} ms", lasts.as_millis()));
            running.injector.blind(Instant::now() + lasts);
            self.world.count(Some(Fault::Blind));
        }
        let crashes = happens(&mut self.rng, rate(Fault::GatewayCrash));
        self.world.count(crashes.then_some(Fault::GatewayCrash));
        crashes
    }
}
