//! docs/PRODUCERS.md: its session goes on `dev` as the page says.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;

use crate::demo::Dev;

/// The beginning of the comment before a result.
const RESULT_OF: &str = "<!-- Result of ";

/// A part of the page, in order.
#[derive(Debug)]
enum Part {
    /// A command, as it is pasted.
    Command(String),
    /// What the result of the command with this id contains. The id of an expiry is given without
    /// its time.
    Result(String, Value),
    /// A row of a table of stock: id, on hand, available, reserved, committed, version.
    Stock(String, [i64; 5]),
}

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/PRODUCERS.md");
    fs::read_to_string(path).unwrap()
}

fn parts(page: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut result_of, mut is_code, mut block) = (None, false, String::new());
    for line in page.lines() {
        if line.starts_with("```") {
            let end = std::mem::replace(&mut is_code, line.starts_with("```json"));
            let body = std::mem::take(&mut block);
            if end && let Some(id) = result_of.take() {
                parts.push(Part::Result(id, serde_json::from_str(&body).unwrap()));
            }
        } else if is_code && result_of.is_none() && line.starts_with("{\"specversion\"") {
            parts.push(Part::Command(line.to_owned()));
        } else if is_code {
            block.push_str(line);
        } else if let Some(id) = line.strip_prefix(RESULT_OF) {
            result_of = Some(id.trim_end_matches(" -->").to_owned());
        } else {
            parts.extend(stock(line));
        }
    }
    parts
}

/// A row such as `` | `count-1` | 20 on the shelf | 20 | 20 | 0 | 0 | 1 | ``.
fn stock(line: &str) -> Option<Part> {
    let cells: Vec<_> = line.split('|').map(str::trim).collect();
    let ["", id, _, numbers @ .., ""] = cells.as_slice() else { return None };
    let numbers: Option<Vec<i64>> = numbers.iter().map(|number| number.parse().ok()).collect();
    Some(Part::Stock(id.trim_matches('`').to_owned(), numbers?.try_into().ok()?))
}

/// Asserts that what the page shows is in the result. Times differ, and stay in their format.
fn assert_shows(shown: &Value, actual: &Value, at: &str) {
    let is_time =
        |value: &Value| value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok());
    match (shown, actual) {
        (Value::Object(members), _) => members.iter().for_each(|(name, member)| {
            assert_shows(member, &actual[name], &format!("{at}.{name}"));
        }),
        (Value::Array(shown), Value::Array(actual)) if shown.len() == actual.len() => {
            for (place, (shown, actual)) in shown.iter().zip(actual).enumerate() {
                assert_shows(shown, actual, &format!("{at}[{place}]"));
            }
        }
        _ if is_time(shown) => assert!(is_time(actual), "{at}: {actual}"),
        _ => assert_eq!(shown, actual, "{at}"),
    }
}

/// What the result of one command says of its only line.
fn stock_of(result: &Value) -> [i64; 5] {
    let changes = result["data"]["changes"].as_array().unwrap_or_else(|| panic!("{result}"));
    let [line] = changes.as_slice() else { panic!("one line: {result}") };
    let number = |name: &str| line[name].as_i64().unwrap();
    let (on_hand, available, reserved) =
        (number("on_hand"), number("available"), number("reserved"));
    [on_hand, available, reserved, on_hand - available - reserved, number("version")]
}

#[test]
fn the_session_of_the_page_for_producers_goes_as_it_says() {
    let mut dev = Dev::start_with(&["--json"], &[("INVENTORY_MAX_HOLD_TOTAL_SECONDS", "3600")]);
    let (mut results, mut shown) = (BTreeMap::new(), 0);
    for part in parts(&page()) {
        match part {
            Part::Command(line) => {
                let command: Value = serde_json::from_str(&line).unwrap();
                let id = command["id"].as_str().unwrap();
                dev.post(&line);
                results.insert(id.to_owned(), dev.result_of(id));
            }
            Part::Result(id, expected) => {
                let result = match id.starts_with("expire:") {
                    true => dev.result_where(|of| of.starts_with(&id)),
                    false => results[&id].clone(),
                };
                assert_shows(&expected, &result, &id);
                shown += 1;
            }
            Part::Stock(id, expected) => {
                assert_eq!(stock_of(&results[&id]), expected, "{id}");
                shown += 1;
            }
        }
    }
    assert!(results.len() > 25 && shown > 25, "{} commands, {shown} shown", results.len());
    assert_eq!(dev.stop(), Some(0));
}
