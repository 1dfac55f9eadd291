//! Selection of results by a subscription's filter policy.

use serde_json::json;

use crate::{
    messages::{command, named, reserve_seats, restock_lines, restock_seats, seat_numbers},
    stack::Stack,
    world::{EVENT, STORE, World},
};

on_every_stack! {
    a_subscriber_gets_what_its_filter_policy_lets_through
}

async fn a_subscriber_gets_what_its_filter_policy_lets_through(stack: Stack) {
    let mut world = World::new(stack).await;
    let mut rejections =
        world.subscriber("rejections", &json!({ "type": ["inventory.rejected.v1"] })).await;
    let mut store = world.subscriber("store", &json!({ "store_id": [STORE] })).await;
    let mut booking = world
        .subscriber(
            "booking",
            &json!({ "command_source": ["/services/booking"], "event_id": ["42"] }),
        )
        .await;
    let worker = world.worker(&[]).await;

    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut traced = reserve_seats("booked", EVENT, &["A-1"]);
    traced["source"] = json!("/services/booking");
    traced["traceparent"] = json!(trace);
    let taken = reserve_seats("taken", EVENT, &["A-1"]);
    let stock = restock_seats("stock-1", EVENT, &seat_numbers(2));
    world.post("event", &[stock, traced, taken]).await;
    let lines = |quantity| json!({ "store_id": STORE, "user_id": "u-1", "lines": named(&[("tea", quantity)]) });
    let stock = restock_lines("stock-2", STORE, &[("tea", 5)]);
    let messages =
        [stock, command("reserve", "tea", lines(5)), command("reserve", "no-tea", lines(1))];
    world.post("store", &messages).await;
    world.results.of(&["taken", "no-tea"]).await;

    let words = |seen: &[crate::results::Received]| -> Vec<String> {
        seen.iter().map(|one| one.command().to_owned()).collect()
    };
    let mut seen = words(rejections.until("two rejections", |seen| seen.len() >= 2).await);
    seen.sort();
    assert_eq!(seen, ["no-tea", "taken"]);
    let seen = words(store.until("three of the store", |seen| seen.len() >= 3).await);
    assert_eq!(seen, ["stock-2", "tea", "no-tea"]);
    let seen = booking.until("one of the booking service", |seen| !seen.is_empty()).await;
    assert_eq!(words(seen), ["booked"]);
    let expected = [
        ("command_source", "/services/booking"),
        ("event_id", "42"),
        ("reservation_source", "/services/booking"),
        ("traceparent", trace),
        ("type", "inventory.reserved.v1"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(seen[0].attributes, expected.into());
    assert_eq!(seen[0].body["traceparent"], trace);
    worker.stop().await;
    world.audit().await;
}
