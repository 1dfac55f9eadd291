//! Removes a user's id from the body of a message.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Map, Value};

use crate::domain::{CommandKey, ReservationId, UserId};

/// The member that names a user.
pub(super) const USER_ID: &str = "user_id";

/// In the place of a user of whom no reservation is known.
pub(super) const NOBODY: &str = "forgotten";

/// Whether a body names a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mention {
    /// It does not.
    None,
    /// It does: the body with the reservation's pseudonym in the id's place.
    Replaced(String),
    /// It is no JSON, and its text contains the id: it cannot be rewritten.
    InText,
}

/// A body without a user's id. In JSON it is looked for in the members `user_id` at any depth,
/// `data_base64` included; other members are left as they are.
#[must_use]
pub fn without_user(body: &str, user_id: &UserId) -> Mention {
    let text = body.strip_prefix('\u{feff}').unwrap_or(body);
    let Ok(mut value) = serde_json::from_str::<Value>(text) else {
        return if body.contains(user_id.as_str()) { Mention::InText } else { Mention::None };
    };
    let has = match &mut value {
        Value::Array(commands) => {
            let each = commands.iter_mut().map(|command| of_command(command, user_id));
            each.fold(false, |has, one| has | one)
        }
        command => of_command(command, user_id),
    };
    match has {
        true => Mention::Replaced(value.to_string()),
        false => Mention::None,
    }
}

/// Replaces the id in a command; returns whether it was there.
fn of_command(command: &mut Value, user_id: &UserId) -> bool {
    let mut decoded = decoded(command);
    let data = decoded.as_ref().or_else(|| command.get("data"));
    let id = data.and_then(|data| text(data, "reservation_id")?.parse::<ReservationId>().ok());
    let id = id.or_else(|| key(command).map(|key| key.default_reservation_id()));
    let name = id.map_or_else(|| NOBODY.to_owned(), |id| id.pseudonym().to_string());
    let mut has = false;
    if let Some(data) = &mut decoded
        && replace(data, user_id, &name)
    {
        has = true;
        if let Some(members) = command.as_object_mut() {
            let encoded = BASE64_STANDARD.encode(data.to_string());
            members.insert("data_base64".to_owned(), Value::String(encoded));
        }
    }
    replace(command, user_id, &name) | has
}

/// The `data` of a command that has it in base64.
fn decoded(command: &Value) -> Option<Value> {
    let bytes = BASE64_STANDARD.decode(text(command, "data_base64")?).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn text<'a>(value: &'a Value, member: &str) -> Option<&'a str> {
    value.get(member)?.as_str()
}

fn key(command: &Value) -> Option<CommandKey> {
    let source = text(command, "source")?.parse().ok()?;
    Some(CommandKey { source, id: text(command, "id")?.parse().ok()? })
}

/// Depth is bounded by the parser.
fn replace(value: &mut Value, user_id: &UserId, name: &str) -> bool {
    match value {
        Value::Array(entries) => {
            entries.iter_mut().fold(false, |has, entry| replace(entry, user_id, name) | has)
        }
        Value::Object(members) => replace_member(members, user_id, name),
        _ => false,
    }
}

fn replace_member(members: &mut Map<String, Value>, user_id: &UserId, name: &str) -> bool {
    let mut has = false;
    for (member, value) in members {
        if member == USER_ID && value.as_str() == Some(user_id.as_str()) {
            *value = Value::String(name.to_owned());
            has = true;
        } else {
            has |= replace(value, user_id, name);
        }
    }
    has
}
