//! What many gateways cost that show one event, and how soon a change is on a stream.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::{Gateway, SEATS};
use crate::{
    Model, Row, Size, Target, load,
    measurements::count,
    model::ms,
    paused,
    world::{World, group_ids},
};
use inventory_worker::{
    adapters::{
        memory::{MemoryHints, MemorySnapshots},
        system::Random,
    },
    domain::{SeatKey, Timestamp},
    gateway::{
        Caller, QuerySettings,
        hints::{Announcements, Follower, FollowerParts},
        observer::{NoopRequestObserver, NoopViewObserver},
        streams::{Changes, FeedUpdate, Opened, StreamSettings, Streams},
    },
    ports::{
        Entropy, HintPublisher, PortError, SnapshotStore,
        hints::{self, Topic},
    },
    report::{Plot, quantile},
    worker::{self, Announcer, Settings},
};

const MINUTE: Duration = Duration::from_secs(60);

/// Gateways that show one event, and reserves a second while they do. In a short run, which a debug
/// build may make, fewer: each reserve costs each gateway a look at every seat.
fn load_of(size: Size) -> (usize, f64) {
    if size == Size::FULL { (10, 100.0) } else { (2, 1.0) }
}

/// Reserves while read units are counted: a little more than are made in two minutes.
const RESERVES: usize = 13_000;

/// Of so many frames of hints one is lost.
const LOST_ONE_IN: usize = 10;

/// Until the view is read and every worker knows that it is watched.
const SETTLED: Duration = Duration::from_secs(10);

/// The longest that a change may take before the measurement fails.
const PATIENCE: Duration = Duration::from_secs(60);

pub(in crate::measurements) fn measure(model: &Model, size: Size) -> anyhow::Result<Vec<Row>> {
    let (gateways, rate) = load_of(size);
    let shared = paused(read_units(model, gateways, rate, true))?;
    let apart = paused(read_units(model, gateways, rate, false))?;
    let note = format!(
        "an event of {SEATS} seats on a page of each of {gateways} gateways, {rate} reserves/s: \
         read units in the second minute, of {:.0} a read; {:.0} in the first, when all start at \
         once; {:.0} where each reads for itself",
        shared.one_read, shared.first_minute, apart.second_minute
    );
    let row = Row::new("view_read_units", shared.second_minute, "units", Target::AtMost(12_000.0));
    let times_ms = paused(visible(model, (size.commands, rate), None))?;
    let lossy = paused(visible(model, (size.commands, rate), Some(LOST_ONE_IN)))?;
    let p99 = quantile(&times_ms, 0.99);
    let note_of_visible = format!(
        "from the decision, so with the commit, to the frame that a reader gets; {rate} reserves/s \
         on one group, four frames a second; p50 {:.0} ms",
        quantile(&times_ms, 0.5)
    );
    let note_of_lossy = format!(
        "the same where one frame of hints in {LOST_ONE_IN} is lost: the longest; p99 {:.0} ms",
        quantile(&lossy, 0.99)
    );
    let longest = lossy.last().copied().context("no change was seen")?;
    let title = "From the decision to a stream".to_owned();
    Ok(vec![
        row.noting(note),
        Row::new("change_visible_p99", p99, "ms", Target::AtMost(300.0))
            .noting(note_of_visible)
            .showing(Plot::Distribution { title, times_ms, bound_ms: Some(300.0) }),
        Row::new("change_visible_lost_hint", longest, "ms", Target::AtMost(2_000.0))
            .noting(note_of_lossy),
    ])
}

/// Read units.
struct ReadUnits {
    one_read: f64,
    first_minute: f64,
    second_minute: f64,
}

/// Gateways from their start on, each with a stream of the event.
async fn read_units(
    model: &Model,
    gateways: usize,
    rate: f64,
    shares: bool,
) -> anyhow::Result<ReadUnits> {
    let mut sale = Sale::start(model, (RESERVES, rate), None)?;
    let store = Arc::clone(&sale.world.store);
    let mut one_read = 0.0;
    let snapshots = shares.then(|| Arc::new(MemorySnapshots::default()));
    let begun = Instant::now();
    let mut streams = Vec::new();
    for number in 0..gateways {
        let shared = snapshots.clone().map(|shared| shared as Arc<dyn SnapshotStore>);
        streams.push(sale.stream(number, shared).await?);
        if number == 0 {
            one_read = store.read_units();
        }
    }
    sleep_until(begun + MINUTE).await;
    let first_minute = store.read_units();
    sleep_until(begun + MINUTE * 2).await;
    Ok(ReadUnits { one_read, first_minute, second_minute: store.read_units() - first_minute })
}

