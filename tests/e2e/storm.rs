//! `storm` on a running worker.

use serde_json::{Value, json};

use crate::{process, stack::Stack, world::World};

on_every_stack! {
    a_storm_ends_by_itself_says_what_it_measured_and_leaves_no_queue_behind
    a_storm_says_where_it_aims_and_sends_nothing_without_a_yes
}

async fn a_storm_ends_by_itself_says_what_it_measured_and_leaves_no_queue_behind(stack: Stack) {
    let world = World::new(stack).await;
    let worker = world.worker(&[]).await.ready().await;
    let admin = worker.admin().to_string();
    let page = std::env::temp_dir().join(format!("{}.html", world.name));

    let arguments = [
        "storm",
        "--yes",
        "--events",
        "1",
        "--seats",
        "60",
        "--buyers",
        "40",
        "--in-flight",
        "8",
        "--worker",
        &admin,
        "--report",
        page.to_str().unwrap(),
        "--json",
    ];
    let on_sale = process::run(&world.environment, &arguments).await.expect_code(0).json();
    assert_eq!(on_sale["storm"], "on-sale");
    check(&on_sale);
    let reserved = on_sale["outcomes"]["inventory.reserved.v1"].as_u64().unwrap();
    let confirmed = on_sale["outcomes"]["inventory.confirmed.v1"].as_u64().unwrap();
    assert!(confirmed > 0 && confirmed <= reserved, "{on_sale}");
    assert!(on_sale["workers"]["commands decided"].as_f64().unwrap() > 0.0, "{on_sale}");
    assert!(on_sale["workers"]["write units a command"].as_f64().unwrap() > 0.0, "{on_sale}");
    let html = std::fs::read_to_string(&page).unwrap();
    std::fs::remove_file(&page).unwrap();
    assert!(html.contains("inventory.confirmed.v1") && !html.contains("http"), "{html}");

    let arguments = [
        "storm",
        "--yes",
        "--stores",
        "2",
        "--skus",
        "10",
        "--duration",
        "2",
        "--rate",
        "20",
        "--json",
    ];
    let restocks = process::run(&world.environment, &arguments).await.expect_code(0).json();
    assert_eq!(restocks["storm"], "restocks");
    check(&restocks);
    assert_eq!(restocks["workers"], Value::Null);
    assert_eq!(restocks["outcomes"].as_object().unwrap().len(), 1, "{restocks}");

    let listed = world.stack.sqs.list_queues().queue_name_prefix("inventory-storm-").send().await;
    assert_eq!(listed.unwrap().queue_urls.unwrap_or_default(), Vec::<String>::new());
    let subscriptions =
        world.stack.sns.list_subscriptions_by_topic().topic_arn(world.topic_arn()).send().await;
    let subscriptions = subscriptions.unwrap().subscriptions.unwrap_or_default();
    assert_eq!(subscriptions.len(), 1, "the test's own: {subscriptions:?}");
    worker.stop().await;
    world.audit().await;
}

/// A storm loads whatever the environment points to.
async fn a_storm_says_where_it_aims_and_sends_nothing_without_a_yes(stack: Stack) {
    let world = World::new(stack).await;
    let ended = process::run(&world.environment, &["storm", "--duration", "1"]).await;
    let ended = ended.expect_code(64);
    assert_eq!(ended.out, "");
    let aimed = format!("storm on {}-commands.fifo", world.name);
    assert!(ended.err.starts_with(&aimed), "{}", ended.err);
    assert!(ended.err.contains(&world.environment["AWS_ENDPOINT_URL"]), "{}", ended.err);
    assert!(ended.err.contains("nothing was sent: --yes begins a storm"), "{}", ended.err);
    assert!(world.is_drained().await, "nothing was sent");
}

/// Checks the fields of every storm's summary.
fn check(summary: &Value) {
    let count = |name: &str| summary[name].as_u64().unwrap();
    assert_eq!((count("unanswered"), count("not_sent")), (0, 0), "{summary}");
    assert!(count("commands") > 0 && count("commands") == count("answered"), "{summary}");
    let sum: u64 = summary["outcomes"].as_object().unwrap().values().flat_map(Value::as_u64).sum();
    assert_eq!(json!(sum), summary["answered"], "{summary}");
    let ms = |name: &str| summary[name].as_f64().unwrap();
    assert!(ms("p50_ms") > 0.0 && ms("p50_ms") <= ms("p95_ms"), "{summary}");
    assert!(ms("p95_ms") <= ms("p99_ms") && ms("p99_ms") <= ms("longest_ms"), "{summary}");
    assert!(summary["calls_per_command"]["sqs.send"].as_f64().unwrap() <= 1.0, "{summary}");
}
