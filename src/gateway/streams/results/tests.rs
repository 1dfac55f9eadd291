use std::time::Duration;

use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::*;
use crate::{
    adapters::{
        memory::{MemoryHints, TokioClock},
        system::Random,
    },
    gateway::{
        Scopes,
        caller::Sources,
        hints::run_watches,
        observer::NoopRequestObserver,
        streams::{Beat, StreamSettings},
    },
    ports::{
        HintPublisher, PortError,
        hints::{Frame, Hint},
    },
};

struct World {
    hints: Arc<MemoryHints>,
    results: Results,
    last: u64,
}

impl World {
    fn start() -> Self {
        let now = "2026-11-29T12:00:00Z".parse().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::new(now));
        let hints = Arc::new(MemoryHints::new(Arc::clone(&clock)));
        let announcements = Announcements::new(hints.clone());
        let watching = announcements.clone();
        tokio::spawn(async move { run_watches(&watching).await });
        let (entropy, observer) = (Arc::new(Random::seeded(7)), Arc::new(NoopRequestObserver));
        let streams = Streams::new(StreamSettings::default(), entropy, observer);
        Self { hints, results: Results::new(Some(announcements), streams, clock), last: 0 }
    }

    async fn publish(&mut self, topic: &Topic, bodies: &[String]) {
        self.last += u64::try_from(bodies.len()).unwrap();
        let hints = bodies.iter().map(|body| Hint::Result(body.as_str().into())).collect();
        let frame = Frame { stream: Uuid::from_u128(1), last: self.last, hints, is_idle: false };
        self.hints.publish(topic, &frame).await.unwrap();
    }
}

fn body(id: &str, pool: &str, source: &str, made_by: Option<&str>) -> String {
    let reservation = made_by.map(|source| serde_json::json!({"source": source}));
    serde_json::json!({
        "id": id, "subject": pool,
        "data": {"command": {"source": source, "id": "c"}, "reservation": reservation},
    })
    .to_string()
}

fn event() -> PoolId {
    PoolId::Event(42)
}

fn of_event() -> ResultsFilter {
    ResultsFilter { pool: Some(event()), source: None }
}

/// A caller with sources below `/shop/`.
fn shop(scopes: &[Scope]) -> Caller {
    let sources = Sources::Own { prefixes: vec!["/shop/".to_owned()] };
    let scopes: Scopes = scopes.iter().copied().collect();
    Caller { subject: "shop".to_owned(), scopes, sources }
}

async fn next_event(opened: &mut OpenedResults) -> ResultEvent {
    match timeout(Duration::from_secs(600), opened.life.beat(opened.reader.next_event())).await {
        Ok(Beat::Item(told)) => told,
        other => panic!("{other:?}"),
    }
}

