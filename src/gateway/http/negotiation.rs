//! Documents in the form that a caller takes: compressed or not, or not at all where it has them.

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

use crate::gateway::view::Document;

/// The document, validated by strong ETags.
pub(super) fn respond(
    document: &Document,
    content_type: &'static str,
    request: &HeaderMap,
) -> Response {
    let gzip = document.gzip.as_ref().filter(|_| accepts_gzip(request));
    // Two encodings are two representations: a strong ETag names one.
    let plain_tag = format!("\"{}\"", document.tag);
    let gzip_tag = format!("\"{}-gzip\"", document.tag);
    let has_it = has(request, &plain_tag) || has(request, &gzip_tag);
    let (tag, body) = match gzip {
        Some(gzip) => (gzip_tag, gzip),
        None => (plain_tag, &document.plain),
    };
    let mut response = if has_it {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        full(body.clone(), content_type, gzip.is_some())
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.extend(HeaderValue::try_from(tag).ok().map(|tag| (header::ETAG, tag)));
    response
}

fn full(body: Bytes, content_type: &'static str, is_gzip: bool) -> Response {
    let mut response = body.into_response();
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    if is_gzip {
        let gzip = HeaderValue::from_static("gzip");
        response.headers_mut().insert(header::CONTENT_ENCODING, gzip);
    }
    response
}

/// Whether `If-None-Match` has the tag, or `*`. Compared weakly (RFC 9110, section 13.1.2).
fn has(request: &HeaderMap, tag: &str) -> bool {
    items(request, &header::IF_NONE_MATCH)
        .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

/// Whether `Accept-Encoding` allows gzip (RFC 9110, section 12.5.3): named, or else by `*`, with a
/// weight above zero.
fn accepts_gzip(request: &HeaderMap) -> bool {
    let weight = |coding: &str| {
        items(request, &header::ACCEPT_ENCODING).find_map(|item| {
            let (name, parameter) = item.split_once(';').unwrap_or((item, "q=1"));
            name.trim().eq_ignore_ascii_case(coding).then(|| {
                let weight =
                    parameter.trim().strip_prefix("q=").or(parameter.trim().strip_prefix("Q="));
                weight.and_then(|weight| weight.trim().parse::<f32>().ok()).unwrap_or(1.0)
            })
        })
    };
    weight("gzip").or_else(|| weight("x-gzip")).or_else(|| weight("*")).is_some_and(|q| q > 0.0)
}

/// The items of a list, over all lines of the header.
fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_for_those_who_take_it() {
        for (accepted, expected) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("*", true),
            ("gzip;q=0, *", false),
            ("gzip; q=0.000", false),
            ("br", false),
            ("identity", false),
            ("", false),
        ] {
            let value = HeaderValue::from_static(accepted);
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, value)]);
            assert_eq!(accepts_gzip(&headers), expected, "{accepted:?}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
