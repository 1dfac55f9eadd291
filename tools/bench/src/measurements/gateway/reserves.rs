//! Reserves over gRPC: from the call to its answer, with the worker behind the queue.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use axum::Extension;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use uuid::Uuid;

use super::{Gateway, house};
use crate::{Model, Row, Size, Target, load, model::ms, paused, world::World};
use inventory_worker::{
    adapters::{instrumented::LatencyModel, system::Random},
    config::GatewayConfig,
    gateway::{
        Caller, Queries, QuerySettings,
        grpc::{
            self, Face, Serving,
            proto::{
                Pool, ReserveSeatsRequest, inventory_service_client::InventoryServiceClient, pool,
            },
        },
        limits::CallerRate,
        observer::NoopRequestObserver,
        queries::{PageRequest, SeatFilter},
        streams::{Changes, Results, StreamSettings, Streams},
    },
    ports::{Entropy, Locks, PortError, Record},
    report::{Plot, quantile},
    worker::{self, Settings},
};

/// The load of one group, reserves a second: 70 % of what it does at spread latencies.
const RATE_OF_ONE: f64 = 115.0;

/// The load of sixteen groups, reserves a second.
const RATE_OF_SIXTEEN: f64 = 1_000.0;

const GROUPS: u16 = 16;

const BOUND_MS: f64 = 500.0;

/// Lookups a second beside the reserves.
const QUERIES_PER_SECOND: f64 = 2_000.0;

/// Each 99th percentile, as a multiple of its median.
const SPREAD: u32 = 5;

/// The first seat that is reserved: those of the house before it are looked at.
const FIRST: usize = 1_000_000;

pub(in crate::measurements) fn measure(model: &Model, size: Size) -> anyhow::Result<Vec<Row>> {
    let of = |model: LatencyModel, groups, rate, reserves| {
        paused(async { run(&World::new(model), groups, rate, reserves).await })
    };
    let one = of(model.latencies(), 1, RATE_OF_ONE, size.commands)?;
    let sixteen = of(model.latencies(), GROUPS, RATE_OF_SIXTEEN, size.commands * 5)?;
    let spread = model.latencies().spread(SPREAD);
    let spread_one = of(spread.clone(), 1, RATE_OF_ONE, size.commands)?;
    let spread_sixteen = of(spread, GROUPS, RATE_OF_SIXTEEN, size.commands * 5)?;
    let p99 = |times: &[f64]| quantile(times, 0.99);
    let note = format!(
        "from the call to its answer, the worse of {RATE_OF_ONE}/s at random on one group ({:.0} \
         ms) and {RATE_OF_SIXTEEN}/s over {GROUPS} ({:.0} ms); p50 {:.0} and {:.0} ms; at lognormal \
         latencies with p99 = {SPREAD} × p50 {:.0} and {:.0} ms; without a network",
        p99(&one),
        p99(&sixteen),
        quantile(&one, 0.5),
        quantile(&sixteen, 0.5),
        p99(&spread_one),
        p99(&spread_sixteen),
    );
    let title = "ReserveSeats from the call to its answer, one group".to_owned();
    let figure = p99(&one).max(p99(&sixteen));
    Ok(vec![
        Row::new("grpc_reserve_p99", figure, "ms", Target::AtMost(BOUND_MS))
            .noting(note)
            .showing(Plot::Distribution { title, times_ms: one, bound_ms: Some(BOUND_MS) }),
        with_queries(model, size)?,
    ])
}

/// The same on the machine's clock, where lookups compete for the processor: alone, and beside
/// lookups with the locks' Redis gone.
fn with_queries(model: &Model, size: Size) -> anyhow::Result<Row> {
    let reserves = size.commands / 2;
    let alone = beside(model, reserves, false)?;
    let loaded = beside(model, reserves, true)?;
    let (before, after) = (quantile(&alone.times_ms, 0.99), quantile(&loaded.times_ms, 0.99));
    let note = format!(
        "p99 {after:.0} ms beside {:.0} lookups/s in the same process (maps, counts, pages, seats) \
         and without Redis, {before:.0} ms without lookups and with it; {RATE_OF_ONE} reserves/s \
         over {GROUPS} groups, on the machine's clock",
        loaded.queries_per_second
    );
    Ok(Row::new("reserve_with_queries", after / before, "times", Target::AtMost(1.1)).noting(note))
}

struct Beside {
    times_ms: Vec<f64>,
    queries_per_second: f64,
}

