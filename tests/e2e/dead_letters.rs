//! `dlq`: an operator's work on dead letters.

use serde_json::{Value, json};

use crate::{
    messages::{command, reserve_seats, restock_seats, seat_numbers},
    process,
    stack::Stack,
    wait::until,
    world::{EVENT, World},
};

on_every_stack! {
    dead_letters_are_listed_shown_sent_back_and_discarded
}

/// Runs `dlq --json` and returns the report on the queue of commands, which comes first.
async fn dlq(world: &World, arguments: &[&str], code: i32) -> Value {
    let arguments = [&["dlq"], arguments, &["--json"]].concat();
    let report = process::run(&world.environment, &arguments).await.expect_code(code).json();
    assert!(!report["queues"].as_array().unwrap().is_empty(), "{report}");
    report
}

fn letters(report: &Value) -> &[Value] {
    report["queues"][0]["dead_letters"].as_array().unwrap()
}

fn texts<'r>(report: &'r Value, field: &str) -> Vec<&'r str> {
    letters(report).iter().map(|letter| letter[field].as_str().unwrap()).collect()
}

async fn dead_letters_are_listed_shown_sent_back_and_discarded(stack: Stack) {
    let mut world = World::new(stack).await;
    let mut invalid = reserve_seats("invalid", EVENT, &["A-1"]);
    invalid["data"]["seats"] = json!([7]);
    let unsupported = command("teleport", "unsupported", json!({ "event_id": EVENT }));
    let stock = restock_seats("stock", EVENT, &seat_numbers(2));
    world.post("event", &[stock, invalid.clone(), unsupported.clone()]).await;
    let worker = world.worker(&[]).await;
    until("both are dead", async || {
        let listed = dlq(&world, &["list"], 0).await;
        (letters(&listed).len() == 2).then_some(())
    })
    .await;

    // Listed with reasons and without bodies; listing changes nothing.
    let listed = dlq(&world, &["list"], 0).await;
    assert_eq!(texts(&listed, "reason"), ["INVALID_MESSAGE", "UNSUPPORTED_TYPE"]);
    assert_eq!(texts(&listed, "group"), ["event", "event"]);
    assert_eq!(texts(&listed, "source_queue"), [&*format!("{}-commands.fifo", world.name); 2]);
    assert!(letters(&listed).iter().all(|letter| letter.get("body").is_none()));
    assert_eq!(listed["queues"][0]["behind"], 0);
    let shown = process::run(&world.environment, &["dlq", "list"]).await.expect_code(0).out;
    assert!(shown.contains("INVALID_MESSAGE") && shown.contains("data.seats[0]"), "{shown}");
    let ids = texts(&listed, "id");
    let first_sent = texts(&listed, "first_sent_at");
    let one = dlq(&world, &["show", ids[1]], 0).await;
    assert_eq!(texts(&one, "body"), [unsupported.to_string()]);

    // Messages that were not named or confirmed stay.
    process::run(&world.environment, &["dlq", "redrive"]).await.expect_code(64);
    process::run(&world.environment, &["dlq", "discard", "--all"]).await.expect_code(64);
    let nobody = dlq(&world, &["discard", "no-such-message"], 1).await;
    assert_eq!(nobody["missing"], json!(["no-such-message"]));

    // A redriven message is read again, still invalid, and dead-lettered again with its first time.
    let arguments = ["redrive", "--all", "--reason", "INVALID_MESSAGE"];
    let sent = dlq(&world, &arguments, 0).await;
    let fates: Vec<(&str, &str)> =
        texts(&sent, "id").into_iter().zip(texts(&sent, "fate")).collect();
    assert_eq!(fates[0], (ids[0], "redriven"));
    // The worker may be so fast that the run receives the new copy: it leaves it alone.
    assert!(fates[1..].iter().all(|(_, fate)| *fate == "refused"), "{sent}");
    let again = until("it is dead again", async || {
        let listed = dlq(&world, &["list", "--reason", "INVALID_MESSAGE"], 0).await;
        (texts(&listed, "id").iter().any(|id| *id != ids[0])).then_some(listed)
    })
    .await;
    assert_eq!(texts(&again, "first_sent_at"), [first_sent[0]]);
    assert_eq!(texts(&again, "reason"), ["INVALID_MESSAGE"]);
    let died_again = texts(&again, "id")[0];
    let shown = dlq(&world, &["show", died_again], 0).await;
    assert_eq!(texts(&shown, "body"), [invalid.to_string()]);

    let gone = dlq(&world, &["discard", died_again], 0).await;
    assert_eq!(texts(&gone, "fate"), ["discarded"]);
    let left = dlq(&world, &["list"], 0).await;
    assert_eq!(texts(&left, "id"), [ids[1]]);
    dlq(&world, &["discard", "--all", "--yes"], 0).await;
    assert_eq!(letters(&dlq(&world, &["list"], 0).await).len(), 0);
    world.results.one("stock").await;
    world.drained().await;
    worker.stop().await;
    world.audit().await;
}
