use tonic_types::StatusExt as _;

use super::*;
use crate::domain::{CommandId, RejectedLine, SeatNumber};

fn rejection(code: RejectionCode) -> Rejection {
    let sku = "bolt".parse().unwrap();
    Rejection {
        seats: vec!["A-1".parse().unwrap()],
        lines: vec![RejectedLine::quantity(&sku, 5, 3)],
        ..Rejection::new(code, "for people")
    }
}

/// The rejection among the details of a status.
fn detail(status: &Status) -> proto::Rejection {
    let rpc = pb::Status::decode(status.details()).unwrap();
    let url = "type.googleapis.com/inventory.v1.Rejection";
    let detail = rpc.details.iter().find(|detail| detail.type_url == url).unwrap();
    proto::Rejection::decode(&*detail.value).unwrap()
}

fn reason(status: &Status) -> String {
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.domain, "inventory.v1");
    info.reason
}

fn retry_after(status: &Status) -> Option<Duration> {
    status.get_details_retry_info().and_then(|info| info.retry_delay)
}

fn key() -> CommandKey {
    CommandKey { source: "/callers/shop".parse().unwrap(), id: "k-1".parse().unwrap() }
}

fn trailer<'s>(status: &'s Status, key: &str) -> Option<&'s str> {
    status.metadata().get(key).map(|value| value.to_str().unwrap())
}

#[test]
fn each_rejection_has_the_code_of_the_contract() {
    let expected = |code: RejectionCode| match code.as_str() {
        "INVALID_MESSAGE" | "UNSUPPORTED_TYPE" | "COMMAND_ID_REUSED" => Code::InvalidArgument,
        "SEAT_NOT_FOUND" | "SKU_NOT_FOUND" | "RESERVATION_NOT_FOUND" => Code::NotFound,
        "NOT_OWNER" => Code::PermissionDenied,
        "RESERVATION_EXISTS" => Code::AlreadyExists,
        _ => Code::FailedPrecondition,
    };
    for code in RejectionCode::ALL {
        let status = rejected(&rejection(code));
        assert_eq!(status.code(), expected(code), "{}", code.as_str());
        assert_eq!(reason(&status), code.as_str());
        assert_eq!(status.message(), "for people");
    }
}

#[test]
fn a_rejection_goes_along_as_a_detail() {
    let status = rejected(&rejection(RejectionCode::InsufficientStock));
    let detail = detail(&status);
    assert_eq!(detail.code(), proto::RejectionCode::InsufficientStock);
    assert_eq!((detail.seats, detail.omitted), (vec!["A-1".to_owned()], 0));
    let quantity = proto::RejectedQuantity { requested: 5, available: 3 };
    let check = Some(proto::rejected_line::Check::Quantity(quantity));
    assert_eq!(detail.lines, [proto::RejectedLine { sku: "bolt".to_owned(), check }]);
}

#[test]
fn the_largest_rejection_fits_into_trailers() {
    let seat = |number: usize| -> SeatNumber {
        format!("{number:0width$}", width = SeatNumber::MAX_BYTES).parse().unwrap()
    };
    let seats: Vec<SeatNumber> = (0..97).map(seat).collect();
    let taken = Rejection::new(RejectionCode::SeatsUnavailable, "x".repeat(100));
    let key = CommandKey { id: "i".repeat(CommandId::MAX_BYTES).parse().unwrap(), ..key() };
    let status = metadata::about(rejected(&Rejection { seats, ..taken }), &key);
    assert!(detail(&status).omitted > 0);
    let mut headers = axum::http::HeaderMap::new();
    status.add_header(&mut headers).unwrap();
    // RFC 9113, section 6.5.2: an entry counts 32 bytes beside its name and value.
    let bytes = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32);
    let bytes: usize = bytes.sum();
    assert!(bytes < 8 * 1024, "{bytes}");
}

#[test]
fn a_command_that_cannot_be_read_names_the_field_of_the_request() {
    let message = "data.seats[3]: expected each seat once";
    let invalid = Rejection::new(RejectionCode::InvalidMessage, message);
    let status = Status::from(CommandError::Invalid(invalid));
    assert_eq!(status.code(), Code::InvalidArgument);
    let bad = status.get_details_bad_request().unwrap();
    let [field] = &*bad.field_violations else { panic!("{bad:?}") };
    assert_eq!((&*field.field, &*field.description), ("seats[3]", "expected each seat once"));
}

