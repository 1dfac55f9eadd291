use std::{io::Write as _, sync::Arc};

use super::{reader::cells, *};
use crate::{
    adapters::memory::TokioClock,
    domain::{Action, PoolId, Timestamp},
    message::{decode, split_batch},
    ports::Clock,
};

fn event() -> PoolId {
    PoolId::Event(42)
}

/// The rows of a file with this text, or what is wrong with them.
fn read(text: &str, pool: Option<PoolId>) -> Vec<(u64, Result<Row, String>)> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let mut rows = Rows::open(file.path(), pool).unwrap();
    let mut found = Vec::new();
    while let Some((place, row)) = rows.next_row().unwrap() {
        found.push((place.line, row.map_err(|error| error.to_string())));
    }
    assert_eq!(rows.bytes(), text.len() as u64);
    found
}

fn only(text: &str) -> Result<Row, String> {
    read(text, Some(event())).pop().unwrap().1
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(TokioClock::new("2026-11-22T10:00:00Z".parse::<Timestamp>().unwrap()))
}

fn chunks() -> Chunks {
    Chunks::new(Identity::of("/moving".parse().unwrap(), [7; 32]), clock())
}

fn units_of(text: &str) -> Vec<Unit> {
    let mut chunks = chunks();
    let mut units = Vec::new();
    for (line, row) in read(text, None) {
        units.extend(chunks.push(Place { line }, row.unwrap()).unwrap());
    }
    units.extend(chunks.finish().unwrap());
    units
}

fn kinds(unit: &Unit) -> Vec<&'static str> {
    let kind = |body: &str| decode(body).unwrap().command.action.command_type().as_str();
    match unit.commands.as_slice() {
        [_] => vec![kind(&unit.body())],
        _ => split_batch(&unit.body()).unwrap().into_iter().map(kind).collect(),
    }
}

#[test]
fn csv_and_json_lines_make_the_same_rows() {
    let csv = "\u{feff}event_id,seat_number,section,price,sku,quantity,user_id,seats,lines,booking_id\r\n\
        42,A-1,\"Stalls, left\",49.50,,,,,,\r\n\
        42,,,,lawn,20,,,,\r\n\
        \r\n\
        42,,,,,,u-1,A-1;A-2,lawn=2;a=b=1,b-1\r\n";
    let json = r#"
        {"event_id":42,"seat_number":"A-1","section":"Stalls, left","price":"49.50"}
        {"event_id":"42","sku":"lawn","quantity":20}
        {"event_id":42,"user_id":"u-1","seats":["A-1","A-2"],"lines":[{"sku":"lawn","quantity":2},{"sku":"a=b","quantity":1}],"booking_id":"b-1","section":null}"#;
    let (csv, json) = (read(csv, None), read(json, None));
    let rows = |found: &[(u64, Result<Row, String>)]| -> Vec<Row> {
        found.iter().map(|(_, row)| row.clone().unwrap()).collect()
    };
    assert_eq!(rows(&csv), rows(&json));
    let lines = |found: &[(u64, _)]| found.iter().map(|(line, _)| *line).collect::<Vec<_>>();
    assert_eq!((lines(&csv), lines(&json)), (vec![2, 3, 5], vec![2, 3, 4]));
}

