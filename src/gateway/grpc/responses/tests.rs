use super::*;
use crate::domain::SeatNumber;

#[test]
fn a_moment_before_1970_counts_its_nanoseconds_forward() {
    for (text, seconds, nanos) in [
        ("2026-11-22T10:00:00.25Z", 1_795_341_600, 250_000_000),
        ("1969-12-31T23:59:59.75Z", -1, 750_000_000),
        ("1969-12-31T23:59:59Z", -1, 0),
    ] {
        let written = timestamp(text.parse().unwrap());
        assert_eq!(written, prost_types::Timestamp { seconds, nanos }, "{text}");
    }
}

#[test]
fn a_reservation_is_answered_whole() {
    let at = |text: &str| text.parse().unwrap();
    let written = reservation(&Reservation {
        reservation_id: "9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90".parse().unwrap(),
        pool: PoolId::Event(42),
        source: "/callers/shop".parse().unwrap(),
        user_id: "u-7".parse().unwrap(),
        status: ReservationStatus::Confirmed,
        version: 3,
        seats: vec!["A-2".parse().unwrap(), "A-1".parse().unwrap()],
        lines: vec![OrderLine { sku: "GA".parse().unwrap(), quantity: 2 }],
        booking_id: Some("b-1".parse().unwrap()),
        goods: Some(Goods::Stay),
        fulfilled_at: Some(at("2026-11-22T12:00:00Z")),
        created_at: at("2026-11-22T10:00:00Z"),
        expires_at: at("2026-11-22T10:10:00Z"),
        ended_at: Some(at("2026-11-22T10:11:00Z")),
    });
    let seconds = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let expected = proto::Reservation {
        reservation_id: "9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90".to_owned(),
        pool: Some(proto::Pool { pool: Some(proto::pool::Pool::EventId(42)) }),
        user_id: "u-7".to_owned(),
        status: proto::ReservationStatus::Confirmed.into(),
        version: 3,
        seats: vec!["A-2".to_owned(), "A-1".to_owned()],
        lines: vec![proto::OrderLine { sku: "GA".to_owned(), quantity: 2 }],
        booking_id: Some("b-1".to_owned()),
        goods: proto::Goods::Stay.into(),
        fulfilled_at: seconds(1_795_348_800),
        created_at: seconds(1_795_341_600),
        expires_at: seconds(1_795_342_200),
        ended_at: seconds(1_795_342_260),
        source: "/callers/shop".to_owned(),
    };
    assert_eq!(written, expected);
}

#[test]
fn each_code_of_a_rejection_has_its_own_name() {
    for code in RejectionCode::ALL {
        let name = format!("REJECTION_CODE_{}", code.as_str());
        assert_eq!(rejection_code(code).as_str_name(), name);
    }
}

#[test]
fn a_rejection_counts_the_names_that_do_not_fit() {
    let seat = |number: usize| -> SeatNumber { format!("{number:068}").parse().unwrap() };
    let sku = "bolt".parse().unwrap();
    let large = Rejection {
        seats: (0..20).map(seat).collect(),
        lines: vec![
            RejectedLine::Quantity { sku, requested: 5, available: -2 },
            RejectedLine::Version { sku: "nut".parse().unwrap(), expected: 4, actual: 5 },
        ],
        ..Rejection::new(RejectionCode::SeatsUnavailable, "taken")
    };
    let cut = rejection(&large, 1_001);
    assert_eq!((cut.seats.len(), cut.lines.len(), cut.omitted), (10, 0, 12));
    let whole = rejection(&large, usize::MAX);
    assert_eq!((whole.seats.len(), whole.lines.len(), whole.omitted), (20, 2, 0));
    let quantity = proto::RejectedQuantity { requested: 5, available: -2 };
    let version = proto::RejectedVersion { expected: 4, actual: 5 };
    let checks: Vec<_> = whole.lines.into_iter().map(|line| line.check.unwrap()).collect();
    use proto::rejected_line::Check;
    assert_eq!(checks, [Check::Quantity(quantity), Check::Version(version)]);
}
