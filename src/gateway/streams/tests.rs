//! What streams tell, when they end, and how many there may be.

use std::{pin::Pin, time::Duration};

use axum::body::Bytes;
use futures::{FutureExt as _, Stream, StreamExt as _};
use serde_json::{Value, json};
use tokio::time::{Instant, advance, sleep, timeout};

use super::*;
use crate::{
    adapters::{memory::TokioClock, system::Random},
    domain::{PoolId, SeatKey, SeatState, SeatStatus, Timestamp},
    gateway::{
        Queries, QuerySettings, Scope,
        limits::Lane,
        observer::AnsweredRequest,
        view::{
            Hint, SeatEntry, ViewSettings,
            fixtures::{EVENT, Tables, booked, epoch, event, seat, shop},
        },
    },
    ports::{Clock, Expected, ScanStore, Write},
};

/// Notes streams and what was refused.
#[derive(Default)]
struct Recorder {
    open: Mutex<i64>,
    shed: Mutex<Vec<&'static str>>,
}

impl RequestObserver for Recorder {
    fn answered(&self, _: &AnsweredRequest<'_>) {}

    fn shed(&self, reason: ShedReason) {
        self.shed.lock().unwrap().push(reason.as_str());
    }

    fn in_flight(&self, _: Lane, _: i64) {}

    fn streams(&self, _: StreamKind, change: i64) {
        *self.open.lock().unwrap() += change;
    }
}

struct World {
    tables: Arc<Tables>,
    clock: Arc<TokioClock>,
    queries: Arc<Queries>,
    changes: Changes,
    recorder: Arc<Recorder>,
}

/// The events of one stream, read as they come.
struct Events(Pin<Box<dyn Stream<Item = Result<Bytes, std::convert::Infallible>> + Send>>);

/// One event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Event {
    name: String,
    id: String,
    data: Value,
}

impl Event {
    fn of(text: &str) -> Self {
        let mut event = Self::default();
        for line in text.lines() {
            match line.split_once(": ").unwrap() {
                ("event", name) => event.name = name.to_owned(),
                ("id", id) => event.id = id.to_owned(),
                ("data", data) => event.data = serde_json::from_str(data).unwrap(),
                other => event.name = format!("{other:?}"),
            }
        }
        event
    }

    fn number(&self) -> u64 {
        self.id.split_once('-').unwrap().1.parse().unwrap()
    }
}

impl Events {
    /// The next event, whatever it is; `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        let mut text = String::new();
        while !text.ends_with("\n\n") {
            let piece = timeout(Duration::from_secs(3_600), self.0.next()).await.unwrap()?;
            text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
        }
        Some(Event::of(text.trim_end()))
    }

    /// The next event that is neither a ping nor the beginning.
    async fn expect_event(&mut self) -> Event {
        loop {
            let event = self.next().await.unwrap();
            if !event.name.starts_with('(') {
                return event;
            }
        }
    }
}

impl World {
    async fn open() -> Self {
        Self::with(ViewSettings::default(), StreamSettings::default()).await
    }

    async fn with(view: ViewSettings, settings: StreamSettings) -> Self {
        let clock = Arc::new(TokioClock::new(epoch()));
        let tables = Tables::new(&clock);
        tables.fill().await;
        let store: Arc<dyn ScanStore> = Arc::clone(&tables) as _;
        let queries = Queries::new(store, clock.clone(), QuerySettings { view });
        let (queries, recorder) = (Arc::new(queries), Arc::new(Recorder::default()));
        let entropy: Arc<dyn Entropy> = Arc::new(Random::seeded(7));
        let streams = Streams::new(settings, Arc::clone(&entropy), recorder.clone());
        let changes = Changes::new(Arc::clone(&queries), streams, clock.clone(), entropy);
        Self { tables, clock, queries, changes, recorder }
    }

    async fn watch(&self, since: Option<&str>) -> Events {
        let opened = self.changes.open(&Caller::local(), EVENT, since).await;
        let Opened { reader, life } = opened.ok().unwrap();
        Events(Box::pin(sse::body(reader, life)))
    }

