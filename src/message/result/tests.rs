use super::*;
use crate::domain::SeatStatus;

static NO_CHANGES: Changes = Changes::NONE;

const WORST: &str = "\"";

fn key() -> CommandKey {
    CommandKey { source: "/services/booking".parse().unwrap(), id: "018f".parse().unwrap() }
}

fn reservation() -> Reservation {
    Reservation {
        reservation_id: "9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90".parse().unwrap(),
        pool: PoolId::Event(42),
        source: "/services/booking".parse().unwrap(),
        user_id: "u-7".parse().unwrap(),
        status: ReservationStatus::Active,
        version: 1,
        seats: vec!["A-1".parse().unwrap()],
        lines: Vec::new(),
        booking_id: None,
        goods: None,
        fulfilled_at: None,
        created_at: "2026-11-22T10:00:00Z".parse().unwrap(),
        expires_at: "2026-11-22T10:10:00Z".parse().unwrap(),
        ended_at: None,
    }
}

fn message<'a>(
    key: &'a CommandKey,
    group: &'a GroupId,
    pool: Option<&'a PoolId>,
    outcome: &'a Outcome,
) -> ResultMessage<'a> {
    ResultMessage {
        key,
        command_type: "inventory.reserve.v1",
        sequence: Some("18870266134159999232"),
        group,
        pool,
        outcome,
        changes: &NO_CHANGES,
        decided_at: "2026-11-22T10:00:00.123Z".parse().unwrap(),
        message_digest: Digest([7; 32]),
        traceparent: None,
    }
}

fn rejected(code: RejectionCode) -> Outcome {
    Outcome::Rejected { rejection: Rejection::new(code, "no") }
}

