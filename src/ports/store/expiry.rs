//! The index of holds by their end.

use async_trait::async_trait;

use super::PageCursor;
use crate::{
    domain::{PoolId, ReservationId, Timestamp},
    ports::PortError,
};

/// The number of shards of the expiry index. Fixed: a change would orphan indexed holds.
pub const EXPIRY_SHARDS: u32 = 16;

/// The expiry index's shard for an ACTIVE reservation.
#[must_use]
pub fn expiry_shard(id: ReservationId) -> u32 {
    // The last four bytes: random in UUIDv4 and v7, digest in v5.
    let [.., a, b, c, d] = id.0.into_bytes();
    u32::from_be_bytes([a, b, c, d]) % EXPIRY_SHARDS
}

/// An ACTIVE reservation past its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiredHold {
    /// The reservation's id.
    pub reservation_id: ReservationId,
    /// The pool of its seats and lines.
    pub pool: PoolId,
    /// When it ended.
    pub expires_at: Timestamp,
}

/// A range of holds' ends, both bounds included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The earliest end.
    pub from: Timestamp,
    /// The latest end.
    pub until: Timestamp,
}

impl Ended {
    /// Every end up to `until`.
    #[must_use]
    pub fn by(until: Timestamp) -> Self {
        Self { from: Timestamp::MIN, until }
    }
}

/// Holds past their end, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpiredPage {
    /// The page's holds.
    pub holds: Vec<ExpiredHold>,
    /// Where the next page of the same range begins; `None` after the last.
    pub next: Option<PageCursor>,
}

/// A request for one page of holds past their end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiryQuery {
    /// The shard, less than [`EXPIRY_SHARDS`].
    pub shard: u32,
    /// The range of `expires_at`.
    pub ended: Ended,
    /// Where a page of the same shard and the same start of the range ended; `None` for the first
    /// page.
    pub from: Option<PageCursor>,
    /// The most holds of the page.
    pub limit: usize,
}

impl ExpiryQuery {
    /// The first page.
    #[must_use]
    pub fn new(shard: u32, ended: Ended, limit: usize) -> Self {
        Self { shard, ended, from: None, limit }
    }
}

/// Finds holds past their end.
#[async_trait]
pub trait ExpiryIndex: Send + Sync {
    /// ACTIVE reservations of an expiry shard with `expires_at` in the range, the oldest first, at
    /// most `limit`, from the start of the range or from the cursor; reservations released
    /// meanwhile do not affect the cursor. Eventually consistent: it may miss the newest and show
    /// holds that have just ended.
    async fn expired(&self, query: &ExpiryQuery) -> Result<ExpiredPage, PortError>;
}
