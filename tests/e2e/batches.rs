//! Messages of several commands, and results in kind.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::{
    messages::{command, reservation, reserve_seats, restock_seats, seat_numbers},
    process,
    results::Received,
    stack::Stack,
    world::{EVENT, World},
};

on_every_stack! {
    each_command_of_a_batch_has_a_result_of_its_own_in_order
    results_in_kind_are_arrays_that_a_filter_policy_finds_by_any_of_them
    send_puts_consecutive_commands_of_a_group_into_messages_and_waits_for_each
}

/// A restock of three seats, a reserve, one of the same seat, no command, and a cancel.
fn batch() -> Vec<Value> {
    let cancel = json!({ "event_id": EVENT, "reservation_id": reservation("held") });
    vec![
        restock_seats("stock", EVENT, &seat_numbers(3)),
        reserve_seats("held", EVENT, &["A-1"]),
        reserve_seats("taken", EVENT, &["A-1", "A-2"]),
        json!({ "no": "command" }),
        command("cancel", "given-back", cancel),
    ]
}

const COMMANDS: [&str; 4] = ["stock", "held", "taken", "given-back"];
const WORDS: [&str; 4] = ["restocked", "reserved", "SEATS_UNAVAILABLE", "cancelled"];

fn words(results: &[Received]) -> Vec<&str> {
    results.iter().map(Received::word).collect()
}

async fn each_command_of_a_batch_has_a_result_of_its_own_in_order(stack: Stack) {
    let mut world = World::new(stack).await;
    let worker = world.worker(&[]).await;
    world.post("event", &[Value::Array(batch())]).await;
    world.results.of(&COMMANDS).await;
    world.drained().await;
    assert_eq!(words(world.results.seen()), WORDS);
    world.results.assert_each_once();
    let dead = world.dead_letters(1).await;
    assert_eq!(dead[0].body, json!({ "no": "command" }).to_string(), "the element alone");
    worker.stop().await;
    world.audit().await;
}

async fn results_in_kind_are_arrays_that_a_filter_policy_finds_by_any_of_them(stack: Stack) {
    let mut world = World::new(stack).await;
    let rejections = json!({ "type": ["inventory.rejected.v1"] });
    let mut rejections = world.subscriber("rejections", &rejections).await;
    let mut confirms =
        world.subscriber("confirms", &json!({ "type": ["inventory.confirmed.v1"] })).await;
    let worker = world.worker(&[("INVENTORY_RESULT_BATCHES", "in-kind")]).await;
    world.post("event", &[Value::Array(batch())]).await;
    world.results.of(&COMMANDS).await;
    assert_eq!(words(world.results.seen()), WORDS);
    let batches: Vec<_> =
        world.results.seen().iter().map(|one| one.attributes.get("batch").cloned()).collect();
    assert!(batches.iter().all(|batch| batch.as_deref() == Some("true")), "{batches:?}");
    // The whole array comes to whoever wants one of its results.
    rejections.of(&COMMANDS).await;
    assert_eq!(words(rejections.seen()), WORDS);

    // A lone command has a result that is no array.
    let confirm = json!({
        "event_id": EVENT, "reservation_id": reservation("alone"), "booking_id": "b-1",
    });
    let alone = [reserve_seats("alone", EVENT, &["A-3"]), command("confirm", "sold", confirm)];
    world.post("event", &alone).await;
    let sold = world.results.one("sold").await;
    assert_eq!((sold.word(), sold.attributes.get("batch")), ("confirmed", None));
    assert_eq!(confirms.one("sold").await.command(), "sold");
    assert_eq!(confirms.seen().len(), 1, "no array without a confirm came to it");
    worker.stop().await;
    world.audit().await;
}

async fn send_puts_consecutive_commands_of_a_group_into_messages_and_waits_for_each(stack: Stack) {
    let mut world = World::new(stack).await;
    let seats = seat_numbers(30);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{}", restock_seats("stock", EVENT, &seats)).unwrap();
    let ids: Vec<String> = (1..=30).map(|number| format!("r-{number}")).collect();
    for (id, seat) in ids.iter().zip(&seats) {
        writeln!(file, "{}", reserve_seats(id, EVENT, &[seat.as_str()])).unwrap();
    }
    let path = file.path().to_str().unwrap();
    let arguments = ["send", "--file", path, "--batch", "20", "--json"];
    let posted = process::run(&world.environment, &arguments).await.expect_code(0).json_lines();
    assert_eq!(posted.len(), 31, "each command is named: {posted:#?}");

    let worker = world.worker(&[]).await.ready().await;
    let arguments = ["send", "--file", path, "--batch", "--wait", "60"];
    let waited = process::run(&world.environment, &arguments).await.expect_code(0);
    assert_eq!(waited.out.matches("ACTIVE").count(), 30, "{}", waited.out);
    world.results.of(&ids).await;
    world.drained().await;
    let mut seen: Vec<_> = world.results.seen().iter().map(Received::command).collect();
    seen.dedup();
    let expected: Vec<_> = std::iter::once("stock").chain(ids.iter().map(String::as_str)).collect();
    // What was posted again is answered again, in the same order.
    assert_eq!(seen.get(..31), Some(&expected[..]));
    let of_rounds =
        async |what: &str| worker.figure(&format!("inventory_commands_per_message_{what}")).await;
    let (sum, rounds) = (of_rounds("sum").await, of_rounds("count").await);
    assert!(sum / rounds > 5.0, "{sum} commands a message in {rounds} rounds, in sum");
    worker.stop().await;
    world.audit().await;
}
