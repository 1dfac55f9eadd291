//! What a worker holds, however long its queue is, and whatever lies in it.

use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use tokio::{task::JoinSet, time::Instant};

use super::count;
use crate::{
    adapters::{
        no_locks::NoLocks,
        observed::{CallCounts, ObservedPublisher, ObservedQueue, ObservedStore, Observer},
        system::Random,
    },
    bench::{
        Model, Row, Size, Target, hostile, paused,
        row::Better,
        still::{BlankStore, BlankTopic, MadeUpQueue},
        world::{Ports, World},
    },
    message,
    ports::{Clock, queue::BATCH_ENTRIES_MAX},
    worker::{self, Settings},
};

/// The longest that a backlog may take of its own time.
const PATIENCE: Duration = Duration::from_secs(86_400);

pub(super) fn measure(model: &Model, size: Size) -> anyhow::Result<Vec<Row>> {
    let (short, long) = size.backlogs;
    let of = |backlog| move |clock| MadeUpQueue::new(backlog, clock);
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

/// What a body costs in a worker that has one at a time in hand, so that it is not hidden among
/// those that wait.
pub(super) fn measure_hostile(model: &Model, size: Size) -> anyhow::Result<Vec<Row>> {
    let (bytes, backlog) = size.hostile;
    let of_body = |body: String| {
        let body: Arc<str> = body.into();
        let is_refused = message::decode(&body).is_err();
        let of_body = move |clock| MadeUpQueue::of(body, backlog, clock);
        held(model, one_at_a_time(), of_body, is_refused)
    };
    let ordinary = of_body(hostile::ordinary(bytes))?;
    let mut worst = ("", 0);
    for (name, body) in hostile::bodies(bytes) {
        let held = of_body(body)?;
        if held > worst.1 {
            worst = (name, held);
        }
    }
    let of_its_length = |held: u64| count(held) / count(bytes);
    let (name, held) = worst;
    let note = format!(
        "a body of {} KiB in hand costs at most {:.1} times its length, itself counted ({name}), \
         and {:.1} times where it is {}",
        bytes / 1_024,
        of_its_length(held),
        of_its_length(ordinary),
        hostile::ORDINARY,
    );
    let ratio = count(held) / count(ordinary);
    Ok(vec![Row::new("memory_hostile", ratio, "times", Target::AtMost(3.0)).noting(note)])
}

/// Room for what one receive may bring: the next begins when its messages are done.
fn one_at_a_time() -> Settings {
    Settings { pollers: 1, messages_in_flight_max: BATCH_ENTRIES_MAX, ..Settings::default() }
}

/// The most bytes that were allocated at one time while the backlog was worked off. Allocations
/// are counted by thread, and the runtime is this thread's.
fn held(
    model: &Model,
    settings: Settings,
    queue: impl FnOnce(Arc<dyn Clock>) -> MadeUpQueue,
    is_refused: bool,
) -> anyhow::Result<u64> {
    let mut result = Ok(());
    let info = allocation_counter::measure(|| {
        result = paused(work_off(model, settings, queue, is_refused))
    });
    result?;
    Ok(info.bytes_max)
}

async fn work_off(
    model: &Model,
    settings: Settings,
    queue: impl FnOnce(Arc<dyn Clock>) -> MadeUpQueue,
    is_refused: bool,
) -> anyhow::Result<()> {
    let mut world = World::new(model.latencies());
    let queue = Arc::new(queue(Arc::clone(&world.clock)));
    let counts = Arc::new(CallCounts::default());
    let delays = Observer::delaying(counts, model.latencies(), Arc::new(Random::seeded(3)));
    let dead_letters = Arc::new(MadeUpQueue::new(0, Arc::clone(&world.clock)));
    world.ports = Ports {
        queue: Arc::new(ObservedQueue::new(queue.clone(), Arc::clone(&delays))),
        dead_letters: Arc::new(ObservedQueue::new(dead_letters, Arc::clone(&delays))),
        store: Arc::new(ObservedStore::new(Arc::new(BlankStore), Arc::clone(&delays))),
        locks: Arc::new(NoLocks),
        publisher: Arc::new(ObservedPublisher::new(Arc::new(BlankTopic), delays)),
    };
    let mut working = JoinSet::new();
    let tools = world.tools(settings, 1);
    working.spawn(worker::run(tools, vec![world.source()]));
    let begun = Instant::now();
    while !queue.is_empty() {
        ensure!(begun.elapsed() < PATIENCE, "a backlog that was never worked off");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    working.shutdown().await;
    if is_refused { Ok(()) } else { world.see_that_all_went_well() }
}
