//! The queue on SQS when the service or the wire fails, and the requests it sends.

use std::{collections::BTreeMap, time::Duration};

use inventory_worker::{
    adapters::{
        aws::ATTEMPTS_MAX,
        bootstrap::Ensured,
        sqs::{self, SqsQueue, WAIT_MAX, bootstrap::ensure_queues},
    },
    ports::{
        Backlog, EntryError, OutgoingMessage, PortError, Queue, ReceiptHandle, ReceiveRequest,
        queue::VISIBILITY_MAX,
    },
};
use serde_json::{Value, json};

use crate::aws_wire::{Turn, Wire};

const URL: &str = "https://sqs.us-east-1.amazonaws.com/123456789012/commands.fifo";

const ATTEMPTS: usize = ATTEMPTS_MAX as usize;

fn ok(answer: &Value) -> Turn {
    Turn::Answer(200, answer.to_string())
}

fn error(status: u16, code: &str) -> Turn {
    let body = json!({ "__type": format!("com.amazonaws.sqs#{code}"), "message": "scripted" });
    Turn::Answer(status, body.to_string())
}

async fn over(script: impl IntoIterator<Item = Turn>) -> (SqsQueue, Wire) {
    let wire = Wire::new(script);
    let queue = SqsQueue::connect(sqs::client(&wire.config()), URL).await.unwrap();
    (queue, wire)
}

fn request() -> ReceiveRequest {
    ReceiveRequest {
        max: 10,
        wait: Duration::from_secs(20),
        visibility: Duration::from_secs(60),
        attempt_id: "attempt-1".to_owned(),
    }
}

fn message(body: &str) -> OutgoingMessage {
    OutgoingMessage {
        group: "g".parse().unwrap(),
        body: body.to_owned(),
        deduplication_id: None,
        attributes: BTreeMap::new(),
    }
}

fn receipts(count: usize) -> Vec<ReceiptHandle> {
    (0..count).map(|number| ReceiptHandle(format!("r-{number}"))).collect()
}

fn failed(id: &str, code: &str, sender_fault: bool) -> Value {
    json!({ "Id": id, "Code": code, "Message": "scripted", "SenderFault": sender_fault })
}

/// The requests sent, as JSON.
fn sent(wire: &Wire) -> Vec<Value> {
    wire.take_sent().iter().map(|sent| serde_json::from_str(&sent.body).unwrap()).collect()
}

fn operations(wire: &Wire) -> Vec<String> {
    wire.take_sent().into_iter().map(|sent| sent.operation).collect()
}

#[tokio::test(start_paused = true)]
async fn a_receive_asks_for_everything_a_delivery_needs() {
    let (queue, wire) = over([ok(&json!({}))]).await;
    assert_eq!(queue.receive(&request()).await, Ok(vec![]));
    let sent = &sent(&wire)[0];
    assert_eq!(sent["QueueUrl"], URL);
    assert_eq!(sent["MaxNumberOfMessages"], 10);
    assert_eq!(sent["WaitTimeSeconds"], 20);
    assert_eq!(sent["VisibilityTimeout"], 60);
    assert_eq!(sent["ReceiveRequestAttemptId"], "attempt-1");
    assert_eq!(sent["MessageAttributeNames"], json!(["All"]));
    let wanted = ["MessageGroupId", "SequenceNumber", "SentTimestamp", "ApproximateReceiveCount"];
    assert_eq!(sent["MessageSystemAttributeNames"], json!(wanted));
}

