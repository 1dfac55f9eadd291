//! Processor time per command.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::count;
use crate::{Model, Row, Size, Target, world::World};
use inventory_worker::{adapters::instrumented::LatencyModel, worker::Settings};

const GROUPS: usize = 2_000;

/// The most commands that are in the queue at once.
const AT_ONCE_MAX: usize = 100_000;

pub(super) fn measure(_: &Model, size: Size) -> anyhow::Result<Vec<Row>> {
    let batches = of_worker(size.processed, GROUPS)?;
    let commands = size.processed.min(AT_ONCE_MAX) / 2;
    let singles = of_worker(commands, commands)?;
    let note = format!(
        "a backlog of {} commands in {GROUPS} groups, so full batches, on every core there is; \
         {singles:.1} µs where every command is a group of its own; the allocator that counts for \
         `memory` is in both",
        size.processed
    );
    Ok(vec![Row::new("many_groups_cpu", batches, "µs/command", Target::AtMost(50.0)).noting(note)])
}

/// Microseconds of this process's processor time per command, with ports that answer at once.
fn of_worker(commands: usize, groups: usize) -> anyhow::Result<f64> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut used = Duration::ZERO;
    runtime.block_on(async {
        let mut left = commands;
        while left > 0 {
            let part = left.min(AT_ONCE_MAX);
            let world = World::new(LatencyModel::zero()).with_reserves(part, groups)?;
            let before = processor_time();
            world.drain(Settings::default()).await?;
            used += processor_time().saturating_sub(before);
            left -= part;
        }
        anyhow::Ok(())
    })?;
    Ok(used.as_secs_f64() * 1e6 / count(commands))
}

/// The processor time this process has used so far.
pub(super) fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let part = |part: i64| u64::try_from(part).unwrap_or_default();
    Duration::from_secs(part(time.tv_sec)) + Duration::from_nanos(part(time.tv_nsec))
}
