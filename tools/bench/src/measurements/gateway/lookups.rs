//! Lookups: from the projection in memory, and from tables where the pool is too large for it.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::{Gateway, SEATS, house};
use crate::{
    Model, Row, Size, Target, load,
    measurements::{count, cpu::processor_time},
    model::ms,
    paused,
    world::World,
};
use inventory_worker::{
    adapters::instrumented::LatencyModel,
    domain::{PoolId, SeatStatus},
    gateway::{
        Caller, QuerySettings,
        queries::{PageRequest, SeatFilter},
        view::{Applied, Hint, SeatEntry, ViewSettings},
    },
    report::quantile,
};

/// Seats of a page.
const PAGE: u32 = 100;

pub(in crate::measurements) fn measure(model: &Model, size: Size) -> anyhow::Result<Vec<Row>> {
    let from_memory = from_memory(size.lookups)?;
    let pages = pages(model)?;
    let Maps { changed, shared, gzip, json } = from_memory.maps;
    let note = format!(
        "a map of {SEATS} seats after a change, so encoded and compressed anew; {shared:.2} µs where \
         nothing changed and the bytes are shared; {:.0} KB of JSON",
        json / 1_024.0
    );
    let counting = "each count after a change, so counted anew";
    let note_of_pages = format!(
        "a pool too large for memory: pages of {PAGE} sellable seats under the model, in queries \
         of a little more than that"
    );
    Ok(vec![
        Row::new("map_20000", changed / 1_000.0, "ms CPU", Target::AtMost(1.0)).noting(note),
        Row::new("map_20000_gzip", gzip / 1_024.0, "KB", Target::AtMost(64.0)),
        Row::new("availability_20000", from_memory.availability_ms, "ms", Target::AtMost(5.0))
            .noting(counting),
        Row::new("availability_20000_page", pages, "ms", Target::AtMost(50.0))
            .noting(note_of_pages),
    ])
}

struct FromMemory {
    maps: Maps,
    /// p99, milliseconds.
    availability_ms: f64,
}

/// Processor time of a map in µs, and its bytes.
struct Maps {
    changed: f64,
    shared: f64,
    gzip: f64,
    json: f64,
}

fn from_memory(lookups: usize) -> anyhow::Result<FromMemory> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let world = World::new(LatencyModel::zero());
        world.store.insert(house(world.clock.now())?);
        // What is kept stays fresh, however long the measurement takes.
        let view = ViewSettings { fresh: Duration::from_secs(3_600), ..ViewSettings::default() };
        let gateway = Gateway::on(&world, 1, QuerySettings { view });
        let caller = Caller::local();
        let first = gateway.queries.map(&caller, load::EVENT).await?.document;
        let mut version = 10;
        let change = |number: usize, version: u64| -> anyhow::Result<()> {
            let entry = SeatEntry::new(version, SeatStatus::Booked, None, false);
            let hint = Hint::Seat(load::seat_number(number % SEATS)?, entry);
            let applied = gateway.queries.views().apply(&PoolId::Event(load::EVENT), &hint);
            ensure!(applied == Applied::Changed, "a seat that did not change: {applied:?}");
            Ok(())
        };
        let begun = processor_time();
        for number in 0..lookups {
            version += 1;
            change(number * 7, version)?;
            gateway.queries.map(&caller, load::EVENT).await?;
        }
        let changed = micros(processor_time().saturating_sub(begun), lookups);
        let begun = processor_time();
        for _ in 0..lookups {
            gateway.queries.map(&caller, load::EVENT).await?;
        }
        let shared = micros(processor_time().saturating_sub(begun), lookups);
        let mut times_ms = Vec::with_capacity(lookups);
        for number in 0..lookups {
            version += 1;
            change(number * 7, version)?;
            let asked = Instant::now();
            gateway.queries.availability(&caller, load::EVENT).await?;
            times_ms.push(ms(asked.elapsed()));
        }
        times_ms.sort_by(f64::total_cmp);
        let gzip = count(first.gzip.map_or(usize::MAX, |gzip| gzip.len()));
        let maps = Maps { changed, shared, gzip, json: count(first.plain.len()) };
        Ok(FromMemory { maps, availability_ms: quantile(&times_ms, 0.99) })
    })
}

fn micros(used: Duration, lookups: usize) -> f64 {
    used.as_secs_f64() * 1e6 / count(lookups)
}

/// The p99 of a page from the tables, milliseconds.
fn pages(model: &Model) -> anyhow::Result<f64> {
    paused(async {
        let world = World::new(model.latencies());
        world.store.insert(house(world.clock.now())?);
        let view = ViewSettings { entries_max: SEATS / 2, ..ViewSettings::default() };
        let gateway = Gateway::on(&world, 1, QuerySettings { view });
        let filter = SeatFilter { sellable: Some(true), ..SeatFilter::default() };
        let mut page = PageRequest { limit: Some(PAGE), cursor: None };
        let mut times_ms = Vec::new();
        let caller = Caller::local();
        loop {
            let asked = tokio::time::Instant::now();
            let found = gateway.queries.seats(&caller, load::EVENT, &filter, &page).await?;
            // The first also finds out that the pool is too large.
            if page.cursor.is_some() {
                times_ms.push(ms(asked.elapsed()));
            }
            page.cursor = found.next_cursor;
            if page.cursor.is_none() {
                break;
            }
        }
        times_ms.sort_by(f64::total_cmp);
        Ok(quantile(&times_ms, 0.99))
    })
}
