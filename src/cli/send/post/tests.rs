use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::*;
use crate::{
    adapters::memory::MemoryStore,
    config::ProcessEnvironment,
    domain::GroupId,
    ports::{
        Backlog, BatchAnswer, Delivery, EntryError, LoadRequest, PortError, ReadSet, ReceiptHandle,
        ReceiveRequest,
    },
    terminal::Output,
};

/// Calls to all queues, in order: the queue and the bodies.
type Calls = Arc<Mutex<Vec<(String, Vec<String>)>>>;

/// A queue that records what it is sent, and takes all but one body.
struct RecordingQueue {
    name: String,
    calls: Calls,
    refuses: Option<&'static str>,
}

#[async_trait]
impl Queue for RecordingQueue {
    fn name(&self) -> &str {
        &self.name
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
        let bodies = messages.iter().map(|message| message.body.clone()).collect();
        self.calls.lock().unwrap().push((self.name.clone(), bodies));
        let answer = |message: &OutgoingMessage| match self.refuses == Some(message.body.as_str()) {
            true => Err(EntryError::Retryable("busy".to_owned())),
            false => Ok(String::new()),
        };
        Ok(messages.iter().map(answer).collect())
    }

    async fn limits(&self) -> Result<crate::ports::QueueLimits, PortError> {
        Ok(crate::ports::QueueLimits::default())
    }

    async fn backlog(&self) -> Result<Backlog, PortError> {
        Ok(Backlog::default())
    }
}

/// A command for that queue and group, whose body is its name.
fn routed(queue: &str, group: &str, name: &str) -> RoutedCommand {
    let body = r#"{"specversion":"1.0","id":"1","source":"/s","type":"inventory.cancel.v1","data":{"event_id":1,"reservation_id":"9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90"}}"#;
    let prepared = PreparedCommand::from_body(body.to_owned()).unwrap();
    let group = group.parse::<GroupId>().unwrap();
    let command = PreparedCommand { group, body: name.to_owned(), ..prepared };
    RoutedCommand { command, queue: queue.to_owned(), span: None }
}

/// Posts, and returns the calls, what was reported as posted, and how it ended.
async fn post(
    commands: &[RoutedCommand],
    per_message: usize,
    refuses: Option<&'static str>,
) -> (Vec<(String, String)>, String, anyhow::Result<()>) {
    let calls = Calls::default();
    let connect = async |name: &str| {
        anyhow::ensure!(name != "missing", "no queue of that name");
        Ok(RecordingQueue { name: name.to_owned(), calls: Arc::clone(&calls), refuses })
    };
    let mut reported = String::new();
    let messages = messages(commands, per_message);
    let ended = post_all(connect, &messages, |routed| {
        reported += &routed.command.body;
        Ok(())
    });
    let ended = ended.await;
    let calls =
        calls.lock().unwrap().iter().map(|(to, sent)| (to.clone(), sent.concat())).collect();
    (calls, reported, ended)
}

#[tokio::test]
async fn a_file_is_posted_in_its_own_order_across_queues() {
    let commands = [
        routed("z", "g1", "a"),
        routed("z", "g2", "b"),
        routed("a", "g3", "c"),
        routed("z", "g1", "d"),
    ];
    let (calls, reported, ended) = post(&commands, 1, None).await;
    ended.unwrap();
    let of = |queue: &str, sent: &str| (queue.to_owned(), sent.to_owned());
    assert_eq!(calls, [of("z", "ab"), of("a", "c"), of("z", "d")]);
    assert_eq!(reported, "abcd");
}

#[tokio::test]
async fn nothing_is_posted_after_a_command_that_was_not_taken() {
    let commands = [
        routed("q", "g1", "a"),
        routed("q", "g2", "b"),
        // A call of its own, as the group was in the one before.
        routed("q", "g1", "c"),
        routed("r", "g1", "d"),
    ];
    let (calls, reported, ended) = post(&commands, 1, Some("a")).await;
    assert_eq!(calls, [("q".to_owned(), "ab".to_owned())]);
    assert_eq!(reported, "b", "another group's, of the same call");
    let error = format!("{:#}", ended.unwrap_err());
    assert!(error.contains("not taken by queue q") && error.contains("busy"), "{error}");
}

#[tokio::test]
async fn nothing_is_posted_where_one_of_the_queues_is_missing() {
    let (calls, _, ended) =
        post(&[routed("q", "g", "a"), routed("missing", "g", "b")], 1, None).await;
    assert!(calls.is_empty() && ended.is_err());
}

