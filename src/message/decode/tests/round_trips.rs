//! What the encoder of commands writes is read back, in base64 too.

use std::collections::BTreeSet;

use super::{
    actions::{holdings, id, message},
    *,
};
use crate::{
    domain::{
        Cancel, Confirm, Extend, Fulfil, Goods, Holdings, LineChange, Modify, Restock,
        RestockStatus, Timestamp,
    },
    message::{OutgoingCommand, encode_command},
};

/// At least one of each kind, with every field.
fn actions() -> Vec<Action> {
    let user_id = Some("u-\"7\"".parse().unwrap());
    let line = |expected_version, quantity| LineChange {
        expected_version,
        ..LineChange::new("x".parse().unwrap(), quantity)
    };
    let counted = Restock {
        as_of: Some("2026-11-22T10:00:00.123456789Z".parse().unwrap()),
        reason: Some("ä".parse().unwrap()),
        reference: Some("urn:doc:7".parse().unwrap()),
        ..Restock::new(Vec::new(), vec![line(Some(0), 7)], RestockMode::Set)
    };
    let (add, remove) = (holdings(&["A-1"], &[("x", 1)]), holdings(&["Z\\é"], &[("y", 2)]));
    let empty = Holdings::default;
    let modify = |add, remove| Modify { reservation_id: id(), add, remove, user_id: None };
    vec![
        Action::Extend(Extend { reservation_id: id(), hold_seconds: 14_400, user_id: None }),
        Action::Extend(Extend { reservation_id: id(), hold_seconds: 1, user_id: user_id.clone() }),
        Action::Modify(Modify { user_id: user_id.clone(), ..modify(add.clone(), remove.clone()) }),
        Action::Modify(modify(add, empty())),
        Action::Modify(modify(empty(), remove)),
        Action::Modify(modify(empty(), holdings(&["A-1"], &[]))),
        Action::Confirm(Confirm {
            user_id: user_id.clone(),
            goods: Goods::Stay,
            allow_expired: true,
            ..Confirm::new(id(), "b-1".parse().unwrap())
        }),
        Action::Fulfil(Fulfil { reservation_id: id(), user_id: None }),
        Action::Fulfil(Fulfil { reservation_id: id(), user_id: user_id.clone() }),
        Action::Cancel(Cancel {
            user_id,
            refund: true,
            seats_to: RestockStatus::Blocked,
            ..Cancel::new(id())
        }),
        Action::Restock(counted),
        Action::Restock(Restock::new(Vec::new(), vec![line(Some(3), -5)], RestockMode::Add)),
    ]
}

fn sent(action: Action, deadline: Option<Timestamp>) -> Value {
    let command = OutgoingCommand {
        key: CommandKey { source: "/s".parse().unwrap(), id: "1".parse().unwrap() },
        time: "2026-11-22T10:00:00Z".parse().unwrap(),
        deadline,
        pool: PoolId::Event(42),
        action,
        traceparent: None,
    };
    serde_json::from_str(&encode_command(&command)).unwrap()
}

#[test]
fn what_the_encoder_writes_is_read_back_whole() {
    let deadline = "2026-11-22T10:00:30.000000001Z".parse().unwrap();
    for (number, action) in actions().into_iter().enumerate() {
        let deadline = Some(deadline).filter(|_| number % 2 == 0);
        let message = sent(action.clone(), deadline);
        let read = decode(&message.to_string()).unwrap().command;
        assert_eq!(read.action, action, "{message}");
        assert_eq!(read.deadline, deadline);
        assert_eq!(message.get("expirytime").is_some(), deadline.is_some());
    }
}

#[test]
fn the_encoder_leaves_out_what_stays_at_its_default() {
    let fields = |action| {
        let message = sent(action, None);
        let data = message["data"].as_object().unwrap();
        data.keys().cloned().collect::<BTreeSet<_>>()
    };
    let confirm = Confirm::new(id(), "b-1".parse().unwrap());
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let expected: BTreeSet<_> = named(&["booking_id", "event_id", "reservation_id"]);
    assert_eq!(fields(Action::Confirm(confirm)), expected);
    assert_eq!(fields(Action::Cancel(Cancel::new(id()))), named(&["event_id", "reservation_id"]));
    let lines = vec![LineChange::new("x".parse().unwrap(), 1)];
    let restock = Restock::new(Vec::new(), lines, RestockMode::Set);
    assert_eq!(fields(Action::Restock(restock)), named(&["event_id", "lines", "mode"]));
}

#[test]
fn every_type_may_carry_its_data_in_base64() {
    use base64::{Engine as _, prelude::BASE64_STANDARD};

    for action in actions() {
        let plain = sent(action, None);
        let encoded = BASE64_STANDARD.encode(plain["data"].to_string());
        let decoded = decode(&in_base64(plain.clone(), &encoded).to_string()).unwrap();
        assert_eq!(decoded, decode(&plain.to_string()).unwrap());
    }
    let faulty = BASE64_STANDARD.encode(json!({"event_id": 42, "reservation_id": 7}).to_string());
    let reported = refused(&in_base64(message("fulfil", json!({})), &faulty));
    assert!(reported.rejection.message.starts_with("data.reservation_id: "), "{reported}");
}
