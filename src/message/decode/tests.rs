use serde_json::{Value, json};

use super::*;
use crate::{
    domain::{Action, RejectionCode, RestockMode},
    message::{catalog, reader::asked},
};

mod actions;
mod round_trips;

fn reserve() -> Value {
    json!({
        "specversion": "1.0", "id": "1", "source": "/s", "type": "inventory.reserve.v1",
        "data": {"event_id": 42, "user_id": "u-7", "seats": ["A-1"]}
    })
}

fn refused(body: &Value) -> Box<Undecodable> {
    decode(&body.to_string()).unwrap_err()
}

#[test]
fn a_reserve_takes_its_defaults() {
    let Decoded { command, traceparent } = decode(&reserve().to_string()).unwrap();
    assert_eq!(command.pool, PoolId::Event(42));
    assert_eq!(traceparent, None);
    let Action::Reserve(asked) = &command.action else { panic!("{:?}", command.action) };
    assert_eq!(asked.hold_seconds, None);
    assert_eq!(asked.reservation_id, command.key.default_reservation_id());
}

#[test]
fn a_default_is_no_part_of_the_digest_and_an_envelope_neither() {
    let digest = |value: &Value| decode(&value.to_string()).unwrap().command.digest;
    let plain = digest(&reserve());
    let mut enveloped = reserve();
    enveloped["time"] = json!("2026-11-22T10:00:00Z");
    enveloped["id"] = json!("2");
    assert_eq!(digest(&enveloped), plain);
    let mut explicit = reserve();
    explicit["data"]["hold_seconds"] = json!(600);
    assert_ne!(digest(&explicit), plain);
    let mut unknown = reserve();
    unknown["data"]["channel"] = json!("web");
    assert_ne!(digest(&unknown), plain);
}

#[test]
fn of_a_repeated_member_the_last_counts_in_command_and_digest() {
    let twice = r#"{"specversion":"1.0","id":"0","id":"1","source":"/s",
        "type":"inventory.reserve.v1",
        "data":{"event_id":7,"user_id":"u-7","seats":["A-1"],"event_id":42}}"#;
    assert_eq!(decode(twice).unwrap(), decode(&reserve().to_string()).unwrap());
}

#[test]
fn what_can_be_told_of_a_bad_message_is_told() {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut body = reserve();
    body["data"]["seats"] = json!(["A-1", ""]);
    body["traceparent"] = json!(trace);
    let reported = refused(&body);
    assert_eq!(reported.rejection.code, RejectionCode::InvalidMessage);
    assert_eq!(
        reported.rejection.message,
        "data.seats[1]: expected a text of 1 to 128 bytes without control characters"
    );
    assert_eq!(reported.key.map(|key| key.to_string()).as_deref(), Some("/s 1"));
    assert_eq!(reported.command_type.as_deref(), Some("inventory.reserve.v1"));
    assert_eq!(reported.pool, Some(PoolId::Event(42)));
    assert_eq!(reported.traceparent.as_ref().map(TraceContext::traceparent), Some(trace));
    assert_eq!(reported.digest, digest::of_bytes(body.to_string().as_bytes()));
}

#[test]
fn an_unknown_type_is_named_and_its_data_left_alone() {
    let mut body = reserve();
    body["type"] = json!("inventory.exchange.v1");
    body["data"] = json!({"event_id": 42, "seats": 7});
    let reported = refused(&body);
    assert_eq!(reported.rejection.code, RejectionCode::UnsupportedType);
    assert_eq!(reported.command_type.as_deref(), Some("inventory.exchange.v1"));
    assert_eq!(reported.pool, Some(PoolId::Event(42)));
}

#[test]
fn without_a_source_or_an_id_there_is_no_identity() {
    for field in ["id", "source"] {
        let mut body = reserve();
        body[field] = json!("");
        assert_eq!(refused(&body).key, None);
    }
    let reported = decode("no JSON").unwrap_err();
    assert_eq!((reported.key, reported.command_type, reported.pool), (None, None, None));
}

