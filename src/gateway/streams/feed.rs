//! The feed of a watched event: finds what changed, numbers and encodes it, for all its readers.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    Bye,
    changes::{Feeds, leave, leave_if_idle},
    frame::{Frame, FrameId, State},
    reader::{ChangesSnapshot, FeedUpdate},
};
use crate::{
    domain::{PoolId, Timestamp},
    gateway::view::{Found, PoolView, Snapshot, Watch},
    ports::{Clock, PortError},
};

/// Between two frames: four a second at most.
pub(super) const FRAME_EVERY: Duration = Duration::from_millis(250);

/// The most frames that are kept for readers that return, and the most bytes of them.
const FRAMES_MAX: usize = 1_024;
const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A feed that nobody has read for so long ends.
pub(super) const IDLE: Duration = Duration::from_secs(60);

/// More changes at once than one in so many seats are told as a snapshot, which is smaller then.
const SNAPSHOT_SHARE: usize = 4;
/// As many changes are always told as a delta.
const DELTA_SEATS: usize = 64;

/// What a feed has published, for its readers.
pub(super) struct Feed {
    pub(super) pool: PoolId,
    epoch: u64,
    clock: Arc<dyn Clock>,
    news: watch::Receiver<()>,
    /// Ends this feed before its time.
    pub(super) stop: CancellationToken,
    published: Mutex<Published>,
}

struct Published {
    state: Arc<State>,
    /// The frames that led to it from the last snapshot on, the oldest first.
    frames: VecDeque<Arc<Frame>>,
    bytes: usize,
    /// When the last read of the view began.
    as_of: Timestamp,
    ended: Option<Bye>,
    /// How many readers each caller has, by subject.
    readers: BTreeMap<String, usize>,
    /// The subject of the reader that came or left last.
    last_reader: String,
    /// When the last reader came or left.
    last_read: Instant,
}

impl Published {
    fn read_by(&mut self, subject: &str) {
        self.last_read = Instant::now();
        subject.clone_into(&mut self.last_reader);
    }
}

/// What a feed begins with.
pub(super) struct Beginning {
    pub(super) pool: PoolId,
    pub(super) epoch: u64,
    pub(super) snapshot: Snapshot,
    /// The tag of its layout.
    pub(super) layout: Arc<str>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stop: CancellationToken,
}

impl Feed {
    /// A feed that tells nothing before its task runs.
    pub(super) fn new(beginning: Beginning, news: watch::Receiver<()>) -> Self {
        let Beginning { pool, epoch, snapshot, layout, clock, stop } = beginning;
        let id = FrameId { epoch, number: 0 };
        let state = State::new(id, snapshot.shared_view(), layout, clock.now());
        let published = Published {
            state: Arc::new(state),
            frames: VecDeque::new(),
            bytes: 0,
            as_of: snapshot.as_of,
            ended: None,
            readers: BTreeMap::new(),
            last_reader: String::new(),
            last_read: Instant::now(),
        };
        Self { pool, epoch, clock, news, stop, published: Mutex::new(published) }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether its task tells more.
    pub(super) fn is_alive(&self) -> bool {
        !self.stop.is_cancelled()
            && self.news.has_changed().is_ok()
            && self.published().ended.is_none()
    }

    /// Another reader, of the caller with this subject.
    pub(super) fn join(&self, subject: &str) -> watch::Receiver<()> {
        let mut published = self.published();
        *published.readers.entry(subject.to_owned()).or_default() += 1;
        published.read_by(subject);
        self.news.clone()
    }

    /// One reader less of that caller.
    pub(super) fn leave(&self, subject: &str) {
        let mut published = self.published();
        if let Some(readers) = published.readers.get_mut(subject) {
            *readers = readers.saturating_sub(1);
            if *readers == 0 {
                published.readers.remove(subject);
            }
        }
        published.read_by(subject);
    }

    /// Since when it has had no reader.
    pub(super) fn unread_since(&self) -> Option<Instant> {
        let published = self.published();
        published.readers.is_empty().then_some(published.last_read)
    }

    /// Whether it is there for this caller alone: no other reads it, or was the last to.
    pub(super) fn is_of(&self, subject: &str) -> bool {
        let published = self.published();
        match published.readers.len() {
            0 => published.last_reader == subject,
            1 => published.readers.contains_key(subject),
            _ => false,
        }
    }

    /// The position that an id names; `None` where this feed has not told so far.
    pub(super) fn position(&self, id: FrameId) -> Option<u64> {
        (id.epoch == self.epoch && id.number <= self.published().state.id.number)
            .then_some(id.number)
    }

    /// What comes after a position: the frames, or a snapshot where not all are kept or there are
    /// more than `lag_max`; `None` where nothing has come yet.
    pub(super) fn after(&self, position: Option<u64>, lag_max: u64) -> Option<FeedUpdate> {
        let published = self.published();
        let last = published.state.id.number;
        if position == Some(last) {
            return published.ended.map(FeedUpdate::End);
        }
        let first = published.frames.front().map(|frame| frame.id.number);
        let is_near = |at: &u64| last.saturating_sub(*at) <= lag_max;
        let covers = |at: &u64| first.is_some_and(|first| first <= at.saturating_add(1));
        if let Some(at) = position.filter(is_near).filter(covers) {
            let frames = published.frames.iter().filter(|frame| frame.id.number > at);
            let layout = published.state.view.shared_layout();
            return Some(FeedUpdate::Frames { frames: frames.cloned().collect(), layout });
        }
        let (state, as_of) = (Arc::clone(&published.state), published.as_of);
        let now = self.clock.now().max(state.now);
        Some(FeedUpdate::Snapshot(ChangesSnapshot { state, as_of, now }))
    }

    fn published(&self) -> MutexGuard<'_, Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> Arc<State> {
        Arc::clone(&self.published().state)
    }

