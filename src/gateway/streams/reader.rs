//! A reader of a feed: a position, and what comes after it.

use std::{sync::Arc, time::Duration};

use axum::body::Bytes;
use tokio::{sync::watch, time::timeout};

use super::{
    Beat, Bye, Life,
    feed::Feed,
    frame::{Frame, FrameId, State},
    sse::{self, EventSource, Step},
};
use crate::{
    domain::Timestamp,
    gateway::{
        Caller,
        view::{PoolView, SeatLayout},
    },
    ports::PortError,
};

/// A reader that is further behind than this gets a snapshot, unless it has just returned.
const LAG_MAX: u64 = 16;

/// What a reader gets from its feed.
#[derive(Clone)]
pub enum FeedUpdate {
    /// What came after the reader's position.
    Frames {
        /// In order.
        frames: Vec<Arc<Frame>>,
        /// The layout of their seats.
        layout: Arc<SeatLayout>,
    },
    /// All there is, in place of what the reader missed.
    Snapshot(ChangesSnapshot),
    /// Nothing more.
    End(Bye),
}

/// All seats, as they have been told.
#[derive(Clone)]
pub struct ChangesSnapshot {
    pub(super) state: Arc<State>,
    /// When the read began that it comes from.
    pub as_of: Timestamp,
    /// The time.
    pub now: Timestamp,
}

impl ChangesSnapshot {
    /// The seats.
    #[must_use]
    pub fn view(&self) -> &PoolView {
        &self.state.view
    }

    /// The instant for which it tells what is sellable.
    #[must_use]
    pub fn sellable_at(&self) -> Timestamp {
        self.state.now
    }

    /// By which a reader returns that has it.
    #[must_use]
    pub fn token(&self) -> String {
        self.state.id.to_string()
    }

    /// What stands before and after the map.
    fn envelope(&self) -> (String, &'static str) {
        let Self { as_of, now, .. } = self;
        (format!(r#"{{"now":"{now}","as_of":"{as_of}","map":"#), "}")
    }

    /// As a server-sent event; the map is shared.
    async fn text(&self) -> Result<Vec<Bytes>, PortError> {
        let map = self.state.map().await?;
        let (before, after) = self.envelope();
        let head = sse::head("snapshot", Some(&self.state.id.to_string()));
        Ok(vec![(head + &before).into(), map, format!("{after}{}", sse::END).into()])
    }

    async fn data(&self) -> Result<String, PortError> {
        let map = self.state.map().await?;
        let (before, after) = self.envelope();
        Ok(before + &String::from_utf8_lossy(&map) + after)
    }
}

/// Reads a feed from a position on.
pub struct Reader {
    feed: Arc<Feed>,
    /// The caller's.
    subject: String,
    news: watch::Receiver<()>,
    /// The last frame that it has; `None` before its first snapshot.
    position: Option<u64>,
    /// It has just returned: it may be as far behind as there are frames.
    returned: bool,
}

impl Reader {
    pub(super) fn new(feed: &Arc<Feed>, caller: &Caller, since: Option<&str>) -> Self {
        let position = since.and_then(FrameId::parse).and_then(|id| feed.position(id));
        let subject = caller.subject.clone();
        let (feed, news) = (Arc::clone(feed), feed.join(&subject));
        Self { feed, subject, news, position, returned: true }
    }

    /// What comes after its position, once there is something. The future may be dropped at any
    /// time; the position moves by [`Self::has`] alone.
    pub async fn next(&mut self) -> FeedUpdate {
        loop {
            self.news.borrow_and_update();
            let lag_max = if self.returned { u64::MAX } else { LAG_MAX };
            if let Some(update) = self.feed.after(self.position, lag_max) {
                return update;
            }
            if self.news.changed().await.is_err() {
                let last = self.feed.after(self.position, lag_max);
                return last.unwrap_or(FeedUpdate::End(Bye::Unavailable));
            }
        }
    }

    /// It has what it was told.
    pub fn has(&mut self, update: &FeedUpdate) {
        let last = match update {
            FeedUpdate::Frames { frames, .. } => frames.last().map(|frame| frame.id),
            FeedUpdate::Snapshot(snapshot) => Some(snapshot.state.id),
            FeedUpdate::End(_) => None,
        };
        self.position = last.map(|id| id.number).or(self.position);
        self.returned = false;
    }

    /// Its place in the feed, by which a reader returns; empty before its first snapshot.
    #[must_use]
    pub fn token(&self) -> String {
        let epoch = self.feed.epoch();
        let id = self.position.map(|number| FrameId { epoch, number }.to_string());
        id.unwrap_or_default()
    }

    /// What comes after its position within `wait`, as the body of an answer in JSON; where nothing
    /// comes, no frames.
    ///
    /// # Errors
    ///
    /// The process is ending.
    pub async fn poll(mut self, life: Life, wait: Duration) -> Result<String, PortError> {
        let first = async {
            loop {
                match life.beat(self.next()).await {
                    Beat::Item(update) => return update,
                    Beat::Bye(reason) => return FeedUpdate::End(reason),
                    Beat::Ping => {}
                }
            }
        };
        let mut frames = Vec::new();
        if let Ok(update) = timeout(wait, first).await {
            self.has(&update);
            match update {
                FeedUpdate::Frames { frames: deltas, .. } => {
                    frames.extend(deltas.iter().map(|frame| {
                        polled("delta", Some(frame.id), &String::from_utf8_lossy(frame.data()))
                    }))
                }
                FeedUpdate::Snapshot(snapshot) => {
                    let data = snapshot.data().await?;
                    frames.push(polled("snapshot", Some(snapshot.state.id), &data));
                }
                FeedUpdate::End(reason) => frames.push(polled("bye", None, &sse::bye_data(reason))),
            }
        }
        Ok(format!(r#"{{"id":"{}","frames":[{}]}}"#, self.token(), frames.join(",")))
    }
}

/// A frame in the answer to a poll. `data` is JSON.
fn polled(event: &str, id: Option<FrameId>, data: &str) -> String {
    let id = id.map(|id| format!(r#""id":"{id}","#)).unwrap_or_default();
    format!(r#"{{"event":"{event}",{id}"data":{data}}}"#)
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.feed.leave(&self.subject);
    }
}

impl EventSource for Reader {
    async fn next(&mut self) -> Step {
        let update = Self::next(self).await;
        let step = match &update {
            FeedUpdate::Frames { frames, .. } => {
                Step::Send(frames.iter().map(|frame| frame.text()).collect())
            }
            FeedUpdate::Snapshot(snapshot) => match snapshot.text().await {
                Ok(pieces) => Step::Send(pieces),
                Err(_) => Step::End(Bye::Draining),
            },
            FeedUpdate::End(reason) => Step::End(*reason),
        };
        self.has(&update);
        step
    }
}