#[test]
fn a_wrong_field_is_an_invalid_argument() {
    let status = Status::from(Violation::new("lines[2].sku", "a text"));
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "lines[2].sku: expected a text");
    assert_eq!(reason(&status), "INVALID_REQUEST");
    let bad = status.get_details_bad_request().unwrap();
    assert_eq!(bad.field_violations[0].field, "lines[2].sku");
}

#[test]
fn errors_say_whether_and_when_to_try_again() {
    let (age, after) = (Duration::from_secs(9), Duration::from_secs(3));
    let second = Some(Duration::from_secs(1));
    let not_posted = CommandError::NotPosted { key: key(), reason: "the queue did not answer" };
    for (status, code, expected, retry) in [
        (
            CommandError::Behind { age, retry_after: after }.into(),
            Code::Unavailable,
            "QUEUE_BEHIND",
            Some(after),
        ),
        (CommandError::Full.into(), Code::Unavailable, "OVERLOADED", second),
        (not_posted.into(), Code::Unavailable, "QUEUE_UNAVAILABLE", second),
        (
            CommandError::Unreadable { key: key() }.into(),
            Code::Unavailable,
            "STORE_UNAVAILABLE",
            second,
        ),
        (overloaded(), Code::Unavailable, "OVERLOADED", second),
        (rate_limited(after), Code::ResourceExhausted, "RATE_LIMITED", Some(after)),
        (
            CommandError::NoScope(Scope::Command).into(),
            Code::PermissionDenied,
            "SCOPE_REQUIRED",
            None,
        ),
        (CommandError::ForeignSource.into(), Code::PermissionDenied, "FOREIGN_SOURCE", None),
        (unauthenticated("who?"), Code::Unauthenticated, "UNAUTHENTICATED", None),
    ] {
        let status: Status = status;
        assert_eq!((status.code(), &*reason(&status)), (code, expected));
        assert_eq!(retry_after(&status), retry, "{expected}");
    }
}

#[test]
fn an_error_of_a_command_names_it() {
    let status = Status::from(CommandError::Unreadable { key: key() });
    assert_eq!(trailer(&status, metadata::COMMAND_ID), Some("k-1"));
    assert_eq!(trailer(&status, metadata::COMMAND_SOURCE), Some("/callers/shop"));
    let id = key().default_reservation_id();
    let status = pending(&key(), Some(id));
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(trailer(&status, metadata::COMMAND_ID), Some("k-1"));
    assert_eq!(trailer(&status, metadata::RESERVATION_ID), Some(&*id.to_string()));
    assert_eq!(trailer(&pending(&key(), None), metadata::RESERVATION_ID), None);
}

#[test]
fn an_error_of_a_query_names_the_field_of_the_request() {
    let wrong = |field| QueryError::Invalid { field, expected: "another".to_owned() };
    for (field, named) in [("limit", "page_size"), ("cursor", "page_token"), ("section", "section")]
    {
        let status = Status::from(wrong(field));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, named);
    }
}

#[test]
fn tables_that_cannot_be_read_are_tried_again_unless_an_operator_is_needed() {
    let text = "what the service said".to_owned();
    for (error, code) in [
        (PortError::Throttled(text.clone()), Code::Unavailable),
        (PortError::Unavailable(text.clone()), Code::Unavailable),
        (PortError::Refused(text.clone()), Code::Internal),
        (PortError::Unreadable(text.clone()), Code::Internal),
    ] {
        let status = Status::from(QueryError::from(error));
        assert_eq!(status.code(), code);
        assert_eq!(retry_after(&status).is_some(), code == Code::Unavailable);
        assert!(!status.message().contains(&text), "{}", status.message());
    }
    let missing = QueryError::NotFound { code: "SEAT_NOT_FOUND", what: "seat" };
    let status = Status::from(missing);
    assert_eq!((status.code(), &*reason(&status)), (Code::NotFound, "SEAT_NOT_FOUND"));
    let status = Status::from(QueryError::NoScope(Scope::ReadPrivate));
    assert_eq!(status.code(), Code::PermissionDenied);
}
