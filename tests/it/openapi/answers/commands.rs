//! Commands, and what became of them.

use inventory_worker::{
    domain::{Changes, CommandKey, Outcome, RejectionCode},
    gateway::Scope,
    message::{decode, decode_result},
    ports::{LedgerKey, LedgerRecord, Record},
};
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use super::{
    super::super::schemas::{valid_commands, valid_results},
    Checked,
    gateway::{Gateway, NOW},
    get, request,
};

const STRUCTURED: (&str, &str) = ("content-type", "application/cloudevents+json");
const JSON: (&str, &str) = ("content-type", "application/json");
const UPDATE: &str = r#"{"store_id":"store-1","sku":"bolt","quantity":12}"#;

/// The event of [`UPDATE`].
fn update_event() -> String {
    let lines = json!([{ "sku": "bolt", "quantity": 12 }]);
    let data = json!({ "store_id": "store-1", "mode": "set", "lines": lines });
    event("inventory.restock.v1", data)
}

fn event(kind: &str, data: Value) -> String {
    json!({ "specversion": "1.0", "id": "e1", "source": "/shop", "type": kind, "data": data })
        .to_string()
}

fn cancel() -> String {
    let reservation_id = "00000000-0000-0000-0000-000000000007";
    event("inventory.cancel.v1", json!({ "event_id": 42, "reservation_id": reservation_id }))
}

fn key(source: &str, id: &str) -> CommandKey {
    CommandKey { source: source.parse().unwrap(), id: id.parse().unwrap() }
}

fn lookup(key: &CommandKey) -> String {
    let mut query = Serializer::new(String::new());
    query.append_pair("source", key.source.as_str()).append_pair("id", key.id.as_str());
    format!("/commands?{}", query.finish())
}

/// Every result but rejections, and a command that it may be the result of.
fn decided() -> Vec<(String, String)> {
    let commands = valid_commands();
    let results = valid_results().into_values();
    let results = results.filter(|result| result["type"] != "inventory.rejected.v1");
    let with_command = results.filter_map(|result| {
        let kind = &result["data"]["command"]["type"];
        let command = commands.values().find(|one| one["type"] == *kind)?;
        Some((command.to_string(), result.to_string()))
    });
    with_command.collect()
}

/// Every rejection.
fn rejected() -> Vec<Outcome> {
    let results = valid_results().into_values();
    let results = results.filter(|result| result["type"] == "inventory.rejected.v1");
    results.map(|result| decode_result(&result.to_string()).unwrap().outcome).collect()
}

#[tokio::test(start_paused = true)]
async fn commands_are_answered_as_documented() {
    let mut checked = Checked::default();
    results(&mut checked).await;
    rejections(&mut checked).await;
    pending(&mut checked).await;
    refusals(&mut checked).await;
    rights(&mut checked).await;
    checked.assert_complete("commands");
}

async fn results(checked: &mut Checked) {
    let decided = decided();
    assert!(decided.len() >= 8);
    for (command, result) in decided {
        let gateway = Gateway::open();
        let key = decode(&command).unwrap().command.key;
        let result = decode_result(&result).unwrap();
        let kind = result.result_type();
        gateway.decide(&key, &command, result.outcome, result.changes);
        let router = gateway.router();
        if !command.contains("inventory.expire.v1") {
            let answer =
                checked.send(&router, request("POST", "/commands", &[STRUCTURED], command)).await;
            assert_eq!((answer.status.as_u16(), &answer.json()["type"]), (200, &kind.into()));
        }
        let answer = checked.send(&router, get(&lookup(&key))).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["type"]), (200, &kind.into()));
    }
    let (_, restocked) =
        self::decided().into_iter().find(|(_, result)| result.contains("restocked")).unwrap();
    let outcome = decode_result(&restocked).unwrap().outcome;
    let gateway = Gateway::open();
    gateway.decide(&key("/callers/local", "k1"), &update_event(), outcome, Changes::NONE);
    let headers = [JSON, ("idempotency-key", "k1"), ("prefer", "wait=3")];
    let update = request("POST", "/inventory/update", &headers, UPDATE);
    let answer = checked.send(&gateway.router(), update).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("preference-applied")),
        (200, Some("wait=3"))
    );
}

