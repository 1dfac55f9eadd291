//! Many streams of one event: what they hold, and how long they take to end.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

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
    adapters::{instrumented::LatencyModel, memory::MemoryStore, system::Random},
    app::gateway::{Gateway, GatewayBackends},
    config::GatewayConfig,
    domain::{Seat, SeatState, Timestamp},
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
const CLIENT_BYTES: usize = 16 * 1024;

/// How the answer of a stream begins that was not shed.
const OK: &[u8; 12] = b"HTTP/1.1 200";

/// A stream that was shed is opened again after this time.
const OPEN_AGAIN: Duration = Duration::from_millis(250);

/// All streams have received a change within this time of the first connection.
const OPENING_MAX: Duration = Duration::from_secs(120);

pub(in crate::measurements) fn measure(_: &Model, size: Size) -> anyhow::Result<Vec<Row>> {
    let (many, drained) = size.streams;
    let mut result = Ok(Duration::ZERO);
    let info = allocation_counter::measure(|| result = on_this_thread(run(many)));
    result?;
    let took = on_this_thread(run(drained))?;
    let grace = GatewayConfig::default().grace;
    let note = format!(
        "{many} streams of an event of {SEATS} seats, of which {CHANGES_PER_SECOND} change a second, \
         over connections of their own: the most that the gateway holds, view, frames and buffers \
         included"
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
    let clients = Clients::start(address, streams)?;
    let mut changes = Changes { store: &world.store, now, step: 0 };
    let opening = Instant::now();
    while clients.with_a_delta() < streams {
        ensure!(!clients.have_ended(), "a stream ended early");
        ensure!(
            opening.elapsed() < OPENING_MAX,
            "{} of {streams} streams received a change within {} s",
            clients.with_a_delta(),
            OPENING_MAX.as_secs()
        );
        changes.make().await?;
    }
    let begun = Instant::now();
    while begun.elapsed() < OPEN {
        changes.make().await?;
    }
    ensure!(!clients.have_ended(), "a stream ended early");
    let signalled = Instant::now();
    stop.cancel();
    serving.await?;
    let took = signalled.elapsed();
    let byes = clients.join()?;
    ensure!(byes == streams, "{byes} of {streams} streams had their end");
    Ok(took)
}

/// Changes of the event's seats, one step after the other.
struct Changes<'a> {
    store: &'a MemoryStore,
    now: Timestamp,
    step: usize,
}

impl Changes<'_> {
    /// Changes the next seats, and waits until the next step is due.
    async fn make(&mut self) -> anyhow::Result<()> {
        let version = 10 + u64::try_from(self.step)?;
        for place in 0..CHANGES_PER_SECOND / 10 {
            let number = (self.step * CHANGES_PER_SECOND / 10 + place) % SEATS;
            let seat = load::seat(number, self.now)?;
            let seat = Seat { version, occupancy: SeatState::Available, ..seat };
            self.store.insert([Record::Seat(load::seat_key(number)?, seat)]);
        }
        self.step += 1;
        sleep(Duration::from_millis(100)).await;
        Ok(())
    }
}

/// The clients of the streams, in a thread of their own: what they allocate is not counted, and
/// they take no time from the gateway's.
struct Clients {
    with_a_delta: Arc<AtomicUsize>,
    thread: JoinHandle<anyhow::Result<usize>>,
}

impl Clients {
    fn start(address: SocketAddr, streams: usize) -> anyhow::Result<Self> {
        let with_a_delta = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&with_a_delta);
        let thread = std::thread::Builder::new()
            .name("clients".to_owned())
            .spawn(move || on_this_thread(read_all(address, streams, counted)))?;
        Ok(Self { with_a_delta, thread })
    }

    /// How many of them have received a change.
    fn with_a_delta(&self) -> usize {
        self.with_a_delta.load(Ordering::Relaxed)
    }

    /// Whether they have ended, all or with an error.
    fn have_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for their ends. Returns how many of them had a `bye`.
    fn join(self) -> anyhow::Result<usize> {
        self.thread.join().map_err(|_| anyhow::anyhow!("the clients' thread panicked"))?
    }
}

async fn read_all(
    address: SocketAddr,
    streams: usize,
    with_a_delta: Arc<AtomicUsize>,
) -> anyhow::Result<usize> {
    let mut clients = JoinSet::new();
    for _ in 0..streams {
        clients.spawn(read_one(address, Arc::clone(&with_a_delta)));
        // A connection each millisecond: a listener's backlog holds a thousand or so.
        sleep(Duration::from_millis(1)).await;
    }
    let mut byes = 0;
    while let Some(has_bye) = clients.join_next().await {
        byes += usize::from(has_bye??);
    }
    Ok(byes)
}

/// Opens a stream, as often as it is shed, and reads it to its end. Returns whether it had a `bye`.
async fn read_one(address: SocketAddr, with_a_delta: Arc<AtomicUsize>) -> anyhow::Result<bool> {
    loop {
        let mut client = TcpStream::connect(address).await?;
        let path = format!("/events/{}/changes", load::EVENT);
        let request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n");
        client.write_all(request.as_bytes()).await?;
        let mut head = [0; OK.len()];
        client.read_exact(&mut head).await?;
        if head == *OK {
            return read_to_end(client, &with_a_delta).await;
        }
        sleep(OPEN_AGAIN).await;
    }
}

/// Reads a stream to its end, and counts it at its first change. Returns whether it had
/// a `bye`.
async fn read_to_end(mut client: TcpStream, with_a_delta: &AtomicUsize) -> anyhow::Result<bool> {
    const DELTA: &[u8] = b"event: delta";
    const BYE: &[u8] = b"event: bye";
    let mut has_delta = false;
    let mut has_bye = false;
    let mut buffer = vec![0; CLIENT_BYTES];
    // What may begin at the end of one read and end in the next.
    let mut kept = 0;
    loop {
        let free = buffer.get_mut(kept..).context("room for the next read")?;
        let read = client.read(free).await?;
        if read == 0 {
            return Ok(has_bye);
        }
        let filled = kept + read;
        let text = buffer.get(..filled).unwrap_or_default();
        if !has_delta && contains(text, DELTA) {
            has_delta = true;
            with_a_delta.fetch_add(1, Ordering::Relaxed);
        }
        has_bye |= contains(text, BYE);
        kept = filled.min(DELTA.len());
        buffer.copy_within(filled - kept..filled, 0);
    }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|part| part == word)
}
