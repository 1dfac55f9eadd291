//! Identifiers: bounded text, pools, and the keys composed of them.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Separates the parts of a [`CommandKey`]: ASCII unit separator, which no part may contain.
pub const KEY_SEPARATOR: char = '\u{1f}';

/// The largest event id: 2^53 − 1, the last integer that every JSON reader keeps exactly.
pub const EVENT_ID_MAX: u64 = 9_007_199_254_740_991;

/// A text that is not a valid identifier. States what was expected, never the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct InvalidText {
    /// The rule the text breaks, to follow "expected".
    pub expected: String,
}

/// Whether SQS can carry the character and CloudEvents allows it.
///
/// CloudEvents 1.0 forbids control characters (C0, DEL, C1); SQS accepts
/// `#x9 | #xA | #xD | #x20–#xD7FF | #xE000–#xFFFD | #x10000–#x10FFFF`.
fn is_allowed(character: char) -> bool {
    !character.is_control() && !matches!(character, '\u{fffe}' | '\u{ffff}')
}

fn checked(text: &str, max_bytes: usize) -> Result<Arc<str>, InvalidText> {
    if text.is_empty() || text.len() > max_bytes || !text.chars().all(is_allowed) {
        return Err(InvalidText {
            expected: format!("a text of 1 to {max_bytes} bytes without control characters"),
        });
    }
    Ok(Arc::from(text))
}

fn checked_store(text: &str, max_bytes: usize) -> Result<Arc<str>, InvalidText> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b':');
    if text.is_empty() || text.len() > max_bytes || !text.bytes().all(plain) {
        return Err(InvalidText {
            expected: format!("1 to {max_bytes} characters of A-Z a-z 0-9 . _ - :"),
        });
    }
    Ok(Arc::from(text))
}

fn checked_reference(text: &str, max_bytes: usize) -> Result<Arc<str>, InvalidText> {
    // RFC 3986, section 2: the characters of a URI are these of ASCII.
    let in_uri = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&b);
    if text.is_empty() || text.len() > max_bytes || !text.bytes().all(in_uri) {
        return Err(InvalidText { expected: format!("a URI of 1 to {max_bytes} characters") });
    }
    Ok(Arc::from(text))
}

fn checked_group(text: &str, max_bytes: usize) -> Result<Arc<str>, InvalidText> {
    // SQS: "alphanumeric characters and punctuation (!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~)".
    if text.is_empty() || text.len() > max_bytes || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(InvalidText {
            expected: format!("1 to {max_bytes} ASCII letters, digits and punctuation characters"),
        });
    }
    Ok(Arc::from(text))
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $max_bytes:literal, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The maximum length, bytes of UTF-8.
            pub const MAX_BYTES: usize = $max_bytes;

            /// The text as given: compared byte by byte, never normalised.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidText;

            fn from_str(text: &str) -> Result<Self, InvalidText> {
                $check(text, Self::MAX_BYTES).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

text_id!(/// A seat's number, unique within its event.
    SeatNumber, 128, checked);
text_id!(/// A stock keeping unit, unique within its pool.
    Sku, 128, checked);
text_id!(/// The user a reservation is for.
    UserId, 128, checked);
text_id!(/// The booking that a confirmation belongs to.
    BookingId, 128, checked);
text_id!(/// A section, row number or seat type.
    Label, 128, checked);
text_id!(/// Why a reservation was cancelled, or stock changed.
    Reason, 256, checked);
text_id!(/// The document behind a change of stock: a URI or a relative reference (RFC 3986).
    Reference, 512, checked_reference);
text_id!(/// The CloudEvents `source` of a command.
    Source, 512, checked);
text_id!(/// The CloudEvents `id` of a command, unique within its source.
    CommandId, 256, checked);
text_id!(/// A store's id.
    StoreId, 120, checked_store);
text_id!(/// An SQS message group, handled in order: ASCII letters, digits and punctuation.
    GroupId, 128, checked_group);

/// The owner of an inventory. Written `event#42` or `store#store-1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PoolId {
    /// One event, 0…[`EVENT_ID_MAX`].
    Event(u64),
    /// One store.
    Store(StoreId),
}

