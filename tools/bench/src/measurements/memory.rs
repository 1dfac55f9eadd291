//! A worker's memory, whatever the length and content of its queue.

use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use tokio::{task::JoinSet, time::Instant};

use super::count;
use crate::{
    Model, Row, Size, Target, hostile,
    null_ports::{BlankStore, BlankTopic, SyntheticQueue},
    paused,
    row::Better,
    world::{Ports, World},
};
use inventory_worker::{
    adapters::{
        instrumented::{
            CallCounts, Instrumentation, InstrumentedPublisher, InstrumentedQueue,
            InstrumentedStore,
        },
        noop_locks::NoopLocks,
        system::Random,
    },
    message,
    ports::{
        Clock,
        queue::{BATCH_ENTRIES_MAX, MESSAGE_BYTES_MAX},
    },
    worker::{self, Settings},
};

const MIB: f64 = 1_048_576.0;

/// Long enough to fill the in-flight limit, with a message every few milliseconds.
const FILLING: Duration = Duration::from_secs(15);

/// The timeout of a backlog, in its own time.
const PATIENCE: Duration = Duration::from_secs(86_400);

pub(super) fn measure(model: &Model, size: Size) -> anyhow::Result<Vec<Row>> {
    let (short, long) = size.backlogs;
    let of = |backlog| move |clock| SyntheticQueue::new(backlog, clock);
    let small = held(model, Settings::default(), of(short), false)?;
    let large = held(model, Settings::default(), of(long), false)?;
    let kib = |bytes: u64| count(bytes) / 1_024.0;
    let note = format!(
        "at most {:.0} KiB with a backlog of {short}, {:.0} KiB with one of {long}, runtime and all; \
         the queue's messages are made up as they are received and the tables keep nothing, so \
         that the ports hold no bytes",
        kib(small),
        kib(large)
    );
    Ok(vec![
        Row::new("memory", count(large) / count(small), "times", Target::AtMost(1.1))
            .with_ceiling(1.0, Better::Less)
            .noting(note),
    ])
}

/// The memory of a body in a worker that has one at a time in flight, so that waiting bodies do not
/// hide it; and the memory of a worker that is at its in-flight limit.
pub(super) fn measure_hostile(model: &Model, size: Size) -> anyhow::Result<Vec<Row>> {
    let bytes = MESSAGE_BYTES_MAX;
    let of_body = |body: String| {
        let body: Arc<str> = body.into();
        let is_refused = message::decode(&body).is_err();
        let of_body = move |clock| SyntheticQueue::of(body, size.hostile, clock);
        held(model, one_at_a_time(), of_body, is_refused)
    };
    let ordinary = of_body(hostile::ordinary(bytes))?;
    let mut worst = ("", 0, String::new());
    for (name, body) in hostile::bodies(bytes) {
        let held = of_body(body.clone())?;
        if held > worst.1 {
            worst = (name, held, body);
        }
    }
    let (name, held, body) = worst;
    let mut filled = Vec::new();
    for (name, body) in [
        (name, body),
        (hostile::ORDINARY, hostile::ordinary(bytes)),
        ("restocks of the shortest seats", hostile::shortest_seats()),
        ("reserves of the most and longest seats", hostile::longest_seats()),
    ] {
        filled.push(format!("{:.0} MiB with {name}", count(fill(body, size.filled)?) / MIB));
    }
    let of_its_length = |held: u64| count(held) / count(bytes);
    let note = format!(
        "a body of {} KiB in hand costs at most {:.1} times its length, itself counted ({name}), \
         and {:.1} times where it is a {}; with {} MiB in flight, all taken and all at a commit \
         that hangs: {}",
        bytes / 1_024,
        of_its_length(held),
        of_its_length(ordinary),
        hostile::ORDINARY,
        size.filled,
        filled.join(", "),
    );
    let ratio = count(held) / count(ordinary);
    Ok(vec![Row::new("memory_hostile", ratio, "times", Target::AtMost(3.0)).noting(note)])
}

/// The peak allocation of a worker that is at its in-flight limit: its commits take longer than the
/// measurement.
fn fill(body: String, mib: usize) -> anyhow::Result<u64> {
    let model = Model::parse("[dynamodb]\ncommit = 60_000\n")?;
    let bytes_in_flight_max = mib * 1_024 * 1_024;
    let settings = Settings { bytes_in_flight_max, ..Settings::default() };
    let body: Arc<str> = body.into();
    let mut result = Ok(());
    let info = allocation_counter::measure(|| {
        result = paused(async {
            let (_world, _queue, mut working) =
                start(&model, settings, |clock| SyntheticQueue::of(body, usize::MAX / 2, clock));
            tokio::time::sleep(FILLING).await;
            working.shutdown().await;
            Ok(())
        });
    });
    result?;
    Ok(info.bytes_max)
}

/// Room for the messages of one receive: the next starts when they are done.
fn one_at_a_time() -> Settings {
    Settings { pollers: 1, messages_in_flight_max: BATCH_ENTRIES_MAX, ..Settings::default() }
}

/// The peak allocation while the backlog is processed. Allocations are counted by thread, and the
/// runtime is this thread's.
fn held(
    model: &Model,
    settings: Settings,
    queue: impl FnOnce(Arc<dyn Clock>) -> SyntheticQueue,
    is_refused: bool,
) -> anyhow::Result<u64> {
    let mut result = Ok(());
    let info = allocation_counter::measure(|| {
        result = paused(work_off(model, settings, queue, is_refused))
    });
    result?;
    Ok(info.bytes_max)
}

/// A worker on ports that hold no data.
fn start(
    model: &Model,
    settings: Settings,
    queue: impl FnOnce(Arc<dyn Clock>) -> SyntheticQueue,
) -> (World, Arc<SyntheticQueue>, JoinSet<()>) {
    let mut world = World::new(model.latencies());
    let queue = Arc::new(queue(Arc::clone(&world.clock)));
    let counts = Arc::new(CallCounts::default());
    let delays = Instrumentation::delaying(counts, model.latencies(), Arc::new(Random::seeded(3)));
    let dead_letters = Arc::new(SyntheticQueue::new(0, Arc::clone(&world.clock)));
    world.ports = Ports {
        queue: Arc::new(InstrumentedQueue::new(queue.clone(), Arc::clone(&delays))),
        dead_letters: Arc::new(InstrumentedQueue::new(dead_letters, Arc::clone(&delays))),
        store: Arc::new(InstrumentedStore::new(Arc::new(BlankStore), Arc::clone(&delays))),
        locks: Arc::new(NoopLocks),
        publisher: Arc::new(InstrumentedPublisher::new(Arc::new(BlankTopic), delays)),
    };
    let mut working = JoinSet::new();
    working.spawn(worker::run(world.context(settings, 1), vec![world.source()]));
    (world, queue, working)
}

async fn work_off(
    model: &Model,
    settings: Settings,
    queue: impl FnOnce(Arc<dyn Clock>) -> SyntheticQueue,
    is_refused: bool,
) -> anyhow::Result<()> {
    let (world, queue, mut working) = start(model, settings, queue);
    let begun = Instant::now();
    while !queue.is_empty() {
        ensure!(begun.elapsed() < PATIENCE, "a backlog that was never worked off");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    working.shutdown().await;
    if is_refused { Ok(()) } else { world.see_that_all_went_well() }
}
