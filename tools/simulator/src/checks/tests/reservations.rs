//! What becomes of holds and sales.

use super::*;
use inventory_worker::domain::time::expiry;

fn expiring(id: &str, expirytime: &str) -> String {
    let source = r#""source":"/t","#;
    reserve_body(id).replace(source, &format!(r#"{source}"expirytime":"{expirytime}","#))
}

#[test]
fn nothing_is_decided_after_its_expirytime_and_nothing_is_called_late_before() {
    let late = |judged: &mut Judged, body: &str| {
        let command = judged.send(body);
        let rejection = Rejection::new(RejectionCode::CommandExpired, "");
        let outcome = outcome(&command, Outcome::Rejected { rejection }, at(1));
        judged.commit(&Transaction { writes: vec![outcome], checks: Vec::new() }, at(1))
    };
    for (expirytime, decided, called_late) in [
        ("2026-11-22T10:00:00.999Z", Some("deadline"), None),
        ("2026-11-22T10:00:01Z", None, Some("deadline")),
    ] {
        let body = expiring("1", expirytime);
        let mut judged = Judged::new(SeatState::Available);
        let reserve = judged.send(&body);
        assert_eq!(judged.commit(&reserved(&reserve), at(1)), decided, "{expirytime}");
        let mut judged = Judged::new(SeatState::Available);
        assert_eq!(late(&mut judged, &body), called_late, "{expirytime}");
    }
    let mut judged = Judged::new(SeatState::Available);
    assert_eq!(late(&mut judged, &reserve_body("1")), Some("deadline"));
}

#[test]
fn a_withheld_seat_is_not_taken_over() {
    for (withheld, expected) in [(false, None), (true, Some("oversold"))] {
        let mut judged = Judged::new(SeatState::Available);
        let other = SeatState::Reserved {
            reservation_id: inventory_worker::domain::ReservationId(uuid::Uuid::nil()),
            by: "bob".parse().unwrap(),
            until: at(0),
        };
        let seat = Seat { withheld, ..seat(other, 1, at(0)) };
        judged.model.set_up(&Record::Seat(seat_key(), seat), at(0));
        let reserve = judged.send(&reserve_body("1"));
        assert_eq!(judged.commit(&reserved(&reserve), at(1)), expected);
    }
}

/// The extend of the reservation to that many seconds from second 2, with its transaction.
fn extended(judged: &mut Judged, hold_seconds: u32) -> Transaction {
    let data = format!(r#""reservation_id":"{RESERVATION}","hold_seconds":{hold_seconds}"#);
    let extend = judged.send(&body("2", "extend", &data));
    let until = expiry(at(2), hold_seconds);
    let extended = Reservation { expires_at: until, version: 2, ..reservation() };
    let reservation_id = extended.reservation_id;
    let held = SeatState::Reserved { reservation_id, by: "ada".parse().unwrap(), until };
    let seat = seat(held, 3, at(2));
    let changes = vec![seat_state(&seat)];
    let (reservation, expected) = (extended.clone(), Expected::Version(1));
    let writes = vec![
        Write::Reservation { expected, reservation },
        Write::Seat { key: seat_key(), expected: Expected::Version(2), seat },
        changed(&extend, Outcome::Extended { reservation: extended }, changes, at(2)),
    ];
    Transaction { writes, checks: Vec::new() }
}

#[test]
fn a_hold_is_extended_within_its_ceiling_while_it_lasts() {
    // In all 14,400 seconds from second 1.
    for (hold_seconds, expected) in [(14_399, None), (14_400, Some("expiry"))] {
        let mut judged = Judged::new(SeatState::Available);
        let reserve = judged.send(&reserve_body("1"));
        assert_eq!(judged.commit(&reserved(&reserve), at(1)), None);
        let transaction = extended(&mut judged, hold_seconds);
        assert_eq!(judged.commit(&transaction, at(2)), expected, "{hold_seconds}");
    }
}

#[test]
fn goods_are_handed_over_once() {
    for (goods, fulfilled_at, expected) in [
        (Goods::Stay, None, None),
        (Goods::Stay, Some(at(2)), Some("outcome")),
        (Goods::Leave, None, Some("outcome")),
    ] {
        let mut judged = Judged::new(SeatState::Available);
        let confirmed = Reservation {
            status: ReservationStatus::Confirmed,
            goods: Some(goods),
            booking_id: Some("b".parse().unwrap()),
            fulfilled_at,
            seats: Vec::new(),
            ..reservation()
        };
        let stocked = StockLevel { committed: 2, ..line(3, 0, 2, at(1)) };
        judged.model.set_up(&Record::Reservation(confirmed.clone()), at(1));
        judged.model.set_up(&Record::Line(line_key(), stocked), at(1));
        let data = format!(r#""reservation_id":"{RESERVATION}""#);
        let fulfil = judged.send(&body("2", "fulfil", &data));
        let fulfilled = Reservation { fulfilled_at: Some(at(3)), version: 2, ..confirmed };
        let line = line(3, 0, 3, at(3));
        let changes = vec![line_state(&line)];
        let (reservation, expected_version) = (fulfilled.clone(), Expected::Version(1));
        let writes = vec![
            Write::Reservation { expected: expected_version, reservation },
            Write::Line { key: line_key(), expected: Expected::Version(2), line },
            changed(&fulfil, Outcome::Fulfilled { reservation: fulfilled }, changes, at(3)),
        ];
        let transaction = Transaction { writes, checks: Vec::new() };
        assert_eq!(judged.commit(&transaction, at(3)), expected, "{goods:?} {fulfilled_at:?}");
    }
}

#[test]
fn tables_with_goods_that_nobody_bought_or_a_free_seat_withheld_are_found() {
    let mut wrong = good_tables();
    wrong.lines.insert(line_key(), StockLevel { committed: 1, ..line(3, 2, 2, at(1)) });
    assert_eq!(check_of(&wrong), Some("committed"));
    let mut wrong = good_tables();
    let free = Seat { withheld: true, ..seat(SeatState::Blocked, 2, at(1)) };
    wrong.seats.insert(seat_key(), free);
    wrong.reservations.values_mut().for_each(|it| it.seats.clear());
    assert_eq!(check_of(&wrong), Some("withheld"));
}
