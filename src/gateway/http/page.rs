//! The page at `/`, for whoever asks: it holds nothing of anyone's. It is no operation of the API.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::Response,
};

use super::{Routes, negotiation, wrong_method};
use crate::gateway::page::Page;

/// What browsers are told besides the policy: no guessing of types, no addresses to other sites, no
/// other site in the same group of windows.
const HEADERS: [(HeaderName, HeaderValue); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// The route of the page, to be merged with those of the API.
pub fn router(page: Page) -> Router {
    let routes = Routes::new().get("/", show);
    routes
        .router
        .with_state(Arc::new(page))
        .method_not_allowed_fallback(|| async { wrong_method() })
}

async fn show(State(page): State<Arc<Page>>, request: HeaderMap) -> Response {
    let mut response = negotiation::respond(&page.document, "text/html; charset=utf-8", &request);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, page.policy.clone());
    headers.extend(HEADERS);
    response
}

#[cfg(test)]
mod tests {
    use axum::{
        body::{Body, to_bytes},
        http::{Method, Request, StatusCode},
    };
    use tower::ServiceExt as _;

    use super::*;
    use crate::gateway::page::PageSettings;

    async fn ask(method: Method, headers: &[(HeaderName, &str)]) -> Response {
        let mut request = Request::builder().method(method).uri("/?event=42");
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let page = Page::new(&PageSettings::default());
        router(page).oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    fn header_of<'a>(response: &'a Response, name: &str) -> &'a str {
        response.headers()[name].to_str().unwrap()
    }

    #[tokio::test]
    async fn the_page_is_sent_under_its_policy() {
        let response = ask(Method::GET, &[]).await;
        assert_eq!(response.status(), StatusCode::OK);
        for (name, expected) in [
            ("content-type", "text/html; charset=utf-8"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("vary", "accept-encoding"),
        ] {
            assert_eq!(header_of(&response, name), expected, "{name}");
        }
        let policy = header_of(&response, "content-security-policy").to_owned();
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert!(body.starts_with(b"<!doctype html>"));
    }

    #[tokio::test]
    async fn a_browser_that_has_the_page_gets_none_again() {
        let first = ask(Method::GET, &[(header::ACCEPT_ENCODING, "gzip")]).await;
        assert_eq!(header_of(&first, "content-encoding"), "gzip");
        let tag = header_of(&first, "etag");
        let again = ask(Method::GET, &[(header::IF_NONE_MATCH, tag)]).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert!(again.headers().contains_key("content-security-policy"));
    }

    #[tokio::test]
    async fn nothing_can_be_sent_to_the_page() {
        let response = ask(Method::POST, &[]).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(header_of(&response, "content-type"), "application/problem+json");
    }
}
