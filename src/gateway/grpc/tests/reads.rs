//! Calls that look things up.

use super::*;
use crate::{
    domain::{Seat, SeatDetails, SeatKey, SeatState},
    gateway::Scope,
};

fn reservation_id() -> ReservationId {
    id(7).parse().unwrap()
}

pub(super) fn seat(number: &str, section: &str, occupancy: SeatState) -> Record {
    let details = SeatDetails {
        section: Some(section.parse().unwrap()),
        row_number: Some("1".parse().unwrap()),
        seat_type: None,
        price: Some("49.50".parse().unwrap()),
    };
    let at = NOW.parse().unwrap();
    let (withheld, version, created_at, updated_at) = (false, 3, at, at);
    let seat = Seat { details, occupancy, withheld, version, created_at, updated_at };
    Record::Seat(SeatKey { event_id: 42, number: number.parse().unwrap() }, seat)
}

/// Seats A-1 (sold), A-2 and A-3, and B-1, and the reservation of A-1.
pub(super) fn seats_of_an_event() -> [Record; 5] {
    let (by, booking_id) = ("u-7".parse().unwrap(), "b-1".parse().unwrap());
    let sold = SeatState::Booked { reservation_id: reservation_id(), by, booking_id };
    let reservation = Reservation {
        reservation_id: reservation_id(),
        pool: PoolId::Event(42),
        source: "/callers/shop".parse().unwrap(),
        user_id: "u-7".parse().unwrap(),
        status: ReservationStatus::Confirmed,
        version: 2,
        seats: vec!["A-1".parse().unwrap()],
        lines: Vec::new(),
        booking_id: Some("b-1".parse().unwrap()),
        goods: None,
        fulfilled_at: None,
        created_at: NOW.parse().unwrap(),
        expires_at: NOW.parse().unwrap(),
        ended_at: None,
    };
    [
        seat("A-1", "A", sold),
        seat("A-2", "A", SeatState::Available),
        seat("A-3", "A", SeatState::Available),
        seat("B-1", "B", SeatState::Available),
        Record::Reservation(reservation),
    ]
}

async fn client(scopes: &[Scope]) -> InventoryServiceClient<axum::Router> {
    let router = router(face_on(Scripted::new(succeed), seats_of_an_event()).await);
    let caller = shop(scopes.iter().copied().collect());
    InventoryServiceClient::new(router.layer(Extension(caller)))
}

fn numbers(page: &proto::GetAvailableSeatsResponse) -> Vec<&str> {
    page.seats.iter().map(|seat| &*seat.seat_number).collect()
}

#[tokio::test]
async fn sellable_seats_come_in_pages_of_one_section() {
    let mut client = client(&[Scope::Read]).await;
    let all = proto::GetAvailableSeatsRequest { event_id: 42, ..Default::default() };
    let answer = client.get_available_seats(all.clone()).await.unwrap().into_inner();
    assert_eq!(numbers(&answer), ["A-2", "A-3", "B-1"]);
    assert_eq!(answer.next_page_token, "");
    assert!(answer.as_of.is_some() && answer.now.is_some());
    let first = &answer.seats[0];
    assert_eq!((first.event_id, first.version, first.sellable), (42, 3, true));
    assert_eq!(
        (first.status(), first.price.as_deref()),
        (proto::SeatStatus::Available, Some("49.50"))
    );
    assert_eq!((first.section.as_deref(), first.seat_type.as_deref()), (Some("A"), None));

    let section = proto::GetAvailableSeatsRequest {
        section: Some("A".to_owned()),
        page_size: 1,
        ..all.clone()
    };
    let one = client.get_available_seats(section.clone()).await.unwrap().into_inner();
    assert_eq!(numbers(&one), ["A-2"]);
    let token = one.next_page_token;
    let next = proto::GetAvailableSeatsRequest { page_token: token.clone(), ..section };
    let two = client.get_available_seats(next).await.unwrap().into_inner();
    assert_eq!((numbers(&two), &*two.next_page_token), (vec!["A-3"], ""));

    let large = proto::GetAvailableSeatsRequest { page_size: i32::MAX, ..all.clone() };
    let answer = client.get_available_seats(large).await.unwrap().into_inner();
    assert_eq!(answer.seats.len(), 3);
    let negative = proto::GetAvailableSeatsRequest { page_size: -1, ..all.clone() };
    let foreign = proto::GetAvailableSeatsRequest { page_token: token, ..all.clone() };
    for (wrong, field) in [(negative, "page_size"), (foreign, "page_token")] {
        let error = client.get_available_seats(wrong).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert!(error.message().starts_with(&format!("{field}: ")), "{}", error.message());
    }
    let absent = proto::GetAvailableSeatsRequest { event_id: 43, ..all };
    let error = client.get_available_seats(absent).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}

#[tokio::test]
async fn who_holds_a_seat_is_told_to_those_who_may_know() {
    let request = proto::GetSeatRequest { event_id: 42, seat_number: "A-1".to_owned() };
    let (public, private) = (&[Scope::Read][..], &[Scope::ReadPrivate][..]);
    for (scopes, owner) in [(public, None), (private, Some(("u-7", "b-1", id(7))))] {
        let answer = client(scopes).await.get_seat(request.clone()).await.unwrap().into_inner();
        let seat = answer.seat.unwrap();
        assert_eq!((seat.status(), seat.sellable), (proto::SeatStatus::Booked, false));
        assert_eq!(seat.user_id.as_deref(), owner.as_ref().map(|owner| owner.0));
        assert_eq!(seat.booking_id.as_deref(), owner.as_ref().map(|owner| owner.1));
        assert_eq!(seat.reservation_id, owner.map(|owner| owner.2));
    }
    let missing = proto::GetSeatRequest { seat_number: "Z-9".to_owned(), ..request };
    let error = client(public).await.get_seat(missing).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}

#[tokio::test]
async fn a_reservation_is_read_with_its_scope_alone() {
    let request = proto::GetReservationRequest { reservation_id: id(7) };
    let mut allowed = client(&[Scope::ReadPrivate]).await;
    let answer = allowed.get_reservation(request.clone()).await.unwrap().into_inner();
    let reservation = answer.reservation.unwrap();
    assert_eq!((reservation.reservation_id, reservation.version), (id(7), 2));
    let other = proto::GetReservationRequest { reservation_id: id(8) };
    assert_eq!(allowed.get_reservation(other).await.unwrap_err().code(), Code::NotFound);
    let wrong = proto::GetReservationRequest { reservation_id: "7".to_owned() };
    assert_eq!(allowed.get_reservation(wrong).await.unwrap_err().code(), Code::InvalidArgument);
    let error = client(&[Scope::Read]).await.get_reservation(request).await.unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn reads_need_a_caller_and_its_scope() {
    let mut nobody = InventoryServiceClient::new(router(face(Scripted::new(succeed)).await));
    let mut other = client(&[Scope::Command]).await;
    let seats = proto::GetAvailableSeatsRequest { event_id: 42, ..Default::default() };
    let seat = proto::GetSeatRequest { event_id: 42, seat_number: "A-1".to_owned() };
    let reservation = proto::GetReservationRequest { reservation_id: id(7) };
    for (client, code) in
        [(&mut nobody, Code::Unauthenticated), (&mut other, Code::PermissionDenied)]
    {
        assert_eq!(client.get_available_seats(seats.clone()).await.unwrap_err().code(), code);
        assert_eq!(client.get_seat(seat.clone()).await.unwrap_err().code(), code);
        assert_eq!(client.get_reservation(reservation.clone()).await.unwrap_err().code(), code);
    }
}
