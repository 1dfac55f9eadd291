//! Many streams of one event: what they hold, and how long they take to end.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{SEATS, house};
use crate::{Model, Row, Size, Target, load, measurements::count, world::World};
use inventory_worker::{
    adapters::{instrumented::LatencyModel, system::Random},
    app::gateway::{Gateway, GatewayBackends},
    config::GatewayConfig,
    domain::{Seat, SeatState},
    gateway::streams::StreamSettings,
    ports::Record,
    telemetry::Metrics,
};

const MIB: f64 = 1_048_576.0;

/// Seats that change each second while streams are open, in ten steps.
const CHANGES_PER_SECOND: usize = 200;

/// How long streams are open while seats change.
const OPEN: Duration = Duration::from_secs(5);

/// Bytes that a client reads at a time.
const CLIENT_BYTES: usize = 512;

pub(in crate::measurements) fn measure(_: &Model, size: Size) -> anyhow::Result<Vec<Row>> {
    let (many, drained) = size.streams;
    let mut result = Ok(Duration::ZERO);
    let info = allocation_counter::measure(|| result = on_this_thread(run(many)));
    result?;
    let took = on_this_thread(run(drained))?;
    let grace = GatewayConfig::default().grace;
    let note = format!(
        "{many} streams of an event of {SEATS} seats, of which {CHANGES_PER_SECOND} change a second, \
         over connections of their own: the most that the process holds, view, frames, buffers and \
         clients included"
    );
    let note_of_drain = format!(
        "{drained} streams, from the signal (without the delay for load balancers) to the end of the \
         process, each with its `bye`; the grace is {} s",
        grace.as_secs()
    );
    let held = count(info.bytes_max) / MIB;
    Ok(vec![
        Row::new("streams_5000", held, "MiB", Target::AtMost(200.0)).noting(note),
        Row::new(
            "drain_1000_streams",
            took.as_secs_f64(),
            "s",
            Target::AtMost(grace.as_secs_f64()),
        )
        .noting(note_of_drain),
    ])
}

fn on_this_thread<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Opens as many streams, changes seats for a while, and ends them all. Returns how long that takes.
async fn run(streams: usize) -> anyhow::Result<Duration> {
    let world = World::new(LatencyModel::zero());
    let now = world.clock.now();
    world.store.insert(house(now)?);
    let config = GatewayConfig {
        port: 0,
        grpc_port: 0,
        drain_delay: Duration::ZERO,
        connections: streams + 100,
        streams: StreamSettings { streams_max: streams, per_caller_max: streams },
        ..GatewayConfig::default()
    };
    let backends = GatewayBackends {
        commands: world.queue.clone(),
        restocks: world.queue.clone(),
        store: world.store.clone(),
        hints: None,
        snapshots: None,
        holds: world.store.clone(),
        activity: None,
        clock: Arc::clone(&world.clock),
        entropy: Arc::new(Random::seeded(51)),
    };
    let gateway = Gateway::bind(&config, &backends, Arc::new(Metrics::new()?), None).await?;
    let address = gateway.http_address();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(gateway.serve(stop.clone()));
    let mut clients = JoinSet::new();
    for _ in 0..streams {
        let mut client = TcpStream::connect(address).await?;
        let path = format!("/events/{}/changes", load::EVENT);
        let request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n");
        client.write_all(request.as_bytes()).await?;
        clients.spawn(read_to_end(client));
    }
    let begun = Instant::now();
    for (step, version) in (10..).enumerate() {
        if begun.elapsed() >= OPEN {
            break;
        }
        for place in 0..CHANGES_PER_SECOND / 10 {
            let number = (step * CHANGES_PER_SECOND / 10 + place) % SEATS;
            let seat = load::seat(number, now)?;
            let seat = Seat { version, occupancy: SeatState::Available, ..seat };
            world.store.insert([Record::Seat(load::seat_key(number)?, seat)]);
        }
        sleep(Duration::from_millis(100)).await;
    }
    ensure!(clients.try_join_next().is_none(), "a stream ended early");
    let signalled = Instant::now();
    stop.cancel();
    serving.await?;
    let took = signalled.elapsed();
    let mut deltas = 0;
    while let Some(end) = clients.join_next().await {
        let end = end??;
        ensure!(end.has_bye, "a stream without its end");
        deltas += usize::from(end.has_delta);
    }
    ensure!(deltas == streams, "{deltas} of {streams} streams told changes");
    Ok(took)
}

/// What a client got.
struct Received {
    has_delta: bool,
    has_bye: bool,
}

async fn read_to_end(mut client: TcpStream) -> anyhow::Result<Received> {
    let mut received = Received { has_delta: false, has_bye: false };
    let mut buffer = [0; CLIENT_BYTES];
    // What may begin at the end of one read and end in the next.
    let mut kept = 0;
    loop {
        let free = buffer.get_mut(kept..).context("room for the next read")?;
        let read = client.read(free).await?;
        if read == 0 {
            return Ok(received);
        }
        let filled = kept + read;
        let text = buffer.get(..filled).unwrap_or_default();
        let has = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
        received.has_delta |= has(b"event: delta");
        received.has_bye |= has(b"event: bye");
        kept = filled.min(16);
        buffer.copy_within(filled - kept..filled, 0);
    }
}