async fn rejections(checked: &mut Checked) {
    let mut codes = Vec::new();
    for outcome in rejected() {
        let code = outcome.rejection().unwrap().code;
        codes.push(code);
        let gateway = Gateway::open();
        let router = gateway.router();
        let posted = key("/shop", "e1");
        gateway.decide(&posted, &cancel(), outcome.clone(), Changes::NONE);
        let post = request("POST", "/commands", &[STRUCTURED], cancel());
        gateway.decide(&key("/callers/local", "k1"), &update_event(), outcome, Changes::NONE);
        let headers = [JSON, ("idempotency-key", "k1")];
        let update = request("POST", "/inventory/update", &headers, UPDATE);
        for request in [post, update] {
            assert_eq!(checked.send(&router, request).await.json()["code"], code.as_str());
        }
        let found = checked.send(&router, get(&lookup(&posted))).await;
        let found = (found.status.as_u16(), found.json()["data"]["rejection"]["code"].clone());
        assert_eq!(found, (200, code.as_str().into()));
    }
    assert!(RejectionCode::ALL.iter().all(|code| codes.contains(code)));
}

async fn pending(checked: &mut Checked) {
    let gateway = Gateway::open();
    let router = gateway.router();
    let headers = [STRUCTURED, ("prefer", "respond-async")];
    let posted = checked.send(&router, request("POST", "/commands", &headers, cancel())).await;
    assert_eq!(posted.status, 202);
    let place = posted.header("location").unwrap().to_owned();
    let early = checked.send(&router, get(&place)).await;
    assert_eq!(early.json()["code"], "COMMAND_NOT_FOUND");
    let headers = [JSON, ("prefer", "respond-async, wait=1")];
    let update = request("POST", "/inventory/update", &headers, UPDATE);
    let answer = checked.send(&router, update).await;
    assert_eq!((answer.status.as_u16(), answer.json().get("reservation_id")), (202, None));
    let command = decode(&update_event()).unwrap().command;
    let decided_at = NOW.parse().unwrap();
    let intent =
        LedgerRecord::Intent { digest: command.digest, chunk_ends: vec![1, 2], decided_at };
    gateway.store.insert([Record::Ledger(LedgerKey::Command(command.key.clone()), intent)]);
    let running = checked.send(&router, get(&lookup(&command.key))).await;
    assert_eq!(running.json()["progress"], json!({ "done": 0, "chunks": 2 }));
}

async fn refusals(checked: &mut Checked) {
    let gateway = Gateway::open();
    let router = gateway.router();
    let long = "x".repeat(300 * 1024);
    let reused = |event: &str, key: CommandKey| {
        let cancelled = rejected().remove(0);
        gateway.decide(&key, event, cancelled, Changes::NONE);
    };
    for (request, status) in [
        (request("POST", "/commands", &[STRUCTURED], long.clone()), 413),
        (request("POST", "/commands", &[STRUCTURED], "{}"), 400),
        (request("POST", "/commands", &[("content-type", "text/plain")], cancel()), 415),
        (request("POST", "/inventory/update", &[JSON], long), 413),
        (request("POST", "/inventory/update", &[JSON], "[1]"), 400),
        (request("POST", "/inventory/update", &[("content-type", "text/plain")], UPDATE), 415),
        (get("/commands?id=x"), 400),
    ] {
        assert_eq!(checked.send(&router, request).await.status, status);
    }
    reused(&update_event(), key("/shop", "e1"));
    let answer = checked.send(&router, request("POST", "/commands", &[STRUCTURED], cancel())).await;
    assert_eq!(answer.json()["code"], "COMMAND_ID_REUSED");
}

async fn rights(checked: &mut Checked) {
    let gateway = Gateway::open();
    let router = gateway.router_with(&[]);
    for request in [
        request("POST", "/commands", &[STRUCTURED], cancel()),
        request("POST", "/inventory/update", &[JSON], UPDATE),
        get("/commands?source=%2Fshop&id=e1"),
    ] {
        assert_eq!(checked.send(&router, request).await.status, 403);
    }
    let router = gateway.router_with(&[Scope::Command]);
    let foreign =
        checked.send(&router, request("POST", "/commands", &[STRUCTURED], cancel())).await;
    assert_eq!(foreign.json()["code"], "FOREIGN_SOURCE");
}
