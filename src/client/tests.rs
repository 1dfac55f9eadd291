use std::{
    collections::BTreeMap,
    sync::{Mutex, OnceLock},
};

use async_trait::async_trait;

use super::*;
use crate::{
    adapters::{
        memory::{MemoryQueue, MemoryStore, TokioClock},
        system::Random,
    },
    domain::{
        Cancel, Changes, Command, CommandType, Outcome, Rejection, RejectionCode, ReservationId,
        Timestamp,
    },
    message::{AnsweredCommand, ResultMessage, encode_result},
    ports::{
        Backlog, BatchAnswer, Delivery, EntryError, LedgerKey, LedgerRecord, OutgoingMessage,
        PortError, QueueLimits, ReceiptHandle, ReceiveRequest, Record,
    },
};

const LIMITS: ClientLimits = ClientLimits { in_flight: 4, deadline: Duration::from_secs(30) };
const POLLING: LedgerPolling =
    LedgerPolling { interval: Duration::from_millis(200), within: Duration::from_secs(5) };

fn clock() -> Arc<dyn Clock> {
    Arc::new(TokioClock::new(Timestamp::UNIX_EPOCH))
}

fn client(queue: &Arc<dyn Queue>, limits: ClientLimits) -> Client {
    let (commands, restocks) = (Arc::clone(queue), Arc::clone(queue));
    let entropy = Arc::new(Random::seeded(1));
    Client::new(ClientPorts { commands, restocks, clock: clock(), entropy }, limits)
}

fn key(id: &str) -> CommandKey {
    CommandKey { source: "/s".parse().unwrap(), id: id.parse().unwrap() }
}

/// A cancel, whose content is the reservation's number.
fn cancel(client: &Client, id: &str, content: u128) -> PreparedCommand {
    let action = Action::Cancel(Cancel::new(ReservationId(uuid::Uuid::from_u128(content))));
    client.prepare(key(id), PoolId::Event(1), None, action).unwrap()
}

fn rejected(code: RejectionCode) -> Outcome {
    Outcome::Rejected { rejection: Rejection::new(code, "no") }
}

/// The result of a command as a worker publishes it.
fn result_of(command: &Command, code: RejectionCode) -> DecodedResult {
    let (command_key, digest) = (command.key.clone(), command.digest);
    let time = Timestamp::UNIX_EPOCH;
    let outcome = rejected(code);
    DecodedResult {
        id: result_id(&command_key, outcome.rejection(), digest, time),
        time,
        command: AnsweredCommand { key: command_key, command_type: None, sequence: None },
        pool: Some(command.pool.clone()),
        outcome,
        changes: Changes::NONE,
        traceparent: None,
    }
}

const NOT_FOUND: RejectionCode = RejectionCode::ReservationNotFound;

/// Lets every ready task run.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// A queue that answers sends with a function of the test.
struct ScriptedQueue<F>(F);

#[async_trait]
impl<F> Queue for ScriptedQueue<F>
where
    F: Fn(&[OutgoingMessage]) -> Result<BatchAnswer<String>, PortError> + Send + Sync,
{
    fn name(&self) -> &str {
        "scripted"
    }

    async fn receive(&self, _: &ReceiveRequest) -> Result<Vec<Delivery>, PortError> {
        Ok(Vec::new())
    }

    async fn change_visibility(
        &self,
        _: &[(ReceiptHandle, Duration)],
    ) -> Result<BatchAnswer, PortError> {
        Ok(Vec::new())
    }

    async fn delete(&self, _: &[ReceiptHandle]) -> Result<BatchAnswer, PortError> {
        Ok(Vec::new())
    }

    async fn send(&self, messages: &[OutgoingMessage]) -> Result<BatchAnswer<String>, PortError> {
        // A call takes some time.
        tokio::time::sleep(Duration::from_millis(10)).await;
        (self.0)(messages)
    }

    async fn limits(&self) -> Result<QueueLimits, PortError> {
        Ok(QueueLimits::default())
    }

    async fn backlog(&self) -> Result<Backlog, PortError> {
        Ok(Backlog::default())
    }
}

