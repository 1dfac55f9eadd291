//! Server-sent events (`text/event-stream`): their text, and a body of them.

use std::{collections::VecDeque, convert::Infallible};

use axum::body::Bytes;
use futures::{Stream, stream::unfold};

use super::{Beat, Bye, Life};
use crate::message::to_json;

/// What every stream begins with: after how many milliseconds a client that was cut off returns.
const RETRY: Bytes = Bytes::from_static(b"retry: 1000\n\n");

/// A comment, so that what is between server and client sees traffic.
const PING: Bytes = Bytes::from_static(b": ping\n\n");

/// What a source of events tells next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// One event or more, as text, in pieces that are sent one after the other.
    Send(Vec<Bytes>),
    /// Nothing more.
    End(Bye),
}

/// Tells events.
pub trait EventSource: Send + 'static {
    /// What it tells next, once there is something. The future may be dropped at any time, and what
    /// it would have told is told by the next one.
    fn next(&mut self) -> impl Future<Output = Step> + Send;
}

/// An event as text. `data` has no line break, as JSON has none.
#[must_use]
pub fn event(name: &str, id: Option<&str>, data: &str) -> Bytes {
    let mut text = head(name, id);
    text.push_str(data);
    text.push_str(END);
    text.into()
}

/// What stands before an event's data.
pub(super) fn head(name: &str, id: Option<&str>) -> String {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("event: {name}\n{id}data: ")
}

/// What stands after an event's data.
pub(super) const END: &str = "\n\n";

/// The last event of a stream.
fn bye(reason: Bye) -> Bytes {
    event("bye", None, &bye_data(reason))
}

/// The data of [`Bye`] as JSON.
pub(super) fn bye_data(reason: Bye) -> String {
    format!(r#"{{"reason":{}}}"#, to_json(&reason))
}

struct Body<S> {
    /// What is told, until the end.
    telling: Option<(S, Life)>,
    ready: VecDeque<Bytes>,
}

/// The body of a stream: what the source tells, pings, and `bye`. Asks the source only once the
/// connection has room.
pub fn body(
    source: impl EventSource,
    life: Life,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    let body = Body { telling: Some((source, life)), ready: VecDeque::from([RETRY]) };
    unfold(body, |mut body| async move {
        loop {
            if let Some(piece) = body.ready.pop_front() {
                return Some((Ok(piece), body));
            }
            let (source, life) = body.telling.as_mut()?;
            match life.beat(source.next()).await {
                Beat::Item(Step::Send(pieces)) => body.ready.extend(pieces),
                Beat::Ping => body.ready.push_back(PING),
                Beat::Item(Step::End(reason)) | Beat::Bye(reason) => {
                    body.ready.push_back(bye(reason));
                    body.telling = None;
                }
            }
        }
    })
}
