//! Hints while a server or a cluster fails.

use std::time::Duration;

use inventory_worker::{
    adapters::redis::{RedisHints, RedisSnapshots},
    domain::PoolId,
    ports::{
        HintPublisher as _, HintSubscriber as _, HintSubscription, PortError, SnapshotStore as _,
        hints::{Frame, Hint, Received, Topic, Watched},
    },
};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::{
    cluster::Cluster,
    servers::{DEADLINE, Server, until},
};

const MINUTE: Duration = Duration::from_secs(60);

fn topic() -> Topic {
    Topic::Changes(PoolId::Event(42))
}

fn hints(server: &Server) -> RedisHints {
    RedisHints::new(server.url().parse().unwrap(), "test")
}

fn frame(last: u64) -> Frame {
    Frame { stream: Uuid::from_u128(7), last, hints: vec![Hint::ReadAgain], is_idle: false }
}

async fn next(subscription: &mut Box<dyn HintSubscription>) -> Received {
    timeout(DEADLINE, subscription.next()).await.expect("something comes")
}

/// Subscribes as soon as that is possible.
async fn subscribed(hints: &RedisHints, topic: &Topic) -> Box<dyn HintSubscription> {
    let begun = Instant::now();
    loop {
        match hints.subscribe(topic).await {
            Ok(subscription) => return subscription,
            Err(error) => assert!(begun.elapsed() < DEADLINE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What is published arrives.
async fn works(
    publisher: &RedisHints,
    subscription: &mut Box<dyn HintSubscription>,
    topic: &Topic,
) {
    until("hints are published", async || publisher.publish(topic, &frame(1)).await.is_ok()).await;
    assert_eq!(next(subscription).await, Received::Frame(frame(1)));
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_server_that_restarts_ends_subscriptions_and_forgets_watches() {
    let mut server = Server::start(&[]).await;
    let (publisher, subscriber) = (hints(&server), hints(&server));
    let mut subscription = subscriber.subscribe(&topic()).await.unwrap();
    assert_eq!(subscriber.watch(&[topic()], MINUTE).await, Ok(vec![Watched::Begun]));
    works(&publisher, &mut subscription, &topic()).await;
    server.kill().await;
    assert_eq!(next(&mut subscription).await, Received::Lost);
    assert_eq!(next(&mut subscription).await, Received::Lost, "and stays so");
    server.run().await;
    let mut subscription = subscribed(&subscriber, &topic()).await;
    works(&publisher, &mut subscription, &topic()).await;
    until("it is watched", async || {
        let watched = subscriber.watch(&[topic()], MINUTE).await;
        assert_ne!(watched, Ok(vec![Watched::Kept]));
        watched == Ok(vec![Watched::Begun])
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_server_that_hangs_ends_subscriptions_and_no_call_waits_long_for_it() {
    let server = Server::start(&[]).await;
    let (publisher, subscriber) = (hints(&server), hints(&server));
    let mut subscription = subscriber.subscribe(&topic()).await.unwrap();
    works(&publisher, &mut subscription, &topic()).await;
    server.hang().await;
    assert_eq!(next(&mut subscription).await, Received::Lost);
    let lost = |answer: &Result<(), PortError>| matches!(answer, Err(PortError::Unavailable(_)));
    let answer = timeout(DEADLINE, publisher.publish(&topic(), &frame(2))).await.unwrap();
    assert!(lost(&answer), "{answer:?}");
    let answer = timeout(DEADLINE, subscriber.subscribe(&topic())).await.unwrap().map(|_| ());
    assert!(lost(&answer), "{answer:?}");
    let answer = timeout(DEADLINE, subscriber.watch(&[topic()], MINUTE)).await.unwrap();
    assert!(lost(&answer.map(|_| ())));
    server.go_on().await;
    let mut subscription = subscribed(&subscriber, &topic()).await;
    works(&publisher, &mut subscription, &topic()).await;
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_connection_that_is_closed_ends_every_subscription_on_it() {
    let server = Server::start(&[]).await;
    let subscriber = hints(&server);
    let other = Topic::Changes(PoolId::Event(43));
    let mut one = subscriber.subscribe(&topic()).await.unwrap();
    let mut two = subscriber.subscribe(&other).await.unwrap();
    // One that is closed for reading too slowly, for example.
    assert!(server.ask::<u32>("CLIENT KILL TYPE pubsub").await > 0);
    assert_eq!(next(&mut one).await, Received::Lost);
    assert_eq!(next(&mut two).await, Received::Lost);
    let mut one = subscribed(&subscriber, &topic()).await;
    works(&hints(&server), &mut one, &topic()).await;
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn where_sharded_channels_are_unknown_plain_ones_take_their_place() {
    let without = |name: &'static str| ["--rename-command", name, ""];
    let options = [without("SPUBLISH"), without("SSUBSCRIBE"), without("SUNSUBSCRIBE")].concat();
    let server = Server::start(&options).await;
    let (publisher, subscriber) = (hints(&server), hints(&server));
    for _ in 0..2 {
        let mut subscription = subscriber.subscribe(&topic()).await.unwrap();
        works(&publisher, &mut subscription, &topic()).await;
    }
    until("nobody subscribes", async || {
        server.ask::<Vec<String>>("PUBSUB CHANNELS").await.is_empty()
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_subscription_that_is_dropped_is_ended_at_the_server() {
    let server = Server::start(&[]).await;
    let subscriber = hints(&server);
    let channels = async || server.ask::<Vec<String>>("PUBSUB SHARDCHANNELS").await;
    let subscription = subscriber.subscribe(&topic()).await.unwrap();
    assert_eq!(channels().await, ["inv:{event#42}:hints:changes:test"]);
    drop(subscription);
    until("nobody subscribes", async || channels().await.is_empty()).await;
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn the_fix_is_said_where_rights_are_missing() {
    let server = Server::start(&[]).await;
    let () = server.ask("ACL SETUSER view on >secret ~inv:* +@read +@write +@scripting").await;
    let url = format!("redis://view:secret@127.0.0.1:{}", server.port);
    let subscriber = RedisHints::new(url.parse().unwrap(), "test");
    let answer = subscriber.subscribe(&topic()).await.map(|_| ());
    assert!(
        matches!(&answer, Err(PortError::Refused(text)) if text.contains("&inv:* +@pubsub +time")),
        "{answer:?}"
    );
    let () = server.ask("ACL SETUSER view &inv:* +@pubsub +time").await;
    let mut subscription = subscribed(&subscriber, &topic()).await;
    works(&subscriber, &mut subscription, &topic()).await;
    // All else that the view asks of Redis.
    let snapshots = RedisSnapshots::new(url.parse().unwrap(), "test");
    let pool = PoolId::Event(1);
    assert_eq!(snapshots.claim(&pool).await, Ok(true));
    snapshots.put(&pool, b"read", Duration::ZERO).await.unwrap();
    assert!(snapshots.get(&pool).await.unwrap().is_some());
    snapshots.release(&pool).await.unwrap();
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn after_a_failover_the_new_master_is_subscribed_at() {
    let mut cluster = Cluster::start(true).await;
    let (publisher, subscriber) = (cluster.hints(), cluster.hints());
    let (scope, _) = cluster.scope_on(0).await;
    let topic = Topic::Changes(scope.parse().unwrap());
    let mut subscription = subscriber.subscribe(&topic).await.unwrap();
    works(&publisher, &mut subscription, &topic).await;
    cluster.masters[0].kill().await;
    assert_eq!(next(&mut subscription).await, Received::Lost);
    let mut subscription = subscribed(&subscriber, &topic).await;
    works(&publisher, &mut subscription, &topic).await;
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_slot_that_moves_ends_its_subscriptions() {
    let cluster = Cluster::start(false).await;
    let (publisher, subscriber) = (cluster.hints(), cluster.hints());
    let (scope, slot) = cluster.scope_on(0).await;
    let topic = Topic::Changes(scope.parse().unwrap());
    let mut subscription = subscriber.subscribe(&topic).await.unwrap();
    works(&publisher, &mut subscription, &topic).await;
    cluster.give_to(slot, 1).await;
    assert_eq!(next(&mut subscription).await, Received::Lost);
    let mut subscription = subscribed(&subscriber, &topic).await;
    works(&publisher, &mut subscription, &topic).await;
}
