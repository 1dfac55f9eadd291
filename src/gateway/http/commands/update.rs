//! `POST /inventory/update`: the quantity of one SKU of one store, counted. A restock that sets.

use axum::{
    Extension,
    extract::{RawQuery, State},
    http::HeaderMap,
    response::Response,
};
use serde_json::{Map, Value, json};

use super::{
    Called, Commanded, NAME_SHOWN_MAX, Parameters, Preferences, Problem, idempotency_key, respond,
    trace_of,
};
use crate::{
    domain::{CommandKey, CommandType, Rejection},
    gateway::{
        CommandError, EventRequest,
        http::content::{Content, JSON, media_type, unsupported},
    },
    message::to_json,
    terminal::printable,
};

/// The fields of an update.
const FIELDS: [&str; 7] =
    ["store_id", "sku", "quantity", "as_of", "expected_version", "reason", "reference"];

pub(super) async fn update(
    State(commands): Commanded,
    Extension(caller): Called,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    Content(body): Content,
) -> Result<Response, Problem> {
    Parameters::none(query.as_deref())?;
    // A page of another site may send any other type without asking.
    if !media_type(&headers).eq_ignore_ascii_case(JSON) {
        return Err(unsupported(JSON));
    }
    let id = idempotency_key(&headers)?;
    let has_new_id = id.is_none();
    let key = commands.key(&caller, id)?;
    let preferences = Preferences::of(&headers).map_err(|wrong| wrong.about(&key))?;
    // A repetition is the same command only if its content is the same: with a key, the gateway
    // adds no time of its own.
    let counted_now = has_new_id.then(|| commands.now().to_string());
    let event = event_of(&key, &body, counted_now).map_err(|wrong| wrong.about(&key))?;
    let (wait, traceparent) = (preferences.wait, trace_of(&headers));
    let request = EventRequest { event: &event, has_new_id, wait, traceparent };
    let answer = commands.submit_event(&caller, request).await;
    let answer = answer.map_err(|refused| Problem::from(renamed(refused.error)).about(&key))?;
    Ok(preferences.note(respond(answer)))
}

/// The restock as an event. Its fields are checked as those of every command are.
fn event_of(key: &CommandKey, body: &[u8], counted_now: Option<String>) -> Result<String, Problem> {
    let parsed: Result<Map<String, Value>, _> = serde_json::from_slice(body);
    let mut fields = parsed.map_err(|_| Problem::bad_request("body: expected a JSON object"))?;
    if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        let name: String = printable(unknown).chars().take(NAME_SHOWN_MAX).collect();
        let detail = format!("unknown field {name:?}: expected only {}", FIELDS.join(", "));
        return Err(Problem::bad_request(detail));
    }
    if fields.get("store_id").is_none_or(Value::is_null) {
        return Err(Problem::bad_request("store_id: missing, expected the id of a store"));
    }
    let mut line = Map::new();
    for name in ["sku", "quantity", "expected_version"] {
        line.extend(fields.remove(name).map(|value| (name.to_owned(), value)));
    }
    // As in every command, `null` is a value, and not a valid one.
    if !fields.contains_key("as_of") {
        fields.extend(counted_now.map(|now| ("as_of".to_owned(), now.into())));
    }
    fields.insert("mode".to_owned(), "set".into());
    fields.insert("lines".to_owned(), json!([line]));
    Ok(to_json(&json!({
        "specversion": "1.0",
        "id": key.id,
        "source": key.source,
        "type": CommandType::Restock.as_str(),
        "data": fields,
    })))
}

/// The error with the fields' names as they are in the request.
fn renamed(error: CommandError) -> CommandError {
    let CommandError::Invalid(rejection) = error else { return error };
    let message = &rejection.message;
    let message = message.strip_prefix("data.lines[0].").or_else(|| message.strip_prefix("data."));
    let message = message.map_or_else(|| rejection.message.clone(), ToOwned::to_owned);
    CommandError::Invalid(Rejection { message, ..rejection })
}
