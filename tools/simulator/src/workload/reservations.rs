//! Commands that make, change and end reservations.

use uuid::Uuid;

use super::{Maker, Target, USERS};
use crate::rng::one_of;
use inventory_worker::domain::{
    Action, Cancel, CommandKey, Confirm, Expire, Extend, Fulfil, Goods, GroupId, Holdings, Modify,
    OrderLine, PoolId, ReservationId, Reserve, RestockStatus, SeatNumber, Sku, UserId,
};

impl Maker {
    pub(super) fn reserve(&mut self, key: &CommandKey) -> (PoolId, Action, GroupId) {
        let pool = self.pool();
        let (all_seats, all_skus) = (
            self.seats.get(&pool).cloned().unwrap_or_default(),
            self.skus.get(&pool).cloned().unwrap_or_default(),
        );
        let wants = self.rng.u32(0..4);
        let mut seats = Vec::new();
        if wants < 3 && !all_seats.is_empty() {
            seats = self.some_of(&all_seats, 3);
        }
        let mut lines = Vec::new();
        if wants > 1 || seats.is_empty() {
            let skus = self.some_of(&all_skus, 2);
            let quantity = self.rng.u64(1..=3);
            lines = skus.into_iter().map(|sku| OrderLine { sku, quantity }).collect();
        }
        let reservation_id = match self.rng.u32(0..30) {
            0 => self.made.last().map_or(key.default_reservation_id(), |made| made.id),
            1..=10 => key.default_reservation_id(),
            _ => ReservationId(Uuid::from_u128(self.rng.u128(..))),
        };
        let user = one_of(&mut self.rng, &USERS).copied().unwrap_or("ada");
        let hold_seconds = match self.rng.u32(0..10) {
            0 => None,
            _ => Some(self.rng.u32(1..=self.hold_max)),
        };
        let group = self.group(&pool);
        self.made.push(Target {
            id: reservation_id,
            pool: pool.clone(),
            user,
            group: group.clone(),
            seats: seats.clone(),
            skus: lines.iter().map(|line| line.sku.clone()).collect(),
        });
        let user_id = user.parse().unwrap_or_else(|_| unreachable!("a user's name is plain"));
        let reserve = Reserve { reservation_id, user_id, seats, lines, hold_seconds };
        (pool, Action::Reserve(reserve), group)
    }

    /// A requested reservation, probably a recent one; sometimes one that never existed.
    pub(super) fn target(&mut self) -> Target {
        let recent = self.made.iter().rev().take(6).cloned().collect::<Vec<_>>();
        let all = self.made.clone();
        let from = if self.rng.u32(0..5) > 0 { recent } else { all };
        let found = one_of(&mut self.rng, &from).cloned();
        let target = match found.filter(|_| self.rng.u32(0..40) > 0) {
            Some(made) => made,
            None => {
                let pool = self.pool();
                let group = self.group(&pool);
                let id = ReservationId(Uuid::from_u128(self.rng.u128(..)));
                let (seats, skus) = (Vec::new(), Vec::new());
                Target { id, pool, user: "ada", group, seats, skus }
            }
        };
        let pool = if self.rng.u32(0..40) == 0 { self.pool() } else { target.pool.clone() };
        let group = if self.rng.u32(0..3) == 0 { self.group(&pool) } else { target.group.clone() };
        Target { pool, group, ..target }
    }

    /// Like [`Self::target`], but most are confirmed with goods that stay, if any are.
    fn sold_target(&mut self) -> Target {
        let sold = one_of(&mut self.rng, &self.sold).cloned();
        match sold.filter(|_| self.rng.u32(0..4) > 0) {
            Some(target) => target,
            None => self.target(),
        }
    }

    pub(super) fn user(&mut self) -> UserId {
        let user = one_of(&mut self.rng, &USERS).copied().unwrap_or("ada");
        user.parse().unwrap_or_else(|_| unreachable!("a user's name is plain"))
    }

    fn maybe_user(&mut self, owner: &str) -> Option<UserId> {
        match self.rng.u32(0..10) {
            0 => one_of(&mut self.rng, &USERS).and_then(|user| user.parse().ok()),
            1..=4 => owner.parse().ok(),
            _ => None,
        }
    }

