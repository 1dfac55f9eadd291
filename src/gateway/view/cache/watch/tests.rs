use super::*;
use crate::{
    adapters::{memory::TokioClock, system::Random},
    domain::SeatStatus,
    gateway::view::{
        Hint, SeatEntry, Snapshot, ViewSettings,
        fixtures::{Tables, booked, epoch, event, seat},
    },
    ports::{PortError, ScanStore},
};

async fn filled() -> (Arc<Tables>, ViewCache, Arc<dyn Entropy>) {
    let clock = Arc::new(TokioClock::new(epoch()));
    let tables = Tables::new(&clock);
    tables.fill().await;
    let store: Arc<dyn ScanStore> = Arc::clone(&tables) as _;
    let cache = ViewCache::new(store, clock, ViewSettings::default());
    (tables, cache, Arc::new(Random::seeded(7)))
}

fn snapshot(watch: &Watch) -> Snapshot {
    match watch.kept() {
        Some(Found::View(snapshot)) => snapshot,
        _ => panic!("nothing is kept"),
    }
}

async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_watched_pool_is_read_again_and_again_by_one_for_all() {
    let (tables, cache, entropy) = filled().await;
    let mut watch = cache.watch(&event(), &entropy);
    let others: Vec<Watch> = (0..5).map(|_| cache.watch(&event(), &entropy)).collect();
    watch.changed().await;
    let begun = Instant::now();
    for _ in 0..10 {
        let before = Instant::now();
        watch.changed().await;
        let passed = before.elapsed().as_secs_f64();
        assert!((1.8..=2.2).contains(&passed), "{passed}");
    }
    let passed = begun.elapsed().as_secs_f64();
    assert!(passed.fract() > 0.001, "jittered: {passed}");
    assert_eq!(cache.stats().reads, 11);
    tables.put_seat("A-1", seat("A", 2, booked())).await;
    watch.changed().await;
    assert_eq!(snapshot(&watch).view().seats()[0].version, 2);
    drop((watch, others));
    let reads = cache.stats().reads;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(cache.stats().reads, reads, "nobody watches any more");
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_told_at_once_and_one_of_a_new_seat_lets_the_pool_be_read() {
    let (_, cache, entropy) = filled().await;
    let mut watch = cache.watch(&event(), &entropy);
    watch.changed().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let entry = SeatEntry::new(2, SeatStatus::Booked, None, false);
    cache.apply(&event(), &Hint::Seat("A-1".parse().unwrap(), entry));
    watch.changed().await;
    assert_eq!(snapshot(&watch).view().seats()[0], entry);
    assert_eq!(cache.stats().reads, 1);
    for _ in 0..100 {
        cache.apply(&event(), &Hint::Seat("Z-1".parse().unwrap(), entry));
        settle().await;
    }
    assert_eq!(cache.stats().reads, 2, "however many, one read a second");
}

#[tokio::test(start_paused = true)]
async fn while_the_tables_fail_they_are_tried_ever_less_often_until_what_is_kept_is_too_old() {
    let (tables, cache, entropy) = filled().await;
    let mut watch = cache.watch(&event(), &entropy);
    watch.changed().await;
    tables.fail(Some(PortError::Unavailable("down".to_owned())));
    let begun = Instant::now();
    while watch.kept().is_some() {
        watch.changed().await;
    }
    let tried = cache.stats().reads;
    // After two seconds, then 1, 2, 4 and every 8 s.
    assert!((10..=12).contains(&tried), "{tried}");
    assert_eq!(begun.elapsed().as_secs(), 60);
    tables.fail(None);
    watch.changed().await;
    assert!(watch.kept().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_absent_is_looked_for_every_five_seconds() {
    let (_, cache, entropy) = filled().await;
    let absent = PoolId::Event(7);
    let watch = cache.watch(&absent, &entropy);
    tokio::time::sleep(Duration::from_secs(51)).await;
    assert!(matches!(watch.kept(), Some(Found::Absent) | None));
    let reads = cache.stats().reads;
    assert!((8..=11).contains(&reads), "{reads}");
}
