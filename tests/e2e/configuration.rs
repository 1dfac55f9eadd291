//! How a process exits that cannot start.

use std::collections::BTreeMap;

use inventory_worker::{adapters::sqs::bootstrap::find, naming::dead_letter_queue_name};
use serde_json::Value;
use tokio::net::TcpSocket;

use crate::{
    gateway::Gateway,
    process::{self, Worker},
    stack::{Broker, Stack},
    wait::until,
    world::{World, environment, unique},
};

#[tokio::test]
async fn a_wrong_configuration_is_refused_with_everything_that_is_wrong() {
    let environment: BTreeMap<String, String> = [
        ("INVENTORY_VISIBILITY_SECONDS", "soon"),
        ("INVENTORY_GRACE_SECONDS", "5"),
        ("INVENTORY_QUEUES", "not-fifo"),
        ("DYNAMODB_TABLE_SEATS", "same"),
        ("DYNAMODB_TABLE_STOCK", "same"),
        ("REDIS_URL", "http://user:s3cret@127.0.0.1"),
        ("ADMIN_PORT", "70000"),
        ("RUST_LOG", "=shout="),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let refused = process::run(&environment, &["run"]).await.expect_code(64);
    for name in environment.keys() {
        assert!(refused.err.contains(name), "{name} is not named in {}", refused.err);
    }
    assert!(!refused.err.contains("s3cret"), "{}", refused.err);
    assert_eq!(refused.out, "");
    let refused = process::run(&environment, &["check-config", "--json"]).await.expect_code(64);
    assert_eq!(refused.json()["valid"], false);
}

#[tokio::test]
async fn bad_usage_is_refused() {
    for arguments in [&["run", "--no-such-flag"][..], &["fly"], &["send"], &[]] {
        process::run(&BTreeMap::new(), arguments).await.expect_code(64);
    }
    process::run(&BTreeMap::new(), &["--help"]).await.expect_code(0);
}

/// An address where nothing listens, and nothing can while the socket is kept.
fn nowhere() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = format!("http://{}", socket.local_addr().unwrap());
    (socket, address)
}

