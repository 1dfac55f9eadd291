//! Queries: what both faces and the command line look up.
//!
//! One seat, line or reservation is read from the tables, strongly consistent. Lists and counts come
//! from the [view](super::view), with their age; those of a pool too large for it come from the
//! tables, page by page.

mod answers;
mod cursor;
mod listing;
mod pace;
mod points;

use std::sync::Arc;

pub use answers::{
    AvailabilityAnswer, DocumentAnswer, Freshness, LineAnswer, LineInfo, Lines, ReservationAnswer,
    SeatAnswer, SeatInfo, SeatOwner, Seats, ViewSource,
};
use pace::Pace;

use super::{
    Caller, Scope,
    observer::{NoopViewObserver, ViewObserver},
    view::{Found, Snapshot, ViewCache, ViewSettings},
};
use crate::{
    domain::{InvalidText, Label, PoolId, SeatStatus},
    ports::{Clock, PortError, ScanStore, SnapshotStore},
};

/// The most seats or lines of one answer.
pub const LIMIT_MAX: u32 = 1_000;

/// The seats of one answer, unless the caller says how many.
pub const SEATS_DEFAULT: u32 = 100;

/// Settings of queries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuerySettings {
    /// How fresh lists are, and how much is kept in memory.
    pub view: ViewSettings,
}

/// A query without an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// There is no such thing.
    #[error("{what} not found")]
    NotFound {
        /// For programs: `EVENT_NOT_FOUND`, `STORE_NOT_FOUND`, `SEAT_NOT_FOUND`, `SKU_NOT_FOUND` or
        /// `RESERVATION_NOT_FOUND`.
        code: &'static str,
        /// What was looked for, for people.
        what: &'static str,
    },
    /// A field of the query is wrong.
    #[error("{field}: expected {expected}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What it should be.
        expected: String,
    },
    /// The caller lacks a scope.
    #[error("the scope {0} is required")]
    NoScope(Scope),
    /// The pool has more entries than are kept in memory, which counts, layouts and maps need.
    #[error("the event has more than {entries_max} seats and lines: read its seats in pages")]
    TooLarge {
        /// The most that are kept.
        entries_max: usize,
    },
    /// Lists of pools too large for memory are read no faster.
    #[error("lists of large events and stores are being read as fast as they may be: try again")]
    Busy,
    /// The tables cannot be read. [`PortError::Throttled`] and [`PortError::Unavailable`] pass; the
    /// others need an operator.
    #[error("the tables cannot be read")]
    Unavailable(#[from] PortError),
}

impl QueryError {
    pub(super) fn invalid(field: &'static str, wrong: InvalidText) -> Self {
        Self::Invalid { field, expected: wrong.expected }
    }

    pub(super) fn no_pool(pool: &PoolId) -> Self {
        match pool {
            PoolId::Event(_) => Self::NotFound { code: "EVENT_NOT_FOUND", what: "event" },
            PoolId::Store(_) => Self::NotFound { code: "STORE_NOT_FOUND", what: "store" },
        }
    }
}

/// Which seats of an event to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeatFilter {
    /// Those that a reserve may take now, or may not.
    pub sellable: Option<bool>,
    /// Those with this status, as stored.
    pub status: Option<SeatStatus>,
    /// Those of this section.
    pub section: Option<Label>,
}

/// A page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// The most entries, 1…[`LIMIT_MAX`]; `None` for the default.
    pub limit: Option<u32>,
    /// [`Seats::next_cursor`] or [`Lines::next_cursor`] of the page before.
    pub cursor: Option<String>,
}

impl PageRequest {
    fn limit(&self, default: u32) -> Result<usize, QueryError> {
        let limit = self.limit.unwrap_or(default);
        if !(1..=LIMIT_MAX).contains(&limit) {
            let expected = format!("an integer from 1 to {LIMIT_MAX}");
            return Err(QueryError::Invalid { field: "limit", expected });
        }
        Ok(usize::try_from(limit).unwrap_or(usize::MAX))
    }
}

