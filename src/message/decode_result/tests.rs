use serde_json::{Value, json};

use super::*;
use crate::{
    domain::{Digest, Goods},
    message::{ResultMessage, encode_result},
};

const ENDED: &str = "2026-11-22T10:05:00.123Z";

fn key() -> CommandKey {
    CommandKey { source: "/services/booking".parse().unwrap(), id: "018f".parse().unwrap() }
}

fn reservation(status: ReservationStatus, pool: &PoolId) -> Reservation {
    let has_ended = matches!(status, ReservationStatus::Cancelled | ReservationStatus::Expired);
    Reservation {
        reservation_id: "9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90".parse().unwrap(),
        pool: pool.clone(),
        source: "/services/booking".parse().unwrap(),
        user_id: "u-\"7\"".parse().unwrap(),
        status,
        version: u64::MAX,
        seats: vec!["A-1".parse().unwrap(), "Z\\é".parse().unwrap()],
        lines: vec![OrderLine { sku: "GA".parse().unwrap(), quantity: QUANTITY_MAX }],
        booking_id: (status != ReservationStatus::Active).then(|| "b-1".parse().unwrap()),
        goods: (status == ReservationStatus::Confirmed).then_some(Goods::Leave),
        fulfilled_at: None,
        created_at: "2026-11-22T10:00:00Z".parse().unwrap(),
        expires_at: "2026-11-22T10:10:00Z".parse().unwrap(),
        ended_at: has_ended.then(|| ENDED.parse().unwrap()),
    }
}

/// Every type of result, and every code of a rejection.
fn outcomes(pool: &PoolId) -> Vec<Outcome> {
    let reservation = |status| reservation(status, pool);
    let shortfall = RejectedLine::Quantity {
        sku: "GA".parse().unwrap(),
        requested: i64::MAX,
        available: i64::MIN,
    };
    let version =
        RejectedLine::Version { sku: "GA".parse().unwrap(), expected: u64::MAX, actual: 0 };
    let rejections = RejectionCode::ALL.map(|code| Outcome::Rejected {
        rejection: Rejection {
            code,
            message: "line 1\n\"quoted\"".to_owned(),
            seats: vec!["A-1".parse().unwrap()],
            lines: vec![shortfall.clone(), version.clone()],
        },
    });
    let restock = RestockSummary {
        seats_applied: 1,
        lines_applied: u64::MAX,
        seats_skipped: 2,
        lines_skipped: 3,
        skipped: vec!["A-1".to_owned(), "GA".to_owned()],
    };
    let reason = Some("changed my mind".parse().unwrap());
    let others = [
        Outcome::Reserved { reservation: reservation(ReservationStatus::Active) },
        Outcome::Extended { reservation: reservation(ReservationStatus::Active) },
        Outcome::Modified { reservation: reservation(ReservationStatus::Active) },
        Outcome::Confirmed { reservation: reservation(ReservationStatus::Confirmed) },
        Outcome::Fulfilled {
            reservation: Reservation {
                goods: Some(Goods::Stay),
                fulfilled_at: Some("2026-11-22T12:00:00.123Z".parse().unwrap()),
                ..reservation(ReservationStatus::Confirmed)
            },
        },
        Outcome::Cancelled { reservation: reservation(ReservationStatus::Cancelled), reason },
        Outcome::Cancelled { reservation: reservation(ReservationStatus::Cancelled), reason: None },
        Outcome::Expired { reservation: reservation(ReservationStatus::Expired) },
        Outcome::Restocked {
            restock,
            reason: Some("count".parse().unwrap()),
            reference: Some("urn:doc:7".parse().unwrap()),
        },
        Outcome::Restocked { restock: RestockSummary::default(), reason: None, reference: None },
        Outcome::Rejected { rejection: Rejection::new(RejectionCode::NotOwner, "") },
    ];
    others.into_iter().chain(rejections).collect()
}

