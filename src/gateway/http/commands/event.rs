//! CloudEvents' HTTP binding: structured mode, and binary mode as it.

use std::borrow::Cow;

use axum::http::{HeaderMap, header};
use percent_encoding::percent_decode;

use super::CLOUDEVENTS_JSON;
use crate::gateway::{
    commands::BinaryEvent,
    http::{
        Problem,
        content::{media_type, unsupported},
    },
};

/// The prefix of the attributes' headers in binary mode.
const ATTRIBUTE_PREFIX: &str = "ce-";

/// The event in structured mode: the body, unless the headers hold the attributes.
pub(super) fn structured(headers: &HeaderMap, body: &[u8]) -> Result<String, Problem> {
    let body = std::str::from_utf8(body)
        .map_err(|_| Problem::new(BAD, "INVALID_MESSAGE", "message: expected UTF-8"))?;
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default();
    let media_type = media_type(headers);
    let is_binary = headers.contains_key("ce-specversion");
    let is_json = media_type.eq_ignore_ascii_case("application/json");
    match (is_binary, is_json, media_type.eq_ignore_ascii_case(CLOUDEVENTS_JSON)) {
        (false, _, true) | (false, true, _) => Ok(body.to_owned()),
        (true, true, _) => {
            let attributes = attributes(headers)?;
            let event = BinaryEvent { attributes, content_type, data: body };
            Ok(event.structured()?)
        }
        _ => {
            let expected = "application/cloudevents+json, or application/json with the attributes \
                            as ce- headers";
            Err(unsupported(expected))
        }
    }
}

const BAD: axum::http::StatusCode = axum::http::StatusCode::BAD_REQUEST;

/// The attributes, percent-decoded (section 3.1.3.2 of the binding).
fn attributes(headers: &HeaderMap) -> Result<Vec<(String, String)>, Problem> {
    let mut attributes: Vec<(String, String)> = Vec::new();
    for (name, value) in headers {
        let Some(attribute) = name.as_str().strip_prefix(ATTRIBUTE_PREFIX) else { continue };
        let expected = |what| Problem::bad_request(format!("{name}: expected {what}"));
        if attributes.iter().any(|(known, _)| known == attribute) {
            return Err(expected("once"));
        }
        if attribute == "data" || attribute == "datacontenttype" {
            return Err(expected("none: the body is the data, and Content-Type its type"));
        }
        let value = decoded(value.as_bytes()).ok_or_else(|| expected("UTF-8, percent-encoded"))?;
        attributes.push((attribute.to_owned(), value));
    }
    Ok(attributes)
}

/// The text of percent-encoded bytes. A `%` that begins no escape stands for itself.
fn decoded(bytes: &[u8]) -> Option<String> {
    percent_decode(bytes).decode_utf8().ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_percent_decoded() {
        for (encoded, text) in [
            ("plain", "plain"),
            ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
            ("100%", "100%"),
            ("%zz%4", "%zz%4"),
            ("%25", "%"),
        ] {
            assert_eq!(decoded(encoded.as_bytes()).unwrap(), text);
        }
        assert_eq!(decoded(b"%ff"), None);
    }
}
