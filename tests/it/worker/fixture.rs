//! A worker on in-memory ports under a paused clock, and injected faults.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use inventory_worker::{
    adapters::{
        memory::{MemoryBroker, MemoryLocks, MemoryQueue, MemoryStore, MemoryTopic, TokioClock},
        system::Random,
    },
    domain::{Seat, SeatKey, Timestamp},
    ports::{
        Attempt, AttemptStore, BatchAnswer, Clock, CommitError, CommitStore, Consumed, Entropy,
        EntryError, ExpiredPage, ExpiryIndex, ExpiryQuery, HintPublisher, Lease, LeaseStore,
        Leases, LoadRequest, Locks, OutgoingMessage, PortError, Publication, Publisher, Queue,
        ReadSet, ReadStore, Transaction,
    },
    sweeper::{self, Sweeper, Turns},
    telemetry::Metrics,
    worker::{
        self, Announcer, Event, Observer, QueueKind, QueuePair, Settings, Shutdown, WorkerContext,
        trace::Tracer,
    },
};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::Instant};
use uuid::Uuid;

pub const COMMANDS: &str = "inventory-commands.fifo";
pub const EXPIRIES: &str = "inventory-expiries.fifo";

/// The fault of a port call.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The call has no effect; the environment fails.
    Fails,
    /// The call has no effect; the service throttles it.
    Throttled,
    /// The call takes effect; the answer is lost.
    LosesAnswer,
    /// Commits only: another transaction conflicts.
    Conflicts,
    /// Commits only: the store refuses the request.
    Refuses,
}

/// The faults of the next calls, in order; `None` for a call that works.
type Orders = VecDeque<Option<Fault>>;

/// The next faults of each call, by name; calls without one work.
#[derive(Clone, Default)]
pub struct Faults {
    ordered: Arc<Mutex<BTreeMap<&'static str, Orders>>>,
    refused: Arc<Mutex<Option<String>>>,
    throttled: Arc<Mutex<Option<String>>>,
    mute: Arc<Mutex<Vec<String>>>,
    damaged: Arc<Mutex<BTreeSet<String>>>,
    stale_seats: Arc<Mutex<BTreeMap<SeatKey, Seat>>>,
    down: Arc<Mutex<BTreeSet<&'static str>>>,
    slow: Arc<Mutex<BTreeMap<&'static str, Duration>>>,
    hung: Arc<Mutex<Option<(u64, Duration)>>>,
}

impl Faults {
    /// Makes every such call fail until [`Self::clear`].
    pub fn take_down(&self, call: &'static str) {
        self.down.lock().unwrap().insert(call);
    }

    /// Delays every such call by that much, until [`Self::clear`].
    pub fn slow_down(&self, call: &'static str, by: Duration) {
        self.slow.lock().unwrap().insert(call, by);
    }

    async fn pause(&self, call: &'static str) {
        let by = self.slow.lock().unwrap().get(call).copied();
        if let Some(by) = by {
            tokio::time::sleep(by).await;
        }
    }

    pub fn next(&self, call: &'static str, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.ordered.lock().unwrap().entry(call).or_default().extend(faults);
    }

    /// Makes the store refuse every transaction that contains the text.
    pub fn refuse(&self, text: &str) {
        *self.refused.lock().unwrap() = Some(text.to_owned());
    }

    /// Makes the store throttle every transaction that contains the text, until [`Self::clear`].
    pub fn throttle(&self, text: &str) {
        *self.throttled.lock().unwrap() = Some(text.to_owned());
    }

    /// Makes the topic refuse every result that contains the text.
    pub fn mute(&self, text: &str) {
        self.mute.lock().unwrap().push(text.to_owned());
    }

    fn refused_entry(&self, batch: &[Publication]) -> Option<usize> {
        let mute = self.mute.lock().unwrap();
        let is_mute = |entry: &Publication| mute.iter().any(|text| entry.body.contains(text));
        batch.iter().position(is_mute)
    }

