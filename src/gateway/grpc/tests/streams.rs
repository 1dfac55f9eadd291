//! The stream of changes.

use futures::StreamExt as _;

use super::{
    reads::{seat, seats_of_an_event},
    *,
};
use crate::{
    domain::{SeatState, SeatStatus},
    gateway::{
        Scope,
        view::{Hint, SeatEntry},
    },
};
use proto::watch_changes_response::Change;

/// A face on an event, and a client of a caller with these scopes.
async fn watched(
    records: impl IntoIterator<Item = Record>,
    scopes: &[Scope],
) -> (Face, InventoryServiceClient<axum::Router>) {
    let face = face_on(Scripted::new(succeed), records).await;
    let caller = shop(scopes.iter().copied().collect());
    let router = router(face.clone()).layer(Extension(caller));
    (face, InventoryServiceClient::new(router))
}

fn watch(resume_token: &str) -> proto::WatchChangesRequest {
    proto::WatchChangesRequest { event_id: 42, resume_token: resume_token.to_owned() }
}

fn book(face: &Face, version: u64) {
    let entry = SeatEntry::new(version, SeatStatus::Booked, None, false);
    let hint = Hint::Seat("A-2".parse().unwrap(), entry);
    face.queries.views().apply(&PoolId::Event(42), &hint);
}

#[tokio::test(start_paused = true)]
async fn a_stream_tells_all_seats_then_changes_then_why_it_ends() {
    let (face, mut client) = watched(seats_of_an_event(), &[Scope::Read]).await;
    let mut stream = client.watch_changes(watch("")).await.unwrap().into_inner();
    let first = stream.message().await.unwrap().unwrap();
    let Some(Change::Snapshot(snapshot)) = &first.change else { panic!("{first:?}") };
    let numbers: Vec<&str> = snapshot.seats.iter().map(|seat| &*seat.seat_number).collect();
    assert_eq!(numbers, ["A-1", "A-2", "A-3", "B-1"]);
    assert!(snapshot.first && snapshot.last);
    assert!(snapshot.seats.iter().all(|seat| seat.user_id.is_none() && seat.section.is_some()));
    book(&face, 4);
    let second = stream.message().await.unwrap().unwrap();
    let expected = proto::SeatUpdate {
        seat_number: "A-2".to_owned(),
        status: proto::SeatStatus::Booked.into(),
        sellable: false,
        reserved_until: None,
        version: 4,
    };
    let Some(Change::Delta(delta)) = &second.change else { panic!("{second:?}") };
    assert_eq!(delta.seats, [expected]);
    let mut resumed = client.watch_changes(watch(&first.resume_token)).await.unwrap().into_inner();
    assert_eq!(resumed.message().await.unwrap(), Some(second));
    face.changes.streams().drain();
    for stream in [&mut stream, &mut resumed] {
        let last = stream.message().await.unwrap().unwrap();
        let reason = proto::ByeReason::Draining.into();
        assert_eq!(last.change, Some(Change::Bye(proto::StreamBye { reason })));
        let status = stream.message().await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(tonic_types::StatusExt::get_details_retry_info(&status).is_some());
    }
    let refused = client.watch_changes(watch("")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_large_event_comes_in_parts() {
    let numbers = (0..4_500).map(|number| format!("C-{number:05}"));
    let records = numbers.map(|number| seat(&number, "C", SeatState::Available));
    let (_face, mut client) = watched(records, &[Scope::Read]).await;
    let stream = client.watch_changes(watch("")).await.unwrap().into_inner();
    let parts: Vec<_> = stream.take(3).map(|part| part.unwrap()).collect().await;
    let shape = parts.iter().map(|part| {
        let Some(Change::Snapshot(snapshot)) = &part.change else { panic!("{part:?}") };
        (snapshot.seats.len(), snapshot.first, snapshot.last, !part.resume_token.is_empty())
    });
    let expected =
        [(2_000, true, false, false), (2_000, false, false, false), (500, false, true, true)];
    assert_eq!(shape.collect::<Vec<_>>(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_stream_needs_a_caller_its_scope_and_an_event() {
    let mut nobody = InventoryServiceClient::new(router(face(Scripted::new(succeed)).await));
    let error = nobody.watch_changes(watch("")).await.unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
    let (_, mut other) = watched(seats_of_an_event(), &[Scope::Command]).await;
    let error = other.watch_changes(watch("")).await.unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied);
    let (_, mut client) = watched(seats_of_an_event(), &[Scope::Read]).await;
    for (event_id, code) in [(43, Code::NotFound), (-1, Code::InvalidArgument)] {
        let request = proto::WatchChangesRequest { event_id, ..watch("") };
        assert_eq!(client.watch_changes(request).await.unwrap_err().code(), code);
    }
}
