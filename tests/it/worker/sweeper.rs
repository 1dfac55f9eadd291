//! Expiry of many holds, on several pods.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use inventory_worker::{
    domain::{
        OrderLine, PoolId, Reservation, ReservationId, ReservationStatus, SeatState, Timestamp,
    },
    ports::{Clock as _, Record, store::EXPIRY_SHARDS},
    sweeper,
};
use jiff::SignedDuration;
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use super::fixture::{Fault, Running, Seen, World, until};

const PODS: usize = 4;
const HOLDS: usize = 2_000;

/// The holds end within the minute after this one.
const FIRST_END_S: usize = 60;

/// A release is late if it happens more than this after the end of its hold and the margin.
const LATE: Duration = Duration::from_secs(5);

/// Holds of one seat each, which end within a minute.
async fn world_with_holds() -> World {
    let mut world = World::new();
    world.with_seats((0..HOLDS).map(|n| format!("A-{n}"))).await;
    for n in 0..HOLDS {
        let seconds = FIRST_END_S + n % 60;
        let data = json!({"user_id": "u", "seats": [format!("A-{n}")], "hold_seconds": seconds});
        world.post_as(&format!("r-{n}"), &format!("event-1/{}", n % 50), "reserve", data);
    }
    world.settle().await;
    // Typical latencies on AWS.
    for (call, ms) in [("load", 5), ("commit", 12), ("publish", 12), ("delete", 8), ("send", 10)] {
        world.faults.slow_down(call, Duration::from_millis(ms));
    }
    world
}

/// A worker and a sweeper per pod; returns the record of each sweeper's queries.
fn start_pods(world: &World) -> (Vec<Running>, Vec<Seen>) {
    let mut running = Vec::new();
    let mut seen = Vec::new();
    for _ in 0..PODS {
        running.push(world.start());
        let (sweeper, looked_at) = world.start_sweeper(Arc::clone(&world.clock) as _);
        running.push(sweeper);
        seen.push(looked_at);
    }
    (running, seen)
}

/// The time from each hold's end until its seat was free, at a resolution of 100 ms.
async fn releases(world: &World) -> Vec<Duration> {
    let ends: BTreeMap<ReservationId, Timestamp> = world.store.inspect(|tables| {
        tables.reservations.iter().map(|(id, it)| (*id, it.expires_at)).collect()
    });
    let mut held: BTreeMap<_, ReservationId> = world.store.inspect(|tables| {
        let holding = |(key, seat): (&_, &inventory_worker::domain::Seat)| {
            Some((Clone::clone(key), seat.occupancy.reservation_id()?))
        };
        tables.seats.iter().filter_map(holding).collect()
    });
    assert_eq!(held.len(), HOLDS);
    let mut lags = Vec::new();
    until(|| {
        let now = world.clock.now();
        world.store.inspect(|tables| {
            held.retain(|key: &inventory_worker::domain::SeatKey, id| {
                let is_free = tables.seats[key].occupancy == SeatState::Available;
                if is_free {
                    let lag = now.duration_since(ends[id]);
                    lags.push(Duration::try_from(lag).expect("never before its end"));
                }
                !is_free
            });
        });
        held.is_empty()
    })
    .await;
    lags.sort();
    lags
}

