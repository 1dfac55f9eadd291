//! Answers of the router, against what the document says of them.

mod commands;
mod gateway;
mod queries;
mod streams;
mod stress;

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode},
};
use serde_json::Value;
use tower::ServiceExt as _;

use super::{Operation, assert_valid, operations, resolved};

/// Headers that any answer may have.
const USUAL: [&str; 5] = ["content-type", "content-length", "cache-control", "vary", "allow"];

/// Statuses that the guard before the handlers answers, or a table that fails.
const OF_OTHERS: [&str; 5] = ["401", "408", "429", "500", "503"];

/// What was answered.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// Checks each answer, and remembers which statuses it has seen.
#[derive(Default)]
struct Checked(BTreeMap<String, BTreeSet<String>>);

impl Checked {
    /// Sends a request, and holds its answer against the document.
    async fn send(&mut self, router: &Router, request: Request<Body>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let answer = send(router, request).await;
        let operation = operation_of(&method, &path);
        assert_documented(&operation, &answer);
        let seen = self.0.entry(operation.name()).or_default();
        seen.insert(answer.status.as_str().to_owned());
        answer
    }

    /// Fails unless every status of the operations was seen, but for those that come from
    /// elsewhere.
    fn assert_complete(&self, tag: &str) {
        for operation in operations().iter().filter(|one| one.json["tags"][0] == tag) {
            let documented = operation.json["responses"].as_object().unwrap().keys().cloned();
            let expected: BTreeSet<String> =
                documented.filter(|status| !OF_OTHERS.contains(&status.as_str())).collect();
            let name = operation.name();
            assert_eq!(self.0.get(&name), Some(&expected), "{name}");
        }
    }
}

async fn send(router: &Router, request: Request<Body>) -> Answer {
    let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = axum::body::to_bytes(body, 1 << 22).await.unwrap().to_vec();
    Answer { status: head.status, headers: head.headers, body }
}

fn request(
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Request<Body> {
    let request = Request::builder().method(method).uri(uri);
    let with = |request: axum::http::request::Builder, (name, value): &(&str, &str)| {
        request.header(*name, *value)
    };
    headers.iter().fold(request, with).body(body.into()).unwrap()
}

fn get(uri: &str) -> Request<Body> {
    request("GET", uri, &[], "")
}

/// The operation of a request, by the document's paths.
fn operation_of(method: &Method, path: &str) -> Operation {
    let matches = |template: &str| {
        let (parts, wanted): (Vec<_>, Vec<_>) =
            (path.split('/').collect(), template.split('/').collect());
        parts.len() == wanted.len()
            && parts.iter().zip(wanted).all(|(part, want)| want.starts_with('{') || *part == want)
    };
    let method = method.as_str().to_lowercase();
    let found = operations().into_iter().find(|one| one.method == method && matches(one.path));
    found.unwrap_or_else(|| panic!("no operation {method} {path}"))
}

fn assert_documented(operation: &Operation, answer: &Answer) {
    let status = answer.status.as_str();
    let what = format!("{} {status}", operation.name());
    let response = operation.response(status);
    let response = response.unwrap_or_else(|| {
        panic!("{what} is not documented: {}", String::from_utf8_lossy(&answer.body))
    });
    assert_headers(response, answer, &what);
    let Some(content) = response["content"].as_object() else {
        assert!(answer.body.is_empty() && answer.header("content-type").is_none(), "{what}");
        return;
    };
    let media_type = answer.header("content-type").unwrap();
    let media = content.get(media_type).unwrap_or_else(|| panic!("{what}: {media_type}"));
    let body = match media_type.ends_with("json") {
        true => answer.json(),
        false => String::from_utf8_lossy(&answer.body).into(),
    };
    assert_valid(&media["schema"], &body, &what);
    if media_type == "application/problem+json" {
        assert_eq!(body["status"], answer.status.as_u16(), "{what}");
        let named = format!("`{}`", body["code"].as_str().unwrap());
        let described = response["description"].as_str().unwrap();
        assert!(described.contains(&named), "{what}: {named} is not described");
    }
}

fn assert_headers(response: &'static Value, answer: &Answer, what: &str) {
    let documented: BTreeMap<String, &Value> = response["headers"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, header)| (name.to_lowercase(), resolved(header)))
        .collect();
    for (name, header) in &documented {
        let Some(text) = answer.header(name) else {
            assert_ne!(header["required"], true, "{what}: {name} is missing");
            continue;
        };
        let value = match resolved(&header["schema"])["type"].as_str() {
            Some("integer") => Value::from(text.parse::<u64>().unwrap()),
            _ => Value::from(text),
        };
        assert_valid(&header["schema"], &value, &format!("{what}: {name}"));
    }
    for name in answer.headers.keys().map(axum::http::HeaderName::as_str) {
        let is_known = USUAL.contains(&name) || documented.contains_key(name);
        assert!(is_known, "{what}: {name} is not documented");
    }
}

#[tokio::test(start_paused = true)]
async fn the_service_answers_as_documented() {
    let gateway = gateway::Gateway::open();
    let router = gateway.router();
    let mut checked = Checked::default();
    checked.send(&router, get("/health")).await;
    let document = checked.send(&router, get("/openapi.json")).await;
    assert!(document.json() == *super::DOCUMENT);
    checked.assert_complete("service");

    gateway.drain();
    let draining = Checked::default().send(&router, get("/health")).await;
    assert_eq!((draining.status.as_u16(), &draining.json()["status"]), (503, &"draining".into()));
}

#[tokio::test(start_paused = true)]
async fn a_path_that_is_not_documented_is_a_problem() {
    let router = gateway::Gateway::open().router();
    for path in ["/", "/metrics", "/commands/", "/events/1", "/Health", "/livez"] {
        let answer = send(&router, get(path)).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["code"]),
            (404, &"ROUTE_NOT_FOUND".into())
        );
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_method_that_is_not_documented_is_a_problem_that_says_which_are() {
    let router = gateway::Gateway::open().router();
    for operation in operations() {
        let path = operation.path.replace(['{', '}'], "");
        let answer = send(&router, request("PUT", &path, &[], "")).await;
        assert_eq!(answer.status, 405, "{path}");
        assert_eq!(answer.json()["code"], "METHOD_NOT_ALLOWED", "{path}");
        let allowed: BTreeSet<&str> = answer.header("allow").unwrap().split(',').collect();
        let others = operations().into_iter().filter(|one| one.path == operation.path);
        let mut documented: BTreeSet<String> =
            others.map(|one| one.method.to_uppercase()).collect();
        if documented.contains("GET") {
            documented.insert("HEAD".to_owned());
        }
        assert_eq!(allowed, documented.iter().map(String::as_str).collect(), "{path}");
    }
}
