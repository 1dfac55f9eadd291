//! A wire with faults, under the real clients of SQS and SNS: it records requests and answers by
//! script. There is no server behind it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use aws_config::SdkConfig;
use aws_sdk_sqs::config::{Credentials, Region, SharedCredentialsProvider};
use aws_smithy_runtime_api::{
    client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings,
            SharedHttpConnector,
        },
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
    http::StatusCode,
};
use aws_smithy_types::{body::SdkBody, retry::RetryConfig};
use inventory_worker::adapters::aws::behavior_version;

/// What the wire does with one request.
#[derive(Clone, Debug)]
pub enum Turn {
    /// Answers with a status and a body.
    Answer(u16, String),
    /// Breaks the connection before an answer.
    Drop,
    /// Never answers.
    Silence,
}

/// A recorded request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// `ReceiveMessage`, `PublishBatch`, …
    pub operation: String,
    /// JSON for SQS, a form for SNS.
    pub body: String,
}

/// The wire. Clones are the same wire.
#[derive(Clone, Debug)]
pub struct Wire(Arc<State>);

#[derive(Debug)]
struct State {
    script: Mutex<VecDeque<Turn>>,
    sent: Mutex<Vec<Sent>>,
}

impl Wire {
    /// Plays the script, then repeats its last turn permanently.
    pub fn new(script: impl IntoIterator<Item = Turn>) -> Self {
        let script = Mutex::new(script.into_iter().collect());
        Self(Arc::new(State { script, sent: Mutex::default() }))
    }

    /// The requests sent since the last call.
    pub fn take_sent(&self) -> Vec<Sent> {
        std::mem::take(&mut *self.0.sent.lock().unwrap())
    }

    /// Settings for clients over this wire.
    pub fn config(&self) -> SdkConfig {
        let credentials = Credentials::new("test", "test", None, None, "test");
        SdkConfig::builder()
            .behavior_version(behavior_version())
            .endpoint_url("http://127.0.0.1:9")
            .region(Region::from_static("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            // The environment may set retries; the adapters' clients set their own.
            .retry_config(RetryConfig::disabled())
            .http_client(self.clone())
            .build()
    }
}

impl HttpClient for Wire {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.0.sent.lock().unwrap().push(read(&request));
        let mut script = self.0.script.lock().unwrap();
        let turn = match script.len() {
            0 => panic!("the script has no turns"),
            1 => script[0].clone(),
            _ => script.pop_front().unwrap(),
        };
        drop(script);
        HttpConnectorFuture::new(async move {
            match turn {
                Turn::Answer(status, body) => Ok(HttpResponse::new(
                    StatusCode::try_from(status).unwrap(),
                    SdkBody::from(body),
                )),
                Turn::Drop => Err(ConnectorError::io("connection reset by peer".into())),
                Turn::Silence => std::future::pending().await,
            }
        })
    }
}

/// SQS names the operation in a header (`AmazonSQS.ReceiveMessage`), SNS in its form.
fn read(request: &HttpRequest) -> Sent {
    let body = request.body().bytes().expect("requests are not streamed");
    let body = String::from_utf8(body.to_vec()).unwrap();
    let operation = match request.headers().get("x-amz-target") {
        Some(target) => target.trim_start_matches("AmazonSQS.").to_owned(),
        None => body
            .split('&')
            .find_map(|pair| pair.strip_prefix("Action="))
            .expect("a form with an action")
            .to_owned(),
    };
    Sent { operation, body }
}
