//! What a worker holds, however long its queue is.

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
        Model, Row, Size, Target, paused,
        row::Better,
        still::{BlankStore, BlankTopic, MadeUpQueue},
        world::{Ports, World},
    },
    worker::{self, Settings},
};

/// The longest that a backlog may take of its own time.
const PATIENCE: Duration = Duration::from_secs(86_400);

pub(super) fn measure(model: &Model, size: Size) -> anyhow::Result<Vec<Row>> {
    let (short, long) = size.backlogs;
    let small = held(model, short)?;
    let large = held(model, long)?;
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

/// The most bytes that were allocated at one time while the backlog was worked off. Allocations
/// are counted by thread, and the runtime is this thread's.
fn held(model: &Model, backlog: usize) -> anyhow::Result<u64> {
    let mut result = Ok(());
    let info = allocation_counter::measure(|| result = paused(work_off(model, backlog)));
    result?;
    Ok(info.bytes_max)
}

async fn work_off(model: &Model, backlog: usize) -> anyhow::Result<()> {
    let mut world = World::new(model.latencies());
    let queue = Arc::new(MadeUpQueue::new(backlog, Arc::clone(&world.clock)));
    let counts = Arc::new(CallCounts::default());
    let delays = Observer::delaying(counts, model.latencies(), Arc::new(Random::seeded(3)));
    world.ports = Ports {
        queue: Arc::new(ObservedQueue::new(queue.clone(), Arc::clone(&delays))),
        dead_letters: Arc::clone(&world.ports.dead_letters),
        store: Arc::new(ObservedStore::new(Arc::new(BlankStore), Arc::clone(&delays))),
        locks: Arc::new(NoLocks),
        publisher: Arc::new(ObservedPublisher::new(Arc::new(BlankTopic), delays)),
    };
    let mut working = JoinSet::new();
    let tools = world.tools(Settings::default(), 1);
    working.spawn(worker::run(tools, vec![world.source()]));
    let begun = Instant::now();
    while !queue.is_empty() {
        ensure!(begun.elapsed() < PATIENCE, "a backlog that was never worked off");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    working.shutdown().await;
    world.see_that_all_went_well()
}
