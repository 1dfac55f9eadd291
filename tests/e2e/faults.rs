//! Real faults, by a seeded schedule, while many groups compete for the same seats and lines:
//! workers are killed, frozen and stopped, Redis and DynamoDB are killed, frozen and restarted,
//! links are cut, hung, slowed and made to lose answers. In the end every command has one outcome,
//! every result matches the ledger, nothing was sold twice and nothing was lost.
//!
//! `FAULTS_SECONDS` is the duration of faults (default 45), `FAULTS_SEED` their seed (default 1).
//! The schedule follows from the seed; its effects do not, as the processes are real.

mod chaos;
mod load;
pub mod servers;
mod verdict;

use std::{future::Future, time::Duration};

use inventory_worker::{
    domain::{Reservation, ReservationStatus},
    ports::LedgerKey,
};
use tokio::time::Instant;

use self::{chaos::Chaos, load::Load, servers::Server};
use crate::{
    messages::key,
    stack::Stack,
    world::{SHORT_LEASES, World},
};

on_every_stack! {
    whatever_fails_every_command_has_one_outcome_and_nothing_is_sold_twice
}

/// The most commands that await their results, so that the queues keep up.
const WAITING_MAX: usize = 250;

/// A receive of results returns at most ten.
const BATCHES_A_RECEIVE: usize = 4;

/// When no command gets its first result for that long, something is stuck. The longest pause after
/// an outage is 30 s, and a message's lease may have to expire first.
const PATIENCE: Duration = Duration::from_secs(90);

async fn whatever_fails_every_command_has_one_outcome_and_nothing_is_sold_twice(stack: Stack) {
    let time = Duration::from_secs(number("FAULTS_SECONDS", 45));
    let seed = number("FAULTS_SEED", 1);
    let folder = tempfile::tempdir().unwrap();
    let dynamodb = Server::dynamodb(&folder.path().join("tables")).await;
    let redis = Server::redis().await;
    let broker = stack.broker;
    let stack = stack.with_dynamodb(&format!("http://{}", dynamodb.address));
    let mut world = World::new(stack).await;
    let environment = world.with(&[&SHORT_LEASES[..], &SWEEPER].concat());
    let mut load = Load::new(seed);
    let mut chaos = Chaos::new(seed, &world.stack, &environment, redis, dynamodb).await;
    for (group, texts) in load.stock() {
        world.post_entries(&group, texts).await;
    }
    world.results.of(&["stock-seats", "stock-floor", "stock-store"]).await;

    both(chaos.run(time), put_load(&mut world, &mut load, time)).await;
    let begun = Instant::now();
    settle(&mut world, &load, &mut chaos).await;
    let settled_after = begun.elapsed();
    let faults = chaos.faults.clone();
    chaos.end().await;
    let verdict = verdict::judge(&world, &load).await;
    world.audit().await;

    println!("{broker:?}, seed {seed}: {} s of faults", time.as_secs());
    println!(
        "  {} commands, settled {:.1} s after the last fault",
        load.commands.len(),
        settled_after.as_secs_f64()
    );
    println!(
        "  {} messages repeated a command, {} could not be read",
        load.repeated,
        load.unreadable.len()
    );
    println!("  {} results came more than once", verdict.repeated_results);
    println!("  faults: {}", faults.values().sum::<usize>());
    for (kind, count) in &faults {
        println!("    {count:>5}  {kind}");
    }
    println!("  outcomes:");
    for (word, count) in &verdict.outcomes {
        println!("    {count:>5}  {word}");
    }
}

const SWEEPER: [(&str, &str); 1] = [("INVENTORY_SWEEPER_MARGIN_SECONDS", "0.5")];

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name}={text:?} is no whole number"))
    })
}

async fn both(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    tokio::join!(one, other);
}

/// Posts and receives for that long.
async fn put_load(world: &mut World, load: &mut Load, time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        for _ in 0..BATCHES_A_RECEIVE {
            if verdict::missing(load, world).len() >= WAITING_MAX {
                break;
            }
            let (group, texts) = load.batch();
            world.post_entries(&group, texts).await;
        }
        world.results.receive().await;
    }
}

/// Waits until every posted command has its result, and every short hold has ended.
async fn settle(world: &mut World, load: &Load, chaos: &mut Chaos) {
    let mut least = usize::MAX;
    let mut deadline = Instant::now() + PATIENCE;
    loop {
        chaos.supervise().await;
        let seen = world.results.seen().len();
        world.results.receive().await;
        let missing = verdict::missing(load, world);
        if missing.len() < least {
            least = missing.len();
            deadline = Instant::now() + PATIENCE;
        }
        if missing.is_empty() && !has_short_holds(world).await && world.is_drained().await {
            break;
        }
        let is_late = Instant::now() >= deadline && world.results.seen().len() == seen;
        if is_late || Instant::now() >= deadline + PATIENCE {
            for id in &missing {
                let record = world.ledger(LedgerKey::Command(key(id))).await;
                println!("without result: {id}, in the ledger: {record:#?}");
            }
            let (visible, leased) = world.queued().await;
            panic!(
                "stuck; messages visible: {visible}, leased: {leased}; without result: {missing:?}"
            );
        }
    }
    // The last published results may still be in transit.
    let deadline = Instant::now() + PATIENCE;
    loop {
        world.results.receive().await;
        let untold = verdict::untold(world).await;
        if untold.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "in the ledger and not published: {untold:?}");
    }
}

/// Whether a hold is ACTIVE that has expired, or will before this test ends.
async fn has_short_holds(world: &World) -> bool {
    let is_short = |one: &Reservation| {
        let held_for = one.expires_at.duration_since(one.created_at);
        one.status == ReservationStatus::Active && held_for.as_secs() <= load::SHORT_HOLD_S_MAX
    };
    world.reservations().await.iter().any(is_short)
}
