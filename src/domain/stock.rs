//! Counted stock.

use super::{PoolId, Sku, Timestamp};

/// The largest quantity of one line of a command.
pub const QUANTITY_MAX: u64 = 1_000_000_000;

/// The largest on hand a line may reach.
pub const ON_HAND_MAX: i64 = 9_000_000_000_000_000;

/// One SKU of one pool.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineKey {
    /// The pool that sells it.
    pub pool: PoolId,
    /// The counted SKU.
    pub sku: Sku,
}

/// A counted quantity. `on_hand = available + reserved + committed` holds by construction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StockLevel {
    /// May be sold. Below zero after a shortfall: nothing is sold until it is positive.
    pub available: i64,
    /// Held by ACTIVE reservations.
    pub reserved: i64,
    /// Sold and still there, until a fulfil.
    pub committed: i64,
    /// The newest `as_of` of an applied `set`.
    pub as_of: Option<Timestamp>,
    /// Goes up by one at each change; 1 when created.
    pub version: u64,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl StockLevel {
    /// The physical quantity, `available + reserved + committed`.
    #[must_use]
    pub fn on_hand(&self) -> i64 {
        self.available.saturating_add(self.reserved).saturating_add(self.committed)
    }
}
