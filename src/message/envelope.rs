//! The CloudEvents envelope of a command.

use super::{
    canonical::Document,
    reader::{FieldError, Node, Object},
    trace::{TRACEPARENT, TRACESTATE, TraceContext},
};
use crate::domain::{
    CommandId, CommandKey, CommandType, PoolId, StoreId, Timestamp, ids::EVENT_ID_MAX,
};

/// The longest `type`, bytes. A longer one is `INVALID_MESSAGE`, not `UNSUPPORTED_TYPE`, so that
/// the result that names it stays small. Otherwise a `type` follows the rule of an `id`.
pub const COMMAND_TYPE_BYTES_MAX: usize = CommandId::MAX_BYTES;

/// A valid envelope.
pub(super) struct Envelope {
    pub(super) key: CommandKey,
    pub(super) command_type: CommandType,
    /// CloudEvents' extension "expiry time": `expirytime`.
    pub(super) deadline: Option<Timestamp>,
    pub(super) traceparent: Option<TraceContext>,
}

/// A command's content.
pub(super) enum Payload<'v, 'm> {
    /// `data`.
    Json(Node<'v, 'm>),
    /// `data_base64`, decoded, which the CloudEvents SDKs make of bytes (CloudEvents JSON format,
    /// section 3.1.1).
    Base64(Document),
}

impl Payload<'_, '_> {
    /// The content: `data`.
    pub(super) fn data(&self) -> Node<'_, '_> {
        match self {
            Self::Json(data) => *data,
            Self::Base64(document) => Node::data(document),
        }
    }

    /// The document of its own that the content is in, if it is not in the message's.
    pub(super) fn document(&self) -> Option<&Document> {
        match self {
            Self::Json(_) => None,
            Self::Base64(document) => Some(document),
        }
    }
}

/// Finds the content: `data` or `data_base64`.
pub(super) fn read_payload<'v, 'm>(
    message: &'m Object<'v, '_>,
) -> Result<Payload<'v, 'm>, FieldError> {
    let [data, encoded] = message.fields(["data", "data_base64"]);
    match (data.given(), encoded.given()) {
        (Some(_), Some(encoded)) => Err(encoded.fault("data or data_base64, not both")),
        (None, Some(encoded)) => encoded.base64_json().map(Payload::Base64),
        (_, None) => Ok(Payload::Json(data)),
    }
}

/// Checks the envelope.
pub(super) fn read(message: &Object<'_, '_>) -> Result<Envelope, FieldError> {
    let [version, id, source, kind, time, deadline, content_type, parent, state] =
        message.fields([
            "specversion",
            "id",
            "source",
            "type",
            "time",
            "expirytime",
            "datacontenttype",
            TRACEPARENT,
            TRACESTATE,
        ]);
    if version.given().is_none() {
        refuse_foreign_envelope(message)?;
    }
    version.word(&[("1.0", ())])?;
    let key = CommandKey { id: id.text()?, source: source.text()? };
    let command_type = read_type(kind)?;
    if let Some(time) = time.attribute() {
        time.timestamp()?;
    }
    let deadline = deadline.attribute().map(|at| at.timestamp()).transpose()?;
    if let Some(content_type) = content_type.attribute() {
        let is_json = content_type.str().is_some_and(|name| is_json(&name));
        is_json.then_some(()).ok_or_else(|| content_type.fault("application/json"))?;
    }
    let traceparent = read_traceparent(parent, state);
    Ok(Envelope { key, command_type, deadline, traceparent })
}

/// Refuses what other services wrap messages in, and says how to have them delivered as they are.
fn refuse_foreign_envelope(message: &Object<'_, '_>) -> Result<(), FieldError> {
    let [topic, wrapped, detail_type, detail, records] =
        message.fields(["TopicArn", "Message", "detail-type", "detail", "Records"]);
    let advice = if topic.given().and(wrapped.given()).is_some() {
        "the envelope of SNS: turn on raw message delivery for the subscription"
    } else if detail_type.given().and(detail.given()).is_some() {
        "the envelope of EventBridge: set the input path of the target to $.detail"
    } else if records.given().is_some() {
        "the envelope of a Lambda event: forward the body of each record as it is"
    } else {
        return Ok(());
    };
    Err(message.fault(format_args!("a command, not {advice}")))
}

fn read_type(node: Node<'_, '_>) -> Result<CommandType, FieldError> {
    let name: CommandId = node.text()?;
    CommandType::from_name(name.as_str()).ok_or_else(|| {
        let known: Vec<_> = CommandType::ALL.into_iter().map(CommandType::as_str).collect();
        node.unsupported(known.join(", "))
    })
}

/// Whether it is `application/json`, in any case (RFC 9110, section 8.3.1), with or without
/// parameters, which have no meaning (RFC 8259, section 11).
fn is_json(content_type: &str) -> bool {
    let (media_type, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    let printable = |b: u8| matches!(b, b'\t' | b' '..=b'~');
    media_type.trim_end_matches([' ', '\t']).eq_ignore_ascii_case("application/json")
        && parameters.bytes().all(printable)
}

pub(super) fn read_traceparent(parent: Node<'_, '_>, state: Node<'_, '_>) -> Option<TraceContext> {
    let context: TraceContext = parent.str()?.parse().ok()?;
    Some(context.with_tracestate(state.str().as_deref()))
}

/// The pool `data` names: `event_id` or `store_id`.
pub(super) fn read_pool(data: &Object<'_, '_>) -> Result<PoolId, FieldError> {
    let [event, store] = data.fields(["event_id", "store_id"]);
    match (event.given(), store.given()) {
        (Some(event), None) => event.integer(0..=EVENT_ID_MAX).map(PoolId::Event),
        (None, Some(store)) => store.text::<StoreId>().map(PoolId::Store),
        (Some(_), Some(_)) => Err(data.fault("event_id or store_id, not both")),
        (None, None) => Err(data.fault("event_id or store_id")),
    }
}

/// The valid parts of an invalid message's envelope.
#[derive(Default)]
pub(super) struct PartialEnvelope {
    pub(super) key: Option<CommandKey>,
    pub(super) command_type: Option<String>,
    pub(super) pool: Option<PoolId>,
    pub(super) traceparent: Option<TraceContext>,
}

/// Reads every valid part, whatever else is invalid.
pub(super) fn read_partial(
    message: &Object<'_, '_>,
    payload: Option<&Payload<'_, '_>>,
) -> PartialEnvelope {
    let [source, id, kind, parent, state] =
        message.fields(["source", "id", "type", TRACEPARENT, TRACESTATE]);
    let data = payload.and_then(|payload| payload.data().object().ok());
    let named: Option<CommandId> = kind.text().ok();
    let key = source.text().ok().zip(id.text().ok());
    PartialEnvelope {
        key: key.map(|(source, id)| CommandKey { source, id }),
        command_type: named.map(|name| name.to_string()),
        pool: data.and_then(|data| read_pool(&data).ok()),
        traceparent: read_traceparent(parent, state),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_json_in_any_case_and_with_parameters() {
        for right in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json ;charset=utf-8",
            "application/json;",
        ] {
            assert!(is_json(right), "{right}");
        }
        for wrong in [
            "",
            "text/json",
            "application/jsonl",
            "application/cloudevents+json",
            " application/json",
            "application/json; charset=\u{7f}",
            "application/json charset=utf-8",
        ] {
            assert!(!is_json(wrong), "{wrong}");
        }
    }
}
