//! Many groups compete for the same seats, on several workers.

use std::collections::BTreeSet;

use futures::future::join_all;
use inventory_worker::domain::ReservationStatus;
use serde_json::{Value, json};

use crate::{
    messages::{command, named, reserve_seats, restock_seats, seat_numbers},
    stack::Stack,
    world::{EVENT, World},
};

on_every_stack! {
    two_workers_in_contention_sell_each_seat_once
    two_workers_in_contention_without_locks_sell_each_seat_once
}

async fn two_workers_in_contention_sell_each_seat_once(stack: Stack) {
    let mut world = World::new(stack).await;
    sell(&mut world).await;
}

async fn two_workers_in_contention_without_locks_sell_each_seat_once(stack: Stack) {
    let mut world = World::new(stack).await;
    world.environment.remove("REDIS_URL");
    let conflicts = sell(&mut world).await;
    assert!(conflicts > 0.0, "they never met, so nothing was shown");
}

const SEATS: usize = 24;
const STANDING: u64 = 30;
const GROUPS: usize = 16;
const BUYERS_PER_GROUP: usize = 6;

/// The commands of a group's buyers: every other one wants two adjacent seats, which other groups
/// want too, and the others a standing place, of which there are too few.
fn buyers(group: usize) -> Vec<Value> {
    let seats = seat_numbers(SEATS);
    let buyer = |buyer: usize| {
        let id = format!("{group}-{buyer}");
        if buyer.is_multiple_of(2) {
            let first = (group * 5 + buyer * 7) % (SEATS - 1);
            return reserve_seats(&id, EVENT, &[&seats[first], &seats[first + 1]]);
        }
        let lines = named(&[("standing", 1)]);
        command("reserve", &id, json!({ "event_id": EVENT, "user_id": "u-1", "lines": lines }))
    };
    (0..BUYERS_PER_GROUP).map(buyer).collect()
}

/// Sells out with two workers, and returns the number of transaction conflicts.
async fn sell(world: &mut World) -> f64 {
    let mut stock = restock_seats("stock", EVENT, &seat_numbers(SEATS));
    stock["data"]["lines"] = json!(named(&[("standing", STANDING)]));
    stock["data"]["mode"] = json!("set");
    world.post("event", &[stock]).await;
    let (one, other) = tokio::join!(world.worker(&[]), world.worker(&[]));
    world.results.one("stock").await;
    let groups: Vec<Vec<Value>> = (0..GROUPS).map(buyers).collect();
    // All at once.
    let posts = groups.iter().enumerate().map(|(number, messages)| {
        let (world, group) = (&*world, format!("event/{number}"));
        async move { world.post(&group, messages).await }
    });
    join_all(posts).await;
    let ids: Vec<&str> =
        groups.iter().flatten().map(|message| message["id"].as_str().unwrap()).collect();
    let results = world.results.of(&ids).await;
    let mut sold = BTreeSet::new();
    let mut standing = 0;
    for result in results {
        let data = &result.body["data"];
        match result.word() {
            "reserved" => {}
            "SEATS_UNAVAILABLE" => continue,
            "INSUFFICIENT_STOCK" => {
                assert_eq!(data["rejection"]["lines"][0]["available"], 0);
                continue;
            }
            other => panic!("{}: {other}", result.command()),
        }
        for seat in data["reservation"]["seats"].as_array().unwrap() {
            let seat = seat.as_str().unwrap().to_owned();
            assert!(sold.insert(seat.clone()), "{seat} was sold twice");
        }
        standing += data["reservation"]["lines"].as_array().unwrap().len() as u64;
    }
    assert_eq!(standing, STANDING, "as many as there were, for more were wanted");
    assert!(sold.len() >= SEATS / 2, "{sold:?}");
    let held: BTreeSet<String> = (world.reservations().await.into_iter())
        .filter(|reservation| reservation.status == ReservationStatus::Active)
        .flat_map(|reservation| reservation.seats)
        .map(|seat| seat.to_string())
        .collect();
    assert_eq!(held, sold);
    world.drained().await;
    let mut conflicts = 0.0;
    for worker in [one, other] {
        let batches = worker.figure("inventory_batch_size_count").await;
        assert!(batches > 0.0, "both workers had a part in it");
        conflicts += worker.figure("inventory_version_conflicts_total").await;
        worker.stop().await;
    }
    world.results.assert_each_once();
    world.dead_letters(0).await;
    world.audit().await;
    conflicts
}