/// Asserts that every hold expired once.
fn each_expired_once(world: &World) {
    let outcomes = world.outcomes();
    let expired = outcomes.iter().filter(|(_, kind)| kind == "inventory.expired.v1").count();
    assert_eq!(expired, HOLDS);
    let tables = world.store.snapshot();
    assert!(tables.seats.values().all(|seat| seat.version == 3), "created, held, released");
    assert_eq!(world.dead_letters.depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn two_thousand_holds_that_end_within_a_minute_are_free_within_seconds() {
    let world = world_with_holds().await;
    let (pods, _) = start_pods(&world);
    let lags = releases(&world).await;
    let p99 = lags[lags.len() * 99 / 100];
    let bound = sweeper::Settings::default().margin + LATE;
    println!("p50 {:?}, p99 {p99:?}, longest {:?}", lags[lags.len() / 2], lags.last().unwrap());
    assert!(*lags.last().unwrap() <= bound, "p99 {p99:?}, longest {:?}", lags.last());
    world.until_empty().await;
    for pod in pods {
        pod.stop().await;
    }
    each_expired_once(&world);
}

/// Sweepers alone, for that long after their first few seconds; returns the time between looks at
/// each shard, whoever looked, and the looks of each pod.
async fn gaps_between_looks(world: &World, lasts: Duration) -> (Vec<Duration>, Vec<usize>) {
    // Otherwise the first pod would have asked for every lock before the second asks for one.
    world.faults.slow_down("acquire", Duration::from_millis(1));
    let (mut pods, mut seen) = (Vec::new(), Vec::new());
    for _ in 0..PODS {
        let (sweeper, looked_at) = world.start_sweeper(Arc::clone(&world.clock) as _);
        pods.push(sweeper);
        seen.push(looked_at);
    }
    tokio::time::sleep(Duration::from_secs(30)).await;
    let begins = Instant::now();
    tokio::time::sleep(lasts).await;
    let mut looks: BTreeMap<u32, Vec<Instant>> = BTreeMap::new();
    let mut of_pods = Vec::new();
    for looked_at in &seen {
        let mut looked_at = looked_at.sweeps.lock().unwrap().clone();
        looked_at.retain(|(_, at)| *at >= begins);
        of_pods.push(looked_at.len());
        for (shard, at) in looked_at {
            looks.entry(shard).or_default().push(at);
        }
    }
    for pod in pods {
        pod.stop().await;
    }
    assert_eq!(looks.len(), usize::try_from(EXPIRY_SHARDS).unwrap());
    let mut gaps = Vec::new();
    for mut times in looks.into_values() {
        times.sort();
        gaps.extend(times.windows(2).map(|pair| pair[1] - pair[0]));
    }
    gaps.sort();
    (gaps, of_pods)
}

#[tokio::test(start_paused = true)]
async fn a_shard_with_ended_holds_is_swept_by_one_pod_a_tick_and_by_some_pod_every_tick() {
    for has_leases in [false, true] {
        let mut world = World::new();
        world.has_leases = has_leases;
        for shard in 0..u128::from(EXPIRY_SHARDS) {
            insert_stuck(&world, shard, 1, SignedDuration::from_secs(3));
        }
        let (gaps, looks) = gaps_between_looks(&world, Duration::from_secs(25)).await;
        let interval = sweeper::Settings::default().interval;
        assert!(gaps[0] >= interval.mul_f64(0.9), "leases: {has_leases}, {:?}", gaps[0]);
        assert!(gaps[gaps.len() - 1] <= interval * 2, "leases: {has_leases}, {gaps:?}");
        assert!(looks.iter().all(|looks| *looks > 16 * 25 / PODS / 4), "a share each: {looks:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_without_holds_is_looked_at_by_one_pod_after_its_rest() {
    for has_leases in [false, true] {
        let mut world = World::new();
        world.has_leases = has_leases;
        let (gaps, looks) = gaps_between_looks(&world, Duration::from_secs(300)).await;
        let sweeper::Settings { interval, idle, .. } = sweeper::Settings::default();
        assert!(gaps[0] >= idle.mul_f64(0.9), "leases: {has_leases}, {:?}", gaps[0]);
        assert!(gaps[gaps.len() - 1] <= idle + interval, "leases: {has_leases}, {gaps:?}");
        assert!(looks.iter().all(|looks| *looks > 0), "a share each: {looks:?}");
    }
}

/// How late one hold of these seconds is released, on two pods that have been idle.
async fn release_after_rest(world: &mut World, hold_seconds: u32) -> Duration {
    let worker = world.start();
    world.with_seats(["A-1".to_owned()]).await;
    let (one, _) = world.start_sweeper(Arc::clone(&world.clock) as _);
    let (other, _) = world.start_sweeper(Arc::clone(&world.clock) as _);
    tokio::time::sleep(Duration::from_millis(60_100)).await;
    let data = json!({"user_id": "u", "seats": ["A-1"], "hold_seconds": hold_seconds});
    world.post("reserve", data);
    until(|| !is_free(world)).await;
    until(|| is_free(world)).await;
    let hold = world.store.snapshot().reservations.into_values().next().unwrap();
    let lag = hold.ended_at.unwrap().duration_since(hold.expires_at);
    world.until_empty().await;
    for running in [one, other, worker] {
        running.stop().await;
    }
    Duration::try_from(lag).unwrap() - world.sweeping.margin
}

#[tokio::test(start_paused = true)]
async fn a_hold_of_any_length_is_released_in_time_after_a_rest() {
    for has_leases in [false, true] {
        for (hold_seconds, bound) in [(1, LATE), (2, LATE), (7, LATE / 2), (33, LATE / 2)] {
            let mut world = World::new();
            world.has_leases = has_leases;
            let lag = release_after_rest(&mut world, hold_seconds).await;
            assert!(lag <= bound, "leases: {has_leases}, {hold_seconds} s: {lag:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_longer_rest_delays_no_hold_that_is_longer() {
    let mut world = World::new();
    world.sweeping.idle = Duration::from_secs(60);
    let lag = release_after_rest(&mut world, 90).await;
    assert!(lag <= LATE / 2, "{lag:?}");
}

#[tokio::test(start_paused = true)]
async fn holds_of_a_pod_that_died_are_released_after_its_lease() {
    let mut world = World::new();
    world.has_leases = true;
    world.with_seats((0..64).map(|n| format!("A-{n}"))).await;
    for n in 0..64 {
        let seats = [format!("A-{n}")];
        world.post("reserve", json!({"user_id": "u", "seats": seats, "hold_seconds": 300}));
    }
    world.settle().await;
    let ends = world.store.snapshot().reservations.into_values().map(|it| it.expires_at).min();
    let worker = world.start();
    let (dies, _) = world.start_sweeper(Arc::clone(&world.clock) as _);
    let (lives, _) = world.start_sweeper(Arc::clone(&world.clock) as _);
    until(|| world.clock.now() > ends.unwrap() - SignedDuration::from_secs(5)).await;
    dies.crash().await;
    until(|| is_free(&world)).await;
    let ended = world.store.snapshot().reservations.into_values();
    let lag = ended.map(|it| it.ended_at.unwrap().duration_since(it.expires_at)).max().unwrap();
    assert!((10..=40).contains(&lag.as_secs()), "after the lease of 30 s: {lag}");
    world.until_empty().await;
    lives.stop().await;
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_locks_every_pod_sweeps_and_everything_expires_once() {
    every_pod_sweeps_without("acquire", false).await;
}

#[tokio::test(start_paused = true)]
async fn without_leases_every_pod_sweeps_and_everything_expires_once() {
    every_pod_sweeps_without("leases", true).await;
}

async fn every_pod_sweeps_without(call: &'static str, has_leases: bool) {
    let mut world = world_with_holds().await;
    world.has_leases = has_leases;
    world.faults.take_down(call);
    world.faults.take_down("release");
    let (pods, seen) = start_pods(&world);
    releases(&world).await;
    world.until_empty().await;
    for pod in pods {
        pod.stop().await;
    }
    each_expired_once(&world);
    for looked_at in seen {
        assert!(looked_at.sweeps.lock().unwrap().len() > 16 * 60, "every pod swept every shard");
    }
}

#[tokio::test(start_paused = true)]
async fn an_expiry_that_found_a_slow_clock_is_posted_again() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned()]).await;
    world.post("reserve", json!({"user_id": "u", "seats": ["A-1"], "hold_seconds": 30}));
    world.settle().await;
    // The sweeper's clock is further ahead of the worker's than the margin allows for.
    let (sweeper, _) = world.start_sweeper(Arc::new(world.clock.skewed(7_000)));
    let worker = world.start();
    until(|| is_free(&world)).await;
    world.until_empty().await;
    sweeper.stop().await;
    worker.stop().await;
    let kinds: Vec<String> = world.outcomes().into_iter().skip(2).map(|(_, kind)| kind).collect();
    assert_eq!(kinds, ["NOT_YET_EXPIRED", "inventory.expired.v1"]);
    let ended = world.store.snapshot().reservations.into_values().next().unwrap();
    let lag = ended.ended_at.unwrap().duration_since(ended.expires_at);
    assert!(lag.as_secs() <= 10, "posted again within ten seconds: {lag}");
}

#[tokio::test(start_paused = true)]
async fn nobody_but_a_worker_takes_the_identity_of_an_expiry() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned()]).await;
    world.post("reserve", json!({"user_id": "u", "seats": ["A-1"], "hold_seconds": 300}));
    world.settle().await;
    let hold = world.store.snapshot().reservations.into_values().next().unwrap();
    let id = hold.reservation_id;
    // The expiry's current name, and the name it would have had before.
    for name in [format!("expire:{id}:{}", hold.expires_at.as_second()), format!("expire:{id}")] {
        let body = json!({
            "specversion": "1.0", "id": name, "source": sweeper::SOURCE,
            "type": "inventory.cancel.v1",
            "data": {"event_id": 1, "reservation_id": id, "user_id": "another"},
        });
        world.post_raw("squatter", &body.to_string());
    }
    world.settle().await;
    let reported: Vec<String> =
        world.outcomes().into_iter().skip(2).map(|(_, kind)| kind).collect();
    assert_eq!(reported, ["INVALID_MESSAGE", "INVALID_MESSAGE"]);
    let message = world.results()[2]["data"]["rejection"]["message"].to_string();
    assert!(message.contains("source: expected"), "names the field: {message}");
    assert!(message.contains("reserved to workers"), "says why: {message}");

    let worker = world.start();
    let (sweeper, _) = world.start_sweeper(Arc::clone(&world.clock) as _);
    until(|| is_free(&world)).await;
    let lag = world.clock.now().duration_since(hold.expires_at);
    assert!(lag.as_secs() <= 5, "released within seconds: {lag}");
    sweeper.stop().await;
    worker.stop().await;
}

fn is_free(world: &World) -> bool {
    world
        .store
        .inspect(|tables| tables.seats.values().all(|seat| seat.occupancy == SeatState::Available))
}

/// A shard that the tests fill.
const SHARD: u128 = 3;

/// The shard's reservation of that number.
fn id(number: u128) -> ReservationId {
    id_in(SHARD, number)
}

fn id_in(shard: u128, number: u128) -> ReservationId {
    let shards = u128::from(EXPIRY_SHARDS);
    ReservationId(Uuid::from_u128(
        0x9d1c_0000_0000_4000_8000_0000_0000_0000 | (shard + shards * number),
    ))
}

/// Holds of one shard that ended that long ago and cannot be expired: their line is missing.
fn insert_stuck(world: &World, shard: u128, count: u128, ended: SignedDuration) {
    let expires_at = world.clock.now() - ended;
    let stuck = |number| {
        Record::Reservation(Reservation {
            reservation_id: id_in(shard, number),
            pool: PoolId::Event(1),
            source: "/services/booking".parse().unwrap(),
            user_id: "u".parse().unwrap(),
            status: ReservationStatus::Active,
            version: 1,
            seats: Vec::new(),
            lines: vec![OrderLine { sku: "gone".parse().unwrap(), quantity: 1 }],
            booking_id: None,
            goods: None,
            fulfilled_at: None,
            created_at: expires_at - SignedDuration::from_secs(600),
            expires_at,
            ended_at: None,
        })
    };
    world.store.insert((0..count).map(stuck));
}

fn dead_letters(world: &World) -> usize {
    world.dead_letters.depth() + world.expiries_dead_letters.depth()
}

async fn the_next_hold_is_released_beside(stuck: u32) {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned()]).await;
    insert_stuck(&world, SHARD, u128::from(stuck), SignedDuration::from_hours(1));
    let worker = world.start();
    let (sweeper, _) = world.start_sweeper(Arc::clone(&world.clock) as _);
    until(|| world.figure("inventory_holds_stuck") >= f64::from(stuck)).await;
    let data = json!({
        "user_id": "u", "seats": ["A-1"], "hold_seconds": 60, "reservation_id": id(5_000)
    });
    world.post("reserve", data);
    until(|| !is_free(&world)).await;
    until(|| is_free(&world)).await;
    let hold = world.store.inspect(|tables| tables.reservations[&id(5_000)].clone());
    let lag = hold.ended_at.unwrap().duration_since(hold.expires_at);
    assert!(lag.as_secs() <= 5, "beside {stuck} stuck holds: {lag}");
    world.until_empty().await;
    assert_eq!(dead_letters(&world), 0);
    let deferred = world.figure("inventory_expirations_deferred_total{reason=\"poison\"}");
    assert!(deferred >= f64::from(stuck), "each was tried: {deferred}");
    sweeper.stop().await;
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_holds_that_cannot_be_expired_delay_no_other() {
    the_next_hold_is_released_beside(1_000).await;
}

#[tokio::test(start_paused = true)]
async fn three_thousand_holds_that_cannot_be_expired_delay_no_other() {
    the_next_hold_is_released_beside(3_000).await;
}

#[tokio::test(start_paused = true)]
async fn a_stuck_hold_costs_some_fifteen_commands_a_day_and_no_dead_letter() {
    let mut world = World::new();
    world.sweeping.interval = Duration::from_secs(5);
    insert_stuck(&world, SHARD, 1, SignedDuration::ZERO);
    let worker = world.start();
    let (sweeper, _) = world.start_sweeper(Arc::clone(&world.clock) as _);
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    world.until_empty().await;
    let posted = world.figure("inventory_expirations_enqueued_total");
    assert!((13.0..=16.0).contains(&posted), "{posted} expiries a day");
    assert_eq!(dead_letters(&world), 0);
    assert_eq!(world.figure("inventory_holds_stuck"), 1.0);
    // It counts in the lag while it may yet be released, and no longer.
    let looks = world.figure("inventory_sweeper_lag_seconds_count");
    let without = world.figure("inventory_sweeper_lag_seconds_bucket{le=\"0\"}");
    let with = looks - without;
    assert!((100.0..=130.0).contains(&with), "{with} of {looks} looks in ten minutes");
    sweeper.stop().await;
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_post_that_fails_is_repeated() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned()]).await;
    world.post("reserve", json!({"user_id": "u", "seats": ["A-1"], "hold_seconds": 60}));
    world.settle().await;
    let worker = world.start();
    let (sweeper, _) = world.start_sweeper(Arc::clone(&world.clock) as _);
    world.faults.next("send", (0..3).map(|_| Some(Fault::Fails)));
    until(|| is_free(&world)).await;
    let hold = world.store.snapshot().reservations.into_values().next().unwrap();
    let lag = hold.ended_at.unwrap().duration_since(hold.expires_at);
    assert!((4..=8).contains(&lag.as_secs()), "three ticks later: {lag}");
    world.until_empty().await;
    sweeper.stop().await;
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_expiry_that_rests_on_a_damaged_item_is_dropped_and_posted_again() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned()]).await;
    world.post("reserve", json!({"user_id": "u", "seats": ["A-1"], "hold_seconds": 60}));
    world.settle().await;
    world.faults.damage("A-1");
    let worker = world.start();
    let (sweeper, _) = world.start_sweeper(Arc::clone(&world.clock) as _);
    let deferred = "inventory_expirations_deferred_total{reason=\"unreadable\"}";
    // Until it counts as stuck, and a sweep has found it.
    tokio::time::sleep(Duration::from_secs(60 + 600 + 120)).await;
    world.until_empty().await;
    assert_eq!(world.figure("inventory_holds_stuck"), 1.0);
    assert!((6.0..=9.0).contains(&world.figure(deferred)), "{}", world.figure(deferred));
    assert_eq!(dead_letters(&world), 0);
    world.faults.clear();
    until(|| is_free(&world)).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(world.figure("inventory_holds_stuck"), 0.0);
    sweeper.stop().await;
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_expiry_with_an_outcome_is_not_dropped_before_it_is_told() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned()]).await;
    world.post("reserve", json!({"user_id": "u", "seats": ["A-1"], "hold_seconds": 60}));
    world.settle().await;
    world.faults.mute("inventory.expired.v1");
    let worker = world.start();
    let (sweeper, _) = world.start_sweeper(Arc::clone(&world.clock) as _);
    until(|| is_free(&world)).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    world.faults.clear();
    world.until_empty().await;
    assert_eq!(world.outcomes().last().unwrap().1, "inventory.expired.v1");
    sweeper.stop().await;
    worker.stop().await;
}
