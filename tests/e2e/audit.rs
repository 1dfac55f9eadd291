//! `audit`.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::{
    messages::{reserve_seats, restock_seats, seat_numbers},
    process,
    stack::Stack,
    world::{EVENT, World},
};

on_every_stack! {
    audit_exits_by_what_it_finds
    audit_goes_on_past_an_item_that_cannot_be_read
}

async fn audit_exits_by_what_it_finds(stack: Stack) {
    let mut world = World::new(stack).await;
    let worker = world.worker(&[]).await;
    let stock = restock_seats("stock", EVENT, &seat_numbers(2));
    world.post("event", &[stock, reserve_seats("r", EVENT, &["A-1"])]).await;
    world.results.one("r").await;
    worker.stop().await;
    let report = world.audit().await;
    assert_eq!(report["seats"], 2);
    assert_eq!(report["reservations"], 1);
    assert_eq!(report["ledger_entries"], 2);
    let shown = process::run(&world.environment, &["audit"]).await.expect_code(0);
    assert!(shown.out.contains("clean: every invariant holds"), "{}", shown.out);

    // The seat of an ACTIVE reservation is set back on sale by hand.
    world
        .stack
        .dynamodb
        .update_item()
        .table_name(&world.tables.seats)
        .key("event_id", AttributeValue::N(EVENT.to_string()))
        .key("seat_number", AttributeValue::S("A-1".to_owned()))
        .update_expression(
            "SET #status = :available REMOVE reservation_id, reserved_by, reserved_until",
        )
        .expression_attribute_names("#status", "status")
        .expression_attribute_values(":available", AttributeValue::S("AVAILABLE".to_owned()))
        .send()
        .await
        .unwrap();
    let found = process::run(&world.environment, &["audit", "--json"]).await.expect_code(1).json();
    let violations = found["violations"].as_array().unwrap();
    assert_eq!(violations.len(), 1, "{found}");
    assert_eq!(violations[0]["invariant"], "active_reservation_holds");
    let shown = process::run(&world.environment, &["audit"]).await.expect_code(1);
    assert!(shown.out.contains("1 violation\n"), "{}", shown.out);
}

async fn audit_goes_on_past_an_item_that_cannot_be_read(stack: Stack) {
    let mut world = World::new(stack).await;
    let worker = world.worker(&[]).await;
    let stock = restock_seats("stock", EVENT, &seat_numbers(3));
    world.post("event", &[stock, reserve_seats("r", EVENT, &["A-1"])]).await;
    world.results.one("r").await;
    worker.stop().await;
    let set = async |seat: &str, attribute: &str, value: AttributeValue| {
        let updating = world.stack.dynamodb.update_item().table_name(&world.tables.seats);
        updating
            .key("event_id", AttributeValue::N(EVENT.to_string()))
            .key("seat_number", AttributeValue::S(seat.to_owned()))
            .update_expression("SET #attribute = :value")
            .expression_attribute_names("#attribute", attribute)
            .expression_attribute_values(":value", value)
            .send()
            .await
            .unwrap();
    };
    // One that nothing names, and one that a reservation names.
    set("A-1", "version", AttributeValue::S("one".to_owned())).await;
    set("A-3", "version", AttributeValue::S("one".to_owned())).await;
    // A violation elsewhere is found all the same.
    set("A-2", "version", AttributeValue::N("0".to_owned())).await;
    let found = process::run(&world.environment, &["audit", "--json"]).await.expect_code(1).json();
    let unreadable = found["unreadable"].as_array().unwrap();
    assert_eq!(unreadable.len(), 2, "{found}");
    for (item, seat) in unreadable.iter().zip(["A-1", "A-3"]) {
        let item = item.as_str().unwrap();
        assert!(item.contains(seat) && item.contains("version"), "{item}");
    }
    assert_eq!(found["violations"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["violations"][0]["invariant"], "seat_version");
    assert!(!found["not_checked"].as_array().unwrap().is_empty(), "{found}");
    let shown = process::run(&world.environment, &["audit"]).await.expect_code(1);
    assert!(shown.out.contains("1 violation; 2 items cannot be read"), "{}", shown.out);

    // An audit that cannot run is no violation, and prints JSON as well.
    let variables = [("DYNAMODB_TABLE_STOCK", "no-such-table")];
    let ended = process::run(&world.with(&variables), &["audit", "--json"]).await.expect_code(69);
    let error = ended.json()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("no-such-table"), "{error}");
}
