//! Many groups after the same seats, on several workers.

use std::collections::{BTreeMap, BTreeSet};

use inventory_worker::domain::ReservationStatus;

use crate::{
    messages::{reserve_seats, restock_seats, seat_numbers},
    stack::Stack,
    world::{EVENT, World},
};

on_every_stack! {
    two_workers_in_contention_sell_each_seat_once
    two_workers_in_contention_without_locks_sell_each_seat_once
}

async fn two_workers_in_contention_sell_each_seat_once(stack: Stack) {
    sell_each_seat_once(World::new(stack).await).await;
}

async fn two_workers_in_contention_without_locks_sell_each_seat_once(stack: Stack) {
    let mut world = World::new(stack).await;
    world.environment.remove("REDIS_URL");
    sell_each_seat_once(world).await;
}

const SEATS: usize = 24;
const GROUPS: usize = 16;
const BUYERS_PER_GROUP: usize = 6;

/// Every buyer wants two seats side by side; groups want the same ones in different orders.
async fn sell_each_seat_once(mut world: World) {
    let seats = seat_numbers(SEATS);
    world.post("event", &[restock_seats("stock", EVENT, &seats)]).await;
    let workers = [world.worker(&[]).await, world.worker(&[]).await];
    world.results.one("stock").await;
    let mut ids = Vec::new();
    for group in 0..GROUPS {
        let messages: Vec<_> = (0..BUYERS_PER_GROUP)
            .map(|buyer| {
                let first = (group * 5 + buyer * 7) % (SEATS - 1);
                let id = format!("{group}-{buyer}");
                let message = reserve_seats(&id, EVENT, &[&seats[first], &seats[first + 1]]);
                ids.push(id);
                message
            })
            .collect();
        world.post(&format!("event/{group}"), &messages).await;
    }
    let results = world.results.of(&ids).await;
    let mut sold = BTreeSet::new();
    let mut winners = 0;
    for result in results {
        if result.word() == "SEATS_UNAVAILABLE" {
            continue;
        }
        assert_eq!(result.word(), "reserved");
        winners += 1;
        for seat in result.body["data"]["reservation"]["seats"].as_array().unwrap() {
            let seat = seat.as_str().unwrap().to_owned();
            assert!(sold.insert(seat.clone()), "{seat} was sold twice");
        }
    }
    assert!((SEATS / 3..=SEATS / 2).contains(&winners), "{winners} pairs of {SEATS} seats");
    let held: BTreeMap<String, usize> = (world.reservations().await.into_iter())
        .filter(|reservation| reservation.status == ReservationStatus::Active)
        .flat_map(|reservation| reservation.seats)
        .map(|seat| (seat.to_string(), 1))
        .collect();
    assert_eq!(held.into_keys().collect::<BTreeSet<_>>(), sold);
    world.drained().await;
    for worker in workers {
        let decided = worker.figure("inventory_batch_size_count").await;
        assert!(decided > 0.0, "both workers had a part in it");
        println!("conflicts: {}", worker.figure("inventory_version_conflicts_total").await);
        worker.stop().await;
    }
    world.results.assert_each_once();
    world.audit().await;
}
