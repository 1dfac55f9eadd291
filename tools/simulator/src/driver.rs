//! One history: workers that live and die, a workload, and what happens to them; then calm, in
//! which everything must come to an end.

mod later;
mod redrive;
mod wrong;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use fastrand::Rng;
use tokio::{
    task::{JoinHandle, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use redrive::WayBack;

use super::{
    Options, RunReport,
    checks::Violation,
    fault::Fault,
    injector::Injector,
    ports::Ports,
    profile::{Class, Profile, SKEW_MAX_MS},
    progress::{self, Gauge},
    rng::{Seeded, happens, one_of, stream},
    topology::{Place, QUEUES},
    trace::Trace,
    workload::{Posting, Workload},
    world::World,
};
use inventory_worker::{
    adapters::memory::TokioClock,
    dlq::{self, DlqManager, Selection},
    ports::{Clock, Entropy, Queue},
    sweeper::Sweeper,
    worker::{self, NoopObserver, QueueKind, Shutdown, WorkerContext},
};

/// In calm, everything must have come to an end within this.
const CONVERGE_WITHIN: Duration = Duration::from_secs(3_600);

/// How many runs it takes at most to send the dead letters back.
const RUNS_MAX: u32 = 6;

/// How often it is looked whether something is over.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// One history from its seed, and its trace.
pub(super) fn run(seed: u64, options: &Options) -> (Result<RunReport, Violation>, Option<Trace>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return (Err(Violation::new("runtime", error.to_string())), None),
    };
    let (result, trace) = runtime.block_on(async {
        let profile = Profile::draw(seed, options);
        let world = Arc::new(World::new(seed, profile, options.keeps_trace));
        let began = Instant::now();
        let result = history(&world, options).await;
        let result = match world.violation() {
            Some(violation) => Err(violation),
            None => result,
        };
        let trace = world.take_trace();
        let report = result.map(|()| report(seed, &world, &trace, began.elapsed()));
        (report, trace)
    });
    // What was still under way is dropped with the runtime.
    drop(runtime);
    (result, Some(trace))
}

fn report(seed: u64, world: &World, trace: &Trace, simulated: Duration) -> RunReport {
    let history = world.history();
    RunReport {
        seed,
        messages: history.commands(),
        commits: history.commits(),
        dead_letters: history.dead(),
        innocents: history.innocents(),
        faults: world.counts(),
        simulated,
        trace_lines: trace.lines(),
        trace_hash: trace.hash(),
    }
}

async fn history(world: &Arc<World>, options: &Options) -> Result<(), Violation> {
    let workload = Workload::draw(world.seed, &world.profile, options.kept.as_deref());
    let lasts = wrong::begin(world, &workload.records);
    world.set_up(workload.records);
    let began = Instant::now();
    (0..workload.copies).for_each(|_| world.count(Some(Fault::Duplicate)));
    let mut workers = Workers::start(world, 0);
    let chaos = tokio::spawn(wrong::chaos(Arc::clone(world)));
    let watch = tokio::spawn(wrong::watch(Arc::clone(world)));
    feed(world, &workload.postings).await;
    let rng = &mut stream(world.seed, "phases");
    pass(world, Duration::from_secs(rng.u64(0..=20))).await;
    if world.profile.class == Class::Progress {
        // Who was sent last has all the time that there is, and the trouble goes on.
        let since = (began + lasts).max(Instant::now());
        pass(world, since + progress::within() - Instant::now()).await;
    }
    if happens(rng, world.profile.rate(Fault::Resend).saturating_mul(20)) {
        world.count(Some(Fault::Resend));
        workers.crash().await;
        tokio::time::sleep(Duration::from_secs(rng.u64(301..=700))).await;
        workers = Workers::start(world, 100);
        resend(world, rng, &workload.postings);
        pass(world, Duration::from_secs(rng.u64(0..=20))).await;
    }
    chaos.abort();
    watch.abort();
    let mut workers = converge(world, workers, 1_000).await?;
    if happens(rng, world.profile.rate(Fault::Redrive).saturating_mul(20)) {
        world.count(Some(Fault::Redrive));
        workers.drain().await?;
        redrive(world, rng).await;
        resend(world, rng, &workload.postings);
        workers = converge(world, Workers::default(), 2_000).await?;
    }
    if world.profile.rate(Fault::Reuse) > 0 {
        workers.drain().await?;
        let deleting = later::reuse(world, rng, &workload.postings).await;
        workers = converge(world, Workers::default(), 3_000).await?;
        deleting.abort();
    }
    workers.drain().await?;
    world.history().finish(&world.store);
    Ok(())
}

/// Sends every message at its time.
async fn feed(world: &Arc<World>, postings: &[Posting]) {
    let began = Instant::now();
    for posting in postings {
        tokio::time::sleep_until(began + posting.at).await;
        world.post(posting.queue, &posting.message);
        if world.violation().is_some() {
            return;
        }
    }
}

/// Some messages come once more, as of a producer that starts anew.
fn resend(world: &World, rng: &mut Rng, postings: &[Posting]) {
    for _ in 0..rng.usize(1..=8) {
        if let Some(posting) = one_of(rng, postings) {
            world.post(posting.queue, &posting.message);
        }
    }
}

/// Lets time pass, unless something was found wrong.
async fn pass(world: &World, time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until && world.violation().is_none() {
        tokio::time::sleep(LOOK_EVERY.min(until - Instant::now())).await;
    }
}

/// Everybody starts anew and nothing goes wrong: every message must come to its end, and every
/// hold that ran out must be given back.
async fn converge(world: &Arc<World>, workers: Workers, life: u32) -> Result<Workers, Violation> {
    workers.crash().await;
    world.set_calm(true);
    let workers = Workers::start(world, life);
    let began = Instant::now();
    let within = converge_within(world);
    loop {
        world.look_in_calm();
        if let Some(violation) = world.violation() {
            return Err(violation);
        }
        let waiting: usize = world.queues.iter().map(|queue| queue.depth()).sum();
        let now = world.clock.now();
        let overdue = world
            .store
            .inspect(|tables| tables.expiry_index.iter().filter(|(_, end, _)| *end <= now).count());
        let held = world.who_holds();
        let is_over = waiting == 0 && overdue == 0 && world.late_calls() == 0;
        if is_over && held.is_none() {
            world.note_redriven();
            return Ok(workers);
        }
        if began.elapsed() > within {
            let detail = format!(
                "after {} s of calm {waiting} messages are left, {overdue} holds overdue and {} \
                 calls under way; {}",
                within.as_secs(),
                world.late_calls(),
                held.unwrap_or_else(|| "no worker holds anything".to_owned())
            );
            return Err(Violation::new("liveness", detail));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Where a clock was hours ahead or behind, what was stamped by it takes as long.
fn converge_within(world: &World) -> Duration {
    let skew_s = world.profile.skew_max_ms().unsigned_abs() / 1_000;
    CONVERGE_WITHIN + Duration::from_secs(skew_s.saturating_mul(3))
}

/// Up to 14 days later, and cured of what was poison, the dead letters are sent back: by as many
/// runs as it takes, for the answers to some sends are lost.
async fn redrive(world: &Arc<World>, rng: &mut Rng) {
    let days_13 = 13 * 86_400;
    tokio::time::sleep(Duration::from_secs(rng.u64(1..=days_13))).await;
    world.store.expire_ttl(world.clock.now());
    if rng.bool() {
        world.cure_poison();
    }
    for (queue, dead_letters) in world.dead_letters.iter().enumerate() {
        let desk = DlqManager {
            dead_letters: Arc::clone(dead_letters) as Arc<dyn Queue>,
            clock: Arc::clone(&world.clock) as Arc<dyn Clock>,
            entropy: Arc::new(Seeded::new(stream(world.seed, "desk"))),
            options: dlq::Options { limit: dlq::LIMIT_MAX, ..dlq::Options::default() },
            stop: CancellationToken::new(),
        };
        let back = WayBack::new(world, queue);
        let letters = dead_letters.messages();
        for run in 1..=RUNS_MAX {
            back.is_sure.store(run == RUNS_MAX, Ordering::Relaxed);
            if desk.redrive(&back, &Selection::all()).await.is_done() {
                break;
            }
            let pause = rng.u64(1..=900);
            tokio::time::sleep(Duration::from_secs(pause)).await;
        }
        if dead_letters.depth() > 0 {
            let left = dead_letters.depth();
            world.history().fail("redrive", format!("{left} dead letters of c{queue} are left"));
        }
        back.check(&letters);
    }
}

/// The workers of a history, each kept alive by a task of its own.
#[derive(Default)]
struct Workers {
    keepers: JoinSet<Result<(), Violation>>,
    stop: CancellationToken,
}

impl Workers {
    /// `life`: from where the lives of the workers are counted.
    fn start(world: &Arc<World>, life: u32) -> Self {
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

    /// Everybody dies at once.
    async fn crash(mut self) {
        self.keepers.shutdown().await;
    }

    /// Everybody ends in good order.
    async fn drain(mut self) -> Result<(), Violation> {
        self.stop.cancel();
        while let Some(ended) = self.keepers.join_next().await {
            ended.map_err(|error| Violation::new("worker", error.to_string()))??;
        }
        Ok(())
    }
}

fn clock(world: &World, worker: usize) -> Arc<TokioClock> {
    let mut rng = stream(world.seed, &format!("clock {worker}"));
    let is_wrong = world.profile.rate(Fault::WrongClock) > 0 && !world.is_calm();
    let is_off = is_wrong || world.profile.rate(Fault::Skew) > 0;
    let most = if is_wrong { world.profile.skew_max_ms() } else { SKEW_MAX_MS };
    let skew_ms = if is_off { rng.i64(-most..=most) } else { 0 };
    if is_wrong {
        world.count(Some(Fault::WrongClock));
    }
    Arc::new(world.clock.skewed(skew_ms))
}

/// Keeps one worker running: starts it again after it died or was told to stop.
struct Supervisor {
    world: Arc<World>,
    worker: usize,
    life: u32,
    rng: Rng,
    clock: Arc<TokioClock>,
    stop: CancellationToken,
}

/// What ends a life, or changes it.
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

    /// One life. Gives whether it was the last.
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
                Turn::Moment if self.world.is_calm() => {}
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

    /// What may happen to a worker from outside at any moment. Gives it back if it lives on.
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

/// A worker with its sweeper. Dies when dropped.
struct Running {
    injector: Arc<Injector>,
    task: JoinHandle<()>,
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
    fn start(world: &Arc<World>, worker: usize, life: u32, clock: &Arc<TokioClock>) -> Self {
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
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
            observer: gauge,
            settings,
            shutdown: stop.clone(),
        });
        let expiries = queues.iter().find(|pair| pair.kind == QueueKind::Expiries);
        let expiries = expiries.filter(|_| !inventory_worker::injected_bug!(NeverSweep));
        let sweeper = expiries.map(|pair| Sweeper {
            store: Arc::clone(&context.store),
            locks: Arc::clone(&context.locks),
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

    /// Stops where it stands, and is gone.
    async fn crash(mut self) {
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

    /// Is told to stop; killed where it takes longer than its grace. In calm it may not.
    async fn drain(mut self) -> Result<(), Violation> {
        self.injector.trace(format_args!("is told to stop"));
        self.injector.tell_to_stop();
        self.stop.receiving.cancel();
        let told = Instant::now();
        let is_calm = self.injector.world.is_calm();
        let patience = self.grace + Duration::from_secs(2);
        tokio::select! {
            biased;
            ended = &mut self.task => {
                self.injector.trace(format_args!("has stopped"));
                let (world, life) = (&self.injector.world, self.injector.life());
                let held = world.unwatch(life);
                // What its grace cut off is left as after a crash.
                if told.elapsed() >= self.grace {
                    world.history().crashed(life);
                } else if let Some(held) = held {
                    world.history().fail("rest", format!("worker {} ended with {held}", life.0));
                }
                return ended.map_err(|error| Violation::new("worker", error.to_string()));
            }
            () = self.injector.died() => {}
            () = tokio::time::sleep(patience) => {
                if is_calm {
                    let detail = format!("worker {} did not stop in time", self.injector.worker);
                    return Err(Violation::new("drain", detail));
                }
            }
        }
        self.crash().await;
        Ok(())
    }
}