impl PoolId {
    /// The event's id; `None` for a store.
    #[must_use]
    pub fn event_id(&self) -> Option<u64> {
        match self {
            Self::Event(id) => Some(*id),
            Self::Store(_) => None,
        }
    }
}

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(id) => write!(f, "event#{id}"),
            Self::Store(id) => write!(f, "store#{id}"),
        }
    }
}

impl FromStr for PoolId {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let wrong = || InvalidText { expected: "event#<integer> or store#<store id>".to_owned() };
        match text.split_once('#') {
            Some(("event", id)) => match id.parse::<u64>() {
                Ok(number) if number <= EVENT_ID_MAX && number.to_string() == id => {
                    Ok(Self::Event(number))
                }
                _ => Err(wrong()),
            },
            Some(("store", id)) => id.parse().map(Self::Store).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

impl Serialize for PoolId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PoolId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// One seat of one event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeatKey {
    /// The event it belongs to.
    pub event_id: u64,
    /// Its number within the event.
    pub number: SeatNumber,
}

/// A reservation's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReservationId(pub Uuid);

impl fmt::Display for ReservationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ReservationId {
    type Err = InvalidText;

    /// Accepts only the hyphenated form (RFC 9562, section 4), in either case.
    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let wrong = || InvalidText {
            expected: "a UUID written as 8-4-4-4-12 hexadecimal digits".to_owned(),
        };
        if text.len() != uuid::fmt::Hyphenated::LENGTH {
            return Err(wrong());
        }
        Uuid::try_parse(text).map(Self).map_err(|_| wrong())
    }
}

/// A command's identity: (`source`, `id`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CommandKey {
    /// The command's sender.
    pub source: Source,
    /// Its id within the source.
    pub id: CommandId,
}

impl CommandKey {
    /// The namespace of the ids derived from a command's identity (UUIDv5).
    pub const NAMESPACE: Uuid = Uuid::from_u128(0x6b1d_5c3e_2f0a_4f6b_9d57_1c8e_55aa_7b42);

    /// `source` and `id` joined by [`KEY_SEPARATOR`]: unambiguous, as neither may contain it.
    #[must_use]
    pub fn joined(&self) -> String {
        format!("{}{KEY_SEPARATOR}{}", self.source, self.id)
    }

    /// The id of the reservation that a reserve makes if it names none.
    #[must_use]
    pub fn default_reservation_id(&self) -> ReservationId {
        self.derived("reservation")
    }

    /// The id of the result that carries this command's outcome, the same for every delivery.
    #[must_use]
    pub fn result_id(&self) -> Uuid {
        self.derived("result").0
    }

    fn derived(&self, what: &str) -> ReservationId {
        let name = format!("{what}{KEY_SEPARATOR}{}", self.joined());
        ReservationId(Uuid::new_v5(&Self::NAMESPACE, name.as_bytes()))
    }
}

/// For logs: `source id`. For keys, use [`CommandKey::joined`].
impl fmt::Display for CommandKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.source, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_id_refuses_what_is_empty_too_long_or_not_printable() {
        assert!("A-1".parse::<SeatNumber>().is_ok());
        assert!("ä".repeat(64).parse::<SeatNumber>().is_ok());
        for wrong in ["", "a\u{1f}b", "a\u{85}b", "a\u{ffff}", &"x".repeat(129), &"ä".repeat(65)] {
            assert!(wrong.parse::<SeatNumber>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_pool_reads_back_as_written() {
        for text in ["event#0", "event#9007199254740991", "store#store-1", "store#a:b.c_d"] {
            assert_eq!(text.parse::<PoolId>().unwrap().to_string(), text);
        }
        for wrong in ["event#-1", "event#042", "event#9007199254740992", "store#", "shop#1", "7"] {
            assert!(wrong.parse::<PoolId>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn derived_ids_differ_by_purpose_and_by_command() {
        let key = |source: &str, id: &str| CommandKey {
            source: source.parse().unwrap(),
            id: id.parse().unwrap(),
        };
        let one = key("/a", "1");
        assert_ne!(one.default_reservation_id().0, one.result_id());
        assert_ne!(key("/a", "b1").result_id(), key("/ab", "1").result_id());
        assert_eq!(one.result_id(), key("/a", "1").result_id());
    }
}
