//! Restocks: small ones, large ones, and ones so large that they are applied in chunks.

use std::time::Duration;

use super::{Maker, then};
use inventory_worker::domain::{
    Action, GroupId, LineChange, PoolId, Restock, RestockMode, RestockStatus, SeatChange,
    SeatNumber, Sku, Timestamp,
};

impl Maker {
    pub(super) fn restock(&mut self, number: usize, at: Duration) -> (PoolId, Action, GroupId) {
        let pool = self.pool();
        let group = self.group(&pool);
        let all_seats = self.seats.get(&pool).cloned().unwrap_or_default();
        let mut all_skus = self.skus.get(&pool).cloned().unwrap_or_default();
        let is_chunked = self.has_chunks && self.rng.u32(0..4) == 0;
        if is_chunked {
            let many = self.rng.usize(100..=220);
            all_skus.extend((0..many).filter_map(|number| format!("y{number}").parse().ok()));
        }
        let is_bulk = !is_chunked && self.has_bulk && self.rng.u32(0..4) > 0;
        if is_bulk {
            let first = self.rng.usize(0..150);
            let last = first + self.rng.usize(50..=90);
            all_skus.extend((first..last).filter_map(|number| format!("y{number}").parse().ok()));
        }
        let mut seats = Vec::new();
        if !all_seats.is_empty() && self.rng.bool() {
            let numbers = self.some_of(&all_seats, 4);
            seats = numbers.into_iter().map(|number| self.seat_change(number)).collect();
        }
        let mode = if self.rng.bool() { RestockMode::Set } else { RestockMode::Add };
        let mut lines = Vec::new();
        if is_chunked || is_bulk || seats.is_empty() || self.rng.bool() {
            let is_large = is_chunked || is_bulk;
            let skus = if is_large { all_skus } else { self.some_of(&all_skus, 3) };
            lines = self.line_changes(skus, mode, number, is_large);
        }
        let reason = if self.rng.u32(0..4) == 0 { "stock take".parse().ok() } else { None };
        let reference = if self.rng.u32(0..4) == 0 { "urn:note:7".parse().ok() } else { None };
        let as_of = self.as_of(at);
        (pool, Action::Restock(Restock { seats, lines, mode, as_of, reason, reference }), group)
    }

    /// When it was counted: about now, or for one in eight later, by little or by a day.
    fn as_of(&mut self, at: Duration) -> Option<Timestamp> {
        let off_s = match self.rng.u32(0..16) {
            0 => self.rng.i64(20..=90),
            1 => 86_400,
            2..=8 => self.rng.i64(-5..=5),
            _ => return None,
        };
        let whole = Duration::from_secs(at.as_secs());
        Some(then(whole, off_s * 1_000))
    }

    /// Some `add`s take away, and some lines expect a version. In a large restock few do, so that
    /// most are applied.
    fn line_changes(
        &mut self,
        skus: Vec<Sku>,
        mode: RestockMode,
        number: usize,
        is_large: bool,
    ) -> Vec<LineChange> {
        let (takes, expects) = if is_large { (60, 60) } else { (5, 8) };
        let mut change = |sku| {
            let quantity = match mode {
                RestockMode::Add if self.rng.u32(0..takes) == 0 => self.rng.i64(-4..=0),
                _ => self.rng.i64(0..=9),
            };
            let expected_version = match self.rng.u32(0..expects) {
                0 => Some(self.rng.u64(0..=3 + number as u64 / 8)),
                _ => None,
            };
            LineChange { sku, quantity, expected_version }
        };
        skus.into_iter().map(&mut change).collect()
    }

    pub(super) fn seat_change(&mut self, number: SeatNumber) -> SeatChange {
        let status = match self.rng.u32(0..8) {
            0..=1 => Some(RestockStatus::Blocked),
            2..=5 => Some(RestockStatus::Available),
            _ => None,
        };
        let section = if self.rng.bool() { "stalls".parse().ok() } else { None };
        let price = ["49.50", "20"].get(self.rng.usize(0..4)).and_then(|price| price.parse().ok());
        SeatChange { number, section, row_number: None, seat_type: None, price, status }
    }
}
