//! The rules for every adapter of [`HintPublisher`] and [`HintSubscriber`].

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use inventory_worker::{
    domain::{PoolId, SeatStatus},
    ports::{
        HintPublisher, HintSubscriber, HintSubscription,
        hints::{FRAME_BYTES_MAX, Frame, Hint, LineHint, Received, SeatHint, Topic, Watched},
    },
};
use tokio::time::timeout;
use uuid::Uuid;

use crate::harness::{A_WHILE, Backend, LONG, LONGER};

/// Hints under test.
#[derive(Clone)]
pub struct Hints {
    pub publisher: Arc<dyn HintPublisher>,
    pub subscriber: Arc<dyn HintSubscriber>,
    /// Pools that no other test uses.
    pub pool: PoolId,
    pub other: PoolId,
}

#[async_trait]
pub trait HintsHarness: Backend {
    async fn hints(&self) -> Hints;
}

/// Tests an adapter against every rule of hints; see the crate's comment.
macro_rules! hints_contract {
    ($($test:tt)*) => {
        make_tests! {
            hints [
                a_frame_arrives_as_it_was_published
                a_frame_reaches_every_subscriber
                frames_of_a_topic_arrive_in_order
                the_largest_frame_arrives
                topics_are_apart
                many_topics_of_one_subscriber_are_apart
                a_frame_that_nobody_subscribed_to_is_gone
                a_subscription_that_is_dropped_hinders_nobody
                a_topic_is_subscribed_to_again
                a_subscriber_that_falls_behind_is_told
                what_is_watched_is_known_to_publishers
                a_watch_runs_out_and_begins_again
                watching_again_keeps_it
                a_watch_is_never_shortened
                each_topic_has_an_answer_of_its_own
                names_are_kept_as_they_are
            ]
            $($test)*
        }
    };
}

/// Every rule by name.
pub const RULES: &[&str] = &hints_contract!(names);

/// How long a frame may take. Far longer than it does, so that a busy machine fails no test.
const ARRIVES: Duration = Duration::from_secs(20);

fn numbered(last: u64) -> Frame {
    Frame { stream: Uuid::from_u128(7), last, hints: vec![Hint::ReadAgain], is_idle: false }
}

async fn received(subscription: &mut Box<dyn HintSubscription>) -> Received {
    timeout(ARRIVES, subscription.next()).await.expect("something comes")
}

async fn arrives(subscription: &mut Box<dyn HintSubscription>, frame: &Frame) {
    assert_eq!(received(subscription).await, Received::Frame(frame.clone()));
}

impl Hints {
    fn changes(&self) -> Topic {
        Topic::Changes(self.pool.clone())
    }

    async fn subscribe(&self, topic: &Topic) -> Box<dyn HintSubscription> {
        self.subscriber.subscribe(topic).await.unwrap()
    }

    async fn publish(&self, topic: &Topic, frame: &Frame) {
        self.publisher.publish(topic, frame).await.unwrap();
    }

    async fn watch(&self, topic: &Topic, lifetime: Duration) -> Watched {
        let topics = std::slice::from_ref(topic);
        self.subscriber.watch(topics, lifetime).await.unwrap()[0]
    }

    async fn is_watched(&self, topic: &Topic) -> bool {
        self.publisher.watched().await.unwrap().contains(topic)
    }
}

pub async fn a_frame_arrives_as_it_was_published(harness: &dyn HintsHarness) {
    let hints = harness.hints().await;
    let at = "2026-11-22T10:00:00.123Z".parse().unwrap();
    let held = SeatHint {
        number: "Ä-1".parse().unwrap(),
        version: u64::MAX,
        status: SeatStatus::Reserved,
        until: Some(at),
        withheld: true,
    };
    let line = LineHint {
        sku: "t-shirt".parse().unwrap(),
        version: 3,
        available: -4,
        reserved: 5,
        committed: i64::MAX,
        updated_at: at,
    };
    let key = inventory_worker::domain::CommandKey {
        source: "/shop".parse().unwrap(),
        id: "c-1".parse().unwrap(),
    };
    let all = vec![
        Hint::Seat(held),
        Hint::Line(line),
        Hint::ReadAgain,
        Hint::Decided(key),
        Hint::Result("{\"type\": \"ä\"}".into()),
    ];
    let frame = Frame { hints: all, last: 5, is_idle: true, ..numbered(5) };
    let mut subscription = hints.subscribe(&hints.changes()).await;
    hints.publish(&hints.changes(), &frame).await;
    arrives(&mut subscription, &frame).await;
    let heartbeat = Frame { hints: Vec::new(), ..numbered(5) };
    hints.publish(&hints.changes(), &heartbeat).await;
    arrives(&mut subscription, &heartbeat).await;
}

