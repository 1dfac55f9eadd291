//! The pools that somebody watches.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use tokio::sync::watch;

use crate::domain::PoolId;

/// Word of a pool's reads and changes; shared by all who watch it.
pub(super) type News = watch::Sender<()>;

/// Who is told of which pool. As many as are watched.
#[derive(Default)]
pub(super) struct Watched {
    by_pool: BTreeMap<PoolId, Weak<News>>,
}

impl Watched {
    /// Joins those who watch the pool; whether these are the first.
    pub(super) fn join(&mut self, pool: &PoolId) -> (Arc<News>, bool) {
        if let Some(news) = self.by_pool.get(pool).and_then(Weak::upgrade) {
            return (news, false);
        }
        self.by_pool.retain(|_, news| news.strong_count() > 0);
        let news = Arc::new(News::new(()));
        self.by_pool.insert(pool.clone(), Arc::downgrade(&news));
        (news, true)
    }

    /// Whether somebody watches the pool.
    pub(super) fn has(&self, pool: &PoolId) -> bool {
        self.by_pool.get(pool).is_some_and(|news| news.strong_count() > 0)
    }

    /// Something is new of the pool.
    pub(super) fn tell(&self, pool: &PoolId) {
        if let Some(news) = self.by_pool.get(pool).and_then(Weak::upgrade) {
            news.send_replace(());
        }
    }
}
