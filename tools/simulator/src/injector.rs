//! Injects faults into a worker's calls, drawn from the seed.

mod fate;

use std::{
    fmt::{self, Debug, Display},
    future::pending,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use tokio::{sync::Notify, time::Instant};

use super::{
    fault::Fault,
    gateway::Situation,
    profile::Class,
    rng::{happens, stream},
    topology::{FIRST_GATEWAY, Incarnation, Named, Port},
    world::World,
};
use inventory_worker::ports::PortError;

pub(super) use fate::{Call, Effect, EntryFate, Fate, merge, never, passed};

/// Draws the fate of each call of one incarnation, and blocks its calls while the worker is paused
/// or dead.
pub(super) struct Injector {
    pub(super) world: Arc<World>,
    pub(super) worker: usize,
    pub(super) life: u32,
    rng: Mutex<Rng>,
    is_dead: AtomicBool,
    death: Notify,
    paused_until: Mutex<Option<Instant>>,
    told_to_stop: Mutex<Option<Instant>>,
    cut_off_until: Mutex<Option<Instant>>,
}

/// The minimum time between two cut-offs of a worker from the store.
const CUT_OFF_EVERY: Duration = Duration::from_secs(60);

/// The latency of each direction of a call by a worker without CPU time, milliseconds.
const STARVED_MS: std::ops::RangeInclusive<u64> = 50..=3_500;

impl Injector {
    pub(super) fn new(world: Arc<World>, worker: usize, life: u32) -> Self {
        let rng = stream(world.seed, &format!("calls of worker {worker}.{life}"));
        Self {
            world,
            worker,
            life,
            rng: Mutex::new(rng),
            is_dead: AtomicBool::new(false),
            death: Notify::new(),
            paused_until: Mutex::new(None),
            told_to_stop: Mutex::new(None),
            cut_off_until: Mutex::new(None),
        }
    }

    /// The incarnation that makes the calls.
    pub(super) fn life(&self) -> Incarnation {
        (self.worker, self.life)
    }

    /// Runs a call with its faults. `late` applies only its effect, for a call that timed out.
    pub(super) async fn around<T, E>(
        &self,
        call: Call,
        args: impl Display,
        work: impl Future<Output = Result<T, E>>,
        late: impl FnOnce() -> Option<Effect>,
    ) -> Result<T, E>
    where
        E: From<PortError> + Debug,
    {
        let fate = self.begin(call).await;
        if fate == Fate::CrashBefore {
            self.note(call, &args, fate, "");
            return self.die().await;
        }
        let unavailable = |what: &str| Err(PortError::Unavailable(what.to_owned()).into());
        let result = match fate {
            Fate::Fails | Fate::CrashBefore => unavailable("no answer"),
            Fate::Throttled => Err(PortError::Throttled("slow down".to_owned()).into()),
            Fate::LosesAnswer => work.await.and_then(|_| unavailable("the answer is lost")),
            Fate::Late(by) => match late() {
                Some(late) => {
                    let in_transit = self.world.in_transit();
                    tokio::spawn(async move {
                        tokio::time::sleep(by).await;
                        late.await;
                        drop(in_transit);
                    });
                    unavailable("given up")
                }
                None => work.await.and_then(|_| unavailable("the answer is lost")),
            },
            Fate::CrashAfter | Fate::Fine => work.await,
        };
        if !call.is_quick || fate != Fate::Fine {
            match &result {
                Ok(_) => self.note(call, &args, fate, ""),
                Err(error) => self.note(call, &args, fate, &format!("{error:?}")),
            }
        }
        if fate == Fate::CrashAfter {
            return self.die().await;
        }
        self.end(call).await;
        result
    }

    /// The request's way to the port, and the fate of the call.
    pub(super) async fn begin(&self, call: Call) -> Fate {
        self.pass().await;
        let (latency, fate) = self.draw(call);
        self.wait(latency).await;
        if self.world.is_out(call.port) || self.is_cut_off(call) {
            return Fate::Fails;
        }
        if fate == Fate::LosesAnswer && call.name == "record attempt" {
            self.cut_off();
        }
        fate
    }

    /// Cuts this worker off from the store for a while, at the profile's rate.
    fn cut_off(&self) {
        let rate = self.world.profile.rate(Fault::CutOff);
        if !self.with_rng(|rng| happens(rng, rate)) {
            return;
        }
        let lasts = Duration::from_millis(self.with_rng(|rng| rng.u64(2_000..=12_000)));
        let mut until = self.cut_off_until.lock().unwrap_or_else(PoisonError::into_inner);
        // Rarely enough that an attempt is undone within the time reserved for it.
        if until.is_none_or(|until| Instant::now() > until + CUT_OFF_EVERY) {
            *until = Some(Instant::now() + lasts);
            self.world.count(Some(Fault::CutOff));
        }
    }

    fn is_cut_off(&self, call: Call) -> bool {
        let until = self.cut_off_until.lock().unwrap_or_else(PoisonError::into_inner);
        call.port == Port::Store
            && !self.world.is_fault_free()
            && until.is_some_and(|until| Instant::now() < until)
    }

    /// The answer's way back.
    pub(super) async fn end(&self, call: Call) {
        let latency = self.latency(call);
        self.wait(latency).await;
    }

    async fn wait(&self, latency: Duration) {
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        self.pass().await;
    }

    fn draw(&self, call: Call) -> (Duration, Fate) {
        let latency = self.latency(call);
        if self.world.is_fault_free() {
            return (latency, Fate::Fine);
        }
        let profile = &self.world.profile;
        let rng = &mut *self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        // Quick calls are so many that they would use up every fault.
        let mut on = |fault: Fault| {
            let rate = profile.rate(fault) / if call.is_quick { 50 } else { 1 };
            let rate = match fault {
                Fault::Pause | Fault::CrashInCall => rate / 8,
                _ => rate,
            };
            happens(rng, rate)
        };
        let fate = if on(Fault::CrashInCall) && self.may_crash() {
            if rng.bool() { Fate::CrashBefore } else { Fate::CrashAfter }
        } else if on(Fault::Fail) {
            Fate::Fails
        } else if on(Fault::Throttle) {
            Fate::Throttled
        } else if on(Fault::Lost) {
            Fate::LosesAnswer
        } else if on(Fault::Late) {
            let most = if profile.class == Class::Crossing { 2_500 } else { 20_000 };
            Fate::Late(Duration::from_millis(rng.u64(1..=most)))
        } else {
            if on(Fault::Pause) {
                let visibility = self.visibility();
                let pause = visibility.mul_f64(0.5 + 2.5 * rng.f64());
                self.pause(pause);
            }
            Fate::Fine
        };
        self.count(match fate {
            Fate::Fine => None,
            Fate::Fails => Some(Fault::Fail),
            Fate::Throttled => Some(Fault::Throttle),
            Fate::LosesAnswer => Some(Fault::Lost),
            Fate::Late(_) => Some(Fault::Late),
            Fate::CrashBefore | Fate::CrashAfter => Some(Fault::CrashInCall),
        });
        (latency, fate)
    }

    fn latency(&self, call: Call) -> Duration {
        let profile = &self.world.profile;
        let rng = &mut *self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        if !call.is_quick
            && !self.world.is_fault_free()
            && happens(rng, profile.rate(Fault::Tail) / 4)
        {
            self.count(Some(Fault::Tail));
            return self.visibility().mul_f64(1.5 * rng.f64());
        }
        if call.is_quick {
            return Duration::ZERO;
        }
        if self.worker == 0 && !self.world.is_fault_free() && profile.rate(Fault::Starved) > 0 {
            self.world.count(Some(Fault::Starved));
            return Duration::from_millis(rng.u64(STARVED_MS));
        }
        Duration::from_micros(rng.u64(100..=as_micros(profile.latency_max)))
    }

    fn visibility(&self) -> Duration {
        let settings = self.world.profile.settings.get(self.worker);
        settings.map_or(Duration::from_secs(30), |settings| settings.visibility)
    }

    fn is_gateway(&self) -> bool {
        self.worker >= FIRST_GATEWAY
    }

    /// Gateways crash on an account of their own, so that workers crash no less beside them.
    fn may_crash(&self) -> bool {
        !self.is_gateway() && self.world.may_crash()
    }

    /// Counts a fault of a worker's call; those of gateways' calls are counted apart.
    fn count(&self, fault: Option<Fault>) {
        match fault {
            Some(_) if self.is_gateway() => self.world.cover(Situation::CallFailed),
            fault => self.world.count(fault),
        }
    }

    /// Makes every call of the store fail until then.
    pub(super) fn blind(&self, until: Instant) {
        *self.cut_off_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    /// Signals the worker to stop.
    pub(super) fn request_stop(&self) {
        *self.told_to_stop.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// The time since the worker was signalled to stop, if it was.
    pub(super) fn told_to_stop(&self) -> Option<Duration> {
        let reported = *self.told_to_stop.lock().unwrap_or_else(PoisonError::into_inner);
        reported.map(|at| at.elapsed())
    }

    /// Pauses the worker.
    fn pause(&self, by: Duration) {
        self.count(Some(Fault::Pause));
        self.trace(format_args!("stands still for {} ms", by.as_millis()));
        *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Instant::now() + by);
    }

    /// Waits while the worker is paused; forever if it is dead.
    pub(super) async fn pass(&self) {
        loop {
            if self.is_dead.load(Ordering::Relaxed) {
                return pending().await;
            }
            let until = *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
            match until {
                Some(until) if until > Instant::now() => tokio::time::sleep_until(until).await,
                _ => return,
            }
        }
    }

    /// Crashes the worker in a call.
    pub(super) async fn die<T>(&self) -> T {
        self.kill();
        pending().await
    }

    /// Blocks all further calls.
    pub(super) fn kill(&self) {
        self.is_dead.store(true, Ordering::Relaxed);
        self.death.notify_one();
    }

    /// Waits until the worker has crashed in a call.
    pub(super) async fn died(&self) {
        self.death.notified().await;
    }

    /// Whether the fault happens in a call: `false` in the fault-free phase.
    pub(super) fn happens(&self, fault: Fault) -> bool {
        if self.world.is_fault_free() {
            return false;
        }
        let rate = self.world.profile.rate(fault);
        let does = happens(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner), rate);
        if does {
            self.count(Some(fault));
        }
        does
    }

    /// Draws from the worker's random stream.
    pub(super) fn with_rng<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The fate of each entry of a batch; `None` if all succeed.
    pub(super) fn entries(&self, count: usize) -> Option<Vec<EntryFate>> {
        if !self.happens(Fault::Partial) {
            return None;
        }
        // Without CPU time more than half of all entries are too late.
        let is_starved = self.worker == 0 && self.world.profile.rate(Fault::Starved) > 0;
        let fail = if is_starved { 5 } else { 2 };
        let draw = |rng: &mut Rng| match rng.u32(0..8) {
            number if number < fail => EntryFate::Fails,
            number if number < fail + 2 => EntryFate::LosesAnswer,
            _ => EntryFate::Fine,
        };
        Some(self.with_rng(|rng| (0..count).map(|_| draw(rng)).collect()))
    }

    pub(super) fn trace(&self, line: fmt::Arguments<'_>) {
        self.world.trace(format_args!("{} {line}", Named(self.life())));
    }

    fn note(&self, call: Call, args: &impl Display, fate: Fate, error: &str) {
        self.trace(format_args!("{} {args}{fate} {error}", call.name));
    }
}

fn as_micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
