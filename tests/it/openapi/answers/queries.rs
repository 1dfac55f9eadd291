//! Queries.

use std::time::Duration;

use axum::http::Request;
use inventory_worker::{
    domain::{
        BookingId, LineKey, PoolId, Reservation, ReservationId, ReservationStatus, Seat,
        SeatDetails, SeatKey, SeatState, StockLevel, UserId,
    },
    gateway::{QuerySettings, Scope, view::ViewSettings},
    ports::{ActivityBoard as _, Record, WorkerTotals},
};
use serde_json::json;
use uuid::Uuid;

use super::{
    Checked,
    gateway::{Gateway, NOW},
    get, request,
};

const RESERVATION: ReservationId = ReservationId(Uuid::from_u128(7));

fn user() -> UserId {
    "user-7".parse().unwrap()
}

/// An event with a seat in each state, with and without details; a store with two lines.
pub fn fill(gateway: &Gateway) {
    let time = NOW.parse().unwrap();
    let held = SeatState::Reserved {
        reservation_id: RESERVATION,
        by: user(),
        until: "2026-11-29T12:10:00Z".parse().unwrap(),
    };
    let booking_id: BookingId = "booking-7".parse().unwrap();
    let booked = SeatState::Booked { reservation_id: RESERVATION, by: user(), booking_id };
    let states = [SeatState::Available, held, booked, SeatState::Blocked];
    let seats = states.into_iter().enumerate().map(|(place, occupancy)| {
        let label = |text: &str| (place > 0).then(|| text.parse().unwrap());
        let details = SeatDetails {
            section: label("A"),
            row_number: label("1"),
            seat_type: label("chair"),
            price: (place > 0).then(|| "49.50".parse().unwrap()),
        };
        let key = SeatKey { event_id: 42, number: format!("A-{place}").parse().unwrap() };
        let (withheld, version) = (false, 3);
        let seat =
            Seat { details, occupancy, withheld, version, created_at: time, updated_at: time };
        Record::Seat(key, seat)
    });
    gateway.store.insert(seats);
    let lines = ["bolt", "nut"].map(|sku| {
        let pool = PoolId::Store("store-1".parse().unwrap());
        let key = LineKey { pool, sku: sku.parse().unwrap() };
        let (available, reserved, committed) = (-1, 2, 1);
        let (as_of, version) = (None, 4);
        let line = StockLevel { available, reserved, committed, as_of, version, updated_at: time };
        Record::Line(key, line)
    });
    gateway.store.insert(lines);
    gateway.store.insert([Record::Reservation(Reservation {
        reservation_id: RESERVATION,
        pool: PoolId::Event(42),
        source: "/shop".parse().unwrap(),
        user_id: user(),
        status: ReservationStatus::Active,
        version: 1,
        seats: vec!["A-1".parse().unwrap()],
        lines: Vec::new(),
        booking_id: None,
        goods: None,
        fulfilled_at: None,
        created_at: time,
        expires_at: "2026-11-29T12:10:00Z".parse().unwrap(),
        ended_at: None,
    })]);
}

#[tokio::test(start_paused = true)]
async fn queries_are_answered_as_documented() {
    let mut checked = Checked::default();
    let gateway = Gateway::open();
    fill(&gateway);
    found(&mut checked, &gateway).await;
    refused(&mut checked, &gateway).await;
    let view = ViewSettings { entries_max: 2, ..ViewSettings::default() };
    let small = Gateway::with(QuerySettings { view });
    fill(&small);
    for what in ["availability", "layout", "map"] {
        let answer = checked.send(&small.router(), get(&format!("/events/42/{what}"))).await;
        assert_eq!(answer.json()["code"], "POOL_TOO_LARGE", "{what}");
    }
    let paged = checked.send(&small.router(), get("/events/42/seats?limit=3")).await;
    assert_eq!(paged.header("view-source"), Some("store"));
    overview(&mut checked, &gateway).await;
    checked.assert_complete("queries");
}

