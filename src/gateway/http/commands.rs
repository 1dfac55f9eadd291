//! Commands over HTTP: CloudEvents at `/commands`, and `/inventory/update` for stores.
//!
//! A command that was decided in time is answered with its result, as subscribers get it, or with
//! the problem that it was rejected for; one that was not, with 202 and where to look. Who looks gets
//! the result, a rejection too: 404 says that there is none, and never what was decided.

mod event;
mod update;

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use url::form_urlencoded::Serializer;

use super::{
    Parameters, Problem, Routes,
    content::{self, Content},
    parameters::NAME_SHOWN_MAX,
};
use crate::{
    domain::{CommandId, CommandKey, ReservationId},
    gateway::{Answer, Caller, Commands, Decided, EventRequest, Recorded},
    message::TraceContext,
};

/// How long a command is awaited unless `Prefer` says otherwise.
const WAIT: Duration = Duration::from_secs(5);

/// The longest that a command is awaited.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// When to look for a command that has no outcome yet.
const LOOK_AFTER_SECONDS: u16 = 1;

/// The media type of events in structured mode.
const CLOUDEVENTS_JSON: &str = "application/cloudevents+json";

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The routes; each handler takes an [`Extension`] of [`Caller`].
pub(super) fn routes() -> Routes<Arc<Commands>> {
    Routes::new()
        .get("/commands", lookup)
        .post("/commands", post_command)
        .post("/inventory/update", update::update)
}

type Commanded = State<Arc<Commands>>;
type Called = Extension<Caller>;

async fn post_command(
    State(commands): Commanded,
    Extension(caller): Called,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    Content(body): Content,
) -> Result<Response, Problem> {
    Parameters::none(query.as_deref())?;
    if headers.contains_key(IDEMPOTENCY_KEY) {
        let detail = "Idempotency-Key: expected none here: the event's id is the key";
        return Err(Problem::bad_request(detail));
    }
    let preferences = Preferences::of(&headers)?;
    let event = event::structured(&headers, &body)?;
    let (wait, traceparent) = (preferences.wait, trace_of(&headers));
    let request = EventRequest { event: &event, has_new_id: false, wait, traceparent };
    let answer = commands.submit_event(&caller, request).await?;
    Ok(preferences.note(respond(answer)))
}

async fn lookup(
    State(commands): Commanded,
    Extension(caller): Called,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let parameters = Parameters::parse(query.as_deref(), &["source", "id"])?;
    let missing = |name| Problem::bad_request(format!("{name}: missing, expected once"));
    let source = parameters.parsed("source")?.ok_or_else(|| missing("source"))?;
    let id = parameters.parsed("id")?.ok_or_else(|| missing("id"))?;
    let key = CommandKey { source, id };
    let recorded = commands.lookup(&caller, &key).await;
    match recorded.map_err(|error| Problem::from(error).about(&key))? {
        Some(Recorded::Decided(decided)) => Ok(result(&decided)),
        Some(Recorded::Running { done, chunks }) => {
            let progress = Some(Progress { done, chunks });
            let body =
                PendingBody { status: "running", command: &key, reservation_id: None, progress };
            Ok(content::json(&body))
        }
        None => {
            let detail = "no outcome under this source and id: it may be waiting, or was never \
                          posted, or its outcome is past its retention";
            Err(Problem::not_found("COMMAND_NOT_FOUND", detail).about(&key))
        }
    }
}

#[derive(Serialize)]
struct PendingBody<'a> {
    status: &'static str,
    command: &'a CommandKey,
    #[serde(skip_serializing_if = "Option::is_none")]
    reservation_id: Option<ReservationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<Progress>,
}

/// Chunks of a restock.
#[derive(Serialize)]
struct Progress {
    done: u32,
    chunks: u32,
}

