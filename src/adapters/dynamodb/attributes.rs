//! Attribute values: writes them, and reads them with an error that says what is wrong.

use std::str::FromStr;

use aws_sdk_dynamodb::types::AttributeValue;
use rust_decimal::{Decimal, prelude::ToPrimitive};

use crate::domain::Timestamp;

/// An item, or the key of one, in the SDK's form.
#[expect(
    clippy::disallowed_types,
    reason = "the SDK's own type; never iterated where order matters"
)]
pub(super) type Item = std::collections::HashMap<String, AttributeValue>;

/// An attribute that does not hold what it must. Never includes the value found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("attribute `{attribute}`: expected {expected}")]
pub(super) struct Unreadable {
    pub(super) attribute: &'static str,
    pub(super) expected: &'static str,
}

/// Reads the attributes of one item.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a Item);

impl<'a> Reader<'a> {
    /// A string. A missing attribute is as unreadable as one of another type.
    pub(super) fn text(self, attribute: &'static str) -> Result<&'a str, Unreadable> {
        match self.0.get(attribute) {
            Some(AttributeValue::S(text)) => Ok(text),
            _ => Err(Unreadable { attribute, expected: "a string (S)" }),
        }
    }

    /// A string that parses to a domain type.
    pub(super) fn parsed<T: FromStr>(
        self,
        attribute: &'static str,
        expected: &'static str,
    ) -> Result<T, Unreadable> {
        self.text(attribute)?.parse().map_err(|_| Unreadable { attribute, expected })
    }

    /// A string that parses to a domain type, or `None` if the attribute is missing.
    pub(super) fn optional<T: FromStr>(
        self,
        attribute: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, Unreadable> {
        match self.0.contains_key(attribute) {
            true => self.parsed(attribute, expected).map(Some),
            false => Ok(None),
        }
    }

    /// An RFC 3339 time.
    pub(super) fn time(self, attribute: &'static str) -> Result<Timestamp, Unreadable> {
        self.parsed(attribute, "an RFC 3339 time (S)")
    }

    /// An RFC 3339 time, or `None` if the attribute is missing.
    pub(super) fn optional_time(
        self,
        attribute: &'static str,
    ) -> Result<Option<Timestamp>, Unreadable> {
        self.optional(attribute, "an RFC 3339 time (S)")
    }

    /// An integer.
    pub(super) fn integer<T: FromStr>(self, attribute: &'static str) -> Result<T, Unreadable> {
        self.0
            .get(attribute)
            .and_then(integer)
            .ok_or(Unreadable { attribute, expected: "an integer in range (N)" })
    }

    /// Whether the attribute is present, with any value.
    pub(super) fn has(self, attribute: &'static str) -> bool {
        self.0.contains_key(attribute)
    }

    /// A flag that is written only if it is true.
    pub(super) fn flag(self, attribute: &'static str) -> Result<bool, Unreadable> {
        match self.0.get(attribute) {
            None => Ok(false),
            Some(AttributeValue::Bool(true)) => Ok(true),
            Some(_) => Err(Unreadable { attribute, expected: "true, if present (BOOL)" }),
        }
    }

    /// A time in seconds since 1970.
    pub(super) fn epoch_seconds(self, attribute: &'static str) -> Result<Timestamp, Unreadable> {
        self.0
            .get(attribute)
            .and_then(|value| value.as_n().ok())
            .and_then(|text| from_epoch_seconds(text))
            .ok_or(Unreadable { attribute, expected: "a time in seconds since 1970 (N)" })
    }

    /// A list, each entry read by `read`.
    pub(super) fn list<T>(
        self,
        attribute: &'static str,
        expected: &'static str,
        read: impl Fn(&'a AttributeValue) -> Option<T>,
    ) -> Result<Vec<T>, Unreadable> {
        let entries = match self.0.get(attribute) {
            Some(AttributeValue::L(entries)) => entries,
            _ => return Err(Unreadable { attribute, expected }),
        };
        let all: Option<Vec<T>> = entries.iter().map(read).collect();
        all.ok_or(Unreadable { attribute, expected })
    }
}

/// The integer a value holds.
pub(super) fn integer<T: FromStr>(value: &AttributeValue) -> Option<T> {
    value.as_n().ok()?.parse().ok()
}

/// The parsed string a value holds.
pub(super) fn parsed<T: FromStr>(value: &AttributeValue) -> Option<T> {
    value.as_s().ok()?.parse().ok()
}

/// A string.
pub(super) fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A number.
pub(super) fn n(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// Digits of a nanosecond count after the decimal point of a second.
const NANOSECOND_DIGITS: u32 = 9;

/// Seconds since 1970 as a DynamoDB number, which keeps 38 digits: nanoseconds survive.
pub(super) fn epoch_seconds(at: Timestamp) -> AttributeValue {
    n(Decimal::from_i128_with_scale(at.as_nanosecond(), NANOSECOND_DIGITS).normalize())
}

fn from_epoch_seconds(text: &str) -> Option<Timestamp> {
    let seconds = Decimal::from_str_exact(text).ok()?;
    let nanoseconds = seconds.checked_mul(Decimal::from(1_000_000_000u64))?;
    if !nanoseconds.is_integer() {
        return None;
    }
    Timestamp::from_nanosecond(nanoseconds.to_i128()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_since_1970_keep_every_nanosecond() {
        for (at, text) in [
            ("1970-01-01T00:00:00Z", "0"),
            ("2026-11-22T10:10:00Z", "1795342200"),
            ("2026-11-22T10:10:00.000000001Z", "1795342200.000000001"),
            ("1969-12-31T23:59:59.5Z", "-0.5"),
        ] {
            let at: Timestamp = at.parse().unwrap();
            assert_eq!(epoch_seconds(at), n(text));
            assert_eq!(from_epoch_seconds(text), Some(at));
        }
        for at in [Timestamp::MIN, Timestamp::MAX] {
            let written = epoch_seconds(at);
            assert_eq!(from_epoch_seconds(written.as_n().unwrap()), Some(at));
        }
        for wrong in ["", "soon", "0.0000000001", "999999999999999"] {
            assert_eq!(from_epoch_seconds(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_missing_attribute_is_unreadable_unless_it_is_optional() {
        let item = Item::from([("version".to_owned(), s("1"))]);
        let reader = Reader(&item);
        let error = reader.text("status").unwrap_err();
        assert_eq!(error.to_string(), "attribute `status`: expected a string (S)");
        assert_eq!(
            reader.integer::<u64>("version").unwrap_err().to_string(),
            "attribute `version`: expected an integer in range (N)"
        );
        assert_eq!(reader.optional_time("as_of"), Ok(None));
        assert!(reader.optional_time("version").is_err());
    }
}