fn beside(model: &Model, reserves: usize, loaded: bool) -> anyhow::Result<Beside> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut world = World::new(model.latencies());
        world.store.insert(house(world.clock.now())?);
        if loaded {
            world.ports.locks = Arc::new(NoRedis);
        }
        let gateway = Gateway::on(&world, 1, QuerySettings::default());
        let begun = Instant::now();
        let mut asking = JoinSet::new();
        if loaded {
            asking.spawn(look_up(Arc::clone(&gateway.queries)));
        }
        let times_ms = run(&world, GROUPS, RATE_OF_ONE, reserves).await?;
        let took = begun.elapsed();
        asking.abort_all();
        let stats = gateway.queries.views().stats();
        let asked = stats.hits.saturating_add(stats.misses);
        ensure!(!loaded || asked > 0, "nothing was looked up");
        let queries_per_second = crate::measurements::count(asked) / took.as_secs_f64();
        Ok(Beside { times_ms, queries_per_second })
    })
}

/// Looks things up at a steady rate until it is dropped.
async fn look_up(queries: Arc<Queries>) {
    let pause = Duration::from_secs_f64(1.0 / QUERIES_PER_SECOND);
    let mut asking = JoinSet::new();
    let mut at = Instant::now();
    for number in 0_usize.. {
        at += pause;
        sleep_until(at).await;
        let queries = Arc::clone(&queries);
        asking.spawn(async move { ask(&queries, number).await });
        while asking.try_join_next().is_some() {}
    }
}

async fn ask(queries: &Queries, number: usize) {
    let caller = Caller::local();
    let filter = SeatFilter { sellable: Some(true), ..SeatFilter::default() };
    // A lookup that fails loads the gateway as well.
    match number % 4 {
        0 => drop(queries.map(&caller, load::EVENT).await),
        1 => drop(queries.availability(&caller, load::EVENT).await),
        _ => drop(queries.seats(&caller, load::EVENT, &filter, &PageRequest::default()).await),
    }
}

/// The time of each reserve from its call to its answer, milliseconds, sorted.
async fn run(world: &World, groups: u16, rate: f64, reserves: usize) -> anyhow::Result<Vec<f64>> {
    let now = world.clock.now();
    for number in FIRST..FIRST + reserves {
        world.store.insert([Record::Seat(load::seat_key(number)?, load::seat(number, now)?)]);
    }
    let gateway = Gateway::on(world, groups, QuerySettings::default());
    let mut running = JoinSet::new();
    running.spawn(worker::run(world.context(Settings::default(), 1), vec![world.source()]));
    let commands = Arc::clone(&gateway.commands);
    running.spawn(async move { commands.run().await });
    let entropy: Arc<dyn Entropy> = Arc::new(Random::seeded(22));
    let observer = Arc::new(NoopRequestObserver);
    let streams = Streams::new(StreamSettings::default(), Arc::clone(&entropy), observer.clone());
    let (queries, clock) = (gateway.queries, gateway.clock);
    let face = Face {
        commands: gateway.commands,
        rate: Arc::new(CallerRate::new(&GatewayConfig::default().limits)),
        observer,
        results: Results::new(None, streams.clone(), Arc::clone(&clock)),
        changes: Changes::new(Arc::clone(&queries), streams, Arc::clone(&clock), entropy),
        queries,
        clock,
        serving: Serving::start().await,
    };
    let router = grpc::router(face).layer(Extension(Caller::local()));
    let client = InventoryServiceClient::new(router);
    let chance = Random::seeded(7);
    let mut calls = JoinSet::new();
    let mut at = Instant::now();
    for number in FIRST..FIRST + reserves {
        at += Duration::from_secs_f64(-(1.0 - chance.fraction()).ln() / rate);
        sleep_until(at).await;
        let mut client = client.clone();
        let request = reserve(number)?;
        calls.spawn(async move {
            let called = Instant::now();
            let answer = client.reserve_seats(request).await;
            answer.map(|_| ms(called.elapsed()))
        });
    }
    let mut times_ms = Vec::with_capacity(reserves);
    while let Some(answer) = calls.join_next().await {
        times_ms.push(answer?.context("a reserve that was not answered")?);
    }
    running.shutdown().await;
    world.see_that_all_went_well()?;
    times_ms.sort_by(f64::total_cmp);
    Ok(times_ms)
}

fn reserve(number: usize) -> anyhow::Result<ReserveSeatsRequest> {
    Ok(ReserveSeatsRequest {
        pool: Some(Pool { pool: Some(pool::Pool::EventId(i64::try_from(load::EVENT)?)) }),
        user_id: format!("user-{number}"),
        seats: vec![load::seat_number(number)?.to_string()],
        ..ReserveSeatsRequest::default()
    })
}

/// Locks whose Redis refuses every connection.
struct NoRedis;

#[async_trait]
impl Locks for NoRedis {
    async fn acquire(
        &self,
        _: &str,
        _: &[String],
        _: Uuid,
        _: Duration,
    ) -> Result<bool, PortError> {
        Err(PortError::Unavailable("connection refused".to_owned()))
    }

    async fn release(&self, _: &str, _: &[String], _: Uuid) -> Result<(), PortError> {
        Err(PortError::Unavailable("connection refused".to_owned()))
    }
}
