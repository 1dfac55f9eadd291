//! Cursors: where a list continues. Opaque to callers.

use std::str::FromStr;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use super::QueryError;

/// The version of the form below.
const FORM: u8 = 1;

/// The longest cursor, characters: a key, with room to spare.
const TEXT_MAX: usize = 1_024;

/// What a cursor belongs to: a digest of the pool and the filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Binding([u8; 8]);

impl Binding {
    pub(super) fn of(parts: &[&str]) -> Self {
        let mut digest = Sha256::new();
        for part in parts.iter().filter(|_| !injected_bug!(UnboundCursor)) {
            digest.update(part.len().to_be_bytes());
            digest.update(part.as_bytes());
        }
        let mut bytes = [0; 8];
        for (byte, from) in bytes.iter_mut().zip(digest.finalize()) {
            *byte = from;
        }
        Self(bytes)
    }
}

/// Where a list continues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// After this key.
    pub(super) after: Option<String>,
}

impl Position {
    /// Written as base64url of the form's version, the binding, the length of the key in two bytes,
    /// and the key.
    pub(super) fn encode(&self, binding: Binding) -> String {
        let after = self.after.as_deref().unwrap_or_default();
        let mut bytes = vec![FORM];
        bytes.extend(binding.0);
        bytes.extend(u16::try_from(after.len()).unwrap_or(0).to_be_bytes());
        bytes.extend(after.as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position in a cursor of the same list, whose keys are of the type `K`.
    pub(super) fn decode<K: FromStr>(
        cursor: Option<&str>,
        binding: Binding,
    ) -> Result<Self, QueryError> {
        let Some(text) = cursor else { return Ok(Self::default()) };
        let position = Self::parse(text, binding);
        let is_key = |key: &String| key.parse::<K>().is_ok();
        let position = position.filter(|position| position.after.as_ref().is_none_or(is_key));
        position.ok_or_else(foreign_cursor)
    }

    fn parse(text: &str, binding: Binding) -> Option<Self> {
        if text.len() > TEXT_MAX {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let rest = bytes.strip_prefix(&[FORM])?.strip_prefix(&binding.0)?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let is_whole = rest.len() == usize::from(u16::from_be_bytes(*length));
        let after = String::from_utf8(rest.to_vec()).ok().filter(|_| is_whole)?;
        Some(Self { after: Some(after).filter(|text| !text.is_empty()) })
    }
}

fn foreign_cursor() -> QueryError {
    let expected = "next_cursor of an answer to the same query with the same filters".to_owned();
    QueryError::Invalid { field: "cursor", expected }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::SeatNumber;

    fn decode(text: &str, binding: Binding) -> Result<Position, QueryError> {
        Position::decode::<SeatNumber>(Some(text), binding)
    }

    #[test]
    fn a_cursor_leads_back_to_its_position() {
        let binding = Binding::of(&["seats", "event#1"]);
        for after in [None, Some("A-1".to_owned()), Some("ä".repeat(64))] {
            let position = Position { after };
            let text = position.encode(binding);
            assert_eq!(decode(&text, binding), Ok(position));
        }
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let position = Position { after: Some("A-1".to_owned()) };
        let text = position.encode(Binding::of(&["seats", "event#1"]));
        for other in [&["seats", "event#2"][..], &["lines", "event#1"], &["seatsevent#1", ""]] {
            let read = decode(&text, Binding::of(other));
            assert_eq!(read, Err(foreign_cursor()), "{other:?}");
        }
        let long = "A".repeat(TEXT_MAX + 1);
        assert_eq!(decode(&long, Binding::of(&[])), Err(foreign_cursor()));
    }

    proptest! {
        #[test]
        fn no_text_makes_a_cursor_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let binding = Binding::of(&["seats"]);
            let forged = [&[FORM][..], &binding.0, &bytes].concat();
            let text = BASE64_URL_SAFE_NO_PAD.encode(forged);
            let _ = decode(&text, binding);
            let garbage = String::from_utf8_lossy(&bytes);
            prop_assert_eq!(decode(&garbage, binding), Err(foreign_cursor()));
        }
    }
}