#[test]
fn a_result_is_written_as_the_contract_shows_it() {
    let (key, group, pool) = (key(), "event-42".parse().unwrap(), PoolId::Event(42));
    let trace: TraceContext =
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
    let trace = trace.with_tracestate(Some("congo=t61rcWkgMzE"));
    let outcome = Outcome::Reserved { reservation: reservation() };
    let result = message(&key, &group, Some(&pool), &outcome);
    let publication = encode_result(&ResultMessage { traceparent: Some(&trace), ..result });
    assert_eq!(publication.id, key.result_id());
    assert_eq!(publication.group, group);
    insta::assert_snapshot!(publication.body, @r##"{"specversion":"1.0","id":"adca3e26-1718-52bf-818d-cd2c19e25fd9","source":"/inventory-worker","type":"inventory.reserved.v1","subject":"event#42","time":"2026-11-22T10:00:00.123Z","datacontenttype":"application/json","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","tracestate":"congo=t61rcWkgMzE","data":{"command":{"source":"/services/booking","id":"018f","type":"inventory.reserve.v1","sequence":"18870266134159999232"},"event_id":42,"reservation":{"reservation_id":"9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90","source":"/services/booking","user_id":"u-7","status":"ACTIVE","version":1,"seats":["A-1"],"lines":[],"created_at":"2026-11-22T10:00:00Z","expires_at":"2026-11-22T10:10:00Z"}}}"##);
    assert_eq!(
        publication.attributes,
        BTreeMap::from([
            ("command_source", "/services/booking".to_owned()),
            ("event_id", "42".to_owned()),
            ("reservation_source", "/services/booking".to_owned()),
            ("traceparent", trace.to_string()),
            ("tracestate", "congo=t61rcWkgMzE".to_owned()),
            ("type", "inventory.reserved.v1".to_owned()),
        ])
    );
}

#[test]
fn changes_are_listed_or_said_to_be_omitted_or_neither() {
    let (key, group, pool) = (key(), "event-42".parse().unwrap(), PoolId::Event(42));
    let restock = RestockSummary { seats_applied: 2, lines_applied: 1, ..Default::default() };
    let (reason, reference) = ("count".parse().ok(), "urn:doc:7".parse().ok());
    let outcome = Outcome::Restocked { restock, reason, reference };
    let body = |changes: &Changes| {
        let result = message(&key, &group, Some(&pool), &outcome);
        let body = encode_result(&ResultMessage { changes, ..result }).body;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        body["data"].clone()
    };
    let seat = |number: &str, status, until: Option<&str>| ItemState::Seat {
        seat_number: number.parse().unwrap(),
        version: 2,
        status,
        reserved_until: until.map(|until| until.parse().unwrap()),
    };
    let line = ItemState::Line {
        sku: "GA".parse().unwrap(),
        version: 7,
        on_hand: 12,
        available: -1,
        reserved: 3,
    };
    let held = seat("A-1", SeatStatus::Reserved, Some("2026-11-22T10:10:00Z"));
    let listed = body(&Changes::Listed(vec![held, seat("A-2", SeatStatus::Blocked, None), line]));
    let expected = serde_json::json!([
        {
            "seat_number": "A-1", "version": 2, "status": "RESERVED",
            "reserved_until": "2026-11-22T10:10:00Z",
        },
        {"seat_number": "A-2", "version": 2, "status": "BLOCKED"},
        {"sku": "GA", "version": 7, "on_hand": 12, "available": -1, "reserved": 3},
    ]);
    assert_eq!(listed["changes"], expected);
    assert_eq!((&listed["reason"], &listed["reference"]), (&"count".into(), &"urn:doc:7".into()));
    let fields = |data: serde_json::Value| {
        let names = data.as_object().unwrap().keys().cloned();
        names.filter(|name| name.starts_with("changes")).collect::<Vec<_>>()
    };
    assert_eq!(fields(listed), ["changes"]);
    assert_eq!(body(&Changes::Omitted)["changes_omitted"], true);
    assert_eq!(fields(body(&Changes::Omitted)), ["changes_omitted"]);
    assert_eq!(fields(body(&Changes::NONE)), [""; 0]);
}

#[test]
fn every_result_about_a_reservation_names_the_source_that_made_it() {
    let (key, group, pool) = (key(), "event-42".parse().unwrap(), PoolId::Event(42));
    let made_by = Reservation { source: "/services/till".parse().unwrap(), ..reservation() };
    let of = |outcome: &Outcome| {
        let result = message(&key, &group, Some(&pool), outcome);
        encode_result(&result).attributes.get("reservation_source").cloned()
    };
    let about = || made_by.clone();
    for outcome in [
        Outcome::Reserved { reservation: about() },
        Outcome::Extended { reservation: about() },
        Outcome::Modified { reservation: about() },
        Outcome::Confirmed { reservation: about() },
        Outcome::Fulfilled { reservation: about() },
        Outcome::Cancelled { reservation: about(), reason: None },
        Outcome::Expired { reservation: about() },
    ] {
        assert_eq!(of(&outcome).as_deref(), Some("/services/till"), "{outcome:?}");
    }
    let restock = RestockSummary::default();
    let restocked = Outcome::Restocked { restock, reason: None, reference: None };
    for outcome in [restocked, rejected(RejectionCode::NotOwner)] {
        assert_eq!(of(&outcome), None);
    }
}

#[test]
fn a_result_of_an_unreadable_command_leaves_out_what_is_not_known() {
    let (key, group) = (key(), "g".parse().unwrap());
    let outcome = rejected(RejectionCode::InvalidMessage);
    let result = message(&key, &group, None, &outcome);
    let publication = encode_result(&ResultMessage { command_type: "", sequence: None, ..result });
    insta::assert_snapshot!(publication.body, @r##"{"specversion":"1.0","id":"e17d2aec-5bd3-5da5-863c-304ec229e642","source":"/inventory-worker","type":"inventory.rejected.v1","time":"2026-11-22T10:00:00.123Z","datacontenttype":"application/json","data":{"command":{"source":"/services/booking","id":"018f"},"rejection":{"code":"INVALID_MESSAGE","message":"no"}}}"##);
    assert_eq!(
        publication.attributes,
        BTreeMap::from([
            ("command_source", "/services/booking".to_owned()),
            ("type", "inventory.rejected.v1".to_owned()),
        ])
    );
}

#[test]
fn an_outcome_has_one_id_and_an_answer_to_a_message_one_a_message() {
    let (key, group, other) = (key(), "g".parse().unwrap(), Digest([8; 32]));
    for code in RejectionCode::ALL {
        let outcome = rejected(code);
        let result = message(&key, &group, None, &outcome);
        let later = "2026-11-22T10:00:00.124Z".parse().unwrap();
        let id = encode_result(&result).id;
        let id_of_other = encode_result(&ResultMessage { message_digest: other, ..result }).id;
        let id_later = encode_result(&ResultMessage { decided_at: later, ..result }).id;
        assert_eq!(id, encode_result(&result).id);
        assert_eq!(id == key.result_id(), !code.is_unrecorded(), "{code:?}");
        assert_eq!(id == id_of_other, !code.is_unrecorded(), "{code:?}");
        assert_eq!(id == id_later, code != RejectionCode::NotYetExpired, "{code:?}");
        // The same expire, again before the end of its hold, which was extended in between.
        let another_end = Outcome::Rejected { rejection: Rejection::new(code, "no, until later") };
        let id_of_another_end =
            encode_result(&ResultMessage { outcome: &another_end, ..result }).id;
        assert_eq!(id == id_of_another_end, code != RejectionCode::NotYetExpired, "{code:?}");
    }
}

/// A command whose texts all have the maximum length in JSON.
fn worst_key() -> CommandKey {
    CommandKey {
        source: WORST.repeat(Source::MAX_BYTES).parse().unwrap(),
        id: WORST.repeat(CommandId::MAX_BYTES).parse().unwrap(),
    }
}

/// A name of 128 bytes, nearly all of which JSON escapes.
fn worst_name(index: usize) -> String {
    format!("{index:05}{}", WORST.repeat(SeatNumber::MAX_BYTES - 5))
}

fn worst_bytes(outcome: &Outcome, changes: &Changes) -> usize {
    let (key, group) = (worst_key(), WORST.repeat(128).parse().unwrap());
    let pool = PoolId::Store("s".repeat(StoreId::MAX_BYTES).parse().unwrap());
    let command_type = WORST.repeat(super::super::COMMAND_TYPE_BYTES_MAX);
    let trace: TraceContext =
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
    let result = ResultMessage {
        command_type: &command_type,
        decided_at: Timestamp::MAX,
        traceparent: Some(&trace),
        changes,
        ..message(&key, &group, Some(&pool), outcome)
    };
    encode_result(&result).bytes()
}

#[test]
fn a_reservation_with_its_changes_always_fits_a_message_three_times() {
    let entries = crate::domain::command::RESERVE_ENTRIES_MAX;
    let lines = |index| OrderLine {
        sku: worst_name(index).parse().unwrap(),
        quantity: crate::domain::QUANTITY_MAX,
    };
    let worst = Reservation {
        user_id: WORST.repeat(UserId::MAX_BYTES).parse().unwrap(),
        booking_id: Some(WORST.repeat(BookingId::MAX_BYTES).parse().unwrap()),
        source: WORST.repeat(Source::MAX_BYTES).parse().unwrap(),
        goods: Some(Goods::Leave),
        fulfilled_at: Some(Timestamp::MAX),
        version: u64::MAX,
        status: ReservationStatus::Cancelled,
        created_at: Timestamp::MAX,
        expires_at: Timestamp::MAX,
        ..reservation()
    };
    let reason = Some(WORST.repeat(Reason::MAX_BYTES).parse().unwrap());
    let of_seats = Reservation {
        seats: (0..entries).map(|index| worst_name(index).parse().unwrap()).collect(),
        ..worst.clone()
    };
    let of_lines = Reservation { lines: (0..entries).map(lines).collect(), ..worst };
    let seats = Outcome::Cancelled { reservation: of_seats, reason: reason.clone() };
    let lines = Outcome::Cancelled { reservation: of_lines, reason };
    let seat = |index| ItemState::Seat {
        seat_number: worst_name(index).parse().unwrap(),
        version: u64::MAX,
        status: SeatStatus::Reserved,
        reserved_until: Some(Timestamp::MAX),
    };
    let line = |index| ItemState::Line {
        sku: worst_name(index).parse().unwrap(),
        version: u64::MAX,
        on_hand: i64::MIN,
        available: i64::MIN,
        reserved: i64::MIN,
    };
    let listed =
        |state: &dyn Fn(usize) -> ItemState| Changes::Listed((0..entries).map(state).collect());
    for (outcome, changes) in [(seats, listed(&seat)), (lines, listed(&line))] {
        let bytes = worst_bytes(&outcome, &changes);
        assert!(bytes <= PUBLISH_BYTES_MAX / 3, "{bytes}");
    }
}

#[test]
fn a_restock_with_500_names_left_alone_takes_half_a_message() {
    let restock = RestockSummary {
        seats_skipped: u64::MAX,
        lines_skipped: u64::MAX,
        seats_applied: u64::MAX,
        lines_applied: u64::MAX,
        skipped: (0..RestockSummary::SKIPPED_MAX).map(worst_name).collect(),
    };
    let reason = Some(WORST.repeat(Reason::MAX_BYTES).parse().unwrap());
    let reference = Some("x".repeat(Reference::MAX_BYTES).parse().unwrap());
    let outcome = Outcome::Restocked { restock, reason, reference };
    let bytes = worst_bytes(&outcome, &Changes::Omitted);
    // Beside the names, the longest reason and reference.
    let texts = 2 * Reason::MAX_BYTES + Reference::MAX_BYTES;
    assert!(bytes <= PUBLISH_BYTES_MAX / 2 + texts, "{bytes}");
}

#[test]
fn of_more_than_500_names_left_alone_the_first_500_are_shown() {
    let restock = RestockSummary {
        skipped: (0..501).map(|index| format!("{index}")).collect(),
        ..RestockSummary::default()
    };
    let outcome = Outcome::Restocked { restock, reason: None, reference: None };
    let (key, group) = (key(), "g".parse().unwrap());
    let body = encode_result(&message(&key, &group, None, &outcome)).body;
    let shown: serde_json::Value = serde_json::from_str(&body).unwrap();
    let shown = shown["data"]["restock"]["skipped"].as_array().unwrap();
    assert_eq!((shown.len(), shown[499].as_str()), (500, Some("499")));
}

#[test]
fn a_rejection_that_names_ten_thousand_lines_is_cut_to_what_fits() {
    let lines = (0..10_000).map(|index| RejectedLine::Quantity {
        sku: worst_name(index).parse().unwrap(),
        requested: i64::MAX,
        available: i64::MIN,
    });
    let seats = (0..10).map(|index| worst_name(index).parse().unwrap());
    let rejection = Rejection {
        seats: seats.collect(),
        lines: lines.collect(),
        ..Rejection::new(RejectionCode::LimitExceeded, "too many")
    };
    let (key, group, pool) = (key(), "g".parse().unwrap(), PoolId::Event(42));
    let outcome = Outcome::Rejected { rejection };
    let publication = encode_result(&message(&key, &group, Some(&pool), &outcome));
    assert!(publication.bytes() <= RESULT_BYTES_MAX, "{}", publication.bytes());
    assert!(publication.bytes() > RESULT_BYTES_MAX - 1024, "{}", publication.bytes());
    let body: serde_json::Value = serde_json::from_str(&publication.body).unwrap();
    let rejection = &body["data"]["rejection"];
    let shown = rejection["lines"].as_array().unwrap().len();
    assert_eq!(rejection["seats"].as_array().unwrap().len(), 10);
    assert_eq!(
        rejection["message"],
        format!("too many (the first {} of 10010 are named)", shown + 10)
    );
}