/// How long each change took until a reader had it, milliseconds, sorted.
async fn visible(
    model: &Model,
    (reserves, rate): (usize, f64),
    lost_one_in: Option<usize>,
) -> anyhow::Result<Vec<f64>> {
    let mut sale = Sale::start(model, (reserves, rate), lost_one_in)?;
    let Opened { mut reader, .. } = sale.stream(0, None).await?;
    let mut times_ms = Vec::with_capacity(reserves);
    while times_ms.len() < reserves {
        let update = timeout(PATIENCE, reader.next()).await.context("a change that never shows")?;
        reader.has(&update);
        let now = sale.world.clock.now();
        match update {
            FeedUpdate::Frames { frames, layout } => {
                for seat in frames.iter().flat_map(|frame| &frame.seats) {
                    let place = usize::try_from(seat.position).ok();
                    let place = place.and_then(|position| layout.place(position));
                    let number = place.context("a seat of the layout")?.number.clone();
                    let key = SeatKey { event_id: load::EVENT, number };
                    times_ms.push(sale.since_decided(&key, now)?);
                }
            }
            FeedUpdate::Snapshot(_) => {}
            FeedUpdate::End(reason) => bail!("the stream ended: {reason:?}"),
        }
    }
    times_ms.sort_by(f64::total_cmp);
    Ok(times_ms)
}

/// A sale on one group whose worker announces what it commits.
struct Sale {
    world: World,
    hints: Arc<MemoryHints>,
    running: JoinSet<anyhow::Result<()>>,
}

impl Sale {
    /// A house on sale, of which `reserves` seats are reserved at the rate once all is settled.
    fn start(
        model: &Model,
        (reserves, rate): (usize, f64),
        lost_one_in: Option<usize>,
    ) -> anyhow::Result<Self> {
        let world = World::new(model.latencies());
        let now = world.clock.now();
        world.store.insert(load::seats(SEATS, now)?);
        let hints = Arc::new(MemoryHints::new(Arc::clone(&world.clock)));
        let publisher = Lossy { hints: Arc::clone(&hints), lost_one_in, frames: 0.into() };
        let entropy = Arc::new(Random::seeded(31));
        let announcer = Announcer::new(Arc::new(publisher), entropy, world.tally.clone());
        let worker = world.announcing(Settings::default(), 1, announcer);
        let source = world.source();
        let mut running = JoinSet::new();
        running.spawn(async move {
            worker::run(worker, vec![source]).await;
            Ok(())
        });
        let (queue, group) = (Arc::clone(&world.queue), group_ids(1)?.remove(0));
        running.spawn(async move {
            let begun = Instant::now() + SETTLED;
            for number in 0..reserves {
                sleep_until(begun + Duration::from_secs_f64(count(number) / rate)).await;
                queue.push(&load::reserve_message(number, &group, now)?)?;
            }
            Ok(())
        });
        Ok(Self { world, hints, running })
    }

    /// A stream of the event from a gateway of its own.
    async fn stream(
        &mut self,
        number: usize,
        snapshots: Option<Arc<dyn SnapshotStore>>,
    ) -> anyhow::Result<Opened> {
        let entropy: Arc<dyn Entropy> = Arc::new(Random::seeded(40 + u64::try_from(number)?));
        let gateway = Gateway::sharing(&self.world, 1, QuerySettings::default(), snapshots);
        let follower = Follower::new(FollowerParts {
            announcements: Announcements::new(self.hints.clone()),
            views: gateway.queries.views().clone(),
            commands: gateway.commands,
            entropy: Arc::clone(&entropy),
            observer: Arc::new(NoopViewObserver),
        });
        self.running.spawn(async move {
            follower.run().await;
            Ok(())
        });
        let observer = Arc::new(NoopRequestObserver);
        let streams = Streams::new(StreamSettings::default(), Arc::clone(&entropy), observer);
        let changes = Changes::new(gateway.queries, streams, gateway.clock, entropy);
        Ok(changes.open(&Caller::local(), load::EVENT, None).await?)
    }

    /// Milliseconds since the last change of a seat was decided.
    fn since_decided(&self, key: &SeatKey, now: Timestamp) -> anyhow::Result<f64> {
        let seat = self.world.store.inspect(|tables| tables.seats.get(key).cloned());
        let decided_at = seat.context("a seat that is sold")?.updated_at;
        Ok(ms(Duration::try_from(now.duration_since(decided_at)).unwrap_or_default()))
    }
}

/// Hints of which some frames are lost.
struct Lossy {
    hints: Arc<MemoryHints>,
    /// `None` where none is.
    lost_one_in: Option<usize>,
    frames: AtomicUsize,
}

#[async_trait]
impl HintPublisher for Lossy {
    async fn watched(&self) -> Result<BTreeSet<Topic>, PortError> {
        self.hints.watched().await
    }

    async fn publish(&self, topic: &Topic, frame: &hints::Frame) -> Result<(), PortError> {
        let number = self.frames.fetch_add(usize::from(!frame.hints.is_empty()), Ordering::Relaxed);
        let is_lost = self.lost_one_in.is_some_and(|of| number % of == of - 1);
        if is_lost && !frame.hints.is_empty() {
            return Ok(());
        }
        self.hints.publish(topic, frame).await
    }
}