    /// Returns each of these seats in its old state once, to the next load that names it.
    pub fn show_stale_seats(&self, seats: BTreeMap<SeatKey, Seat>) {
        *self.stale_seats.lock().unwrap() = seats;
    }

    /// Makes these seats unreadable, until [`Self::clear`].
    pub fn damage(&self, number: &str) {
        self.damaged.lock().unwrap().insert(number.to_owned());
    }

    /// Delays every load of the event's seats by that much and drops its answer, until
    /// [`Self::clear`].
    pub fn hang_event(&self, event_id: u64, by: Duration) {
        *self.hung.lock().unwrap() = Some((event_id, by));
    }

    async fn hang(&self, wanted: &LoadRequest) -> Result<(), PortError> {
        let hung = *self.hung.lock().unwrap();
        if let Some((event_id, by)) = hung
            && wanted.seats.iter().any(|key| key.event_id == event_id)
        {
            tokio::time::sleep(by).await;
            return Err(PortError::Unavailable("the partition hangs".to_owned()));
        }
        Ok(())
    }

    fn read(&self, wanted: &LoadRequest) -> Result<(), PortError> {
        let damaged = self.damaged.lock().unwrap();
        match wanted.seats.iter().find(|key| damaged.contains(key.number.as_str())) {
            Some(key) => Err(PortError::Unreadable(format!("seat {key:?}"))),
            None => Ok(()),
        }
    }

    fn make_stale(&self, loaded: &mut ReadSet) {
        let mut stale = self.stale_seats.lock().unwrap();
        for (key, seat) in &mut loaded.seats {
            if let Some(shown) = stale.remove(key) {
                *seat = Some(shown);
            }
        }
    }

    /// Removes all faults.
    pub fn clear(&self) {
        self.ordered.lock().unwrap().clear();
        self.down.lock().unwrap().clear();
        self.slow.lock().unwrap().clear();
        self.damaged.lock().unwrap().clear();
        *self.hung.lock().unwrap() = None;
        *self.refused.lock().unwrap() = None;
        *self.throttled.lock().unwrap() = None;
        self.mute.lock().unwrap().clear();
    }

    fn refuses(&self, transaction: &Transaction) -> bool {
        holds(&self.refused, transaction)
    }

    fn throttles(&self, transaction: &Transaction) -> bool {
        holds(&self.throttled, transaction)
    }

    fn take(&self, call: &'static str) -> Option<Fault> {
        if self.down.lock().unwrap().contains(call) {
            return Some(Fault::Fails);
        }
        self.ordered.lock().unwrap().get_mut(call)?.pop_front()?
    }

    async fn around<T>(
        &self,
        call: &'static str,
        work: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        let unavailable = || PortError::Unavailable(format!("{call}: ordered by the test"));
        self.pause(call).await;
        match self.take(call) {
            None => work.await,
            Some(Fault::LosesAnswer) => {
                work.await?;
                Err(unavailable())
            }
            Some(Fault::Throttled) => Err(PortError::Throttled(format!("{call}: ordered"))),
            Some(_) => Err(unavailable()),
        }
    }
}

fn holds(text: &Mutex<Option<String>>, transaction: &Transaction) -> bool {
    let text = text.lock().unwrap();
    text.as_ref().is_some_and(|text| format!("{transaction:?}").contains(text))
}

/// The calls made of the ports.
#[derive(Clone, Default)]
pub struct Seen {
    pub calls: Arc<Mutex<BTreeMap<&'static str, u64>>>,
    pub transactions: Arc<Mutex<Vec<Transaction>>>,
    /// When each call started, including receives that returned nothing.
    pub begun: Arc<Mutex<Vec<(&'static str, Instant)>>>,
    /// The attempt id of each receive.
    attempt_ids: Arc<Mutex<Vec<String>>>,
    /// The shards of the expiry index that were queried for recent ends, and when.
    pub sweeps: Arc<Mutex<Vec<(u32, Instant)>>>,
}

impl Seen {
    /// When such calls started.
    pub fn begun(&self, call: &str) -> Vec<Instant> {
        let begun = self.begun.lock().unwrap();
        begun.iter().filter(|(name, _)| *name == call).map(|(_, at)| *at).collect()
    }

