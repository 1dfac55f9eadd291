//! From the end of a hold to a seat that is physically free.

use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use jiff::SignedDuration;
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    Model, Row, Size, Target, load, model::ms, paused, row::Better, tally::RecordingStore,
    world::World,
};
use inventory_worker::{
    adapters::{instrumented::Call, system::Random},
    domain::time,
    ports::Entropy,
    report::{Plot, quantile},
    sweeper::{self, Sweeper, Turns},
    worker::{self, QueueKind, QueuePair, Settings},
};

const WORKERS: u64 = 4;

/// Holds end within this many seconds, evenly.
const SECONDS: u32 = 60;

/// The first holds end this long after the start, seconds.
const LEAD: u32 = 5;

/// The timeout of the run: far more than it takes.
const PATIENCE: Duration = Duration::from_secs(600);

const BOUND_MS: f64 = 5_000.0;

pub(super) fn measure(model: &Model, size: Size) -> anyhow::Result<Vec<Row>> {
    let settings = sweeper::Settings::default();
    let times = run(model, size.holds, &settings)?;
    let p99 = quantile(&times, 0.99);
    // The expiry is found, posted, received and committed.
    let path = [
        Call::Acquire,
        Call::Query,
        Call::Send,
        Call::Receive,
        Call::Acquire,
        Call::Load,
        Call::Load,
        Call::Commit,
    ];
    let ceiling = ms(settings.interval) + model.sum_ms(&path);
    let note = format!(
        "{} holds within a minute, {WORKERS} workers, beyond the margin of {} s; p50 {:.0} ms, \
         the last {:.0} ms; the ceiling is the way of one that just missed a sweep, {} s until the \
         next and {:.0} ms of calls",
        size.holds,
        settings.margin.as_secs_f64(),
        quantile(&times, 0.5),
        quantile(&times, 1.0),
        settings.interval.as_secs_f64(),
        model.sum_ms(&path),
    );
    let title = "From the end of a hold, and the margin, to its seat free".to_owned();
    Ok(vec![
        Row::new("release_p99", p99, "ms", Target::AtMost(BOUND_MS))
            .with_ceiling(ceiling, Better::Less)
            .noting(note)
            .showing(Plot::Distribution { title, times_ms: times, bound_ms: Some(BOUND_MS) }),
    ])
}

/// When a hold ends, seconds after the start.
fn end_of(number: usize, holds: usize) -> u32 {
    let place = number.saturating_mul(SECONDS as usize) / holds.max(1);
    LEAD + u32::try_from(place).unwrap_or(SECONDS)
}

/// The time from each hold's end and margin until its seat was free, milliseconds, sorted.
fn run(model: &Model, holds: usize, settings: &sweeper::Settings) -> anyhow::Result<Vec<f64>> {
    paused(async {
        let mut world = World::new(model.latencies());
        let start = Instant::now();
        let now = world.clock.now();
        for number in 0..holds {
            let end = SignedDuration::from_secs(i64::from(end_of(number, holds)));
            world.store.insert(load::hold(number, now, time::saturating_add(now, end))?);
        }
        let noted = Arc::new(RecordingStore::new(Arc::clone(&world.ports.store)));
        world.ports.store = noted.clone();
        let mut working = JoinSet::new();
        // Sweepers start at any time, not at a full second, when holds end.
        let phases = Random::seeded(11);
        for seed in 1..=WORKERS {
            let phase = settings.interval.mul_f64(phases.fraction());
            start_worker(&world, settings, seed, phase, &mut working);
        }
        let is_over = || world.store.inspect(|tables| tables.expiry_index.is_empty());
        while !is_over() {
            ensure!(start.elapsed() < PATIENCE, "holds that were never released");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        working.shutdown().await;
        world.see_that_all_went_well()?;
        let freed = noted.take_freed();
        ensure!(freed.len() == holds, "{} of {holds} seats are free", freed.len());
        let mut times = Vec::with_capacity(holds);
        for number in 0..holds {
            let due =
                start + Duration::from_secs(u64::from(end_of(number, holds))) + settings.margin;
            let freed = freed.get(&load::seat_key(number)?).copied().unwrap_or(due);
            times.push(ms(freed.saturating_duration_since(due)));
        }
        times.sort_by(f64::total_cmp);
        Ok(times)
    })
}

fn start_worker(
    world: &World,
    settings: &sweeper::Settings,
    seed: u64,
    phase: Duration,
    working: &mut JoinSet<()>,
) {
    let context = world.context(Settings::default(), seed);
    let sweeper = Sweeper {
        index: context.store.clone(),
        turns: Turns::Locks(Arc::clone(&context.locks)),
        queue: Arc::clone(&world.ports.queue),
        clock: Arc::clone(&context.clock),
        entropy: Arc::new(Random::seeded(seed + 100)),
        observer: Arc::clone(&context.observer),
        settings: settings.clone(),
    };
    let expiries = QueuePair { kind: QueueKind::Expiries, ..world.source() };
    working.spawn(worker::run(context, vec![expiries]));
    working.spawn(async move {
        tokio::time::sleep(phase).await;
        sweeper.run(CancellationToken::new()).await;
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_end_evenly_within_a_minute() {
        let ends: Vec<u32> = (0..120).map(|number| end_of(number, 120)).collect();
        assert_eq!((ends[0], ends[119]), (5, 64));
        assert!((5..65).all(|second| ends.iter().filter(|end| **end == second).count() == 2));
    }
}
