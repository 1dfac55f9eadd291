use std::convert::Infallible;

use axum::{body::Body, http::Request};
use futures::stream;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::{
    domain::{Action, Command, RestockMode},
    gateway::{
        Scope,
        caller::Sources,
        commands::tests::{World, behind},
        guard::tests::open_guard,
    },
    message::decode_from_producer,
};

/// An answer: status, headers, body.
struct Answered {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answered {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

async fn call(world: &World, request: Request<Body>) -> Answered {
    call_as(world, Caller::local(), request).await
}

async fn call_as(world: &World, caller: Caller, request: Request<Body>) -> Answered {
    let router = routes().router.layer(Extension(caller)).with_state(Arc::clone(&world.commands));
    let response = router.oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Answered { status: head.status.as_u16(), headers: head.headers, body }
}

fn request(
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

const EVENT: &str = r#"{"specversion":"1.0","id":"e1","source":"/checkout",
    "type":"inventory.cancel.v1","data":{"event_id":42,
    "reservation_id":"00000000-0000-0000-0000-000000000007"}}"#;
const STRUCTURED: (&str, &str) = ("content-type", "application/cloudevents+json");
const JSON: (&str, &str) = ("content-type", "application/json");
const PLAIN: (&str, &str) = ("content-type", "text/plain");

async fn decided(world: &World, request: Request<Body>) -> (Answered, Command) {
    let worker = async {
        let (command, ..) = world.posted().await;
        world.decide(&command);
        command
    };
    tokio::join!(call(world, request), worker)
}

#[tokio::test(start_paused = true)]
async fn a_rejection_is_a_problem_that_names_the_command() {
    let world = World::start();
    let (answer, _) = decided(&world, request("POST", "/commands", &[STRUCTURED], EVENT)).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let expected = json!({
        "title": "Not Found", "status": 404, "code": "SEAT_NOT_FOUND", "detail": "no seat",
        "command": { "source": "/checkout", "id": "e1" }
    });
    assert_eq!(answer.body, expected);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_too_long_says_where_to_look() {
    let world = World::start();
    let headers = [STRUCTURED, ("prefer", "wait=1, handling=lenient")];
    let posting = call(&world, request("POST", "/commands", &headers, EVENT));
    let (answer, (command, ..)) = tokio::join!(posting, world.posted());
    assert_eq!((answer.status, answer.header("retry-after")), (202, "1"));
    assert_eq!(answer.header("preference-applied"), "wait=1");
    assert_eq!(answer.body["reservation_id"], "00000000-0000-0000-0000-000000000007");
    let location = answer.header("location").to_owned();
    assert_eq!(location, "/commands?source=%2Fcheckout&id=e1");
    let early = call(&world, request("GET", &location, &[], Body::empty())).await;
    assert_eq!((early.status, early.body["code"].as_str()), (404, Some("COMMAND_NOT_FOUND")));
    world.decide(&command);
    let later = call(&world, request("GET", &location, &[], Body::empty())).await;
    assert_eq!(
        (later.status, later.header("content-type")),
        (200, "application/cloudevents+json"),
        "what was decided is never 404"
    );
    assert_eq!(later.body["type"], "inventory.rejected.v1");
    assert_eq!(later.body["data"]["rejection"]["code"], "SEAT_NOT_FOUND");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_slow_takes_nothing_from_the_wait_and_one_that_is_too_slow_posts_nothing() {
    let world = World::start();
    let router = routes().router.with_state(Arc::clone(&world.commands));
    let router = open_guard().protect(router);
    let send = async |seconds: u64| {
        let body = stream::once(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok::<_, Infallible>(EVENT)
        });
        let headers = [STRUCTURED, ("prefer", "wait=20")];
        let posting = request("POST", "/commands", &headers, Body::from_stream(body));
        router.clone().oneshot(posting).await.unwrap()
    };
    let late = send(21).await;
    assert_eq!(late.status(), StatusCode::REQUEST_TIMEOUT);
    assert!(world.is_untouched());
    let (answer, _) = tokio::join!(send(19), world.posted());
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    assert_eq!(answer.headers()["location"], "/commands?source=%2Fcheckout&id=e1");
}

#[tokio::test(start_paused = true)]
async fn where_as_many_wait_as_may_a_command_is_posted_and_its_caller_told_where_to_look() {
    let world = World::with_waiters(0);
    let answer = call(&world, request("POST", "/commands", &[STRUCTURED], EVENT)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (202, "1"));
    assert_eq!(answer.header("location"), "/commands?source=%2Fcheckout&id=e1");
    assert_eq!(world.posted().await.0.key.id.as_str(), "e1");
}

#[tokio::test(start_paused = true)]
async fn an_asynchronous_caller_is_answered_once_the_command_is_posted() {
    let world = World::start();
    let headers = [STRUCTURED, ("prefer", "respond-async")];
    let answer = call(&world, request("POST", "/commands", &headers, EVENT)).await;
    assert_eq!((answer.status, answer.header("preference-applied")), (202, "respond-async"));
    assert!(!world.is_untouched());
}

#[tokio::test(start_paused = true)]
async fn a_reserve_whose_caller_does_not_wait_may_be_decided_at_any_time() {
    let world = World::start();
    let reserve = |id: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"/checkout",
            "type":"inventory.reserve.v1","partitionkey":"g{id}",
            "data":{{"event_id":42,"user_id":"u","seats":["A-1"]}}}}"#
        )
    };
    for (id, prefer, deadline) in [
        ("1", "respond-async", None),
        ("2", "respond-async, wait=2", Some("2026-11-29T12:00:03Z".parse().unwrap())),
    ] {
        let headers = [STRUCTURED, ("prefer", prefer)];
        let posting = call(&world, request("POST", "/commands", &headers, reserve(id)));
        let (answer, (command, ..)) = tokio::join!(posting, world.posted());
        assert_eq!((answer.status, command.deadline), (202, deadline), "{prefer}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_problem_names_the_command_as_soon_as_its_identity_is_known() {
    let world = World::start();
    let shop = |scopes: &[Scope]| {
        let sources = Sources::Own { prefixes: vec!["/shop".to_owned()] };
        let scopes = scopes.iter().copied().collect();
        Caller { subject: "shop".to_owned(), scopes, sources }
    };
    let post = |event: &str| request("POST", "/commands", &[STRUCTURED], event.to_owned());
    let no_group = EVENT.replacen('{', r#"{"partitionkey":"a b","#, 1);
    let no_reservation = EVENT.replace("reservation_id", "reservation");
    let binary = [JSON, ("ce-specversion", "1.0"), ("ce-id", "e1"), ("ce-source", "/checkout")];
    let lookup = request("GET", "/commands?source=%2Fcheckout&id=e1", &[], "");
    for (caller, request, code) in [
        (Caller::local(), post(&no_group), "INVALID_MESSAGE"),
        (Caller::local(), post(&no_reservation), "INVALID_MESSAGE"),
        (Caller::local(), post(&EVENT.replace("cancel", "teleport")), "UNSUPPORTED_TYPE"),
        (Caller::local(), request("POST", "/commands", &binary, "{"), "INVALID_MESSAGE"),
        (shop(&[]), post(EVENT), "SCOPE_REQUIRED"),
        (shop(&[Scope::Command]), post(EVENT), "FOREIGN_SOURCE"),
        (shop(&[]), lookup, "FOREIGN_SOURCE"),
    ] {
        let answer = call_as(&world, caller, request).await;
        let expected = json!({ "source": "/checkout", "id": "e1" });
        assert_eq!((&answer.body["code"], &answer.body["command"]), (&json!(code), &expected));
    }
    let nameless = call(&world, post(&EVENT.replace(r#""id":"e1""#, r#""id":7"#))).await;
    assert_eq!(nameless.body.get("command"), None, "{}", nameless.body);

    let key = ("idempotency-key", "k1");
    let update =
        |headers: &[_], body: &str| request("POST", "/inventory/update", headers, body.to_owned());
    let one = r#"{"store_id":"s","sku":"a","quantity":1}"#;
    for (caller, request, code) in [
        (Caller::local(), update(&[JSON, key], "[]"), "INVALID_REQUEST"),
        (Caller::local(), update(&[JSON, key, ("prefer", "wait=x")], one), "INVALID_REQUEST"),
        (Caller::local(), update(&[JSON, key], r#"{"store_id":"s","sku":"a"}"#), "INVALID_MESSAGE"),
        (shop(&[Scope::Command]), update(&[JSON, key], one), "SCOPE_REQUIRED"),
    ] {
        let answer = call_as(&world, caller, request).await;
        assert_eq!(answer.body["code"], code, "{}", answer.body);
        assert_eq!(answer.body["command"]["id"], "k1", "{}", answer.body);
    }
    assert!(world.is_untouched());
}

#[tokio::test(start_paused = true)]
async fn a_reserve_that_is_shed_names_its_command() {
    let world = behind(&Caller::local()).await;
    let reserve = |id: &str| {
        let event = format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"/checkout",
            "type":"inventory.reserve.v1","data":{{"event_id":42,"user_id":"u","seats":["A-1"]}}}}"#
        );
        request("POST", "/commands", &[STRUCTURED, ("prefer", "wait=1")], event)
    };
    let (probe, shed) = tokio::join!(call(&world, reserve("1")), call(&world, reserve("2")));
    assert_eq!((probe.status, shed.status), (202, 503));
    assert_eq!(shed.body["code"], "QUEUE_BEHIND");
    assert_eq!(shed.body["command"], json!({ "source": "/checkout", "id": "2" }));
}

#[tokio::test(start_paused = true)]
async fn an_event_may_come_in_binary_mode() {
    let world = World::start();
    let data = r#"{"event_id":42,"reservation_id":"00000000-0000-0000-0000-000000000007"}"#;
    let headers = [
        JSON,
        ("ce-specversion", "1.0"),
        ("ce-id", "e%31"),
        ("ce-source", "/checkout"),
        ("ce-type", "inventory.cancel.v1"),
    ];
    let (_, command) = decided(&world, request("POST", "/commands", &headers, data)).await;
    assert_eq!(command, decode_from_producer(EVENT).unwrap().command);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_wrong_is_refused_with_its_field() {
    let world = World::start();
    let key = ("idempotency-key", "k");
    let cases = [
        (request("POST", "/commands", &[STRUCTURED, key], EVENT), 400, "Idempotency-Key: "),
        (request("POST", "/commands?x=1", &[STRUCTURED], EVENT), 400, "unknown parameter"),
        (request("POST", "/commands", &[], EVENT), 415, "Content-Type: "),
        (request("POST", "/commands", &[STRUCTURED], "\u{fffd}"), 400, "message: "),
        (request("POST", "/commands", &[STRUCTURED], vec![0xff]), 400, "message: "),
        (request("POST", "/commands", &[STRUCTURED, ("prefer", "wait=x")], EVENT), 400, "Prefer: "),
        (
            request(
                "POST",
                "/commands",
                &[JSON, ("ce-specversion", "1.0"), ("ce-data", "x")],
                "{}",
            ),
            400,
            "ce-data: ",
        ),
        (request("GET", "/commands?source=a", &[], ""), 400, "id: "),
        (request("GET", "/commands?id=a&id=b", &[], ""), 400, "id: "),
        (request("POST", "/inventory/update", &[JSON], "[]"), 400, "body: "),
        (request("POST", "/inventory/update", &[PLAIN], "{}"), 415, "Content-Type: "),
        (request("POST", "/inventory/update", &[JSON], r#"{"event_id":1}"#), 400, "unknown field"),
        (request("POST", "/inventory/update", &[JSON], r#"{"sku":"a"}"#), 400, "store_id: "),
        (
            request("POST", "/inventory/update", &[JSON], r#"{"store_id":"s","sku":"a"}"#),
            400,
            "quantity: ",
        ),
        (
            request(
                "POST",
                "/inventory/update",
                &[JSON],
                r#"{"store_id":"s","sku":"a","quantity":1,"as_of":"now"}"#,
            ),
            400,
            "as_of: ",
        ),
        (
            request(
                "POST",
                "/inventory/update",
                &[JSON],
                r#"{"store_id":"s","sku":"a","quantity":1,"as_of":null}"#,
            ),
            400,
            "as_of: ",
        ),
    ];
    for (request, status, begins) in cases {
        let what = format!("{request:?}");
        let answer = call(&world, request).await;
        let detail = answer.body["detail"].as_str().unwrap_or_default().to_owned();
        assert_eq!(answer.status, status, "{what}: {detail}");
        assert!(detail.starts_with(begins), "{what}: {detail}");
    }
    assert!(world.is_untouched());
}

#[tokio::test(start_paused = true)]
async fn an_update_is_a_restock_that_sets() {
    let world = World::start();
    let body = r#"{"store_id":"store-1","sku":"bolt","quantity":12,"expected_version":3,
        "reason":"count","reference":"doc/7"}"#;
    let (_, command) = decided(&world, request("POST", "/inventory/update", &[JSON], body)).await;
    let Action::Restock(restock) = &command.action else { panic!("{command:?}") };
    assert_eq!((restock.mode, restock.lines.len()), (RestockMode::Set, 1));
    assert_eq!(restock.lines[0].quantity, 12);
    assert_eq!(restock.lines[0].expected_version, Some(3));
    assert_eq!(restock.as_of, Some("2026-11-29T12:00:00Z".parse().unwrap()), "the receipt");
    assert_eq!(command.pool.to_string(), "store#store-1");
}

/// Changing what the gateway builds turns the retries of a rollout into `COMMAND_ID_REUSED`.
#[tokio::test(start_paused = true)]
async fn an_update_with_a_key_has_the_same_digest_in_every_release() {
    let world = World::start();
    let body = r#"{"store_id":"store-1","sku":"bolt","quantity":12}"#;
    let headers = [JSON, ("idempotency-key", "\"order-1\"")];
    let update = || request("POST", "/inventory/update", &headers, body);
    let (first, command) = decided(&world, update()).await;
    assert_eq!((command.key.id.as_str(), first.status), ("order-1", 404));
    let golden = "1:d4721ec76d1c71a7eb827869c013b25e6f2391e7fc3e69c56c25865dc9f5a261";
    assert_eq!(command.digest.to_string(), golden);
    tokio::time::advance(Duration::from_secs(60)).await;
    let again = call(&world, update()).await;
    assert_eq!(again.body, first.body, "a repetition has the first one's answer");
}

#[test]
fn preferences_are_read_as_rfc_7240_says() {
    let of = |text: &'static str| {
        let headers = HeaderMap::from_iter([(PREFER, HeaderValue::from_static(text))]);
        Preferences::of(&headers).unwrap()
    };
    let preferences = |wait: Option<u64>, applied: Option<&str>| Preferences {
        wait: wait.map(Duration::from_secs),
        applied: applied.map(ToOwned::to_owned),
    };
    assert_eq!(of("return=minimal"), preferences(Some(5), None));
    assert_eq!(of("wait=3"), preferences(Some(3), Some("wait=3")));
    assert_eq!(of("WAIT=\"90\""), preferences(Some(20), Some("wait=20")));
    assert_eq!(of("respond-async"), preferences(None, Some("respond-async")));
    assert_eq!(of("respond-async, wait=2"), preferences(Some(2), Some("respond-async, wait=2")));
    assert_eq!(Preferences::of(&HeaderMap::new()).unwrap(), preferences(Some(5), None));
}