/// None, omitted ones, and one of every status and a line.
fn changes() -> [Changes; 3] {
    let statuses =
        [SeatStatus::Available, SeatStatus::Reserved, SeatStatus::Booked, SeatStatus::Blocked];
    let seat = |status| ItemState::Seat {
        seat_number: "Z\\é".parse().unwrap(),
        version: u64::MAX,
        status,
        reserved_until: (status == SeatStatus::Reserved).then(|| ENDED.parse().unwrap()),
    };
    let line = ItemState::Line {
        sku: "\"GA\"".parse().unwrap(),
        version: 1,
        on_hand: i64::MAX,
        available: i64::MIN,
        reserved: 0,
    };
    [
        Changes::NONE,
        Changes::Omitted,
        Changes::Listed(statuses.into_iter().map(seat).chain([line]).collect()),
    ]
}

#[test]
fn what_the_encoder_publishes_is_read_back_whole() {
    let trace: TraceContext =
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
    let trace = trace.with_tracestate(Some("congo=t61rcWkgMzE"));
    let (key, group) = (key(), "g".parse().unwrap());
    for pool in [PoolId::Event(42), PoolId::Store("store-1".parse().unwrap())] {
        for (outcome, changes) in outcomes(&pool).into_iter().zip(changes().into_iter().cycle()) {
            let publication = encode_result(&ResultMessage {
                key: &key,
                command_type: "inventory.reserve.v1",
                sequence: Some("18870266134159999232"),
                group: &group,
                pool: Some(&pool),
                outcome: &outcome,
                changes: &changes,
                decided_at: ENDED.parse().unwrap(),
                message_digest: Digest([7; 32]),
                traceparent: Some(&trace),
            });
            let expected = DecodedResult {
                id: publication.id,
                time: ENDED.parse().unwrap(),
                command: AnsweredCommand {
                    key: key.clone(),
                    command_type: Some("inventory.reserve.v1".to_owned()),
                    sequence: Some("18870266134159999232".to_owned()),
                },
                pool: Some(pool.clone()),
                outcome,
                changes,
                traceparent: Some(trace.clone()),
            };
            assert_eq!(decode_result(&publication.body).unwrap(), expected);
        }
    }
}

#[test]
fn a_rejection_of_what_could_not_be_read_names_no_type_sequence_pool_or_trace() {
    let (key, group) = (key(), "g".parse().unwrap());
    let rejection = Rejection::new(RejectionCode::InvalidMessage, "id: missing");
    let publication = encode_result(&ResultMessage {
        key: &key,
        command_type: "",
        sequence: None,
        group: &group,
        pool: None,
        outcome: &Outcome::Rejected { rejection: rejection.clone() },
        changes: &Changes::NONE,
        decided_at: ENDED.parse().unwrap(),
        message_digest: Digest([7; 32]),
        traceparent: None,
    });
    let result = decode_result(&publication.body).unwrap();
    assert_eq!(result.command, AnsweredCommand { key, command_type: None, sequence: None });
    assert_eq!((result.pool.as_ref(), result.traceparent.as_ref()), (None, None));
    assert_eq!(result.rejection(), Some(&rejection));
    assert_eq!(result.result_type(), "inventory.rejected.v1");
}

fn valid() -> Value {
    json!({
        "specversion": "1.0", "id": "adca3e26-1718-52bf-818d-cd2c19e25fd9",
        "source": "/inventory-worker", "type": "inventory.reserved.v1", "subject": "event#42",
        "time": ENDED, "datacontenttype": "application/json",
        "data": {
            "command": {"source": "/s", "id": "1", "type": "t", "sequence": "1"},
            "event_id": 42,
            "reservation": {
                "reservation_id": "9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90",
                "source": "/services/booking", "user_id": "u",
                "status": "ACTIVE", "version": 1, "seats": ["A-1"],
                "lines": [{"sku": "GA", "quantity": 1}],
                "created_at": ENDED, "expires_at": ENDED,
            },
            "restock": {
                "seats_applied": 1, "lines_applied": 1, "seats_skipped": 1, "lines_skipped": 1,
                "skipped": ["A-1"],
            },
            "rejection": {
                "code": "NOT_OWNER", "message": "no", "seats": ["A-1"],
                "lines": [
                    {"sku": "GA", "requested": 1, "available": -1},
                    {"sku": "GB", "expected": 0, "actual": 7},
                ],
            },
            "changes": [
                {
                    "seat_number": "A-1", "version": 2, "status": "RESERVED",
                    "reserved_until": ENDED,
                },
                {"sku": "GA", "version": 2, "on_hand": 3, "available": -1, "reserved": 4},
            ],
            "changes_omitted": false,
        },
    })
}

