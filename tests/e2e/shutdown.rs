//! SIGTERM in the middle of load.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    messages::{reserve_seats, restock_seats, seat_numbers},
    stack::Stack,
    world::{EVENT, World},
};

on_every_stack! {
    a_worker_told_to_stop_under_load_ends_well_and_loses_nothing
}

const GROUPS: usize = 12;
const PER_GROUP: usize = 30;
/// The default, and a little for the process itself.
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
    let done = replayable(&world).await;
    assert!(done < ids.len() + 1, "told too late: everything was decided");

    let second = world.worker(&[]).await;
    world.results.of(&ids).await;
    world.drained().await;
    assert_eq!(
        second.figure("inventory_replays_total").await,
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

/// How many commands have an outcome.
async fn replayable(world: &World) -> usize {
    world.scan(inventory_worker::ports::Table::Ledger).await.len()
}
