//! Routes, headers, bodies and errors.

use std::io::Read as _;

use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::{
    adapters::memory::TokioClock,
    gateway::{
        QuerySettings, Scope,
        view::fixtures::{Tables, epoch},
    },
    ports::{PortError, ScanStore},
};

struct Gateway {
    tables: Arc<Tables>,
    router: axum::Router,
}

struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answered {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The detail of a problem with this status.
    fn detail(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        self.json()["detail"].as_str().unwrap().to_owned()
    }
}

impl Gateway {
    async fn open() -> Self {
        Self::of(Caller::local()).await
    }

    async fn of(caller: Caller) -> Self {
        let clock = Arc::new(TokioClock::new(epoch()));
        let tables = Tables::new(&clock);
        tables.fill().await;
        let store: Arc<dyn ScanStore> = Arc::clone(&tables) as _;
        let queries = Arc::new(Queries::new(store, clock, QuerySettings::default()));
        let router = routes().router.layer(Extension(caller)).with_state(queries);
        Self { tables, router }
    }

    async fn get(&self, path: &str) -> Answered {
        self.get_with(path, &[]).await
    }

    async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answered {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answered { status: parts.status, headers: parts.headers, body }
    }
}

/// The target of a `Link` to the next page.
fn next(answered: &Answered) -> Option<String> {
    let link = answered.header("link")?;
    Some(link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"")?.to_owned())
}

#[tokio::test(start_paused = true)]
async fn seats_are_listed_with_their_age_and_the_time() {
    let gateway = Gateway::open().await;
    gateway.get("/events/42/seats").await;
    tokio::time::advance(std::time::Duration::from_millis(1_500)).await;
    let answered = gateway.get("/events/42/seats?section=A").await;
    let expected = json!({
        "seats": [
            { "seat_number": "A-1", "section": "A", "row_number": "1", "price": "49.50",
              "status": "AVAILABLE", "sellable": true, "version": 1 },
            { "seat_number": "A-2", "section": "A", "row_number": "1", "price": "49.50",
              "status": "RESERVED", "sellable": false, "version": 4,
              "reserved_until": "2026-11-22T10:10:00Z" },
            { "seat_number": "A-3", "section": "A", "row_number": "1", "price": "49.50",
              "status": "BOOKED", "sellable": false, "version": 3 },
        ],
        "as_of": "2026-11-22T10:00:00Z",
        "now": "2026-11-22T10:00:01.5Z",
    });
    assert_eq!(answered.json(), expected);
    assert_eq!(answered.header("age"), Some("1"));
    assert_eq!(answered.header("view-source"), Some("memory"));
    assert_eq!(answered.header("view-now"), Some("2026-11-22T10:00:01.5Z"));
    assert_eq!(answered.header("content-type"), Some("application/json"));
    assert_eq!(answered.header("link"), None);
}

#[tokio::test(start_paused = true)]
async fn a_link_leads_through_all_pages_with_the_same_filters() {
    let gateway = Gateway::open().await;
    let mut path = Some("/events/42/seats?sellable=true&limit=9&section=C".to_owned());
    let mut counts = Vec::new();
    while let Some(from) = path {
        let answered = gateway.get(&from).await;
        let body = answered.json();
        counts.push(body["seats"].as_array().unwrap().len());
        path = next(&answered);
        let cursor = body["next_cursor"].as_str();
        assert_eq!(cursor.is_some(), path.is_some());
        assert!(path.iter().all(|path| path.contains(cursor.unwrap())));
    }
    assert_eq!(counts, [9, 9, 3]);
}

#[tokio::test(start_paused = true)]
async fn one_seat_is_read_with_its_owner_for_those_who_may() {
    let gateway = Gateway::open().await;
    let answered = gateway.get("/events/42/seats/A%2D2").await;
    let expected = json!({
        "event_id": 42,
        "seat": {
            "seat_number": "A-2", "section": "A", "row_number": "1", "price": "49.50",
            "status": "RESERVED", "sellable": false, "version": 4,
            "reserved_until": "2026-11-22T10:10:00Z",
            "reservation_id": "00000000-0000-0000-0000-000000000007", "user_id": "user-7",
        },
        "now": "2026-11-22T10:00:00Z",
    });
    assert_eq!(answered.json(), expected);
    assert_eq!(answered.header("view-source"), Some("store"));
    assert_eq!(answered.header("cache-control"), Some("no-store"));
    let reader = Caller { scopes: [Scope::Read].into_iter().collect(), ..Caller::local() };
    let gateway = Gateway::of(reader).await;
    for path in ["/events/42/seats/A-2", "/events/42/seats", "/events/42/map"] {
        let answered = gateway.get(path).await;
        assert_eq!(answered.status, StatusCode::OK);
        let body = String::from_utf8(answered.body).unwrap();
        for private in ["user", "reservation", "booking", "000007", "000008"] {
            assert!(!body.contains(private), "{path}: {private}");
        }
    }
    let id = "/reservations/00000000-0000-0000-0000-000000000007";
    assert!(gateway.get(id).await.detail(403).contains("inventory.read.private"));
}