    /// The attempt id of each receive so far.
    pub fn attempt_ids(&self) -> Vec<String> {
        self.attempt_ids.lock().unwrap().clone()
    }

    fn note(&self, call: &'static str) {
        self.begun.lock().unwrap().push((call, Instant::now()));
    }

    pub fn count(&self, call: &'static str) {
        if call != "receive" {
            self.note(call);
        }
        *self.calls.lock().unwrap().entry(call).or_default() += 1;
    }

    pub fn calls(&self) -> BTreeMap<&'static str, u64> {
        self.calls.lock().unwrap().clone()
    }
}

pub struct Tampered<P: ?Sized> {
    pub inner: Arc<P>,
    pub faults: Faults,
    pub seen: Seen,
}

impl<P: ?Sized> Tampered<P> {
    async fn call<T>(
        &self,
        call: &'static str,
        work: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        self.seen.count(call);
        self.faults.around(call, work).await
    }
}

#[async_trait]
impl ReadStore for Tampered<MemoryStore> {
    async fn load(&self, wanted: &LoadRequest) -> Result<ReadSet, PortError> {
        let mut loaded = self
            .call("load", async {
                self.faults.hang(wanted).await?;
                self.faults.read(wanted)?;
                self.inner.load(wanted).await
            })
            .await?;
        self.faults.make_stale(&mut loaded);
        Ok(loaded)
    }

    async fn ping(&self) -> Result<(), PortError> {
        self.inner.ping().await
    }
}

inventory_worker::forward_store!(Tampered<MemoryStore> => inner: ScanStore);

#[async_trait]
impl ExpiryIndex for Tampered<MemoryStore> {
    async fn expired(&self, query: &ExpiryQuery) -> Result<ExpiredPage, PortError> {
        if query.ended.from > Timestamp::MIN {
            self.seen.sweeps.lock().unwrap().push((query.shard, Instant::now()));
        }
        self.seen.count("expired");
        self.inner.expired(query).await
    }
}

#[async_trait]
impl CommitStore for Tampered<MemoryStore> {
    async fn commit(&self, tx: &Transaction, token: Uuid) -> Result<Consumed, CommitError> {
        self.seen.count("commit");
        self.faults.pause("commit").await;
        if self.faults.refuses(tx) {
            return Err(CommitError::Invalid("refused by the test".to_owned()));
        }
        if self.faults.throttles(tx) {
            return Err(PortError::Throttled("throttled by the test".to_owned()).into());
        }
        match self.faults.take("commit") {
            Some(Fault::Conflicts) => return Err(CommitError::Conflict("ordered".to_owned())),
            Some(Fault::Refuses) => return Err(CommitError::Invalid("ordered".to_owned())),
            Some(Fault::Throttled) => {
                return Err(PortError::Throttled("ordered by the test".to_owned()).into());
            }
            Some(Fault::Fails) => {
                return Err(PortError::Unavailable("ordered by the test".to_owned()).into());
            }
            Some(Fault::LosesAnswer) => {
                self.inner.commit(tx, token).await?;
                return Err(PortError::Unavailable("ordered by the test".to_owned()).into());
            }
            None => {}
        }
        self.seen.transactions.lock().unwrap().push(tx.clone());
        self.inner.commit(tx, token).await
    }
}

#[async_trait]
impl AttemptStore for Tampered<MemoryStore> {
    async fn record_attempt(&self, message_id: &str, now: Timestamp) -> Result<Attempt, PortError> {
        self.call("record_attempt", self.inner.record_attempt(message_id, now)).await
    }

    async fn undo_attempt(&self, message_id: &str) -> Result<(), PortError> {
        self.call("undo_attempt", self.inner.undo_attempt(message_id)).await
    }

