//! What a gateway shows while workers, Redis or itself are cut off.

use std::sync::Mutex;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::*;
use crate::{
    adapters::{
        memory::{MemoryHints, TokioClock},
        system::Random,
    },
    domain::{PoolId, SeatState, SeatStatus},
    gateway::{
        Answer, Caller,
        commands::tests::{World as CommandWorld, reserve},
        observer::{HintOutcome, RefillReason},
        view::{
            Found, ViewSettings,
            fixtures::{Tables, booked, epoch, event, seat},
        },
    },
    ports::{
        HintPublisher, PortError, ScanStore,
        hints::{Frame, Hint, SeatHint},
    },
};

/// Counts hints.
#[derive(Default)]
struct Counts(Mutex<Vec<HintOutcome>>);

impl ViewObserver for Counts {
    fn asked(&self, _: bool) {}

    fn aged(&self, _: Duration) {}

    fn refill(&self, _: RefillReason) {}

    fn hint(&self, outcome: HintOutcome) {
        self.0.lock().unwrap().push(outcome);
    }
}

struct World {
    tables: Arc<Tables>,
    hints: Arc<MemoryHints>,
    views: ViewCache,
    commands: CommandWorld,
    counts: Arc<Counts>,
    _running: JoinSet<()>,
}

/// What a worker announces on event 42.
struct Worker {
    stream: Uuid,
    last: u64,
}

impl Worker {
    fn new(stream: u128) -> Self {
        Self { stream: Uuid::from_u128(stream), last: 0 }
    }

    fn frame(&mut self, hints: Vec<Hint>) -> Frame {
        self.last += u64::try_from(hints.len()).unwrap();
        Frame { stream: self.stream, last: self.last, hints, is_idle: false }
    }
}

