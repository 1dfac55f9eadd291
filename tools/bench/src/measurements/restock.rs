//! A restock of many SKUs.

use super::count;
use crate::{Model, Row, Size, Target, load, model::ms, paused, row::Better, world::World};
use inventory_worker::{
    adapters::instrumented::Call, ports::store::TRANSACTION_ITEMS_MAX, worker::Settings,
};

const SKUS: usize = 5_000;

/// Chunks in flight.
const PARALLELISM: usize = 8;

pub(super) fn measure(model: &Model, _: Size) -> anyhow::Result<Vec<Row>> {
    let took = paused(async {
        let world = World::new(model.latencies());
        world.queue.push(&load::restock_message(SKUS, world.clock.now())?)?;
        let settings = Settings { restock_parallelism: PARALLELISM, ..Settings::default() };
        world.drain(settings).await
    })?;
    // A chunk's marker takes one item of its transaction.
    let chunks = SKUS.div_ceil(TRANSACTION_ITEMS_MAX - 1);
    let around =
        [Call::Receive, Call::Load, Call::Put, Call::Load, Call::Put, Call::Publish, Call::Delete];
    let chunk_ms = model.sum_ms(&[Call::Load, Call::Commit]);
    let computed = model.sum_ms(&around) + count(chunks) * chunk_ms / count(PARALLELISM);
    let rounds = chunks.div_ceil(PARALLELISM);
    Ok(vec![
        Row::new("restock_5000", ms(took), "ms", Target::RatioAtLeast(0.80))
            .with_ceiling(computed, Better::Less)
            .noting(format!(
                "{chunks} chunks in {rounds} rounds of {PARALLELISM}: what is lost is the last \
                 round, which is not full"
            )),
    ])
}
