//! Counted stock.

use super::{PoolId, Sku, Timestamp};

/// The largest quantity one line of a command may carry.
pub const QUANTITY_MAX: u64 = 1_000_000_000;

/// The largest on hand a line may reach.
pub const ON_HAND_MAX: i64 = 9_000_000_000_000_000;

/// One SKU of one pool.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineKey {
    /// What it belongs to.
    pub pool: PoolId,
    /// What is counted.
    pub sku: Sku,
}

/// A counted quantity. `on_hand = available + reserved` holds by construction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StockLevel {
    /// What may be sold. Below zero after a shortfall: nothing is sold until it is positive.
    pub available: i64,
    /// What ACTIVE reservations hold.
    pub reserved: i64,
    /// The newest `as_of` a `set` was applied with.
    pub as_of: Option<Timestamp>,
    /// Goes up by one at each change; 1 when created.
    pub version: u64,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl StockLevel {
    /// What is physically there.
    #[must_use]
    pub fn on_hand(&self) -> i64 {
        self.available.saturating_add(self.reserved)
    }
}
