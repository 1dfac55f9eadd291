//! The fields of the commands beyond the reserve: what they mean, their bounds, and the words for a
//! fault.

use super::*;
use crate::domain::{
    Cancel, Confirm, Extend, Fulfil, Goods, Holdings, LineChange, Modify, OrderLine, ReservationId,
    Restock, RestockStatus, Timestamp,
};

const ID: &str = "9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90";

pub(super) fn id() -> ReservationId {
    ID.parse().unwrap()
}

/// A valid command of the kind, about event 42 and the reservation.
pub(super) fn message(kind: &str, mut data: Value) -> Value {
    data["event_id"] = json!(42);
    if kind != "restock" {
        data["reservation_id"] = json!(ID);
    }
    let kind = format!("inventory.{kind}.v1");
    json!({"specversion": "1.0", "id": "1", "source": "/s", "type": kind, "data": data})
}

fn action(message: &Value) -> Action {
    decode(&message.to_string()).unwrap_or_else(|wrong| panic!("{message}: {wrong}")).command.action
}

fn fault(message: &Value) -> String {
    let reported = refused(message);
    assert_eq!(reported.rejection.code, RejectionCode::InvalidMessage, "{message}");
    assert_eq!(reported.pool, Some(PoolId::Event(42)));
    reported.rejection.message
}

fn line(sku: &str, quantity: u64) -> OrderLine {
    OrderLine { sku: sku.parse().unwrap(), quantity }
}

pub(super) fn holdings(seats: &[&str], lines: &[(&str, u64)]) -> Holdings {
    Holdings {
        seats: seats.iter().map(|seat| seat.parse().unwrap()).collect(),
        lines: lines.iter().map(|(sku, quantity)| line(sku, *quantity)).collect(),
    }
}

#[test]
fn what_is_not_given_takes_its_default() {
    let confirm = Confirm::new(id(), "b-1".parse().unwrap());
    assert_eq!(action(&message("confirm", json!({"booking_id": "b-1"}))), Action::Confirm(confirm));
    assert_eq!(action(&message("cancel", json!({}))), Action::Cancel(Cancel::new(id())));
    let fulfil = Fulfil { reservation_id: id(), user_id: None };
    assert_eq!(action(&message("fulfil", json!({}))), Action::Fulfil(fulfil));
    let extend = Extend { reservation_id: id(), hold_seconds: 1, user_id: None };
    assert_eq!(action(&message("extend", json!({"hold_seconds": 1}))), Action::Extend(extend));
    let add = holdings(&["A-1"], &[]);
    let modify = Modify { reservation_id: id(), add, remove: Holdings::default(), user_id: None };
    let read = action(&message("modify", json!({"add": {"seats": ["A-1"]}})));
    assert_eq!(read, Action::Modify(modify));
    let lines = vec![LineChange::new("x".parse().unwrap(), 0)];
    let restock = Restock::new(Vec::new(), lines, RestockMode::Set);
    let lines = json!([{"sku": "x", "quantity": 0}]);
    let read = action(&message("restock", json!({"lines": lines, "mode": "set"})));
    assert_eq!(read, Action::Restock(restock));
}

#[test]
fn an_extend_asks_for_1_to_14400_seconds() {
    for seconds in [1, 14_400] {
        let read = action(&message("extend", json!({"hold_seconds": seconds})));
        let Action::Extend(Extend { hold_seconds, .. }) = read else { panic!("{read:?}") };
        assert_eq!(hold_seconds, seconds);
    }
    for wrong in [json!(0), json!(14_401), json!(-1), json!(1.5), json!("600"), json!(null)] {
        let reported = fault(&message("extend", json!({"hold_seconds": wrong})));
        assert_eq!(reported, "data.hold_seconds: expected an integer from 1 to 14400");
    }
    let reported = fault(&message("extend", json!({})));
    assert_eq!(reported, "data.hold_seconds: missing, expected an integer from 1 to 14400");
}

#[test]
fn a_modify_names_1_to_97_seats_and_lines_in_all() {
    let seats = |count: usize, letter: &str| -> Vec<String> {
        (0..count).map(|number| format!("{letter}-{number}")).collect()
    };
    let all = "data: expected 1 to 97 seats and lines to add and remove in all";
    let both = |added, removed| {
        let (add, remove) = (seats(added, "A"), seats(removed, "B"));
        message("modify", json!({"add": {"seats": add}, "remove": {"seats": remove}}))
    };
    action(&both(97, 0));
    action(&both(40, 57));
    action(&message("modify", json!({"remove": {"lines": [{"sku": "x", "quantity": 1}]}})));
    assert_eq!(fault(&both(49, 49)), all);
    assert_eq!(fault(&both(98, 0)), "data.add: expected at most 97 seats and lines");
    assert_eq!(fault(&both(0, 98)), "data.remove: expected at most 97 seats and lines");
    for nothing in [json!({}), json!({"add": {}, "remove": {"seats": [], "lines": []}})] {
        assert_eq!(fault(&message("modify", nothing)), all);
    }
}

