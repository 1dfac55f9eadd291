//! One history: workers that crash and restart, a workload, and faults; then the fault-free phase,
//! in which everything must complete.

mod later;
mod redrive;
mod running;
mod workers;
mod wrong;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use fastrand::Rng;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Options, RunReport,
    checks::Violation,
    fault::Fault,
    gateway::Gateways,
    profile::{Class, Profile},
    progress,
    rng::{Seeded, happens, one_of, stream},
    trace::Trace,
    workload::{Posting, Workload},
    world::World,
};
use inventory_worker::{
    dlq::{self, DlqManager, Selection},
    ports::{Clock, Queue},
};
use redrive::RedriveTarget;
use workers::Workers;

/// In the fault-free phase, everything must complete within this time.
const CONVERGE_WITHIN: Duration = Duration::from_secs(3_600);

/// The most runs needed to redrive the dead letters.
const RUNS_MAX: u32 = 6;

/// The polling interval for completion.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Runs one history from its seed. Returns its report and its trace.
pub(super) fn run(seed: u64, options: &Options) -> (Result<RunReport, Violation>, Option<Trace>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return (Err(Violation::new("runtime", error.to_string())), None),
    };
    let (result, trace) = runtime.block_on(async {
        let mut profile = Profile::draw(seed, options);
        let workload = Workload::draw(seed, &profile, options.kept.as_deref());
        if workload.is_large {
            profile.gateways.widen_pages();
        }
        let world = Arc::new(World::new(seed, profile, options.keeps_trace));
        let began = Instant::now();
        let result = history(&world, workload).await;
        let result = match world.violation() {
            Some(violation) => Err(violation),
            None => result,
        };
        let trace = world.take_trace();
        let report = result.map(|()| report(seed, &world, &trace, began.elapsed()));
        (report, trace)
    });
    // Work still in flight is dropped with the runtime.
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
        collateral_dead_letters: history.collateral_dead_letters(),
        faults: world.counts(),
        situations: world.situations.counts(),
        simulated,
        trace_lines: trace.lines(),
        trace_hash: trace.hash(),
    }
}

async fn history(world: &Arc<World>, workload: Workload) -> Result<(), Violation> {
    let lasts = wrong::begin(world, &workload.records);
    world.set_up(workload.records);
    let began = Instant::now();
    (0..workload.copies).for_each(|_| world.count(Some(Fault::Duplicate)));
    let mut workers = Workers::start(world, 0);
    let mut gateways = Some(Gateways::start(world));
    world.count((world.profile.rate(Fault::Gateways) > 0).then_some(Fault::Gateways));
    if let Some(gateways) = &gateways {
        gateways.receive(workload.visits);
    }
    let chaos = tokio::spawn(wrong::chaos(Arc::clone(world)));
    let watch = tokio::spawn(wrong::watch(Arc::clone(world)));
    feed(world, &workload.postings).await;
    let rng = &mut stream(world.seed, "phases");
    pass(world, Duration::from_secs(rng.u64(0..=20))).await;
    if world.profile.class == Class::Progress {
        // The last messages sent get the full time, and the trouble continues.
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
        close(&mut gateways).await;
        redrive(world, rng).await;
        resend(world, rng, &workload.postings);
        workers = converge(world, Workers::default(), 2_000).await?;
    }
    if world.profile.rate(Fault::Reuse) > 0 {
        workers.drain().await?;
        close(&mut gateways).await;
        let deleting = later::reuse(world, rng, &workload.postings).await;
        workers = converge(world, Workers::default(), 3_000).await?;
        deleting.abort();
    }
    workers.drain().await?;
    world.history().finish(&world.store);
    close(&mut gateways).await;
    Ok(())
}

/// Ends the gateways, once, before days pass or at the end.
async fn close(gateways: &mut Option<Gateways>) {
    if let Some(gateways) = gateways.take() {
        gateways.close().await;
    }
}

/// Sends every message at its scheduled time.
async fn feed(world: &Arc<World>, postings: &[Posting]) {
    let began = Instant::now();
    for posting in postings {
        tokio::time::sleep_until(began + posting.at).await;
        let is_batch = inventory_worker::message::is_batch(&posting.message.body);
        world.count(is_batch.then_some(Fault::CommandBatches));
        world.post(posting.queue, &posting.message);
        if world.violation().is_some() {
            return;
        }
    }
}

/// Sends some messages once more, like a producer that restarts.
fn resend(world: &World, rng: &mut Rng, postings: &[Posting]) {
    for _ in 0..rng.usize(1..=8) {
        if let Some(posting) = one_of(rng, postings) {
            world.post(posting.queue, &posting.message);
        }
    }
}

/// Lets time pass, unless a check has failed.
async fn pass(world: &World, time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until && world.violation().is_none() {
        tokio::time::sleep(POLL_INTERVAL.min(until - Instant::now())).await;
    }
}

/// Restarts all workers without faults: every message must be settled, and every expired hold must
/// be given back.
async fn converge(world: &Arc<World>, workers: Workers, life: u32) -> Result<Workers, Violation> {
    workers.crash().await;
    world.set_fault_free(true);
    let workers = Workers::start(world, life);
    let began = Instant::now();
    let within = converge_within(world);
    loop {
        world.check_fault_free_holds();
        if let Some(violation) = world.violation() {
            return Err(violation);
        }
        let waiting: usize = world.queues.iter().map(|queue| queue.depth()).sum();
        let now = world.clock.now();
        let overdue = world
            .store
            .inspect(|tables| tables.expiry_index.iter().filter(|(_, end, _)| *end <= now).count());
        let held = world.who_holds();
        let visits = world.open_visits();
        let is_over = waiting + overdue + visits + world.late_calls() == 0;
        if is_over && held.is_none() {
            world.note_redriven();
            return Ok(workers);
        }
        if began.elapsed() > within {
            let detail = format!(
                "{} s into the fault-free phase {waiting} messages are left, {overdue} holds overdue, {} \
                 calls and {visits} visits under way; {}",
                within.as_secs(),
                world.late_calls(),
                held.unwrap_or_else(|| "no worker holds anything".to_owned())
            );
            return Err(Violation::new("liveness", detail));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// The limit, extended where a clock was hours off, because its timestamps delay the work by as
/// much.
fn converge_within(world: &World) -> Duration {
    let skew_s = world.profile.skew_max_ms().unsigned_abs() / 1_000;
    CONVERGE_WITHIN + Duration::from_secs(skew_s.saturating_mul(3))
}

/// Redrives the dead letters up to 14 days later, with poison cured, in as many runs as it takes,
/// because the answers to some sends are lost.
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
        let back = RedriveTarget::new(world, queue);
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
