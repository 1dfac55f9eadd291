//! Gateways that share what they read.

use futures::future::join_all;

use super::*;
use crate::{
    adapters::memory::{MemorySnapshots, TokioClock},
    gateway::{
        observer::NoopViewObserver,
        view::{
            Found, Snapshot, Trust, ViewCache,
            fixtures::{Tables, booked, epoch, event, seat, shop},
        },
    },
    ports::ScanStore,
};

struct World {
    tables: Arc<Tables>,
    snapshots: Arc<MemorySnapshots>,
    gateways: Vec<ViewCache>,
}

impl World {
    async fn new(gateways: usize) -> Self {
        let clock = Arc::new(TokioClock::new(epoch()));
        let tables = Tables::new(&clock);
        tables.fill().await;
        let snapshots = Arc::new(MemorySnapshots::default());
        let gateway = || {
            let store: Arc<dyn ScanStore> = Arc::clone(&tables) as _;
            let (settings, shared) = (ViewSettings::default(), Arc::clone(&snapshots) as _);
            let observer = Arc::new(NoopViewObserver);
            ViewCache::observed(store, Arc::clone(&clock) as _, settings, observer, Some(shared))
        };
        let gateways = (0..gateways).map(|_| gateway()).collect();
        Self { tables, snapshots, gateways }
    }

    fn reads(&self) -> u64 {
        self.gateways.iter().map(|gateway| gateway.stats().reads).sum()
    }

    /// Hints keep the event current, from now on.
    fn trust(&self, gateway: usize) {
        let now = Instant::now();
        let until = now + Duration::from_secs(3_600);
        self.gateways[gateway].trust(&event(), Some(Trust { from: now, until }));
    }
}

async fn view(gateway: &ViewCache) -> Snapshot {
    match gateway.get(&event()).await.unwrap() {
        Found::View(snapshot) => snapshot,
        Found::Absent => panic!("absent"),
        Found::TooLarge => panic!("too large"),
    }
}

fn first_version(snapshot: &Snapshot) -> u64 {
    snapshot.view().seats()[0].version
}

async fn pass(time: Duration) {
    // What was put in the background is there.
    tokio::time::sleep(time).await;
}

#[tokio::test(start_paused = true)]
async fn fifty_cold_gateways_are_one_read() {
    let world = World::new(50).await;
    let answers = join_all(world.gateways.iter().map(view)).await;
    assert_eq!(world.reads(), 1);
    assert!(answers.iter().all(|answer| answer.view() == answers[0].view()));
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_is_as_old_as_the_read_it_comes_from() {
    let world = World::new(2).await;
    view(&world.gateways[0]).await;
    pass(Duration::from_millis(800)).await;
    let taken = view(&world.gateways[1]).await;
    assert_eq!((taken.age, taken.as_of), (Duration::from_millis(800), epoch()));
    assert_eq!(world.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_older_than_a_second_is_not_taken_without_hints() {
    let world = World::new(2).await;
    view(&world.gateways[0]).await;
    world.tables.put_seat("A-1", seat("A", 2, booked())).await;
    pass(Duration::from_millis(1_001)).await;
    assert_eq!(first_version(&view(&world.gateways[1]).await), 2);
    assert_eq!(world.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn with_hints_a_snapshot_read_since_they_are_complete_is_taken_and_no_older_one() {
    let world = World::new(2).await;
    for gateway in 0..2 {
        view(&world.gateways[gateway]).await;
    }
    assert_eq!(world.reads(), 1);
    pass(Duration::from_millis(1)).await;
    world.trust(0);
    world.trust(1);
    pass(Duration::from_millis(500)).await;
    // What both have was read before hints were complete, and is relied upon for 2 s.
    pass(Duration::from_secs(2)).await;
    view(&world.gateways[0]).await;
    assert_eq!(world.reads(), 2);
    pass(Duration::from_secs(9)).await;
    assert_eq!(view(&world.gateways[1]).await.age, Duration::from_secs(9));
    assert_eq!(world.reads(), 2);
    // From now on both are due at the same time.
    pass(Duration::from_secs(22)).await;
    for gateway in &world.gateways {
        assert!(view(gateway).await.age < Duration::from_secs(1));
    }
    assert_eq!(world.reads(), 3);
}

#[tokio::test(start_paused = true)]
async fn after_a_gap_no_snapshot_from_before_it_is_taken() {
    let world = World::new(2).await;
    view(&world.gateways[0]).await;
    view(&world.gateways[1]).await;
    pass(Duration::from_millis(10)).await;
    world.tables.put_seat("A-1", seat("A", 2, booked())).await;
    assert!(world.gateways[1].read_again(&event(), Instant::now()));
    pass(Duration::from_millis(10)).await;
    assert_eq!(first_version(&view(&world.gateways[1]).await), 2);
    assert_eq!(world.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn hints_from_before_a_pool_was_asked_for_again_do_not_keep_what_was_taken_current() {
    let world = World::new(2).await;
    let followed_since = Instant::now();
    view(&world.gateways[0]).await;
    pass(Duration::from_millis(500)).await;
    // Whatever was announced meanwhile, the second gateway kept nothing that it could be applied to.
    assert_eq!(view(&world.gateways[1]).await.age, Duration::from_millis(500));
    let until = Instant::now() + Duration::from_secs(3_600);
    world.gateways[1].trust(&event(), Some(Trust { from: followed_since, until }));
    pass(Duration::from_secs(2)).await;
    assert_eq!(view(&world.gateways[1]).await.age, Duration::ZERO);
    assert_eq!(world.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_dies_while_it_reads_delays_the_others_by_a_second_at_most() {
    let world = World::new(1).await;
    assert!(world.snapshots.claim(&event()).await.unwrap());
    let begun = Instant::now();
    view(&world.gateways[0]).await;
    assert!(begun.elapsed() <= WAIT_MAX + LOOK_EVERY);
    assert_eq!(world.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_of_snapshots_that_fails_or_holds_something_else_costs_a_read() {
    let world = World::new(2).await;
    world.snapshots.put(&event(), b"of another release", Duration::ZERO).await.unwrap();
    view(&world.gateways[0]).await;
    world.snapshots.fail(Some(PortError::Unavailable("down".to_owned())));
    view(&world.gateways[1]).await;
    assert_eq!(world.reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_does_not_exist_is_waited_for_by_nobody() {
    let world = World::new(2).await;
    let absent = PoolId::Event(7);
    let begun = Instant::now();
    for gateway in &world.gateways {
        assert!(matches!(gateway.get(&absent).await, Ok(Found::Absent)));
        pass(Duration::ZERO).await;
    }
    assert!(begun.elapsed() < LOOK_EVERY);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_a_look_finds_not_to_exist_is_waited_for_by_nobody() {
    let world = World::new(2).await;
    world.tables.close();
    // Both reads of the first gateway are taken.
    for pool in [event(), shop()] {
        assert!(timeout(Duration::from_secs(2), world.gateways[0].get(&pool)).await.is_err());
    }
    let absent = PoolId::Event(7);
    assert!(matches!(world.gateways[0].get(&absent).await, Ok(Found::Absent)));
    pass(Duration::ZERO).await;
    assert_eq!(world.snapshots.claim(&absent).await, Ok(true));
}
