use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use async_trait::async_trait;
use tokio::{task::JoinSet, time::sleep};

use super::*;
use crate::{
    adapters::{
        memory::{MemoryQueue, MemoryStore, TokioClock},
        system::Random,
    },
    domain::{Changes, Outcome, Rejection, RejectionCode, RestockSummary},
    gateway::{
        Scopes,
        limits::Lane,
        observer::{AnsweredRequest, ShedReason, StressOutcome},
        streams::StreamKind,
    },
    message::decode_from_producer,
    ports::{
        Backlog, BatchAnswer, Delivery, LedgerKey, LedgerRecord, OutgoingMessage, PortError,
        QueueLimits, ReceiptHandle, ReceiveRequest, Record,
    },
};

const NOW: &str = "2026-11-29T12:00:00Z";

/// Decides what is sent to it at once; may refuse to take it, or to decide it.
struct Workers {
    queue: MemoryQueue,
    store: Arc<MemoryStore>,
    pools: Mutex<BTreeMap<String, u64>>,
    sent: AtomicU64,
    takes_none: AtomicBool,
    decides_none: AtomicBool,
    /// Every how many commands one is rejected; 0 for none.
    rejects_every: AtomicU64,
}

impl Workers {
    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn decide(&self, body: &str) {
        let command = decode_from_producer(body).unwrap().command;
        let number = self.sent.fetch_add(1, Ordering::Relaxed) + 1;
        *self.pools.lock().unwrap().entry(command.pool.to_string()).or_default() += 1;
        let every = self.rejects_every.load(Ordering::Relaxed);
        let outcome = if every > 0 && number.is_multiple_of(every) {
            let rejection = Rejection::new(RejectionCode::LimitExceeded, "no");
            Outcome::Rejected { rejection }
        } else {
            Outcome::Restocked { restock: RestockSummary::default(), reason: None, reference: None }
        };
        let record = LedgerRecord::Outcome {
            digest: command.digest,
            command_type: command.action.command_type(),
            pool: command.pool,
            outcome,
            changes: Changes::NONE,
            decided_at: NOW.parse().unwrap(),
        };
        if !self.decides_none.load(Ordering::Relaxed) {
            self.store.insert([Record::Ledger(LedgerKey::Command(command.key), record)]);
        }
    }
}

#[async_trait]
impl Queue for Workers {
    fn name(&self) -> &str {
        "restock.fifo"
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
        if self.takes_none.load(Ordering::Relaxed) {
            return Err(PortError::Unavailable("no".to_owned()));
        }
        messages.iter().for_each(|message| self.decide(&message.body));
        Ok(messages.iter().map(|_| Ok("id".to_owned())).collect())
    }

    async fn limits(&self) -> Result<QueueLimits, PortError> {
        self.queue.limits().await
    }

    async fn backlog(&self) -> Result<Backlog, PortError> {
        self.queue.backlog().await
    }
}

/// Two cores. Each command that was sent has taken 20 ms of one of them.
struct Cores(Arc<Workers>);

impl ProcessorTime for Cores {
    fn used(&self) -> Duration {
        Duration::from_millis(20 * self.0.sent())
    }

    fn cores(&self) -> usize {
        2
    }
}