#[tokio::test(start_paused = true)]
async fn a_receive_whose_answer_was_lost_is_repeated_under_the_same_attempt_id() {
    let (queue, wire) = over([Turn::Drop, ok(&json!({}))]).await;
    assert_eq!(queue.receive(&request()).await, Ok(vec![]));
    let sent = sent(&wire);
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0], sent[1]);
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_is_waited_for_longer_than_it_lasts() {
    let (queue, wire) = over([Turn::Silence]).await;
    let request = ReceiveRequest { wait: WAIT_MAX, ..request() };
    let receive = queue.receive(&request);
    tokio::pin!(receive);
    let first = tokio::time::timeout(WAIT_MAX + Duration::from_secs(1), &mut receive).await;
    assert!(first.is_err(), "gave up while the poll was running: {first:?}");
    assert_eq!(wire.take_sent().len(), 1, "repeated while the poll was running");
    assert!(matches!(receive.await, Err(PortError::Unavailable(_))), "gives up in the end");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_answered_ends() {
    let (queue, wire) = over([Turn::Silence]).await;
    assert!(matches!(queue.delete(&receipts(1)).await, Err(PortError::Unavailable(_))));
    assert_eq!(wire.take_sent().len(), ATTEMPTS);
}

#[tokio::test(start_paused = true)]
async fn a_message_without_a_group_is_an_error_that_says_so() {
    let message = json!({
        "MessageId": "m-1", "ReceiptHandle": "r-1", "Body": "secret",
        "Attributes": { "SentTimestamp": "1795341600123", "ApproximateReceiveCount": "1" },
    });
    let (queue, _) = over([ok(&json!({ "Messages": [message] }))]).await;
    let error = queue.receive(&request()).await.unwrap_err();
    assert!(matches!(error, PortError::Refused(_)));
    let text = error.to_string();
    assert!(text.contains("MessageGroupId") && text.contains("commands.fifo"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn every_entry_of_a_delete_has_its_own_answer() {
    let (queue, _) = over([ok(&json!({
        "Successful": [{ "Id": "4" }, { "Id": "0" }],
        "Failed": [
            failed("3", "InternalError", false),
            failed("1", "ReceiptHandleIsInvalid", true),
        ],
    }))])
    .await;
    let answers = queue.delete(&receipts(5)).await.unwrap();
    assert_eq!(answers.len(), 5);
    assert_eq!(answers[0], Ok(()));
    assert_eq!(answers[1], Err(EntryError::LeaseLost));
    assert!(matches!(answers[2], Err(EntryError::Retryable(_))), "no answer: {answers:?}");
    assert!(matches!(answers[3], Err(EntryError::Retryable(_))), "{answers:?}");
    assert_eq!(answers[4], Ok(()));
}

#[tokio::test(start_paused = true)]
async fn every_entry_of_a_visibility_change_has_its_own_answer() {
    let expired = json!({
        "Id": "2", "Code": "InvalidParameterValue", "SenderFault": true,
        "Message": "Value r-2 for parameter ReceiptHandle is invalid. Reason: The receipt handle \
                    has expired.",
    });
    let (queue, wire) = over([ok(&json!({
        "Successful": [{ "Id": "0" }],
        "Failed": [
            failed("1", "AWS.SimpleQueueService.MessageNotInflight", true),
            expired,
            failed("3", "RequestThrottled", true),
        ],
    }))])
    .await;
    let by = [Duration::ZERO, Duration::from_millis(500), Duration::from_secs(60), VISIBILITY_MAX];
    let changes: Vec<_> = receipts(5).into_iter().zip(by.into_iter().chain([by[0]])).collect();
    let answers = queue.change_visibility(&changes).await.unwrap();
    assert_eq!(answers.len(), 5);
    assert_eq!(answers[0], Ok(()));
    assert_eq!(answers[1], Err(EntryError::LeaseLost));
    assert_eq!(answers[2], Err(EntryError::LeaseLost));
    assert!(matches!(answers[3], Err(EntryError::Retryable(_))), "{answers:?}");
    assert!(matches!(answers[4], Err(EntryError::Retryable(_))), "no answer: {answers:?}");
    let sent = &sent(&wire)[0];
    let seconds: Vec<_> =
        sent["Entries"].as_array().unwrap().iter().map(|e| &e["VisibilityTimeout"]).collect();
    assert_eq!(seconds, [0, 1, 60, 43_200, 0]);
}

#[tokio::test(start_paused = true)]
async fn every_entry_of_a_send_has_its_own_answer() {
    let (queue, wire) = over([ok(&json!({
        "Successful": [
            { "Id": "3", "MessageId": "m-3", "MD5OfMessageBody": "e2fc714c4727ee9395f324cd2e7f331f" },
        ],
        "Failed": [
            failed("0", "InvalidMessageContents", true),
            failed("1", "KMS.ThrottlingException", true),
        ],
    }))])
    .await;
    let mut messages = ["a", "b", "c", "abcd"].map(message);
    messages[1].deduplication_id = Some("d-1".to_owned());
    messages[1].attributes.insert("reason".to_owned(), "why".into());
    let answers = queue.send(&messages).await.unwrap();
    assert_eq!(answers.len(), 4);
    assert!(matches!(answers[0], Err(EntryError::Refused(_))), "{answers:?}");
    assert!(matches!(answers[1], Err(EntryError::Retryable(_))), "{answers:?}");
    assert!(matches!(answers[2], Err(EntryError::Retryable(_))), "no answer: {answers:?}");
    assert_eq!(answers[3], Ok("m-3".to_owned()));
    let sent = &sent(&wire)[0]["Entries"];
    assert_eq!(sent[0]["MessageGroupId"], "g");
    assert_eq!(
        sent[0]["MessageDeduplicationId"],
        "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
        "the SHA-256 of the body"
    );
    assert_eq!(sent[1]["MessageDeduplicationId"], "d-1");
    let attribute = json!({ "DataType": "String", "StringValue": "why" });
    assert_eq!(sent[1]["MessageAttributes"], json!({ "reason": attribute }));
}

#[tokio::test(start_paused = true)]
async fn throttling_is_repeated_and_then_reported_as_throttling() {
    for code in ["RequestThrottled", "ThrottlingException"] {
        let (queue, wire) = over([error(400, code)]).await;
        let answer = queue.receive(&request()).await;
        assert!(matches!(answer, Err(PortError::Throttled(_))), "{code}: {answer:?}");
        assert_eq!(wire.take_sent().len(), ATTEMPTS, "{code}");
    }
    let (queue, _) = over([error(403, "OverLimit")]).await;
    let answer = queue.receive(&request()).await;
    assert!(matches!(answer, Err(PortError::Throttled(_))), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_error_that_passes_is_not_noticed() {
    let delivered = json!({ "Successful": [{ "Id": "0" }], "Failed": [] });
    for fault in [error(503, "ServiceUnavailable"), error(500, "InternalError"), Turn::Drop] {
        let (queue, wire) = over([fault, ok(&delivered)]).await;
        assert_eq!(queue.delete(&receipts(1)).await, Ok(vec![Ok(())]));
        assert_eq!(wire.take_sent().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_reported_as_unavailable_by_every_call() {
    for fault in [error(500, "InternalError"), Turn::Answer(502, "<html>".to_owned()), Turn::Drop] {
        let (queue, wire) = over([fault.clone()]).await;
        let lease = (ReceiptHandle("r-0".to_owned()), Duration::ZERO);
        let errors = [
            queue.receive(&request()).await.unwrap_err(),
            queue.change_visibility(&[lease]).await.unwrap_err(),
            queue.delete(&receipts(1)).await.unwrap_err(),
            queue.send(&[message("a")]).await.unwrap_err(),
            queue.backlog().await.unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, PortError::Unavailable(_)), "{fault:?}: {error:?}");
        }
        assert!(wire.take_sent().len() > 5, "{fault:?} is repeated");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_read_is_no_answer_and_is_not_quoted() {
    let (queue, _) =
        over([Turn::Answer(200, "{\"Messages\": [{\"Body\": \"secret".to_owned())]).await;
    let error = queue.receive(&request()).await.unwrap_err();
    assert!(matches!(error, PortError::Unavailable(_)), "{error:?}");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_person_must_mend_is_refused_at_once() {
    for (status, code) in [
        (400, "QueueDoesNotExist"),
        (403, "AccessDeniedException"),
        (400, "InvalidSecurity"),
        (400, "KmsAccessDenied"),
    ] {
        let (queue, wire) = over([error(status, code)]).await;
        let answer = queue.send(&[message("a")]).await;
        assert!(matches!(answer, Err(PortError::Refused(_))), "{code}: {answer:?}");
        assert_eq!(wire.take_sent().len(), 1, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_nothing_asks_nothing() {
    let (queue, wire) = over([Turn::Drop]).await;
    assert_eq!(queue.delete(&[]).await, Ok(vec![]));
    assert_eq!(queue.change_visibility(&[]).await, Ok(vec![]));
    assert_eq!(queue.send(&[]).await, Ok(vec![]));
    assert_eq!(wire.take_sent(), []);
}

#[tokio::test(start_paused = true)]
async fn the_backlog_is_what_sqs_counts() {
    let counts = json!({
        "ApproximateNumberOfMessages": "7",
        "ApproximateNumberOfMessagesDelayed": "2",
        "ApproximateNumberOfMessagesNotVisible": "3",
    });
    let (queue, _) = over([ok(&json!({ "Attributes": counts })), ok(&json!({}))]).await;
    assert_eq!(queue.backlog().await, Ok(Backlog { visible: 9, in_flight: 3 }));
    let answer = queue.backlog().await;
    assert!(matches!(answer, Err(PortError::Unavailable(_))), "never zero: {answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_looked_up_by_its_name() {
    let wire = Wire::new([
        ok(&json!({ "QueueUrl": URL })),
        error(400, "QueueDoesNotExist"),
        error(400, "AWS.SimpleQueueService.NonExistentQueue"),
    ]);
    let client = sqs::client(&wire.config());
    let queue = SqsQueue::connect(client.clone(), "commands.fifo").await.unwrap();
    assert_eq!((queue.name(), queue.url().await), ("commands.fifo", Ok(URL)));
    for _ in 0..2 {
        let missing = SqsQueue::connect(client.clone(), "commands.fifo").await.unwrap_err();
        assert!(matches!(missing, PortError::Refused(_)));
        assert!(missing.to_string().contains("create it"), "{missing}");
    }
    wire.take_sent();
    let standard = SqsQueue::connect(client, "commands").await.unwrap_err();
    assert!(matches!(standard, PortError::Refused(_)));
    assert_eq!(wire.take_sent(), [], "a standard queue is refused unasked");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_could_not_be_looked_up_is_looked_up_by_the_calls_that_need_it() {
    let counts = json!({ "Attributes": {
        "ApproximateNumberOfMessages": "3", "ApproximateNumberOfMessagesNotVisible": "1",
    } });
    let silent = vec![error(503, "ServiceUnavailable"); 2 * ATTEMPTS];
    let answers = [ok(&json!({ "QueueUrl": URL })), ok(&counts)];
    let wire = Wire::new(silent.into_iter().chain(answers));
    let queue = SqsQueue::unasked(sqs::client(&wire.config()), None, "commands.fifo").unwrap();
    assert_eq!(wire.take_sent(), []);
    assert!(matches!(queue.url().await, Err(PortError::Unavailable(_))));
    assert!(matches!(queue.backlog().await, Err(PortError::Unavailable(_))));
    wire.take_sent();
    for _ in 0..2 {
        assert_eq!(queue.backlog().await, Ok(Backlog { visible: 3, in_flight: 1 }));
    }
    let calls = ["GetQueueUrl", "GetQueueAttributes", "GetQueueAttributes"];
    assert_eq!(operations(&wire), calls, "what is known is not asked again");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_given_by_its_url_can_be_asked_whether_it_is_there() {
    let (queue, wire) = over([
        ok(&json!({ "Attributes": { "QueueArn": "arn:aws:sqs:us-east-1:1:commands.fifo" } })),
        error(400, "AWS.SimpleQueueService.NonExistentQueue"),
        error(400, "QueueDoesNotExist"),
        error(403, "AccessDenied"),
    ])
    .await;
    assert_eq!(wire.take_sent(), [], "a URL is not looked up");
    assert_eq!(queue.exists().await, Ok(true));
    assert_eq!(queue.exists().await, Ok(false));
    assert_eq!(queue.exists().await, Ok(false));
    assert!(matches!(queue.exists().await, Err(PortError::Refused(_))), "that is not known");
}

#[tokio::test(start_paused = true)]
async fn errors_name_the_queue_and_the_endpoint() {
    let wire = Wire::new([
        error(400, "QueueDoesNotExist"),
        error(403, "AccessDenied"),
        ok(&json!({ "QueueUrl": URL })),
        error(403, "AccessDenied"),
    ]);
    let connect = async || {
        let endpoint = Some("http://127.0.0.1:9".to_owned());
        SqsQueue::connect_at(sqs::client(&wire.config()), endpoint, "commands.fifo").await
    };
    let missing = connect().await.unwrap_err().to_string();
    assert!(missing.contains("queue commands.fifo at http://127.0.0.1:9: does not"), "{missing}");
    let refused = connect().await.unwrap_err().to_string();
    assert!(refused.contains("GetQueueUrl of commands.fifo at http://127.0.0.1:9: "), "{refused}");
    let queue = connect().await.unwrap();
    let refused = queue.receive(&request()).await.unwrap_err().to_string();
    assert!(
        refused.contains("ReceiveMessage on commands.fifo at http://127.0.0.1:9: "),
        "{refused}"
    );
    let refused = queue.backlog().await.unwrap_err().to_string();
    assert!(refused.contains(" at http://127.0.0.1:9: "), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn bootstrap_creates_the_dead_letter_queue_first_and_points_the_queue_at_it() {
    let attributes = json!({ "Attributes": { "QueueArn": "arn:aws:sqs:us-east-1:1:c-dlq.fifo" } });
    let wire = Wire::new([
        error(400, "QueueDoesNotExist"),
        ok(&json!({ "QueueUrl": "https://sqs/1/c-dlq.fifo" })),
        ok(&attributes),
        error(400, "QueueDoesNotExist"),
        ok(&json!({ "QueueUrl": "https://sqs/1/c.fifo" })),
    ]);
    let client = sqs::client(&wire.config());
    let ensured = ensure_queues(&client, &["c.fifo".to_owned()]).await.unwrap();
    assert_eq!(ensured.created, ["c-dlq.fifo", "c.fifo"]);
    let sent = sent(&wire);
    let attributes = &sent[4]["Attributes"];
    assert_eq!(sent[4]["QueueName"], "c.fifo");
    for (name, value) in [
        ("FifoQueue", "true"),
        ("ContentBasedDeduplication", "true"),
        ("DeduplicationScope", "messageGroup"),
        ("FifoThroughputLimit", "perMessageGroupId"),
        ("MessageRetentionPeriod", "1209600"),
        ("VisibilityTimeout", "60"),
        ("MaximumMessageSize", "1048576"),
        ("SqsManagedSseEnabled", "true"),
    ] {
        assert_eq!(attributes[name], value, "{name}");
        assert_eq!(sent[1]["Attributes"][name], value, "{name} of the DLQ");
    }
    let redrive: Value =
        serde_json::from_str(attributes["RedrivePolicy"].as_str().unwrap()).unwrap();
    assert_eq!(redrive["deadLetterTargetArn"], "arn:aws:sqs:us-east-1:1:c-dlq.fifo");
    assert_eq!(redrive["maxReceiveCount"], 1000);
    assert_eq!(sent[1]["Attributes"]["RedrivePolicy"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn bootstrap_changes_nothing_that_exists() {
    let found = json!({ "Attributes": {
        "QueueArn": "arn:aws:sqs:us-east-1:1:c-dlq.fifo", "VisibilityTimeout": "30",
    } });
    let url = ok(&json!({ "QueueUrl": URL }));
    let wire = Wire::new([url.clone(), ok(&found), ok(&found), url, ok(&found)]);
    let client = sqs::client(&wire.config());
    let Ensured { created, differences } =
        ensure_queues(&client, &["c.fifo".to_owned()]).await.unwrap();
    assert_eq!(created, [""; 0]);
    assert!(differences.iter().any(|d| {
        (d.resource.as_str(), d.what.as_str(), d.found.as_str())
            == ("c.fifo", "VisibilityTimeout", "30")
    }));
    for operation in operations(&wire) {
        assert!(operation.starts_with("Get"), "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn bootstrap_does_without_a_size_the_server_does_not_know() {
    let refusal = json!({
        "__type": "com.amazonaws.sqs#InvalidAttributeValue",
        "message": "Invalid value for the parameter MaximumMessageSize.",
    });
    let created = ok(&json!({ "QueueUrl": URL }));
    let arn = ok(&json!({ "Attributes": { "QueueArn": "arn:aws:sqs:us-east-1:1:c-dlq.fifo" } }));
    let refusal = Turn::Answer(400, refusal.to_string());
    let missing = error(400, "QueueDoesNotExist");
    let wire = Wire::new([
        missing.clone(),
        refusal.clone(),
        created.clone(),
        arn,
        missing,
        refusal,
        created,
    ]);
    ensure_queues(&sqs::client(&wire.config()), &["c.fifo".to_owned()]).await.unwrap();
    let sent = sent(&wire);
    assert_eq!(sent[1]["Attributes"]["MaximumMessageSize"], "1048576");
    assert_eq!(sent[2]["Attributes"]["MaximumMessageSize"], Value::Null);
    assert_eq!(sent[2]["Attributes"]["FifoQueue"], "true");
}

#[tokio::test(start_paused = true)]
async fn bootstrap_creates_nothing_where_one_of_the_names_is_wrong() {
    let wire = Wire::new([Turn::Drop]);
    let names = ["c.fifo".to_owned(), "standard".to_owned()];
    let error = ensure_queues(&sqs::client(&wire.config()), &names).await.unwrap_err();
    assert!(error.to_string().contains("standard"), "{error}");
    assert_eq!(wire.take_sent(), []);
}