    async fn note_dead_letter(&self, message_id: &str, now: Timestamp) -> Result<(), PortError> {
        self.call("note_dead_letter", self.inner.note_dead_letter(message_id, now)).await
    }

    async fn has_dead_letter(&self, message_id: &str) -> Result<bool, PortError> {
        self.call("has_dead_letter", self.inner.has_dead_letter(message_id)).await
    }
}

#[async_trait]
impl LeaseStore for Tampered<MemoryStore> {
    async fn leases(&self, task: &str) -> Result<Leases, PortError> {
        self.call("leases", self.inner.leases(task)).await
    }

    async fn replace_leases(
        &self,
        task: &str,
        version: u64,
        held: &[Lease],
    ) -> Result<bool, PortError> {
        self.call("replace_leases", self.inner.replace_leases(task, version, held)).await
    }
}

#[async_trait]
impl Publisher for Tampered<MemoryTopic> {
    async fn publish(&self, batch: &[Publication]) -> Result<BatchAnswer, PortError> {
        self.call("publish", async {
            // One entry of the batch fails, with or without those after it.
            if let Some(refused) = self.faults.refused_entry(batch) {
                let mut answers = match refused {
                    0 => Vec::new(),
                    _ => self.inner.publish(&batch[..refused]).await?,
                };
                answers.push(Err(EntryError::Refused("ordered by the test".to_owned())));
                let behind = Err(EntryError::Retryable("behind what was refused".to_owned()));
                answers.resize(batch.len(), behind);
                return Ok(answers);
            }
            let failing = self.faults.take("publish_entry").is_some();
            let answers = self
                .inner
                .publish(batch.get(..batch.len() - usize::from(failing)).unwrap_or_default())
                .await?;
            let failed = failing.then(|| Err(EntryError::Retryable("ordered".to_owned())));
            Ok(answers.into_iter().chain(failed).collect())
        })
        .await
    }
}

#[async_trait]
impl Locks for Tampered<MemoryLocks> {
    async fn acquire(
        &self,
        scope: &str,
        names: &[String],
        token: Uuid,
        ttl: Duration,
    ) -> Result<bool, PortError> {
        self.call("acquire", self.inner.acquire(scope, names, token, ttl)).await
    }

    async fn release(&self, scope: &str, names: &[String], token: Uuid) -> Result<(), PortError> {
        self.call("release", self.inner.release(scope, names, token)).await
    }
}

#[async_trait]
impl Queue for Tampered<MemoryQueue> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn receive(
        &self,
        request: &inventory_worker::ports::ReceiveRequest,
    ) -> Result<Vec<inventory_worker::ports::Delivery>, PortError> {
        self.seen.note("receive");
        self.seen.attempt_ids.lock().unwrap().push(request.attempt_id.clone());
        let received = self.faults.around("receive", self.inner.receive(request)).await?;
        if !received.is_empty() {
            self.seen.count("receive");
        }
        Ok(received)
    }

    async fn change_visibility(
        &self,
        changes: &[(inventory_worker::ports::ReceiptHandle, Duration)],
    ) -> Result<BatchAnswer, PortError> {
        self.call("change_visibility", self.inner.change_visibility(changes)).await
    }

    async fn delete(
        &self,
        receipts: &[inventory_worker::ports::ReceiptHandle],
    ) -> Result<BatchAnswer, PortError> {
        self.call("delete", self.inner.delete(receipts)).await
    }

    async fn send(&self, messages: &[OutgoingMessage]) -> Result<BatchAnswer<String>, PortError> {
        self.call("send", self.inner.send(messages)).await
    }

    async fn limits(&self) -> Result<inventory_worker::ports::QueueLimits, PortError> {
        self.inner.limits().await
    }

    async fn backlog(&self) -> Result<inventory_worker::ports::Backlog, PortError> {
        self.inner.backlog().await
    }
}

