//! `bootstrap`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    process,
    stack::Stack,
    world::{environment, unique},
};

on_every_stack! {
    a_second_bootstrap_finds_everything_as_it_should_be
}

async fn a_second_bootstrap_finds_everything_as_it_should_be(stack: Stack) {
    let name = unique();
    let mut environment = environment(&stack, &name);
    let queues = format!("{name}-commands.fifo,{name}-restock.fifo");
    environment.insert("INVENTORY_QUEUES".to_owned(), queues);
    let bootstrap = async |arguments: &[&str]| {
        let arguments = [&["bootstrap"], arguments].concat();
        process::run(&environment, &arguments).await.expect_code(0)
    };
    let first = bootstrap(&["--json"]).await.json();
    let created: BTreeSet<&str> =
        first["created"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let expected = [
        "commands.fifo",
        "commands-dlq.fifo",
        "restock.fifo",
        "restock-dlq.fifo",
        // Messages are sent to it, although no worker here consumes it.
        "expiries.fifo",
        "expiries-dlq.fifo",
        "results.fifo",
        "seats",
        "stock",
        "reservations",
        "ledger",
    ]
    .map(|rest| format!("{name}-{rest}"));
    assert_eq!(created, expected.iter().map(String::as_str).collect());
    assert_eq!(first["differences"], json!([]));

    let second = bootstrap(&["--json"]).await.json();
    assert_eq!(second, json!({ "created": [], "differences": [] }));
    let shown = bootstrap(&[]).await;
    assert_eq!(shown.out, "everything is there, as it should be\n");

    // A manual change is reported, and left unchanged.
    let queue = inventory_worker::adapters::sqs::bootstrap::find(&stack.sqs, &expected[0]).await;
    let retention = aws_sdk_sqs::types::QueueAttributeName::MessageRetentionPeriod;
    let changing = stack.sqs.set_queue_attributes().queue_url(queue.unwrap().unwrap());
    changing.attributes(retention, "3600").send().await.unwrap();
    for _ in 0..2 {
        let third = bootstrap(&["--json"]).await.json();
        assert_eq!(third["created"], json!([]));
        let differences: &Vec<Value> = third["differences"].as_array().unwrap();
        assert_eq!(differences.len(), 1, "{third}");
        assert_eq!(differences[0]["resource"].as_str().unwrap(), expected[0]);
        assert_eq!(differences[0]["found"].as_str().unwrap(), "3600");
    }
}
