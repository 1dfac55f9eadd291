//! Calls per command.

use super::count;
use crate::{Model, Row, Size, Target, model::BATCH, paused, row::Better, world::World};
use inventory_worker::worker::{LockMode, Settings};

/// Groups of one message each.
const SCATTERED: usize = 2_000;

pub(super) fn measure(model: &Model, size: Size) -> anyhow::Result<Vec<Row>> {
    let hot = of_worker(model, size.commands, 1, Settings::default())?;
    let scattered = of_worker(model, SCATTERED, SCATTERED, Settings::default())?;
    let after_conflict = Settings { lock_mode: LockMode::AfterConflict, ..Settings::default() };
    let seldom_locked = of_worker(model, SCATTERED, SCATTERED, after_conflict)?;
    let row = |name, (calls, note): (f64, String), most, least| {
        Row::new(name, calls, "calls/command", Target::AtMost(most))
            .with_ceiling(least, Better::Less)
            .noting(note)
    };
    let shared = 3.0 / BATCH;
    Ok(vec![
        row("calls_hot", hot, 0.8, 7.0 / BATCH),
        row("calls_scattered", scattered, 4.4, 4.0 + shared),
        row("calls_scattered_locks_after_conflict", seldom_locked, 2.5, 2.0 + shared),
    ])
}

/// Calls per command, by kind.
fn of_worker(
    model: &Model,
    commands: usize,
    groups: usize,
    settings: Settings,
) -> anyhow::Result<(f64, String)> {
    paused(async {
        let world = World::new(model.latencies()).with_reserves(commands, groups)?;
        world.drain(settings).await?;
        let calls = world.counts.calls();
        let each: Vec<String> = calls
            .iter()
            .map(|(name, calls)| format!("{name} {:.3}", count(*calls) / count(commands)))
            .collect();
        Ok((count(world.counts.total()) / count(commands), each.join(", ")))
    })
}
