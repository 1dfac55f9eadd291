//! `send`: commands from a command line.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::{
    messages::{SOURCE, reserve_seats, restock_lines, restock_seats, seat_numbers},
    process,
    stack::Stack,
    world::{EVENT, STORE, World},
};

on_every_stack! {
    send_waits_for_the_outcome_and_exits_by_it
    send_posts_a_file_in_order_and_nothing_of_one_that_is_wrong
    a_send_without_an_outcome_says_how_to_go_on_waiting
}

async fn a_send_without_an_outcome_says_how_to_go_on_waiting(stack: Stack) {
    let world = World::new(stack).await;
    let restock = ["restock", "--event", "42", "--seat", "A-1", "--reason", "two words"];
    let send = async |arguments: &[&str]| {
        let arguments = [&["send"], arguments, &["--source", SOURCE, "--wait", "1"]].concat();
        process::run(&world.environment, &arguments).await
    };
    let ended = send(&restock).await.expect_code(1);
    let id = ended.out.split_whitespace().next().unwrap().to_owned();
    assert_eq!(ended.out, format!("{id}  no outcome yet\n"));
    let again = ended.err.lines().last().unwrap().trim();
    let expected = format!(
        " send restock --event 42 --seat A-1 --reason 'two words' --source {SOURCE} --wait 1 --id {id}"
    );
    assert!(again.ends_with(&expected), "{again}");
    assert!(ended.err.contains("Is a worker running?"), "{}", ended.err);

    let with_id = [&restock[..], &["--id", &id, "--json"]].concat();
    let pending = send(&with_id).await.expect_code(1).json();
    assert_eq!(pending["pending"], json!({ "source": SOURCE, "id": id }));
    assert_eq!(pending["waited_seconds"], 1);
    assert!(pending["again"].as_str().unwrap().contains("--id"), "{pending}");

    let worker = world.worker(&[]).await.ready().await;
    let again = [&restock[..], &["--id", &id]].concat();
    let arguments = [&["send"], &again[..], &["--source", SOURCE, "--wait", "60"]].concat();
    let ended = process::run(&world.environment, &arguments).await.expect_code(0);
    assert!(ended.out.starts_with(&format!("{id}  restocked")), "{}", ended.out);
    worker.stop().await;
    world.audit().await;
}

async fn send_waits_for_the_outcome_and_exits_by_it(stack: Stack) {
    let mut world = World::new(stack).await;
    let worker = world.worker(&[]).await;
    let send = async |arguments: &[&str]| {
        let arguments = [&["send"], arguments, &["--source", SOURCE, "--wait", "60"]].concat();
        process::run(&world.environment, &arguments).await
    };
    let seats = ["restock", "--event", "42", "--seat", "A-1,A-2", "--price", "49.50"];
    send(&seats).await.expect_code(0);
    let line = ["restock", "--store", STORE, "--line", "tea=5", "--mode", "set"];
    let restocked = send(&line).await.expect_code(0);
    assert!(restocked.out.contains("restocked"), "{}", restocked.out);

    let reserve =
        ["reserve", "--event", "42", "--user", "u-1", "--seat", "A-1", "--id", "r", "--json"];
    let reserved = send(&reserve).await.expect_code(0).json();
    assert_eq!(reserved["type"], "inventory.reserved.v1");
    let held = reserved["data"]["reservation"]["reservation_id"].as_str().unwrap();
    let taken = ["reserve", "--event", "42", "--user", "u-2", "--seat", "A-1"];
    let rejected = send(&taken).await.expect_code(2);
    assert!(rejected.out.contains("SEATS_UNAVAILABLE"), "{}", rejected.out);
    assert!(rejected.out.contains("A-1"), "{}", rejected.out);
    let reused = ["reserve", "--event", "42", "--user", "u-2", "--seat", "A-2", "--id", "r"];
    let reused = send(&reused).await.expect_code(2);
    assert!(reused.out.contains("COMMAND_ID_REUSED"), "{}", reused.out);
    let confirm = ["confirm", "--event", "42", "--reservation", held, "--booking", "b-1"];
    let confirmed = send(&confirm).await.expect_code(0);
    assert!(confirmed.out.contains("CONFIRMED"), "{}", confirmed.out);
    let cancel = ["cancel", "--event", "42", "--reservation", held];
    send(&cancel).await.expect_code(2);
    let refund = ["cancel", "--event", "42", "--reservation", held, "--refund"];
    send(&refund).await.expect_code(0);
    // The command's output equals the result that subscribers receive.
    let mut published = world.results.one("r").await.body;
    let command = published["data"]["command"].as_object_mut().unwrap();
    assert!(command.remove("sequence").is_some());
    assert_eq!(reserved, published);
    worker.stop().await;
    world.audit().await;
}

fn file(messages: &[Value]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for message in messages {
        writeln!(file, "{message}").unwrap();
    }
    file
}

async fn send_posts_a_file_in_order_and_nothing_of_one_that_is_wrong(stack: Stack) {
    let mut world = World::new(stack).await;
    // Restocks go to the second queue of producers, if there is one.
    let two = format!("{0}-commands.fifo,{0}-expiries.fifo,{0}-restock.fifo", world.name);
    world.environment.insert("INVENTORY_QUEUES".to_owned(), two);
    let made = process::run(&world.environment, &["bootstrap", "--json"]).await.expect_code(0);
    assert_eq!(made.json()["created"].as_array().unwrap().len(), 2, "{}", made.out);

    let mut wrong = reserve_seats("wrong", EVENT, &["A-1"]);
    wrong["data"]["hold_seconds"] = json!(0);
    let broken = file(&[reserve_seats("not-sent", EVENT, &["A-1"]), wrong]);
    let path = broken.path().to_str().unwrap().to_owned();
    let refused =
        process::run(&world.environment, &["send", "--file", &path]).await.expect_code(64);
    for reported in ["line 2", "nothing was sent", "hold_seconds"] {
        assert!(refused.err.contains(reported), "{}", refused.err);
    }

    let worker = world.worker(&[]).await;
    let stocks = [
        restock_seats("stock-1", EVENT, &seat_numbers(30)),
        restock_lines("stock-2", STORE, &[("tea", 5)]),
    ];
    let stocks = file(&stocks);
    let path = stocks.path().to_str().unwrap();
    let sent = process::run(&world.environment, &["send", "--wait", "60", "--file", path]).await;
    sent.expect_code(0);
    let reserves: Vec<Value> = (1..=30)
        .map(|n| reserve_seats(&format!("r-{n:02}"), EVENT, &[&format!("A-{n}")]))
        .collect();
    let path = file(&reserves);
    let arguments = ["send", "--json", "--wait", "60", "--file", path.path().to_str().unwrap()];
    let sent = process::run(&world.environment, &arguments).await.expect_code(0);
    assert_eq!(sent.json_lines().len(), 30);
    let ids: Vec<&str> = reserves.iter().map(|message| message["id"].as_str().unwrap()).collect();
    world.results.of(&ids).await;
    let seen: Vec<&str> = (world.results.seen().iter())
        .map(|one| one.command())
        .filter(|id| id.starts_with("r-"))
        .collect();
    assert_eq!(seen, ids, "in the order of the file");
    assert!(world.results.seen().iter().all(|one| one.command() != "not-sent"));
    worker.stop().await;
    world.audit().await;
}
