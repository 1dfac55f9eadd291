//! The canonical form of JSON, RFC 8785, in one pass over a parsed value.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

/// Integers up to here are written by ECMAScript as they are: 2^53.
const EXACT_MAX: u64 = 1 << 53;

/// Appends the canonical form of an object with these members, which are in order already.
///
/// # Errors
///
/// A number that has no canonical form.
pub(super) fn write_members(
    into: &mut Vec<u8>,
    members: &[(&str, Form<'_>)],
) -> serde_json::Result<()> {
    into.push(b'{');
    for (place, (name, form)) in members.iter().enumerate() {
        if place > 0 {
            into.push(b',');
        }
        write_text(into, name)?;
        into.push(b':');
        match form {
            Form::Text(text) => write_text(into, text)?,
            Form::Value(value) => write(into, value)?,
        }
    }
    into.push(b'}');
    Ok(())
}

/// What a member of [`write_members`] has.
pub(super) enum Form<'v> {
    /// A string.
    Text(&'v str),
    /// Anything.
    Value(&'v Value),
}

fn write(into: &mut Vec<u8>, value: &Value) -> serde_json::Result<()> {
    match value {
        Value::Null => into.extend_from_slice(b"null"),
        Value::Bool(true) => into.extend_from_slice(b"true"),
        Value::Bool(false) => into.extend_from_slice(b"false"),
        Value::Number(number) => write_number(into, number)?,
        Value::String(text) => write_text(into, text)?,
        Value::Array(values) => {
            into.push(b'[');
            for (place, value) in values.iter().enumerate() {
                if place > 0 {
                    into.push(b',');
                }
                write(into, value)?;
            }
            into.push(b']');
        }
        Value::Object(members) => write_object(into, members)?,
    }
    Ok(())
}

fn write_object(into: &mut Vec<u8>, members: &Map<String, Value>) -> serde_json::Result<()> {
    let in_order = |(one, _): &(&String, &Value), (other, _): &(&String, &Value)| {
        utf16_order(one, other).is_le()
    };
    let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
    // They mostly are: serde_json keeps them in the order of their bytes.
    if !sorted.is_sorted_by(in_order) {
        sorted.sort_by(|(one, _), (other, _)| utf16_order(one, other));
    }
    into.push(b'{');
    for (place, (name, value)) in sorted.into_iter().enumerate() {
        if place > 0 {
            into.push(b',');
        }
        write_text(into, name)?;
        into.push(b':');
        write(into, value)?;
    }
    into.push(b'}');
    Ok(())
}

/// RFC 8785, section 3.2.3: names are sorted by their UTF-16 code units.
fn utf16_order(one: &str, other: &str) -> Ordering {
    if one.is_ascii() && other.is_ascii() {
        return one.cmp(other);
    }
    one.encode_utf16().cmp(other.encode_utf16())
}

/// serde_json escapes what ECMAScript escapes, and the same way.
fn write_text(into: &mut Vec<u8>, text: &str) -> serde_json::Result<()> {
    serde_json::to_writer(into, text)
}

fn write_number(into: &mut Vec<u8>, number: &Number) -> serde_json::Result<()> {
    use std::io::Write as _;

    let exact = number.as_i64().filter(|number| number.unsigned_abs() <= EXACT_MAX);
    match exact {
        Some(number) => write!(into, "{number}").map_err(serde_json::Error::io),
        // ECMAScript's way of writing a double is an art of its own.
        None => {
            into.extend(serde_json_canonicalizer::to_vec(number)?);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(value: &Value) -> String {
        let mut bytes = Vec::new();
        write(&mut bytes, value).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn values() -> impl Strategy<Value = Value> {
        let number = prop_oneof![
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            (-10_i64..10).prop_map(|near| Value::from((1_i64 << 53) + near)),
            (-1_000_i32..1_000).prop_map(|tenths| Value::from(f64::from(tenths) / 10.0)),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            number,
            any::<String>().prop_map(Value::from),
            "[\\u0000-\\u0020\"\\\\/\\u007f\\u0080é€😀]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            // Names on both sides of the surrogates, where bytes and UTF-16 differ in order.
            let name = prop_oneof![any::<String>(), "[aä\\uE000\\uFFFD😀𐀀]{0,3}"];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(name, inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_form_is_that_of_the_reference(value in values()) {
            let reference = serde_json_canonicalizer::to_string(&value).unwrap();
            prop_assert_eq!(canonical(&value), reference);
        }
    }

    #[test]
    fn names_are_sorted_by_their_utf_16_code_units() {
        let value: Value = serde_json::from_str(r#"{"\uE000":1,"😀":2,"a":3}"#).unwrap();
        assert_eq!(canonical(&value), "{\"a\":3,\"😀\":2,\"\u{e000}\":1}");
    }
}
