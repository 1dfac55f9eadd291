use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use futures::FutureExt as _;

use super::*;
use crate::{
    adapters::{
        instrumented::{Call, CallCounts, Instrumentation, InstrumentedStore},
        memory::{MemoryQueue, MemoryStore, TokioClock},
        system::Random,
    },
    client::{ClientLimits, ClientPorts},
    domain::{Cancel, Reserve, Restock, RestockMode},
    gateway::{
        Scopes, caller::Sources, limits::Lane, observer::AnsweredRequest, streams::StreamKind,
    },
    message::decode_from_producer,
    ports::{Delivery, Queue, Record, queue::ReceiveRequest},
};

const WAIT: Duration = Duration::from_secs(2);
const NOW: &str = "2026-11-29T12:00:00Z";

/// A gateway's commands on memory, and a worker that decides when the test says.
pub(in crate::gateway) struct World {
    pub(in crate::gateway) commands: Arc<Commands>,
    queue: Arc<MemoryQueue>,
    store: Arc<MemoryStore>,
    shed: Arc<ShedReasons>,
    calls: Arc<CallCounts>,
    receives: AtomicU64,
}

/// Notes what is refused.
#[derive(Default)]
struct ShedReasons(Mutex<Vec<ShedReason>>);

impl RequestObserver for ShedReasons {
    fn answered(&self, _: &AnsweredRequest<'_>) {}

    fn shed(&self, reason: ShedReason) {
        self.0.lock().unwrap().push(reason);
    }

    fn in_flight(&self, _: Lane, _: i64) {}

    fn streams(&self, _: StreamKind, _: i64) {}
}

impl World {
    pub(in crate::gateway) fn start() -> Self {
        Self::with_waiters(100)
    }

    pub(in crate::gateway) fn with_waiters(waiters: usize) -> Self {
        let world = Self::stalled(waiters);
        world.run();
        world
    }

