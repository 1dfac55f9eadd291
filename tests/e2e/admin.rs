//! The admin port, and its answers while a service is down.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    messages::{reserve_seats, restock_seats, seat_numbers},
    process::{self, Worker},
    proxy::{Mode, Proxy},
    stack::Stack,
    wait::{DEADLINE, until},
    world::{EVENT, World},
};

on_every_stack! {
    the_admin_port_tells_of_health_and_figures
    the_figures_are_in_the_log_for_cloudwatch
    a_store_that_is_away_makes_the_worker_unready_and_loses_nothing
}

/// The metrics of a worker without a gateway.
const FIGURES: [&str; 19] = [
    "commands_total",
    "rejections_total",
    "command_duration_seconds",
    "batch_size",
    "commit_attempts_total",
    "version_conflicts_total",
    "lock_wait_seconds",
    "lock_fallbacks_total",
    "messages_in_flight",
    "oldest_message_age_seconds",
    "leases_lost_total",
    "dead_lettered_total",
    "publish_duration_seconds",
    "duplicate_commands_total",
    "sweeper_lag_seconds",
    "expirations_enqueued_total",
    "dynamodb_capacity_units_total",
    "restock_lines_total",
    "build_info",
];

async fn the_admin_port_tells_of_health_and_figures(stack: Stack) {
    let mut world = World::new(stack).await;
    let mut worker = world.worker(&[]).await.ready().await;
    let stock = restock_seats("stock", EVENT, &seat_numbers(1));
    let reserves = ["r-1", "r-2"].map(|id| reserve_seats(id, EVENT, &["A-1"]));
    world.post("event", &[&[stock], &reserves[..]].concat()).await;
    world.post_as("event", "unreadable", "?").await;
    world.results.of(&["stock", "r-1", "r-2"]).await;
    world.drained().await;

    let health = worker.get("/health").await.unwrap();
    assert_eq!(health.status, 200);
    assert_eq!(health.json()["status"], "healthy");
    assert_eq!(health.json()["service"], "inventory-worker");
    assert_eq!(worker.get("/livez").await.unwrap().status, 200);
    assert_eq!(worker.get("/no-such-page").await.unwrap().status, 404);
    let figures = worker.get("/metrics").await.unwrap().body;
    for name in FIGURES {
        assert!(figures.contains(&format!("# TYPE inventory_{name} ")), "{name}\n{figures}");
    }
    let commands = |outcome: &str| {
        format!("inventory_commands_total{{outcome=\"{outcome}\",type=\"inventory.reserve.v1\"}}")
    };
    assert_eq!(worker.figure(&commands("reserved")).await, 1.0);
    assert_eq!(worker.figure(&commands("rejected")).await, 1.0);
    assert_eq!(worker.figure("inventory_ready{part=\"writes\"}").await, 1.0);
    let ahead = worker.figure("inventory_clock_ahead_seconds").await;
    assert!(ahead.abs() <= 5.0, "the clock of this very machine: {ahead}");
    let port = worker.admin().port().to_string();
    let health = async |flags: &[&str]| {
        let arguments = [&["health", "--admin-port", &port], flags].concat();
        process::run(&world.environment, &arguments).await
    };
    health(&[]).await.expect_code(0);
    health(&["--ready"]).await.expect_code(0);

    worker.terminate().await;
    assert_eq!(worker.ended(crate::wait::DEADLINE).await, 0);
    health(&[]).await.expect_code(69);
    world.audit().await;
}

/// Waits until it becomes ready, or not ready.
async fn turns(worker: &Worker, status: u16) -> serde_json::Value {
    until("readiness turns", async || {
        let answer = worker.get("/readyz").await?;
        (answer.status == status).then(|| answer.json())
    })
    .await
}

async fn the_figures_are_in_the_log_for_cloudwatch(stack: Stack) {
    let mut world = World::new(stack).await;
    let mut worker = world.worker(&[("INVENTORY_EMF_NAMESPACE", "Shop/Inventory")]).await;
    let stock = restock_seats("stock", EVENT, &seat_numbers(1));
    let reserves = ["r-1", "r-2"].map(|id| reserve_seats(id, EVENT, &["A-1"]));
    world.post("event", &[&[stock], &reserves[..]].concat()).await;
    world.results.of(&["stock", "r-1", "r-2"]).await;
    world.drained().await;
    worker.terminate().await;
    assert_eq!(worker.ended(DEADLINE).await, 0);

    let of_all = |line: &Value| {
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        directive["Namespace"] == "Shop/Inventory" && directive["Dimensions"] == json!([[]])
    };
    let reported = async || worker.lines().into_iter().find(of_all);
    let reported = until("the last line of figures", reported).await;
    for (name, value) in [("Commands", 3.0), ("InventoryUpdated", 1.0), ("Rejections", 1.0)] {
        assert_eq!(reported[name], value, "{name} in {reported}");
    }
    world.audit().await;
}

async fn a_store_that_is_away_makes_the_worker_unready_and_loses_nothing(stack: Stack) {
    let mut world = World::new(stack).await;
    let proxy = Proxy::of(&world.stack.dynamodb_endpoint).await;
    let variables = [
        ("AWS_ENDPOINT_URL_DYNAMODB", proxy.url()),
        // With this limit, an outage that counted would dead-letter the message.
        ("INVENTORY_ISOLATE_AFTER_RECEIVES", "1"),
        ("INVENTORY_MAX_ATTEMPTS", "1"),
    ];
    let worker = world.worker(&variables).await.ready().await;
    world.post("event", &[restock_seats("stock", EVENT, &seat_numbers(2))]).await;
    world.results.one("stock").await;

    proxy.set(Mode::Cut);
    let reserves = ["r-1", "r-2"].map(|id| reserve_seats(id, EVENT, &["A-1"]));
    world.post("event", &reserves).await;
    let report = turns(&worker, 503).await;
    assert_eq!(report["status"], "not ready");
    assert_eq!(report["parts"]["queues"], "ready");
    assert_ne!(report["parts"]["store"], "ready", "the reason is told");
    assert_eq!(worker.get("/livez").await.unwrap().status, 200, "a restart would mend nothing");

    proxy.set(Mode::Pass);
    turns(&worker, 200).await;
    // The test does not check which of them has the seat: LocalStack, unlike SQS, delivers the
    // messages after a hidden message of their group.
    let words: BTreeSet<String> =
        (world.results.of(&["r-1", "r-2"]).await.iter()).map(|one| one.word().to_owned()).collect();
    assert_eq!(words, ["SEATS_UNAVAILABLE", "reserved"].map(str::to_owned).into());
    world.drained().await;
    world.dead_letters(0).await;
    worker.stop().await;
    world.results.assert_each_once();
    world.audit().await;
}