    pub(super) fn extend(&mut self) -> (PoolId, Action, GroupId) {
        let target = self.target();
        let hold_seconds = match self.rng.u32(0..16) {
            0 => self.rng.u32(60..=14_400),
            // Too long in all for a hold of a few seconds.
            1..=2 => self.rng.u32(14_395..=14_400),
            _ => self.rng.u32(1..=self.hold_max.saturating_mul(2)),
        };
        let user_id = self.maybe_user(target.user);
        let extend = Extend { reservation_id: target.id, hold_seconds, user_id };
        (target.pool, Action::Extend(extend), target.group)
    }

    /// Adds some seats and lines of the pool, and removes some that the reservation was made with,
    /// or others.
    pub(super) fn modify(&mut self) -> (PoolId, Action, GroupId) {
        let target = self.target();
        let all_seats = self.seats.get(&target.pool).cloned().unwrap_or_default();
        let all_skus = self.skus.get(&target.pool).cloned().unwrap_or_default();
        let (mut add, mut remove) = (Holdings::default(), Holdings::default());
        let (adds, removes) = (self.rng.u32(0..4) > 0, self.rng.u32(0..4) > 0);
        if removes {
            let is_right = self.rng.u32(0..6) > 0;
            let seats = if is_right { &target.seats } else { &all_seats };
            let skus = if is_right { &target.skus } else { &all_skus };
            remove = self.holdings(seats, skus, 2);
        }
        if adds || remove.entries() == 0 {
            add = self.holdings(&all_seats, &all_skus, 3);
        }
        // None twice.
        add.seats.retain(|seat| !remove.seats.contains(seat));
        add.lines.retain(|line| !remove.lines.iter().any(|other| other.sku == line.sku));
        if add.entries() + remove.entries() == 0 {
            add.lines
                .extend(all_skus.first().map(|sku| OrderLine { sku: sku.clone(), quantity: 1 }));
        }
        if let Some(line) = add.lines.first_mut().filter(|_| self.rng.u32(0..40) == 0) {
            line.quantity = 1_000_000_000;
        }
        let user_id = self.maybe_user(target.user);
        let modify = Modify { reservation_id: target.id, add, remove, user_id };
        (target.pool, Action::Modify(modify), target.group)
    }

    fn holdings(&mut self, seats: &[SeatNumber], skus: &[Sku], quantity_max: u64) -> Holdings {
        let wants = self.rng.u32(0..3);
        let mut holdings = Holdings::default();
        if wants < 2 && !seats.is_empty() {
            holdings.seats = self.some_of(seats, 2);
        }
        if (wants > 0 || holdings.seats.is_empty()) && !skus.is_empty() {
            let skus = self.some_of(skus, 2);
            let quantity = self.rng.u64(1..=quantity_max);
            holdings.lines = skus.into_iter().map(|sku| OrderLine { sku, quantity }).collect();
        }
        holdings
    }

    pub(super) fn confirm(&mut self) -> (PoolId, Action, GroupId) {
        let target = self.target();
        let booking = format!("b{}", self.rng.u32(0..3));
        let booking_id =
            booking.parse().unwrap_or_else(|_| unreachable!("a booking's name is plain"));
        let user_id = self.maybe_user(target.user);
        let goods = if self.rng.bool() { Goods::Stay } else { Goods::Leave };
        if goods == Goods::Stay {
            self.sold.push(target.clone());
        }
        let allow_expired = self.rng.u32(0..3) == 0;
        let confirm =
            Confirm { reservation_id: target.id, booking_id, user_id, goods, allow_expired };
        (target.pool, Action::Confirm(confirm), target.group)
    }

    pub(super) fn fulfil(&mut self) -> (PoolId, Action, GroupId) {
        let target = self.sold_target();
        let user_id = self.maybe_user(target.user);
        let fulfil = Fulfil { reservation_id: target.id, user_id };
        (target.pool, Action::Fulfil(fulfil), target.group)
    }

    pub(super) fn cancel(&mut self) -> (PoolId, Action, GroupId) {
        let refund = self.rng.u32(0..3) == 0;
        let target = if refund { self.sold_target() } else { self.target() };
        let user_id = self.maybe_user(target.user);
        let reason = if self.rng.bool() { "changed my mind".parse().ok() } else { None };
        let seats_to = match self.rng.u32(0..6) {
            0 => RestockStatus::Blocked,
            _ => RestockStatus::Available,
        };
        let cancel = Cancel { reservation_id: target.id, user_id, reason, refund, seats_to };
        (target.pool, Action::Cancel(cancel), target.group)
    }

    pub(super) fn expire(&mut self) -> (PoolId, Action, GroupId) {
        let target = self.target();
        (target.pool, Action::Expire(Expire { reservation_id: target.id }), target.group)
    }
}
