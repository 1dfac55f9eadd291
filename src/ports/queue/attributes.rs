//! Message attributes, with their types.

use std::collections::BTreeMap;

/// SQS: an attribute's name "can be up to 256 characters long".
const NAME_CHARACTERS_MAX: usize = 256;

/// The attributes of a message, by name. SQS: at most [`super::MESSAGE_ATTRIBUTES_MAX`].
pub type MessageAttributes = BTreeMap<String, MessageAttribute>;

/// A message attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageAttribute {
    /// SQS's type: `String`, `Number` or `Binary`, possibly with a label after a dot.
    pub data_type: String,
    /// The value.
    pub value: AttributeContent,
}

/// The value of a message attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeContent {
    /// Of a `String`, or of a `Number` as it was written.
    Text(String),
    /// Of a `Binary`.
    Binary(Vec<u8>),
}

impl MessageAttribute {
    /// The text of a `String`, labelled or not; `None` for other types.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        let base = self.data_type.split('.').next();
        match &self.value {
            AttributeContent::Text(text) if base == Some("String") => Some(text),
            _ => None,
        }
    }

    /// Whether SQS accepts it: a value that is not empty, of a type that fits it.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        let is_type = self.data_type.len() <= NAME_CHARACTERS_MAX
            && self.data_type.chars().all(|c| c.is_ascii_graphic());
        let base = self.data_type.split('.').next();
        let is_value = match (&self.value, base) {
            (AttributeContent::Text(text), Some("String")) => text.chars().all(is_carried),
            (AttributeContent::Text(text), Some("Number")) => is_number(text),
            (AttributeContent::Binary(_), Some("Binary")) => true,
            _ => false,
        };
        is_type && is_value && !self.is_empty()
    }

    /// Whether the value is empty, which SQS refuses.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match &self.value {
            AttributeContent::Text(text) => text.is_empty(),
            AttributeContent::Binary(bytes) => bytes.is_empty(),
        }
    }

    /// What the attribute counts towards [`super::MESSAGE_BYTES_MAX`] under this name: name, type
    /// and value.
    #[must_use]
    pub fn bytes(&self, name: &str) -> usize {
        let value = match &self.value {
            AttributeContent::Text(text) => text.len(),
            AttributeContent::Binary(bytes) => bytes.len(),
        };
        name.len().saturating_add(self.data_type.len()).saturating_add(value)
    }
}

/// A `String`.
impl From<String> for MessageAttribute {
    fn from(text: String) -> Self {
        Self { data_type: "String".to_owned(), value: AttributeContent::Text(text) }
    }
}

/// A `String`.
impl From<&str> for MessageAttribute {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// The text of the `String` attribute of this name.
#[must_use]
pub fn text_attribute<'a>(attributes: &'a MessageAttributes, name: &str) -> Option<&'a str> {
    attributes.get(name)?.text()
}

/// SQS: a number "can have up to 38 digits of precision".
fn is_number(text: &str) -> bool {
    let of_number = |b: u8| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E');
    text.len() <= 64 && text.bytes().all(of_number) && text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// SQS: "A message can include only XML, JSON, and unformatted text. … #x9 | #xA | #xD | #x20 to
/// #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF".
#[must_use]
pub fn is_carried(character: char) -> bool {
    matches!(character,
        '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// SQS: letters, digits, `_`, `-` and `.`; no period at the beginning or end, nor two in a row; no
/// name that begins with `AWS.` or `Amazon.` in any case.
#[must_use]
pub fn is_attribute_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    (1..=NAME_CHARACTERS_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        && !(name.starts_with('.') || name.ends_with('.') || name.contains(".."))
        && !(lower.starts_with("aws.") || lower.starts_with("amazon."))
}
