//! The decorators around tiny ports that answer and record their requests.

use std::{collections::BTreeMap, sync::Mutex};

use tokio::time::Instant;

use super::*;
use crate::{
    adapters::system::Random,
    domain::{LineKey, ReservationId, StockLevel},
    ports::{Check, Ended, EntryError, Expected, Write},
};

const ATTEMPT: Attempt = Attempt { count: 3, before: Timestamp::UNIX_EPOCH };

/// Answers every port; fails every call once set to.
#[derive(Default)]
struct Fake {
    asked: Mutex<Vec<String>>,
    failing: bool,
}

impl Fake {
    fn answer<T>(&self, what: &str, answer: T) -> Result<T, PortError> {
        self.asked.lock().unwrap().push(what.to_owned());
        if self.failing { Err(PortError::Throttled("less".to_owned())) } else { Ok(answer) }
    }
}

fn delivery() -> Delivery {
    Delivery {
        message_id: "m".to_owned(),
        receipt: ReceiptHandle("r".to_owned()),
        group: "g".parse().unwrap(),
        sequence: "1".to_owned(),
        sent_at: Timestamp::UNIX_EPOCH,
        receive_count: 1,
        body: String::new(),
        attributes: BTreeMap::new(),
    }
}

#[async_trait]
impl Queue for Fake {
    fn name(&self) -> &str {
        "fake"
    }

    async fn receive(&self, request: &ReceiveRequest) -> Result<Vec<Delivery>, PortError> {
        self.answer("receive", vec![delivery(); request.max])
    }

    async fn change_visibility(
        &self,
        changes: &[(ReceiptHandle, Duration)],
    ) -> Result<BatchAnswer, PortError> {
        self.answer("change_visibility", vec![Err(EntryError::LeaseLost); changes.len()])
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<BatchAnswer, PortError> {
        self.answer("delete", vec![Ok(()); receipts.len()])
    }

    async fn send(&self, messages: &[OutgoingMessage]) -> Result<BatchAnswer<String>, PortError> {
        self.answer("send", vec![Ok("id".to_owned()); messages.len()])
    }

    async fn limits(&self) -> Result<QueueLimits, PortError> {
        self.answer("limits", QueueLimits::default())
    }

    async fn backlog(&self) -> Result<Backlog, PortError> {
        self.answer("backlog", Backlog { visible: 7, in_flight: 1 })
    }
}

#[async_trait]
impl ReadStore for Fake {
    async fn load(&self, _: &LoadRequest) -> Result<ReadSet, PortError> {
        self.answer("load", ReadSet::default())
    }

    async fn ping(&self) -> Result<(), PortError> {
        self.answer("ping", ())
    }
}

#[async_trait]
impl ScanStore for Fake {
    async fn scan(&self, table: Table, _: Option<&PageCursor>) -> Result<Page, PortError> {
        self.answer(&format!("scan {}", table.as_str()), Page::default())
    }

    async fn seats(
        &self,
        event_id: u64,
        _: Option<&PageCursor>,
        _: usize,
    ) -> Result<Page, PortError> {
        self.answer(&format!("seats {event_id}"), Page::default())
    }

    async fn lines(
        &self,
        pool: &PoolId,
        _: Option<&PageCursor>,
        _: usize,
    ) -> Result<Page, PortError> {
        self.answer(&format!("lines {pool}"), Page::default())
    }
}

#[async_trait]
impl ExpiryIndex for Fake {
    async fn expired(&self, query: &ExpiryQuery) -> Result<ExpiredPage, PortError> {
        self.answer(
            &format!("expired {} {} {}", query.shard, query.ended.until, query.limit),
            ExpiredPage::default(),
        )
    }
}

#[async_trait]
impl CommitStore for Fake {
    async fn commit(&self, _: &Transaction, _: Uuid) -> Result<Consumed, CommitError> {
        Ok(self.answer("commit", Consumed::default())?)
    }
}

#[async_trait]
impl AttemptStore for Fake {
    async fn record_attempt(&self, message_id: &str, _: Timestamp) -> Result<Attempt, PortError> {
        self.answer(&format!("record_attempt {message_id}"), ATTEMPT)
    }

    async fn undo_attempt(&self, message_id: &str) -> Result<(), PortError> {
        self.answer(&format!("undo_attempt {message_id}"), ())
    }

    async fn note_dead_letter(&self, message_id: &str, _: Timestamp) -> Result<(), PortError> {
        self.answer(&format!("note_dead_letter {message_id}"), ())
    }

    async fn has_dead_letter(&self, message_id: &str) -> Result<bool, PortError> {
        self.answer(&format!("has_dead_letter {message_id}"), true)
    }
}

#[async_trait]
impl LeaseStore for Fake {
    async fn leases(&self, task: &str) -> Result<Leases, PortError> {
        self.answer(&format!("leases {task}"), Leases::default())
    }

