//! The services over HTTP/2 on a socket.

use axum::http::Uri;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, task::AbortHandle};
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, health_client::HealthClient},
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use super::*;

type Http2 = Client<HttpConnector, tonic::body::Body>;

/// A served router; ends when it is dropped.
struct Served {
    address: Uri,
    http: Http2,
    server: AbortHandle,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Served {
    async fn start(router: axum::Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = TowerToHyperService::new(router.clone());
                tokio::spawn(async move {
                    let http = auto::Builder::new(TokioExecutor::new()).http2_only();
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        let http = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        Self { address, http, server: server.abort_handle() }
    }
}

#[tokio::test]
async fn a_command_without_an_outcome_is_named_in_the_trailers() {
    let commands = Scripted::new(|request| {
        let reservation_id = Some(named(&request.action));
        Ok(Answer::Pending { key: request.key.clone(), reservation_id })
    });
    let router = router(face(commands).await).layer(Extension(shop(Scopes::all())));
    let served = Served::start(router).await;
    let mut client =
        InventoryServiceClient::with_origin(served.http.clone(), served.address.clone());
    let reserve = proto::ReserveSeatsRequest { reservation_id: Some(id(7)), ..reserve() };
    let request = with_metadata(reserve, &[("idempotency-key", "k-1")]);
    let error: Status = client.reserve_seats(request).await.unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded);
    assert_eq!(trailer(error.metadata(), COMMAND_ID), Some("k-1"));
    assert_eq!(trailer(error.metadata(), COMMAND_SOURCE), Some("/callers/shop"));
    assert_eq!(trailer(error.metadata(), RESERVATION_ID), Some(&*id(7)));
}

#[tokio::test]
async fn the_standard_health_service_tells_of_the_drain() {
    let face = face(Scripted::new(succeed)).await;
    let serving = face.serving.clone();
    let served = Served::start(router(face)).await;
    let client = HealthClient::with_origin(served.http.clone(), served.address.clone());
    let check = |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        let mut client = client.clone();
        async move { client.check(request).await.map(|answer| answer.into_inner().status) }
    };
    for (status, name) in [(ServingStatus::Serving, ""), (ServingStatus::NotServing, "stopped")] {
        if name == "stopped" {
            serving.stop().await;
        }
        for service in ["", "inventory.v1.InventoryService"] {
            assert_eq!(check(service).await.unwrap(), status as i32, "{service:?}");
        }
    }
    assert_eq!(check("another").await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_stream_of_changes_ends_with_a_status_in_its_trailers() {
    let face = face_on(Scripted::new(succeed), reads::seats_of_an_event()).await;
    let changes = face.changes.clone();
    let served = Served::start(router(face).layer(Extension(shop(Scopes::all())))).await;
    let mut client =
        InventoryServiceClient::with_origin(served.http.clone(), served.address.clone());
    let request = proto::WatchChangesRequest { event_id: 42, ..Default::default() };
    let mut stream = client.watch_changes(request).await.unwrap().into_inner();
    assert!(!stream.message().await.unwrap().unwrap().resume_token.is_empty());
    changes.streams().drain();
    assert!(stream.message().await.unwrap().is_some());
    assert_eq!(stream.message().await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn reflection_lists_the_services() {
    let served = Served::start(router(face(Scripted::new(succeed)).await)).await;
    let mut client =
        ServerReflectionClient::with_origin(served.http.clone(), served.address.clone());
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let requests = tokio_stream::iter([request]);
    let mut answers = client.server_reflection_info(requests).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    let expected = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "inventory.v1.InventoryService",
    ];
    assert_eq!(names, expected);
}