#[test]
fn an_error_never_holds_what_the_message_said() {
    let mut bodies = vec!["s3cr3t".to_owned(), "{\"s3cr3t\":}".to_owned(), "\"s3cr3t".to_owned()];
    for field in ["specversion", "id", "source", "type", "time", "datacontenttype", "data"] {
        let mut body = reserve();
        body[field] = json!({"s3cr3t": "s3cr3t"});
        bodies.push(body.to_string());
    }
    for field in ["event_id", "user_id", "seats", "lines", "hold_seconds", "reservation_id"] {
        let mut body = reserve();
        body["data"][field] = json!({"s3cr3t": "s3cr3t"});
        bodies.push(body.to_string());
        body["data"][field] = json!(["s3cr3t", "s3cr3t"]);
        bodies.push(body.to_string());
    }
    for body in bodies {
        let reported = decode(&body).unwrap_err();
        assert!(!reported.to_string().contains("s3cr3t"), "{reported}");
    }
}

#[test]
fn a_message_beyond_the_limit_of_sqs_is_refused_unread() {
    let mut body = reserve();
    body["padding"] = json!("");
    let room = MESSAGE_BYTES_MAX - body.to_string().len();
    body["padding"] = json!("x".repeat(room));
    assert!(decode(&body.to_string()).is_ok());
    body["padding"] = json!("x".repeat(room + 1));
    let reported = refused(&body);
    assert_eq!(reported.rejection.message, "message: expected at most 1048576 bytes");
    assert_eq!(reported.key, None);
}

#[test]
fn nesting_ends_at_127_levels_and_no_deeper_one_overflows_the_stack() {
    let nested = |levels: usize| {
        let value = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let known = reserve().to_string();
        format!("{},\"deep\":{value}}}", known.strip_suffix('}').unwrap())
    };
    assert!(decode(&nested(126)).is_ok());
    assert!(decode(&nested(127)).is_err());
    assert!(decode(&"[".repeat(MESSAGE_BYTES_MAX)).is_err());
    assert!(decode(&"{\"a\":".repeat(100_000)).is_err());
}

#[test]
fn ten_thousand_lines_are_the_most() {
    let body = |count: usize| {
        let lines: Vec<_> =
            (0..count).map(|n| json!({"sku": format!("SKU-{n}"), "quantity": 0})).collect();
        json!({
            "specversion": "1.0", "id": "1", "source": "/s", "type": "inventory.restock.v1",
            "data": {"store_id": "store-1", "lines": lines, "mode": "set"}
        })
    };
    let Action::Restock(restock) = decode(&body(10_000).to_string()).unwrap().command.action else {
        panic!("not a restock");
    };
    assert_eq!((restock.entries(), restock.mode), (10_000, RestockMode::Set));
    let reported = refused(&body(10_001));
    assert_eq!(reported.rejection.message, "data: expected 1 to 10000 seats and lines in all");
}

/// The fields that a schema describes, with `[]` for the entries of an array.
fn described(root: &Value, schema: &Value, at: &str, found: &mut Vec<String>) {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let field = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
        described(root, property, &field, found);
        found.push(field);
    }
    if let Some(items) = schema.get("items") {
        described(root, items, &format!("{at}[]"), found);
    }
}

#[test]
fn the_decoder_asks_for_exactly_the_fields_the_schema_describes() {
    let seat = json!({"seat_number": "A-1"});
    let line = json!({"sku": "S-1", "quantity": 1});
    for (command_type, schema) in catalog::commands() {
        let seat = if *command_type == "inventory.restock.v1" { seat.clone() } else { json!("A") };
        let body = json!({
            "specversion": "1.0", "id": "1", "source": "/s", "type": command_type,
            "data": {
                "event_id": 42, "user_id": "u", "booking_id": "b", "mode": "set",
                "reservation_id": "9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90",
                "seats": [seat], "lines": [line], "hold_seconds": 600,
                "add": {"seats": ["A"], "lines": [line]},
                "remove": {"seats": ["B"], "lines": [{"sku": "S-2", "quantity": 1}]},
            }
        });
        asked::take();
        decode(&body.to_string()).unwrap();
        let asked: Vec<_> = asked::take().into_iter().collect();
        let schema: Value = serde_json::from_str(schema).unwrap();
        let mut known = Vec::new();
        described(&schema, &schema, "", &mut known);
        known.sort();
        assert_eq!(asked, known, "{command_type}");
    }
}