#[test]
fn fields_that_a_later_release_may_add_are_ignored() {
    let mut result = valid();
    result["later"] = json!({"a": [1, 2]});
    result["data"]["reservation"]["later"] = json!(null);
    assert_eq!(decode_result(&result.to_string()), decode_result(&valid().to_string()));
    assert!(decode_result(&result.to_string()).is_ok());
}

#[test]
fn an_error_names_the_field() {
    let wrong = |kind: &str, pointer: &str, value: Value| {
        let mut result = valid();
        result["type"] = json!(format!("inventory.{kind}.v1"));
        *result.pointer_mut(pointer).unwrap() = value;
        decode_result(&result.to_string()).unwrap_err().to_string()
    };
    for (kind, pointer, value, field) in [
        ("reserved", "/specversion", json!("2.0"), "specversion"),
        ("reserved", "/id", json!("x"), "id"),
        ("reserved", "/source", json!("/other"), "source"),
        ("reserved", "/type", json!("inventory.teleported.v1"), "type"),
        ("reserved", "/subject", json!("event#43"), "subject"),
        ("reserved", "/time", json!("yesterday"), "time"),
        ("reserved", "/data", json!([]), "data"),
        ("reserved", "/data/command", json!(null), "data.command"),
        ("reserved", "/data/command/source", json!(""), "data.command.source"),
        ("reserved", "/data/command/sequence", json!(1), "data.command.sequence"),
        ("reserved", "/data/event_id", json!(-1), "data.event_id"),
        ("reserved", "/data/reservation", json!(null), "data.reservation"),
        ("expired", "/data/reservation/status", json!("GONE"), "data.reservation.status"),
        ("confirmed", "/data/reservation/seats/0", json!(""), "data.reservation.seats[0]"),
        (
            "cancelled",
            "/data/reservation/lines/0/quantity",
            json!("1"),
            "data.reservation.lines[0].quantity",
        ),
        ("restocked", "/data/restock/skipped/0", json!(1), "data.restock.skipped[0]"),
        ("rejected", "/data/rejection/code", json!("NO"), "data.rejection.code"),
        (
            "rejected",
            "/data/rejection/lines/0/available",
            json!(0.5),
            "data.rejection.lines[0].available",
        ),
        ("rejected", "/data/rejection/lines/1/actual", json!(-1), "data.rejection.lines[1].actual"),
        ("extended", "/data/reservation/source", json!(""), "data.reservation.source"),
        ("modified", "/data/changes", json!({}), "data.changes"),
        ("fulfilled", "/data/changes/0/status", json!("GONE"), "data.changes[0].status"),
        (
            "reserved",
            "/data/changes/0/reserved_until",
            json!("soon"),
            "data.changes[0].reserved_until",
        ),
        ("restocked", "/data/changes/1/on_hand", json!(0.5), "data.changes[1].on_hand"),
        ("restocked", "/data/changes/1/sku", json!(""), "data.changes[1].sku"),
        ("restocked", "/data/changes_omitted", json!("yes"), "data.changes_omitted"),
    ] {
        let error = wrong(kind, pointer, value);
        assert_eq!(error.split(": ").next(), Some(field), "{error}");
        assert!(error.contains("expected"), "{error}");
    }
    let error = decode_result("{").unwrap_err().to_string();
    assert!(error.starts_with("message: expected JSON"), "{error}");
    let mut nameless = valid();
    nameless["data"].as_object_mut().unwrap().remove("event_id");
    let error = decode_result(&nameless.to_string()).unwrap_err().to_string();
    assert_eq!(error, "data: expected event_id or store_id");
}
