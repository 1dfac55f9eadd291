//! `serve`: the gateway, from the caller's request to the worker and back.

mod callers;
#[cfg(feature = "embedded")]
mod redis;

use inventory_worker::gateway::grpc::proto::{self, reservation_result::Result as Became};
use serde_json::{Value, json};
use tonic::Code;

use crate::{
    gateway::{EVENT_JSON, Gateway, WAIT},
    messages::{SOURCE, command, reservation, reserve_seats, restock_seats, seat_numbers},
    proxy::{Mode, Proxy},
    stack::Stack,
    wait::until,
    world::{EVENT, SHORT_LEASES, STORE, World},
};

on_every_stack! {
    a_sale_over_http_is_answered_and_shown
    a_sale_over_grpc_is_answered
    a_gateway_and_a_worker_without_redis_sell
    a_command_is_answered_though_its_worker_was_killed
    a_drain_answers_whoever_waits_and_loses_nothing
}

/// A gateway without authentication, and a worker.
async fn open(world: &World) -> (Gateway, crate::process::Worker) {
    let worker = world.worker(&[]).await;
    (Gateway::start(&world.environment).await, worker)
}

async fn stock(gateway: &Gateway, seats: usize) {
    let stock = restock_seats("stock", EVENT, &seat_numbers(seats));
    gateway.command(&stock).await.expect(200);
}

async fn a_sale_over_http_is_answered_and_shown(stack: Stack) {
    let mut world = World::new(stack).await;
    let (gateway, worker) = open(&world).await;
    stock(&gateway, 3).await;

    let reserve = reserve_seats("kept", EVENT, &["A-1", "A-2"]);
    let reserved = gateway.command(&reserve).await.expect(200);
    assert_eq!(reserved.body["type"], "inventory.reserved.v1");
    assert_eq!(reserved.header("preference-applied"), "wait=20");
    // The same result as subscribers get, but for the sequence number of the message.
    let mut published = world.results.one("kept").await.body;
    published["data"]["command"].as_object_mut().unwrap().remove("sequence").unwrap();
    assert_eq!(reserved.body, published);
    let again = gateway.command(&reserve).await.expect(200);
    assert_eq!(again.body, reserved.body, "a repetition has its first outcome");
    let taken = gateway.command(&reserve_seats("taken", EVENT, &["A-1"])).await.expect(409);
    assert_eq!(
        (&taken.body["code"], &taken.body["seats"]),
        (&"SEATS_UNAVAILABLE".into(), &json!(["A-1"]))
    );
    let other = gateway.command(&reserve_seats("kept", EVENT, &["A-3"])).await.expect(422);
    assert_eq!(other.body["code"], "COMMAND_ID_REUSED");

    let looked_up =
        gateway.get(&format!("/commands?source={SOURCE}&id=kept"), &[]).await.expect(200);
    assert_eq!(looked_up.body, reserved.body);
    let looked_up =
        gateway.get(&format!("/commands?source={SOURCE}&id=taken"), &[]).await.expect(200);
    assert_eq!(looked_up.body["data"]["rejection"]["code"], taken.body["code"]);
    gateway.get(&format!("/commands?source={SOURCE}&id=never"), &[]).await.expect(404);
    let seat = &gateway.get("/events/42/seats/A-1", &[]).await.expect(200).body["seat"];
    assert_eq!(
        (&seat["status"], &seat["reservation_id"]),
        (&"RESERVED".into(), &reservation("kept").into())
    );
    let listed = gateway.get("/events/42/seats?sellable=true", &[]).await.expect(200).body;
    let numbers: Vec<&Value> =
        listed["seats"].as_array().unwrap().iter().map(|one| &one["seat_number"]).collect();
    assert_eq!(numbers, ["A-3"]);
    let held =
        gateway.get(&format!("/reservations/{}", reservation("kept")), &[]).await.expect(200);
    assert_eq!(held.body["reservation"]["seats"], json!(["A-1", "A-2"]));
    for path in ["/events/42/layout", "/events/42/map", "/events/42/availability"] {
        gateway.get(path, &[]).await.expect(200);
    }

    let confirm =
        json!({ "event_id": EVENT, "reservation_id": reservation("kept"), "booking_id": "b-1" });
    let confirmed = gateway.command(&command("confirm", "confirm", confirm)).await.expect(200);
    assert_eq!(confirmed.body["type"], "inventory.confirmed.v1");
    let json = ("content-type", "application/json");
    let count = json!({ "store_id": STORE, "sku": "tea", "quantity": 7 });
    gateway.post("/inventory/update", &[json, WAIT], &count).await.expect(200);
    let lines = gateway.get(&format!("/inventory/store/{STORE}"), &[]).await.expect(200).body;
    assert_eq!((&lines[0]["sku"], &lines[0]["available"]), (&"tea".into(), &7.into()));

    gateway.process.stop().await;
    worker.stop().await;
    world.audit().await;
}