fn all_taken(messages: &[OutgoingMessage]) -> BatchAnswer<String> {
    messages.iter().map(|_| Ok("id".to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_request_posts_its_command_once_and_gives_its_result() {
    let memory = Arc::new(MemoryQueue::new("q", clock()));
    let queue: Arc<dyn Queue> = memory.clone();
    let client = client(&queue, LIMITS);
    let command = cancel(&client, "1", 1);
    let result = result_of(&command.command, NOT_FOUND);
    let answering = async {
        settle().await;
        assert_eq!(client.deliver(result.clone()), None);
        assert_eq!(client.deliver(result.clone()), Some(result.clone()), "a repetition");
    };
    let reply = tokio::select! {
        biased;
        (reply, ()) = async { tokio::join!(client.request(&command), answering) } => reply,
        () = client.run() => unreachable!(),
    };
    let reply = reply.unwrap();
    assert_eq!(reply.result, result);
    assert_eq!(reply.took, Duration::from_millis(1));
    let posted = memory.messages();
    assert_eq!(posted.len(), 1);
    assert_eq!(posted[0].body, command.body);
    assert_eq!(client.waiters.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_waiter_is_registered_before_the_post() {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    // The result arrives before the answer to the post.
    let queue: Arc<dyn Queue> = Arc::new(ScriptedQueue(|messages: &[OutgoingMessage]| {
        let command = PreparedCommand::from_body(messages[0].body.clone()).unwrap().command;
        let stray = CLIENT.get().unwrap().deliver(result_of(&command, NOT_FOUND));
        assert_eq!(stray, None);
        Ok(all_taken(messages))
    }));
    let client = CLIENT.get_or_init(|| client(&queue, LIMITS));
    let command = cancel(client, "1", 1);
    let reply = tokio::select! {
        biased;
        reply = client.request(&command) => reply.unwrap(),
        () = client.run() => unreachable!(),
    };
    assert_eq!(reply.result.command.key, key("1"));
}

#[tokio::test(start_paused = true)]
async fn a_retry_keeps_identity_and_content_and_passes_the_queues_deduplication() {
    let memory = Arc::new(MemoryQueue::new("q", clock()));
    let queue: Arc<dyn Queue> = memory.clone();
    let client = client(&queue, LIMITS);
    let command = cancel(&client, "1", 1);
    let posting = async {
        let first = client.post(&command).await.unwrap();
        let dropped = client.post(&command).await.unwrap();
        assert_eq!(first.message_id, dropped.message_id);
        assert_eq!(memory.depth(), 1);
        client.post_again(&command).await.unwrap();
        client.post_again(&command).await.unwrap();
    };
    tokio::select! {
        biased;
        () = posting => {}
        () = client.run() => unreachable!(),
    }
    let posted = memory.messages();
    assert_eq!(posted.len(), 3);
    for message in posted {
        let read = PreparedCommand::from_body(message.body.clone()).unwrap();
        assert_eq!(read.command, command.command);
        assert_eq!(message.group, command.group);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passes_is_reported_with_the_id() {
    let queue: Arc<dyn Queue> = Arc::new(MemoryQueue::new("q", clock()));
    let client = client(&queue, LIMITS);
    let command = cancel(&client, "late", 1);
    let begun = Instant::now();
    let error = tokio::select! {
        biased;
        reply = client.request(&command) => reply.unwrap_err(),
        () = client.run() => unreachable!(),
    };
    assert_eq!(begun.elapsed(), LIMITS.deadline);
    let (late, within) = (key("late"), LIMITS.deadline);
    assert_eq!(error, RequestError::DeadlinePassed { key: late, within });
    assert_eq!(error.to_string(), "command /s late: no result within 30 s");
    assert_eq!(client.waiters.len(), 0, "no waiter is left behind");
    let result = result_of(&command.command, NOT_FOUND);
    assert_eq!(client.deliver(result.clone()), Some(result));
}

#[tokio::test(start_paused = true)]
async fn a_command_that_the_queue_does_not_take_is_reported_with_the_id() {
    let entry = || EntryError::Refused("too long".to_owned());
    let throttled = || PortError::Throttled("slow down".to_owned());
    for (answer, error) in [
        (Ok(vec![Err(entry())]), PostError::Entry(entry())),
        (Err(throttled()), PostError::Call(throttled())),
        (Ok(Vec::new()), PostError::Entry(EntryError::Retryable("no answer".to_owned()))),
    ] {
        let queue: Arc<dyn Queue> =
            Arc::new(ScriptedQueue(move |_: &[OutgoingMessage]| answer.clone()));
        let client = client(&queue, LIMITS);
        let command = cancel(&client, "1", 1);
        let reply = tokio::select! {
            biased;
            reply = client.request(&command) => reply,
            () = client.run() => unreachable!(),
        };
        assert_eq!(reply.unwrap_err(), RequestError::NotPosted { key: key("1"), error });
        assert_eq!(client.waiters.len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_than_allowed_await_their_results() {
    let memory = Arc::new(MemoryQueue::new("q", clock()));
    let queue: Arc<dyn Queue> = memory.clone();
    let client = client(&queue, ClientLimits { in_flight: 1, ..LIMITS });
    let (first, second) = (cancel(&client, "1", 1), cancel(&client, "2", 2));
    let answering = async {
        settle().await;
        assert_eq!(memory.messages().len(), 1, "the second waits for its turn");
        client.deliver(result_of(&first.command, NOT_FOUND));
        settle().await;
        assert_eq!(memory.messages().len(), 2);
        client.deliver(result_of(&second.command, NOT_FOUND));
    };
    let requests =
        async { tokio::join!(client.request(&first), client.request(&second), answering) };
    tokio::select! {
        biased;
        (first, second, ()) = requests => {
            first.unwrap();
            second.unwrap();
        }
        () = client.run() => unreachable!(),
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_other_content_under_the_same_id_wakes_no_one() {
    let queue: Arc<dyn Queue> = Arc::new(MemoryQueue::new("q", clock()));
    let client = client(&queue, LIMITS);
    let (own, other) = (cancel(&client, "1", 1), cancel(&client, "1", 2));
    assert_ne!(own.command.digest, other.command.digest);
    let pending = client.register(&key("1"), Some(own.command.digest)).unwrap();
    let Err(error) = client.register(&key("1"), None) else { panic!("two await one identity") };
    assert_eq!(error, RequestError::AlreadyAwaited { key: key("1") });
    let of_other = result_of(&other.command, RejectionCode::CommandIdReused);
    assert_eq!(client.deliver(of_other.clone()), Some(of_other));
    let of_own = result_of(&own.command, RejectionCode::CommandIdReused);
    assert_eq!(client.deliver(of_own.clone()), None);
    assert_eq!(client.result_of(&key("1"), pending).await.unwrap(), of_own);
}

#[tokio::test(start_paused = true)]
async fn what_is_posted_during_a_call_shares_the_next_one() {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let sizes = Arc::clone(&calls);
    let queue: Arc<dyn Queue> = Arc::new(ScriptedQueue(move |messages: &[OutgoingMessage]| {
        sizes.lock().unwrap().push(messages.len());
        Ok(all_taken(messages))
    }));
    let client = client(&queue, ClientLimits { in_flight: 100, ..LIMITS });
    let commands: Vec<_> =
        (0..100).map(|number| cancel(&client, &format!("{number}"), number)).collect();
    let posts = futures::future::join_all(commands.iter().map(|command| client.post(command)));
    let posted = tokio::select! {
        biased;
        posted = posts => posted,
        () = client.run() => unreachable!(),
    };
    assert!(posted.iter().all(Result::is_ok));
    assert_eq!(*calls.lock().unwrap(), [10; 10]);
}

#[test]
fn a_command_that_the_worker_would_refuse_is_not_prepared() {
    let queue: Arc<dyn Queue> = Arc::new(MemoryQueue::new("q", clock()));
    let client = client(&queue, LIMITS);
    let action = cancel(&client, "1", 1).command.action;
    let source = "/inventory-worker/sweeper".parse().unwrap();
    let reserved = CommandKey { source, ..key("1") };
    let error = client.prepare(reserved, PoolId::Event(1), None, action).unwrap_err();
    assert!(error.to_string().contains("reserved to workers"), "{error}");
    assert!(PreparedCommand::from_body("{}".to_owned()).is_err());
}

#[test]
fn a_trace_goes_beside_a_body_that_carries_none() {
    let body = |more: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"1","source":"/s","type":"inventory.cancel.v1"{more},"data":{{"event_id":1,"reservation_id":"9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90"}}}}"#
        )
    };
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let context: crate::message::TraceContext = parent.parse().unwrap();
    let context = context.with_tracestate(Some("a=1"));
    let with = |body| PreparedCommand::from_body(body).unwrap().with_trace(Some(&context));
    let beside = with(body("")).message().attributes;
    let expected = [("traceparent", parent), ("tracestate", "a=1")];
    assert_eq!(beside, expected.map(|(name, value)| (name.to_owned(), value.into())).into());
    let own = format!(r#","traceparent":"{parent}""#);
    assert_eq!(with(body(&own)).message().attributes, BTreeMap::new());
}

/// The ledger's entry of a command, with its own digest or another.
fn entry(command: &PreparedCommand, digest: Digest) -> Record {
    let record = LedgerRecord::Outcome {
        digest,
        command_type: CommandType::Cancel,
        pool: PoolId::Event(1),
        outcome: rejected(NOT_FOUND),
        changes: Changes::NONE,
        decided_at: Timestamp::UNIX_EPOCH,
    };
    Record::Ledger(LedgerKey::Command(command.command.key.clone()), record)
}

fn intent(command: &PreparedCommand) -> Record {
    let (digest, chunk_ends) = (command.command.digest, vec![1]);
    let record = LedgerRecord::Intent { digest, chunk_ends, decided_at: Timestamp::UNIX_EPOCH };
    Record::Ledger(LedgerKey::Command(command.command.key.clone()), record)
}

fn three_commands() -> [PreparedCommand; 3] {
    let queue: Arc<dyn Queue> = Arc::new(MemoryQueue::new("q", clock()));
    let client = client(&queue, LIMITS);
    [cancel(&client, "1", 1), cancel(&client, "2", 2), cancel(&client, "3", 3)]
}

#[tokio::test(start_paused = true)]
async fn outcomes_come_from_the_ledger_as_they_are_decided() {
    let store = MemoryStore::new(clock());
    let commands = three_commands();
    let [first, second, third] = &commands;
    store.insert([entry(second, second.command.digest), intent(third)]);
    let awaited = commands.iter().map(|prepared| &prepared.command);
    let mut wait = LedgerWait::new(&store, awaited, POLLING);
    let decided = LedgerOutcome::Decided(Box::new(DecidedOutcome {
        outcome: rejected(NOT_FOUND),
        changes: Changes::NONE,
        decided_at: Timestamp::UNIX_EPOCH,
    }));
    assert_eq!(wait.next().await.unwrap(), [(1, decided.clone())]);
    assert_eq!(wait.pending(), 2, "an intent is no outcome");
    let begun = Instant::now();
    let deciding = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let entries = [first, third].map(|command| entry(command, command.command.digest));
        store.insert(entries);
    };
    let (next, ()) = tokio::join!(wait.next(), deciding);
    assert_eq!(next.unwrap(), [(0, decided.clone()), (2, decided)]);
    assert_eq!(begun.elapsed(), Duration::from_millis(400), "two looks later");
    assert_eq!(wait.next().await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_was_used_for_other_content_is_reported_as_such() {
    let store = MemoryStore::new(clock());
    let [command, other, _] = three_commands();
    store.insert([entry(&command, other.command.digest)]);
    let mut wait = LedgerWait::new(&store, [&command.command], POLLING);
    assert_eq!(wait.next().await.unwrap(), [(0, LedgerOutcome::IdReused)]);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_the_ledger_names_the_commands_without_an_outcome() {
    let store = MemoryStore::new(clock());
    let commands = three_commands();
    store.insert([entry(&commands[1], commands[1].command.digest)]);
    let awaited = commands.iter().map(|prepared| &prepared.command);
    let mut wait = LedgerWait::new(&store, awaited, POLLING);
    let begun = Instant::now();
    assert_eq!(wait.next().await.unwrap().len(), 1);
    let error = wait.next().await.unwrap_err();
    assert_eq!(begun.elapsed(), POLLING.within);
    let (pending, within) = (vec![key("1"), key("3")], POLLING.within);
    assert_eq!(error, LedgerWaitError::DeadlinePassed { pending, within });
    assert_eq!(error.to_string(), "2 commands without an outcome after 5 s");
}

#[tokio::test(start_paused = true)]
async fn a_subscription_hands_over_every_result_once_and_names_what_it_cannot_read() {
    let memory = Arc::new(MemoryQueue::new("results", clock()));
    let queue: Arc<dyn Queue> = memory.clone();
    let subscription = ResultSubscription::new(queue, Arc::new(Random::seeded(2)));
    let [command, ..] = three_commands();
    let command = &command.command;
    let publication = encode_result(&ResultMessage {
        key: &command.key,
        command_type: "inventory.cancel.v1",
        sequence: None,
        group: &"g".parse().unwrap(),
        pool: Some(&command.pool),
        outcome: &rejected(NOT_FOUND),
        changes: &Changes::NONE,
        decided_at: Timestamp::UNIX_EPOCH,
        message_digest: command.digest,
        traceparent: None,
    });
    for body in [publication.body.as_str(), "no result"] {
        let (group, attributes) = ("g".parse().unwrap(), BTreeMap::new());
        let body = body.to_owned();
        memory.push(&OutgoingMessage { group, body, deduplication_id: None, attributes }).unwrap();
    }
    let mut received = Vec::new();
    let reading = subscription.run(|result| received.push(result));
    assert!(tokio::time::timeout(Duration::from_secs(300), reading).await.is_err());
    assert_eq!(received.len(), 2);
    let result = received[0].as_ref().unwrap();
    assert_eq!((result.id, &result.command.key), (publication.id, &command.key));
    let error = received[1].as_ref().unwrap_err().to_string();
    assert!(error.starts_with("message: expected JSON"), "{error}");
    assert_eq!(memory.depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_is_posted_though_nobody_waits_for_it() {
    let memory = Arc::new(MemoryQueue::new("commands.fifo", clock()));
    let queue: Arc<dyn Queue> = memory.clone();
    let client = client(&queue, LIMITS);
    for number in 0..LIMITS.in_flight {
        drop(client.accept_again(&cancel(&client, &number.to_string(), 1)).unwrap());
    }
    let full = client.accept_again(&cancel(&client, "more", 1)).err();
    assert_eq!(full, Some(PostError::Full));
    tokio::select! {
        () = client.run() => unreachable!(),
        () = client.flushed() => {}
    }
    assert_eq!(memory.depth(), LIMITS.in_flight);
}