/// Passes events to the metrics, and records the peak of messages in flight.
pub struct TelemetryObserver {
    metrics: Arc<Metrics>,
    in_flight: AtomicI64,
    in_flight_max: AtomicI64,
    tracer: OnceLock<Box<dyn Tracer>>,
}

impl TelemetryObserver {
    /// Traces with this tracer from here on.
    pub fn trace_with(&self, tracer: impl Tracer + 'static) {
        assert!(self.tracer.set(Box::new(tracer)).is_ok(), "one tracer a world");
    }

    /// Messages in flight over all workers.
    pub fn in_flight(&self) -> i64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The peak of messages in flight over all workers.
    pub fn in_flight_max(&self) -> i64 {
        self.in_flight_max.load(Ordering::Relaxed)
    }
}

impl Observer for TelemetryObserver {
    fn observe(&self, event: &Event<'_>) {
        if let Event::InFlight(change) = event {
            let now = self.in_flight.fetch_add(*change, Ordering::Relaxed) + change;
            self.in_flight_max.fetch_max(now, Ordering::Relaxed);
        }
        self.metrics.observe(event);
    }

    fn tracer(&self) -> Option<&dyn Tracer> {
        self.tracer.get().map(|tracer| &**tracer)
    }
}

/// A worker's environment, shared by all workers of a test.
pub struct World {
    pub clock: Arc<TokioClock>,
    pub queue: Arc<MemoryQueue>,
    pub dead_letters: Arc<MemoryQueue>,
    second_queue: Arc<MemoryQueue>,
    pub expiries: Arc<MemoryQueue>,
    pub expiries_dead_letters: Arc<MemoryQueue>,
    pub store: Arc<MemoryStore>,
    pub locks: Arc<MemoryLocks>,
    pub topic: Arc<MemoryTopic>,
    /// Where workers that are started from now on announce commits, if anywhere.
    pub hints: Option<Arc<dyn HintPublisher>>,
    pub faults: Faults,
    pub seen: Seen,
    /// The calls of workers to the queue of expiries, which is counted separately.
    pub expiries_seen: Seen,
    pub metrics: Arc<Metrics>,
    pub watch: Arc<TelemetryObserver>,
    pub settings: Settings,
    pub sweeping: sweeper::Settings,
    /// Whether sweepers share the shards by leases in the tables, not by locks.
    pub has_leases: bool,
    next_id: u64,
    workers: AtomicU64,
}

impl World {
    /// Call inside a paused runtime.
    pub fn new() -> Self {
        Self::starting_at("2026-11-22T10:00:00Z")
    }

    /// A world whose clock says `now`. Call inside a paused runtime.
    pub fn starting_at(now: &str) -> Self {
        let clock = Arc::new(TokioClock::new(now.parse().unwrap()));
        let passed_on: Arc<dyn Clock> = clock.clone();
        let broker = MemoryBroker::new(Arc::clone(&passed_on));
        let metrics = Arc::new(Metrics::new().unwrap());
        let watch = TelemetryObserver {
            metrics: Arc::clone(&metrics),
            in_flight: AtomicI64::new(0),
            in_flight_max: AtomicI64::new(0),
            tracer: OnceLock::new(),
        };
        Self {
            queue: broker.queue(COMMANDS),
            dead_letters: broker.queue("inventory-commands-dlq.fifo"),
            second_queue: broker.queue("inventory-other.fifo"),
            expiries: broker.queue(EXPIRIES),
            expiries_dead_letters: broker.queue("inventory-expiries-dlq.fifo"),
            store: Arc::new(MemoryStore::new(Arc::clone(&passed_on))),
            locks: Arc::new(MemoryLocks::new(Arc::clone(&passed_on))),
            topic: Arc::new(MemoryTopic::new(passed_on)),
            hints: None,
            clock,
            faults: Faults::default(),
            seen: Seen::default(),
            expiries_seen: Seen::default(),
            metrics,
            watch: Arc::new(watch),
            settings: Settings::default(),
            sweeping: sweeper::Settings::default(),
            has_leases: false,
            next_id: 0,
            workers: AtomicU64::new(0),
        }
    }

