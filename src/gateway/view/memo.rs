//! What is computed from a projection, once a version and instant, and shared.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Availability, Document, PoolView};
use crate::{domain::Timestamp, ports::PortError};

/// What was computed, and for what it holds.
struct Memo<T> {
    generation: u64,
    from: Timestamp,
    /// The end of a hold changes what was computed.
    until: Option<Timestamp>,
    value: T,
}

impl<T: Clone> Memo<T> {
    fn new(view: &PoolView, now: Timestamp, value: T) -> Self {
        Self { generation: view.generation(), from: now, until: view.next_end(now), value }
    }

    fn get(&self, view: &PoolView, now: Timestamp) -> Option<T> {
        let holds = self.generation == view.generation()
            && self.from <= now
            && self.until.is_none_or(|until| now < until || injected_bug!(KeepCounts));
        holds.then(|| self.value.clone())
    }
}

/// What has been computed from the projection of one pool.
#[derive(Default)]
pub(super) struct Memos {
    /// By generation of the layout.
    layout: tokio::sync::Mutex<Option<(u64, Document)>>,
    map: tokio::sync::Mutex<Option<Memo<Document>>>,
    availability: Mutex<Option<Memo<Arc<Availability>>>>,
}

impl Memos {
    /// The layout; one caller encodes it, and the others wait.
    pub(super) async fn layout(&self, view: &Arc<PoolView>) -> Result<Document, PortError> {
        let mut known = self.layout.lock().await;
        let generation = view.layout_generation();
        if let Some((_, document)) = known.as_ref().filter(|(of, _)| *of == generation) {
            return Ok(document.clone());
        }
        let shared = Arc::clone(view);
        let document = apart(move || Document::layout(&shared)).await?;
        *known = Some((generation, document.clone()));
        Ok(document)
    }

    /// The map at `now`; one caller encodes it, and the others wait.
    pub(super) async fn map(
        &self,
        view: &Arc<PoolView>,
        now: Timestamp,
    ) -> Result<Document, PortError> {
        let mut known = self.map.lock().await;
        if let Some(document) = known.as_ref().and_then(|memo| memo.get(view, now)) {
            return Ok(document);
        }
        let layout = self.layout(view).await?.tag;
        let shared = Arc::clone(view);
        let document = apart(move || Document::map(&shared, &layout, now)).await?;
        *known = Some(Memo::new(view, now, document.clone()));
        Ok(document)
    }

    /// The counts at `now`.
    pub(super) fn availability(&self, view: &PoolView, now: Timestamp) -> Arc<Availability> {
        let mut known = self.availability.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counts) = known.as_ref().and_then(|memo| memo.get(view, now)) {
            return counts;
        }
        let counts = Arc::new(Availability::of(view, now));
        *known = Some(Memo::new(view, now, Arc::clone(&counts)));
        counts
    }
}

/// Runs what takes milliseconds on a thread that serves no connections.
pub(in crate::gateway) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PortError> {
    let stopped = |_| PortError::Unavailable("the encoding was stopped".to_owned());
    tokio::task::spawn_blocking(work).await.map_err(stopped)
}
