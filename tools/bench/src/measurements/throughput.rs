//! Commands per second: one group, the same one by one, the usual recipe, sixteen groups.

use super::{count, per_second};
use crate::{Model, Row, Size, Target, baseline, model::BATCH, paused, row::Better, world::World};
use inventory_worker::{adapters::instrumented::Call, report::Plot, worker::Settings};

/// Sections of the event, each a group of its own.
const SECTIONS: usize = 16;

pub(super) fn measure(model: &Model, size: Size) -> anyhow::Result<Vec<Row>> {
    let hot = of_worker(model, size.commands, 1, Settings::default())?;
    // At a tenth of the speed, a fifth of the commands is enough.
    let few = size.commands.div_ceil(5);
    let one_by_one = Settings { batch_messages_max: 1, ..Settings::default() };
    let one_by_one = of_worker(model, few, 1, one_by_one)?;
    let recipe = paused(async {
        let world = World::new(model.latencies()).with_reserves(few, 1)?;
        baseline::drain(&world).await
    })?;
    let recipe = per_second(few, recipe);
    // The same number for each: the first round, in which a worker makes one receive, weighs the
    // same.
    let sections = of_worker(model, size.commands * SECTIONS, SECTIONS, Settings::default())?;

    let ceiling = model.hot_group_ceiling();
    let each =
        [Call::Acquire, Call::Load, Call::Commit, Call::Release, Call::Publish, Call::Delete];
    let one_by_one_ms = model.sum_ms(&[Call::Receive]) + BATCH * model.sum_ms(&each);
    let recipe_each =
        [Call::Acquire, Call::Commit, Call::Put, Call::Publish, Call::Delete, Call::Release];
    let recipe_ms = model.sum_ms(&[Call::Receive]) + BATCH * model.sum_ms(&recipe_each);
    let bars = Plot::Bars {
        title: "Commands a second".to_owned(),
        unit: "commands/s",
        bars: vec![
            ("the usual baseline, one group".to_owned(), recipe),
            ("the worker one by one, one group".to_owned(), one_by_one),
            ("the worker, one group".to_owned(), hot),
            ("the model's ceiling, one group".to_owned(), ceiling),
            ("the worker, one event in 16 groups".to_owned(), sections),
        ],
    };
    Ok(vec![
        Row::new("hot_group", hot, "commands/s", Target::RatioAtLeast(0.90))
            .with_ceiling(ceiling, Better::More)
            .noting(format!(
                "bound by one round of calls for ten messages, {:.1} ms",
                model.cycle_ms()
            ))
            .showing(bars),
        Row::new("hot_group_vs_one_by_one", hot / one_by_one, "times", Target::AtLeast(7.5))
            .with_ceiling(one_by_one_ms / model.cycle_ms(), Better::More)
            .noting(format!("one by one: {one_by_one:.1} commands/s")),
        Row::new("hot_group_vs_recipe", hot / recipe, "times", Target::AtLeast(8.0))
            .with_ceiling(recipe_ms / model.cycle_ms(), Better::More)
            .noting(format!("the recipe: {recipe:.1} commands/s")),
        Row::new("section_groups_16", sections / hot, "times", Target::AtLeast(14.0))
            .with_ceiling(count(SECTIONS), Better::More)
            .noting(format!("{sections:.1} commands/s, bound by receives: each brings one group")),
    ])
}

/// Commands per second of a worker whose queue is full from the start.
fn of_worker(
    model: &Model,
    commands: usize,
    groups: usize,
    settings: Settings,
) -> anyhow::Result<f64> {
    paused(async {
        let world = World::new(model.latencies()).with_reserves(commands, groups)?;
        Ok(per_second(commands, world.drain(settings).await?))
    })
}