#[tokio::test(start_paused = true)]
async fn counts_are_by_section_type_and_reason() {
    let gateway = Gateway::open().await;
    let body = gateway.get("/events/42/availability").await.json();
    let blocked = json!({ "total": 1, "sellable": 0, "available": 0, "held": 0, "hold_ended": 0,
                          "booked": 0, "blocked": 1 });
    assert_eq!(body["groups"][1], json!({ "section": "B", "seat_type": null, "counts": blocked }));
    assert_eq!(body["counts"]["sellable"], 22);
    assert_eq!((&body["event_id"], &body["as_of"]), (&json!(42), &body["now"]));
}

#[tokio::test(start_paused = true)]
async fn a_document_is_compressed_where_allowed_and_has_an_etag_an_encoding() {
    let gateway = Gateway::open().await;
    for path in ["/events/42/layout", "/events/42/map"] {
        let plain = gateway.get(path).await;
        assert_eq!(plain.header("content-encoding"), None);
        assert_eq!(plain.header("vary"), Some("accept-encoding"));
        let packed = gateway.get_with(path, &[("accept-encoding", "br, gzip")]).await;
        assert_eq!(packed.header("content-encoding"), Some("gzip"));
        let mut json = Vec::new();
        GzDecoder::new(&*packed.body).read_to_end(&mut json).unwrap();
        assert_eq!(json, plain.body);
        let tags = [plain.header("etag").unwrap(), packed.header("etag").unwrap()];
        assert_ne!(tags[0], tags[1]);
        for tag in [tags[0], tags[1], "*", &format!("\"x\", W/{}", tags[0])] {
            let unchanged = gateway.get_with(path, &[("if-none-match", tag)]).await;
            assert_eq!(unchanged.status, StatusCode::NOT_MODIFIED, "{tag}");
            assert!(unchanged.body.is_empty());
            assert_eq!(unchanged.header("etag"), Some(tags[0]));
            assert_eq!(unchanged.header("view-now"), Some("2026-11-22T10:00:00Z"));
        }
        let other = gateway.get_with(path, &[("if-none-match", "\"x\"")]).await;
        assert_eq!((other.status, other.body), (StatusCode::OK, plain.body.clone()));
    }
    let layout = gateway.get("/events/42/layout").await;
    let map = gateway.get("/events/42/map").await.json();
    let tag = format!("\"{}\"", map["layout"].as_str().unwrap());
    assert_eq!(layout.header("etag"), Some(tag.as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_store_is_an_array_of_its_lines() {
    let gateway = Gateway::open().await;
    let first = gateway.get("/inventory/store/store-1?limit=1").await;
    let expected = json!([{
        "store_id": "store-1", "sku": "apple", "quantity": 13, "available": 10, "reserved": 2,
        "committed": 1, "version": 5, "updated_at": "2026-11-22T10:00:00Z",
    }]);
    assert_eq!(first.json(), expected);
    let rest = gateway.get(&next(&first).unwrap()).await;
    assert_eq!((&rest.json()[0]["sku"], rest.header("link")), (&json!("bread"), None));
    let missing = gateway.get("/inventory/store/none").await;
    missing.detail(404);
    assert_eq!(missing.json()["code"], "STORE_NOT_FOUND");
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_named_and_not_repeated() {
    let gateway = Gateway::open().await;
    for (path, field) in [
        ("/events/x9x/seats", "event id"),
        ("/events/042/seats", "event id"),
        ("/events/9007199254740992/map", "event id"),
        ("/events/-1/layout", "event id"),
        ("/events/42/seats?limit=x9x", "limit"),
        ("/events/42/seats?limit=0", "limit"),
        ("/events/42/seats?limit=1001", "limit"),
        ("/events/42/seats?sellable=x9x", "sellable"),
        ("/events/42/seats?status=x9x", "status"),
        ("/events/42/seats?status=available", "status"),
        ("/events/42/seats?section=", "section"),
        ("/events/42/seats?cursor=x9x", "cursor"),
        ("/events/42/seats?limit=1&limit=2", "limit"),
        ("/events/42/seats?colour=x9x", "\"colour\""),
        ("/events/42/map?limit=1", "\"limit\""),
        ("/events/42/seats/%00x9x", "number"),
        ("/events/42/seats/%ffx9x", "path"),
        ("/inventory/store/a%20x9x", "store_id"),
        ("/inventory/store/store-1?cursor=x9x", "cursor"),
        ("/reservations/x9x", "reservation id"),
    ] {
        let detail = gateway.get(path).await.detail(400);
        assert!(detail.contains(field) && !detail.contains("x9x"), "{path}: {detail}");
    }
    assert_eq!(gateway.tables.pages(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_404_and_tables_that_fail_are_503() {
    let gateway = Gateway::open().await;
    for (path, code) in [
        ("/events/7/seats", "EVENT_NOT_FOUND"),
        ("/events/7/map", "EVENT_NOT_FOUND"),
        ("/events/42/seats/Z", "SEAT_NOT_FOUND"),
        ("/reservations/00000000-0000-0000-0000-00000000dead", "RESERVATION_NOT_FOUND"),
    ] {
        let answered = gateway.get(path).await;
        answered.detail(404);
        assert_eq!(answered.json()["code"], code, "{path}");
    }
    gateway.tables.fail(Some(PortError::Throttled("secret".to_owned())));
    for path in ["/events/42/seats", "/events/42/seats/A-1", "/inventory/store/store-1"] {
        let answered = gateway.get(path).await;
        assert!(!answered.detail(503).contains("secret"));
        assert!(answered.header("retry-after").is_some());
    }
}
