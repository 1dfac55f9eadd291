//! The streams of changes of events' seats: one feed each watched event, shared by its readers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::{sync::watch, time::Instant};

use super::{
    Life, Reader, StreamError, StreamKind, Streams,
    feed::{Beginning, Feed, FeedTask, IDLE},
};
use crate::{
    domain::PoolId,
    gateway::{Caller, Queries, Scope, queries::allow, view::Snapshot},
    ports::{Clock, Entropy},
};

/// The most feeds at a time. Each keeps up to 4 MiB of frames, and the state that it told last.
const FEEDS_MAX: usize = 100;

/// The last so many feeds are for callers that have begun fewer than so many: one that watches every
/// event leaves the others room.
const FEEDS_KEPT: usize = FEEDS_MAX / 4;

/// The feeds of a process, by event.
#[derive(Default)]
pub(super) struct Feeds {
    by_pool: Mutex<BTreeMap<PoolId, Arc<Feed>>>,
}

/// Streams changes of events' seats. Clones share the feeds.
#[derive(Clone)]
pub struct Changes {
    queries: Arc<Queries>,
    streams: Streams,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    feeds: Arc<Feeds>,
}

/// A stream that has begun.
pub struct Opened {
    /// What it tells.
    pub reader: Reader,
    /// How long.
    pub life: Life,
}

impl Changes {
    /// No feeds yet.
    #[must_use]
    pub fn new(
        queries: Arc<Queries>,
        streams: Streams,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self { queries, streams, clock, entropy, feeds: Arc::default() }
    }

    /// Begins a stream of an event's changes after the frame `since`; where that is not given, not
    /// known or too long ago, with a snapshot.
    ///
    /// # Errors
    ///
    /// There is no such event, or it is too large; the caller lacks [`Scope::Read`]; the tables
    /// cannot be read; there are as many streams as there may be, or the process is about to end.
    pub async fn open(
        &self,
        caller: &Caller,
        event_id: u64,
        since: Option<&str>,
    ) -> Result<Opened, StreamError> {
        allow(caller, Scope::Read)?;
        let life = self.streams.begin(caller, StreamKind::Changes)?;
        if let Some(reader) = self.feeds.join(&PoolId::Event(event_id), caller, since) {
            return Ok(Opened { reader, life });
        }
        let snapshot = self.queries.snapshot(caller, event_id).await?;
        let layout = snapshot.layout().await?.tag;
        let begun = self.begin(caller, PoolId::Event(event_id), snapshot, layout, since);
        let reader = begun.inspect_err(|error| self.streams.count_refused(error))?;
        Ok(Opened { reader, life })
    }

    /// The streams that these are among.
    #[must_use]
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Begins a feed, unless another has begun it meanwhile.
    fn begin(
        &self,
        caller: &Caller,
        pool: PoolId,
        snapshot: Snapshot,
        layout: Arc<str>,
        since: Option<&str>,
    ) -> Result<Reader, StreamError> {
        let mut feeds = self.feeds.by_pool();
        if let Some(feed) = feeds.get(&pool).filter(|feed| feed.is_alive()) {
            return Ok(Reader::new(feed, caller, since));
        }
        let is_scarce = feeds.len() >= FEEDS_MAX.saturating_sub(FEEDS_KEPT);
        let is_its_own = |feed: &Feed| feed.is_of(&caller.subject);
        let has_its_share = || feeds.values().filter(|feed| is_its_own(feed)).count() >= FEEDS_KEPT;
        if is_scarce && has_its_share() && !make_room(&mut feeds, is_its_own) {
            return Err(StreamError::CallerFeedsFull);
        }
        if feeds.len() >= FEEDS_MAX && !make_room(&mut feeds, |_| true) {
            return Err(StreamError::FeedsFull);
        }
        let views = self.queries.views();
        let (news, hears) = watch::channel(());
        let now = Instant::now();
        let read_at = now.checked_sub(snapshot.age).unwrap_or(now);
        let (epoch, _) = self.entropy.uuid().as_u64_pair();
        let (clock, stop) = (Arc::clone(&self.clock), self.streams.drained().child_token());
        let watch = views.watch(&pool, &self.entropy);
        let beginning = Beginning { pool, epoch, snapshot, layout, clock, stop };
        let feed = Arc::new(Feed::new(beginning, hears));
        let task = FeedTask {
            feed: Arc::clone(&feed),
            feeds: Arc::downgrade(&self.feeds),
            watch,
            news,
            stale: views.stale_after(),
            read_at,
            looked: self.clock.now(),
        };
        let reader = Reader::new(&feed, caller, since);
        feeds.insert(feed.pool.clone(), feed);
        tokio::spawn(task.run());
        Ok(reader)
    }
}

impl Feeds {
    fn by_pool(&self) -> MutexGuard<'_, BTreeMap<PoolId, Arc<Feed>>> {
        self.by_pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reader of a feed that there is.
    fn join(&self, pool: &PoolId, caller: &Caller, since: Option<&str>) -> Option<Reader> {
        let feeds = self.by_pool();
        let feed = feeds.get(pool).filter(|feed| feed.is_alive())?;
        Some(Reader::new(feed, caller, since))
    }
}

/// Ends the feed without readers that was read least recently, of those that may end; whether there
/// was one.
fn make_room(feeds: &mut BTreeMap<PoolId, Arc<Feed>>, may_end: impl Fn(&Feed) -> bool) -> bool {
    let candidates = feeds.values().filter(|feed| may_end(feed));
    let unread = candidates.filter_map(|feed| Some((feed.unread_since()?, feed)));
    let Some((_, feed)) = unread.min_by_key(|(since, _)| *since) else { return false };
    let feed = Arc::clone(feed);
    feed.stop.cancel();
    feeds.remove(&feed.pool).is_some()
}

/// The feed has ended.
pub(super) fn leave(feeds: &Feeds, feed: &Arc<Feed>) {
    let mut feeds = feeds.by_pool();
    if feeds.get(&feed.pool).is_some_and(|listed| Arc::ptr_eq(listed, feed)) {
        feeds.remove(&feed.pool);
    }
}

/// Ends a feed that nobody has read for [`IDLE`], so that nobody joins it meanwhile.
pub(super) fn leave_if_idle(feeds: &Weak<Feeds>, feed: &Arc<Feed>) -> bool {
    let Some(feeds) = feeds.upgrade() else { return feed.unread_since().is_some() };
    let mut feeds = feeds.by_pool();
    let is_idle = feed.unread_since().is_some_and(|since| since.elapsed() >= IDLE);
    if is_idle && feeds.get(&feed.pool).is_some_and(|listed| Arc::ptr_eq(listed, feed)) {
        feeds.remove(&feed.pool);
    }
    is_idle
}