fn event() -> Option<proto::Pool> {
    Some(proto::Pool { pool: Some(proto::pool::Pool::EventId(EVENT.try_into().unwrap())) })
}

fn reserve(seats: &[&str]) -> tonic::Request<proto::ReserveSeatsRequest> {
    let mut request = tonic::Request::new(proto::ReserveSeatsRequest {
        pool: event(),
        user_id: "u-1".to_owned(),
        seats: seats.iter().map(|seat| (*seat).to_owned()).collect(),
        ..proto::ReserveSeatsRequest::default()
    });
    request.set_timeout(std::time::Duration::from_secs(20));
    request
}

async fn a_sale_over_grpc_is_answered(stack: Stack) {
    let world = World::new(stack).await;
    let (gateway, worker) = open(&world).await;
    stock(&gateway, 3).await;
    let mut service = gateway.service();
    let mut ids = Vec::new();
    for seat in ["A-1", "A-2"] {
        let reserved = service.reserve_seats(reserve(&[seat])).await.unwrap().into_inner();
        let reservation = reserved.reservation.unwrap();
        assert_eq!(reservation.seats, [seat]);
        assert_eq!(reserved.command_source, "/callers/local");
        ids.push(reservation.reservation_id);
    }
    let taken = service.reserve_seats(reserve(&["A-1", "A-3"])).await.unwrap_err();
    assert_eq!(taken.code(), Code::FailedPrecondition);
    assert!(taken.metadata().contains_key("command-id"), "{taken:?}");

    let request = proto::ConfirmReservationsRequest {
        pool: event(),
        reservations: vec![proto::ReservationToConfirm {
            reservation_id: ids[0].clone(),
            booking_id: "b-1".to_owned(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let confirmed = service.confirm_reservations(request).await.unwrap().into_inner();
    assert!(matches!(confirmed.results[0].result, Some(Became::Reservation(_))), "{confirmed:?}");
    let request = proto::CancelReservationsRequest {
        pool: event(),
        reservations: vec![proto::ReservationToCancel {
            reservation_id: ids[1].clone(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let cancelled = service.cancel_reservations(request).await.unwrap().into_inner();
    assert!(matches!(cancelled.results[0].result, Some(Became::Reservation(_))), "{cancelled:?}");

    let seat = proto::GetSeatRequest { event_id: 42, seat_number: "A-1".to_owned() };
    let seat = service.get_seat(seat).await.unwrap().into_inner().seat.unwrap();
    assert_eq!(seat.status(), proto::SeatStatus::Booked);
    let held = proto::GetReservationRequest { reservation_id: ids[1].clone() };
    let held = service.get_reservation(held).await.unwrap().into_inner().reservation.unwrap();
    assert_eq!(held.status(), proto::ReservationStatus::Cancelled);
    let free = proto::GetAvailableSeatsRequest { event_id: 42, ..Default::default() };
    let free = service.get_available_seats(free).await.unwrap().into_inner().seats;
    let numbers: Vec<&str> = free.iter().map(|seat| seat.seat_number.as_str()).collect();
    assert_eq!(numbers, ["A-2", "A-3"]);

    // A call that its caller does not wait for is posted all the same.
    worker.stop().await;
    let mut brief = reserve(&["A-3"]);
    brief.set_timeout(std::time::Duration::from_millis(500));
    brief.metadata_mut().insert("idempotency-key", "brief".parse().unwrap());
    let late = service.reserve_seats(brief).await.unwrap_err();
    assert!(matches!(late.code(), Code::DeadlineExceeded | Code::Cancelled), "{late:?}");
    until("it is posted", async || (!world.is_drained().await).then_some(())).await;
    let worker = world.worker(&[]).await;
    world.drained().await;
    gateway.process.stop().await;
    worker.stop().await;
    world.audit().await;
}

async fn a_gateway_and_a_worker_without_redis_sell(stack: Stack) {
    let mut world = World::new(stack).await;
    world.environment.remove("REDIS_URL");
    let (gateway, worker) = open(&world).await;
    stock(&gateway, 1).await;
    let reserved = gateway.command(&reserve_seats("r", EVENT, &["A-1"])).await.expect(200);
    assert_eq!(reserved.body["type"], "inventory.reserved.v1");
    gateway.process.stop().await;
    worker.stop().await;
    world.audit().await;
}

async fn a_command_is_answered_though_its_worker_was_killed(stack: Stack) {
    let world = World::new(stack).await;
    let proxy = Proxy::of(&world.stack.dynamodb_endpoint).await;
    let behind = [&SHORT_LEASES[..], &[("AWS_ENDPOINT_URL_DYNAMODB", proxy.url())]].concat();
    let stuck = world.worker(&behind).await;
    let gateway = Gateway::start(&world.environment).await;
    stock(&gateway, 1).await;
    proxy.set(Mode::Hold("TransactWriteItems"));
    let reserve = reserve_seats("r", EVENT, &["A-1"]);
    let taking_over = async {
        proxy.held().await;
        stuck.kill().await;
        world.worker(&SHORT_LEASES).await
    };
    let (reserved, next) = tokio::join!(gateway.command(&reserve), taking_over);
    assert_eq!(reserved.expect(200).body["type"], "inventory.reserved.v1");
    gateway.process.stop().await;
    next.stop().await;
    world.audit().await;
}

async fn a_drain_answers_whoever_waits_and_loses_nothing(stack: Stack) {
    let mut world = World::new(stack).await;
    let brief = [("INVENTORY_DRAIN_DELAY_SECONDS", "2"), ("INVENTORY_GATEWAY_GRACE_SECONDS", "6")];
    let mut gateway = Gateway::start(&world.with(&brief)).await;
    gateway.get("/health", &[]).await.expect(200);
    let stock = restock_seats("stock", EVENT, &seat_numbers(1));
    // No worker runs: nobody decides.
    let waiting = gateway.command(&stock);
    let draining = async {
        until("it is posted", async || (!world.is_drained().await).then_some(())).await;
        gateway.process.terminate().await;
        let health = async || {
            let answer = gateway.try_get("/health", &[]).await?;
            (answer.status == 503).then_some(answer)
        };
        let health = until("health says so, on connections that are still accepted", health).await;
        assert_eq!(health.body["status"], "draining");
        assert_eq!(gateway.process.get("/readyz").await.unwrap().status, 503);
    };
    let (answer, ()) = tokio::join!(waiting, draining);
    let answer = answer.expect(202);
    let place = answer.header("location").to_owned();
    assert_eq!(gateway.process.ended(crate::wait::DEADLINE).await, 0);
    assert!(gateway.try_get("/health", &[]).await.is_none());

    let (next, worker) = open(&world).await;
    assert_eq!(world.results.one("stock").await.word(), "restocked");
    next.get(&place, &[]).await.expect(200);
    // Whoever does not wait is told where to look at once.
    let prefer = ("prefer", "respond-async");
    let reserve = reserve_seats("later", EVENT, &["A-1"]);
    let accepted = next.post("/commands", &[EVENT_JSON, prefer], &reserve).await.expect(202);
    assert_eq!(world.results.one("later").await.word(), "reserved");
    next.get(accepted.header("location"), &[]).await.expect(200);
    next.process.stop().await;
    worker.stop().await;
    world.audit().await;
}
