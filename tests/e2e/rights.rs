//! The calls of a role and the grants of its policy (`k8s/aws/policies/`) are the same set.
//!
//! Every subcommand runs with its calls recorded on their way to the server, in circumstances that
//! make it use everything it may ever need: a heartbeat, an isolated message, a verdict that
//! depends on other items, an expired hold. A missing right shows as a call without a grant, an
//! excess right as a grant without a call.

mod needs;
mod recorder;

use std::collections::{BTreeMap, BTreeSet};

use clap::CommandFactory as _;
use inventory_worker::{
    adapters::{sqs::bootstrap::find, system::Random},
    cli::Cli,
    domain::{LineKey, PoolId, SeatKey, SeatState},
    naming::dead_letter_queue_name,
    ports::{
        CommitStore as _, Entropy as _, Expected, LoadRequest, ReadStore as _, Transaction, Write,
    },
};
use serde_json::json;

use crate::{
    gateway::Gateway,
    messages::{
        command, named, reservation, reserve_seats, restock_lines, restock_seats, seat_numbers,
    },
    process::{self, Worker},
    stack::{Broker, Stack},
    wait::until,
    world::{EVENT, STORE, World, environment, unique},
};
use needs::{Placeholders, Right, granted, rights_for};
use recorder::{Hold, Recorder};

/// The account of the emulators.
const EMULATED_ACCOUNT: &str = "000000000000";

/// MiniStack for everything: only MiniStack supports backups, and one server needs one recorder.
fn stack() -> Stack {
    let stack = Stack::of(Broker::MiniStack);
    let endpoint = stack.endpoint.clone();
    stack.with_dynamodb(&endpoint)
}

/// The variables of a process whose calls are recorded.
fn through(
    recorder: &Recorder,
    environment: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut environment = environment.clone();
    for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"] {
        environment.insert(name.to_owned(), recorder.url().to_owned());
    }
    environment
}

/// The values of a world's placeholders. Its queue of commands stands for `queue`.
fn placeholders(name: &str, queue: &str) -> Placeholders {
    [
        ("commands.fifo", format!("queue_{queue}")),
        ("commands-dlq.fifo", format!("dlq_{queue}")),
        ("expiries.fifo", "queue_expiries".to_owned()),
        ("expiries-dlq.fifo", "dlq_expiries".to_owned()),
        ("restock.fifo", "queue_restock".to_owned()),
        ("restock-dlq.fifo", "dlq_restock".to_owned()),
        ("results.fifo", "topic_results".to_owned()),
        ("seats", "table_seats".to_owned()),
        ("stock", "table_stock".to_owned()),
        ("reservations", "table_reservations".to_owned()),
        ("ledger", "table_ledger".to_owned()),
    ]
    .map(|(rest, placeholder)| (format!("{name}-{rest}"), format!("${{{placeholder}}}")))
    .into_iter()
    .chain([("inventory-storm-*".to_owned(), "${queues_storm}".to_owned())])
    .collect()
}