    async fn refused(&self, caller: &Caller, event_id: u64) -> StreamError {
        self.changes.open(caller, event_id, None).await.err().unwrap()
    }

    async fn poll(&self, since: Option<&str>, seconds: u64) -> Value {
        let opened = self.changes.open(&Caller::local(), EVENT, since).await;
        let Opened { reader, life } = opened.ok().unwrap();
        let body = reader.poll(life, Duration::from_secs(seconds)).await.unwrap();
        serde_json::from_str(&body).unwrap()
    }

    /// A seat becomes BOOKED in a version, as a worker announces it.
    fn book(&self, number: &str, version: u64) {
        let entry = SeatEntry::new(version, SeatStatus::Booked, None, false);
        self.queries.views().apply(&event(), &Hint::Seat(number.parse().unwrap(), entry));
    }

    /// As many frames, each of one change of A-1.
    async fn frames(&self, versions: std::ops::Range<u64>) {
        for version in versions {
            self.book("A-1", version);
            sleep(Duration::from_millis(300)).await;
        }
    }

    fn open_streams(&self) -> i64 {
        *self.recorder.open.lock().unwrap()
    }
}

fn caller(subject: &str) -> Caller {
    Caller { subject: subject.to_owned(), ..Caller::local() }
}

/// What is ready of a stream, without waiting.
fn ready(events: &mut Events) -> Option<Option<Event>> {
    events.next().now_or_never()
}

