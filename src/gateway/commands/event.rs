//! CloudEvents as callers send them: completed, and from binary mode to structured.

use serde_json::{Map, Value};

use super::{CommandError, EventError};
use crate::{
    domain::{CommandKey, CommandType, GroupId, Rejection, RejectionCode, Timestamp},
    message::to_json,
};

/// A message that has everything a command needs.
pub(super) struct Completed {
    pub(super) body: String,
    /// CloudEvents' `partitionkey`.
    pub(super) group: Option<GroupId>,
    /// Whether it came without an id.
    pub(super) has_new_id: bool,
}

/// The attributes of an event in binary mode, by name without `ce-`.
pub type EventAttributes = Vec<(String, String)>;

/// An event in binary mode (CloudEvents' HTTP binding, section 3.1).
#[derive(Clone, Debug)]
pub struct BinaryEvent<'a> {
    /// The attributes from the headers, percent-decoded.
    pub attributes: EventAttributes,
    /// `Content-Type`.
    pub content_type: &'a str,
    /// The body, which is `data`.
    pub data: &'a str,
}

impl BinaryEvent<'_> {
    /// The event in structured mode.
    ///
    /// # Errors
    ///
    /// The body is not JSON.
    pub fn structured(&self) -> Result<String, EventError> {
        let data: Value = serde_json::from_str(self.data)
            .map_err(|error| EventError::new(self.key(), not_json("data", &error)))?;
        let text = |(name, value): &(String, String)| (name.clone(), Value::from(value.clone()));
        let mut event: Map<String, Value> = self.attributes.iter().map(text).collect();
        event.insert("datacontenttype".to_owned(), self.content_type.into());
        event.insert("data".to_owned(), data);
        Ok(to_json(&event))
    }

    fn key(&self) -> Option<CommandKey> {
        key_of(|name| {
            let found = self.attributes.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str())
        })
    }
}

/// Adds what the event lacks and the gateway knows. What is there stays: `data` as it is, and with
/// it the digest.
pub(super) fn complete(
    event: &str,
    now: Timestamp,
    deadline: Option<Timestamp>,
    new_key: impl FnOnce() -> Result<CommandKey, CommandError>,
) -> Result<Completed, EventError> {
    let nameless = |error| EventError::new(None, error);
    let event = event.strip_prefix('\u{feff}').unwrap_or(event);
    let parsed: Value =
        serde_json::from_str(event).map_err(|error| nameless(not_json("message", &error)))?;
    let Value::Object(mut fields) = parsed else {
        return Err(nameless(invalid("message: expected an object".to_owned())));
    };
    let lacks = |fields: &Map<String, Value>, name| fields.get(name).is_none_or(Value::is_null);
    let has_new_id = lacks(&fields, "id");
    if lacks(&fields, "source") || lacks(&fields, "id") {
        let key = new_key().map_err(nameless)?;
        for (name, value) in [("source", key.source.as_str()), ("id", key.id.as_str())] {
            if lacks(&fields, name) {
                fields.insert(name.to_owned(), value.into());
            }
        }
    }
    let group = match fields.remove("partitionkey") {
        None | Some(Value::Null) => None,
        Some(group) => {
            // What is no text is read as an empty one, which is no group either.
            let group = group.as_str().unwrap_or_default().parse::<GroupId>();
            Some(group.map_err(|wrong| {
                let key = key_of(|name| fields.get(name)?.as_str());
                EventError::new(key, invalid(format!("partitionkey: {wrong}")))
            })?)
        }
    };
    if lacks(&fields, "time") {
        fields.insert("time".to_owned(), now.to_string().into());
    }
    let is_reserve =
        fields.get("type").and_then(Value::as_str) == Some(CommandType::Reserve.as_str());
    if let Some(deadline) = deadline.filter(|_| is_reserve && lacks(&fields, "expirytime")) {
        fields.insert("expirytime".to_owned(), deadline.to_string().into());
    }
    Ok(Completed { body: to_json(&fields), group, has_new_id })
}

/// The identity that an event names, where it can be read.
fn key_of<'a>(attribute: impl Fn(&str) -> Option<&'a str>) -> Option<CommandKey> {
    let (source, id) = (attribute("source")?.parse().ok()?, attribute("id")?.parse().ok()?);
    Some(CommandKey { source, id })
}

fn not_json(place: &str, error: &serde_json::Error) -> CommandError {
    // The category, line and column: never the text.
    let (line, column) = (error.line(), error.column());
    invalid(format!("{place}: expected JSON (line {line}, column {column})"))
}

fn invalid(message: String) -> CommandError {
    CommandError::Invalid(Rejection::new(RejectionCode::InvalidMessage, message))
}