#[test]
fn a_wrong_row_is_named_by_line_and_field_with_what_is_expected_and_never_its_value() {
    let secret = "hunter2";
    for (row, field, expected) in [
        (r#"{"seat_number":"A-1","price":"hunter2"}"#, "price", "49.50"),
        (r#"{"seat_number":"A-1","status":"hunter2"}"#, "status", "AVAILABLE or BLOCKED"),
        (r#"{"seat_number":"A-1","status":"BOOKED"}"#, "status", "later row for its reservation"),
        (r#"{"seat_number":"A-1","quantity":1}"#, "quantity", "leave it out"),
        (r#"{"sku":"tea"}"#, "quantity", "whole number"),
        (r#"{"sku":"tea","quantity":-1}"#, "quantity", "whole number"),
        (r#"{"sku":"tea","quantity":1.5}"#, "quantity", "whole number"),
        (r#"{"sku":"tea","quantity":{"hunter2":1}}"#, "quantity", "a text, or a number"),
        (r#"{"event_id":"hunter2","sku":"tea","quantity":1}"#, "event_id", "whole number"),
        (r#"{"event_id":1,"store_id":"s","sku":"t","quantity":1}"#, "store_id", "no store"),
        (r#"{"store_id":"s","seat_number":"A-1"}"#, "seat_number", "a sku"),
        (r#"{"user_id":"u","seats":["A-1"]}"#, "expires_at", "booking_id"),
        (r#"{"user_id":"u","booking_id":"b"}"#, "seats", "1 to 97"),
        (r#"{"user_id":"u","seats":"hunter2","booking_id":"b"}"#, "seats", "an array"),
        (r#"{"user_id":"u","seats":["A"],"expires_at":"hunter2"}"#, "expires_at", "RFC 3339"),
        (r#"{"user_id":"u","lines":[{"sku":"t","quantity":0}],"booking_id":"b"}"#, "lines", "1 to"),
        (r#"{"section":"hunter2"}"#, "row", "one of seat_number"),
        (r#"{"hunter2":1}"#, "row", "no fields but event_id"),
        (r#"{"sku":"hunter2""#, "row", "JSON ("),
    ] {
        let error = only(row).unwrap_err();
        assert!(error.starts_with(&format!("{field}: expected ")), "{row}: {error}");
        assert!(error.contains(expected) && !error.contains(secret), "{row}: {error}");
    }
    let error = read(r#"{"sku":"t","quantity":1}"#, None).pop().unwrap().1.unwrap_err();
    assert!(error.starts_with("event_id: expected") && error.contains("--pool"), "{error}");
}

#[test]
fn a_csv_line_is_read_as_rfc_4180_says_or_refused() {
    assert_eq!(
        cells(r#"a,"b,""c""",,"""#.trim_end_matches('"')).unwrap(),
        ["a", "b,\"c\"", "", ""]
    );
    for wrong in ["\"a", "a\"b", "\"a\"b", "a,\"b"] {
        assert!(cells(wrong).is_err(), "{wrong}");
    }
    let too_few = read("event_id,sku,quantity\n42,tea\n", None).pop().unwrap();
    assert!(too_few.1.unwrap_err().contains("3 cells as in line 1, there are 2"));
}

#[test]
fn a_header_that_no_row_has_is_refused_and_so_is_what_is_read_once() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"event_id,colour\n1,red\n").unwrap();
    let error = Rows::open(file.path(), None).unwrap().next_row().unwrap_err().to_string();
    assert!(error.starts_with("line 1: row: expected no fields but"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Rows::open(folder.path(), None), Err(FileError::NotRegular)));
}

#[test]
fn a_line_without_end_is_refused_and_the_next_is_read() {
    let text =
        format!("{{\"sku\":\"{}\"}}\n{{\"sku\":\"t\",\"quantity\":1}}\n", "x".repeat(9_000_000));
    let found = read(&text, Some(event()));
    assert!(found[0].1.as_ref().unwrap_err().contains("at most 262144 bytes"));
    assert!(found[1].1.is_ok());
}

#[test]
fn rows_of_a_pool_become_full_commands_in_its_group_and_never_pass_each_other() {
    let seat = |n: u32| format!("{{\"event_id\":42,\"seat_number\":\"A-{n}\"}}\n");
    let store = |n: u32| format!("{{\"store_id\":\"s-{n}\",\"sku\":\"tea\",\"quantity\":1}}\n");
    let booking = "{\"event_id\":42,\"user_id\":\"u\",\"seats\":[\"A-1\"],\"booking_id\":\"b\"}\n";
    let mut text: String = (0..5_001).map(seat).collect();
    text.push_str(&store(1));
    text.push_str(booking);
    text.push_str("{\"event_id\":42,\"seat_number\":\"A-1\",\"status\":\"BLOCKED\"}\n");
    let units = units_of(&text);
    let of_event: Vec<_> = units.iter().filter(|unit| unit.group.as_str() == "event-42").collect();
    let found: Vec<_> = of_event.iter().map(|unit| kinds(unit)).collect();
    let restock = "inventory.restock.v1";
    let booked = vec!["inventory.reserve.v1", "inventory.confirm.v1"];
    assert_eq!(found, [vec![restock], vec![restock], booked, vec![restock]]);
    let ids: Vec<&str> = of_event.iter().map(|unit| unit.commands[0].key.id.as_str()).collect();
    let content = "07".repeat(16);
    let expected =
        ["event#42:1-5000", "event#42:5001-5001", "event#42:5003:reserve", "event#42:5004-5004"];
    assert_eq!(ids, expected.map(|what| format!("{content}:{what}")));
    assert_eq!(units.iter().filter(|unit| unit.group.as_str() == "store-s-1").count(), 1);
}

#[test]
fn the_same_file_makes_the_same_commands() {
    let text = r#"{"event_id":1,"seat_number":"A"}
{"store_id":"s","sku":"t","quantity":3}
{"event_id":1,"user_id":"u","seats":["A"],"booking_id":"b"}"#;
    let identities = || {
        let commands = units_of(text).into_iter().flat_map(|unit| unit.commands);
        commands.map(|command| (command.key, command.digest)).collect::<Vec<_>>()
    };
    assert_eq!(identities().len(), 4);
    assert_eq!(identities(), identities());
}

#[test]
fn a_message_of_the_longest_rows_is_within_its_bound() {
    let text = "\\\"".repeat(60);
    let seat = |n: u32| {
        let row = serde_json::json!({
            "event_id": 1, "seat_number": format!("{n}{text}"), "section": text,
            "row_number": text, "seat_type": text, "price": "123456.50", "status": "BLOCKED",
        });
        format!("{row}\n")
    };
    let units = units_of(&(0..2_000).map(seat).collect::<String>());
    assert!(units.len() > 1);
    for unit in &units {
        assert!(unit.bytes() <= 520 * 1024, "{}", unit.bytes());
    }
    let of_fewer = units.iter().take(units.len() - 1).map(Unit::bytes).min().unwrap();
    assert!(of_fewer >= 400 * 1024, "{of_fewer}: the estimate is far from the truth");
}

#[tokio::test(start_paused = true)]
async fn holds_last_as_long_as_is_left_of_them() {
    let hold = |until: &str| {
        format!(
            "{{\"event_id\":1,\"user_id\":\"u\",\"seats\":[\"A\"],\"expires_at\":\"{until}\"}}\n"
        )
    };
    let mut chunks = chunks();
    for (line, until) in
        [(1, "2026-11-22T10:05:00Z"), (2, "2026-11-22T10:00:00Z"), (3, "2026-11-23T10:00:00Z")]
    {
        let row = read(&hold(until), None).pop().unwrap().1.unwrap();
        assert_eq!(chunks.push(Place { line }, row), Ok(Vec::new()));
    }
    let counts = chunks.counts();
    assert_eq!((counts.holds, counts.run_out, counts.shortened), (2, 1, 1));
    let units = chunks.finish().unwrap();
    let seconds = |body: &str| match decode(body).unwrap().command.action {
        Action::Reserve(reserve) => reserve.hold_seconds,
        _ => None,
    };
    let found: Vec<_> = units[0].commands.iter().map(|command| seconds(&command.body)).collect();
    assert_eq!(found, [Some(300), Some(14_400)]);
}

#[test]
fn a_seat_twice_in_a_command_is_refused() {
    let row = || only(r#"{"seat_number":"A-1"}"#).unwrap();
    let mut chunks = chunks();
    chunks.push(Place { line: 1 }, row()).unwrap();
    let error = chunks.push(Place { line: 2 }, row()).unwrap_err();
    assert_eq!(error.to_string(), "row: expected each seat and SKU once: an earlier row has it");
    chunks.push(Place { line: 3 }, only(r#"{"sku":"A-1","quantity":1}"#).unwrap()).unwrap();
}

#[test]
fn rows_are_written_as_they_are_read() {
    let rows = [
        r#"{"event_id":42,"seat_number":"A, \"1\"","section":"s","row_number":"1","seat_type":"t","price":"1.50","status":"BLOCKED"}"#,
        r#"{"store_id":"s","sku":"oat milk","quantity":7}"#,
        r#"{"event_id":42,"reservation_id":"9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90","user_id":"u","seats":["A","B"],"lines":[{"sku":"t","quantity":2}],"booking_id":"b","goods":"stay"}"#,
        r#"{"event_id":42,"user_id":"u","seats":["A"],"expires_at":"2026-11-22T10:05:00Z"}"#,
    ];
    for line in rows {
        let row = only(line).unwrap();
        let json = Writer::new(FileFormat::Jsonl).row(&row).unwrap();
        assert_eq!(json.trim_end(), line);
        let csv = Writer::new(FileFormat::Csv);
        let text = format!("{}{}", csv.header(), csv.row(&row).unwrap());
        assert_eq!(read(&text, None).pop().unwrap().1.unwrap(), row, "{text}");
    }
    let row = only(r#"{"user_id":"u","seats":["A;B"],"booking_id":"b"}"#).unwrap();
    assert_eq!(Writer::new(FileFormat::Csv).row(&row), Err(NotWritable));
}
