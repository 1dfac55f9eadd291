//! A running gateway, and requests to it.

use std::{collections::BTreeMap, net::SocketAddr};

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use inventory_worker::gateway::grpc::proto::inventory_service_client::InventoryServiceClient;
use serde_json::Value;

use crate::{process::Worker, wait::until};

/// The media type of an event.
pub const EVENT_JSON: (&str, &str) = ("content-type", "application/cloudevents+json");

/// How long a command here may take.
pub const WAIT: (&str, &str) = ("prefer", "wait=20");

/// A client of the service.
pub type GrpcClient = InventoryServiceClient<Client<HttpConnector, tonic::body::Body>>;

/// A running `serve`.
pub struct Gateway {
    pub process: Worker,
    /// Where it serves HTTP.
    pub http: SocketAddr,
    /// Where it serves gRPC.
    pub grpc: SocketAddr,
    client: Client<HttpConnector, Body>,
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct HttpAnswer {
    pub status: u16,
    pub headers: HeaderMap,
    /// The body as JSON.
    pub body: Value,
}

impl HttpAnswer {
    /// Fails, with the body, unless it has that status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    /// A header that is there.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

impl Gateway {
    /// Starts it on free ports, and waits until it answers.
    pub async fn start(environment: &BTreeMap<String, String>) -> Self {
        let mut environment = environment.clone();
        for port in ["PORT", "GRPC_PORT"] {
            environment.insert(port.to_owned(), "0".to_owned());
        }
        let process = Worker::start_as("serve", &environment).await;
        let said = async || process.logged("the gateway answers");
        let line = until("the gateway answers", said).await;
        let address = |port: &str| line[port].as_str().unwrap().parse().unwrap();
        let (http, grpc) = (address("http"), address("grpc"));
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { process, http, grpc, client }
    }

    /// Sends a request; `None` where the connection fails.
    async fn send(
        &self,
        request: axum::http::request::Builder,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Option<HttpAnswer> {
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let (head, body) =
            self.client.request(request.body(body).unwrap()).await.ok()?.into_parts();
        let bytes = to_bytes(Body::new(body), 1 << 22).await.ok()?;
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Some(HttpAnswer { status: head.status.as_u16(), headers: head.headers, body })
    }

    /// Gets a path.
    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> HttpAnswer {
        self.try_get(path, headers).await.expect("the gateway answers")
    }

    /// Gets a path; `None` where the connection fails.
    pub async fn try_get(&self, path: &str, headers: &[(&str, &str)]) -> Option<HttpAnswer> {
        self.send(Request::get(format!("http://{}{path}", self.http)), headers, Body::empty()).await
    }

    /// Posts JSON to a path.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> HttpAnswer {
        let request = Request::post(format!("http://{}{path}", self.http));
        let answer = self.send(request, headers, body.to_string().into()).await;
        answer.expect("the gateway answers")
    }

    /// Posts a command, and waits for its outcome for as long as one may.
    pub async fn command(&self, event: &Value) -> HttpAnswer {
        self.post("/commands", &[EVENT_JSON, WAIT], event).await
    }

    /// A client of the service.
    pub fn service(&self) -> GrpcClient {
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        let origin = format!("http://{}", self.grpc).parse().unwrap();
        InventoryServiceClient::with_origin(client, origin)
    }
}