    async fn replace_leases(
        &self,
        task: &str,
        version: u64,
        held: &[Lease],
    ) -> Result<bool, PortError> {
        self.answer(&format!("replace_leases {task} {version} {}", held.len()), true)
    }
}

#[async_trait]
impl Locks for Fake {
    async fn acquire(
        &self,
        scope: &str,
        names: &[String],
        _: Uuid,
        _: Duration,
    ) -> Result<bool, PortError> {
        self.answer(&format!("acquire {scope} {}", names.join(" ")), false)
    }

    async fn release(&self, scope: &str, names: &[String], _: Uuid) -> Result<(), PortError> {
        self.answer(&format!("release {scope} {}", names.join(" ")), ())
    }
}

#[async_trait]
impl Publisher for Fake {
    async fn publish(&self, batch: &[Publication]) -> Result<BatchAnswer, PortError> {
        self.answer("publish", vec![Ok(()); batch.len()])
    }
}

fn counted() -> (Arc<CallCounts>, Arc<Instrumentation>) {
    let counts = Arc::new(CallCounts::default());
    (Arc::clone(&counts), Instrumentation::counting(counts))
}

fn request(max: usize) -> ReceiveRequest {
    let (wait, visibility) = (Duration::ZERO, Duration::from_secs(60));
    ReceiveRequest { max, wait, visibility, attempt_id: "a".to_owned() }
}

fn write() -> Write {
    let pool: PoolId = "store#s".parse().unwrap();
    let line = StockLevel {
        available: 1,
        reserved: 0,
        committed: 0,
        as_of: None,
        version: 1,
        updated_at: Timestamp::UNIX_EPOCH,
    };
    Write::Line {
        key: LineKey { pool, sku: "s".parse().unwrap() },
        expected: Expected::Absent,
        line,
    }
}

fn check() -> Check {
    Check::Reservation {
        reservation_id: ReservationId(Uuid::nil()),
        expected: Expected::Version(1),
    }
}

#[tokio::test]
async fn a_queue_counts_calls_and_messages_and_passes_everything_on() {
    let (counts, observer) = counted();
    let fake = Arc::new(Fake::default());
    let queue = InstrumentedQueue::new(fake.clone(), observer);
    let receipt = ReceiptHandle("r".to_owned());
    assert_eq!(queue.name(), "fake");
    assert_eq!(queue.receive(&request(10)).await.unwrap().len(), 10);
    assert!(queue.receive(&request(0)).await.unwrap().is_empty());
    let changes = vec![(receipt.clone(), Duration::ZERO); 3];
    assert_eq!(
        queue.change_visibility(&changes).await.unwrap(),
        vec![Err(EntryError::LeaseLost); 3]
    );
    assert_eq!(queue.delete(&[receipt.clone(), receipt]).await.unwrap(), vec![Ok(()); 2]);
    assert_eq!(queue.backlog().await.unwrap().visible, 7);
    assert_eq!(
        counts.calls(),
        [("sqs.receive", 2), ("sqs.change_visibility", 1), ("sqs.delete", 1), ("sqs.backlog", 1)]
            .into()
    );
    assert_eq!(
        counts.entries(),
        [("sqs.receive", 10), ("sqs.change_visibility", 3), ("sqs.delete", 2)].into()
    );
    assert_eq!(fake.asked.lock().unwrap().len(), 5);
}

#[tokio::test]
async fn a_single_write_without_a_check_is_a_put() {
    let (counts, observer) = counted();
    let store = InstrumentedStore::new(Arc::new(Fake::default()), observer);
    for (writes, checks) in [(1, 0), (1, 1), (2, 0), (97, 3)] {
        let transaction =
            Transaction { writes: vec![write(); writes], checks: vec![check(); checks] };
        store.commit(&transaction, Uuid::nil()).await.unwrap();
    }
    assert_eq!(counts.calls(), [("dynamodb.put", 1), ("dynamodb.commit", 3)].into());
    assert_eq!(counts.entries(), [("dynamodb.put", 1), ("dynamodb.commit", 104)].into());
}

#[tokio::test]
async fn a_store_passes_everything_on() {
    let (counts, observer) = counted();
    let fake = Arc::new(Fake::default());
    let store = InstrumentedStore::new(fake.clone(), observer);
    let now = Timestamp::UNIX_EPOCH;
    assert_eq!(store.record_attempt("m", now).await, Ok(ATTEMPT));
    store.undo_attempt("m").await.unwrap();
    store.expired(&ExpiryQuery::new(3, Ended::by(now), 9)).await.unwrap();
    store.scan(Table::Stock, None).await.unwrap();
    store.seats(42, None, 10).await.unwrap();
    store.lines(&PoolId::Event(42), None, 10).await.unwrap();
    store.ping().await.unwrap();
    store.leases("t").await.unwrap();
    assert_eq!(store.replace_leases("t", 7, &[]).await, Ok(true));
    let asked = [
        "record_attempt m",
        "undo_attempt m",
        "expired 3 1970-01-01T00:00:00Z 9",
        "scan stock",
        "seats 42",
        "lines event#42",
        "ping",
        "leases t",
        "replace_leases t 7 0",
    ];
    assert_eq!(*fake.asked.lock().unwrap(), asked);
    assert_eq!(
        counts.calls(),
        [
            ("dynamodb.attempt", 2),
            ("dynamodb.query", 3),
            ("dynamodb.scan", 1),
            ("dynamodb.ping", 1),
            ("dynamodb.load", 1),
            ("dynamodb.put", 1)
        ]
        .into()
    );
}

#[tokio::test]
async fn what_asks_for_nothing_is_no_call() {
    let (counts, observer) = counted();
    let fake = Arc::new(Fake::default());
    let locks = InstrumentedLocks::new(fake.clone(), Arc::clone(&observer));
    locks.acquire("s", &[], Uuid::nil(), Duration::from_secs(1)).await.unwrap();
    locks.release("s", &[], Uuid::nil()).await.unwrap();
    InstrumentedQueue::new(fake.clone(), Arc::clone(&observer)).delete(&[]).await.unwrap();
    InstrumentedStore::new(fake.clone(), Arc::clone(&observer))
        .load(&LoadRequest::default())
        .await
        .unwrap();
    InstrumentedPublisher::new(fake.clone(), observer).publish(&[]).await.unwrap();
    assert_eq!(counts.total(), 0);
    assert_eq!(fake.asked.lock().unwrap().len(), 5, "the port answers all the same");
}

#[tokio::test]
async fn a_call_that_fails_is_counted_and_its_failure_passed_on() {
    let (counts, observer) = counted();
    let fake = Arc::new(Fake { failing: true, ..Fake::default() });
    let failure = PortError::Throttled("less".to_owned());
    let queue = InstrumentedQueue::new(fake.clone(), Arc::clone(&observer));
    assert_eq!(queue.receive(&request(10)).await, Err(failure.clone()));
    let names = ["a".to_owned(), "b".to_owned()];
    let locks = InstrumentedLocks::new(fake, observer);
    let answer = locks.acquire("s", &names, Uuid::nil(), Duration::from_secs(1)).await;
    assert_eq!(answer, Err(failure));
    assert_eq!(counts.calls(), [("sqs.receive", 1), ("redis.acquire", 1)].into());
    assert_eq!(counts.entries(), [("redis.acquire", 2)].into());
}

#[tokio::test(start_paused = true)]
async fn a_batch_takes_as_long_as_its_calls_in_sum() {
    let counts = Arc::new(CallCounts::default());
    let observer =
        Instrumentation::delaying(counts, LatencyModel::typical(), Arc::new(Random::seeded(1)));
    let fake = Arc::new(Fake::default());
    let queue = InstrumentedQueue::new(fake.clone(), Arc::clone(&observer));
    let locks = InstrumentedLocks::new(fake.clone(), Arc::clone(&observer));
    let store = InstrumentedStore::new(fake, observer);
    let (names, receipts) = (["a".to_owned()], [ReceiptHandle("r".to_owned())]);
    let transaction = Transaction { writes: vec![write(); 2], checks: Vec::new() };
    let began = Instant::now();
    for _ in 0..100 {
        queue.receive(&request(10)).await.unwrap();
        locks.acquire("s", &names, Uuid::nil(), Duration::from_secs(1)).await.unwrap();
        store.record_attempt("m", Timestamp::UNIX_EPOCH).await.unwrap();
        store.commit(&transaction, Uuid::nil()).await.unwrap();
        locks.release("s", &names, Uuid::nil()).await.unwrap();
        queue.delete(&receipts).await.unwrap();
    }
    // 10 + 0.5 + 8 + 12 + 0.5 + 8 ms
    assert_eq!(began.elapsed(), Duration::from_millis(3_900));
}

#[tokio::test(start_paused = true)]
async fn a_model_of_zero_does_not_even_yield() {
    let counts = Arc::new(CallCounts::default());
    let observer =
        Instrumentation::delaying(counts, LatencyModel::zero(), Arc::new(Random::seeded(1)));
    let queue = InstrumentedQueue::new(Arc::new(Fake::default()), observer);
    let request = request(1);
    let received = futures::FutureExt::now_or_never(queue.receive(&request));
    assert!(matches!(received, Some(Ok(deliveries)) if deliveries.len() == 1));
}
