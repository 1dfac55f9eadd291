use async_trait::async_trait;
use uuid::Uuid;

use super::*;
use crate::{
    adapters::{
        memory::{MemoryHints, TokioClock},
        system::Random,
    },
    domain::{
        Changes, CommandKey, CommandType, Digest, LineKey, Outcome, RestockSummary, Seat,
        SeatDetails, SeatKey, SeatState, StockLevel, Timestamp,
    },
    ports::{
        Expected, HintSubscriber, HintSubscription, LedgerKey, LedgerRecord, Write,
        hints::{Frame, Received, Watched},
    },
};

const LONG: Duration = Duration::from_secs(600);

/// Counts what became of hints.
#[derive(Default)]
struct Counts(Mutex<Vec<(&'static str, usize)>>);

impl Counts {
    fn of(&self, wanted: &str) -> usize {
        let counts = self.0.lock().unwrap();
        counts.iter().filter(|(outcome, _)| *outcome == wanted).map(|(_, hints)| hints).sum()
    }
}

impl Observer for Counts {
    fn observe(&self, event: &Event<'_>) {
        if let Event::Hints { outcome, hints } = event {
            self.0.lock().unwrap().push((outcome, *hints));
        }
    }
}

/// A publisher that hangs while it is told to.
struct Hanging {
    hints: Arc<MemoryHints>,
    hangs: tokio::sync::watch::Sender<bool>,
}

impl Hanging {
    async fn pass(&self) {
        self.hangs.subscribe().wait_for(|hangs| !hangs).await.unwrap();
    }
}

#[async_trait]
impl HintPublisher for Hanging {
    async fn watched(&self) -> Result<BTreeSet<Topic>, PortError> {
        self.pass().await;
        self.hints.watched().await
    }

    async fn publish(&self, topic: &Topic, frame: &Frame) -> Result<(), PortError> {
        self.pass().await;
        self.hints.publish(topic, frame).await
    }
}

struct World {
    hints: Arc<MemoryHints>,
    hanging: Arc<Hanging>,
    counts: Arc<Counts>,
    announcer: Arc<Announcer>,
    running: tokio::task::JoinSet<()>,
}

impl World {
    async fn start() -> Self {
        let clock = Arc::new(TokioClock::new(at()));
        let hints = Arc::new(MemoryHints::new(clock));
        let hangs = tokio::sync::watch::Sender::new(false);
        let hanging = Arc::new(Hanging { hints: Arc::clone(&hints), hangs });
        let counts = Arc::new(Counts::default());
        let announcer =
            Announcer::new(hanging.clone(), Arc::new(Random::seeded(7)), counts.clone());
        let announcer = Arc::new(announcer);
        let mut running = tokio::task::JoinSet::new();
        let runs = Arc::clone(&announcer);
        running.spawn(async move { runs.run().await });
        // Past the first look.
        tokio::time::sleep(Duration::from_millis(100)).await;
        Self { hints, hanging, counts, announcer, running }
    }

    async fn subscribe(&self, topic: &Topic) -> Box<dyn HintSubscription> {
        let topics = std::slice::from_ref(topic);
        assert_eq!(self.hints.watch(topics, LONG).await.unwrap(), [Watched::Begun]);
        self.hints.subscribe(topic).await.unwrap()
    }

    /// A subscription that the worker knows of.
    async fn watching(&self, topic: &Topic) -> Box<dyn HintSubscription> {
        let subscription = self.subscribe(topic).await;
        tokio::time::sleep(TICK).await;
        subscription
    }

    fn commit(&self, writes: Vec<Write>) {
        self.committed(writes, Ok(Consumed::default()));
    }

    fn committed(&self, writes: Vec<Write>, result: Result<Consumed, CommitError>) {
        let transaction = Transaction { writes, checks: Vec::new() };
        self.announcer.committed(&transaction, &result);
    }

    fn hang(&self, hangs: bool) {
        self.hanging.hangs.send_replace(hangs);
    }
}

fn at() -> Timestamp {
    "2026-11-22T10:00:00Z".parse().unwrap()
}

fn pool() -> PoolId {
    PoolId::Event(42)
}

fn changes() -> Topic {
    Topic::Changes(pool())
}

fn key() -> CommandKey {
    CommandKey { source: "/shop".parse().unwrap(), id: "c-1".parse().unwrap() }
}

fn seat(number: u64, version: u64) -> Write {
    let details = SeatDetails::default();
    let occupancy = SeatState::Blocked;
    let (created_at, updated_at) = (at(), at());
    let seat = Seat { details, occupancy, withheld: false, version, created_at, updated_at };
    let key = SeatKey { event_id: 42, number: format!("A-{number}").parse().unwrap() };
    Write::Seat { key, expected: Expected::Absent, seat }
}

fn line(sku: &str) -> Write {
    let key = LineKey { pool: pool(), sku: sku.parse().unwrap() };
    let (available, reserved, committed) = (3, 2, 1);
    let line =
        StockLevel { available, reserved, committed, as_of: None, version: 4, updated_at: at() };
    Write::Line { key, expected: Expected::Absent, line }
}

fn outcome(command_type: CommandType) -> Write {
    let restock = RestockSummary::default();
    let record = LedgerRecord::Outcome {
        digest: Digest([0; 32]),
        command_type,
        pool: pool(),
        outcome: Outcome::Restocked { restock, reason: None, reference: None },
        changes: Changes::NONE,
        decided_at: at(),
    };
    Write::Ledger { key: LedgerKey::Command(key()), record }
}

fn chunk() -> Vec<Write> {
    let record = LedgerRecord::Chunk {
        digest: Digest([0; 32]),
        begun_at: at(),
        summary: RestockSummary::default(),
        decided_at: at(),
    };
    vec![Write::Ledger { key: LedgerKey::Chunk(key(), 0), record }, seat(1, 1)]
}

async fn frame(subscription: &mut Box<dyn HintSubscription>) -> Frame {
    match tokio::time::timeout(LONG, subscription.next()).await {
        Ok(Received::Frame(frame)) => frame,
        other => panic!("{other:?}"),
    }
}

/// The next frame with hints.
async fn hints(subscription: &mut Box<dyn HintSubscription>) -> Frame {
    loop {
        let next = frame(subscription).await;
        if !next.hints.is_empty() {
            return next;
        }
    }
}

async fn is_silent(subscription: &mut Box<dyn HintSubscription>, time: Duration) -> bool {
    tokio::time::timeout(time, subscription.next()).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn a_commit_is_announced_with_numbers_to_those_who_watch() {
    let world = World::start().await;
    let mut changed = world.watching(&changes()).await;
    let mut decided = world.watching(&Topic::Outcomes(pool())).await;
    world.commit(vec![seat(1, 3), line("tee"), outcome(CommandType::Reserve)]);
    let first = hints(&mut changed).await;
    assert_eq!((first.last, first.hints.len(), first.is_idle), (2, 2, false));
    assert!(matches!(&first.hints[0], Hint::Seat(seat) if seat.version == 3));
    assert!(matches!(&first.hints[1], Hint::Line(line) if line.committed == 1));
    assert_eq!(hints(&mut decided).await.hints, [Hint::Decided(key())]);
    world.commit(vec![seat(2, 1)]);
    let second = hints(&mut changed).await;
    assert_eq!((second.stream, second.last), (first.stream, 3));
    assert_eq!(world.counts.of(PUBLISHED), 4);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_applied_is_not_announced() {
    let world = World::start().await;
    let mut changed = world.watching(&changes()).await;
    world.committed(vec![seat(1, 3)], Err(CommitError::Conflict(String::new())));
    world.committed(vec![seat(1, 3)], Err(CommitError::Invalid(String::new())));
    world.commit(Vec::new());
    assert!(is_silent(&mut changed, LONG / 2).await);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_without_an_answer_lets_its_pool_be_read_for_a_while() {
    let world = World::start().await;
    let mut changed = world.watching(&changes()).await;
    let lost = || Err(CommitError::Port(PortError::Unavailable(String::new())));
    world.committed(vec![seat(1, 3)], lost());
    let begun = Instant::now();
    let mut times = Vec::new();
    while let Ok(Received::Frame(frame)) =
        tokio::time::timeout(Duration::from_secs(5), changed.next()).await
    {
        if frame.hints == [Hint::ReadAgain] {
            times.push(begun.elapsed().as_secs());
        }
    }
    assert!(times.len() >= 3 && *times.last().unwrap() <= 3, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_restock_of_seats_lets_its_event_be_read_again() {
    let world = World::start().await;
    let mut changed = world.watching(&changes()).await;
    world.commit(vec![seat(1, 3), outcome(CommandType::Restock)]);
    let frame = hints(&mut changed).await;
    assert!(matches!(frame.hints[..], [Hint::Seat(_), Hint::ReadAgain]), "{frame:?}");
}

#[tokio::test(start_paused = true)]
async fn chunks_say_read_again_twice_a_second_at_most_and_once_after_the_last() {
    let world = World::start().await;
    let mut changed = world.watching(&changes()).await;
    let mut committed = Instant::now();
    for _ in 0..300 {
        world.commit(chunk());
        committed = Instant::now();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (mut count, mut last) = (0, None);
    while let Ok(Received::Frame(frame)) =
        tokio::time::timeout(Duration::from_secs(2), changed.next()).await
    {
        assert!(frame.hints.iter().all(|hint| *hint == Hint::ReadAgain));
        count += frame.hints.len();
        last = (!frame.hints.is_empty()).then(Instant::now).or(last);
    }
    assert!((6..=9).contains(&count), "{count}");
    assert!(last.unwrap() >= committed);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_was_written_to_before_its_watch_was_known_is_read_again() {
    let world = World::start().await;
    let mut changed = world.subscribe(&changes()).await;
    let mut other = world.subscribe(&Topic::Changes(PoolId::Event(7))).await;
    world.commit(vec![seat(1, 3)]);
    assert_eq!(hints(&mut changed).await.hints, [Hint::ReadAgain]);
    assert!(is_silent(&mut other, LONG / 2).await, "nothing was written to it");
}

#[tokio::test(start_paused = true)]
async fn a_pool_written_to_long_before_its_watch_is_not_read_again_for_that() {
    let world = World::start().await;
    world.commit(vec![seat(1, 3)]);
    tokio::time::sleep(TICK * 3).await;
    let mut changed = world.watching(&changes()).await;
    assert!(is_silent(&mut changed, LONG / 2).await);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_could_not_see_what_is_watched_makes_up_for_it() {
    let world = World::start().await;
    world.hang(true);
    let mut changed = world.subscribe(&changes()).await;
    for number in 0..60 {
        world.commit(vec![seat(number, 1)]);
        tokio::time::sleep(TICK).await;
    }
    assert!(is_silent(&mut changed, TICK).await);
    world.hang(false);
    assert_eq!(hints(&mut changed).await.hints, [Hint::ReadAgain]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_lapsed_begins_another_stream() {
    let world = World::start().await;
    let mut changed = world.watching(&changes()).await;
    world.commit(vec![seat(1, 1)]);
    let first = hints(&mut changed).await;
    world.hints.forget_watches();
    tokio::time::sleep(TICK).await;
    world.commit(vec![seat(1, 2)]);
    let mut changed = world.watching(&changes()).await;
    // The lapse is made up for.
    let second = hints(&mut changed).await;
    assert_eq!((second.last, second.hints), (1, vec![Hint::ReadAgain]));
    assert_ne!(second.stream, first.stream);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_repeat_the_last_number_and_end_with_one_that_says_so() {
    let world = World::start().await;
    let mut changed = world.watching(&changes()).await;
    world.commit(vec![seat(1, 1), seat(2, 1)]);
    let stream = hints(&mut changed).await.stream;
    let mut beats = 0;
    loop {
        let beat = frame(&mut changed).await;
        assert_eq!((beat.stream, beat.last, beat.hints.len()), (stream, 2, 0));
        beats += 1;
        if beat.is_idle {
            break;
        }
    }
    assert!((10..=12).contains(&beats), "{beats}");
    assert!(is_silent(&mut changed, LONG / 2).await);
    world.commit(vec![seat(1, 2)]);
    assert_eq!(hints(&mut changed).await.last, 3);
    assert_eq!(frame(&mut changed).await.last, 3, "and beats again");
}

#[tokio::test(start_paused = true)]
async fn what_the_queue_cannot_take_is_dropped_counted_and_seen_as_a_gap() {
    let world = World::start().await;
    let mut changed = world.watching(&changes()).await;
    world.hang(true);
    let before = Instant::now();
    let many = u64::try_from(QUEUE_MAX * 3).unwrap();
    for number in 0..many {
        world.commit(vec![seat(number, 1)]);
    }
    assert_eq!(before.elapsed(), Duration::ZERO, "nothing is waited for");
    assert!(world.counts.of(DROPPED) >= QUEUE_MAX);
    world.hang(false);
    let mut seen = 0;
    while seen < many {
        let next = frame(&mut changed).await;
        seen = next.last;
    }
    assert_eq!(seen, many, "the last number counts what was dropped");
    let known = world.counts.of(DROPPED) + world.counts.of(PUBLISHED) + world.counts.of(FAILED);
    assert_eq!(known, usize::try_from(many).unwrap());
}

#[tokio::test(start_paused = true)]
async fn large_results_are_bounded_by_bytes() {
    let world = World::start().await;
    let topic = Topic::ResultsOf("/shop".parse().unwrap());
    let mut results = world.watching(&topic).await;
    let result = Publication {
        id: Uuid::nil(),
        group: "g".parse().unwrap(),
        body: String::new(),
        attributes: [("command_source", "/shop".to_owned())].into(),
    };
    let watched = || world.announcer.results_watched(Some(&pool()), &result);
    assert_eq!(watched(), BTreeSet::from([topic.clone()]));
    world.hang(true);
    let body: Arc<str> = "x".repeat(200 * 1024).into();
    for _ in 0..100 {
        world.announcer.published(watched(), &body);
    }
    let waiting = 100 - world.counts.of(DROPPED);
    assert!((1..=8 * 1024 / 200).contains(&waiting), "{waiting}");
    world.hang(false);
    assert_eq!(hints(&mut results).await.hints, [Hint::Result(body)]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_sends_what_is_left_and_says_so() {
    let mut world = World::start().await;
    let mut changed = world.watching(&changes()).await;
    world.running.shutdown().await;
    world.commit(vec![seat(1, 1)]);
    world.announcer.farewell().await;
    let last = frame(&mut changed).await;
    assert_eq!((last.last, last.hints.len(), last.is_idle), (1, 1, true));
    world.hang(true);
    world.commit(vec![seat(1, 2)]);
    let begun = Instant::now();
    world.announcer.farewell().await;
    assert!(begun.elapsed() <= FAREWELL_TIMEOUT, "nor does that hold it up");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_where_announcing_is_off() {
    let announcer = Announcer::off();
    announcer.committed(&Transaction::default(), &Ok(Consumed::default()));
    announcer.farewell().await;
    assert!(tokio::time::timeout(LONG, announcer.run()).await.is_err());
}
