//! Faults of the whole world, as opposed to the calls of one worker.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::super::{
    fault::Fault,
    profile::Class,
    rng::{happens, one_of, stream},
    topology::Port,
    trouble::{How, POOL},
    workload::crowd,
    world::World,
};
use inventory_worker::{
    domain::{PoolId, time::saturating_add},
    ports::{Clock, Record},
};

/// The interval between progress checks.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// When the long topic outage begins.
const OUTAGE_AFTER: Duration = Duration::from_secs(5);

/// Longer than any history.
const WHOLE_HISTORY: Duration = Duration::from_secs(86_400);

/// Starts the trouble of the history. Returns the minimum time to observe it.
pub(super) fn begin(world: &Arc<World>, records: &[Record]) -> Duration {
    if world.profile.class == Class::Mixed && world.profile.rate(Fault::Damaged) > 0 {
        damage_some(world, records);
    }
    let Some(trouble) = &world.profile.trouble else { return Duration::ZERO };
    let troubled = crowd::line_key(crowd::TROUBLED);
    let now = Instant::now();
    match (trouble.kind, trouble.how) {
        (Fault::StuckHolds, How::Missing) => world.troubles.miss_line(troubled),
        (Fault::StuckHolds, How::DamagedLine) | (Fault::Damaged, _) => {
            world.troubles.damage_line(troubled);
        }
        (Fault::StuckHolds, How::DamagedSeat) => {
            for record in records {
                if let Record::Seat(key, _) = record
                    && Some(key.event_id) == POOL.event_id()
                {
                    world.troubles.damage_seat(key.clone());
                }
            }
        }
        (Fault::ThrottledItems, how) => {
            world.troubles.throttle(POOL, now + WHOLE_HISTORY, how != How::Missing);
        }
        (Fault::LongOutage, _) => {
            let lasts = OUTAGE_AFTER + trouble.outage;
            let until = saturating_add(
                world.clock.now(),
                jiff::SignedDuration::try_from(lasts).unwrap_or_default(),
            );
            world.count_from(until);
            world.count(Some(Fault::LongOutage));
            tokio::spawn(away(Arc::clone(world), now + lasts));
            return lasts;
        }
        _ => {}
    }
    if matches!(trouble.kind, Fault::StuckHolds | Fault::Flood) {
        world.count(Some(trouble.kind));
    }
    Duration::ZERO
}

async fn away(world: Arc<World>, until: Instant) {
    tokio::time::sleep(OUTAGE_AFTER).await;
    world.trace(format_args!("the topic is away"));
    world.begin_outage(Port::Topic, until);
}

/// Makes some seats and lines unreadable until the fault-free phase.
fn damage_some(world: &World, records: &[Record]) {
    let rng = &mut stream(world.seed, "damage");
    for _ in 0..rng.usize(1..=3) {
        match one_of(rng, records) {
            Some(Record::Seat(key, _)) => world.troubles.damage_seat(key.clone()),
            Some(Record::Line(key, _)) => world.troubles.damage_line(key.clone()),
            _ => {}
        }
    }
}

/// Causes outages, throttled pools and a lock server that loses its locks.
pub(super) async fn chaos(world: Arc<World>) {
    let rng = &mut stream(world.seed, "chaos");
    let pools = &mut stream(world.seed, "throttled pools");
    loop {
        tokio::time::sleep(Duration::from_millis(rng.u64(100..=3_000))).await;
        if world.is_fault_free() {
            return;
        }
        if happens(rng, world.profile.rate(Fault::Outage).saturating_mul(3)) {
            let port = one_of(rng, &Port::ALL).copied().unwrap_or(Port::Store);
            let lasts = Duration::from_millis(rng.u64(200..=40_000));
            world.trace(format_args!("{port:?} is out for {} ms", lasts.as_millis()));
            world.begin_outage(port, Instant::now() + lasts);
            world.count(Some(Fault::Outage));
        }
        if happens(rng, world.profile.rate(Fault::LockLoss).saturating_mul(5)) {
            world.trace(format_args!("locks are forgotten"));
            world.locks.forget_all();
            world.count(Some(Fault::LockLoss));
        }
        let is_mixed = world.profile.class == Class::Mixed;
        if is_mixed && happens(pools, world.profile.rate(Fault::ThrottledItems).saturating_mul(3)) {
            let pool = PoolId::Event(pools.u64(1..=2));
            let lasts = Duration::from_millis(pools.u64(500..=30_000));
            world.trace(format_args!("{pool} is throttled for {} ms", lasts.as_millis()));
            world.troubles.throttle(pool, Instant::now() + lasts, pools.bool());
        }
    }
}

/// Checks at intervals that unaffected messages make progress.
pub(super) async fn watch(world: Arc<World>) {
    while world.violation().is_none() {
        tokio::time::sleep(POLL_INTERVAL).await;
        world.check_progress();
    }
}