async fn overview(checked: &mut Checked, gateway: &Gateway) {
    let empty = checked.send(&gateway.router(), get("/overview")).await.json();
    assert_eq!(empty["activity"]["commands_per_second"], json!(null));
    assert_eq!(empty["queues"][0]["name"], "commands");
    let totals = |reserves, at: &str| WorkerTotals {
        worker: Uuid::from_u128(1),
        at: at.parse().unwrap(),
        completed: [("inventory.reserve.v1".to_owned(), reserves)].into(),
        rejected: [("SEATS_UNAVAILABLE".to_owned(), 1)].into(),
    };
    for (reserves, at) in [(10, NOW), (30, "2026-11-29T12:00:02Z")] {
        tokio::time::advance(Duration::from_secs(3)).await;
        gateway.board.put(&totals(reserves, at)).await.unwrap();
        checked.send(&gateway.router(), get("/overview")).await;
    }
    let full = checked.send(&gateway.router(), get("/overview")).await.json();
    assert_eq!(full["activity"]["commands_per_second"], json!(10.0));
    assert_eq!(full["activity"]["completed"], json!({ "inventory.reserve.v1": 30 }));
    assert_eq!(full["oldest_hold"]["reserved_until"], "2026-11-29T12:10:00Z");
    checked.send(&gateway.router(), get("/overview?all=1")).await;
    checked.send(&gateway.router_with(&[Scope::Command]), get("/overview")).await;
}

async fn found(checked: &mut Checked, gateway: &Gateway) {
    let router = gateway.router();
    let page = checked.send(&router, get("/events/42/seats?limit=2")).await;
    assert_eq!(page.json()["seats"].as_array().unwrap().len(), 2);
    let link = page.header("link").unwrap();
    let next = link.split(['<', '>']).nth(1).unwrap();
    let last = checked.send(&router, get(next)).await;
    assert_eq!(last.header("link"), None);
    let parameters = "sellable=false&status=BOOKED&section=A";
    let booked = checked.send(&router, get(&format!("/events/42/seats?{parameters}"))).await;
    assert_eq!(booked.json()["seats"].as_array().unwrap().len(), 1);
    for place in 0..4 {
        checked.send(&router, get(&format!("/events/42/seats/A-{place}"))).await;
    }
    let seat = checked.send(&router, get("/events/42/seats/A-2")).await;
    assert_eq!(seat.json()["seat"]["booking_id"], "booking-7");
    checked.send(&router, get("/events/42/availability")).await;
    let reservation = format!("/reservations/{}", RESERVATION.0);
    let answer = checked.send(&router, get(&reservation)).await;
    assert_eq!(answer.json()["reservation"]["status"], "ACTIVE");
    let lines = checked.send(&router, get("/inventory/store/store-1?limit=1")).await;
    assert_eq!(lines.json()[0]["quantity"], 2);
    assert!(lines.header("link").is_some());
    checked.send(&router, get("/inventory/store/store-1")).await;
    for what in ["layout", "map"] {
        let uri = format!("/events/42/{what}");
        let document = checked.send(&router, get(&uri)).await;
        assert_eq!(document.status, 200, "{what}");
        let tag = document.header("etag").unwrap();
        let again = request("GET", &uri, &[("if-none-match", tag)], "");
        assert_eq!(checked.send(&router, again).await.status, 304, "{what}");
    }
}

async fn refused(checked: &mut Checked, gateway: &Gateway) {
    let cases = [
        ("/events/42/seats?limit=0", 400, "INVALID_REQUEST"),
        ("/events/7/seats", 404, "EVENT_NOT_FOUND"),
        ("/events/042/seats/A-1", 400, "INVALID_REQUEST"),
        ("/events/42/seats/B-1", 404, "SEAT_NOT_FOUND"),
        ("/events/x/availability", 400, "INVALID_REQUEST"),
        ("/events/7/availability", 404, "EVENT_NOT_FOUND"),
        ("/events/42/layout?x=1", 400, "INVALID_REQUEST"),
        ("/events/7/layout", 404, "EVENT_NOT_FOUND"),
        ("/events/-1/map", 400, "INVALID_REQUEST"),
        ("/events/7/map", 404, "EVENT_NOT_FOUND"),
        ("/reservations/7", 400, "INVALID_REQUEST"),
        ("/reservations/00000000-0000-0000-0000-000000000001", 404, "RESERVATION_NOT_FOUND"),
        ("/inventory/store/a%20b", 400, "INVALID_REQUEST"),
        ("/inventory/store/none", 404, "STORE_NOT_FOUND"),
    ];
    for (uri, status, code) in cases {
        let answer = checked.send(&gateway.router(), get(uri)).await;
        assert_eq!((answer.status.as_u16(), answer.json()["code"].clone()), (status, json!(code)));
    }
    let stranger = gateway.router_with(&[Scope::Stress]);
    for uri in [
        "/events/42/seats",
        "/events/42/seats/A-1",
        "/events/42/availability",
        "/events/42/layout",
        "/events/42/map",
        "/reservations/00000000-0000-0000-0000-000000000007",
        "/inventory/store/store-1",
    ] {
        let request: Request<_> = get(uri);
        let answer = checked.send(&stranger, request).await;
        assert_eq!(answer.json()["code"], "SCOPE_REQUIRED", "{uri}");
    }
}
