use super::*;
use crate::{
    client::PreparedCommand,
    domain::{CommandType, Timestamp},
    message::OutgoingCommand,
};

const ID: &str = "9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90";

fn key() -> CommandKey {
    CommandKey { source: "/callers/shop".parse().unwrap(), id: "k-1".parse().unwrap() }
}

fn event() -> Option<proto::Pool> {
    Some(proto::Pool { pool: Some(proto::pool::Pool::EventId(42)) })
}

fn store() -> Option<proto::Pool> {
    Some(proto::Pool { pool: Some(proto::pool::Pool::StoreId("store-1".to_owned())) })
}

fn reserve_request() -> proto::ReserveSeatsRequest {
    proto::ReserveSeatsRequest {
        pool: event(),
        user_id: "u-7".to_owned(),
        seats: vec!["A-1".to_owned(), "A-2".to_owned()],
        lines: vec![proto::OrderLine { sku: "GA".to_owned(), quantity: 2 }],
        hold_seconds: Some(300),
        reservation_id: Some(ID.to_owned()),
        group: Some("event-42/A".to_owned()),
    }
}

fn confirm_request() -> proto::ConfirmReservationsRequest {
    let one = proto::ReservationToConfirm {
        reservation_id: ID.to_owned(),
        booking_id: "b-1".to_owned(),
        user_id: Some("u-7".to_owned()),
        goods: proto::Goods::Stay.into(),
        allow_expired: true,
    };
    proto::ConfirmReservationsRequest { pool: event(), reservations: vec![one], group: None }
}

fn cancel_request() -> proto::CancelReservationsRequest {
    let one = proto::ReservationToCancel {
        reservation_id: ID.to_owned(),
        user_id: Some("u-7".to_owned()),
        reason: Some("called off".to_owned()),
        refund: true,
        seats_to: proto::SeatStatus::Blocked.into(),
    };
    proto::CancelReservationsRequest { pool: event(), reservations: vec![one], group: None }
}

fn extend_request() -> proto::ExtendReservationRequest {
    proto::ExtendReservationRequest {
        pool: event(),
        reservation_id: ID.to_owned(),
        hold_seconds: 600,
        user_id: Some("u-7".to_owned()),
        group: None,
    }
}

fn restock_request() -> proto::RestockRequest {
    let line = |sku: &str, quantity, expected_version| proto::LineChange {
        sku: sku.to_owned(),
        quantity,
        expected_version,
    };
    proto::RestockRequest {
        pool: store(),
        lines: vec![line("bolt", 100, Some(0)), line("nut", 7, None)],
        mode: proto::RestockMode::Set.into(),
        as_of: Some(prost_types::Timestamp { seconds: 1_795_341_600, nanos: 500_000_000 }),
        reason: Some("count".to_owned()),
        reference: Some("urn:count:7".to_owned()),
        ..proto::RestockRequest::default()
    }
}

fn seats_request() -> proto::RestockRequest {
    let bare = proto::SeatChange { seat_number: "A-2".to_owned(), ..proto::SeatChange::default() };
    let full = proto::SeatChange {
        seat_number: "A-1".to_owned(),
        section: Some("A".to_owned()),
        row_number: Some("1".to_owned()),
        seat_type: Some("standard".to_owned()),
        price: Some("49.50".to_owned()),
        status: proto::SeatStatus::Blocked.into(),
    };
    proto::RestockRequest {
        pool: event(),
        seats: vec![full, bare],
        ..proto::RestockRequest::default()
    }
}

/// What is posted, from its type on, and its digest.
fn posted(Requested { pool, action, .. }: Requested) -> String {
    let time: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
    let key = key();
    let expected = (pool.clone(), action.clone());
    let outgoing = OutgoingCommand { key, time, deadline: None, pool, action, traceparent: None };
    let prepared = PreparedCommand::encode(&outgoing, None).unwrap();
    assert_eq!((prepared.command.pool, prepared.command.action), expected);
    let (_, data) = prepared.body.split_once("\"data\":").unwrap();
    let data = data.strip_suffix('}').unwrap();
    format!("{}\n{data}", prepared.command.digest)
}

