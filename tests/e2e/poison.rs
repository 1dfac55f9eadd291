//! Messages that are unreadable, or cannot be handled.

use aws_sdk_dynamodb::types::AttributeValue;
use inventory_worker::{
    adapters::system::{Random, SystemClock},
    domain::{OrderLine, PoolId, Reservation, ReservationStatus, time},
    ports::{Clock as _, CommitStore as _, Entropy as _, Expected, Transaction, Write},
};
use serde_json::{Value, json};

use crate::{
    messages::{SOURCE, command, reserve_seats, restock_lines, restock_seats, seat_numbers},
    process::{self, Worker},
    stack::{Broker, Stack},
    wait::until,
    world::{EVENT, STORE, World},
};

on_every_stack! {
    what_cannot_be_read_goes_to_the_dead_letters_and_its_followers_go_on_in_order
    a_poisonous_message_is_dead_lettered_and_its_followers_get_their_outcomes
    an_item_that_cannot_be_read_holds_up_its_commands_until_it_is_corrected
}

async fn what_cannot_be_read_goes_to_the_dead_letters_and_its_followers_go_on_in_order(
    stack: Stack,
) {
    let mut world = World::new(stack).await;
    let unreadable = "{ this is not JSON";
    let mut unsupported = command("teleport", "unsupported", json!({ "event_id": EVENT }));
    unsupported["traceparent"] = json!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let mut invalid = reserve_seats("invalid", EVENT, &["A-1"]);
    invalid["data"]["seats"] = json!([7]);
    let stock = restock_seats("stock", EVENT, &seat_numbers(4));
    // All are in the queue before the worker starts, so that they arrive in one batch.
    world.post("event", &[stock, reserve_seats("r-1", EVENT, &["A-1"])]).await;
    world.post_as("event", "unreadable", unreadable).await;
    world.post("event", &[reserve_seats("r-2", EVENT, &["A-2"]), unsupported.clone()]).await;
    world.post("event", &[invalid.clone(), reserve_seats("r-3", EVENT, &["A-3"])]).await;
    let worker = world.worker(&[]).await;
    world.results.one("r-3").await;
    let seen: Vec<(&str, &str)> =
        world.results.seen().iter().map(|one| (one.command(), one.word())).collect();
    let expected = [
        ("stock", "restocked"),
        ("r-1", "reserved"),
        ("r-2", "reserved"),
        ("unsupported", "UNSUPPORTED_TYPE"),
        ("invalid", "INVALID_MESSAGE"),
        ("r-3", "reserved"),
    ];
    assert_eq!(seen, expected);

    let dead = world.dead_letters(3).await;
    let by_body = |body: &str| dead.iter().find(|letter| letter.body == body).unwrap();
    for (body, reason) in [
        (unreadable.to_owned(), "INVALID_MESSAGE"),
        (unsupported.to_string(), "UNSUPPORTED_TYPE"),
        (invalid.to_string(), "INVALID_MESSAGE"),
    ] {
        let letter = by_body(&body);
        assert_eq!(letter.group, "event");
        assert_eq!(letter.attributes["dlq_reason"], reason);
        assert!(!letter.attributes["dlq_detail"].is_empty());
        assert_eq!(letter.attributes["source_queue"], format!("{}-commands.fifo", world.name));
        assert!(!letter.attributes["original_message_id"].is_empty());
        letter.attributes["first_sent_at"].parse::<inventory_worker::domain::Timestamp>().unwrap();
    }
    let figure = "inventory_dead_lettered_total{reason=\"INVALID_MESSAGE\"}";
    assert_eq!(worker.figure(figure).await, 2.0);
    // The log names command, pool and trace.
    let lines = worker.lines();
    let mut copied = lines.iter().filter(|line| line["message"] == "copied to the dead letters");
    let copied = copied.find(|line| line["reason"] == "UNSUPPORTED_TYPE").unwrap();
    assert_eq!(copied["command"], format!("{SOURCE} unsupported"));
    assert_eq!(copied["pool"], format!("event#{EVENT}"));
    assert_eq!(copied["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    world.drained().await;
    worker.stop().await;
    world.audit().await;
}

/// Soon isolated, and soon dead-lettered.
const IMPATIENT: [(&str, &str); 2] =
    [("INVENTORY_ISOLATE_AFTER_RECEIVES", "1"), ("INVENTORY_MAX_ATTEMPTS", "1")];

/// A reservation that holds a line which does not exist: no command can have left it so, and no
/// command on it can be decided.
fn contradiction() -> Reservation {
    let now = SystemClock.now();
    Reservation {
        reservation_id: inventory_worker::domain::ReservationId(Random::new().uuid()),
        pool: PoolId::Event(EVENT),
        source: "/services/booking".parse().unwrap(),
        user_id: "u-1".parse().unwrap(),
        status: ReservationStatus::Active,
        version: 1,
        seats: Vec::new(),
        lines: vec![OrderLine { sku: "ghost".parse().unwrap(), quantity: 1 }],
        booking_id: None,
        goods: None,
        fulfilled_at: None,
        created_at: now,
        expires_at: time::expiry(now, 3600),
        ended_at: None,
    }
}

async fn a_poisonous_message_is_dead_lettered_and_its_followers_get_their_outcomes(stack: Stack) {
    let is_strict = stack.broker != Broker::LocalStack;
    let mut world = World::new(stack).await;
    let planted = contradiction();
    let id = planted.reservation_id;
    let write = Write::Reservation { expected: Expected::Absent, reservation: planted };
    let transaction = Transaction { writes: vec![write], checks: Vec::new() };
    world.store.commit(&transaction, Random::new().uuid()).await.unwrap();

    let poison =
        command("cancel", "poison", json!({ "event_id": EVENT, "reservation_id": id.to_string() }));
    let stock = restock_seats("stock", EVENT, &seat_numbers(4));
    let before = reserve_seats("before", EVENT, &["A-1"]);
    let after = |number: usize| {
        reserve_seats(&format!("after-{number}"), EVENT, &[&format!("A-{}", number + 1)])
    };
    let messages = [stock, before, poison.clone(), after(1), after(2), after(3)];
    world.post("event", &messages).await;
    let worker = world.worker(&IMPATIENT).await;
    world.post("other", &[reserve_seats("other", EVENT, &["A-9"])]).await;
    assert_eq!(world.results.one("other").await.word(), "SEAT_NOT_FOUND");

    let dead = world.dead_letters(1).await;
    assert_eq!(dead[0].body, poison.to_string());
    assert_eq!(dead[0].group, "event");
    assert_eq!(dead[0].attributes["dlq_reason"], "POISON");
    let words: Vec<&str> = (world.results.of(&["before", "after-1", "after-2", "after-3"]).await)
        .iter()
        .map(|one| one.word())
        .collect();
    assert_eq!(words, ["reserved"; 4], "none of them was condemned with it");
    world.drained().await;
    let order: Vec<&str> = (world.results.seen().iter())
        .map(|one| one.command())
        .filter(|command| *command != "other")
        .collect();
    assert_eq!(order.len(), 5, "the poison has no outcome");
    if is_strict {
        assert_eq!(order, ["stock", "before", "after-1", "after-2", "after-3"]);
    }
    let figure = "inventory_dead_lettered_total{reason=\"POISON\"}";
    assert_eq!(worker.figure(figure).await, 1.0);
    worker.stop().await;

    // The audit finds the planted contradiction, and nothing else.
    let report = process::run(&world.environment, &["audit", "--json"]).await.expect_code(1).json();
    let of_planted = |violation: &Value| {
        let text = violation.to_string();
        text.contains(&id.to_string()) || text.contains("ghost")
    };
    assert!(report["violations"].as_array().unwrap().iter().all(of_planted), "{report}");
    let key = AttributeValue::S(id.to_string());
    let table = &world.tables.reservations;
    let deleting = world.stack.dynamodb.delete_item().table_name(table).key("reservation_id", key);
    deleting.send().await.unwrap();
    world.audit().await;
}

/// Sets one attribute of the line of tea.
async fn set_on_hand(world: &World, on_hand: u64) {
    world
        .stack
        .dynamodb
        .update_item()
        .table_name(&world.tables.stock)
        .key("pool", AttributeValue::S(format!("store#{STORE}")))
        .key("sku", AttributeValue::S("tea".to_owned()))
        .update_expression("SET on_hand = :on_hand")
        .expression_attribute_values(":on_hand", AttributeValue::N(on_hand.to_string()))
        .send()
        .await
        .unwrap();
}

async fn waiting_group(worker: &Worker) -> Option<Value> {
    worker.logged("a group waits for an item that cannot be read")
}

async fn an_item_that_cannot_be_read_holds_up_its_commands_until_it_is_corrected(stack: Stack) {
    let mut world = World::new(stack).await;
    let worker = world.worker(&IMPATIENT).await;
    let stock = restock_lines("stock", STORE, &[("tea", 10), ("rice", 10)]);
    world.post("store", &[stock]).await;
    world.results.one("stock").await;
    // One number was changed by hand, and it is unknown which is right.
    set_on_hand(&world, 11).await;
    let reserve = |id: &str, sku: &str| {
        let lines = json!([{ "sku": sku, "quantity": 1 }]);
        command("reserve", id, json!({ "store_id": STORE, "user_id": "u-1", "lines": lines }))
    };
    world.post("store", &[reserve("tea", "tea")]).await;
    let reported = until("the worker says so", async || waiting_group(&worker).await).await;
    let what = reported["error"].as_str().unwrap();
    for named in [&*world.tables.stock, "tea", "on_hand"] {
        assert!(what.contains(named), "{what}");
    }
    assert_eq!(reported["command"], format!("{SOURCE} tea"));
    world.post("rice", &[reserve("rice", "rice")]).await;
    assert_eq!(world.results.one("rice").await.word(), "reserved", "others go on");
    process::run(&world.environment, &["audit"]).await.expect_code(1);
    set_on_hand(&world, 10).await;
    assert_eq!(world.results.one("tea").await.word(), "reserved");
    assert_eq!(world.line("tea").await, (9, 1));
    world.drained().await;
    world.dead_letters(0).await;
    worker.stop().await;
    world.audit().await;
}
