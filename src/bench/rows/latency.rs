//! From enqueued to durable, while messages keep coming.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::ensure;
use tokio::{task::JoinSet, time::Instant};

use super::per_second;
use crate::{
    adapters::{observed::LatencyModel, system::Random},
    bench::{
        Model, Row, Size, Target, load,
        model::ms,
        paused,
        row::Better,
        tally::Noted,
        world::{World, group_ids},
    },
    domain::CommandId,
    ports::Entropy,
    report::{Plot, quantile},
    worker::{self, Settings},
};

/// Each 99th percentile, as a multiple of its median.
const SPREAD: u32 = 5;

/// Of the group's capacity.
const LOAD: f64 = 0.7;

/// The bound, and the recipe's own goal, milliseconds.
const BOUND_MS: f64 = 250.0;

pub(super) fn measure(model: &Model, size: Size) -> anyhow::Result<Vec<Row>> {
    let spread = model.latencies().spread(SPREAD);
    let messages = size.commands * 10;
    let capacity = paused(async {
        let world = World::new(spread.clone()).with_reserves(messages, 1)?;
        Ok(per_second(messages, world.drain(Settings::default()).await?))
    })?;
    let loaded = run(&spread, messages, LOAD * capacity)?;
    let idle = run(&spread, messages / 10, LOAD * capacity / 100.0)?;
    let harder_rate = LOAD * model.hot_group_ceiling();
    let harder = run(&spread, messages, harder_rate)?;
    let p99 = quantile(&loaded, 0.99);
    let note = format!(
        "{:.0} messages/s at random, 70 % of {capacity:.0}/s, which the group does at these \
         latencies; p50 {:.0} ms, p99.9 {:.0} ms; the ceiling is a group with next to nothing to \
         do; at {harder_rate:.0}/s, 70 % of what it does at constant latencies, p99 {:.0} ms; the \
         recipe's goal is 500 ms",
        LOAD * capacity,
        quantile(&loaded, 0.5),
        quantile(&loaded, 0.999),
        quantile(&harder, 0.99),
    );
    let title = "From enqueued to durable, one group at 70 % of its capacity".to_owned();
    let plot = Plot::Distribution { title, times_ms: loaded, bound_ms: Some(BOUND_MS) };
    Ok(vec![
        Row::new("latency_p99", p99, "ms", Target::AtMost(BOUND_MS))
            .with_ceiling(quantile(&idle, 0.99), Better::Less)
            .noting(note)
            .showing(plot),
    ])
}

/// How long each message took, milliseconds, sorted, for so many messages at such a rate a second.
fn run(model: &LatencyModel, messages: usize, rate: f64) -> anyhow::Result<Vec<f64>> {
    paused(async {
        let mut world = World::new(model.clone());
        world.store.insert(load::seats(messages, world.clock.now())?);
        let noted = Arc::new(Noted::new(Arc::clone(&world.ports.store)));
        world.ports.store = noted.clone();
        let mut working = JoinSet::new();
        let tools = world.tools(Settings::default(), 1);
        working.spawn(worker::run(tools, vec![world.source()]));
        let sent = send(&world, messages, rate).await?;
        world.until_empty().await?;
        working.shutdown().await;
        world.see_that_all_went_well()?;
        let durable = noted.take_durable();
        ensure!(durable.len() == messages, "{} of {messages} are durable", durable.len());
        let mut times: Vec<f64> = sent
            .iter()
            .filter_map(|(id, sent)| Some(ms(durable.get(id)?.duration_since(*sent))))
            .collect();
        times.sort_by(f64::total_cmp);
        Ok(times)
    })
}

/// Sends one message after the other, independently of each other, and says when.
async fn send(
    world: &World,
    messages: usize,
    rate: f64,
) -> anyhow::Result<BTreeMap<CommandId, Instant>> {
    let chance = Random::seeded(7);
    let [group] = &group_ids(1)?[..] else { return Ok(BTreeMap::new()) };
    let mut sent = BTreeMap::new();
    let mut at = Instant::now();
    for number in 0..messages {
        at += Duration::from_secs_f64(-(1.0 - chance.fraction()).ln() / rate);
        tokio::time::sleep_until(at).await;
        world.queue.push(&load::reserve_message(number, group, world.clock.now())?)?;
        sent.insert(load::command_key(number)?.id, Instant::now());
    }
    Ok(sent)
}
