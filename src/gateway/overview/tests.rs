use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::time::{advance, sleep};
use uuid::Uuid;

use super::*;
use crate::{
    adapters::memory::{MemoryActivity, MemoryQueue, MemoryStore, TokioClock},
    domain::{PoolId, Reservation, ReservationId, ReservationStatus},
    gateway::{EventRequest, Scopes, commands::tests::World},
    ports::{
        Backlog, BatchAnswer, Delivery, OutgoingMessage, QueueLimits, ReceiptHandle,
        ReceiveRequest, Record,
    },
};

const NOW: &str = "2026-11-29T12:00:00Z";

/// A queue whose depth is asked for, is counted, and takes its time.
struct Asked {
    name: &'static str,
    queue: MemoryQueue,
    looks: AtomicUsize,
    takes_ms: AtomicU64,
}

impl Asked {
    fn new(name: &'static str, clock: &Arc<TokioClock>) -> Arc<Self> {
        let queue = MemoryQueue::new(name, clock.clone());
        Arc::new(Self { name, queue, looks: AtomicUsize::new(0), takes_ms: AtomicU64::new(0) })
    }

    fn looks(&self) -> usize {
        self.looks.load(Ordering::Relaxed)
    }

    fn take(&self, time: Duration) {
        self.takes_ms.store(u64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

#[async_trait]
impl Queue for Asked {
    fn name(&self) -> &str {
        self.name
    }

    async fn receive(&self, request: &ReceiveRequest) -> Result<Vec<Delivery>, PortError> {
        self.queue.receive(request).await
    }

    async fn change_visibility(
        &self,
        changes: &[(ReceiptHandle, Duration)],
    ) -> Result<BatchAnswer, PortError> {
        self.queue.change_visibility(changes).await
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<BatchAnswer, PortError> {
        self.queue.delete(receipts).await
    }

    async fn send(&self, messages: &[OutgoingMessage]) -> Result<BatchAnswer<String>, PortError> {
        self.queue.send(messages).await
    }

    async fn limits(&self) -> Result<QueueLimits, PortError> {
        self.queue.limits().await
    }

    async fn backlog(&self) -> Result<Backlog, PortError> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let takes = Duration::from_millis(self.takes_ms.load(Ordering::Relaxed));
        if !takes.is_zero() {
            sleep(takes).await;
        }
        self.queue.backlog().await
    }
}

struct Deployment {
    world: World,
    commands: Arc<Asked>,
    restocks: Arc<Asked>,
    board: Arc<MemoryActivity>,
    store: Arc<MemoryStore>,
    clock: Arc<TokioClock>,
    overview: Arc<Overview>,
}

impl Deployment {
    fn start() -> Self {
        let world = World::start();
        let clock = Arc::new(TokioClock::new(NOW.parse().unwrap()));
        let (commands, restocks) = (Asked::new("c.fifo", &clock), Asked::new("r.fifo", &clock));
        let board = Arc::new(MemoryActivity::new(clock.clone()));
        let store = Arc::new(MemoryStore::new(clock.clone()));
        let overview = Overview::new(OverviewParts {
            commands: commands.clone(),
            restocks: restocks.clone(),
            awaited: Arc::clone(&world.commands),
            board: Some(board.clone()),
            holds: store.clone(),
            clock: clock.clone(),
        });
        Self { world, commands, restocks, board, store, clock, overview: Arc::new(overview) }
    }

    async fn read(&self) -> Arc<Sample> {
        self.overview.read(&Caller::local()).await.unwrap().0
    }

    async fn report(&self, worker: u128, reserves: u64) {
        let totals = WorkerTotals {
            worker: Uuid::from_u128(worker),
            at: self.clock.now(),
            completed: [("inventory.reserve.v1".to_owned(), reserves)].into(),
            rejected: [("SEATS_UNAVAILABLE".to_owned(), 1)].into(),
        };
        self.board.put(&totals).await.unwrap();
    }
}

async fn send(queue: &Asked, messages: usize) {
    for number in 0..messages {
        let message = OutgoingMessage {
            group: "g".parse().unwrap(),
            body: number.to_string(),
            deduplication_id: None,
            attributes: [].into(),
        };
        queue.send(&[message]).await.unwrap();
    }
}

fn hold(id: u128, until: &str) -> Record {
    Record::Reservation(Reservation {
        reservation_id: ReservationId(Uuid::from_u128(id)),
        pool: PoolId::Event(42),
        source: "/shop".parse().unwrap(),
        user_id: "user-7".parse().unwrap(),
        status: ReservationStatus::Active,
        version: 1,
        seats: vec!["A-1".parse().unwrap()],
        lines: Vec::new(),
        booking_id: None,
        goods: None,
        fulfilled_at: None,
        created_at: NOW.parse().unwrap(),
        expires_at: until.parse().unwrap(),
        ended_at: None,
    })
}

#[tokio::test(start_paused = true)]
async fn queues_workers_and_the_oldest_hold_are_read_at_once() {
    let deployment = Deployment::start();
    send(&deployment.commands, 3).await;
    let nothing = deployment.read().await;
    assert_eq!(nothing.oldest_hold, Some(OldestHold { reserved_until: None }));
    let ends = ["2026-11-29T12:10:00Z", "2026-11-29T11:59:00Z", "2026-11-29T12:20:00Z"];
    let holds = (1..).zip(ends).map(|(id, until)| hold(id, until));
    deployment.store.insert(holds);
    deployment.report(1, 100).await;
    deployment.report(2, 7).await;
    advance(SAMPLE_EVERY).await;
    deployment.read().await;
    deployment.report(1, 130).await;
    advance(SAMPLE_EVERY).await;
    let sample = deployment.read().await;
    assert_eq!(sample.sampled_at, deployment.clock.now());
    let queue = |name, waiting| QueueFigures {
        name,
        waiting: Some(waiting),
        in_flight: Some(0),
        oldest_age_seconds: None,
    };
    assert_eq!(sample.queues, [queue("commands", 3), queue("restocks", 0)]);
    let activity = Activity {
        workers: 2,
        commands_per_second: Some(10.0),
        completed: [("inventory.reserve.v1".to_owned(), 137)].into(),
        rejected: [("SEATS_UNAVAILABLE".to_owned(), 2)].into(),
    };
    assert_eq!(sample.activity, Some(activity));
    let oldest = OldestHold { reserved_until: Some(ends[1].parse().unwrap()) };
    assert_eq!(sample.oldest_hold, Some(oldest));
}

#[tokio::test(start_paused = true)]
async fn the_oldest_command_is_the_one_that_admission_goes_by() {
    let deployment = Deployment::start();
    let event = r#"{"specversion":"1.0","id":"e1","source":"/checkout",
        "type":"inventory.cancel.v1","data":{"event_id":42,
        "reservation_id":"00000000-0000-0000-0000-000000000007"}}"#;
    let wait = Some(Duration::from_secs(20));
    let caller = Caller::local();
    let request = EventRequest { event, has_new_id: false, wait, traceparent: None };
    let posting = deployment.world.commands.submit_event(&caller, request);
    let looking = async {
        let (command, ..) = deployment.world.posted().await;
        sleep(Duration::from_millis(1_520)).await;
        let sample = deployment.read().await;
        deployment.world.decide(&command);
        sample
    };
    let (answer, sample) = tokio::join!(posting, looking);
    assert!(answer.is_ok());
    let ages: Vec<_> = sample.queues.iter().map(|queue| queue.oldest_age_seconds).collect();
    assert_eq!(ages, [Some(1.5), None]);
}

#[tokio::test(start_paused = true)]
async fn all_who_ask_share_one_sample_every_three_seconds() {
    let deployment = Deployment::start();
    let asking = (0..100).map(|_| deployment.read());
    let samples = join_all(asking).await;
    assert!(samples.iter().all(|sample| Arc::ptr_eq(sample, &samples[0])));
    assert_eq!(deployment.commands.looks(), 1);
    for second in 1..=10 {
        advance(Duration::from_secs(1)).await;
        deployment.read().await;
        assert_eq!(deployment.commands.looks(), 1 + second / 3, "{second}");
    }
    // Nobody asks, and nothing is read.
    advance(Duration::from_secs(600)).await;
    assert_eq!(deployment.commands.looks(), 4);
}

#[tokio::test(start_paused = true)]
async fn while_a_sample_is_taken_the_others_have_the_last_one() {
    let deployment = Deployment::start();
    let first = deployment.read().await;
    advance(SAMPLE_EVERY).await;
    deployment.commands.take(Duration::from_secs(1));
    let (taken, others) = tokio::join!(deployment.read(), async {
        sleep(Duration::from_millis(1)).await;
        deployment.read().await
    });
    assert!(Arc::ptr_eq(&others, &first) && !Arc::ptr_eq(&taken, &first));
    // One that is too old is not answered: they wait for the next.
    advance(STALE_MAX).await;
    let (taken, others) = tokio::join!(deployment.read(), async {
        sleep(Duration::from_millis(1)).await;
        deployment.read().await
    });
    assert!(Arc::ptr_eq(&taken, &others));
}

#[tokio::test(start_paused = true)]
async fn a_part_that_does_not_answer_in_time_is_unknown_and_the_others_are_not() {
    let deployment = Deployment::start();
    deployment.commands.take(Duration::from_secs(3_600));
    send(&deployment.restocks, 1).await;
    let sample = deployment.read().await;
    let waiting: Vec<_> = sample.queues.iter().map(|queue| queue.waiting).collect();
    assert_eq!(waiting, [None, Some(1)]);
    assert!(sample.activity.is_some() && sample.oldest_hold.is_some());
    let json = serde_json::to_value(&*sample).unwrap();
    assert_eq!(json["queues"][0]["waiting"], serde_json::Value::Null);
}

#[tokio::test(start_paused = true)]
async fn one_whose_caller_went_away_is_taken_by_the_next() {
    let deployment = Deployment::start();
    deployment.commands.take(Duration::from_secs(1));
    let gone = timeout(Duration::from_millis(10), deployment.read()).await;
    assert!(gone.is_err());
    let sample = deployment.read().await;
    assert_eq!(sample.queues[0].waiting, Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_caller_without_the_scope_learns_nothing() {
    let deployment = Deployment::start();
    let scopes: Scopes = [Scope::Command, Scope::Stress].into_iter().collect();
    let caller = Caller { scopes, ..Caller::local() };
    let refused = deployment.overview.read(&caller).await;
    assert_eq!(refused, Err(QueryError::NoScope(Scope::Read)));
    assert_eq!(deployment.commands.looks(), 0);
}
