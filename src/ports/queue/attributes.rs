//! Message attributes, with their types.

use std::collections::BTreeMap;

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
