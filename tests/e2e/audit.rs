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
    assert!(shown.out.contains("1 violations"), "{}", shown.out);
}
