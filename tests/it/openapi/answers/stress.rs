//! Storms of restocks.

use inventory_worker::gateway::Scope;
use serde_json::json;

use super::{Checked, gateway::Gateway, get, request};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
const PATH: &str = "/stress/restock";

#[tokio::test(start_paused = true)]
async fn storms_are_answered_as_documented() {
    let mut checked = Checked::default();
    let gateway = Gateway::open();
    begun_and_ended(&mut checked, &gateway).await;
    refused(&mut checked, &gateway).await;
    not_allowed(&mut checked).await;
    checked.assert_complete("stress");
}

async fn begun_and_ended(checked: &mut Checked, gateway: &Gateway) {
    let router = gateway.router();
    let body = r#"{"duration_seconds":600,"target_rate":1,"stores":2,"skus":3}"#;
    let begun = checked.send(&router, request("POST", PATH, &JSON, body)).await;
    assert_eq!((begun.status.as_u16(), &begun.json()["state"]), (202, &json!("running")));
    let location = begun.header("location").unwrap().to_owned();
    let busy = checked.send(&router, request("POST", PATH, &JSON, body)).await;
    assert_eq!((busy.status.as_u16(), &busy.json()["code"]), (409, &json!("STRESS_RUNNING")));
    assert_eq!(busy.header("location"), Some(location.as_str()));
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    let half = checked.send(&router, get(&location)).await;
    assert_eq!((&half.json()["posted"], &half.json()["rate"]), (&json!(3), &json!(1.0)));
    let ended = checked.send(&router, request("DELETE", &location, &[], "")).await;
    assert_eq!(ended.json()["state"], "cancelled");
    // An integer may be written with a point.
    let body = r#"{"duration_seconds":1.0,"target_cpu":50}"#;
    let next = checked.send(&router, request("POST", PATH, &JSON, body)).await;
    assert_eq!(next.json()["plan"]["target_cpu"], 50);
    let location = next.header("location").unwrap().to_owned();
    checked.send(&router, request("DELETE", &location, &[], "")).await;
}

async fn refused(checked: &mut Checked, gateway: &Gateway) {
    let router = gateway.router();
    let bodies = [
        ("[]", 400, "body"),
        ("{}", 400, "duration_seconds"),
        (r#"{"duration_seconds":null}"#, 400, "duration_seconds"),
        (r#"{"duration_seconds":"60"}"#, 400, "duration_seconds"),
        (r#"{"duration_seconds":1.5}"#, 400, "duration_seconds"),
        (r#"{"duration_seconds":-1}"#, 400, "duration_seconds"),
        (r#"{"duration_seconds":1e300}"#, 400, "duration_seconds"),
        (r#"{"duration_seconds":60,"target_cpu":96}"#, 400, "target_cpu"),
        (r#"{"duration_seconds":60,"stores":0}"#, 400, "stores"),
        (r#"{"duration_seconds":60,"lines":1}"#, 400, "lines"),
        (r#"{"duration_seconds":600,"target_rate":1000}"#, 422, "target_rate"),
    ];
    for (body, status, named) in bodies {
        let answer = checked.send(&router, request("POST", PATH, &JSON, body)).await;
        assert_eq!(answer.status.as_u16(), status, "{body}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(named), "{body}");
    }
    checked.send(&router, request("POST", PATH, &[("content-type", "text/plain")], "{}")).await;
    checked.send(&router, request("POST", PATH, &JSON, " ".repeat(256 * 1024 + 1))).await;
    let stranger = gateway.router_with(&[Scope::Restock]);
    let body = r#"{"duration_seconds":1}"#;
    checked.send(&stranger, request("POST", PATH, &JSON, body)).await;
    for method in ["GET", "DELETE"] {
        for (id, status) in [("7", 400), ("0000000000000007", 404)] {
            let uri = format!("{PATH}/{id}");
            let answer = checked.send(&router, request(method, &uri, &[], "")).await;
            assert_eq!(answer.status.as_u16(), status, "{method} {id}");
        }
        let uri = format!("{PATH}/0000000000000007");
        let answer = checked.send(&stranger, request(method, &uri, &[], "")).await;
        assert_eq!(answer.json()["code"], "SCOPE_REQUIRED", "{method}");
    }
}

async fn not_allowed(checked: &mut Checked) {
    let router = Gateway::open().without_stress().router();
    for (method, path) in [
        ("POST", PATH),
        ("GET", "/stress/restock/0000000000000007"),
        ("DELETE", "/stress/restock/0000000000000007"),
    ] {
        let answer = checked.send(&router, request(method, path, &JSON, "{}")).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["code"]),
            (404, &json!("STRESS_NOT_ALLOWED"))
        );
    }
}