    /// Tells the state that a frame led to, or a snapshot of it without one.
    fn publish(&self, state: State, frame: Option<Frame>) {
        let mut published = self.published();
        published.state = Arc::new(state);
        let Some(frame) = frame else {
            published.frames.clear();
            published.bytes = 0;
            return;
        };
        published.bytes = published.bytes.saturating_add(frame.bytes());
        published.frames.push_back(Arc::new(frame));
        while published.frames.len() > FRAMES_MAX || published.bytes > FRAME_BYTES_MAX {
            let Some(oldest) = published.frames.pop_front() else { return };
            published.bytes = published.bytes.saturating_sub(oldest.bytes());
        }
    }
}

/// Runs a feed.
pub(super) struct FeedTask {
    pub(super) feed: Arc<Feed>,
    pub(super) feeds: Weak<Feeds>,
    pub(super) watch: Watch,
    pub(super) news: watch::Sender<()>,
    /// How old the view may become.
    pub(super) stale: Duration,
    /// When the last read of the view began.
    pub(super) read_at: Instant,
    /// The instant at which changes were last looked for.
    pub(super) looked: Timestamp,
}

impl FeedTask {
    /// Tells changes until the feed ends.
    pub(super) async fn run(mut self) {
        let stop = self.feed.stop.clone();
        let ended = tokio::select! {
            () = stop.cancelled() => None,
            ended = self.publish_changes() => ended,
        };
        if ended.is_some() {
            debug!(pool = %self.feed.pool, ?ended, "the stream of changes ends");
            self.feed.published().ended = ended;
            self.news.send_replace(());
        }
        if let Some(feeds) = self.feeds.upgrade() {
            leave(&feeds, &self.feed);
        }
    }

    /// Why it ended; `None` where nobody has read it.
    async fn publish_changes(&mut self) -> Option<Bye> {
        loop {
            match self.look().await {
                Ok(false) => {}
                Ok(true) => {
                    self.news.send_replace(());
                    // What changes meanwhile is told with the next frame.
                    sleep(FRAME_EVERY).await;
                }
                Err(ended) => return Some(ended),
            }
            let until = self.until();
            tokio::select! {
                () = self.watch.changed() => {}
                () = sleep_until(until) => {}
            }
            if leave_if_idle(&self.feeds, &self.feed) {
                return None;
            }
        }
    }

    /// When to look again without word from the view: a hold ends, the view is too old, or nobody
    /// has read for long enough.
    fn until(&self) -> Instant {
        let tick = Duration::from_millis(1);
        let mut until = self.read_at + self.stale + tick;
        if let Some(end) = self.feed.state().view.next_end(self.looked) {
            let left = end.duration_since(self.feed.clock.now());
            let left = Duration::try_from(left).unwrap_or_default();
            until = until.min(Instant::now() + left.clamp(tick, self.stale));
        }
        match self.feed.unread_since() {
            Some(since) => until.min(since + IDLE),
            None => until,
        }
    }

    /// Looks for changes, and tells them; whether there were any.
    async fn look(&mut self) -> Result<bool, Bye> {
        let published = self.feed.state();
        // The clock may have been set back: what has ended stays ended.
        let now = self.feed.clock.now().max(published.now).max(self.looked);
        self.looked = now;
        let (view, layout) = match self.watch.kept() {
            Some(Found::Absent) => return Err(Bye::Gone),
            Some(Found::TooLarge) => return Err(Bye::TooLarge),
            Some(Found::View(snapshot)) => self.seen(&published, snapshot).await?,
            None if self.read_at.elapsed() > self.stale => return Err(Bye::Unavailable),
            None => (Arc::clone(&published.view), Arc::clone(&published.layout)),
        };
        let changes = (layout == published.layout).then(|| published.changes(&view, now));
        let is_delta = |changes: &Vec<_>| {
            changes.len() <= DELTA_SEATS.max(view.seats().len() / SNAPSHOT_SHARE)
        };
        let changes = changes.filter(is_delta);
        if changes.as_ref().is_some_and(Vec::is_empty) {
            return Ok(false);
        }
        let number = published.id.number.saturating_add(1);
        let state = State::new(FrameId { number, ..published.id }, view, layout, now);
        let as_of = self.feed.published().as_of;
        let frame = changes.map(|seats| Frame::new(&state, as_of, seats));
        self.feed.publish(state, frame);
        Ok(true)
    }

    /// What was read, in which no seat has an older version than was published, and the tag of its
    /// layout.
    async fn seen(
        &mut self,
        published: &State,
        snapshot: Snapshot,
    ) -> Result<(Arc<PoolView>, Arc<str>), Bye> {
        let now = Instant::now();
        self.read_at = now.checked_sub(snapshot.age).unwrap_or(now);
        self.feed.published().as_of = snapshot.as_of;
        let view = snapshot.shared_view();
        let layout = if std::ptr::eq(view.layout(), published.view.layout()) {
            Arc::clone(&published.layout)
        } else {
            let stopped = |_: PortError| Bye::Draining;
            snapshot.layout().await.map_err(stopped)?.tag
        };
        // A projection that was dropped and read again knows nothing of what it had.
        let is_newer = view.is_newer_than(&published.view);
        Ok((if is_newer { view } else { Arc::new(published.view.refreshed(&view)) }, layout))
    }
}
