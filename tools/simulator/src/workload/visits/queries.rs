//! Queries of callers: points, counts, maps, and lists read page by page.

use std::time::Duration;

use super::{Query, UNKNOWN, Walk, What, Who};
use crate::{rng::one_of, workload::Maker};
use inventory_worker::{
    domain::{LineKey, PoolId, SeatKey, SeatStatus},
    gateway::queries::{SEATS_DEFAULT, SeatFilter},
};

impl Maker {
    pub(super) fn query(&mut self, gateway: usize) -> Query {
        let who = match self.rng.u32(0..12) {
            0 => Who::Nobody,
            1..=4 => Who::Reader,
            5..=6 => Who::Shop,
            _ => Who::Local,
        };
        let pool = if self.rng.u32(0..10) == 0 { PoolId::Event(UNKNOWN) } else { self.pool() };
        let what = match (self.rng.u32(0..12), pool.event_id()) {
            (0..=1, Some(event_id)) => self.seat_of(event_id),
            (2, _) => What::Reservation(self.target().id),
            (3..=5, Some(event_id)) => What::Availability(event_id),
            (6..=7, Some(event_id)) => What::Map(event_id),
            (0..=1, None) => {
                let skus = self.skus.get(&pool).cloned().unwrap_or_default();
                let sku = one_of(&mut self.rng, &skus).cloned();
                sku.map_or_else(
                    || self.walk(pool.clone()),
                    |sku| What::Line(LineKey { pool: pool.clone(), sku }),
                )
            }
            _ => self.walk(pool),
        };
        Query { gateway, who, what }
    }

    fn seat_of(&mut self, event_id: u64) -> What {
        let seats = self.seats.get(&PoolId::Event(event_id)).cloned().unwrap_or_default();
        let absent = "Z-1".parse().unwrap_or_else(|_| unreachable!("a seat's number is plain"));
        let number = one_of(&mut self.rng, &seats).cloned().unwrap_or(absent);
        What::Seat(SeatKey { event_id, number })
    }

    fn walk(&mut self, pool: PoolId) -> What {
        let is_seats = pool.event_id().is_some() && self.rng.u32(0..4) > 0;
        let filter = is_seats.then(|| SeatFilter {
            sellable: one_of(&mut self.rng, &[None, None, Some(true), Some(false)])
                .copied()
                .flatten(),
            status: match self.rng.u32(0..6) {
                0 => Some(SeatStatus::Available),
                1 => Some(SeatStatus::Reserved),
                _ => None,
            },
            section: if self.rng.u32(0..5) == 0 { "stalls".parse().ok() } else { None },
        });
        let limit = match self.rng.u32(0..3) {
            0 => SEATS_DEFAULT,
            _ => self.rng.u32(1..=4),
        };
        // A long list of lines is not read one by one.
        let limit = if is_seats || !self.has_chunks { limit } else { limit.max(40) };
        let pause = Duration::from_millis(self.rng.u64(0..=800));
        What::Walk(Walk {
            pool,
            filter,
            limit,
            pause,
            moves: self.rng.u32(0..3) == 0,
            misuses: self.rng.u32(0..4) == 0,
        })
    }
}