fn respond(answer: Answer) -> Response {
    match answer {
        Answer::Decided(decided) => respond_decided(&decided),
        Answer::Pending { key, reservation_id } => {
            let body =
                PendingBody { status: "pending", command: &key, reservation_id, progress: None };
            let mut response = content::json(&body);
            *response.status_mut() = StatusCode::ACCEPTED;
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(LOOK_AFTER_SECONDS));
            headers.extend(location_of(&key).map(|location| (header::LOCATION, location)));
            response
        }
    }
}

/// The result as subscribers get it, or the problem that the command was rejected for.
fn respond_decided(decided: &Decided) -> Response {
    if let Some(rejection) = decided.outcome.rejection() {
        return Problem::rejected(rejection).about(&decided.key).into_response();
    }
    result(decided)
}

/// The result as subscribers get it.
fn result(decided: &Decided) -> Response {
    content::text(CLOUDEVENTS_JSON, decided.result_body())
}

/// Where the outcome of the command will be.
fn location_of(key: &CommandKey) -> Option<HeaderValue> {
    let mut query = Serializer::new(String::new());
    query.append_pair("source", key.source.as_str()).append_pair("id", key.id.as_str());
    // What is encoded is ASCII.
    HeaderValue::try_from(format!("/commands?{}", query.finish())).ok()
}

/// The caller's idempotency key; a key in quotes (a structured field) is the text within.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<CommandId>, Problem> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else {
        let detail = "Idempotency-Key: expected once";
        return match headers.contains_key(IDEMPOTENCY_KEY) {
            true => Err(Problem::bad_request(detail)),
            false => Ok(None),
        };
    };
    let text = std::str::from_utf8(key.as_bytes()).unwrap_or_default();
    let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let parsed = quoted.unwrap_or(text).parse();
    parsed.map(Some).map_err(|wrong: crate::domain::InvalidText| {
        Problem::bad_request(format!("Idempotency-Key: {wrong}"))
    })
}

/// The trace that the request continues.
fn trace_of(headers: &HeaderMap) -> Option<TraceContext> {
    TraceContext::from_fields(|name| headers.get(name).and_then(|value| value.to_str().ok()))
}

/// `Prefer` (RFC 7240): `wait=SECONDS` and `respond-async`. Others are ignored, as it says.
#[derive(Debug, PartialEq, Eq)]
struct Preferences {
    /// `None` for a caller that wants no answer but that the command is posted, and says nothing of
    /// how long it waits.
    wait: Option<Duration>,
    applied: Option<String>,
}

impl Preferences {
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let lines = headers.get_all(PREFER).iter().filter_map(|line| line.to_str().ok());
        let items = lines.flat_map(|line| line.split([',', ';'])).map(str::trim);
        let (mut wait, mut is_async) = (None, false);
        for item in items {
            let (name, value) = item.split_once('=').unwrap_or((item, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "respond-async" => is_async = true,
                "wait" if wait.is_none() => {
                    let seconds = value.trim().trim_matches('"').parse::<u64>();
                    let expected = "Prefer: expected wait=SECONDS, a whole number";
                    wait = Some(seconds.map_err(|_| Problem::bad_request(expected))?);
                }
                _ => {}
            }
        }
        let applied_wait = wait.map(|seconds| Duration::from_secs(seconds).min(WAIT_MAX));
        let default = if is_async { None } else { Some(WAIT) };
        let names = is_async.then(|| "respond-async".to_owned());
        let seconds = applied_wait.map(|wait| format!("wait={}", wait.as_secs()));
        let applied: Vec<String> = names.into_iter().chain(seconds).collect();
        let applied = (!applied.is_empty()).then(|| applied.join(", "));
        Ok(Self { wait: applied_wait.or(default), applied })
    }

    /// Says which of them were followed.
    fn note(&self, mut response: Response) -> Response {
        let applied = self.applied.as_ref().and_then(|text| HeaderValue::try_from(text).ok());
        response.headers_mut().extend(applied.map(|value| (PREFERENCE_APPLIED, value)));
        response
    }
}

#[cfg(test)]
mod tests;