#[test]
fn a_modify_names_nothing_twice() {
    let x = json!([{"sku": "x", "quantity": 1}]);
    let once = "data.remove: expected seats and SKUs that are not in add";
    for (add, remove) in [
        (json!({"seats": ["A-1", "A-2"]}), json!({"seats": ["A-3", "A-2"]})),
        (json!({"lines": x}), json!({"lines": [{"sku": "x", "quantity": 2}]})),
    ] {
        assert_eq!(fault(&message("modify", json!({"add": add, "remove": remove}))), once);
    }
    // A SKU may be called as a seat is.
    let like = json!([{"sku": "A-1", "quantity": 1}]);
    action(&message("modify", json!({"add": {"lines": like}, "remove": {"seats": ["A-1"]}})));
    let reported = fault(&message("modify", json!({"add": {"seats": ["A-1", "A-1"]}})));
    assert!(reported.starts_with("data.add.seats[1]: expected "), "{reported}");
    let twice = json!([{"sku": "x", "quantity": 1}, {"sku": "x", "quantity": 1}]);
    let reported = fault(&message("modify", json!({"remove": {"lines": twice}})));
    assert!(reported.starts_with("data.remove.lines[1].sku: expected "), "{reported}");
}

#[test]
fn a_modify_of_a_store_has_no_seats_and_its_quantities_are_above_zero() {
    let zero = json!({"add": {"lines": [{"sku": "x", "quantity": 0}]}});
    let quantity = "data.add.lines[0].quantity: expected an integer from 1 to 1000000000";
    assert_eq!(fault(&message("modify", zero)), quantity);
    let mut of_store = message("modify", json!({"remove": {"seats": ["A-1"]}}));
    of_store["data"].as_object_mut().unwrap().remove("event_id");
    of_store["data"]["store_id"] = json!("s");
    let reported = refused(&of_store).rejection.message;
    assert_eq!(reported, "data.remove.seats: expected no seats, which belong to events");
}

#[test]
fn a_confirm_says_whether_the_goods_stay_and_whether_it_may_be_late() {
    for (word, goods) in [("leave", Goods::Leave), ("stay", Goods::Stay)] {
        for allow_expired in [false, true] {
            let data = json!({"booking_id": "b", "goods": word, "allow_expired": allow_expired});
            let booking_id = "b".parse().unwrap();
            let confirm = Confirm { goods, allow_expired, ..Confirm::new(id(), booking_id) };
            assert_eq!(action(&message("confirm", data)), Action::Confirm(confirm));
        }
    }
    let wrong = |field: &str, value: Value| {
        let mut data = json!({"booking_id": "b"});
        data[field] = value;
        fault(&message("confirm", data))
    };
    for value in [json!("STAY"), json!(true), json!(null)] {
        assert_eq!(wrong("goods", value), "data.goods: expected \"leave\" or \"stay\"");
    }
    for value in [json!("true"), json!(1), json!(null)] {
        assert_eq!(wrong("allow_expired", value), "data.allow_expired: expected true or false");
    }
}

#[test]
fn a_cancel_says_what_its_seats_become() {
    for (word, seats_to) in
        [("AVAILABLE", RestockStatus::Available), ("BLOCKED", RestockStatus::Blocked)]
    {
        let cancel = Cancel { seats_to, ..Cancel::new(id()) };
        let read = action(&message("cancel", json!({"seats_to": word})));
        assert_eq!(read, Action::Cancel(cancel));
    }
    for wrong in [json!("RESERVED"), json!("blocked"), json!(null)] {
        let reported = fault(&message("cancel", json!({"seats_to": wrong})));
        assert_eq!(reported, "data.seats_to: expected \"AVAILABLE\" or \"BLOCKED\"");
    }
}

fn restock(mode: &str, line: Value) -> Value {
    message("restock", json!({"mode": mode, "lines": [line]}))
}