/// The message with its `data` as `data_base64`.
fn in_base64(mut message: Value, encoded: &str) -> Value {
    message.as_object_mut().unwrap().remove("data");
    message["data_base64"] = json!(encoded);
    message
}

#[test]
fn data_in_base64_is_the_same_command_with_the_same_digest() {
    use base64::{Engine as _, prelude::BASE64_STANDARD};

    let plain = decode(&reserve().to_string()).unwrap();
    let encoded = BASE64_STANDARD.encode(reserve()["data"].to_string());
    assert!(encoded.ends_with('='), "with padding: {encoded}");
    for encoded in [encoded.as_str(), encoded.trim_end_matches('=')] {
        let decoded = decode(&in_base64(reserve(), encoded).to_string()).unwrap();
        assert_eq!(decoded, plain);
    }
}

#[test]
fn faulty_base64_names_its_field_and_what_it_holds_names_datas() {
    use base64::{Engine as _, prelude::BASE64_STANDARD};

    let message_of = |body: &Value| refused(body).rejection.message;
    for (encoded, expected) in
        [("%", "data_base64: expected base64"), ("_w==", "data_base64: expected base64")]
    {
        assert_eq!(message_of(&in_base64(reserve(), encoded)), expected, "{encoded}");
    }
    for no_json in [&b"{"[..], b"{} {}", b"\xff", b"{\"event_id\":\"\xff\"}"] {
        let reported = message_of(&in_base64(reserve(), &BASE64_STANDARD.encode(no_json)));
        assert!(reported.starts_with("data_base64: expected base64 of JSON ("), "{reported}");
    }
    let seats = r#"{"event_id":42,"user_id":"u-7","seats":["A-1",""]}"#;
    let reported = refused(&in_base64(reserve(), &BASE64_STANDARD.encode(seats)));
    assert!(reported.rejection.message.starts_with("data.seats[1]: "), "{reported}");
    assert_eq!(reported.pool, Some(PoolId::Event(42)), "the pool is known all the same");
    let mut both = reserve();
    both["data_base64"] = json!("e30=");
    assert_eq!(message_of(&both), "data_base64: expected data or data_base64, not both");
    assert_eq!(message_of(&in_base64(reserve(), "e30=")), "data: expected event_id or store_id");
}

#[test]
fn a_byte_order_mark_is_skipped() {
    let plain = reserve().to_string();
    assert_eq!(decode(&format!("\u{feff}{plain}")).unwrap(), decode(&plain).unwrap());
    assert!(decode(&format!("\u{feff}\u{feff}{plain}")).is_err());
}

#[test]
fn the_envelope_of_another_service_is_refused_with_the_way_to_deliver_without_it() {
    let inner = reserve().to_string();
    let sns = json!({
        "Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:eu-west-1:1:t",
        "Message": inner,
    });
    let event_bridge = json!({
        "version": "0", "id": "e", "detail-type": "Reserve", "source": "shop",
        "time": "2026-11-22T10:00:00Z", "detail": reserve(),
    });
    let lambda = json!({"Records": [{"messageId": "m", "body": inner, "eventSource": "aws:sqs"}]});
    for (body, service, way) in [
        (sns, "SNS", "raw message delivery"),
        (event_bridge, "EventBridge", "$.detail"),
        (lambda, "Lambda", "the body of each record"),
    ] {
        let reported = refused(&body).rejection;
        assert_eq!(reported.code, RejectionCode::InvalidMessage);
        assert!(reported.message.starts_with("message: expected a command, not the envelope of"));
        assert!(reported.message.contains(service), "{}", reported.message);
        assert!(reported.message.contains(way), "{}", reported.message);
    }
    let mut own = reserve();
    own["Records"] = json!([]);
    assert!(decode(&own.to_string()).is_ok(), "an unknown member of a command is ignored");
}
