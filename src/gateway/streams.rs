//! Streams: changes told as they come, for as long as the caller listens.
//!
//! ```text
//! view ─► feed (one a watched event) ─► frames, encoded once ─► reader ─► connection
//!         numbers, ring of the last                             one each, holds a position
//! ```
//!
//! A connection that does not take what is sent holds a position and nothing else: it is asked for
//! more only once it has room, and is then given a snapshot in place of what it missed. How many
//! streams there are, how long each lasts and how all end at the drain is the same for every kind:
//! see [`Streams`] and [`Life`].

pub mod changes;
mod feed;
mod frame;
mod life;
mod reader;
pub mod results;
pub mod sse;
mod tickets;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

pub use changes::{Changes, Opened};
pub use frame::{Frame, SeatUpdate};
pub(in crate::gateway) use life::AGE as STREAM_AGE;
pub use life::{Beat, Life};
pub use reader::{ChangesSnapshot, FeedUpdate, Reader};
pub use results::{OpenedResults, ResultEvent, Results, ResultsFilter, ResultsReader};
pub use tickets::{IssuedTicket, TICKETED_ROUTES, Tickets};

use super::{
    Caller, QueryError,
    observer::{RequestObserver, ShedReason},
};
use crate::ports::{Entropy, PortError};

/// How many streams there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    /// In the process.
    pub streams_max: usize,
    /// Of one caller.
    pub per_caller_max: usize,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self { streams_max: 5_000, per_caller_max: 100 }
    }
}

/// What a stream tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StreamKind {
    /// The changes of an event's seats.
    Changes,
    /// Results of commands.
    Results,
}

impl StreamKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Changes, Self::Results];

    /// The name of the kind in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changes => "changes",
            Self::Results => "results",
        }
    }
}

/// Why a stream ends: the last thing it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bye {
    /// The process is about to end.
    Draining,
    /// The stream has lasted as long as a stream may.
    Age,
    /// The view is older than it may be.
    Unavailable,
    /// The event does not exist any more.
    Gone,
    /// The event has become larger than the view keeps.
    TooLarge,
}

/// A stream that does not begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// There is nothing to stream, or the caller may not see it.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The process has as many streams as it may have.
    #[error("as many streams are open as the server may have: try again")]
    Full,
    /// The process has streams of as many events as it may have.
    #[error("streams of as many events are open as the server may have: try again")]
    FeedsFull,
    /// The caller has as many streams or unused tickets as it may have.
    #[error("the caller has as many streams or unused tickets as it may have: end one first")]
    CallerFull,
    /// The caller has begun the streams of as many events as it may, where few more can be begun.
    #[error(
        "the caller has begun the streams of as many events as it may while others need room: end \
             those of one first"
    )]
    CallerFeedsFull,
    /// The process is about to end.
    #[error("the server is about to end: try again")]
    Draining,
    /// The source belongs to another caller.
    #[error("source: expected one of the caller's own sources")]
    ForeignSource,
    /// The process has no Redis, over which results are announced.
    #[error("this server streams no results: it has no Redis")]
    NotOffered,
}

impl From<PortError> for StreamError {
    fn from(error: PortError) -> Self {
        Self::Query(error.into())
    }
}

/// The streams of a process: their number, and their end. Clones share them.
#[derive(Clone)]
pub struct Streams {
    inner: Arc<Inner>,
}

struct Inner {
    settings: StreamSettings,
    entropy: Arc<dyn Entropy>,
    observer: Arc<dyn RequestObserver>,
    drained: CancellationToken,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    all: usize,
    /// Of each caller that has any.
    by_caller: BTreeMap<String, usize>,
}

impl Streams {
    /// No streams yet.
    #[must_use]
    pub fn new(
        settings: StreamSettings,
        entropy: Arc<dyn Entropy>,
        observer: Arc<dyn RequestObserver>,
    ) -> Self {
        let (drained, open) = (CancellationToken::new(), Mutex::default());
        Self { inner: Arc::new(Inner { settings, entropy, observer, drained, open }) }
    }

    /// Begins a stream of the caller.
    ///
    /// # Errors
    ///
    /// There are as many as there may be, or the process is about to end.
    pub fn begin(&self, caller: &Caller, kind: StreamKind) -> Result<Life, StreamError> {
        if self.inner.drained.is_cancelled() {
            return Err(StreamError::Draining);
        }
        let place = self.place(caller, kind).inspect_err(|error| self.count_refused(error))?;
        Ok(Life::new(place, self.inner.drained.clone(), &*self.inner.entropy))
    }

    /// Ends all streams at once, and begins no more.
    pub fn drain(&self) {
        self.inner.drained.cancel();
    }

    /// Cancelled when the streams are to end.
    pub(super) fn drained(&self) -> &CancellationToken {
        &self.inner.drained
    }

    /// Counts a stream that is refused because there are too many.
    fn count_refused(&self, error: &StreamError) {
        let reason = match error {
            StreamError::Full | StreamError::FeedsFull => ShedReason::StreamsFull,
            StreamError::CallerFull | StreamError::CallerFeedsFull => ShedReason::CallerStreams,
            StreamError::Query(_)
            | StreamError::Draining
            | StreamError::ForeignSource
            | StreamError::NotOffered => return,
        };
        self.inner.observer.shed(reason);
    }

    fn place(&self, caller: &Caller, kind: StreamKind) -> Result<StreamPlace, StreamError> {
        let Inner { settings, observer, .. } = &*self.inner;
        let mut open = self.inner.open();
        if open.all >= settings.streams_max {
            return Err(StreamError::Full);
        }
        let of_caller = open.by_caller.get(&caller.subject).copied().unwrap_or_default();
        if of_caller >= settings.per_caller_max {
            return Err(StreamError::CallerFull);
        }
        open.all = open.all.saturating_add(1);
        open.by_caller.insert(caller.subject.clone(), of_caller.saturating_add(1));
        observer.streams(kind, 1);
        Ok(StreamPlace { streams: self.clone(), subject: caller.subject.clone(), kind })
    }
}

impl Inner {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that is counted, until this is dropped.
struct StreamPlace {
    streams: Streams,
    subject: String,
    kind: StreamKind,
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let inner = &self.streams.inner;
        let mut open = inner.open();
        open.all = open.all.saturating_sub(1);
        if let Some(of_caller) = open.by_caller.get_mut(&self.subject) {
            *of_caller = of_caller.saturating_sub(1);
            if *of_caller == 0 {
                open.by_caller.remove(&self.subject);
            }
        }
        inner.observer.streams(self.kind, -1);
    }
}

#[cfg(test)]
mod tests;
