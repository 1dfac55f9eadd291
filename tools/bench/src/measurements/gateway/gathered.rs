//! Reserves of one group that the gateway gathers into messages: from the call to durable.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::Gateway;
use crate::{
    Model, Row, Size, Target, load, measurements::count, model::ms, paused, row::Better,
    tally::RecordingStore, world::World,
};
use inventory_worker::{
    adapters::{
        instrumented::{Call, LatencyModel},
        system::Random,
    },
    domain::PoolId,
    gateway::{Caller, CommandRequest, Commands, QuerySettings},
    ports::Entropy as _,
    report::{Plot, quantile},
    worker::{self, ResultBatches, Settings},
};

/// The load, reserves a second: five times what the group does with one command a message.
const RATE: f64 = 1_000.0;

/// Next to nothing to do.
const IDLE_RATE: f64 = 1.0;

const BOUND_MS: f64 = 250.0;

/// Each 99th percentile, as a multiple of its median.
const SPREAD: u32 = 5;

/// How long each caller waits for its answer.
const WAIT: Duration = Duration::from_secs(20);

pub(in crate::measurements) fn measure(model: &Model, size: Size) -> anyhow::Result<Vec<Row>> {
    let spread = model.latencies().spread(SPREAD);
    let loaded = run(&spread, size.commands * 10, RATE)?;
    let idle = run(&spread, size.commands, IDLE_RATE)?;
    let steady = run(&model.latencies(), size.commands, RATE)?;
    let p99 = quantile(&loaded.durable_ms, 0.99);
    let note = format!(
        "{RATE} one-seat reserves/s at random through one gateway, {:.1} a message, results in \
         kind, from the call to durable; p50 {:.0} ms, p99.9 {:.0} ms; to the answer without hints \
         p99 {:.0} ms; {:.0} ms at constant latencies; the ceiling is a group with next to nothing \
         to do",
        loaded.per_message,
        quantile(&loaded.durable_ms, 0.5),
        quantile(&loaded.durable_ms, 0.999),
        quantile(&loaded.answered_ms, 0.99),
        quantile(&steady.durable_ms, 0.99),
    );
    let title = "From the call to durable, one group at 1,000 reserves a second".to_owned();
    let (times_ms, bound_ms) = (loaded.durable_ms, Some(BOUND_MS));
    let row = Row::new("latency_p99_batched", p99, "ms", Target::AtMost(BOUND_MS))
        .with_ceiling(quantile(&idle.durable_ms, 0.99), Better::Less)
        .noting(note)
        .showing(Plot::Distribution { title, times_ms, bound_ms });
    Ok(vec![row])
}

/// The times of reserves, milliseconds, sorted, and how many shared a message on average.
struct Gathered {
    durable_ms: Vec<f64>,
    answered_ms: Vec<f64>,
    per_message: f64,
}

fn run(model: &LatencyModel, reserves: usize, rate: f64) -> anyhow::Result<Gathered> {
    paused(async {
        let mut world = World::new(model.clone());
        world.store.insert(load::seats(reserves, world.clock.now())?);
        let noted = Arc::new(RecordingStore::new(Arc::clone(&world.ports.store)));
        world.ports.store = noted.clone();
        let gateway = Gateway::on(&world, 1, QuerySettings::default());
        let settings = Settings { result_batches: ResultBatches::InKind, ..Settings::default() };
        let mut running = JoinSet::new();
        running.spawn(worker::run(world.context(settings, 1), vec![world.source()]));
        let commands = Arc::clone(&gateway.commands);
        running.spawn(async move { commands.run().await });
        let (called, answered_ms) = call(&gateway.commands, reserves, rate).await?;
        // One group: a message each.
        let sends = world.counts.calls().get(Call::Send.as_str()).copied().unwrap_or_default();
        world.until_empty().await?;
        running.shutdown().await;
        world.see_that_all_went_well()?;
        let durable = noted.take_durable();
        ensure!(durable.len() == reserves, "{} of {reserves} are durable", durable.len());
        let mut durable_ms = Vec::with_capacity(reserves);
        for (number, called) in called.into_iter().enumerate() {
            let durable = durable.get(&load::command_key(number)?.id).context("a reserve")?;
            durable_ms.push(ms(durable.duration_since(called)));
        }
        durable_ms.sort_by(f64::total_cmp);
        Ok(Gathered { durable_ms, answered_ms, per_message: count(reserves) / count(sends) })
    })
}

/// Makes calls independently of each other. Returns when each was made, and the sorted times to
/// their answers, milliseconds.
async fn call(
    commands: &Arc<Commands>,
    reserves: usize,
    rate: f64,
) -> anyhow::Result<(Vec<Instant>, Vec<f64>)> {
    let chance = Random::seeded(7);
    let (mut called, mut calls, mut at) = (Vec::new(), JoinSet::new(), Instant::now());
    for number in 0..reserves {
        at += Duration::from_secs_f64(-(1.0 - chance.fraction()).ln() / rate);
        sleep_until(at).await;
        let (commands, request) = (Arc::clone(commands), reserve(number)?);
        let begun = Instant::now();
        called.push(begun);
        calls.spawn(async move {
            let answer = commands.submit(&Caller::local(), request).await;
            answer.map(|_| ms(begun.elapsed()))
        });
    }
    let mut answered_ms = Vec::with_capacity(reserves);
    while let Some(answer) = calls.join_next().await {
        answered_ms.push(answer?.context("a reserve that was not answered")?);
    }
    answered_ms.sort_by(f64::total_cmp);
    Ok((called, answered_ms))
}

fn reserve(number: usize) -> anyhow::Result<CommandRequest> {
    Ok(CommandRequest {
        key: load::command_key(number)?,
        has_new_id: true,
        pool: PoolId::Event(load::EVENT),
        action: load::reserve(number)?,
        wait: Some(WAIT),
        group: None,
        traceparent: None,
    })
}
