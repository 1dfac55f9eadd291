//! A wire with faults, under the real client: it records requests and answers by script. After the
//! script it forwards everything to the server behind it, if there is one.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use aws_smithy_runtime_api::{
    client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings,
            SharedHttpClient, SharedHttpConnector,
        },
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
    http::StatusCode,
};
use aws_smithy_types::{body::SdkBody, byte_stream::ByteStream};
use serde_json::{Value, json};

/// What the wire does with one request.
#[derive(Clone, Debug)]
pub enum Turn {
    /// Forwards it to the server and returns the answer.
    Carry,
    /// Forwards it to the server and drops the answer.
    LoseAnswer,
    /// Answers in the server's place.
    Answer(u16, Value),
    /// Never answers.
    Silence,
    /// Answers a BatchGetItem with every key unprocessed.
    AllUnprocessed,
    /// Forwards a BatchGetItem and makes every second key of each table unprocessed.
    HalfUnprocessed,
}

impl Turn {
    /// An error as DynamoDB answers it.
    pub fn error(status: u16, code: &str) -> Self {
        let kind = format!("com.amazonaws.dynamodb.v20120810#{code}");
        Self::Answer(status, json!({ "__type": kind, "message": format!("scripted {code}") }))
    }

    /// A transaction cancelled for these reasons, one per item.
    pub fn cancelled(codes: &[&str]) -> Self {
        let reasons: Vec<Value> = codes.iter().map(|code| json!({ "Code": code })).collect();
        let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
        let message = format!("Transaction cancelled [{}]", codes.join(", "));
        Self::Answer(
            400,
            json!({ "__type": kind, "Message": message, "CancellationReasons": reasons }),
        )
    }
}

/// A recorded request, as DynamoDB reads it.
#[derive(Clone, Debug)]
pub struct Sent {
    /// `TransactWriteItems`, `Query`, …
    pub operation: String,
    /// Its JSON.
    pub body: Value,
}

/// The wire. Clones are the same wire.
#[derive(Clone, Debug)]
pub struct Wire(Arc<State>);

#[derive(Debug)]
struct State {
    script: Mutex<VecDeque<Turn>>,
    afterwards: Turn,
    sent: Mutex<Vec<Sent>>,
    server: SharedHttpClient,
}

impl Wire {
    /// Plays the script, then does `afterwards` permanently.
    pub fn new(script: impl IntoIterator<Item = Turn>, afterwards: Turn) -> Self {
        Self(Arc::new(State {
            script: Mutex::new(script.into_iter().collect()),
            afterwards,
            sent: Mutex::new(Vec::new()),
            server: aws_smithy_http_client::Builder::new().build_http(),
        }))
    }

    /// Sets the turns of the next requests, ahead of the script.
    pub fn next(&self, turns: impl IntoIterator<Item = Turn>) {
        self.0.script.lock().unwrap().extend(turns);
    }

    /// The requests sent since the last call.
    pub fn take_sent(&self) -> Vec<Sent> {
        std::mem::take(&mut *self.0.sent.lock().unwrap())
    }
}

impl HttpClient for Wire {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let server = self.0.server.http_connector(settings, components);
        SharedHttpConnector::new(StockLevel { wire: self.clone(), server })
    }
}

#[derive(Debug)]
struct StockLevel {
    wire: Wire,
    server: SharedHttpConnector,
}

impl HttpConnector for StockLevel {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let state = &self.wire.0;
        let sent = read(&request);
        state.sent.lock().unwrap().push(sent.clone());
        let next = state.script.lock().unwrap().pop_front();
        let turn = next.unwrap_or_else(|| state.afterwards.clone());
        let server = self.server.clone();
        HttpConnectorFuture::new(async move { play(turn, sent.body, request, server).await })
    }
}

async fn play(
    turn: Turn,
    body: Value,
    request: HttpRequest,
    server: SharedHttpConnector,
) -> Result<HttpResponse, ConnectorError> {
    match turn {
        Turn::Carry => server.call(request).await,
        Turn::LoseAnswer => {
            server.call(request).await?;
            Err(ConnectorError::io("scripted: connection reset by peer".into()))
        }
        Turn::Answer(status, answer) => Ok(respond(status, &answer)),
        Turn::Silence => std::future::pending().await,
        Turn::AllUnprocessed => {
            let left = unprocessed(&body, |_| true);
            Ok(respond(200, &json!({ "Responses": {}, "UnprocessedKeys": left })))
        }
        Turn::HalfUnprocessed => {
            let answer = ByteStream::new(server.call(request).await?.into_body()).collect().await;
            let mut answer: Value = serde_json::from_slice(&answer.unwrap().into_bytes()).unwrap();
            let left = unprocessed(&body, |index| index % 2 == 0);
            for (table, items) in answer["Responses"].as_object_mut().unwrap() {
                let keys = left[table]["Keys"].as_array().unwrap();
                items.as_array_mut().unwrap().retain(|item| !keys.iter().any(|key| has(item, key)));
            }
            answer["UnprocessedKeys"] = left;
            Ok(respond(200, &answer))
        }
    }
}

/// The keys of a BatchGetItem whose index in their table is picked, in the form of an answer. The
/// flag for consistent reads is left out: the client has to set it again.
fn unprocessed(body: &Value, picked: impl Fn(usize) -> bool) -> Value {
    let tables = body["RequestItems"].as_object().unwrap();
    let left = tables.iter().map(|(table, asked)| {
        let keys = asked["Keys"].as_array().unwrap().iter().enumerate();
        let keys: Vec<&Value> =
            keys.filter(|(index, _)| picked(*index)).map(|(_, key)| key).collect();
        (table.clone(), json!({ "Keys": keys }))
    });
    Value::Object(left.collect())
}

fn has(item: &Value, key: &Value) -> bool {
    key.as_object().unwrap().iter().all(|(name, value)| item.get(name) == Some(value))
}

fn read(request: &HttpRequest) -> Sent {
    let target = request.headers().get("x-amz-target").unwrap();
    Sent {
        operation: target.split('.').next_back().unwrap().to_owned(),
        body: serde_json::from_slice(request.body().bytes().unwrap()).unwrap(),
    }
}

fn respond(status: u16, answer: &Value) -> HttpResponse {
    let body = SdkBody::from(answer.to_string());
    let mut response = HttpResponse::new(StatusCode::try_from(status).unwrap(), body);
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    response
}