#[tokio::test(start_paused = true)]
async fn a_stream_begins_with_a_snapshot_and_tells_what_changes() {
    let world = World::open().await;
    let mut events = world.watch(None).await;
    assert_eq!(events.next().await.unwrap().name, r#"("retry", "1000")"#);
    let snapshot = events.expect_event().await;
    let map = &snapshot.data["map"];
    let expected = world.queries.map(&Caller::local(), EVENT).await.unwrap().document;
    assert_eq!(*map, serde_json::from_slice::<Value>(&expected.plain).unwrap());
    assert_eq!((snapshot.name.as_str(), snapshot.number()), ("snapshot", 0));
    assert_eq!(snapshot.data["now"], "2026-11-22T10:00:00Z");
    world
        .tables
        .put_seat("A-1", seat("A", 2, crate::gateway::view::fixtures::held("2026-11-22T10:20:00Z")))
        .await;
    world.tables.put_seat("C-10", seat("C", 2, booked())).await;
    let delta = events.expect_event().await;
    assert_eq!((delta.name.as_str(), delta.number()), ("delta", 1));
    assert_eq!(delta.data["layout"], map["layout"]);
    let seats = json!([[0, 2, "R", 0, "2026-11-22T10:20:00Z"], [4, 2, "B", 0, null]]);
    assert_eq!(delta.data["seats"], seats);
    let now: Timestamp = delta.data["now"].as_str().unwrap().parse().unwrap();
    assert!(now.duration_since(epoch()).as_millis() <= 2_300);
}

#[tokio::test(start_paused = true)]
async fn who_returns_gets_the_frames_after_the_last_one_it_has() {
    let world = World::open().await;
    let mut events = world.watch(None).await;
    let first = events.expect_event().await.id;
    drop(events);
    world.frames(2..30).await;
    let mut events = world.watch(Some(&first)).await;
    let mut last = String::new();
    for number in 1..=28 {
        let event = events.expect_event().await;
        assert_eq!((event.name.as_str(), event.number()), ("delta", number));
        last = event.id;
    }
    let mut events = world.watch(Some(&last)).await;
    assert_eq!(ready(&mut events).unwrap().unwrap().name, r#"("retry", "1000")"#);
    assert_eq!(ready(&mut events), None, "nothing is new");
    world.frames(30..31).await;
    assert_eq!(events.expect_event().await.number(), 29);
}

#[tokio::test(start_paused = true)]
async fn who_returns_too_late_or_from_elsewhere_gets_a_snapshot() {
    let world = World::open().await;
    let first = world.watch(None).await.expect_event().await.id;
    // Somebody listens, so that the feed lasts.
    let _listening = world.watch(None).await;
    world.frames(2..1_028).await;
    let at = |number: u64| format!("{}-{number}", first.split_once('-').unwrap().0);
    for (since, name, number) in [
        (at(2), "delta", 3),
        (at(1), "snapshot", 1_026),
        (first.clone(), "snapshot", 1_026),
        (at(1_027), "snapshot", 1_026),
        (format!("{:016x}-1026", 7), "snapshot", 1_026),
        ("nonsense".to_owned(), "snapshot", 1_026),
    ] {
        let event = world.watch(Some(&since)).await.expect_event().await;
        assert_eq!((event.name.as_str(), event.number()), (name, number), "{since}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_sixteen_frames_behind_gets_a_snapshot_in_place_of_them() {
    let world = World::open().await;
    let (mut slow, mut slower) = (world.watch(None).await, world.watch(None).await);
    assert_eq!((slow.expect_event().await.number(), slower.expect_event().await.number()), (0, 0));
    world.frames(2..18).await;
    assert_eq!(slow.expect_event().await.number(), 1);
    for number in 2..=16 {
        assert_eq!(slow.expect_event().await.number(), number);
    }
    world.frames(18..19).await;
    let snapshot = slower.expect_event().await;
    assert_eq!((snapshot.name.as_str(), snapshot.number()), ("snapshot", 17));
    assert_eq!(snapshot.data["map"]["versions"][0], 18);
    world.frames(19..20).await;
    assert_eq!(slower.expect_event().await.number(), 18);
}

#[tokio::test(start_paused = true)]
async fn what_is_told_is_encoded_once_for_all_readers() {
    let world = World::open().await;
    let mut readers = Vec::new();
    for _ in 0..3 {
        readers.push(world.changes.open(&Caller::local(), EVENT, None).await.ok().unwrap().reader);
    }
    let mut told = async || {
        let mut pieces = Vec::new();
        for reader in &mut readers {
            match sse::EventSource::next(reader).await {
                sse::Step::Send(sent) => pieces.push(sent),
                end @ sse::Step::End(_) => panic!("{end:?}"),
            }
        }
        pieces
    };
    let snapshots = told().await;
    assert!(snapshots.iter().all(|pieces| pieces[1].as_ptr() == snapshots[0][1].as_ptr()));
    world.book("A-1", 2);
    let deltas = told().await;
    assert!(deltas.iter().all(|pieces| pieces[0].as_ptr() == deltas[0][0].as_ptr()));
}

#[tokio::test(start_paused = true)]
async fn changes_of_a_quarter_of_a_second_are_told_together() {
    let world = World::open().await;
    let mut events = world.watch(None).await;
    events.expect_event().await;
    let begun = Instant::now();
    for version in 2..302 {
        world.book("A-1", version);
        world.book("C-10", version);
        sleep(Duration::from_millis(10)).await;
    }
    let (mut frames, mut last) = (0, json!(null));
    while last != json!([[0, 301, "B", 0, null], [4, 301, "B", 0, null]]) {
        let event = events.expect_event().await;
        (frames, last) = (frames + 1, event.data["seats"].clone());
    }
    assert!(frames <= begun.elapsed().as_millis() / 250 + 1, "{frames}");
    assert!(frames >= 12, "{frames}");
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_runs_out_is_told_at_its_end_without_a_write() {
    let world = World::open().await;
    let mut events = world.watch(None).await;
    events.expect_event().await;
    let delta = events.expect_event().await;
    let ended = json!([[1, 4, "R", 1, "2026-11-22T10:10:00Z"]]);
    assert_eq!((&delta.data["seats"], delta.number()), (&ended, 1));
    assert_eq!(delta.data["now"], "2026-11-22T10:10:00Z");
    assert_eq!(world.clock.now(), "2026-11-22T10:10:00Z".parse().unwrap());
    // Even if the clock is then set back.
    world.clock.set_skew(-60_000);
    world.book("A-1", 2);
    assert_eq!(events.expect_event().await.data["seats"], json!([[0, 2, "B", 0, null]]));
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_layout_sends_a_snapshot_with_another_tag() {
    let world = World::open().await;
    let mut events = world.watch(None).await;
    let first = events.expect_event().await;
    world.book("A-1", 2);
    assert_eq!(events.expect_event().await.number(), 1);
    world.tables.put_seat("A-0", seat("A", 1, SeatState::Available)).await;
    let second = events.expect_event().await;
    assert_eq!((second.name.as_str(), second.number()), ("snapshot", 2));
    assert_ne!(second.data["map"]["layout"], first.data["map"]["layout"]);
    assert_eq!(second.data["map"]["versions"].as_array().unwrap().len(), 26);
    assert_eq!(second.data["map"]["versions"][1], 2, "nothing went back");
    let layout = world.queries.layout(&Caller::local(), EVENT).await.unwrap().document;
    assert_eq!(second.data["map"]["layout"], *layout.tag);
    // The frames before it are of another layout.
    assert_eq!(world.watch(Some(&first.id)).await.expect_event().await.id, second.id);
}

#[tokio::test(start_paused = true)]
async fn no_version_falls_when_the_projection_is_dropped_and_read_again() {
    let view = ViewSettings { pools_max: 1, ..ViewSettings::default() };
    let world = World::with(view, StreamSettings::default()).await;
    let mut events = world.watch(None).await;
    events.expect_event().await;
    // The tables do not show it yet.
    world.book("A-1", 7);
    assert_eq!(events.expect_event().await.data["seats"][0][1], 7);
    for _ in 0..20 {
        world.queries.lines(&Caller::local(), &shop(), &Default::default()).await.unwrap();
        sleep(Duration::from_secs(1)).await;
    }
    assert!(!matches!(ready(&mut events), Some(Some(event)) if event.name == "delta"));
    world.tables.put_seat("C-10", seat("C", 2, booked())).await;
    assert_eq!(events.expect_event().await.data["seats"], json!([[4, 2, "B", 0, null]]));
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_pings_and_ends_at_its_age() {
    let world = World::open().await;
    let begun = Instant::now();
    let mut events = world.watch(None).await;
    events.expect_event().await;
    let mut pings = 0;
    let bye = loop {
        let event = events.next().await.unwrap();
        match event.name.as_str() {
            r#"("", "ping")"# => pings += 1,
            "delta" => {}
            _ => break event,
        }
    };
    assert_eq!((bye.name.as_str(), &bye.data), ("bye", &json!({ "reason": "age" })));
    assert!((13 * 60..17 * 60).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    assert!((52..=66).contains(&pings), "{pings}");
    assert_eq!(events.next().await, None);
    drop(events);
    assert_eq!(world.open_streams(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_every_stream_at_once_and_begins_none() {
    let world = World::open().await;
    let (mut events, mut unread) = (world.watch(None).await, world.watch(None).await);
    events.expect_event().await;
    let polled = world.watch(None).await.expect_event().await.id;
    let opened = world.changes.open(&Caller::local(), EVENT, Some(&polled)).await.ok().unwrap();
    let polling = tokio::spawn(opened.reader.poll(opened.life, Duration::from_secs(20)));
    tokio::task::yield_now().await;
    let begun = Instant::now();
    world.changes.streams().drain();
    for events in [&mut events, &mut unread] {
        let bye = events.expect_event().await;
        assert_eq!((bye.name.as_str(), &bye.data), ("bye", &json!({ "reason": "draining" })));
        assert_eq!(events.next().await, None);
    }
    let polled: Value = serde_json::from_str(&polling.await.unwrap().unwrap()).unwrap();
    assert_eq!(polled["frames"][0]["event"], "bye");
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(world.refused(&Caller::local(), EVENT).await, StreamError::Draining);
}

#[tokio::test(start_paused = true)]
async fn a_view_that_cannot_be_read_for_a_minute_ends_its_streams() {
    let world = World::open().await;
    let mut events = world.watch(None).await;
    events.expect_event().await;
    world.tables.fail(Some(PortError::Throttled("slow down".to_owned())));
    // What workers announce is still told.
    sleep(Duration::from_secs(50)).await;
    world.book("A-1", 2);
    assert_eq!(events.expect_event().await.data["seats"][0][1], 2);
    let bye = events.expect_event().await;
    assert_eq!((bye.name.as_str(), &bye.data), ("bye", &json!({ "reason": "unavailable" })));
    let age = world.clock.now().duration_since(epoch()).as_secs();
    assert!((60..=61).contains(&age), "{age}");
    assert!(matches!(
        world.refused(&Caller::local(), EVENT).await,
        StreamError::Query(QueryError::Unavailable(_))
    ));
    world.tables.fail(None);
    sleep(ViewSettings::default().retry_max).await;
    assert_eq!(world.watch(None).await.expect_event().await.name, "snapshot");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_becomes_too_large_ends_its_streams() {
    let view = ViewSettings { entries_max: 25, ..ViewSettings::default() };
    let world = World::with(view, StreamSettings::default()).await;
    let mut events = world.watch(None).await;
    events.expect_event().await;
    world.tables.put_seat("A-0", seat("A", 1, SeatState::Available)).await;
    assert_eq!(events.expect_event().await.data, json!({ "reason": "too_large" }));
    assert!(matches!(
        world.refused(&Caller::local(), EVENT).await,
        StreamError::Query(QueryError::TooLarge { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn streams_need_an_event_and_a_scope() {
    let world = World::open().await;
    let absent = world.refused(&Caller::local(), EVENT + 1).await;
    assert!(matches!(absent, StreamError::Query(QueryError::NotFound { .. })), "{absent:?}");
    let scopes = [Scope::Command].into_iter().collect();
    let blind = world.refused(&Caller { scopes, ..Caller::local() }, EVENT).await;
    assert_eq!(blind, StreamError::Query(QueryError::NoScope(Scope::Read)));
    assert_eq!(world.open_streams(), 0);
}

#[tokio::test(start_paused = true)]
async fn no_more_streams_are_open_than_may_be_in_all_and_of_a_caller() {
    let settings = StreamSettings { streams_max: 3, per_caller_max: 2 };
    let world = World::with(ViewSettings::default(), settings).await;
    let open = async |who: &str| world.changes.open(&caller(who), EVENT, None).await.ok().unwrap();
    let (one, _two) = (open("a").await, open("a").await);
    assert_eq!(world.refused(&caller("a"), EVENT).await, StreamError::CallerFull);
    let _three = open("b").await;
    assert_eq!(world.refused(&caller("c"), EVENT).await, StreamError::Full);
    assert_eq!(*world.recorder.shed.lock().unwrap(), ["caller_streams", "streams_full"]);
    assert_eq!(world.open_streams(), 3);
    drop(one);
    let _four = open("a").await;
    assert_eq!(world.open_streams(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_poll_answers_with_what_is_new_or_nothing() {
    let world = World::open().await;
    let first = world.poll(None, 0).await;
    let id = first["id"].as_str().unwrap();
    assert_eq!(
        (&first["frames"][0]["event"], &first["frames"][0]["id"]),
        (&json!("snapshot"), &json!(id))
    );
    assert_eq!(first["frames"][0]["data"]["map"]["versions"][1], 4);
    let begun = Instant::now();
    let nothing = world.poll(Some(id), 20).await;
    assert_eq!(nothing, json!({ "id": id, "frames": [] }));
    assert_eq!(begun.elapsed(), Duration::from_secs(20));
    assert_eq!(world.poll(Some(id), 0).await, nothing);
    let booking = async {
        sleep(Duration::from_secs(5)).await;
        world.book("A-1", 2);
    };
    let begun = Instant::now();
    let ((), delta) = tokio::join!(booking, world.poll(Some(id), 20));
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    assert_eq!(
        (&delta["frames"][0]["event"], &delta["frames"][0]["id"]),
        (&json!("delta"), &delta["id"])
    );
    assert_eq!(delta["frames"][0]["data"]["seats"], json!([[0, 2, "B", 0, null]]));
    assert_eq!(world.open_streams(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_nobody_reads_ends_and_the_tables_are_left_alone() {
    let world = World::open().await;
    let id = world.watch(None).await.expect_event().await.id;
    sleep(Duration::from_secs(50)).await;
    let again = world.watch(Some(&id)).await;
    sleep(Duration::from_secs(120)).await;
    drop(again);
    sleep(Duration::from_secs(50)).await;
    let mut again = world.watch(Some(&id)).await;
    again.next().await;
    assert_eq!(ready(&mut again), None, "the feed is the same");
    drop(again);
    sleep(Duration::from_secs(70)).await;
    let reads = world.queries.views().stats().reads;
    sleep(Duration::from_secs(100)).await;
    assert_eq!(world.queries.views().stats().reads, reads);
    let other = world.watch(Some(&id)).await.expect_event().await;
    assert_eq!((other.name.as_str(), other.number()), ("snapshot", 0));
    assert_ne!(other.id, id);
}

#[tokio::test(start_paused = true)]
async fn feeds_are_bounded_and_one_without_readers_makes_room() {
    let world = World::open().await;
    let open = async |event_id| world.changes.open(&Caller::local(), event_id, None).await;
    let mut opened = Vec::new();
    for event_id in 100..=200 {
        let key = SeatKey { event_id, number: "A-1".parse().unwrap() };
        let seat = seat("A", 1, SeatState::Available);
        world.tables.write(Write::Seat { key, expected: Expected::Absent, seat }).await;
    }
    for event_id in 100..200 {
        let caller = caller(&event_id.to_string());
        opened.push(world.changes.open(&caller, event_id, None).await.ok().unwrap());
    }
    assert_eq!(open(200).await.err(), Some(StreamError::FeedsFull));
    assert_eq!(*world.recorder.shed.lock().unwrap(), ["streams_full"]);
    opened.remove(3);
    assert!(open(200).await.is_ok());
    assert!(world.changes.open(&Caller::local(), 103, None).await.is_ok(), "200 made room");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_watches_every_event_leaves_the_others_room() {
    let world = World::open().await;
    for event_id in 100..=200 {
        let key = SeatKey { event_id, number: "A-1".parse().unwrap() };
        let seat = seat("A", 1, SeatState::Available);
        world.tables.write(Write::Seat { key, expected: Expected::Absent, seat }).await;
    }
    let open = async |who: &str, event_id| world.changes.open(&caller(who), event_id, None).await;
    let mut opened = Vec::new();
    for event_id in 100..175 {
        opened.push(open("a", event_id).await.ok().unwrap());
    }
    assert_eq!(open("a", 175).await.err(), Some(StreamError::CallerFeedsFull));
    assert_eq!(*world.recorder.shed.lock().unwrap(), ["caller_streams"]);
    let _again = open("a", 100).await.ok().unwrap();
    for event_id in 175..200 {
        opened.push(open("b", event_id).await.ok().unwrap());
    }
    assert_eq!(open("b", 200).await.err(), Some(StreamError::CallerFeedsFull));
    let joined = open("a", 180).await.ok().unwrap();
    assert_eq!(open("b", 200).await.err(), Some(StreamError::FeedsFull), "180 is not b's alone");
    drop(joined);
    opened.remove(3);
    assert!(open("a", 200).await.is_ok(), "103 made room");
}

#[tokio::test(start_paused = true)]
async fn many_changes_at_once_are_told_as_a_snapshot() {
    let world = World::open().await;
    let pool = PoolId::Event(EVENT);
    for number in 100..300 {
        world.tables.put_seat(&format!("D-{number}"), seat("D", 1, SeatState::Available)).await;
    }
    let mut events = world.watch(None).await;
    events.expect_event().await;
    let entry = SeatEntry::new(2, SeatStatus::Booked, None, false);
    for number in 100..200 {
        let number = format!("D-{number}").parse().unwrap();
        world.queries.views().apply(&pool, &Hint::Seat(number, entry));
    }
    let event = events.expect_event().await;
    assert_eq!((event.name.as_str(), event.number()), ("snapshot", 1));
    advance(Duration::from_secs(1)).await;
    world.book("A-1", 2);
    assert_eq!(events.expect_event().await.name, "delta");
}
