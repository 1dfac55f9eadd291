//! What a worker announces to gateways, and that nothing waits for it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use inventory_worker::{
    adapters::memory::MemoryHints,
    domain::{CommandKey, PoolId, SeatStatus},
    ports::{
        HintPublisher, HintSubscriber, HintSubscription, PortError,
        hints::{Frame, Hint, Received, Topic},
    },
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::fixture::{Fault, World, until};

const LONG: Duration = Duration::from_secs(3_600);

fn pool() -> PoolId {
    PoolId::Event(1)
}

/// A Redis that answers nothing.
struct Hangs;

#[async_trait]
impl HintPublisher for Hangs {
    async fn watched(&self) -> Result<BTreeSet<Topic>, PortError> {
        std::future::pending().await
    }

    async fn publish(&self, _: &Topic, _: &Frame) -> Result<(), PortError> {
        std::future::pending().await
    }
}

/// A Redis that says that the pool is watched, and takes no hints.
struct HangsLater;

#[async_trait]
impl HintPublisher for HangsLater {
    async fn watched(&self) -> Result<BTreeSet<Topic>, PortError> {
        Ok([Topic::Changes(pool()), Topic::Outcomes(pool())].into())
    }

    async fn publish(&self, _: &Topic, _: &Frame) -> Result<(), PortError> {
        std::future::pending().await
    }
}

async fn subscribed(hints: &MemoryHints, topic: Topic) -> Box<dyn HintSubscription> {
    hints.watch(std::slice::from_ref(&topic), LONG).await.unwrap();
    hints.subscribe(&topic).await.unwrap()
}

/// All hints that have come.
async fn all(subscription: &mut Box<dyn HintSubscription>) -> Vec<Hint> {
    let mut hints = Vec::new();
    while let Ok(Received::Frame(frame)) = timeout(Duration::ZERO, subscription.next()).await {
        hints.extend(frame.hints);
    }
    hints
}

/// Five hundred reserves, each of a group of its own. Returns how long they take.
async fn sale(hints: Option<Arc<dyn HintPublisher>>) -> Duration {
    let mut world = World::new();
    world.with_seats((0..500).map(|number| format!("A-{number}"))).await;
    world.hints = hints;
    let worker = world.start();
    sleep(Duration::from_secs(5)).await;
    let begun = Instant::now();
    for number in 0..500 {
        let data = json!({"user_id": "u", "seats": [format!("A-{number}")]});
        world.post_as(&format!("r-{number}"), &format!("g-{number}"), "reserve", data);
    }
    until(|| world.results().len() == 501).await;
    let took = begun.elapsed();
    worker.stop().await;
    took
}

#[tokio::test(start_paused = true)]
async fn a_redis_that_answers_nothing_delays_no_command() {
    let without = sale(None).await;
    assert_eq!(sale(Some(Arc::new(Hangs))).await, without);
    assert_eq!(sale(Some(Arc::new(HangsLater))).await, without);
}

#[tokio::test(start_paused = true)]
async fn what_commands_change_and_decide_is_announced() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned(), "A-2".to_owned()]).await;
    let hints = Arc::new(MemoryHints::new(world.clock.clone()));
    world.hints = Some(hints.clone());
    let mut changed = subscribed(&hints, Topic::Changes(pool())).await;
    let mut decided = subscribed(&hints, Topic::Outcomes(pool())).await;
    let mut results = subscribed(&hints, Topic::Results(pool())).await;
    let mut own = subscribed(&hints, Topic::ResultsOf("/test".parse().unwrap())).await;
    let mut others = subscribed(&hints, Topic::ResultsOf("/other".parse().unwrap())).await;
    let worker = world.start();
    sleep(Duration::from_secs(2)).await;
    all(&mut changed).await;
    world.post_as("r-1", "g", "reserve", json!({"user_id": "u", "seats": ["A-1"]}));
    world.post_as("r-2", "g", "reserve", json!({"user_id": "u", "seats": ["A-1"]}));
    until(|| world.results().len() == 3).await;
    sleep(Duration::from_millis(100)).await;
    let seats = all(&mut changed).await;
    assert!(
        matches!(&seats[..], [Hint::Seat(seat)]
            if seat.number.as_str() == "A-1" && seat.version == 2
            && seat.status == SeatStatus::Reserved && seat.until.is_some()),
        "{seats:?}"
    );
    let key = |id: &str| CommandKey { source: "/test".parse().unwrap(), id: id.parse().unwrap() };
    let both = [Hint::Decided(key("r-1")), Hint::Decided(key("r-2"))];
    assert_eq!(all(&mut decided).await, both);
    let bodies = |hints: Vec<Hint>| -> Vec<Value> {
        let bodies = hints.iter().map(|hint| match hint {
            Hint::Result(body) => serde_json::from_str(body).unwrap(),
            other => panic!("{other:?}"),
        });
        bodies.collect()
    };
    assert_eq!(bodies(all(&mut results).await), world.results()[1..]);
    assert_eq!(bodies(all(&mut own).await), world.results()[1..]);
    assert_eq!(all(&mut others).await, []);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_restock_in_chunks_says_read_again_and_no_more() {
    let mut world = World::new();
    let hints = Arc::new(MemoryHints::new(world.clock.clone()));
    world.hints = Some(hints.clone());
    let mut changed = subscribed(&hints, Topic::Changes(pool())).await;
    let worker = world.start();
    sleep(Duration::from_secs(2)).await;
    let seats: Value = (0..2_000).map(|n| json!({"seat_number": format!("A-{n}")})).collect();
    world.post("restock", json!({"seats": seats}));
    until(|| world.results().len() == 1).await;
    sleep(Duration::from_secs(2)).await;
    let hints = all(&mut changed).await;
    assert!((1..=4).contains(&hints.len()), "{}", hints.len());
    assert!(hints.iter().all(|hint| *hint == Hint::ReadAgain));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_is_lost_lets_its_pool_be_read_again() {
    let mut world = World::new();
    world.with_seats(["A-1".to_owned()]).await;
    let hints = Arc::new(MemoryHints::new(world.clock.clone()));
    world.hints = Some(hints.clone());
    let mut changed = subscribed(&hints, Topic::Changes(pool())).await;
    let worker = world.start();
    sleep(Duration::from_secs(2)).await;
    all(&mut changed).await;
    world.faults.next("commit", [Some(Fault::LosesAnswer)]);
    world.post("reserve", json!({"user_id": "u", "seats": ["A-1"]}));
    until(|| world.results().len() == 2).await;
    sleep(Duration::from_millis(100)).await;
    assert!(all(&mut changed).await.contains(&Hint::ReadAgain));
    worker.stop().await;
}
