//! Strongly consistent reads by key.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::{LedgerKey, LedgerRecord};
use crate::{
    domain::{LineKey, Reservation, ReservationId, Seat, SeatKey, StockLevel},
    ports::PortError,
};

/// The keys of the items to load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadRequest {
    /// Ledger entries.
    pub ledger: BTreeSet<LedgerKey>,
    /// Reservations.
    pub reservations: BTreeSet<ReservationId>,
    /// Seats.
    pub seats: BTreeSet<SeatKey>,
    /// Lines.
    pub lines: BTreeSet<LineKey>,
}

impl LoadRequest {
    /// The number of requested items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ledger.len() + self.reservations.len() + self.seats.len() + self.lines.len()
    }

    /// Whether no item is requested.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The loaded items: every requested key is present, `None` if the item does not exist or is past
/// its [retention](crate::retention).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadSet {
    /// Ledger entries.
    pub ledger: BTreeMap<LedgerKey, Option<LedgerRecord>>,
    /// Reservations.
    pub reservations: BTreeMap<ReservationId, Option<Reservation>>,
    /// Seats.
    pub seats: BTreeMap<SeatKey, Option<Seat>>,
    /// Lines.
    pub lines: BTreeMap<LineKey, Option<StockLevel>>,
}

/// Reads items by key.
#[async_trait]
pub trait ReadStore: Send + Sync {
    /// Reads items with strong consistency. Every requested key is in the answer or the call fails:
    /// an unprocessed key never counts as absent. Not a snapshot: items may be read at different
    /// moments.
    async fn load(&self, wanted: &LoadRequest) -> Result<ReadSet, PortError>;

    /// Checks cheaply that the tables can be reached, for readiness.
    async fn ping(&self) -> Result<(), PortError>;
}
