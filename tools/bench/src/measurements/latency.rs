//! The time from enqueued to durable under continuous load.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

use anyhow::ensure;
use tokio::{task::JoinSet, time::Instant};

use super::per_second;
use crate::{
    Model, Row, Size, Target, load,
    model::ms,
    paused,
    row::Better,
    tally::RecordingStore,
    world::{World, group_ids},
};
use inventory_worker::{
    adapters::{
        instrumented::{Call, LatencyModel},
        system::Random,
    },
    domain::CommandId,
    ports::{Entropy, queue::BATCH_ENTRIES_MAX},
    report::{Plot, quantile},
    worker::{self, Settings},
};

/// Each 99th percentile, as a multiple of its median.
const SPREAD: u32 = 5;

/// The load, as a fraction of the group's capacity.
const LOAD: f64 = 0.7;

/// The bound, and the recipe's own goal, milliseconds.
const BOUND_MS: f64 = 250.0;

/// Messages that the bound is computed from: enough for a stable 99th percentile.
const IDEAL_MESSAGES: usize = 400_000;

pub(super) fn measure(model: &Model, size: Size) -> anyhow::Result<Vec<Row>> {
    let spread = model.latencies().spread(SPREAD);
    let messages = size.commands * 10;
    let capacity = paused(async {
        let world = World::new(spread.clone()).with_reserves(messages, 1)?;
        Ok(per_second(messages, world.drain(Settings::default()).await?))
    })?;
    let idle = quantile(&run(&spread, messages / 10, LOAD * capacity / 100.0)?, 0.99);
    let of_capacity = ReadSet::at(LOAD * capacity, &spread, messages)?;
    let of_nominal = ReadSet::at(LOAD * model.hot_group_ceiling(), &spread, messages)?;
    let bound = quantile(&ideal(&spread, IDEAL_MESSAGES, of_nominal.rate), 0.99);
    let note = format!(
        "{:.0} messages/s at random, 70 % of {capacity:.0}/s, which the group does at these \
         latencies; {of_capacity}; the ceiling is a group with next to nothing to do; the recipe's \
         goal is 500 ms",
        of_capacity.rate,
    );
    let verdict = match bound > BOUND_MS {
        true => ", and misses the target at this load as well",
        false => "",
    };
    let nominal_note = format!(
        "{:.0} messages/s at random, 70 % of the {:.0}/s that the group does at constant latencies \
         and {:.0} % of what it does at these; {of_nominal}; the ceiling is a worker that loses no \
         time between its calls, over {IDEAL_MESSAGES} messages{verdict}",
        of_nominal.rate,
        model.hot_group_ceiling(),
        100.0 * of_nominal.rate / capacity,
    );
    let title = "From enqueued to durable, one group at 70 % of its capacity";
    let nominal_title = "The same at 70 % of its capacity at constant latencies";
    Ok(vec![
        of_capacity.row("latency_p99", idle, note, title),
        of_nominal.row("latency_p99_nominal", bound, nominal_note, nominal_title),
    ])
}

/// The measurements of a group under load.
struct ReadSet {
    /// Messages per second.
    rate: f64,
    /// The time of each message, milliseconds, sorted.
    times_ms: Vec<f64>,
}

impl ReadSet {
    fn at(rate: f64, model: &LatencyModel, messages: usize) -> anyhow::Result<Self> {
        Ok(Self { rate, times_ms: run(model, messages, rate)? })
    }

    fn row(self, name: &'static str, ceiling: f64, note: String, title: &str) -> Row {
        let p99 = quantile(&self.times_ms, 0.99);
        let (title, bound_ms) = (title.to_owned(), Some(BOUND_MS));
        Row::new(name, p99, "ms", Target::AtMost(BOUND_MS))
            .with_ceiling(ceiling, Better::Less)
            .noting(note)
            .showing(Plot::Distribution { title, times_ms: self.times_ms, bound_ms })
    }
}

impl fmt::Display for ReadSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (p50, p999) = (quantile(&self.times_ms, 0.5), quantile(&self.times_ms, 0.999));
        write!(f, "p50 {p50:.0} ms, p99.9 {p999:.0} ms")
    }
}

/// The time of each message of a group, milliseconds, sorted, with a worker that loses no time
/// between its calls: the queue alone, ten messages per round, no worker and no ports.
fn ideal(model: &LatencyModel, messages: usize, rate: f64) -> Vec<f64> {
    let chance = Random::seeded(13);
    let pause_ms = || -(1.0 - chance.fraction()).ln() / rate * 1_000.0;
    let spent = |calls: &[Call]| calls.iter().map(|call| ms(model.draw(*call, &chance))).sum();
    let mut times: Vec<f64> = Vec::with_capacity(messages + BATCH_ENTRIES_MAX);
    let mut waiting: VecDeque<f64> = VecDeque::new();
    let (mut now, mut next) = (0.0_f64, pause_ms());
    while times.len() < messages {
        if waiting.is_empty() {
            now = now.max(next);
        }
        while next <= now {
            waiting.push_back(next);
            next += pause_ms();
        }
        let taken = waiting.drain(..waiting.len().min(BATCH_ENTRIES_MAX));
        let until_durable: f64 = spent(&[Call::Receive, Call::Acquire, Call::Load, Call::Commit]);
        now += until_durable;
        times.extend(taken.map(|sent| now - sent));
        let until_deleted: f64 = spent(&[Call::Release, Call::Publish, Call::Delete]);
        now += until_deleted;
    }
    times.sort_by(f64::total_cmp);
    times
}

/// The time of each message, milliseconds, sorted, for that many messages at that rate per second.
fn run(model: &LatencyModel, messages: usize, rate: f64) -> anyhow::Result<Vec<f64>> {
    paused(async {
        let mut world = World::new(model.clone());
        world.store.insert(load::seats(messages, world.clock.now())?);
        let noted = Arc::new(RecordingStore::new(Arc::clone(&world.ports.store)));
        world.ports.store = noted.clone();
        let mut working = JoinSet::new();
        let context = world.context(Settings::default(), 1);
        working.spawn(worker::run(context, vec![world.source()]));
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

/// Sends messages one after the other, independently of each other, and records when.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ideal_worker_with_little_to_do_takes_the_calls_until_durable_and_no_longer() {
        let times = ideal(&LatencyModel::typical(), 1_000, 0.1);
        // 10 + 0.5 + 5 + 12, except for the few that arrive during another's processing.
        assert!((quantile(&times, 0.5) - 27.5).abs() < 0.001, "{}", quantile(&times, 0.5));
    }

    #[test]
    fn an_ideal_worker_keeps_up_with_ten_messages_a_round_and_no_more() {
        let longest = |rate| quantile(&ideal(&LatencyModel::typical(), 20_000, rate), 1.0);
        // A round takes 48 ms: 208 a second.
        assert!(longest(190.0) < 1_000.0, "{}", longest(190.0));
        assert!(longest(230.0) > 5_000.0, "{}", longest(230.0));
    }
}
