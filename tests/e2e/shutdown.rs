//! SIGTERM under load.

use std::{collections::BTreeMap, time::Duration};

use inventory_worker::ports::Table;

use crate::{
    messages::{reserve_seats, restock_seats, seat_numbers},
    process::Worker,
    proxy::{Mode, Proxy},
    stack::Stack,
    wait::until,
    world::{EVENT, SHORT_LEASES, World},
};

on_every_stack! {
    a_worker_told_to_stop_under_load_ends_well_and_loses_nothing
    a_worker_that_is_draining_says_so_and_finishes_what_it_began
    a_worker_that_cannot_finish_ends_with_its_grace_and_loses_nothing
}

const GROUPS: usize = 12;
const PER_GROUP: usize = 30;
/// The default grace, plus a margin for the process itself.
const GRACE: Duration = Duration::from_secs(27);

async fn a_worker_told_to_stop_under_load_ends_well_and_loses_nothing(stack: Stack) {
    let mut world = World::new(stack).await;
    world.post("event", &[restock_seats("stock", EVENT, &seat_numbers(GROUPS))]).await;
    let mut ids = Vec::new();
    for group in 0..GROUPS {
        let seat = format!("A-{}", group + 1);
        let messages: Vec<_> = (0..PER_GROUP)
            .map(|number| {
                let id = format!("{group}-{number:02}");
                let message = reserve_seats(&id, EVENT, &[&seat]);
                ids.push(id);
                message
            })
            .collect();
        world.post(&format!("event/{group}"), &messages).await;
    }
    let mut first = world.worker(&[]).await;
    world.results.until("some results", |seen| seen.len() > 20).await;
    first.terminate().await;
    assert_eq!(first.ended(GRACE).await, 0);
    assert!(first.logged("drained").is_some());
    let done = decided(&world).await;
    assert!(done < ids.len() + 1, "told too late: everything was decided");

    let second = world.worker(&[]).await;
    world.results.of(&ids).await;
    world.drained().await;
    assert_eq!(
        second.figure("inventory_duplicate_commands_total").await,
        0.0,
        "all that was decided was deleted"
    );
    second.stop().await;
    let mut by_group: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for result in world.results.seen().iter().filter(|one| one.command() != "stock") {
        by_group.entry(&result.group).or_default().push(result.command());
    }
    assert_eq!(by_group.len(), GROUPS);
    for (group, commands) in by_group {
        assert_eq!(commands.len(), PER_GROUP, "{group}");
        assert!(commands.is_sorted(), "{group}: {commands:?}");
    }
    world.results.assert_each_once();
    world.dead_letters(0).await;
    world.audit().await;
}

/// The number of commands with an outcome.
async fn decided(world: &World) -> usize {
    world.scan(Table::Ledger).await.len()
}

const COMMANDS: [&str; 2] = ["stock", "r"];

/// A worker behind the proxy that has decided a batch and cannot publish it.
async fn stuck(world: &World, proxy: &Proxy, variables: &[(&str, &str)]) -> Worker {
    proxy.set(Mode::Hold("Action=PublishBatch"));
    let stock = restock_seats("stock", EVENT, &seat_numbers(1));
    world.post("event", &[stock, reserve_seats("r", EVENT, &["A-1"])]).await;
    let behind = [variables, &[("AWS_ENDPOINT_URL", proxy.url())]].concat();
    let worker = world.worker(&behind).await;
    proxy.held().await;
    worker
}

async fn a_worker_that_is_draining_says_so_and_finishes_what_it_began(stack: Stack) {
    let mut world = World::new(stack).await;
    let proxy = Proxy::of(&world.stack.endpoint).await;
    let mut worker = stuck(&world, &proxy, &[]).await;
    worker.terminate().await;
    let report = until("the worker says that it drains", async || {
        let answer = worker.get("/readyz").await?;
        (answer.status == 503).then(|| answer.json()).filter(|it| it["status"] == "draining")
    })
    .await;
    assert_eq!(report["parts"]["store"], "ready", "{report}");
    assert_eq!(worker.get("/livez").await.unwrap().status, 200);
    // A command sent now is left to the next worker.
    world.post("late", &[reserve_seats("late", EVENT, &["A-1"])]).await;
    proxy.set(Mode::Pass);
    assert_eq!(worker.ended(GRACE).await, 0);
    let results = world.results.of(&COMMANDS).await;
    assert_eq!(results.iter().map(|one| one.word()).collect::<Vec<_>>(), ["restocked", "reserved"]);
    assert_eq!(decided(&world).await, 2, "nothing more was begun");

    let next = world.worker(&[]).await;
    assert_eq!(world.results.one("late").await.word(), "SEATS_UNAVAILABLE");
    world.drained().await;
    assert_eq!(
        next.figure("inventory_duplicate_commands_total").await,
        0.0,
        "what was published is deleted"
    );
    next.stop().await;
    world.results.assert_each_once();
    world.audit().await;
}

async fn a_worker_that_cannot_finish_ends_with_its_grace_and_loses_nothing(stack: Stack) {
    let mut world = World::new(stack).await;
    let proxy = Proxy::of(&world.stack.endpoint).await;
    let brief = [
        &SHORT_LEASES[..],
        &[
            ("INVENTORY_HANDLER_TIMEOUT_SECONDS", "2"),
            ("INVENTORY_FLUSH_SECONDS", "1"),
            ("INVENTORY_GRACE_SECONDS", "4"),
        ],
    ]
    .concat();
    let mut worker = stuck(&world, &proxy, &brief).await;
    worker.terminate().await;
    // A container gets five seconds beyond the grace before it is killed.
    assert_eq!(worker.ended(Duration::from_secs(4 + 5)).await, 0);

    let next = world.worker(&SHORT_LEASES).await;
    let results = world.results.of(&COMMANDS).await;
    assert_eq!(results.iter().map(|one| one.word()).collect::<Vec<_>>(), ["restocked", "reserved"]);
    world.drained().await;
    next.stop().await;
    world.results.assert_each_once();
    world.audit().await;
}
