use proptest::{prelude::*, string::string_regex};
use serde_json::Value;

use super::*;

/// The reference: the canonical form by `serde_json` and the RFC 8785 library.
fn reference(json: &str) -> Result<String, String> {
    let value: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
    Ok(serde_json_canonicalizer::to_string(&value).unwrap())
}

fn canonical(json: &str) -> Result<String, String> {
    let document = Document::parse(json).map_err(|error| error.to_string())?;
    let mut whole = Vec::new();
    document.canonical(document.text(), |piece| whole.extend_from_slice(piece));
    let again: Value = serde_json::from_str(document.text()).unwrap();
    assert_eq!(serde_json_canonicalizer::to_vec(&again).unwrap(), whole, "the document is JSON");
    Ok(String::from_utf8(whole).unwrap())
}

fn regex(pattern: &str) -> impl Strategy<Value = String> + use<> {
    string_regex(pattern).unwrap()
}

/// Numbers in notations that people or libraries use.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        regex("-?(0|[1-9][0-9]{0,24})"),
        regex("-?(0|[1-9][0-9]{0,18})\\.[0-9]{1,18}"),
        regex("-?[0-9](\\.[0-9]{1,4})?[eE][+-]?[0-9]{1,2}"),
        regex("-?[1-9][0-9]{0,3}0{0,6}e-?[0-9]{1,3}"),
        any::<u64>().prop_map(|number| number.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:e}")),
        (-10_i64..10).prop_map(|near| ((1_i64 << 53) + near).to_string()),
    ]
}

/// Strings with their quotes: plain ones, all kinds of escapes, paired and lone surrogates.
fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        8 => regex("[a-c]{0,3}"),
        2 => regex("[ -!#-\\[\\]-~ä€\u{7f}\u{80}\u{e000}\u{fffd}😀𐀀]{0,3}"),
        2 => proptest::sample::select(vec![
            "\\\"", "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t", "\\u0000", "\\u001F",
            "\\u0061", "\\u00e4", "\\uE000", "\\uFFFF", "\\ud83d\\ude00", "\\uD800\\uDC00",
        ]).prop_map(str::to_owned),
    ];
    let rare = proptest::sample::select(vec!["", "\\ud83d", "\\ude00", "\\ud83dx", "\\x", "\u{1}"]);
    let rare = prop_oneof![200 => Just(""), 1 => rare];
    (prop::collection::vec(part, 0..4), rare)
        .prop_map(|(parts, rare)| format!("\"{}{rare}\"", parts.concat()))
}

/// JSON texts, with repeated names in any order and white space.
fn json() -> impl Strategy<Value = String> {
    let word = proptest::sample::select(vec!["null", "true", "false"]).prop_map(str::to_owned);
    let leaf = prop_oneof![1 => word, 3 => number(), 3 => text()];
    leaf.prop_recursive(5, 60, 8, |inner| {
        let space = || proptest::sample::select(vec!["", "", "", " ", "\n", "\t\r "]);
        let items = prop::collection::vec((space(), inner.clone(), space()), 0..8);
        let members = prop::collection::vec((space(), text(), space(), inner, space()), 0..8);
        let item = |(before, value, after)| format!("{before}{value}{after}");
        let member =
            |(one, name, two, value, three)| format!("{one}{name}{two}:{two}{value}{three}");
        prop_oneof![
            items.prop_map(move |items: Vec<(&str, String, &str)>| {
                format!("[{}]", items.into_iter().map(item).collect::<Vec<_>>().join(","))
            }),
            members.prop_map(move |members: Vec<(&str, String, &str, String, &str)>| {
                format!("{{{}}}", members.into_iter().map(member).collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn the_form_is_that_of_the_reference_and_so_is_the_error(json in json()) {
        prop_assert_eq!(canonical(&json), reference(&json));
    }

    #[test]
    fn a_text_that_is_no_json_is_refused_in_the_same_words(
        json in json(),
        at in any::<prop::sample::Index>(),
        other in regex("[\\[\\]{}\",:0-9a-z\\\\ .-]{0,3}"),
    ) {
        let places: Vec<usize> = json.char_indices().map(|(place, _)| place).collect();
        let mut broken = json.clone();
        broken.insert_str(places[at.index(places.len())], &other);
        prop_assert_eq!(canonical(&broken), reference(&broken));
    }

    #[test]
    fn a_document_is_hardly_longer_than_its_text(json in json()) {
        if let Ok(document) = Document::parse(&json) {
            prop_assert!(document.text().len() <= json.len() + json.len() / 4 + 2, "{}", json);
        }
    }
}

#[test]
fn names_are_sorted_by_their_utf_16_code_units() {
    let form = canonical(r#"{"\uE000":1,"😀":2,"a":3,"\"":4,"\u001f":5,"Z":6,"[":7}"#).unwrap();
    let sorted = "{\"\\u001f\":5,\"\\\"\":4,\"Z\":6,\"[\":7,\"a\":3,\"😀\":2,\"\u{e000}\":1}";
    assert_eq!(form, sorted);
}

#[test]
fn of_a_repeated_name_the_last_counts_however_it_is_spelt() {
    let form = canonical(r#"{"b":{"x":1,"x":{}},"a":[1],"\u0062":2,"a":{"d":1,"c":2}}"#).unwrap();
    assert_eq!(form, r#"{"a":{"c":2,"d":1},"b":2}"#);
}

#[test]
fn long_forms_of_numbers_are_kept_short_until_they_are_digested() {
    let json = r#"["1e20",{"e1":1e20},-1E+20,1e21,100000.0,1e5,600.0,0.000001,1e-7,true,-0.0]"#;
    let document = Document::parse(json).unwrap();
    assert!(document.text().len() <= json.len());
    assert_eq!(canonical(json), reference(json));
    assert_eq!(
        canonical("[1e20,600.0,1e5,1e21,-0.0,18446744073709551615]").unwrap(),
        "[100000000000000000000,600,100000,1e+21,0,18446744073709552000]"
    );
}
