//! The client library's memory for a receive: the answer, and the messages read from it.

use std::time::Duration;

use inventory_worker::{
    adapters::sqs::{self, SqsQueue},
    ports::{
        Queue, ReceiveRequest,
        queue::{BATCH_ENTRIES_MAX, MESSAGE_BYTES_MAX},
    },
};
use serde_json::json;

use crate::aws_wire::{Turn, Wire};

/// Ten messages whose bodies are as long as possible, and twice that in the answer, where every
/// byte of them is escaped.
fn answer() -> String {
    let message = |number: usize| {
        json!({
            "MessageId": format!("m-{number}"),
            "ReceiptHandle": format!("r-{number}"),
            "Body": "\"".repeat(MESSAGE_BYTES_MAX),
            "Attributes": {
                "MessageGroupId": "g",
                "SequenceNumber": number.to_string(),
                "SentTimestamp": "1795341600000",
                "ApproximateReceiveCount": "1",
            },
        })
    };
    json!({ "Messages": (0..BATCH_ENTRIES_MAX).map(message).collect::<Vec<_>>() }).to_string()
}

#[test]
fn a_receive_costs_a_few_times_the_bodies_it_brings() {
    let wire = Wire::new([Turn::Answer(200, answer())]);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.unwrap();
    let client = sqs::client(&wire.config());
    let url = "https://sqs.us-east-1.amazonaws.com/123456789012/commands.fifo";
    let queue = runtime.block_on(SqsQueue::connect(client, url)).unwrap();
    let request = ReceiveRequest {
        max: BATCH_ENTRIES_MAX,
        wait: Duration::from_secs(20),
        visibility: Duration::from_secs(60),
        attempt_id: "attempt-1".to_owned(),
    };
    let mut received = Vec::new();
    let info = allocation_counter::measure(|| {
        received = runtime.block_on(queue.receive(&request)).unwrap();
    });
    assert_eq!(received.len(), BATCH_ENTRIES_MAX);
    let bodies = (BATCH_ENTRIES_MAX * MESSAGE_BYTES_MAX) as f64;
    let (peak, kept) = (info.bytes_max as f64 / bodies, info.bytes_current as f64 / bodies);
    println!("{peak:.2} times the bodies at most, {kept:.2} kept");
    assert!(peak < 6.0 && kept < 1.1, "{peak:.2}, {kept:.2} kept");
}
