//! `import`, `export` and `forget`: pools in files, and a user's id.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::{
    messages::{command, reserve_seats},
    process,
    stack::Stack,
    world::{EVENT, STORE, World},
};

on_every_stack! {
    a_file_is_imported_once_and_its_pool_exported
    a_wrong_file_is_refused_whole
    a_forgotten_user_is_nowhere_in_the_tables_and_dead_letters
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn rows() -> String {
    let seats = (1..=200).map(|n| format!("{EVENT},A-{n},stalls,49.50,,,,,,\n"));
    let seats: String = seats.collect();
    format!(
        "event_id,seat_number,section,price,user_id,seats,lines,booking_id,sku,quantity\n{seats}\
         {EVENT},,,,u-1,A-1;A-2,,b-1,,\n{EVENT},,,,,,,,lawn,30\n{EVENT},,,,u-2,A-3,lawn=2,b-2,,\n"
    )
}

async fn a_file_is_imported_once_and_its_pool_exported(stack: Stack) {
    let world = World::new(stack).await;
    let worker = world.worker(&[]).await.ready().await;
    let file = file(&rows());
    let path = file.path().to_str().unwrap();
    let run = async |arguments: &[&str], code: i32| {
        process::run(&world.environment, arguments).await.expect_code(code)
    };
    let dry = run(&["import", path, "--dry-run", "--json"], 0).await.json();
    assert_eq!((&dry["rows"]["seats"], &dry["commands"]), (&json!(200), &json!(6)));
    let first = run(&["import", path, "--wait", "60", "--json"], 0).await.json();
    let outcomes = &first["outcomes"];
    assert_eq!((&first["commands"], &first["known"]), (&json!(6), &json!(0)), "{first}");
    assert_eq!((&outcomes["seats_applied"], &outcomes["confirmed"]), (&json!(200), &json!(2)));
    let again = run(&["import", path, "--wait", "60"], 0).await.out;
    assert!(again.contains("0 commands posted, 6 decided before"), "{again}");

    let public = run(&["export", "event#42"], 0).await;
    assert!(!public.out.contains("u-1") && public.out.lines().count() == 201, "{}", public.out);
    assert!(public.err.contains("3 seats held or sold by none of these"), "{}", public.err);
    let private = run(&["export", "event#42", "--private", "--csv"], 0).await.out;
    assert_eq!(private.lines().filter(|line| line.contains("u-")).count(), 2, "{private}");
    // Into another event: the reservations' ids are taken.
    let of_another = |line: &str| match line.strip_prefix("42,") {
        Some(rest) => format!("43,{rest}\n"),
        None => format!("{line}\n"),
    };
    let sent = self::file(&private.lines().map(of_another).collect::<String>());
    let twice = run(&["import", sent.path().to_str().unwrap(), "--wait", "60"], 2).await.out;
    assert!(twice.contains("RESERVATION_EXISTS"), "{twice}");
    worker.stop().await;
    world.audit().await;
}

async fn a_wrong_file_is_refused_whole(stack: Stack) {
    let world = World::new(stack).await;
    let file = file("event_id,seat_number,price\n42,A-1,49.50\n42,A-2,secret\n");
    let arguments = ["import", file.path().to_str().unwrap()];
    let refused = process::run(&world.environment, &arguments).await.expect_code(64);
    assert!(refused.err.contains("nothing was posted"), "{}", refused.err);
    assert!(refused.err.contains("line 3: price: expected a decimal text"), "{}", refused.err);
    assert!(!refused.err.contains("secret"), "{}", refused.err);
    assert!(world.is_drained().await);
}

async fn a_forgotten_user_is_nowhere_in_the_tables_and_dead_letters(stack: Stack) {
    let mut world = World::new(stack).await;
    let user = "ann@example.com";
    let by = |mut command: Value| {
        command["data"]["user_id"] = json!(user);
        command
    };
    let worker = world.worker(&[]).await.ready().await;
    let file = file(&rows());
    let import = ["import", file.path().to_str().unwrap(), "--wait", "60"];
    process::run(&world.environment, &import).await.expect_code(0);
    let line = json!({ "store_id": STORE, "lines": [{ "sku": "tea", "quantity": 3 }] });
    let unknown = by(command("teleport", "unknown", json!({ "event_id": EVENT })));
    let held =
        [by(reserve_seats("kept", EVENT, &["A-7"])), by(reserve_seats("lost", EVENT, &["A-7"]))];
    world.post("event", &held).await;
    world.post("other", &[by(command("reserve", "none", line)), unknown]).await;
    world.results.of(&["kept", "lost", "none", "unknown"]).await;
    world.drained().await;

    let count = process::run(&world.environment, &["forget", user, "--dry-run", "--json"]).await;
    let count = count.expect_code(0).json();
    let found =
        ["reservations", "seats", "outcomes", "dead_letters"].map(|name| count[name].clone());
    assert_eq!(found, [1, 1, 1, 1].map(|count| json!(count)), "{count}");
    process::run(&world.environment, &["forget", user]).await.expect_code(64);
    let done = process::run(&world.environment, &["forget", user, "--yes"]).await.expect_code(0);
    assert!(done.out.contains("the id is nowhere") && !done.out.contains(user), "{}", done.out);

    for table in inventory_worker::ports::Table::ALL {
        let records = format!("{:?}", world.scan(table).await);
        assert!(!records.contains(user), "{table:?}: {records}");
    }
    let letters = process::run(&world.environment, &["dlq", "show", "--all"]).await.expect_code(0);
    assert!(letters.out.contains("forgotten-") && !letters.out.contains(user), "{}", letters.out);
    let again = process::run(&world.environment, &["forget", user, "--yes", "--json"]).await;
    assert_eq!(again.expect_code(0).json()["passes"], 1);
    worker.stop().await;
    world.audit().await;
}
