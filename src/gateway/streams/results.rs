//! The streams of results, for services: best effort, with word of what may have been lost.

use std::{borrow::Cow, sync::Arc};

use axum::body::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    Life, StreamError, StreamKind, Streams,
    sse::{self, EventSource, Step},
};
use crate::{
    domain::{PoolId, Source, Timestamp},
    gateway::{
        Caller, QueryError, Scope,
        hints::{Announcements, HeardResult, ResultsFeed},
        queries::allow,
    },
    message::to_json,
    ports::{Clock, hints::Topic},
};

/// Which results to stream: of a pool, of a source, or of both at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultsFilter {
    /// Those of commands on this pool.
    pub pool: Option<PoolId>,
    /// Those of commands of this source, and of holds that it made.
    pub source: Option<Source>,
}

/// Streams results.
#[derive(Clone)]
pub struct Results {
    announcements: Option<Announcements>,
    streams: Streams,
    clock: Arc<dyn Clock>,
}

/// A stream of results that has begun.
pub struct OpenedResults {
    /// What it tells.
    pub reader: ResultsReader,
    /// How long.
    pub life: Life,
}

/// What a stream of results tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultEvent {
    /// From this instant on, results come as they are published.
    Begin(Timestamp),
    /// A result.
    Result {
        /// Its CloudEvents `id`.
        id: String,
        /// The CloudEvent in JSON.
        event: Arc<str>,
    },
    /// Results may have been lost before this instant.
    Gap(Timestamp),
}

/// The reader of one stream of results.
pub struct ResultsReader {
    feed: ResultsFeed,
    filter: ResultsFilter,
    caller: Caller,
    clock: Arc<dyn Clock>,
}

/// The fields of a result that decide who may see it.
#[derive(Deserialize)]
struct ResultHead<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    subject: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: ResultData<'a>,
}

#[derive(Deserialize)]
struct ResultData<'a> {
    #[serde(borrow)]
    command: MadeBy<'a>,
    #[serde(borrow, default)]
    reservation: Option<MadeBy<'a>>,
}

#[derive(Deserialize)]
struct MadeBy<'a> {
    #[serde(borrow)]
    source: Cow<'a, str>,
}

#[derive(Serialize)]
struct NowBody {
    now: Timestamp,
}

impl Results {
    /// Streams of what is announced; without announcements there are none.
    #[must_use]
    pub fn new(
        announcements: Option<Announcements>,
        streams: Streams,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { announcements, streams, clock }
    }

    /// Begins a stream.
    ///
    /// # Errors
    ///
    /// The caller lacks [`Scope::ReadPrivate`], or names another caller's source; the filter is
    /// empty; nothing is announced here; there are as many streams as there may be, or the process
    /// is about to end.
    pub fn open(
        &self,
        caller: &Caller,
        filter: ResultsFilter,
    ) -> Result<OpenedResults, StreamError> {
        allow(caller, Scope::ReadPrivate)?;
        if filter.source.as_ref().is_some_and(|source| !caller.may_use(source)) {
            return Err(StreamError::ForeignSource);
        }
        let topic = match &filter {
            ResultsFilter { pool: Some(pool), .. } => Topic::Results(pool.clone()),
            ResultsFilter { source: Some(source), .. } => Topic::ResultsOf(source.clone()),
            ResultsFilter { pool: None, source: None } => {
                let expected = "a pool, a source, or both".to_owned();
                return Err(QueryError::Invalid { field: "pool", expected }.into());
            }
        };
        let announcements = self.announcements.as_ref().ok_or(StreamError::NotOffered)?;
        let life = self.streams.begin(caller, StreamKind::Results)?;
        let feed = announcements.results(topic);
        let (caller, clock) = (caller.clone(), Arc::clone(&self.clock));
        Ok(OpenedResults { reader: ResultsReader { feed, filter, caller, clock }, life })
    }
}

impl ResultsReader {
    /// What it tells next. May be dropped at any time, and loses nothing by that.
    pub async fn next_event(&mut self) -> ResultEvent {
        loop {
            match self.feed.next().await {
                HeardResult::Begin => return ResultEvent::Begin(self.clock.now()),
                HeardResult::Gap => return ResultEvent::Gap(self.clock.now()),
                HeardResult::Result(event) => match self.seen(&event) {
                    Some(Some(id)) => return ResultEvent::Result { id, event },
                    Some(None) => {}
                    None => return ResultEvent::Gap(self.clock.now()),
                },
            }
        }
    }

    /// The id of a result, where this caller may see it and asked for it; nothing for what is no
    /// result.
    fn seen(&self, event: &str) -> Option<Option<String>> {
        // A line break would end the field of a server-sent event; the worker's JSON has none.
        if event.contains(['\n', '\r']) {
            return None;
        }
        let head: ResultHead<'_> = serde_json::from_str(event).ok()?;
        let ResultData { command, reservation } = &head.data;
        let mut sources = [Some(command), reservation.as_ref()]
            .into_iter()
            .flatten()
            .filter_map(|made_by| made_by.source.parse::<Source>().ok());
        let is_asked_for = match &self.filter.source {
            Some(wanted) => sources.any(|source| source == *wanted),
            None => sources.any(|source| self.caller.may_use(&source)),
        };
        let pool = head.subject.as_deref().and_then(|subject| subject.parse::<PoolId>().ok());
        let is_of_pool = self.filter.pool.is_none() || self.filter.pool == pool;
        Some((is_asked_for && is_of_pool).then(|| head.id.into_owned()))
    }
}

impl EventSource for ResultsReader {
    async fn next(&mut self) -> Step {
        let now = |now| to_json(&NowBody { now });
        let text: Bytes = match self.next_event().await {
            ResultEvent::Begin(at) => sse::event("begin", None, &now(at)),
            ResultEvent::Gap(at) => sse::event("gap", None, &now(at)),
            ResultEvent::Result { id, event } => sse::event("result", Some(&id), &event),
        };
        Step::Send(vec![text])
    }
}

#[cfg(test)]
mod tests;