pub async fn a_frame_reaches_every_subscriber(harness: &dyn HintsHarness) {
    let hints = harness.hints().await;
    let mut one = hints.subscribe(&hints.changes()).await;
    let mut two = hints.subscribe(&hints.changes()).await;
    hints.publish(&hints.changes(), &numbered(1)).await;
    arrives(&mut one, &numbered(1)).await;
    arrives(&mut two, &numbered(1)).await;
}

pub async fn frames_of_a_topic_arrive_in_order(harness: &dyn HintsHarness) {
    let hints = harness.hints().await;
    let mut subscription = hints.subscribe(&hints.changes()).await;
    for number in 1..=100 {
        hints.publish(&hints.changes(), &numbered(number)).await;
    }
    for number in 1..=100 {
        arrives(&mut subscription, &numbered(number)).await;
    }
}

pub async fn the_largest_frame_arrives(harness: &dyn HintsHarness) {
    let hints = harness.hints().await;
    let body = "x".repeat(FRAME_BYTES_MAX - 64);
    let frame = Frame { hints: vec![Hint::Result(body.into())], ..numbered(1) };
    let mut subscription = hints.subscribe(&hints.changes()).await;
    hints.publish(&hints.changes(), &frame).await;
    arrives(&mut subscription, &frame).await;
}

pub async fn topics_are_apart(harness: &dyn HintsHarness) {
    let hints = harness.hints().await;
    let (pool, other) = (hints.pool.clone(), hints.other.clone());
    let topics = [
        Topic::Changes(pool.clone()),
        Topic::Outcomes(pool.clone()),
        Topic::Results(pool.clone()),
        Topic::ResultsOf(format!("/{pool}").parse().unwrap()),
        Topic::Changes(other),
    ];
    let mut subscriptions = Vec::new();
    for topic in &topics {
        subscriptions.push(hints.subscribe(topic).await);
    }
    for (number, topic) in (1..).zip(&topics) {
        hints.publish(topic, &numbered(number)).await;
        hints.publish(topic, &numbered(100)).await;
    }
    for (number, subscription) in (1..).zip(&mut subscriptions) {
        arrives(subscription, &numbered(number)).await;
        arrives(subscription, &numbered(100)).await;
    }
}

pub async fn many_topics_of_one_subscriber_are_apart(harness: &dyn HintsHarness) {
    let hints = harness.hints().await;
    let topics: Vec<Topic> = (0..50)
        .map(|number| Topic::ResultsOf(format!("/{}/{number}", hints.pool).parse().unwrap()))
        .collect();
    let subscribing = topics.iter().map(|topic| hints.subscribe(topic));
    let mut subscriptions = futures::future::join_all(subscribing).await;
    for (number, topic) in (1..).zip(&topics) {
        hints.publish(topic, &numbered(number)).await;
    }
    for (number, subscription) in (1..).zip(&mut subscriptions) {
        arrives(subscription, &numbered(number)).await;
    }
}

pub async fn a_frame_that_nobody_subscribed_to_is_gone(harness: &dyn HintsHarness) {
    let hints = harness.hints().await;
    hints.publish(&hints.changes(), &numbered(1)).await;
    let mut subscription = hints.subscribe(&hints.changes()).await;
    hints.publish(&hints.changes(), &numbered(2)).await;
    arrives(&mut subscription, &numbered(2)).await;
}

pub async fn a_subscription_that_is_dropped_hinders_nobody(harness: &dyn HintsHarness) {
    let hints = harness.hints().await;
    let mut one = hints.subscribe(&hints.changes()).await;
    let two = hints.subscribe(&hints.changes()).await;
    let other = Topic::Changes(hints.other.clone());
    let mut three = hints.subscribe(&other).await;
    drop(two);
    for number in 1..=10 {
        hints.publish(&hints.changes(), &numbered(number)).await;
        hints.publish(&other, &numbered(number)).await;
    }
    for number in 1..=10 {
        arrives(&mut one, &numbered(number)).await;
        arrives(&mut three, &numbered(number)).await;
    }
}

pub async fn a_topic_is_subscribed_to_again(harness: &dyn HintsHarness) {
    let hints = harness.hints().await;
    let other = Topic::Changes(hints.other.clone());
    let mut bystander = hints.subscribe(&other).await;
    for number in 1..=10 {
        let mut subscription = hints.subscribe(&hints.changes()).await;
        hints.publish(&hints.changes(), &numbered(number)).await;
        arrives(&mut subscription, &numbered(number)).await;
        drop(subscription);
    }
    hints.publish(&other, &numbered(1)).await;
    arrives(&mut bystander, &numbered(1)).await;
}

