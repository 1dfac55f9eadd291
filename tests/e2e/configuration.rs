//! How a process exits that cannot start.

use std::collections::BTreeMap;

use tokio::net::TcpListener;

use crate::{
    process,
    stack::{Broker, Stack},
    world::{environment, unique},
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

/// An address where no process listens.
async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn a_service_that_cannot_be_reached_is_told_by_the_exit_code() {
    let nowhere = nowhere().await;
    let environment: BTreeMap<String, String> = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL", &nowhere),
        ("ADMIN_HOST", "127.0.0.1"),
        ("ADMIN_PORT", "0"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
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
