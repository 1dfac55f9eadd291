//! What is read, when, how often at a time, and what answers meanwhile.

use futures::future::join_all;

use super::*;
use crate::{
    adapters::memory::TokioClock,
    domain::{SeatState, SeatStatus},
    gateway::view::{
        SeatEntry,
        fixtures::{EVENT, Tables, booked, epoch, event, line, seat, shop},
    },
};

async fn filled(settings: ViewSettings) -> (Arc<Tables>, ViewCache) {
    let clock = Arc::new(TokioClock::new(epoch()));
    let tables = Tables::new(&clock);
    tables.fill().await;
    let store: Arc<dyn ScanStore> = Arc::clone(&tables) as _;
    (tables, ViewCache::new(store, clock, settings))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn view(cache: &ViewCache, pool: &PoolId) -> Snapshot {
    match cache.get(pool).await.unwrap() {
        Found::View(snapshot) => snapshot,
        Found::Absent => panic!("absent"),
        Found::TooLarge => panic!("too large"),
    }
}

async fn first_seat(cache: &ViewCache) -> SeatEntry {
    view(cache, &event()).await.view().seats()[0]
}

fn booked_hint(version: u64) -> Hint {
    let entry = SeatEntry::new(version, SeatStatus::Booked, None, false);
    Hint::Seat("A-1".parse().unwrap(), entry)
}

#[tokio::test(start_paused = true)]
async fn a_pool_is_read_again_when_a_query_finds_it_too_old() {
    let (tables, cache) = filled(ViewSettings::default()).await;
    let first = view(&cache, &event()).await;
    assert_eq!((first.as_of, first.age), (epoch(), Duration::ZERO));
    tables.put_seat("A-1", seat("A", 2, booked())).await;
    tokio::time::advance(seconds(2)).await;
    assert_eq!(view(&cache, &event()).await.age, seconds(2));
    assert_eq!(first_seat(&cache).await.status, SeatStatus::Available);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(first_seat(&cache).await.status, SeatStatus::Booked);
    assert_eq!(cache.stats(), ViewStats { hits: 2, misses: 2, reads: 2, pools: 1 });
}

#[tokio::test(start_paused = true)]
async fn any_number_of_queries_share_one_read_of_a_pool_and_two_pools_are_read_at_a_time() {
    let (tables, cache) = filled(ViewSettings::default()).await;
    for number in 0..6 {
        let pool = PoolId::Store(format!("shop-{number}").parse().unwrap());
        tables.put_line(&pool, "apple", line(1, 1)).await;
    }
    let pools = (0..6).map(|number| PoolId::Store(format!("shop-{number}").parse().unwrap()));
    let wanted: Vec<PoolId> = pools.cycle().take(60).collect();
    let answers = join_all(wanted.iter().map(|pool| view(&cache, pool))).await;
    assert!(answers.iter().zip(&wanted).all(|(answer, pool)| answer.view().pool() == pool));
    assert_eq!(cache.stats().reads, 6);
    assert_eq!(tables.most_at_a_time(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_read_goes_on_when_the_query_that_began_it_is_gone() {
    let (tables, cache) = filled(ViewSettings::default()).await;
    tables.close();
    assert!(timeout(seconds(1), cache.get(&event())).await.is_err());
    tables.let_through(100);
    view(&cache, &event()).await;
    assert_eq!(cache.stats().reads, 1);
}

#[tokio::test(start_paused = true)]
async fn a_read_whose_queries_gave_up_is_no_answer_to_later_ones() {
    let (tables, cache) = filled(ViewSettings::default()).await;
    tables.close();
    assert!(timeout(seconds(1), cache.get(&event())).await.is_err());
    tables.let_through(100);
    tokio::time::sleep(seconds(10)).await;
    assert_eq!(view(&cache, &event()).await.age, Duration::ZERO);
    assert_eq!(cache.stats().reads, 2);
}

#[tokio::test(start_paused = true)]
async fn while_the_tables_fail_what_is_kept_answers_for_a_minute() {
    let (tables, cache) = filled(ViewSettings::default()).await;
    view(&cache, &event()).await;
    let throttled = PortError::Throttled("slow down".to_owned());
    tables.fail(Some(throttled.clone()));
    for age in [3, 30, 60] {
        let since_start = seconds(age) - cache.inner.clock_age();
        tokio::time::advance(since_start).await;
        assert_eq!(view(&cache, &event()).await.age, seconds(age));
    }
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(cache.get(&event()).await.err(), Some(throttled));
    tables.fail(None);
    tokio::time::advance(ViewSettings::default().retry_max).await;
    assert_eq!(view(&cache, &event()).await.age, Duration::ZERO);
}

impl Inner {
    /// Since the clocks of tests started.
    fn clock_age(&self) -> Duration {
        self.clock.now().duration_since(epoch()).try_into().unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_read_is_repeated_after_a_second_then_two_four_and_eight() {
    let (tables, cache) = filled(ViewSettings::default()).await;
    tables.fail(Some(PortError::Unavailable("down".to_owned())));
    assert!(cache.get(&event()).await.is_err());
    for (wait, begun) in [1, 2, 4, 8, 8].into_iter().zip(1..) {
        for part in [wait * 1_000 - 1, 1] {
            assert!(cache.get(&event()).await.is_err());
            assert_eq!(cache.stats().reads, begun);
            tokio::time::advance(Duration::from_millis(part)).await;
        }
        assert!(cache.get(&event()).await.is_err());
    }
    // One that succeeds is the end of it.
    tables.fail(None);
    tokio::time::advance(seconds(8)).await;
    view(&cache, &event()).await;
    tables.fail(Some(PortError::Unavailable("down".to_owned())));
    tokio::time::advance(seconds(3)).await;
    view(&cache, &event()).await;
    let reads = cache.stats().reads;
    tokio::time::advance(seconds(1)).await;
    view(&cache, &event()).await;
    assert_eq!(cache.stats().reads, reads + 1);
}

#[tokio::test(start_paused = true)]
async fn a_first_read_that_fails_is_repeated_ever_later_whatever_else_is_asked_and_followed() {
    let (tables, cache) = filled(ViewSettings::default()).await;
    tables.fail(Some(PortError::Unavailable("down".to_owned())));
    for wait in [1, 2, 4, 8, 8] {
        assert!(cache.get(&event()).await.is_err());
        let begun = cache.stats().reads;
        tokio::time::advance(Duration::from_millis(wait * 1_000 - 1)).await;
        assert!(cache.get(&event()).await.is_err());
        assert_eq!(cache.stats().reads, begun);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(cache.followed().len(), 1);
        let other = PoolId::Event(1_000 + wait);
        tables.fail(None);
        assert!(matches!(cache.get(&other).await, Ok(Found::Absent)));
        tables.fail(Some(PortError::Unavailable("down".to_owned())));
    }
}

#[tokio::test(start_paused = true)]
async fn missed_hints_do_not_hurry_reads_that_fail() {
    let (tables, cache) = filled(ViewSettings::default()).await;
    view(&cache, &event()).await;
    tables.fail(Some(PortError::Throttled("slow down".to_owned())));
    for _ in 0..9 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(cache.read_again(&event(), Instant::now()), "it is still to be read");
    }
    assert_eq!(cache.stats().reads, 2);
}

#[test]
fn a_large_pool_is_read_less_often() {
    let settings = ViewSettings::default();
    for (entries, wanted) in [(0, 2), (1_000, 2), (5_000, 10), (15_000, 30), (50_000, 30)] {
        assert_eq!(settings.fresh_for(entries), seconds(wanted), "{entries}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_hints_a_pool_is_as_old_as_its_size_allows() {
    // Its 25 seats are read every five seconds.
    let settings = ViewSettings { entries_per_second: 5, ..ViewSettings::default() };
    let (_, cache) = filled(settings).await;
    view(&cache, &event()).await;
    tokio::time::advance(seconds(5)).await;
    assert_eq!(view(&cache, &event()).await.age, seconds(5));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(view(&cache, &event()).await.age, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_hangs_holds_no_query_longer_than_it_waits() {
    let (tables, cache) = filled(ViewSettings::default()).await;
    tables.close();
    assert_eq!(cache.get(&event()).await.err(), Some(still_read()));
    assert_eq!(cache.inner.clock_age(), seconds(10));
    tables.let_through(100);
    view(&cache, &event()).await;
    tables.close();
    tokio::time::advance(seconds(5)).await;
    // With something kept, it waits a second for something newer.
    assert_eq!(view(&cache, &event()).await.view().seats().len(), 25);
    assert_eq!(cache.inner.clock_age(), seconds(16));
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_does_not_exist_is_known_not_to_for_five_seconds() {
    let (tables, cache) = filled(ViewSettings::default()).await;
    let pool = PoolId::Store("new".parse().unwrap());
    for _ in 0..3 {
        assert!(matches!(cache.get(&pool).await, Ok(Found::Absent)));
    }
    assert_eq!((cache.stats().reads, cache.stats().pools), (1, 0));
    tables.put_line(&pool, "apple", line(1, 1)).await;
    tokio::time::advance(Duration::from_millis(5_001)).await;
    view(&cache, &pool).await;
    // A hint ends that, too.
    let other = PoolId::Store("other".parse().unwrap());
    assert!(matches!(cache.get(&other).await, Ok(Found::Absent)));
    tables.put_line(&other, "apple", line(1, 1)).await;
    assert_eq!(cache.apply(&other, &booked_hint(1)), Applied::Unknown);
    view(&cache, &other).await;
}

#[tokio::test(start_paused = true)]
async fn no_more_absent_pools_are_known_than_may_be() {
    let (_, cache) = filled(ViewSettings { absent_max: 3, ..ViewSettings::default() }).await;
    for id in [1, 2, 3, 4, 1, 4] {
        assert!(matches!(cache.get(&PoolId::Event(id)).await, Ok(Found::Absent)));
    }
    // 1 had been forgotten for 4, which is still known.
    assert_eq!(cache.stats().reads, 5);
}

#[tokio::test(start_paused = true)]
async fn the_least_recently_asked_pools_make_room() {
    let (_, cache) = filled(ViewSettings { pools_max: 1, ..ViewSettings::default() }).await;
    view(&cache, &event()).await;
    view(&cache, &shop()).await;
    assert_eq!(cache.stats().pools, 1);
    view(&cache, &shop()).await;
    assert_eq!(cache.stats().reads, 2);
    let (_, cache) = filled(ViewSettings { total_max: 26, ..ViewSettings::default() }).await;
    view(&cache, &shop()).await;
    view(&cache, &event()).await;
    assert_eq!(cache.stats().pools, 1);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_no_query_asks_for_is_dropped() {
    let (_, cache) = filled(ViewSettings::default()).await;
    view(&cache, &event()).await;
    tokio::time::advance(seconds(299)).await;
    view(&cache, &shop()).await;
    assert_eq!(cache.stats().pools, 2);
    tokio::time::advance(seconds(2)).await;
    assert!(matches!(cache.get(&PoolId::Event(EVENT + 1)).await, Ok(Found::Absent)));
    assert_eq!(cache.stats().pools, 1);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_too_large_is_not_read_for_each_query() {
    let (tables, cache) = filled(ViewSettings { entries_max: 24, ..ViewSettings::default() }).await;
    for _ in 0..3 {
        assert!(matches!(cache.get(&event()).await, Ok(Found::TooLarge)));
        tokio::time::advance(seconds(60)).await;
    }
    assert_eq!((cache.stats().reads, tables.pages()), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn too_many_first_reads_are_refused() {
    let (tables, cache) = filled(ViewSettings { pending_max: 2, ..ViewSettings::default() }).await;
    view(&cache, &event()).await;
    tables.close();
    for id in 1..=2 {
        assert!(timeout(seconds(1), cache.get(&PoolId::Event(id))).await.is_err());
    }
    let refused = cache.get(&PoolId::Event(3)).await.err();
    assert!(matches!(refused, Some(PortError::Unavailable(_))), "{refused:?}");
    // What is kept answers.
    view(&cache, &event()).await;
    tables.let_through(100);
    tokio::time::advance(seconds(1)).await;
    tokio::task::yield_now().await;
    assert!(matches!(cache.get(&PoolId::Event(1)).await, Ok(Found::Absent)));
    assert!(matches!(cache.get(&PoolId::Event(3)).await, Ok(Found::Absent)));
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_no_query_asks_for_is_followed_no_longer() {
    let (_, cache) = filled(ViewSettings::default()).await;
    view(&cache, &event()).await;
    assert_eq!(cache.followed(), [event()]);
    tokio::time::advance(seconds(301)).await;
    assert!(cache.followed().is_empty());
    assert_eq!(cache.stats().pools, 0);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_does_not_exist_takes_no_turn_from_those_that_do() {
    let (tables, cache) = filled(ViewSettings::default()).await;
    tables.close();
    // Both reads are taken.
    for pool in [event(), shop()] {
        assert!(timeout(seconds(1), cache.get(&pool)).await.is_err());
    }
    for id in 1_000..2_000 {
        assert!(matches!(cache.get(&PoolId::Event(id)).await, Ok(Found::Absent)), "{id}");
    }
    assert_eq!(cache.stats().reads, 2);
    tables.let_through(100);
    view(&cache, &event()).await;
    view(&cache, &shop()).await;
}

#[tokio::test(start_paused = true)]
async fn first_reads_that_failed_take_no_room() {
    let (tables, cache) = filled(ViewSettings { pending_max: 2, ..ViewSettings::default() }).await;
    tables.fail(Some(PortError::Unavailable("down".to_owned())));
    for id in 1..=2 {
        assert!(cache.get(&PoolId::Event(id)).await.is_err());
    }
    tables.fail(None);
    tokio::time::advance(seconds(1)).await;
    view(&cache, &event()).await;
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_seen_at_once_and_outlives_a_read_that_began_before_it() {
    let (tables, cache) = filled(ViewSettings::default()).await;
    assert_eq!(cache.apply(&event(), &booked_hint(2)), Applied::Unknown);
    view(&cache, &event()).await;
    let shared = view(&cache, &event()).await;
    assert_eq!(cache.apply(&event(), &booked_hint(2)), Applied::Changed);
    assert_eq!(cache.apply(&event(), &booked_hint(1)), Applied::Known);
    assert_eq!(first_seat(&cache).await.status, SeatStatus::Booked);
    // Who has a snapshot keeps it.
    assert_eq!(shared.view().seats()[0].status, SeatStatus::Available);
    tokio::time::advance(seconds(3)).await;
    assert_eq!((first_seat(&cache).await.version, cache.stats().reads), (2, 2));
    assert_eq!(tables.memory.inspect(|tables| tables.seats.len()), 25);
}

#[tokio::test(start_paused = true)]
async fn a_hint_that_comes_during_the_first_read_is_applied_after_it() {
    let (tables, cache) = filled(ViewSettings::default()).await;
    tables.close();
    let asking = tokio::spawn({
        let cache = cache.clone();
        async move { first_seat(&cache).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(cache.apply(&event(), &booked_hint(7)), Applied::Unknown);
    tables.let_through(100);
    assert_eq!(asking.await.unwrap().version, 7);
}

#[tokio::test(start_paused = true)]
async fn a_hint_of_a_new_seat_lets_the_pool_be_read_again() {
    let (tables, cache) = filled(ViewSettings::default()).await;
    view(&cache, &event()).await;
    tables.put_seat("A-0", seat("A", 1, SeatState::Available)).await;
    let new = SeatEntry::new(1, SeatStatus::Available, None, false);
    let applied = cache.apply(&event(), &Hint::Seat("A-0".parse().unwrap(), new));
    assert_eq!(applied, Applied::Unknown);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(view(&cache, &event()).await.view().seats().len(), 26);
    assert_eq!(view(&cache, &event()).await.view().seats().len(), 26);
    assert_eq!(cache.stats().reads, 2);
}

#[tokio::test(start_paused = true)]
async fn documents_and_counts_are_made_once_a_version_and_instant() {
    let (_, cache) =
        filled(ViewSettings { fresh: seconds(3_600), ..ViewSettings::default() }).await;
    let snapshot = view(&cache, &event()).await;
    let now = epoch();
    let (map, layout) = (snapshot.map(now).await.unwrap(), snapshot.layout().await.unwrap());
    let counts = snapshot.availability(now);
    let later = now.checked_add(seconds(599)).unwrap();
    let again = view(&cache, &event()).await;
    assert_eq!(again.map(later).await.unwrap().plain.as_ptr(), map.plain.as_ptr());
    assert_eq!(again.layout().await.unwrap().plain.as_ptr(), layout.plain.as_ptr());
    assert!(Arc::ptr_eq(&again.availability(later), &counts));
    // At 10:10 a hold ends.
    let ended = now.checked_add(seconds(600)).unwrap();
    assert_ne!(again.map(ended).await.unwrap().tag, map.tag);
    assert_eq!(again.availability(ended).counts.hold_ended, 1);
    cache.apply(&event(), &booked_hint(2));
    let changed = view(&cache, &event()).await;
    assert_eq!(changed.availability(ended).counts.booked, 2);
    assert_eq!(changed.layout().await.unwrap().plain.as_ptr(), layout.plain.as_ptr());
    assert_ne!(changed.map(ended).await.unwrap().tag, again.map(ended).await.unwrap().tag);
}
