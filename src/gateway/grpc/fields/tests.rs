use super::*;
use crate::domain::{SeatNumber, StoreId};

#[test]
fn a_violation_names_the_entry_of_a_list() {
    let seats = ["A-1".to_owned(), String::new()];
    let wrong = texts::<SeatNumber>("seats", &seats).unwrap_err();
    assert_eq!(wrong.field, "seats[1]");
    let lines = [1, -1];
    let wrong = list("lines", &lines, |line| unsigned("quantity", *line, 1..=5)).unwrap_err();
    assert_eq!(wrong, Violation::new("lines[1].quantity", "an integer from 1 to 5"));
}

#[test]
fn a_pool_is_an_event_or_a_store() {
    use proto::pool::Pool as One;
    let read = |one| pool(Some(&proto::Pool { pool: Some(one) }));
    assert_eq!(read(One::EventId(42)), Ok("event#42".parse().unwrap()));
    assert_eq!(read(One::StoreId("s".to_owned())), Ok("store#s".parse().unwrap()));
    let field = |one| read(one).unwrap_err().field;
    for wrong in [-1, i64::MAX] {
        assert_eq!(field(One::EventId(wrong)), "pool.event_id");
    }
    let long = "s".repeat(StoreId::MAX_BYTES + 1);
    assert_eq!(field(One::StoreId(long)), "pool.store_id");
    for none in [None, Some(&proto::Pool { pool: None })] {
        assert_eq!(pool(none).unwrap_err().field, "pool");
    }
}

#[test]
fn a_group_is_what_the_queue_takes() {
    let read = |text: &str| group(Some(&text.to_owned()));
    assert_eq!(read("event-42/A"), Ok(Some("event-42/A".parse().unwrap())));
    assert_eq!(group(None), Ok(None));
    for wrong in ["", "a b", "ä", &"g".repeat(GroupId::MAX_BYTES + 1)] {
        assert_eq!(read(wrong).unwrap_err().field, "group", "{wrong:?}");
    }
}

#[test]
fn a_moment_is_read_exactly() {
    let read = |seconds, nanos| timestamp("as_of", prost_types::Timestamp { seconds, nanos });
    let moment = |text: &str| Ok(text.parse().unwrap());
    assert_eq!(read(1_795_341_600, 123_456_789), moment("2026-11-22T10:00:00.123456789Z"));
    assert_eq!(read(-1, 999_000_000), moment("1969-12-31T23:59:59.999Z"));
    assert_eq!(read(FIRST_SECOND, 0), moment("0001-01-01T00:00:00Z"));
    for (seconds, nanos) in
        [(FIRST_SECOND - 1, 0), (0, -1), (0, 1_000_000_000), (i64::MAX, 0), (i64::MIN, 0)]
    {
        assert_eq!(read(seconds, nanos).unwrap_err().field, "as_of", "{seconds} {nanos}");
    }
}

#[test]
fn a_hold_has_the_bounds_of_the_contract() {
    assert_eq!(hold_seconds("h", 1), Ok(1));
    assert_eq!(hold_seconds("h", 14_400), Ok(14_400));
    for wrong in [0, -1, 14_401, i32::MIN] {
        assert!(hold_seconds("h", wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_command_puts_seats_on_sale_or_blocks_them() {
    let read = |number: i32| seat_status("status", number);
    assert_eq!(read(proto::SeatStatus::Unspecified.into()), Ok(None));
    assert_eq!(read(proto::SeatStatus::Available.into()), Ok(Some(RestockStatus::Available)));
    assert_eq!(read(proto::SeatStatus::Blocked.into()), Ok(Some(RestockStatus::Blocked)));
    for wrong in [proto::SeatStatus::Reserved.into(), proto::SeatStatus::Booked.into(), 99, -1] {
        assert_eq!(read(wrong).unwrap_err().field, "status", "{wrong}");
    }
}