pub async fn a_subscriber_that_falls_behind_is_told(harness: &dyn HintsHarness) {
    const FRAMES: u64 = 2_000;
    let hints = harness.hints().await;
    let mut slow = hints.subscribe(&hints.changes()).await;
    let mut quick = hints.subscribe(&Topic::Changes(hints.other.clone())).await;
    for number in 1..=FRAMES {
        hints.publish(&hints.changes(), &numbered(number)).await;
    }
    hints.publish(&Topic::Changes(hints.other.clone()), &numbered(1)).await;
    // Published after all the others, over the same connection.
    arrives(&mut quick, &numbered(1)).await;
    let mut frames = 0;
    let mut is_told = false;
    while !is_told {
        match received(&mut slow).await {
            Received::Frame(_) => frames += 1,
            Received::Overflow => is_told = true,
            other => panic!("{other:?}"),
        }
    }
    assert!(frames < FRAMES, "what was dropped cannot have come");
    // It catches up as it is read: what is not dropped is still there to be read.
    for number in FRAMES + 1.. {
        hints.publish(&hints.changes(), &numbered(number)).await;
        for _ in 0..3 {
            if received(&mut slow).await == Received::Frame(numbered(number)) {
                return;
            }
        }
    }
}

pub async fn what_is_watched_is_known_to_publishers(harness: &dyn HintsHarness) {
    let hints = harness.hints().await;
    let topic = hints.changes();
    assert!(!hints.is_watched(&topic).await);
    assert_eq!(hints.watch(&topic, LONG).await, Watched::Begun);
    assert!(hints.is_watched(&topic).await);
    assert!(!hints.is_watched(&Topic::Outcomes(hints.pool.clone())).await);
}

pub async fn a_watch_runs_out_and_begins_again(harness: &dyn HintsHarness) {
    let hints = harness.hints().await;
    let topic = hints.changes();
    assert_eq!(hints.watch(&topic, A_WHILE).await, Watched::Begun);
    harness.pass(LONGER).await;
    assert!(!hints.is_watched(&topic).await);
    assert_eq!(hints.watch(&topic, LONG).await, Watched::Begun);
    assert!(hints.is_watched(&topic).await);
}

pub async fn watching_again_keeps_it(harness: &dyn HintsHarness) {
    let hints = harness.hints().await;
    let topic = hints.changes();
    assert_eq!(hints.watch(&topic, A_WHILE).await, Watched::Begun);
    assert_eq!(hints.watch(&topic, LONG).await, Watched::Kept);
    harness.pass(LONGER).await;
    assert!(hints.is_watched(&topic).await);
    assert_eq!(hints.watch(&topic, LONG).await, Watched::Kept);
}

pub async fn a_watch_is_never_shortened(harness: &dyn HintsHarness) {
    let hints = harness.hints().await;
    let topic = hints.changes();
    assert_eq!(hints.watch(&topic, LONG).await, Watched::Begun);
    assert_eq!(hints.watch(&topic, A_WHILE).await, Watched::Kept);
    harness.pass(LONGER).await;
    assert!(hints.is_watched(&topic).await);
}

pub async fn each_topic_has_an_answer_of_its_own(harness: &dyn HintsHarness) {
    let hints = harness.hints().await;
    let (one, two) = (hints.changes(), Topic::Changes(hints.other.clone()));
    assert_eq!(hints.watch(&two, LONG).await, Watched::Begun);
    let answers = hints.subscriber.watch(&[one.clone(), two.clone()], LONG).await.unwrap();
    assert_eq!(answers, [Watched::Begun, Watched::Kept]);
    let answers = hints.subscriber.watch(&[two, one], LONG).await.unwrap();
    assert_eq!(answers, [Watched::Kept, Watched::Kept]);
    assert_eq!(hints.subscriber.watch(&[], LONG).await.unwrap(), []);
}

pub async fn names_are_kept_as_they_are(harness: &dyn HintsHarness) {
    let hints = harness.hints().await;
    for name in ["a}b", "{", "}", "{}", "a:b", "ä", "a b", "%7D", "*", "a#b"] {
        let topic = Topic::ResultsOf(format!("{}/{name}", hints.pool).parse().unwrap());
        assert_eq!(hints.watch(&topic, LONG).await, Watched::Begun, "{name}");
        assert!(hints.is_watched(&topic).await, "{name}");
        let mut subscription = hints.subscribe(&topic).await;
        hints.publish(&topic, &numbered(1)).await;
        arrives(&mut subscription, &numbered(1)).await;
    }
}