    /// Nothing is posted until [`Self::run`].
    fn stalled(waiters: usize) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::new(NOW.parse().unwrap()));
        let queue = Arc::new(MemoryQueue::new("commands.fifo", Arc::clone(&clock)));
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock)));
        let calls = Arc::new(CallCounts::default());
        let counting = Instrumentation::counting(Arc::clone(&calls));
        let counted = Arc::new(InstrumentedStore::new(store.clone(), counting));
        let entropy: Arc<dyn Entropy> = Arc::new(Random::seeded(1));
        let ports = ClientPorts {
            commands: queue.clone(),
            restocks: queue.clone(),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
        };
        let limits = ClientLimits { in_flight: 100, deadline: WAIT, commands_per_message: 100 };
        let parts = CommandParts {
            client: Client::new(ports, limits),
            outcomes: OutcomePoller::new(store.clone(), waiters),
            store: counted,
            clock,
            entropy,
        };
        let settings = CommandSettings { groups: 16, queue_age_max: Duration::from_secs(5) };
        let shed = Arc::new(ShedReasons::default());
        let commands = Arc::new(Commands::new(parts, settings).observed(shed.clone()));
        Self { commands, queue, store, shed, calls, receives: AtomicU64::new(0) }
    }

    fn run(&self) {
        let running = Arc::clone(&self.commands);
        tokio::spawn(async move { running.run().await });
    }

    /// The next posted command, once it is there.
    pub(in crate::gateway) async fn posted(&self) -> (Command, String, GroupId) {
        self.receive(1).await.pop().unwrap()
    }

    /// What is posted, once something is: at most `max` commands.
    async fn receive(&self, max: usize) -> Vec<(Command, String, GroupId)> {
        let request = ReceiveRequest {
            max,
            wait: Duration::from_secs(20),
            visibility: Duration::from_secs(1_000),
            attempt_id: self.receives.fetch_add(1, Ordering::Relaxed).to_string(),
        };
        let received = self.queue.receive(&request).await.unwrap();
        let read = |delivery: Delivery| {
            let command = decode_from_producer(&delivery.body).unwrap().command;
            (command, delivery.body, delivery.group)
        };
        received.into_iter().map(read).collect()
    }

    pub(in crate::gateway) fn decide(&self, command: &Command) {
        let rejection = Rejection::new(RejectionCode::SeatNotFound, "no seat");
        let record = LedgerRecord::Outcome {
            digest: command.digest,
            command_type: command.action.command_type(),
            pool: command.pool.clone(),
            outcome: Outcome::Rejected { rejection },
            changes: Changes::NONE,
            decided_at: NOW.parse().unwrap(),
        };
        self.store.insert([Record::Ledger(LedgerKey::Command(command.key.clone()), record)]);
    }

    pub(in crate::gateway) async fn submit(
        &self,
        caller: &Caller,
        id: &str,
        action: Action,
    ) -> Result<Answer, CommandError> {
        self.submit_on(PoolId::Event(42), caller, id, action).await
    }

    async fn submit_on(
        &self,
        pool: PoolId,
        caller: &Caller,
        id: &str,
        action: Action,
    ) -> Result<Answer, CommandError> {
        self.submit_for(Some(WAIT), pool, caller, id, action).await
    }

    /// Waits for the outcome for so long.
    async fn submit_for(
        &self,
        wait: Option<Duration>,
        pool: PoolId,
        caller: &Caller,
        id: &str,
        action: Action,
    ) -> Result<Answer, CommandError> {
        let key = self.commands.key(caller, Some(id.parse().unwrap()))?;
        let request = CommandRequest {
            key,
            has_new_id: false,
            pool,
            action,
            wait,
            group: None,
            traceparent: None,
        };
        self.commands.submit(caller, request).await
    }

    async fn event(&self, event: &str) -> Result<Answer, CommandError> {
        self.event_of(&Caller::local(), event).await
    }

    async fn event_of(&self, caller: &Caller, event: &str) -> Result<Answer, CommandError> {
        let (has_new_id, wait, traceparent) = (false, Some(WAIT), None);
        let request = EventRequest { event, has_new_id, wait, traceparent };
        let answer = self.commands.submit_event(caller, request).await;
        answer.map_err(|refused| refused.error)
    }

    pub(in crate::gateway) fn is_untouched(&self) -> bool {
        self.queue.depth() == 0
    }
}

pub(in crate::gateway) fn reserve(seat: &str) -> Action {
    Action::Reserve(Reserve {
        reservation_id: ReservationId(uuid::Uuid::from_u128(7)),
        user_id: "u".parse().unwrap(),
        seats: vec![seat.parse().unwrap()],
        lines: Vec::new(),
        hold_seconds: None,
    })
}

fn cancel() -> Action {
    Action::Cancel(Cancel::new(ReservationId(uuid::Uuid::from_u128(7))))
}

fn caller(scopes: &[Scope]) -> Caller {
    let sources = Sources::Own { prefixes: vec!["/checkout".to_owned()] };
    let scopes: Scopes = scopes.iter().copied().collect();
    Caller { subject: "shop".to_owned(), scopes, sources }
}