#[test]
fn a_call_takes_ten_messages_of_different_groups_and_no_more_bytes_than_sqs_does() {
    let of_groups = |count: usize| -> Vec<RoutedCommand> {
        (0..count).map(|n| routed("q", &format!("g{n}"), "body")).collect()
    };
    let sizes = |commands: &[RoutedCommand]| -> Vec<usize> {
        batches(&messages(commands, 1)).into_iter().map(<[Message<'_>]>::len).collect()
    };
    assert_eq!(sizes(&of_groups(23)), [10, 10, 3]);
    assert!(sizes(&[]).is_empty());
    let large = |group| routed("q", group, &"x".repeat(MESSAGE_BYTES_MAX / 2));
    assert_eq!(sizes(&[large("a"), large("b"), large("c")]), [2, 1]);
}

#[tokio::test]
async fn consecutive_commands_of_one_group_and_queue_share_a_message() {
    let commands = [
        routed("q", "g1", "a"),
        routed("q", "g1", "b"),
        routed("q", "g1", "c"),
        routed("q", "g2", "d"),
        routed("q", "g1", "e"),
        routed("r", "g1", "f"),
        routed("r", "g1", "g"),
    ];
    let (calls, reported, ended) = post(&commands, 2, None).await;
    ended.unwrap();
    let of = |queue: &str, sent: &str| (queue.to_owned(), sent.to_owned());
    assert_eq!(calls, [of("q", "[a,b]"), of("q", "cd"), of("q", "e"), of("r", "[f,g]")]);
    assert_eq!(reported, "abcdefg");
}

#[tokio::test]
async fn a_message_that_was_not_taken_is_named_by_its_first_command() {
    let commands = ["a", "b", "c"].map(|name| routed("q", "g", name));
    let (_, reported, ended) = post(&commands, 100, Some("[a,b,c]")).await;
    assert_eq!(reported, "");
    let error = format!("{:#}", ended.unwrap_err());
    assert!(error.contains("command 1 and 2 more of its message, not taken by"), "{error}");
}

#[test]
fn a_message_takes_a_hundred_commands_and_200_kilobytes() {
    let sizes = |commands: &[RoutedCommand]| -> Vec<usize> {
        messages(commands, 100).iter().map(|message| message.commands.len()).collect()
    };
    let small: Vec<_> = (0..250).map(|_| routed("q", "g", "body")).collect();
    assert_eq!(sizes(&small), [100, 100, 50]);
    let large: Vec<_> = (0..3).map(|_| routed("q", "g", &"x".repeat(90_000))).collect();
    assert_eq!(sizes(&large), [2, 1]);
}

/// A ledger that cannot be read.
struct Unreadable;

#[async_trait]
impl ReadStore for Unreadable {
    async fn load(&self, _: &LoadRequest) -> Result<ReadSet, PortError> {
        Err(PortError::Unavailable("no answer".to_owned()))
    }

    async fn ping(&self) -> Result<(), PortError> {
        Ok(())
    }
}

/// What is printed of two commands without an outcome, and the error.
async fn not_waited(store: &dyn ReadStore, json: bool) -> (String, anyhow::Error) {
    let commands = [routed("q", "g", "a"), routed("q", "g", "b")];
    let ((out, kept), (errors, _)) = (Output::captured(), Output::captured());
    let context = CliContext { environment: Box::new(ProcessEnvironment), out, errors };
    let within = Duration::from_secs(1);
    let waited = wait(store, &commands, within, &ProgressBar::hidden(), |_| Ok(())).await;
    let error = unwrapped(waited.unwrap_err(), "send again", json, &context);
    (kept.text(), error)
}

#[tokio::test(start_paused = true)]
async fn commands_without_an_outcome_are_named_also_where_the_ledger_cannot_be_read() {
    let (out, error) = not_waited(&Unreadable, false).await;
    assert_eq!(out, "1  the outcome is not known\n1  the outcome is not known\n");
    let unavailable = PortError::Unavailable("no answer".to_owned());
    assert_eq!(error.downcast_ref::<PortError>(), Some(&unavailable), "the exit code is its own");
    assert!(format!("{error:#}").contains("send again"), "{error:#}");

    let (out, _) = not_waited(&Unreadable, true).await;
    let lines: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{out}");
    assert_eq!(lines[0]["pending"], serde_json::json!({ "source": "/s", "id": "1" }));
    assert_eq!(lines[0]["again"], "send again");
    assert!(lines[0]["error"].as_str().unwrap().contains("no answer"), "{out}");

    let empty = MemoryStore::new(Arc::new(SystemClock));
    let (out, error) = not_waited(&empty, true).await;
    let line: serde_json::Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!(line["waited_seconds"], 1);
    assert!(error.to_string().contains("Is a worker running?"), "{error}");
}

#[test]
fn a_restock_says_how_much_it_did_and_what_it_left_unchanged_and_why() {
    let restock = RestockSummary { seats_applied: 6, ..RestockSummary::default() };
    assert_eq!(restocked(&restock, &[]), "6 seats");
    let restock =
        RestockSummary { lines_applied: 1, seats_skipped: 1, ..RestockSummary::default() };
    let skipped = ["A-1 (BOOKED)".to_owned()];
    assert_eq!(restocked(&restock, &skipped), "1 line; 1 seat left unchanged: A-1 (BOOKED)");
    let restock =
        RestockSummary { seats_skipped: 2, lines_skipped: 1, ..RestockSummary::default() };
    let skipped = ["A-1 (BOOKED)", "A-2 (RESERVED)", "lawn"].map(str::to_owned);
    assert_eq!(
        restocked(&restock, &skipped),
        "nothing; 2 seats and 1 line left unchanged: A-1 (BOOKED), A-2 (RESERVED), lawn"
    );
}