/// An environment whose services are at that address.
fn with_services_at(address: &str) -> BTreeMap<String, String> {
    [
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL", address),
        ("ADMIN_HOST", "127.0.0.1"),
        ("ADMIN_PORT", "0"),
        ("INVENTORY_LOG_FORMAT", "json"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

#[tokio::test]
async fn a_gateway_starts_while_no_service_answers_and_is_not_ready() {
    let (_taken, nowhere) = nowhere();
    let brief = ("INVENTORY_DRAIN_DELAY_SECONDS".to_owned(), "0".to_owned());
    let environment = with_services_at(&nowhere).into_iter().chain([brief]).collect();
    let gateway = Gateway::start(&environment).await;
    gateway.get("/health", &[]).await.expect(200);
    assert_eq!(gateway.process.get("/readyz").await.unwrap().status, 503);
    let said = "REDIS_URL is not set: pools that are shown are read every 2 to 30 s, by size";
    assert!(gateway.process.logged(said).is_some());
    gateway.process.stop().await;
}

#[tokio::test]
async fn a_service_that_cannot_be_reached_is_told_by_the_exit_code() {
    let (_taken, nowhere) = nowhere();
    let environment = with_services_at(&nowhere);
    let reserve = ["send", "reserve", "--event", "1", "--user", "u", "--seat", "A-1"];
    for arguments in [&["run"][..], &["bootstrap"], &["audit"], &reserve] {
        let ended = process::run(&environment, arguments).await.expect_code(69);
        assert!(!ended.err.is_empty(), "{arguments:?} says why");
    }
    let port = nowhere.rsplit(':').next().unwrap();
    process::run(&environment, &["health", "--admin-port", port]).await.expect_code(69);
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_missing_queue_is_told_with_what_creates_it() {
    let environment = environment(&Stack::of(Broker::LocalStack), &unique());
    let ended = process::run(&environment, &["run"]).await.expect_code(1);
    assert!(ended.err.contains("bootstrap"), "{}", ended.err);
    assert!(ended.err.contains("-commands.fifo"), "{}", ended.err);
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_missing_table_or_topic_ends_the_start_and_is_named() {
    let world = World::new(Stack::of(Broker::LocalStack)).await;
    let absent = format!("{}-absent", world.name);
    let of_table = [("DYNAMODB_TABLE_STOCK", &*absent)];
    let ended = process::run(&world.with(&of_table), &["run"]).await.expect_code(1);
    for named in [&*absent, "DYNAMODB_TABLE_", "bootstrap", &world.stack.dynamodb_endpoint] {
        assert!(ended.err.contains(named), "{named}: {}", ended.err);
    }
    let arn =
        format!("{}.fifo", world.topic_arn().trim_end_matches(".fifo").to_owned() + "-absent");
    let of_topic = [("INVENTORY_RESULTS_TOPIC", &*arn)];
    let ended = process::run(&world.with(&of_topic), &["run"]).await.expect_code(1);
    for named in [&*arn, "INVENTORY_RESULTS_TOPIC"] {
        assert!(ended.err.contains(named), "{named}: {}", ended.err);
    }
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_missing_queue_that_is_given_by_its_url_ends_the_start_and_is_named() {
    let world = World::new(Stack::of(Broker::LocalStack)).await;
    let queue = &world.environment["INVENTORY_QUEUES"];
    let (commands, expiries) = queue.split_once(',').unwrap();
    let url = find(&world.stack.sqs, commands).await.unwrap().unwrap();
    let absent = url.replace(".fifo", "-absent.fifo");
    let queues = format!("{absent},{expiries}");
    for subcommand in ["run", "serve"] {
        let variables = [("INVENTORY_QUEUES", &*queues), ("PORT", "0"), ("GRPC_PORT", "0")];
        let ended = process::run(&world.with(&variables), &[subcommand]).await.expect_code(1);
        for named in [&*absent, "INVENTORY_QUEUES"] {
            assert!(ended.err.contains(named), "{subcommand}: {named}: {}", ended.err);
        }
    }
    let dead_letters = find(&world.stack.sqs, &dead_letter_queue_name(commands)).await.unwrap();
    let deleted = world.stack.sqs.delete_queue().queue_url(dead_letters.unwrap()).send().await;
    deleted.unwrap();
    let queues = format!("{url},{expiries}");
    let by_url = world.with(&[("INVENTORY_QUEUES", &*queues)]);
    let ended = process::run(&by_url, &["run"]).await.expect_code(1);
    let named = dead_letter_queue_name(&url);
    assert!(ended.err.contains(&named), "{named}: {}", ended.err);
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_gateway_says_what_it_talks_to_and_ends_without_a_table() {
    let world = World::new(Stack::of(Broker::LocalStack)).await;
    let ports = [("PORT", "0"), ("GRPC_PORT", "0")];
    let gateway = Worker::start_as("serve", &world.with(&ports)).await.ready().await;
    let started = gateway.logged("starting").unwrap();
    let expected = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("region", "us-east-1"),
        ("sqs", &world.stack.endpoint),
        ("dynamodb", &world.stack.dynamodb_endpoint),
        ("queues", &world.environment["INVENTORY_QUEUES"]),
        ("auth", "none"),
    ];
    for (name, value) in expected {
        assert_eq!(started[name], value, "{name} in {started}");
    }
    for name in ["revision", "tables", "view_redis"] {
        assert!(!started[name].is_null(), "{name} in {started}");
    }
    gateway.stop().await;

    let absent = format!("{}-absent", world.name);
    let of_table = [&ports[..], &[("DYNAMODB_TABLE_STOCK", &*absent)]].concat();
    let ended = process::run(&world.with(&of_table), &["serve"]).await.expect_code(1);
    for named in [&*absent, "DYNAMODB_TABLE_", "bootstrap", &world.stack.dynamodb_endpoint] {
        assert!(ended.err.contains(named), "{named}: {}", ended.err);
    }
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn tables_that_do_not_answer_are_waited_for_and_logged_with_their_endpoint() {
    let world = World::new(Stack::of(Broker::LocalStack)).await;
    let (_taken, nowhere) = nowhere();
    let variables = [("AWS_ENDPOINT_URL_DYNAMODB", &*nowhere)];
    let worker = Worker::start(&world.with(&variables)).await;
    for part in ["store", "writes"] {
        let is_of_part = |line: &Value| line["message"] == "not ready" && line["part"] == part;
        let line = until("it says so", async || worker.lines().into_iter().find(is_of_part)).await;
        assert_eq!(line["level"], "WARN");
        let reason = line["error"].as_str().unwrap();
        assert!(reason.contains(&nowhere), "{part}: {reason}");
        assert!(reason.contains(&world.tables.seats), "{part}: {reason}");
    }
    let started = worker.logged("starting").unwrap();
    let expected = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("region", "us-east-1"),
        ("sqs", &world.stack.endpoint),
        ("dynamodb", &nowhere),
        ("topic", &world.environment["INVENTORY_RESULTS_TOPIC"]),
    ];
    for (name, value) in expected {
        assert_eq!(started[name], value, "{name} in {started}");
    }
    for name in ["revision", "queues", "tables", "redis", "sweeper"] {
        assert!(!started[name].is_null(), "{name} in {started}");
    }
    worker.kill().await;
}
