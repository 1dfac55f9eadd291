//! Selection of results by a subscription's filter policy.

use serde_json::json;

use crate::{
    messages::{command, named, reserve_seats, restock_lines, restock_seats, seat_numbers},
    stack::Stack,
    world::{EVENT, STORE, World},
};

on_every_stack! {
    a_subscriber_gets_what_its_filter_policy_lets_through
    a_service_gets_the_ends_of_its_own_holds_and_of_no_others
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

async fn a_service_gets_the_ends_of_its_own_holds_and_of_no_others(stack: Stack) {
    let mut world = World::new(stack).await;
    let filter = json!({ "$or": [
        { "command_source": ["/services/booking"] }, { "reservation_source": ["/services/booking"] },
    ]});
    let mut booking = world.subscriber("booking", &filter).await;
    let worker = world.worker(&[("INVENTORY_SWEEPER_MARGIN_SECONDS", "0.1")]).await;

    let brief = |source: &str, seat: &str| {
        let mut reserve = reserve_seats("brief", EVENT, &[seat]);
        reserve["source"] = json!(source);
        reserve["data"]["hold_seconds"] = json!(1);
        reserve
    };
    let mut refused = reserve_seats("refused", EVENT, &["Z-9"]);
    refused["source"] = json!("/services/booking");
    let stock = restock_seats("stock", EVENT, &seat_numbers(2));
    let holds = [brief("/services/orders", "A-1"), brief("/services/booking", "A-2"), refused];
    world.post("event", &[vec![stock], holds.to_vec()].concat()).await;

    let ended = |seen: &[crate::results::Received]| {
        seen.iter().filter(|one| one.word() == "expired").count()
    };
    world.results.until("both ends", |seen| ended(seen) == 2).await;
    let seen = booking.until("the end of its hold", |seen| ended(seen) == 1).await;
    let words: Vec<_> = seen.iter().map(|one| one.word()).collect();
    assert_eq!(words, ["reserved", "SEAT_NOT_FOUND", "expired"]);
    assert_eq!(seen[2].attributes["command_source"], "/inventory-worker/sweeper");
    assert_eq!(seen[2].body["data"]["reservation"]["source"], "/services/booking");
    worker.stop().await;
    world.audit().await;
}