async fn id(opened: &mut OpenedResults) -> String {
    match next_event(opened).await {
        ResultEvent::Result { id, .. } => id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_begins_once_every_worker_knows_of_it_and_tells_results_as_published() {
    let mut world = World::start();
    let mut opened = world.results.open(&Caller::local(), of_event()).unwrap();
    assert!(matches!(next_event(&mut opened).await, ResultEvent::Begin(_)));
    let topic = Topic::Results(event());
    assert!(world.hints.watched().await.unwrap().contains(&topic));
    let event = body("r-1", "event#42", "/any", None);
    world.publish(&topic, std::slice::from_ref(&event)).await;
    let expected = ResultEvent::Result { id: "r-1".to_owned(), event: event.as_str().into() };
    assert_eq!(next_event(&mut opened).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_caller_sees_results_of_its_own_sources_and_holds() {
    let mut world = World::start();
    let caller = shop(&[Scope::ReadPrivate]);
    let mut opened = world.results.open(&caller, of_event()).unwrap();
    next_event(&mut opened).await;
    let bodies = [
        body("foreign", "event#42", "/other", None),
        body("own", "event#42", "/shop/1", None),
        body("expired", "event#42", "/inventory-worker/sweeper", Some("/shop/2")),
        body("foreign-hold", "event#42", "/inventory-worker/sweeper", Some("/other")),
        body("default", "event#42", "/callers/shop", None),
    ];
    world.publish(&Topic::Results(event()), &bodies).await;
    for expected in ["own", "expired", "default"] {
        assert_eq!(id(&mut opened).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pool_and_a_source_together_are_both_kept_to() {
    let mut world = World::start();
    let source: Source = "/shop/1".parse().unwrap();
    let filter = ResultsFilter { source: Some(source.clone()), ..of_event() };
    let mut both = world.results.open(&Caller::local(), filter).unwrap();
    next_event(&mut both).await;
    let bodies = [body("a", "event#42", "/shop/2", None), body("b", "event#42", "/shop/1", None)];
    world.publish(&Topic::Results(event()), &bodies).await;
    assert_eq!(id(&mut both).await, "b");
    let of_source = ResultsFilter { pool: None, source: Some(source.clone()) };
    let mut one = world.results.open(&Caller::local(), of_source).unwrap();
    next_event(&mut one).await;
    world.last = 0;
    world.publish(&Topic::ResultsOf(source), &[body("c", "event#7", "/shop/1", None)]).await;
    assert_eq!(id(&mut one).await, "c");
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_missed_is_told() {
    let mut world = World::start();
    let topic = Topic::Results(event());
    let mut opened = world.results.open(&Caller::local(), of_event()).unwrap();
    next_event(&mut opened).await;
    let one = |id: &str| vec![body(id, "event#42", "/any", None)];
    world.publish(&topic, &one("a")).await;
    assert_eq!(id(&mut opened).await, "a");
    // A number is left out.
    world.last += 1;
    world.publish(&topic, &one("b")).await;
    assert!(matches!(next_event(&mut opened).await, ResultEvent::Gap(_)));
    assert_eq!(id(&mut opened).await, "b");
    // What is no result.
    world.hints.publish_bytes(&topic, b"nonsense");
    assert!(matches!(next_event(&mut opened).await, ResultEvent::Gap(_)));
    world.publish(&topic, &["{\n}".to_owned()]).await;
    assert!(matches!(next_event(&mut opened).await, ResultEvent::Gap(_)));
    // Its worker is not heard any more.
    assert!(matches!(next_event(&mut opened).await, ResultEvent::Gap(_)));
}

#[tokio::test(start_paused = true)]
async fn a_stream_outlives_a_redis_that_is_away_and_says_so() {
    let mut world = World::start();
    let topic = Topic::Results(event());
    let mut opened = world.results.open(&Caller::local(), of_event()).unwrap();
    next_event(&mut opened).await;
    world.hints.fail(Some(PortError::Unavailable("away".to_owned())));
    let mut gaps = 0;
    for _ in 0..20 {
        let next = timeout(Duration::from_secs(1), opened.reader.next_event()).await;
        gaps += u32::from(matches!(next, Ok(ResultEvent::Gap(_))));
    }
    world.hints.fail(None);
    sleep(Duration::from_secs(1)).await;
    assert!(matches!(next_event(&mut opened).await, ResultEvent::Gap(_)));
    assert!(gaps <= 2, "{gaps}");
    while matches!(
        timeout(Duration::from_secs(5), opened.reader.next_event()).await,
        Ok(ResultEvent::Gap(_))
    ) {}
    world.publish(&topic, &[body("a", "event#42", "/any", None)]).await;
    assert_eq!(id(&mut opened).await, "a");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_is_no_longer_watched() {
    let world = World::start();
    let mut opened = world.results.open(&Caller::local(), of_event()).unwrap();
    next_event(&mut opened).await;
    drop(opened);
    sleep(Duration::from_secs(15)).await;
    assert!(world.hints.watched().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn those_who_may_not_see_results_get_none() {
    let world = World::start();
    let refused = |caller: &Caller, filter| world.results.open(caller, filter).err().unwrap();
    let no_scope = refused(&shop(&[Scope::Read]), of_event());
    assert_eq!(no_scope, QueryError::NoScope(Scope::ReadPrivate).into());
    let foreign = ResultsFilter { pool: None, source: Some("/other".parse().unwrap()) };
    assert_eq!(refused(&shop(&[Scope::ReadPrivate]), foreign), StreamError::ForeignSource);
    let nothing = refused(&Caller::local(), ResultsFilter::default());
    assert!(matches!(nothing, StreamError::Query(QueryError::Invalid { field: "pool", .. })));
    let none = Results { announcements: None, ..world.results.clone() };
    assert_eq!(none.open(&Caller::local(), of_event()).err(), Some(StreamError::NotOffered));
}