#[derive(Default)]
struct Counted(Mutex<BTreeMap<&'static str, u64>>);

impl Counted {
    fn count(&self, what: &'static str) {
        *self.0.lock().unwrap().entry(what).or_default() += 1;
    }
}

impl RequestObserver for Counted {
    fn answered(&self, _: &AnsweredRequest<'_>) {}

    fn shed(&self, _: ShedReason) {}

    fn in_flight(&self, _: Lane, _: i64) {}

    fn streams(&self, _: StreamKind, _: i64) {}

    fn stress_posted(&self) {
        self.count("posted");
    }

    fn stressed(&self, outcome: StressOutcome) {
        self.count(outcome.as_str());
    }

    fn stress_cpu(&self, percent: f64) {
        assert!(percent >= 0.0, "{percent}");
        self.count("cpu");
    }
}

struct Gateway {
    workers: Arc<Workers>,
    counted: Arc<Counted>,
    stress: Arc<Stress>,
    _running: JoinSet<()>,
}

impl Gateway {
    fn start() -> Self {
        Self::with_limit(100_000)
    }

    fn with_limit(commands_max: u64) -> Self {
        let clock = Arc::new(TokioClock::new(NOW.parse().unwrap()));
        let store = Arc::new(MemoryStore::new(clock.clone()));
        let workers = Arc::new(Workers {
            queue: MemoryQueue::new("restock.fifo", clock.clone()),
            store: Arc::clone(&store),
            pools: Mutex::default(),
            sent: AtomicU64::new(0),
            takes_none: AtomicBool::new(false),
            decides_none: AtomicBool::new(false),
            rejects_every: AtomicU64::new(0),
        });
        let counted = Arc::new(Counted::default());
        let parts = StressParts {
            restocks: workers.clone(),
            store,
            clock,
            entropy: Arc::new(Random::seeded(1)),
            processor: Arc::new(Cores(Arc::clone(&workers))),
            observer: counted.clone(),
        };
        let stress = Arc::new(Stress::new(parts, commands_max));
        let mut running = JoinSet::new();
        let played = Arc::clone(&stress);
        running.spawn(async move { played.run().await });
        Self { workers, counted, stress, _running: running }
    }

    fn begin(&self, request: PlanRequest) -> Result<RunReport, StressError> {
        self.stress.begin(&Caller::local(), &request)
    }

    fn report(&self, id: RunId) -> RunReport {
        self.stress.report(&Caller::local(), id).unwrap()
    }

    /// The report once the run has ended.
    async fn ended(&self, id: RunId) -> RunReport {
        for _ in 0..7_000 {
            let report = self.report(id);
            if report.state != RunState::Running {
                return report;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("{:?}", self.report(id));
    }
}

fn rate(duration_seconds: u64, rate: u64) -> PlanRequest {
    PlanRequest { duration_seconds, target_rate: Some(rate), ..PlanRequest::default() }
}

#[tokio::test(start_paused = true)]
async fn a_storm_posts_at_its_rate_on_its_own_stores_and_counts_what_became_of_it() {
    let gateway = Gateway::start();
    gateway.workers.rejects_every.store(10, Ordering::Relaxed);
    let begun = gateway.begin(PlanRequest { stores: Some(3), ..rate(10, 20) }).unwrap();
    assert_eq!((begun.state, begun.posted, begun.cost.commands), (RunState::Running, 0, 200));
    sleep(Duration::from_millis(5_500)).await;
    let half = gateway.report(begun.id);
    let (rate_now, cpu) = (half.rate.unwrap(), half.cpu.unwrap());
    assert!((rate_now - 20.0).abs() < 1.1 && (cpu - 20.0).abs() < 1.1, "{half:?}");
    let ended = gateway.ended(begun.id).await;
    let counts = (ended.posted, ended.completed, ended.rejected, ended.unanswered);
    assert_eq!(counts, (200, 180, 20, 0));
    assert_eq!((ended.state, ended.reason), (RunState::Finished, None));
    assert_eq!((ended.rate, ended.cpu, ended.not_posted), (None, None, 0));
    assert!(ended.ended_at.unwrap() >= "2026-11-29T12:00:09.9Z".parse().unwrap());
    let pools: BTreeSet<_> = gateway.workers.pools.lock().unwrap().keys().cloned().collect();
    let expected = (0..3).map(|number| format!("store#stress-{}-{number}", begun.id));
    assert_eq!(pools, expected.collect());
    let counted = gateway.counted.0.lock().unwrap().clone();
    let expected = [("completed", 180), ("cpu", 9), ("posted", 200), ("rejected", 20)];
    assert_eq!(counted, expected.into());
}

#[tokio::test(start_paused = true)]
async fn a_share_of_the_cores_is_found_and_kept() {
    let gateway = Gateway::start();
    let request =
        PlanRequest { duration_seconds: 120, target_cpu: Some(30), ..PlanRequest::default() };
    let begun = gateway.begin(request).unwrap();
    sleep(Duration::from_secs(60)).await;
    // 30 commands of 20 ms each second are 30 % of two cores.
    for _ in 0..30 {
        sleep(Duration::from_secs(1)).await;
        let report = gateway.report(begun.id);
        let (rate, cpu) = (report.rate.unwrap(), report.cpu.unwrap());
        assert!((rate - 30.0).abs() < 4.0 && (cpu - 30.0).abs() < 4.0, "{rate} {cpu}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_the_commands_that_it_may_post() {
    let gateway = Gateway::with_limit(70);
    let request =
        PlanRequest { duration_seconds: 600, target_cpu: Some(95), ..PlanRequest::default() };
    let begun = gateway.begin(request).unwrap();
    assert_eq!(begun.cost.commands, 70);
    let ended = gateway.ended(begun.id).await;
    assert_eq!((ended.state, ended.posted, gateway.workers.sent()), (RunState::Finished, 70, 70));
    assert!(ended.reason.unwrap().contains("all the commands"));
}

#[tokio::test(start_paused = true)]
async fn one_storm_at_a_time() {
    let gateway = Gateway::start();
    let first = gateway.begin(rate(600, 1)).unwrap();
    assert_eq!(gateway.begin(rate(1, 1)), Err(StressError::Running(first.id)));
    gateway.stress.cancel(&Caller::local(), first.id).unwrap();
    let second = gateway.begin(rate(2, 1)).unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!(gateway.ended(second.id).await.posted, 2);
    assert_eq!(gateway.report(first.id).state, RunState::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_ends_it_at_once_and_a_second_one_changes_nothing() {
    let gateway = Gateway::start();
    gateway.workers.decides_none.store(true, Ordering::Relaxed);
    let begun = gateway.begin(rate(600, 10)).unwrap();
    sleep(Duration::from_secs(3)).await;
    let cancelled = gateway.stress.cancel(&Caller::local(), begun.id).unwrap();
    assert_eq!(cancelled.state, RunState::Cancelled);
    assert!(cancelled.posted > 0 && cancelled.unanswered == cancelled.posted, "{cancelled:?}");
    let sent = gateway.workers.sent();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(gateway.workers.sent(), sent);
    assert_eq!(gateway.stress.cancel(&Caller::local(), begun.id), Ok(cancelled));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_process_ends_it_and_no_other_begins() {
    let gateway = Gateway::start();
    let begun = gateway.begin(rate(600, 10)).unwrap();
    sleep(Duration::from_secs(1)).await;
    gateway.stress.stop();
    let report = gateway.report(begun.id);
    assert_eq!((report.state, report.reason), (RunState::Cancelled, Some("the gateway stops")));
    assert_eq!(gateway.begin(rate(1, 1)), Err(StressError::Stopping));
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_takes_nothing_fails_it() {
    let gateway = Gateway::start();
    gateway.workers.takes_none.store(true, Ordering::Relaxed);
    let begun = gateway.begin(rate(600, 10)).unwrap();
    let ended = gateway.ended(begun.id).await;
    let found = (ended.state, ended.posted, ended.not_posted);
    assert_eq!(found, (RunState::Failed, 0, 20), "{ended:?}");
    assert_eq!(ended.reason, Some("the queue takes no commands"));
}

#[tokio::test(start_paused = true)]
async fn workers_that_are_gone_hold_it_at_what_may_be_in_flight() {
    let gateway = Gateway::start();
    gateway.workers.decides_none.store(true, Ordering::Relaxed);
    let begun = gateway.begin(rate(30, 1_000)).unwrap();
    sleep(Duration::from_secs(20)).await;
    assert_eq!(gateway.workers.sent(), run::IN_FLIGHT_MAX as u64);
    let ended = gateway.ended(begun.id).await;
    assert_eq!((ended.state, ended.completed), (RunState::Finished, 0));
    assert_eq!(ended.unanswered, ended.posted);
}

#[tokio::test(start_paused = true)]
async fn the_last_runs_are_remembered_and_older_ones_are_not() {
    let gateway = Gateway::start();
    let mut ids = Vec::new();
    for _ in 0..RUNS_MAX + 2 {
        let id = gateway.begin(rate(1, 1)).unwrap().id;
        gateway.ended(id).await;
        ids.push(id);
    }
    let known = |id: &RunId| gateway.stress.report(&Caller::local(), *id).is_ok();
    assert_eq!(ids.iter().map(known).collect::<Vec<_>>()[..3], [false, false, true]);
    assert!(ids[2..].iter().all(known));
    assert_eq!(gateway.stress.cancel(&Caller::local(), ids[0]), Err(StressError::NotFound));
}

#[tokio::test(start_paused = true)]
async fn a_caller_without_the_scope_may_do_nothing() {
    let gateway = Gateway::start();
    let begun = gateway.begin(rate(600, 1)).unwrap();
    let scopes: Scopes = Scope::ALL.into_iter().filter(|scope| *scope != Scope::Stress).collect();
    let caller = Caller { scopes, ..Caller::local() };
    let refused = Err(StressError::NoScope(Scope::Stress));
    assert_eq!(gateway.stress.begin(&caller, &rate(1, 1)), refused);
    assert_eq!(gateway.stress.report(&caller, begun.id), refused);
    assert_eq!(gateway.stress.cancel(&caller, begun.id), refused);
    assert_eq!(gateway.report(begun.id).state, RunState::Running);
}

#[test]
fn an_identity_has_one_form() {
    let id = RunId(0x0123_4567_89ab_cdef);
    assert_eq!((id.to_string().as_str(), "0123456789abcdef".parse()), ("0123456789abcdef", Ok(id)));
    for wrong in ["", "7", "0123456789ABCDEF", "+123456789abcdef", "0123456789abcdef0"] {
        assert!(wrong.parse::<RunId>().is_err(), "{wrong}");
    }
}