fn code(answer: &Answer) -> Option<RejectionCode> {
    match answer {
        Answer::Decided(decided) => decided.outcome.rejection().map(|rejection| rejection.code),
        Answer::Pending { .. } => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_is_answered_with_its_outcome() {
    let world = World::start();
    let local = Caller::local();
    let worker = async {
        let (command, _, group) = world.posted().await;
        assert_eq!(command.key.source.as_str(), "/callers/local");
        assert!(group.as_str().starts_with("event-42/"), "{group}");
        world.decide(&command);
    };
    let (answer, ()) = tokio::join!(world.submit(&local, "k1", reserve("A-1")), worker);
    assert_eq!(code(&answer.unwrap()), Some(RejectionCode::SeatNotFound));
}

#[tokio::test(start_paused = true)]
async fn a_reserve_is_not_decided_long_after_its_caller_gave_up() {
    let world = World::start();
    let local = Caller::local();
    let (answer, (command, _, _)) =
        tokio::join!(world.submit(&local, "k1", reserve("A-1")), world.posted());
    let expected = Answer::Pending {
        key: command.key.clone(),
        reservation_id: Some(ReservationId(uuid::Uuid::from_u128(7))),
    };
    assert_eq!(answer, Ok(expected));
    assert_eq!(command.deadline, Some("2026-11-29T12:00:03Z".parse().unwrap()));
    let (_, (confirm, _, _)) = tokio::join!(world.submit(&local, "k2", cancel()), world.posted());
    assert_eq!(confirm.deadline, None, "only a reserve holds anything");
}

#[tokio::test(start_paused = true)]
async fn a_repetition_of_a_decided_command_is_answered_from_the_ledger() {
    let world = World::start();
    let local = Caller::local();
    let worker = async {
        let (command, _, _) = world.posted().await;
        world.decide(&command);
    };
    let (first, ()) = tokio::join!(world.submit(&local, "k1", cancel()), worker);
    let depth = world.queue.depth();
    assert_eq!(world.submit(&local, "k1", cancel()).await, first);
    assert_eq!(world.queue.depth(), depth, "it is not posted again");
}

#[tokio::test(start_paused = true)]
async fn a_key_used_for_other_content_shows_no_other_commands_outcome() {
    let world = World::start();
    let local = Caller::local();
    let worker = async {
        let (command, _, _) = world.posted().await;
        world.decide(&command);
    };
    let (first, ()) = tokio::join!(world.submit(&local, "k1", reserve("A-1")), worker);
    assert_eq!(code(&first.unwrap()), Some(RejectionCode::SeatNotFound));
    let reused = world.submit(&local, "k1", reserve("A-2")).await.unwrap();
    assert_eq!(code(&reused), Some(RejectionCode::CommandIdReused));
}

#[tokio::test(start_paused = true)]
async fn a_retry_before_the_outcome_is_posted_past_the_queues_deduplication() {
    let world = World::start();
    let local = Caller::local();
    let _ = tokio::join!(world.submit(&local, "k1", cancel()), world.posted());
    assert_eq!(world.queue.depth(), 1);
    assert!(matches!(world.submit(&local, "k1", cancel()).await, Ok(Answer::Pending { .. })));
    assert_eq!(world.queue.depth(), 2);
}

#[tokio::test(start_paused = true)]
async fn rights_are_checked_before_anything_is_posted() {
    let world = World::start();
    let reader = caller(&[Scope::Read]);
    let restocker = caller(&[Scope::Restock]);
    let restock = Action::Restock(Restock::new(
        Vec::new(),
        vec![crate::domain::LineChange::new("x".parse().unwrap(), 1)],
        RestockMode::Set,
    ));
    let refused = |scope| Err(CommandError::NoScope(scope));
    assert_eq!(world.submit(&reader, "1", cancel()).await, refused(Scope::Command));
    assert_eq!(world.submit(&restocker, "1", cancel()).await, refused(Scope::Command));
    assert_eq!(world.submit(&reader, "1", restock.clone()).await, refused(Scope::Restock));
    assert!(world.is_untouched());
    let (answer, _) = tokio::join!(world.submit(&restocker, "1", restock), world.posted());
    assert!(matches!(answer, Ok(Answer::Pending { .. })));
}

const CANCEL_EVENT: &str = r#"{"specversion":"1.0","id":"e1","source":"/checkout/web",
    "type":"inventory.cancel.v1","data":{"event_id":42,
    "reservation_id":"00000000-0000-0000-0000-000000000007","later_field":1e2}}"#;

#[tokio::test(start_paused = true)]
async fn an_event_keeps_its_content_and_gets_what_it_lacks() {
    let world = World::start();
    let sent = decode_from_producer(CANCEL_EVENT).unwrap().command;
    let (_, (posted, body, _)) = tokio::join!(world.event(CANCEL_EVENT), world.posted());
    assert_eq!((posted.key, posted.digest), (sent.key, sent.digest));
    assert!(body.contains(r#""time":"2026-11-29T12:00:00Z""#), "{body}");

    let without = r#"{"specversion":"1.0","type":"inventory.reserve.v1","partitionkey":"g-1",
        "data":{"event_id":42,"user_id":"u","seats":["A-1"]}}"#;
    let (answer, (posted, body, group)) = tokio::join!(world.event(without), world.posted());
    assert_eq!(posted.key.source.as_str(), "/callers/local");
    assert_eq!(posted.deadline, Some("2026-11-29T12:00:05Z".parse().unwrap()), "{body}");
    assert_eq!(group.as_str(), "g-1");
    let Ok(Answer::Pending { key, reservation_id }) = answer else { panic!("{answer:?}") };
    assert_eq!(reservation_id, Some(key.default_reservation_id()));
    let id = uuid::Uuid::parse_str(key.id.as_str()).unwrap();
    assert_eq!(id.get_version_num(), 7);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_never_posted() {
    let world = World::start();
    let reserved = CANCEL_EVENT.replace("/checkout/web", "/inventory-worker/x");
    let expire = CANCEL_EVENT.replace("cancel", "expire");
    let no_group = CANCEL_EVENT.replacen('{', r#"{"partitionkey":"a b","#, 1);
    let cases = [
        ("{", RejectionCode::InvalidMessage, "message: "),
        ("[]", RejectionCode::InvalidMessage, "message: "),
        ("{}", RejectionCode::InvalidMessage, "specversion: "),
        (reserved.as_str(), RejectionCode::InvalidMessage, "source: "),
        (expire.as_str(), RejectionCode::UnsupportedType, "type: "),
        (no_group.as_str(), RejectionCode::InvalidMessage, "partitionkey: "),
    ];
    for (event, code, begins) in cases {
        let Err(CommandError::Invalid(rejection)) = world.event(event).await else {
            panic!("{event}")
        };
        assert_eq!(rejection.code, code, "{event}");
        assert!(rejection.message.starts_with(begins), "{}", rejection.message);
    }
    assert!(world.is_untouched());
}

#[tokio::test(start_paused = true)]
async fn a_caller_posts_under_its_own_sources_and_looks_up_no_others() {
    let world = World::start();
    let shop = caller(&[Scope::Command]);
    let foreign = CANCEL_EVENT.replace("/checkout/web", "/other");
    let refused = world.event_of(&shop, &foreign).await;
    assert_eq!(refused, Err(CommandError::ForeignSource));
    let own = world.event_of(&shop, CANCEL_EVENT);
    let (answer, (command, _, _)) = tokio::join!(own, world.posted());
    assert!(matches!(answer, Ok(Answer::Pending { .. })));
    assert_eq!(world.commands.lookup(&shop, &command.key).await, Ok(None));
    world.decide(&command);
    let found = world.commands.lookup(&shop, &command.key).await.unwrap().unwrap();
    assert!(matches!(found, Recorded::Decided(_)));
    let key = CommandKey { source: "/other".parse().unwrap(), id: command.key.id };
    let looked_up = world.commands.lookup(&shop, &key).await;
    assert_eq!(looked_up, Err(CommandError::ForeignSource));
}

#[tokio::test(start_paused = true)]
async fn a_lookup_tells_how_far_a_chunked_restock_is() {
    let world = World::start();
    let key = world.commands.key(&Caller::local(), Some("r".parse().unwrap())).unwrap();
    let digest = Digest([1; 32]);
    let begun: Timestamp = "2026-11-29T11:59:00Z".parse().unwrap();
    let chunk = |place: u32, begun_at| {
        let summary = crate::domain::RestockSummary::default();
        let record = LedgerRecord::Chunk { digest, begun_at, summary, decided_at: begun_at };
        Record::Ledger(LedgerKey::Chunk(key.clone(), place), record)
    };
    let intent = LedgerRecord::Intent { digest, chunk_ends: vec![98, 196, 200], decided_at: begun };
    let records = [
        Record::Ledger(LedgerKey::Command(key.clone()), intent),
        chunk(0, begun),
        chunk(1, Timestamp::UNIX_EPOCH),
    ];
    world.store.insert(records);
    let found = world.commands.lookup(&Caller::local(), &key).await;
    assert_eq!(found, Ok(Some(Recorded::Running { done: 1, chunks: 3 })));
}

/// A gateway whose commands on its event have waited for longer than they may.
pub(in crate::gateway) async fn behind(caller: &Caller) -> World {
    let world = World::start();
    for id in ["1", "2", "3"] {
        let answer = world.submit(caller, id, cancel()).await;
        assert!(matches!(answer, Ok(Answer::Pending { .. })), "{answer:?}");
    }
    world
}

#[tokio::test(start_paused = true)]
async fn reserves_are_shed_while_the_queue_is_behind_and_cancels_pass() {
    let local = Caller::local();
    let world = behind(&local).await;
    let probe = world.submit(&local, "4", reserve("A-1"));
    let shed = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        world.submit(&local, "5", reserve("A-2")).await
    };
    let (probe, shed) = tokio::join!(probe, shed);
    assert!(matches!(probe, Ok(Answer::Pending { .. })), "{probe:?}");
    assert!(matches!(shed, Err(CommandError::Behind { .. })), "{shed:?}");
    assert!(matches!(world.submit(&local, "6", cancel()).await, Ok(Answer::Pending { .. })));
    assert_eq!(*world.shed.0.lock().unwrap(), [ShedReason::QueueBehind]);
}

#[tokio::test(start_paused = true)]
async fn commands_whose_callers_do_not_wait_show_that_the_queue_is_behind() {
    let local = Caller::local();
    let world = World::start();
    let post = async |id, action| {
        let pool = PoolId::Event(42);
        world.submit_for(None, pool, &local, id, action).await
    };
    for id in ["1", "2"] {
        let answer = post(id, reserve("A-1")).await;
        assert!(matches!(answer, Ok(Answer::Pending { .. })), "{answer:?}");
    }
    assert_eq!(world.commands.oldest_age(), Some(Duration::ZERO));
    tokio::time::sleep(Duration::from_secs(6)).await;
    let probe = post("3", reserve("A-1")).await;
    assert!(matches!(probe, Ok(Answer::Pending { .. })), "{probe:?}");
    let shed = post("4", reserve("A-2")).await;
    assert!(matches!(shed, Err(CommandError::Behind { .. })), "{shed:?}");
    for (command, ..) in world.receive(10).await {
        world.decide(&command);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.commands.oldest_age(), None);
}

#[tokio::test(start_paused = true)]
async fn reserves_on_other_pools_pass_while_one_is_behind() {
    let local = Caller::local();
    let world = behind(&local).await;
    let other = PoolId::Event(43);
    let (probe, shed, one, two) = tokio::join!(
        world.submit(&local, "4", reserve("A-1")),
        world.submit(&local, "5", reserve("A-2")),
        world.submit_on(other.clone(), &local, "6", reserve("A-1")),
        world.submit_on(other, &local, "7", reserve("A-2")),
    );
    assert!(matches!(shed, Err(CommandError::Behind { .. })), "{shed:?}");
    for passed in [probe, one, two] {
        assert!(matches!(passed, Ok(Answer::Pending { .. })), "{passed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn once_the_workers_have_caught_up_all_reserves_pass() {
    let local = Caller::local();
    let world = behind(&local).await;
    let ids: Vec<String> = (4..14).map(|id| id.to_string()).collect();
    let reserves = ids.iter().map(|id| world.submit(&local, id, reserve("A-1")));
    let answers = futures::future::join_all(reserves).await;
    let shed = answers.iter().filter(|one| matches!(one, Err(CommandError::Behind { .. })));
    assert_eq!(shed.count(), 9, "all but the probe: {answers:?}");
    let posted = world.receive(10).await;
    assert_eq!(posted.len(), 4);
    posted.iter().for_each(|(command, ..)| world.decide(command));
    // Longer than a pool may be behind: none of those that were refused waits for an outcome.
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(world.commands.oldest_age(), None);
    let (one, two) = tokio::join!(
        world.submit(&local, "20", reserve("A-1")),
        world.submit(&local, "21", reserve("A-2")),
    );
    for passed in [one, two] {
        assert!(matches!(passed, Ok(Answer::Pending { .. })), "{passed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn callers_that_leave_before_their_command_is_posted_refuse_nobody() {
    let world = World::stalled(100);
    let local = Caller::local();
    let left = world.submit(&local, "1", reserve("A-1"));
    assert!(left.now_or_never().is_none(), "it waits for the queue");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(world.is_untouched());
    assert_eq!(world.commands.oldest_age(), None);
}

#[tokio::test(start_paused = true)]
async fn a_command_beyond_those_that_may_wait_is_posted_and_answered_as_pending_at_once() {
    let world = World::with_waiters(1);
    let local = Caller::local();
    let begun = Instant::now();
    let timed = async |id, action| (world.submit(&local, id, action).await, begun.elapsed());
    let ((first, waited), (second, posted)) =
        tokio::join!(timed("1", cancel()), timed("2", reserve("A-1")));
    for answer in [first, second] {
        assert!(matches!(answer, Ok(Answer::Pending { .. })), "{answer:?}");
    }
    assert_eq!((waited, posted), (WAIT, Duration::ZERO));
    assert_eq!(world.queue.depth(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_caller_is_answered_in_its_time_however_long_the_post_takes_which_goes_on() {
    let world = World::stalled(100);
    let begun = Instant::now();
    let answer = world.submit(&Caller::local(), "1", cancel()).await;
    assert!(matches!(answer, Ok(Answer::Pending { .. })), "{answer:?}");
    assert_eq!(begun.elapsed(), WAIT);
    world.run();
    assert_eq!(world.posted().await.0.key.id.as_str(), "1");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_waits_for_no_outcome_waits_for_the_post() {
    let world = World::start();
    let (local, pool, action) = (Caller::local(), PoolId::Event(42), cancel());
    let key = world.commands.key(&local, None).unwrap();
    let (wait, group, traceparent) = (Some(Duration::ZERO), None, None);
    let request = CommandRequest { key, has_new_id: true, pool, action, wait, group, traceparent };
    let answer = world.commands.submit(&local, request).await;
    assert!(matches!(answer, Ok(Answer::Pending { .. })), "{answer:?}");
    assert_eq!(world.queue.depth(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_ledger_is_read_before_the_post_where_the_id_may_have_been_used() {
    let world = World::stalled(100);
    let with_id = CANCEL_EVENT;
    let without = CANCEL_EVENT.replace(r#""id":"e1","#, "");
    for (event, reads) in [(without.as_str(), 0), (with_id, 1)] {
        let before = world.calls.calls_of(Call::Load);
        let answer = world.event(event).await;
        assert!(matches!(answer, Ok(Answer::Pending { .. })), "{answer:?}");
        assert_eq!(world.calls.calls_of(Call::Load) - before, reads, "{event}");
    }
}

#[tokio::test(start_paused = true)]
async fn at_a_drain_whoever_waits_is_answered_and_what_was_accepted_is_posted() {
    let world = World::stalled(100);
    let local = Caller::local();
    let draining = async {
        tokio::task::yield_now().await;
        world.commands.end_waits();
    };
    let begun = Instant::now();
    let (answer, ()) = tokio::join!(world.submit(&local, "1", cancel()), draining);
    assert!(matches!(answer, Ok(Answer::Pending { .. })), "{answer:?}");
    assert_eq!(begun.elapsed(), Duration::ZERO);
    world.run();
    world.commands.flushed().await;
    assert_eq!(world.queue.depth(), 1);
}

#[test]
fn a_binary_event_is_the_structured_one() {
    let attributes = [
        ("specversion", "1.0"),
        ("id", "e1"),
        ("source", "/checkout/web"),
        ("type", "inventory.cancel.v1"),
    ];
    let data = r#"{"event_id":42,"reservation_id":"00000000-0000-0000-0000-000000000007",
        "later_field":100}"#;
    let event = BinaryEvent {
        attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        content_type: "application/json",
        data,
    };
    let structured = decode_from_producer(&event.structured().unwrap()).unwrap();
    assert_eq!(structured, decode_from_producer(CANCEL_EVENT).unwrap());
}