    fn tampered<P: ?Sized>(&self, inner: &Arc<P>) -> Arc<Tampered<P>> {
        let (faults, seen) = (self.faults.clone(), self.seen.clone());
        Arc::new(Tampered { inner: Arc::clone(inner), faults, seen })
    }

    /// The queue of expiries, with its calls recorded in `seen`.
    fn expiries_of(&self, seen: &Seen) -> Arc<Tampered<MemoryQueue>> {
        let (faults, seen) = (self.faults.clone(), seen.clone());
        Arc::new(Tampered { inner: Arc::clone(&self.expiries), faults, seen })
    }

    /// A worker on this world.
    pub fn start(&self) -> Running {
        self.start_on(Vec::new())
    }

    /// A worker that also consumes a second queue, which has no faults.
    pub fn start_with_second_queue(&self) -> Running {
        let queue: Arc<dyn Queue> = self.second_queue.clone();
        let dead_letters = self.dead_letters.clone();
        self.start_on(vec![QueuePair { queue, dead_letters, kind: QueueKind::Commands }])
    }

    fn start_on(&self, others: Vec<QueuePair>) -> Running {
        let shutdown = Shutdown::default();
        // Two workers never draw the same tokens.
        let seed = self.workers.fetch_add(1, Ordering::Relaxed);
        let entropy: Arc<dyn Entropy> = Arc::new(Random::seeded(seed));
        let announcer = self.hints.clone().map_or_else(Announcer::off, |hints| {
            // Of its own, so that a worker with hints decides as one without.
            let entropy = Arc::new(Random::seeded(seed + 1_000_000));
            Announcer::new(hints, entropy, self.watch.clone())
        });
        let context = Arc::new(WorkerContext {
            store: self.tampered(&self.store),
            locks: self.tampered(&self.locks),
            publisher: self.tampered(&self.topic),
            announcer,
            clock: self.clock.clone(),
            entropy,
            observer: self.watch.clone(),
            settings: self.settings.clone(),
            shutdown: shutdown.clone(),
        });
        let mut sources = vec![
            QueuePair {
                queue: self.tampered(&self.queue),
                dead_letters: self.tampered(&self.dead_letters),
                kind: QueueKind::Commands,
            },
            QueuePair {
                queue: self.expiries_of(&self.expiries_seen),
                dead_letters: self.tampered(&self.expiries_dead_letters),
                kind: QueueKind::Expiries,
            },
        ];
        sources.extend(others);
        Running { task: tokio::spawn(worker::run(context, sources)), shutdown }
    }

    /// A sweeper on this world with its own clock, and the record of its queries.
    pub fn start_sweeper(&self, clock: Arc<dyn Clock>) -> (Running, Seen) {
        let seen = Seen::default();
        let store = Arc::new(Tampered {
            inner: Arc::clone(&self.store),
            faults: self.faults.clone(),
            seen: seen.clone(),
        });
        let turns = match self.has_leases {
            true => Turns::Leases(store.clone()),
            false => Turns::Locks(self.tampered(&self.locks)),
        };
        let sweeper = Sweeper {
            index: store,
            turns,
            queue: self.expiries_of(&seen),
            clock,
            entropy: Arc::new(Random::seeded(self.workers.fetch_add(1, Ordering::Relaxed))),
            observer: self.watch.clone(),
            settings: self.sweeping.clone(),
        };
        let shutdown = Shutdown::default();
        let stopped = shutdown.receiving.clone();
        (Running { task: tokio::spawn(async move { sweeper.run(stopped).await }), shutdown }, seen)
    }

    /// Posts a command to event 1 under the next id; returns the id.
    pub fn post(&mut self, kind: &str, data: Value) -> String {
        self.next_id += 1;
        let id = format!("c-{}", self.next_id);
        self.post_as(&id, "event-1", kind, data);
        id
    }