#[track_caller]
fn assert_same(policy: &str, recorder: &Recorder, placeholders: &Placeholders) {
    let needed = rights_for(&recorder.calls(), placeholders);
    let granted = granted(policy);
    let missing: BTreeSet<&Right> = needed.difference(&granted).collect();
    let unused: BTreeSet<&Right> = granted.difference(&needed).collect();
    let same = missing.is_empty() && unused.is_empty();
    assert!(same, "{policy}: needed and not granted {missing:#?}, granted and unused {unused:#?}");
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_worker_is_granted_what_it_calls() {
    let recorder = work("commands", &[("INVENTORY_SWEEPER_MARGIN_SECONDS", "0.1")]).await;
    assert_same("worker", &recorder.0, &recorder.1);
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_restock_worker_is_granted_what_it_calls() {
    let recorder = work("restock", &[("INVENTORY_NO_SWEEPER", "true")]).await;
    assert_same("restock-worker", &recorder.0, &recorder.1);
}

/// A worker's life with every event that causes calls.
async fn work(queue: &str, variables: &[(&str, &str)]) -> (Recorder, Placeholders) {
    let mut world = World::new(stack()).await;
    // Commits wait until a heartbeat was sent.
    let hold = Hold {
        operation: "TransactWriteItems",
        until: "ChangeMessageVisibilityBatch",
        queue: "-commands.fifo",
    };
    let recorder = Recorder::of(&world.stack.endpoint, Some(hold)).await;
    // After two receives by another consumer, it is an isolated message.
    world.post("suspect", &[reserve_seats("suspect", EVENT, &["A-9"])]).await;
    let commands = queue_url(&world, "commands").await;
    receive_twice(&world, &commands, 1).await;
    if queue != "restock" {
        // The second is released while the first is isolated; both are unreadable.
        let expiries = queue_url(&world, "expiries").await;
        for text in ["one", "two"] {
            let sending = world.stack.sqs.send_message().queue_url(&expiries).message_body(text);
            sending.message_group_id("suspects").send().await.unwrap();
        }
        receive_twice(&world, &expiries, 2).await;
    }
    let mut brief = reserve_seats("brief", EVENT, &["A-2"]);
    brief["data"]["hold_seconds"] = json!(1);
    let lines = json!({ "store_id": STORE, "user_id": "u-1", "lines": named(&[("tea", 3)]) });
    let held = [
        restock_seats("stock", EVENT, &seat_numbers(3)),
        reserve_seats("kept", EVENT, &["A-3"]),
        brief,
    ];
    world.post("event", &held).await;
    let stock = restock_lines("stock-2", STORE, &[("tea", 10)]);
    world.post("store", &[stock, command("reserve", "lines", lines)]).await;

    let arn = topic_arn(&world).await;
    let mut environment = world.with(variables);
    environment.insert("INVENTORY_RESULTS_TOPIC".to_owned(), arn);
    if queue == "restock" {
        environment.insert("INVENTORY_QUEUES".to_owned(), format!("{}-commands.fifo", world.name));
    }
    environment.insert("INVENTORY_HEARTBEAT_SECONDS".to_owned(), "0.1".to_owned());
    environment.insert("INVENTORY_ISOLATE_AFTER_RECEIVES".to_owned(), "1".to_owned());
    let worker = Worker::start(&through(&recorder, &environment)).await.ready().await;
    world.results.of(&["suspect", "kept", "brief", "lines"]).await;

    take_away(&world, "A-3").await;
    let confirm = json!({
        "event_id": EVENT, "reservation_id": reservation("kept"), "booking_id": "b-1"
    });
    world.post("event", &[command("confirm", "too-late", confirm)]).await;
    assert_eq!(world.results.one("too-late").await.word(), "RESERVATION_EXPIRED");
    world.post_as("event", "unreadable", "{ this is not JSON").await;
    world.dead_letters(1).await;
    if queue != "restock" {
        let letters = queue_url(&world, "expiries-dlq").await;
        until("the dead letters of the expiries", async || {
            let receiving = world.stack.sqs.receive_message().queue_url(&letters);
            let receiving = receiving.max_number_of_messages(10).visibility_timeout(0);
            let messages = receiving.send().await.unwrap().messages.unwrap_or_default();
            (messages.len() == 2).then_some(())
        })
        .await;
    }
    if !environment.contains_key("INVENTORY_NO_SWEEPER") {
        let id = world.results.one("brief").await.expiry_id();
        world.results.one(&id).await;
    }
    worker.stop().await;
    let placeholders = placeholders(&world.name, queue);
    (recorder, placeholders)
}

async fn queue_url(world: &World, name: &str) -> String {
    find(&world.stack.sqs, &format!("{}-{name}.fifo", world.name)).await.unwrap().unwrap()
}

async fn receive_twice(world: &World, url: &str, messages: usize) {
    for _ in 0..2 {
        let receiving = world.stack.sqs.receive_message().queue_url(url);
        let receiving = receiving.max_number_of_messages(10).visibility_timeout(0);
        let received = receiving.wait_time_seconds(5).send().await.unwrap();
        assert_eq!(received.messages.unwrap_or_default().len(), messages);
    }
}

async fn topic_arn(world: &World) -> String {
    let name = format!("{}-results.fifo", world.name);
    inventory_worker::adapters::sns::bootstrap::find(&world.stack.sns, &name)
        .await
        .unwrap()
        .unwrap()
}

/// The seat no longer belongs to its reservation, as after a worker whose clock was ahead.
async fn take_away(world: &World, number: &str) {
    let key = SeatKey { event_id: EVENT, number: number.parse().unwrap() };
    let mut seat = world.seat(number).await;
    let expected = Expected::Version(seat.version);
    seat.version += 1;
    seat.occupancy = SeatState::Available;
    commit(world, Write::Seat { key, expected, seat }).await;
}

async fn commit(world: &World, write: Write) {
    let transaction = Transaction { writes: vec![write], checks: Vec::new() };
    world.store.commit(&transaction, Random::new().uuid()).await.unwrap();
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn whoever_bootstraps_is_granted_what_it_calls() {
    let stack = stack();
    let name = unique();
    let recorder = Recorder::of(&stack.endpoint, None).await;
    let mut environment = through(&recorder, &both_queues(&stack, &name));
    // Tables as on AWS, including backups.
    environment.remove("INVENTORY_MINIMAL_TABLES");
    // By its ARN, as in production, where no role lists all topics.
    let arn = format!("arn:aws:sns:us-east-1:{EMULATED_ACCOUNT}:{name}-results.fifo");
    environment.insert("INVENTORY_RESULTS_TOPIC".to_owned(), arn);
    for _ in 0..2 {
        let report = process::run(&environment, &["bootstrap", "--json"]).await.expect_code(0);
        assert_eq!(report.json()["differences"], json!([]));
    }
    assert_same("bootstrap", &recorder, &placeholders(&name, "commands"));
}

/// The environment of a process with every queue.
fn both_queues(stack: &Stack, name: &str) -> BTreeMap<String, String> {
    let mut environment = environment(stack, name);
    let queues = format!("{name}-commands.fifo,{name}-expiries.fifo,{name}-restock.fifo");
    environment.insert("INVENTORY_QUEUES".to_owned(), queues);
    environment
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_producer_is_granted_what_it_calls() {
    let world = World::new(stack()).await;
    let recorder = Recorder::of(&world.stack.endpoint, None).await;
    let arguments = ["send", "reserve", "--event", "42", "--user", "u-1", "--seat", "A-1"];
    process::run(&through(&recorder, &world.environment), &arguments).await.expect_code(0);
    assert_same("producer", &recorder, &placeholders(&world.name, "commands"));
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn an_operator_is_granted_what_dlq_audit_queries_and_send_call() {
    let mut world = with_both_queues().await;
    stock_and_miscount(&mut world).await;

    let recorder = Recorder::of(&world.stack.endpoint, None).await;
    let environment = through(&recorder, &world.environment);
    let run = async |arguments: &[&str], code: i32| {
        process::run(&environment, arguments).await.expect_code(code);
    };
    // Only workers send to the queue of expiries: its dead letters are not redriven.
    kill(&world, &["commands", "restock"], "one").await;
    let listed = process::run(&environment, &["dlq", "list", "--json"]).await.expect_code(0).json();
    let id = listed["queues"][0]["dead_letters"][0]["id"].as_str().unwrap();
    run(&["dlq", "show", id], 0).await;
    run(&["dlq", "redrive", "--all"], 0).await;
    kill(&world, &["commands", "expiries", "restock"], "two").await;
    run(&["dlq", "list"], 0).await;
    run(&["dlq", "discard", "--all", "--yes"], 0).await;
    run(&["audit"], 1).await;
    run(&["seats", &EVENT.to_string()], 0).await;
    run(&["stock", &PoolId::Store(STORE.parse().unwrap()).to_string()], 0).await;
    run(&["reservation", &uuid::Uuid::nil().to_string()], 1).await;
    // No worker runs: there is no outcome.
    let waiting = ["--wait", "1"];
    let reserve = ["send", "reserve", "--event", "42", "--user", "u-1", "--seat", "A-2"];
    process::run(&environment, &[&reserve[..], &waiting].concat()).await;
    let restock = ["send", "restock", "--event", "42", "--seat", "A-7"];
    process::run(&environment, &[&restock[..], &waiting].concat()).await;
    assert_same("operator", &recorder, &placeholders(&world.name, "commands"));
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn an_audit_is_granted_what_it_calls() {
    let mut world = with_both_queues().await;
    stock_and_miscount(&mut world).await;
    let recorder = Recorder::of(&world.stack.endpoint, None).await;
    let environment = through(&recorder, &world.environment);
    process::run(&environment, &["audit"]).await.expect_code(1);
    assert_same("audit", &recorder, &placeholders(&world.name, "commands"));
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_storm_is_granted_what_it_calls() {
    let world = with_both_queues().await;
    let worker = world.worker(&[]).await.ready().await;
    let recorder = Recorder::of(&world.stack.endpoint, None).await;
    let mut environment = through(&recorder, &world.environment);
    environment.insert("INVENTORY_RESULTS_TOPIC".to_owned(), world.topic_arn().to_owned());
    let restocks =
        ["storm", "--yes", "--stores", "2", "--skus", "10", "--duration", "1", "--rate", "20"];
    process::run(&environment, &restocks).await.expect_code(0);
    let on_sale = ["storm", "--yes", "--events", "1", "--seats", "20", "--buyers", "10"];
    process::run(&environment, &on_sale).await.expect_code(0);
    worker.stop().await;
    assert_same("storm", &recorder, &placeholders(&world.name, "commands"));
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_gateway_is_granted_what_it_calls() {
    let mut world = with_both_queues().await;
    let worker = world.worker(&[]).await;
    let recorder = Recorder::of(&world.stack.endpoint, None).await;
    let gateway = Gateway::start(&through(&recorder, &world.environment)).await;
    let ready = async || (gateway.process.get("/readyz").await?.status == 200).then_some(());
    until("the gateway is ready", ready).await;
    let stock = restock_seats("stock", EVENT, &seat_numbers(3));
    gateway.command(&stock).await.expect(200);
    let lines = restock_lines("lines", STORE, &[("tea", 10)]);
    gateway.command(&lines).await.expect(200);
    gateway.command(&reserve_seats("seats", EVENT, &["A-1"])).await.expect(200);
    let source = crate::messages::SOURCE;
    for path in [
        "/overview".to_owned(),
        format!("/commands?source={source}&id=stock"),
        format!("/events/{EVENT}/layout"),
        format!("/events/{EVENT}/map"),
        format!("/events/{EVENT}/availability"),
        format!("/events/{EVENT}/seats"),
        format!("/events/{EVENT}/seats/A-1"),
        format!("/inventory/store/{STORE}"),
        format!("/reservations/{}", reservation("seats")),
    ] {
        gateway.get(&path, &[]).await.expect(200);
    }
    gateway.process.stop().await;
    worker.stop().await;
    world.results.of(&["stock", "lines", "seats"]).await;
    assert_same("gateway", &recorder, &placeholders(&world.name, "commands"));
}

/// A world that also has a queue of restocks.
async fn with_both_queues() -> World {
    let mut world = World::new(stack()).await;
    world.environment = both_queues(&world.stack, &world.name);
    process::run(&world.environment, &["bootstrap"]).await.expect_code(0);
    world
}

/// Items in every table, including one that an audit reads again: an inconsistent line.
async fn stock_and_miscount(world: &mut World) {
    let worker = world.worker(&[]).await;
    let lines = json!({ "store_id": STORE, "user_id": "u-1", "lines": named(&[("tea", 3)]) });
    let stock = restock_lines("stock-2", STORE, &[("tea", 10)]);
    world.post("store", &[stock, command("reserve", "lines", lines)]).await;
    let stock = restock_seats("stock", EVENT, &seat_numbers(3));
    world.post("event", &[stock, reserve_seats("seats", EVENT, &["A-1"])]).await;
    world.results.of(&["lines", "seats"]).await;
    worker.stop().await;
    miscount(world, "tea").await;
}

/// Puts a message into the dead-letter queue of each of the queues.
async fn kill(world: &World, queues: &[&str], text: &str) {
    for queue in queues {
        let name = dead_letter_queue_name(&format!("{}-{queue}.fifo", world.name));
        let url = find(&world.stack.sqs, &name).await.unwrap().unwrap();
        let sending = world.stack.sqs.send_message().queue_url(url).message_group_id("dead");
        sending.message_body(text).send().await.unwrap();
    }
}

async fn miscount(world: &World, sku: &str) {
    let pool = PoolId::Store(STORE.parse().unwrap());
    let key = LineKey { pool, sku: sku.parse().unwrap() };
    let wanted = LoadRequest { lines: [key.clone()].into(), ..LoadRequest::default() };
    let mut line = world.store.load(&wanted).await.unwrap().lines[&key].clone().unwrap();
    let expected = Expected::Version(line.version);
    line.version += 1;
    line.reserved += 1;
    line.available -= 1;
    commit(world, Write::Line { key, expected, line }).await;
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn what_needs_no_rights_calls_nobody() {
    let stack = stack();
    let recorder = Recorder::of(&stack.endpoint, None).await;
    let environment = through(&recorder, &environment(&stack, &unique()));
    process::run(&environment, &["check-config"]).await.expect_code(0);
    process::run(&environment, &["schema"]).await.expect_code(0);
    process::run(&environment, &["health"]).await.expect_code(69);
    assert!(recorder.calls().is_empty(), "{:?}", recorder.calls());
}

#[test]
fn every_subcommand_has_a_role_or_needs_none() {
    let with_rights = [
        "run",
        "serve",
        "bootstrap",
        "send",
        "seats",
        "stock",
        "reservation",
        "audit",
        "dlq",
        "storm",
    ];
    let without = ["dev", "check-config", "schema", "completions", "man", "health"];
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        let known = [&with_rights[..], &without].concat();
        assert!(known.contains(&name), "{name}: add its role");
    }
    // Each command with subcommands is recorded with all of them.
    let command = Cli::command();
    let dlq = command.find_subcommand("dlq").unwrap().get_subcommands();
    let recorded: BTreeSet<&str> = dlq.map(|command| command.get_name()).collect();
    assert_eq!(recorded, ["list", "show", "redrive", "discard"].into());
}