fn only(RequestedMany { pool, mut actions, group }: RequestedMany) -> Requested {
    let (id, action) = actions.pop().unwrap();
    assert_eq!((id.to_string(), actions.len()), (ID.to_owned(), 0));
    Requested { pool, action, group }
}

/// A command's digest must stay what it is, or a retry during a rollout is `COMMAND_ID_REUSED`.
#[test]
fn each_form_keeps_its_digest() {
    let forms = [
        reserve(&reserve_request(), &key()).unwrap(),
        only(confirm(&confirm_request()).unwrap()),
        only(cancel(&cancel_request()).unwrap()),
        extend(&extend_request()).unwrap(),
        restock(&restock_request()).unwrap(),
        restock(&seats_request()).unwrap(),
    ];
    insta::assert_snapshot!(forms.map(posted).join("\n"), @r#"
    1:e76e058087d7dcbc3b7d7002c227d6631fdecfd921ede06fc1930ece62f4b24f
    {"event_id":42,"reservation_id":"9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90","user_id":"u-7","seats":["A-1","A-2"],"lines":[{"sku":"GA","quantity":2}],"hold_seconds":300}
    1:6fe4f48fafed5b4452a680f789071c92cfaa4283cab2dbfe91fa881ab1db8339
    {"event_id":42,"reservation_id":"9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90","user_id":"u-7","booking_id":"b-1","goods":"stay","allow_expired":true}
    1:c4c22c3bae70bd52ecb312ba04b0eea02a4095c06da9d61cd83db25da2771e00
    {"event_id":42,"reservation_id":"9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90","user_id":"u-7","reason":"called off","refund":true,"seats_to":"BLOCKED"}
    1:7bfb6a9a5fb68682c1624678650d3587d3b482cc9b3e7fe696bf6c04efb2821e
    {"event_id":42,"reservation_id":"9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90","user_id":"u-7","hold_seconds":600}
    1:b98920f2b634c89b7a95996e637c5b7e4dd20a52f92080d795ef6256f0a246cc
    {"store_id":"store-1","lines":[{"sku":"bolt","quantity":100,"expected_version":0},{"sku":"nut","quantity":7}],"reason":"count","reference":"urn:count:7","mode":"set","as_of":"2026-11-22T10:00:00.5Z"}
    1:bf8f231685615e474b15015847fcc138bf6a6bff3ad0e828e018f02503ea2757
    {"event_id":42,"seats":[{"seat_number":"A-1","section":"A","row_number":"1","seat_type":"standard","price":"49.50","status":"BLOCKED"},{"seat_number":"A-2"}]}
    "#);
}

#[test]
fn what_is_not_given_has_the_defaults_of_the_contract() {
    let request = proto::ReserveSeatsRequest {
        hold_seconds: None,
        reservation_id: None,
        group: None,
        ..reserve_request()
    };
    let Requested { action, group, .. } = reserve(&request, &key()).unwrap();
    let Action::Reserve(reserve) = action else { panic!("{action:?}") };
    assert_eq!(reserve.reservation_id, key().default_reservation_id());
    assert_eq!((reserve.hold_seconds, group), (None, None));

    let one = proto::ReservationToConfirm {
        reservation_id: ID.to_owned(),
        booking_id: "b-1".to_owned(),
        ..proto::ReservationToConfirm::default()
    };
    let request =
        proto::ConfirmReservationsRequest { reservations: vec![one], ..confirm_request() };
    let plain = Confirm::new(ID.parse().unwrap(), "b-1".parse().unwrap());
    assert_eq!(only(confirm(&request).unwrap()).action, Action::Confirm(plain));

    let one = proto::ReservationToCancel {
        reservation_id: ID.to_owned(),
        reason: Some(String::new()),
        ..proto::ReservationToCancel::default()
    };
    let request = proto::CancelReservationsRequest { reservations: vec![one], ..cancel_request() };
    let plain = Cancel::new(ID.parse().unwrap());
    assert_eq!(only(cancel(&request).unwrap()).action, Action::Cancel(plain));
}

#[test]
fn a_wrong_field_is_named() {
    let wrong = |change: fn(&mut proto::ReserveSeatsRequest)| {
        let mut request = reserve_request();
        change(&mut request);
        reserve(&request, &key()).unwrap_err().field
    };
    assert_eq!(wrong(|request| request.pool = None), "pool");
    assert_eq!(wrong(|request| request.user_id.clear()), "user_id");
    assert_eq!(wrong(|request| request.seats.push("\n".to_owned())), "seats[2]");
    assert_eq!(wrong(|request| request.lines[0].sku.clear()), "lines[0].sku");
    assert_eq!(wrong(|request| request.lines[0].quantity = 0), "lines[0].quantity");
    assert_eq!(wrong(|request| request.hold_seconds = Some(0)), "hold_seconds");
    assert_eq!(wrong(|request| request.reservation_id = Some(String::new())), "reservation_id");
    assert_eq!(wrong(|request| request.group = Some("a b".to_owned())), "group");

    let wrong = |change: fn(&mut proto::ReservationToConfirm)| {
        let mut request = confirm_request();
        change(&mut request.reservations[0]);
        confirm(&request).unwrap_err().field
    };
    assert_eq!(wrong(|one| one.reservation_id.clear()), "reservations[0].reservation_id");
    assert_eq!(wrong(|one| one.booking_id.clear()), "reservations[0].booking_id");
    assert_eq!(wrong(|one| one.goods = 9), "reservations[0].goods");
    assert_eq!(wrong(|one| one.user_id = Some(String::new())), "reservations[0].user_id");

    let mut request = cancel_request();
    request.reservations[0].seats_to = proto::SeatStatus::Booked.into();
    assert_eq!(cancel(&request).unwrap_err().field, "reservations[0].seats_to");

    let mut request = extend_request();
    request.hold_seconds = 0;
    assert_eq!(extend(&request).unwrap_err().field, "hold_seconds");
}

#[test]
fn a_wrong_field_of_a_restock_is_named() {
    let wrong = |change: fn(&mut proto::RestockRequest)| {
        let mut request = restock_request();
        request.seats = seats_request().seats;
        change(&mut request);
        restock(&request).unwrap_err().field
    };
    assert_eq!(wrong(|request| request.mode = 0), "mode");
    assert_eq!(wrong(|request| request.mode = 7), "mode");
    assert_eq!(wrong(|request| request.as_of = Some(time(i64::MAX))), "as_of");
    assert_eq!(wrong(|request| request.reference = Some("not a URI".to_owned())), "reference");
    let negative = |request: &mut proto::RestockRequest| {
        request.lines[1].expected_version = Some(-1);
    };
    assert_eq!(wrong(negative), "lines[1].expected_version");
    let comma = |request: &mut proto::RestockRequest| {
        request.seats[0].price = Some("49,50".to_owned());
    };
    assert_eq!(wrong(comma), "seats[0].price");
}

fn time(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds, nanos: 0 }
}

#[test]
fn a_call_names_1_to_50_reservations_each_once() {
    let numbered = |number: usize| proto::ReservationToCancel {
        reservation_id: uuid::Uuid::from_u128(number as u128).to_string(),
        ..proto::ReservationToCancel::default()
    };
    let read = |reservations: Vec<_>| {
        cancel(&proto::CancelReservationsRequest { reservations, ..cancel_request() })
    };
    let all = read((0..RESERVATIONS_MAX).map(numbered).collect()).unwrap();
    assert_eq!(all.actions.len(), RESERVATIONS_MAX);
    assert!(all.actions.iter().all(|(_, one)| one.command_type() == CommandType::Cancel));
    for wrong in [vec![], (0..=RESERVATIONS_MAX).map(numbered).collect()] {
        assert_eq!(read(wrong).unwrap_err().field, "reservations");
    }
    let mut twice = vec![cancel_request().reservations.remove(0); 2];
    twice[1].reservation_id = ID.to_uppercase();
    assert_eq!(read(twice).unwrap_err().expected, "each reservation once");
}