    pub fn post_as(&self, id: &str, group: &str, kind: &str, data: Value) {
        self.post_raw(group, &command(id, kind, data));
    }

    pub fn post_to_second_queue(&self, id: &str, group: &str, kind: &str, data: Value) {
        self.second_queue.push(&outgoing(group, &command(id, kind, data))).unwrap();
    }

    pub fn post_raw(&self, group: &str, body: &str) {
        self.queue.push(&outgoing(group, body)).unwrap();
    }

    /// The current time in the form of attributes.
    pub fn clock_now(&self) -> String {
        self.clock.now().to_string()
    }

    /// Creates the seats with a separate worker, and resets the counts.
    pub async fn with_seats(&mut self, numbers: impl IntoIterator<Item = String>) {
        let seats: Vec<Value> =
            numbers.into_iter().map(|number| json!({"seat_number": number})).collect();
        self.post("restock", json!({"seats": seats}));
        self.settle().await;
    }

    /// Creates a line of event 1.
    pub async fn with_line(&mut self, sku: &str, quantity: u64) {
        let lines = json!([{"sku": sku, "quantity": quantity}]);
        self.post("restock", json!({"mode": "set", "lines": lines}));
        self.settle().await;
    }

    /// Runs a worker until the queue is empty; counts the calls from here on.
    pub async fn settle_keeping_record(&self) {
        self.seen.begun.lock().unwrap().clear();
        let running = self.start();
        self.until_empty().await;
        running.stop().await;
    }

    /// Runs a worker until the queue is empty, and resets the counts.
    pub async fn settle(&self) {
        let running = self.start();
        self.until_empty().await;
        running.stop().await;
        self.seen.calls.lock().unwrap().clear();
        self.seen.transactions.lock().unwrap().clear();
    }

    /// Waits until every message has been deleted.
    pub async fn until_empty(&self) {
        until(|| self.queue.depth() == 0 && self.expiries.depth() == 0).await;
    }

    /// The results so far, in order, without those of set-up such as [`World::with_seats`].
    pub fn results(&self) -> Vec<Value> {
        let published = self.topic.published();
        let values = published.iter().map(|result| serde_json::from_str(&result.body).unwrap());
        let each = values.flat_map(|value| match value {
            Value::Array(results) => results,
            result => vec![result],
        });
        each.collect()
    }

    /// A metric of all workers so far, by its name and labels as at `/metrics`.
    pub fn figure(&self, name: &str) -> f64 {
        let text = self.metrics.encode().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("there is no {name} in\n{text}")).parse().unwrap()
    }

    /// The results as (command id, type or rejection code), in order.
    pub fn outcomes(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.results()
            .iter()
            .map(|result| {
                let data = &result["data"];
                let code = text(&data["rejection"]["code"]);
                let kind = text(&result["type"]);
                (text(&data["command"]["id"]), if code.is_empty() { kind } else { code })
            })
            .collect()
    }
}

fn command(id: &str, kind: &str, mut data: Value) -> String {
    if data.get("store_id").is_none() && data.get("event_id").is_none() {
        data["event_id"] = json!(1);
    }
    let body = json!({
        "specversion": "1.0", "id": id, "source": "/test",
        "type": format!("inventory.{kind}.v1"), "data": data,
    });
    body.to_string()
}

fn outgoing(group: &str, body: &str) -> OutgoingMessage {
    OutgoingMessage {
        group: group.parse().unwrap(),
        body: body.to_owned(),
        deduplication_id: None,
        attributes: BTreeMap::new(),
    }
}

pub struct Running {
    pub task: JoinHandle<()>,
    pub shutdown: Shutdown,
}

impl Running {
    /// Stops gracefully.
    pub async fn stop(self) {
        self.shutdown.receiving.cancel();
        self.task.await.unwrap();
    }

    /// Aborts at once.
    pub async fn crash(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// Waits for a condition, on the paused clock, for at most a day of its time.
pub async fn until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(86_400);
    while !condition() {
        assert!(Instant::now() < deadline, "the condition never came about");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