fn seat_hint(version: u64) -> Hint {
    let (number, status) = ("A-1".parse().unwrap(), SeatStatus::Booked);
    Hint::Seat(SeatHint { number, version, status, until: None, withheld: false })
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl World {
    async fn start() -> Self {
        let clock = Arc::new(TokioClock::new(epoch()));
        let tables = Tables::new(&clock);
        tables.fill().await;
        let hints = Arc::new(MemoryHints::new(clock.clone()));
        let store: Arc<dyn ScanStore> = Arc::clone(&tables) as _;
        let views = ViewCache::new(store, clock, ViewSettings::default());
        let commands = CommandWorld::start();
        let counts = Arc::new(Counts::default());
        let follower = Follower::new(FollowerParts {
            announcements: Announcements::new(hints.clone()),
            views: views.clone(),
            commands: Arc::clone(&commands.commands),
            entropy: Arc::new(Random::seeded(7)),
            observer: counts.clone(),
        });
        let mut running = JoinSet::new();
        running.spawn(async move { follower.run().await });
        Self { tables, hints, views, commands, counts, _running: running }
    }

    /// A world whose event is asked for, watched and trusted.
    async fn settled() -> Self {
        let world = Self::start().await;
        world.ask_for(seconds(8)).await;
        assert_eq!(world.reads_within(seconds(10)).await, 0, "it is trusted");
        world
    }

    /// The version of A-1 as it is shown.
    async fn version(&self) -> u64 {
        match self.views.get(&event()).await.unwrap() {
            Found::View(snapshot) => snapshot.view().seats()[0].version,
            _ => panic!("nothing is shown"),
        }
    }

    /// Asks ten times a second.
    async fn ask_for(&self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.version().await;
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn reads_within(&self, time: Duration) -> u64 {
        let before = self.views.stats().reads;
        self.ask_for(time).await;
        self.views.stats().reads - before
    }

    /// How long it takes until A-1 is shown in this version.
    async fn shown_after(&self, version: u64) -> Duration {
        let begun = Instant::now();
        while self.version().await < version {
            assert!(begun.elapsed() < seconds(120), "it never shows");
            sleep(Duration::from_millis(50)).await;
        }
        begun.elapsed()
    }

    async fn commit(&self, version: u64) {
        self.tables.put_seat("A-1", seat("A", version, booked())).await;
    }

    async fn announce(&self, worker: &mut Worker, hints: Vec<Hint>) {
        let frame = worker.frame(hints);
        self.publish(&frame).await;
    }

    async fn publish(&self, frame: &Frame) {
        // What is cut off from Redis does not hear of it.
        let _ = self.hints.publish(&Topic::Changes(event()), frame).await;
    }

    /// Asks as long as that, with a heartbeat each second.
    async fn beat(&self, worker: &mut Worker, seconds: u64) {
        for _ in 0..seconds {
            self.announce(worker, Vec::new()).await;
            self.ask_for(Duration::from_secs(1)).await;
        }
    }

    fn count(&self, wanted: HintOutcome) -> usize {
        self.counts.0.lock().unwrap().iter().filter(|outcome| **outcome == wanted).count()
    }
}

#[tokio::test(start_paused = true)]
async fn a_pool_is_read_every_2_s_until_every_worker_knows_of_the_watch_and_then_every_30_s() {
    let world = World::start().await;
    assert_eq!(world.reads_within(seconds(4)).await, 2);
    assert!(world.hints.watched().await.unwrap().contains(&Topic::Changes(event())));
    assert!(world.reads_within(seconds(5)).await >= 1);
    let reads = world.reads_within(seconds(90)).await;
    assert!((2..=3).contains(&reads), "{reads}");
}

#[tokio::test(start_paused = true)]
async fn what_is_announced_shows_at_once_without_a_read() {
    let world = World::settled().await;
    let mut worker = Worker::new(1);
    for version in 2..10 {
        world.announce(&mut worker, vec![seat_hint(version)]).await;
        assert!(world.shown_after(version).await <= Duration::from_millis(50));
    }
    assert_eq!(world.count(HintOutcome::Applied), 8);
    assert_eq!(world.reads_within(seconds(1)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn hints_that_come_late_or_twice_set_nothing_back() {
    let world = World::settled().await;
    let mut worker = Worker::new(1);
    let old = worker.frame(vec![seat_hint(2)]);
    world.publish(&old).await;
    world.announce(&mut worker, vec![seat_hint(3)]).await;
    world.shown_after(3).await;
    // A zombie, and a repetition.
    world.announce(&mut Worker::new(2), vec![seat_hint(2)]).await;
    world.publish(&old).await;
    assert_eq!(world.reads_within(Duration::from_millis(900)).await, 0);
    assert_eq!(world.version().await, 3);
    assert_eq!(world.count(HintOutcome::Known), 2);
}

#[tokio::test(start_paused = true)]
async fn a_number_left_out_has_the_pool_read_at_once() {
    let world = World::settled().await;
    let mut worker = Worker::new(1);
    world.announce(&mut worker, vec![seat_hint(2)]).await;
    world.shown_after(2).await;
    world.commit(3).await;
    let _lost = worker.frame(vec![seat_hint(3)]);
    let number = "A-2".parse().unwrap();
    let (version, status, until, withheld) = (5, SeatStatus::Available, None, false);
    let other = Hint::Seat(SeatHint { number, version, status, until, withheld });
    world.announce(&mut worker, vec![other]).await;
    assert!(world.shown_after(3).await <= Duration::from_millis(500));
    assert_eq!(world.count(HintOutcome::Gap), 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_hint_lost_is_found_by_the_next_heartbeat() {
    let world = World::settled().await;
    let mut worker = Worker::new(1);
    world.announce(&mut worker, vec![seat_hint(2)]).await;
    world.shown_after(2).await;
    world.commit(3).await;
    let _lost = worker.frame(vec![seat_hint(3)]);
    world.ask_for(Duration::from_millis(900)).await;
    assert_eq!(world.version().await, 2);
    world.announce(&mut worker, Vec::new()).await;
    assert!(world.shown_after(3).await <= Duration::from_millis(500));
}

#[tokio::test(start_paused = true)]
async fn while_a_worker_is_silent_the_pool_is_read_every_2_s_until_the_worker_is_gone() {
    let world = World::settled().await;
    let mut worker = Worker::new(1);
    world.announce(&mut worker, vec![seat_hint(2)]).await;
    world.beat(&mut worker, 10).await;
    assert!(world.views.stats().reads <= 6);
    // Cut off from Redis, it goes on to commit.
    for version in 3..8 {
        world.commit(version).await;
        let took = world.shown_after(version).await;
        assert!(took <= Duration::from_millis(5_500), "{took:?}");
        sleep(seconds(2)).await;
    }
    assert_eq!(world.count(HintOutcome::Silent), 1);
    world.ask_for(seconds(70)).await;
    assert!(world.reads_within(seconds(20)).await <= 1, "it is given up");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_was_cut_off_and_comes_back_is_caught_up_with() {
    let world = World::settled().await;
    let mut worker = Worker::new(1);
    world.announce(&mut worker, vec![seat_hint(2)]).await;
    world.beat(&mut worker, 3).await;
    world.ask_for(seconds(10)).await;
    let _lost = worker.frame(vec![seat_hint(3)]);
    world.commit(3).await;
    world.announce(&mut worker, Vec::new()).await;
    assert!(world.shown_after(3).await <= seconds(2));
    world.beat(&mut worker, 5).await;
    let before = world.views.stats().reads;
    world.beat(&mut worker, 10).await;
    assert_eq!(world.views.stats().reads, before, "and trusted again");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_says_it_is_idle_or_stopping_may_be_silent() {
    let world = World::settled().await;
    let mut worker = Worker::new(1);
    world.announce(&mut worker, vec![seat_hint(2)]).await;
    let farewell = Frame { is_idle: true, ..worker.frame(Vec::new()) };
    world.publish(&farewell).await;
    world.ask_for(seconds(5)).await;
    assert_eq!(world.count(HintOutcome::Silent), 0);
    assert_eq!(world.count(HintOutcome::Gap), 0);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_announces_nothing_is_found_out_by_a_read() {
    let world = World::settled().await;
    world.commit(2).await;
    assert!(world.shown_after(2).await <= seconds(31));
    world.ask_for(seconds(4)).await;
    assert_eq!(world.count(HintOutcome::Unannounced), 1);
    // From then on for a minute.
    for version in 3..20 {
        world.commit(version).await;
        assert!(world.shown_after(version).await <= seconds(3));
        sleep(seconds(2)).await;
    }
    world.ask_for(seconds(70)).await;
    assert!(world.reads_within(seconds(20)).await <= 1, "and then it is tried again");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_a_read_finds_just_before_its_hint_is_no_reason_for_distrust() {
    let world = World::settled().await;
    let mut worker = Worker::new(1);
    world.commit(2).await;
    world.shown_after(2).await;
    world.announce(&mut worker, vec![seat_hint(2)]).await;
    world.beat(&mut worker, 5).await;
    assert_eq!(world.count(HintOutcome::Unannounced), 0);
    assert_eq!(world.reads_within(Duration::from_millis(900)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn while_the_gateway_is_cut_off_from_redis_the_pool_is_read_every_2_s() {
    let world = World::settled().await;
    world.hints.fail(Some(PortError::Unavailable("cut off".to_owned())));
    for version in 2..8 {
        world.commit(version).await;
        let took = world.shown_after(version).await;
        assert!(took <= seconds(3), "{took:?}");
        sleep(seconds(3)).await;
    }
    assert_eq!(world.count(HintOutcome::Lost), 1);
    world.hints.fail(None);
    world.ask_for(seconds(10)).await;
    assert_eq!(world.reads_within(seconds(10)).await, 0, "and trusted again");
}

#[tokio::test(start_paused = true)]
async fn a_redis_that_was_emptied_is_not_relied_upon_until_workers_know_of_the_watch_again() {
    let world = World::settled().await;
    world.hints.forget_watches();
    // Workers announce nothing until they see the watch again.
    for version in 2..5 {
        world.commit(version).await;
        assert!(world.shown_after(version).await <= seconds(3));
        sleep(Duration::from_millis(200)).await;
    }
    let watched: BTreeSet<Topic> = world.hints.watched().await.unwrap();
    assert!(watched.contains(&Topic::Changes(event())));
    world.ask_for(seconds(8)).await;
    assert_eq!(world.reads_within(seconds(10)).await, 0, "and trusted again");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_a_gap() {
    let world = World::settled().await;
    world.commit(2).await;
    world.hints.publish_bytes(&Topic::Changes(event()), b"\x09no frame");
    assert!(world.shown_after(2).await <= Duration::from_millis(500));
    assert_eq!(world.count(HintOutcome::Undecodable), 1);
}

#[tokio::test(start_paused = true)]
async fn however_many_gaps_a_pool_is_read_once_a_second_at_most() {
    let world = World::settled().await;
    let mut worker = Worker::new(1);
    let before = world.views.stats().reads;
    for _ in 0..1_000 {
        world.announce(&mut worker, vec![Hint::ReadAgain]).await;
        sleep(Duration::from_millis(10)).await;
    }
    let reads = world.views.stats().reads - before;
    assert!((9..=11).contains(&reads), "{reads}");
    // Until it is relied upon again, every two seconds.
    assert!(world.reads_within(seconds(5)).await <= 3);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_nobody_asked_for_lately_waits_for_its_next_query() {
    let world = World::settled().await;
    sleep(seconds(15)).await;
    world.commit(2).await;
    let mut worker = Worker::new(1);
    let before = world.views.stats().reads;
    world.announce(&mut worker, vec![Hint::ReadAgain]).await;
    sleep(seconds(3)).await;
    assert_eq!(world.views.stats().reads, before);
    assert_eq!(world.version().await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_new_seat_has_the_pool_read() {
    let world = World::settled().await;
    world.tables.put_seat("Z-1", seat("Z", 1, SeatState::Available)).await;
    let number = "Z-1".parse().unwrap();
    let (version, status, until, withheld) = (1, SeatStatus::Available, None, false);
    let hint = Hint::Seat(SeatHint { number, version, status, until, withheld });
    world.announce(&mut Worker::new(1), vec![hint]).await;
    sleep(Duration::from_millis(500)).await;
    let Found::View(snapshot) = world.views.get(&event()).await.unwrap() else { panic!() };
    assert_eq!(snapshot.view().seats().len(), 26);
    assert_eq!(world.count(HintOutcome::Unknown), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_no_longer_kept_is_no_longer_watched() {
    let world = World::settled().await;
    sleep(seconds(301)).await;
    // Another pool has the idle ones dropped.
    let _ = world.views.get(&PoolId::Event(7)).await;
    sleep(seconds(15)).await;
    assert!(!world.hints.watched().await.unwrap().contains(&Topic::Changes(event())));
}

#[tokio::test(start_paused = true)]
async fn the_outcome_of_an_awaited_command_is_read_as_soon_as_it_is_announced() {
    let world = World::start().await;
    let local = Caller::local();
    // The first command has its pool watched.
    let worker = async {
        let (command, ..) = world.commands.posted().await;
        world.commands.decide(&command);
        command.pool
    };
    let (_, pool) = tokio::join!(world.commands.submit(&local, "c-1", reserve("A-1")), worker);
    sleep(seconds(2)).await;
    let worker = async {
        let (command, ..) = world.commands.posted().await;
        // Until the pauses between polls are long.
        sleep(Duration::from_millis(700)).await;
        world.commands.decide(&command);
        let frame = Worker::new(1).frame(vec![Hint::Decided(command.key)]);
        world.hints.publish(&Topic::Outcomes(pool), &frame).await.unwrap();
        Instant::now()
    };
    let answered = async {
        // Of another group: the first command stays in the queue.
        let answer = world.commands.submit(&local, "c-2", reserve("B-1")).await;
        assert!(matches!(answer, Ok(Answer::Decided(_))), "{answer:?}");
        Instant::now()
    };
    let (answered, announced) = tokio::join!(answered, worker);
    let took = answered.duration_since(announced);
    assert!(took <= Duration::from_millis(5), "{took:?}");
}
