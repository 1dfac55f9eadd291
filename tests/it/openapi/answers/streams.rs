//! Streams.

use inventory_worker::gateway::{Caller, QuerySettings, Scope, view::ViewSettings};

use super::{Checked, gateway::Gateway, get, queries::fill, request};

/// Streams of results.
async fn results(checked: &mut Checked) {
    let mut gateway = Gateway::open();
    let router = gateway.router();
    for uri in ["/results?pool=event%2342", "/results?source=/callers/local"] {
        // To its end, at its age; nobody watches here, so it never begins.
        let stream = checked.send(&router, get(uri)).await;
        let text = String::from_utf8(stream.body).unwrap();
        assert!(text.ends_with("event: bye\ndata: {\"reason\":\"age\"}\n\n"), "{text}");
        assert!(!text.contains("event: begin"), "{text}");
    }
    for uri in ["/results", "/results?pool=42", "/results?source=", "/results?id=7"] {
        assert_eq!(checked.send(&router, get(uri)).await.status, 400, "{uri}");
    }
    let service = gateway.router_with(&[Scope::ReadPrivate]);
    let foreign = checked.send(&service, get("/results?source=/callers/other")).await;
    assert_eq!(foreign.json()["code"], "FOREIGN_SOURCE");
    let blind = gateway.router_with(&[Scope::Read]);
    assert_eq!(checked.send(&blind, get("/results?pool=event%2342")).await.status, 403);
    gateway.without_hints();
    let refused = checked.send(&gateway.router(), get("/results?pool=event%2342")).await;
    assert_eq!(refused.json()["code"], "RESULTS_NOT_OFFERED");
}

#[tokio::test(start_paused = true)]
async fn streams_are_answered_as_documented() {
    let mut checked = Checked::default();
    let gateway = Gateway::open();
    fill(&gateway);
    let router = gateway.router();
    // To its end, at its age.
    let stream = checked.send(&router, get("/events/42/changes")).await;
    let text = String::from_utf8(stream.body).unwrap();
    assert!(text.ends_with("event: bye\ndata: {\"reason\":\"age\"}\n\n"), "{text}");
    let snapshot = checked.send(&router, get("/events/42/changes?wait=0")).await.json();
    assert_eq!(snapshot["frames"][0]["event"], "snapshot");
    let since = format!("/events/42/changes?wait=20&since={}", snapshot["id"].as_str().unwrap());
    assert_eq!(checked.send(&router, get(&since)).await.json()["frames"], serde_json::json!([]));
    for (uri, status) in [
        ("/events/42/changes?wait=21", 400),
        ("/events/43/changes", 404),
        ("/events/abc/changes", 400),
    ] {
        assert_eq!(checked.send(&router, get(uri)).await.status, status, "{uri}");
    }
    let ticket = |uri: &str| request("POST", uri, &[], "");
    assert_eq!(checked.send(&router, ticket("/stream-tickets")).await.status, 201);
    assert_eq!(checked.send(&router, ticket("/stream-tickets?for=me")).await.status, 400);
    let blind = gateway.router_with(&[Scope::Command]);
    for refused in [get("/events/42/changes"), ticket("/stream-tickets")] {
        assert_eq!(checked.send(&blind, refused).await.status, 403);
    }
    let view = ViewSettings { entries_max: 2, ..ViewSettings::default() };
    let small = Gateway::with(QuerySettings { view });
    fill(&small);
    let large = checked.send(&small.router(), get("/events/42/changes")).await;
    assert_eq!(large.json()["code"], "POOL_TOO_LARGE");
    results(&mut checked).await;
    checked.assert_complete("streams");
    let mut open = Vec::new();
    while let Ok(opened) = gateway.state.changes.open(&Caller::local(), 42, None).await {
        open.push(opened);
    }
    assert_eq!(checked.send(&router, get("/events/42/changes")).await.status, 429);
    gateway.state.changes.streams().drain();
    assert_eq!(checked.send(&router, get("/events/42/changes")).await.status, 503);
}