/// Looks things up. Every answer says when it was right, and what time it is.
pub struct Queries {
    store: Arc<dyn ScanStore>,
    clock: Arc<dyn Clock>,
    views: ViewCache,
    settings: QuerySettings,
    observer: Arc<dyn ViewObserver>,
    /// Of lists of pools that are too large to keep.
    pace: Pace,
}

impl Queries {
    /// Queries on the tables.
    #[must_use]
    pub fn new(store: Arc<dyn ScanStore>, clock: Arc<dyn Clock>, settings: QuerySettings) -> Self {
        Self::observed(store, clock, settings, Arc::new(NoopViewObserver), None)
    }

    /// Queries on the tables, whose view is watched, and shares its reads over `snapshots`.
    #[must_use]
    pub fn observed(
        store: Arc<dyn ScanStore>,
        clock: Arc<dyn Clock>,
        settings: QuerySettings,
        observer: Arc<dyn ViewObserver>,
        snapshots: Option<Arc<dyn SnapshotStore>>,
    ) -> Self {
        let (tables, time) = (Arc::clone(&store), Arc::clone(&clock));
        let views =
            ViewCache::observed(tables, time, settings.view, Arc::clone(&observer), snapshots);
        Self { store, clock, views, settings, observer, pace: Pace::new() }
    }

    /// The view, for hints and metrics.
    #[must_use]
    pub fn views(&self) -> &ViewCache {
        &self.views
    }

    /// The counts of an event's seats, by section, type and reason.
    ///
    /// # Errors
    ///
    /// There is no such event, or it is too large; the caller lacks [`Scope::Read`]; the tables
    /// cannot be read.
    pub async fn availability(
        &self,
        caller: &Caller,
        event_id: u64,
    ) -> Result<AvailabilityAnswer, QueryError> {
        let snapshot = self.snapshot(caller, event_id).await?;
        let now = self.clock.now();
        let freshness = Freshness::of(&snapshot, now);
        Ok(AvailabilityAnswer { event_id, availability: snapshot.availability(now), freshness })
    }

    /// The layout of an event's seats, in columns: what restocks alone change.
    ///
    /// # Errors
    ///
    /// As [`Self::availability`].
    pub async fn layout(
        &self,
        caller: &Caller,
        event_id: u64,
    ) -> Result<DocumentAnswer, QueryError> {
        let snapshot = self.snapshot(caller, event_id).await?;
        let freshness = Freshness::of(&snapshot, self.clock.now());
        Ok(DocumentAnswer { document: snapshot.layout().await?, freshness })
    }

    /// The states of an event's seats, in columns: what changes in a sale.
    ///
    /// # Errors
    ///
    /// As [`Self::availability`].
    pub async fn map(&self, caller: &Caller, event_id: u64) -> Result<DocumentAnswer, QueryError> {
        let snapshot = self.snapshot(caller, event_id).await?;
        let now = self.clock.now();
        let freshness = Freshness::of(&snapshot, now);
        Ok(DocumentAnswer { document: snapshot.map(now).await?, freshness })
    }

    pub(super) async fn snapshot(
        &self,
        caller: &Caller,
        event_id: u64,
    ) -> Result<Snapshot, QueryError> {
        allow(caller, Scope::Read)?;
        let pool = PoolId::Event(event_id);
        match self.views.get(&pool).await? {
            Found::View(snapshot) => Ok(snapshot),
            Found::Absent => Err(QueryError::no_pool(&pool)),
            Found::TooLarge => {
                Err(QueryError::TooLarge { entries_max: self.settings.view.entries_max })
            }
        }
    }
}

/// Whether the caller has the scope.
pub(super) fn allow(caller: &Caller, scope: Scope) -> Result<(), QueryError> {
    if caller.scopes.has(scope) { Ok(()) } else { Err(QueryError::NoScope(scope)) }
}

#[cfg(test)]
mod tests;