#[test]
fn a_quantity_may_be_below_zero_with_add_alone() {
    for (mode, quantity) in [("add", -1_000_000_000_i64), ("add", 1_000_000_000), ("set", 0)] {
        let read = action(&restock(mode, json!({"sku": "x", "quantity": quantity})));
        let Action::Restock(restock) = read else { panic!("{read:?}") };
        assert_eq!(restock.lines[0].quantity, quantity);
    }
    let read = action(&restock("add", json!({"sku": "x", "quantity": -1e3})));
    let Action::Restock(restock_read) = read else { panic!("{read:?}") };
    assert_eq!(restock_read.lines[0].quantity, -1_000);
    for (mode, wrong, least) in [
        ("set", json!(-1), "0"),
        ("set", json!(1_000_000_001), "0"),
        ("add", json!(-1_000_000_001), "-1000000000"),
        ("add", json!(1_000_000_001), "-1000000000"),
        ("add", json!(-0.5), "-1000000000"),
        ("add", json!("-1"), "-1000000000"),
    ] {
        let reported = fault(&restock(mode, json!({"sku": "x", "quantity": wrong})));
        let expected =
            format!("data.lines[0].quantity: expected an integer from {least} to 1000000000");
        assert_eq!(reported, expected, "{mode} {wrong}");
    }
}

#[test]
fn an_expected_version_is_an_integer_that_every_reader_keeps() {
    let line = |version: Value| json!({"sku": "x", "quantity": 1, "expected_version": version});
    for version in [0_u64, 1, 9_007_199_254_740_991] {
        let read = action(&restock("set", line(json!(version))));
        let Action::Restock(restock) = read else { panic!("{read:?}") };
        assert_eq!(restock.lines[0].expected_version, Some(version));
    }
    for wrong in [json!(-1), json!(9_007_199_254_740_992_u64), json!("1"), json!(null)] {
        let reported = fault(&restock("add", line(wrong)));
        assert_eq!(
            reported,
            "data.lines[0].expected_version: expected an integer from 0 to 9007199254740991"
        );
    }
}

#[test]
fn a_reference_is_a_uri_and_a_reason_a_text() {
    let with = |field: &str, value: Value| {
        let mut restock = restock("set", json!({"sku": "x", "quantity": 1}));
        restock["data"][field] = value;
        restock
    };
    let longest = format!("urn:{}", "x".repeat(508));
    for reference in ["https://erp.example/counts/7?a=b#c", "urn:doc:7", "/counts/7", &longest] {
        let read = action(&with("reference", json!(reference)));
        let Action::Restock(Restock { reference: Some(read), .. }) = read else { panic!("none") };
        assert_eq!(read.as_str(), reference);
    }
    for wrong in [json!("a b"), json!("https://ä"), json!(format!("{longest}x")), json!("")] {
        let reported = fault(&with("reference", wrong.clone()));
        assert!(reported.starts_with("data.reference: expected "), "{wrong}: {reported}");
        assert!(reported.contains("URI"), "{reported}");
    }
    let read = action(&with("reason", json!("stocktaking")));
    let Action::Restock(Restock { reason, .. }) = read else { panic!("{read:?}") };
    assert_eq!(reason.unwrap().as_str(), "stocktaking");
    let reported = fault(&with("reason", json!("x".repeat(257))));
    assert!(reported.starts_with("data.reason: expected a text of 1 to 256 bytes"), "{reported}");
}

#[test]
fn an_expirytime_is_rfc_3339_and_no_part_of_the_digest() {
    let plain = message("fulfil", json!({}));
    let with = |value: Value| {
        let mut message = plain.clone();
        message["expirytime"] = value;
        message
    };
    let decoded = |message: &Value| decode(&message.to_string()).unwrap().command;
    let digest = decoded(&plain).digest;
    for (value, deadline) in [
        (json!("2026-11-22T10:00:00Z"), Some("2026-11-22T10:00:00Z")),
        (json!("2026-11-22T12:00:00.5+02:00"), Some("2026-11-22T10:00:00.5Z")),
        // CloudEvents: null is as if it were not there.
        (json!(null), None),
    ] {
        let command = decoded(&with(value));
        assert_eq!(command.deadline, deadline.map(|at| at.parse::<Timestamp>().unwrap()));
        assert_eq!(command.digest, digest);
    }
    assert_eq!(decoded(&plain).deadline, None);
    for wrong in
        [json!(""), json!("2026-11-22"), json!("tomorrow"), json!(1_795_341_600), json!({})]
    {
        let reported = fault(&with(wrong.clone()));
        assert!(reported.starts_with("expirytime: expected "), "{wrong}: {reported}");
    }
}
