//! Messages that are nearly right: schema and decoder agree on every change.

use std::collections::{BTreeMap, BTreeSet};

use inventory_worker::message::decode;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    schema_accepts, valid_commands,
    values::{NAMES, values},
};

/// Why a decoder may refuse what the schema accepts, for messages in ASCII. Determined from the
/// message itself, not from the decoder.
fn schema_cannot_tell(message: &Value) -> bool {
    let data = &message["data"];
    match message["type"].as_str() {
        Some("inventory.reserve.v1") => entries(data) > 97 || repeats(data),
        Some("inventory.restock.v1") => entries(data) > 10_000 || repeats(data),
        Some("inventory.modify.v1") => {
            let (add, remove) = (&data["add"], &data["remove"]);
            entries(add) + entries(remove) > 97
                || repeats(add)
                || repeats(remove)
                || !names(add).is_disjoint(&names(remove))
        }
        _ => false,
    }
}

fn list<'v>(of: &'v Value, name: &str) -> &'v [Value] {
    of[name].as_array().map_or(&[], Vec::as_slice)
}

/// Seats and lines together.
fn entries(of: &Value) -> usize {
    list(of, "seats").len() + list(of, "lines").len()
}

/// Whether a SKU, or the number of a seat with fields, comes twice.
fn repeats(of: &Value) -> bool {
    [("lines", "sku"), ("seats", "seat_number")].into_iter().any(|(entries, name)| {
        let names: Vec<_> =
            list(of, entries).iter().filter_map(|entry| entry[name].as_str()).collect();
        names.iter().collect::<BTreeSet<_>>().len() < names.len()
    })
}

/// The seats and SKUs of one side of a modify.
fn names(of: &Value) -> BTreeSet<(&str, &str)> {
    let seats = list(of, "seats").iter().filter_map(|seat| Some(("seat", seat.as_str()?)));
    let lines = list(of, "lines").iter().filter_map(|line| Some(("sku", line["sku"].as_str()?)));
    seats.chain(lines).collect()
}

fn assert_agreement(message: &Value) {
    let decoded = decode(&message.to_string());
    let expected = schema_accepts(message) && !schema_cannot_tell(message);
    assert_eq!(decoded.is_ok(), expected, "{decoded:?} of {message}");
}

/// One change to a message. Places are counted modulo their number.
#[derive(Clone, Debug)]
enum Change {
    Replace(usize, Value),
    Remove(usize),
    Insert(usize, &'static str, Value),
}

/// The place of every value inside a message.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let place = format!("{at}/{name}");
                places(member, &place, found);
                found.push(place);
            }
        }
        Value::Array(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                let place = format!("{at}/{index}");
                places(entry, &place, found);
                found.push(place);
            }
        }
        _ => {}
    }
}

fn apply(message: &mut Value, change: Change) {
    let mut found = vec![String::new()];
    places(message, "", &mut found);
    let pick = |place: usize| found[place % found.len()].clone();
    match change {
        Change::Replace(place, value) => *message.pointer_mut(&pick(place)).unwrap() = value,
        Change::Insert(place, name, value) => {
            if let Some(Value::Object(members)) = message.pointer_mut(&pick(place)) {
                members.insert(name.to_owned(), value);
            }
        }
        Change::Remove(place) => {
            let place = pick(place);
            let Some((parent, name)) = place.rsplit_once('/') else { return };
            match message.pointer_mut(parent) {
                Some(Value::Object(members)) => drop(members.remove(name)),
                Some(Value::Array(entries)) => drop(entries.remove(name.parse().unwrap())),
                _ => {}
            }
        }
    }
}

/// The valid commands in ASCII with `data`, small enough to change everywhere. What is in base64 a
/// schema cannot check.
fn bases() -> BTreeMap<String, Value> {
    let mut bases = valid_commands();
    bases.retain(|name, example| {
        let is_small = name != "reserve-the-most-seats";
        is_small && example["data"].is_object() && example.to_string().is_ascii()
    });
    bases
}

#[test]
fn after_any_one_change_schema_and_decoder_agree() {
    let values = values();
    let mut cases = 0;
    for base in bases().into_values() {
        let mut found = vec![String::new()];
        places(&base, "", &mut found);
        let mut check = |change| {
            let mut message = base.clone();
            apply(&mut message, change);
            assert_agreement(&message);
            cases += 1;
        };
        for place in 0..found.len() {
            check(Change::Remove(place));
            values.iter().for_each(|value| check(Change::Replace(place, value.clone())));
        }
        let data = found.iter().position(|place| place == "/data").unwrap();
        for name in NAMES {
            values.iter().for_each(|value| check(Change::Insert(data, name, value.clone())));
        }
    }
    assert!(cases > 30_000, "{cases}");
}

fn change() -> impl Strategy<Value = Change> {
    let value = || proptest::sample::select(values());
    let name = proptest::sample::select(NAMES.to_vec());
    prop_oneof![
        4 => (0..64usize, value()).prop_map(|(place, value)| Change::Replace(place, value)),
        1 => (0..64usize).prop_map(Change::Remove),
        3 => (0..64usize, name, value())
            .prop_map(|(place, name, value)| Change::Insert(place, name, value)),
    ]
}

/// Any JSON, some of whose member names are known ones.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        proptest::sample::select(values()),
        any::<f64>().prop_map(|number| json!(number)),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        let name = prop_oneof![
            4 => proptest::sample::select(NAMES.to_vec()).prop_map(str::to_owned),
            1 => ".{0,4}",
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            proptest::collection::btree_map(name, inner, 0..8)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn after_several_changes_schema_and_decoder_agree(
        base in proptest::sample::select(bases().into_values().collect::<Vec<_>>()),
        changes in proptest::collection::vec(change(), 1..5),
    ) {
        let mut message = base;
        changes.into_iter().for_each(|change| apply(&mut message, change));
        assert_agreement(&message);
    }

    #[test]
    fn any_json_at_all_is_decoded_or_refused(value in any_json()) {
        if let Err(reported) = decode(&value.to_string()) {
            prop_assert!(reported.rejection.message.contains(": "));
        }
    }

    #[test]
    fn any_json_as_data_is_decoded_or_refused(
        base in proptest::sample::select(bases().into_values().collect::<Vec<_>>()),
        data in any_json(),
    ) {
        let mut message = base;
        message["data"] = data;
        let accepted = schema_accepts(&message);
        let decoded = decode(&message.to_string()).is_ok();
        // Only the decoder checks texts of more bytes than characters, and times at the end of
        // time.
        prop_assert!(accepted || !decoded, "{message}");
    }

    #[test]
    fn any_text_at_all_is_decoded_or_refused(text in ".{0,64}") {
        prop_assert!(decode(&text).is_err());
    }

    #[test]
    fn a_message_with_bytes_changed_is_decoded_or_refused(
        base in proptest::sample::select(valid_commands().into_values().collect::<Vec<_>>()),
        edits in proptest::collection::vec((any::<usize>(), any::<char>()), 1..4),
    ) {
        let mut text: Vec<char> = base.to_string().chars().collect();
        for (place, character) in edits {
            let place = place % text.len();
            text[place] = character;
        }
        let text: String = text.into_iter().collect();
        let decoded = decode(&text);
        if let Ok(message) = serde_json::from_str::<Value>(&text) {
            prop_assert!(schema_accepts(&message) || decoded.is_err(), "{message}");
        } else {
            prop_assert!(decoded.is_err());
        }
    }
}
