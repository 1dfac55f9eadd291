//! A small complete world for decisions: for every item that could exist it is known whether it
//! does.

use std::collections::BTreeMap;

use inventory_worker::{
    decide::{self, Change, ItemKey, Limits, State, Verdict},
    domain::{
        Action, BookingId, Cancel, Command, CommandKey, Confirm, Digest, Expire, Extend, Fulfil,
        Goods, Holdings, LineChange, LineKey, Modify, OrderLine, PoolId, Rejection, RejectionCode,
        Reservation, ReservationId, Reserve, Restock, RestockMode, RestockStatus, Seat, SeatChange,
        SeatKey, SeatNumber, Sku, StockLevel, Timestamp, UserId,
    },
};
use uuid::Uuid;

/// The existing items, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Items {
    pub reservations: BTreeMap<ReservationId, Reservation>,
    pub seats: BTreeMap<SeatKey, Seat>,
    pub lines: BTreeMap<LineKey, StockLevel>,
}

impl Items {
    /// Applies a change.
    pub fn put(&mut self, change: Change) {
        match change {
            Change::Reservation(reservation) => {
                self.reservations.insert(reservation.reservation_id, reservation);
            }
            Change::Seat(key, seat) => {
                self.seats.insert(key, seat);
            }
            Change::Line(key, line) => {
                self.lines.insert(key, line);
            }
        }
    }
}

/// The items that could exist.
#[derive(Clone, Debug)]
pub struct Universe {
    pub reservations: Vec<ReservationId>,
    pub seats: Vec<SeatKey>,
    pub lines: Vec<LineKey>,
}

impl Universe {
    /// The items of pools with the same seat numbers (if they are events) and SKUs.
    pub fn of(pools: &[PoolId], seats: &[&str], skus: &[&str], reservations: u32) -> Self {
        let mut universe = Self {
            reservations: (0..reservations).map(reservation_id).collect(),
            seats: Vec::new(),
            lines: Vec::new(),
        };
        for pool in pools {
            if let Some(event_id) = pool.event_id() {
                let key = |seat: &&str| SeatKey { event_id, number: number(seat) };
                universe.seats.extend(seats.iter().map(key));
            }
            let key = |name: &&str| LineKey { pool: pool.clone(), sku: sku(name) };
            universe.lines.extend(skus.iter().map(key));
        }
        universe
    }
}

/// The state of a universe, and the operator's limits.
pub struct World {
    pub limits: Limits,
    universe: Universe,
    state: State,
    commands: u32,
}

/// The result of one command.
#[derive(Debug)]
pub struct Ran {
    pub command: Command,
    pub verdict: Verdict,
    pub changes: Vec<Change>,
}

impl World {
    /// Nothing exists yet.
    pub fn empty(universe: Universe) -> Self {
        let state = state_of(&universe, &Items::default());
        Self { limits: Limits::default(), universe, state, commands: 0 }
    }

    /// Sets an item to a state that no command would produce.
    pub fn plant(&mut self, change: Change) {
        let mut items = self.items();
        items.put(change);
        self.state = state_of(&self.universe, &items);
    }

    /// Decides a command.
    pub fn run(&mut self, pool: &PoolId, action: Action, now: Timestamp) -> Ran {
        self.run_by(pool, action, None, now)
    }

    /// Decides a command with an `expirytime`.
    pub fn run_by(
        &mut self,
        pool: &PoolId,
        action: Action,
        deadline: Option<Timestamp>,
        now: Timestamp,
    ) -> Ran {
        self.commands += 1;
        let command = Command { deadline, ..command(self.commands, pool, action) };
        let verdict = decide::decide(&mut self.state, &command, &self.limits, now)
            .unwrap_or_else(|error| panic!("{command:?} at {now}: {error}"));
        Ran { command, verdict, changes: self.state.take_changes() }
    }

    /// Everything that exists.
    pub fn items(&self) -> Items {
        let mut items = Items::default();
        for id in &self.universe.reservations {
            let found = self.state.reservation(*id).unwrap().cloned();
            items.reservations.extend(found.map(|found| (*id, found)));
        }
        for key in &self.universe.seats {
            let found = self.state.seat(key).unwrap().cloned();
            items.seats.extend(found.map(|found| (key.clone(), found)));
        }
        for key in &self.universe.lines {
            let found = self.state.line(key).unwrap().cloned();
            items.lines.extend(found.map(|found| (key.clone(), found)));
        }
        items
    }
}

/// A state that knows for every item whether it exists.
pub fn state_of(universe: &Universe, items: &Items) -> State {
    let reservations = &universe.reservations;
    State::new(
        reservations.iter().map(|id| (*id, items.reservations.get(id).cloned())).collect(),
        universe.seats.iter().map(|key| (key.clone(), items.seats.get(key).cloned())).collect(),
        universe.lines.iter().map(|key| (key.clone(), items.lines.get(key).cloned())).collect(),
    )
}

impl Ran {
    /// The reservation of an outcome that carries one.
    pub fn reservation(&self) -> &Reservation {
        let outcome = &self.verdict.outcome;
        outcome.reservation().unwrap_or_else(|| panic!("no reservation in {outcome:?}"))
    }

    /// The rejection, after checking that it changed nothing.
    pub fn rejection(&self) -> &Rejection {
        assert_eq!(self.changes, [], "a rejected command leaves no changes");
        self.verdict.outcome.rejection().unwrap_or_else(|| panic!("no rejection: {self:?}"))
    }

    /// The code of the rejection, after checking that it changed nothing.
    pub fn code(&self) -> RejectionCode {
        self.rejection().code
    }
}

/// A command with a new identity.
pub fn command(count: u32, pool: &PoolId, action: Action) -> Command {
    let key = CommandKey {
        source: "/tests".parse().unwrap(),
        id: format!("command-{count}").parse().unwrap(),
    };
    let mut digest = [0; 32];
    digest[..4].copy_from_slice(&count.to_be_bytes());
    Command { key, digest: Digest(digest), deadline: None, pool: pool.clone(), action }
}

/// An instant of one day: `at("10:00:00")`.
pub fn at(time_of_day: &str) -> Timestamp {
    format!("2026-11-22T{time_of_day}Z").parse().unwrap()
}

pub fn event(id: u64) -> PoolId {
    PoolId::Event(id)
}

pub fn store(id: &str) -> PoolId {
    PoolId::Store(id.parse().unwrap())
}

pub fn reservation_id(count: u32) -> ReservationId {
    ReservationId(Uuid::from_u128(u128::from(count)))
}

/// The items a verdict on a reservation of event 42 depends on if it has lost these seats.
pub fn read_dependencies(count: u32, lost: &[&str]) -> Vec<ItemKey> {
    dependencies(count, lost, &[])
}

/// The items a verdict on a reservation of event 42 depends on if these seats and lines forbid it.
pub fn dependencies(count: u32, seats: &[&str], skus: &[&str]) -> Vec<ItemKey> {
    let seat = |seat: &&str| ItemKey::Seat(SeatKey { event_id: 42, number: number(seat) });
    let line = |name: &&str| ItemKey::Line(LineKey { pool: event(42), sku: sku(name) });
    let reservation = ItemKey::Reservation(reservation_id(count));
    let items = seats.iter().map(seat).chain(skus.iter().map(line));
    std::iter::once(reservation).chain(items).collect()
}

pub fn number(seat: &str) -> SeatNumber {
    seat.parse().unwrap()
}

pub fn numbers(seats: &[&str]) -> Vec<SeatNumber> {
    seats.iter().map(|seat| number(seat)).collect()
}

pub fn sku(name: &str) -> Sku {
    name.parse().unwrap()
}

pub fn user(name: &str) -> UserId {
    name.parse().unwrap()
}

pub fn booking(name: &str) -> BookingId {
    name.parse().unwrap()
}

pub fn quantities(lines: &[(&str, u64)]) -> Vec<OrderLine> {
    lines.iter().map(|(name, quantity)| OrderLine { sku: sku(name), quantity: *quantity }).collect()
}

/// A reserve for 600 seconds, whatever the operator's limits.
pub fn reserve(id: u32, by: &str, seats: &[&str], lines: &[(&str, u64)]) -> Reserve {
    Reserve {
        reservation_id: reservation_id(id),
        user_id: user(by),
        seats: numbers(seats),
        lines: quantities(lines),
        hold_seconds: Some(600),
    }
}

pub fn confirm(id: u32, booked: &str) -> Confirm {
    Confirm::new(reservation_id(id), booking(booked))
}

/// A confirm whose goods stay.
pub fn confirm_stay(id: u32, booked: &str) -> Confirm {
    Confirm { goods: Goods::Stay, ..confirm(id, booked) }
}

/// A confirm of a hold that may have run out.
pub fn confirm_late(id: u32, booked: &str) -> Confirm {
    Confirm { allow_expired: true, ..confirm(id, booked) }
}

pub fn fulfil(id: u32) -> Fulfil {
    Fulfil { reservation_id: reservation_id(id), user_id: None }
}

pub fn extend(id: u32, hold_seconds: u32) -> Extend {
    Extend { reservation_id: reservation_id(id), hold_seconds, user_id: None }
}

pub fn holdings(seats: &[&str], lines: &[(&str, u64)]) -> Holdings {
    Holdings { seats: numbers(seats), lines: quantities(lines) }
}

pub fn modify(id: u32, add: Holdings, remove: Holdings) -> Modify {
    Modify { reservation_id: reservation_id(id), add, remove, user_id: None }
}

pub fn cancel(id: u32) -> Cancel {
    Cancel::new(reservation_id(id))
}

pub fn refund(id: u32) -> Cancel {
    Cancel { refund: true, ..cancel(id) }
}

pub fn expire(id: u32) -> Expire {
    Expire { reservation_id: reservation_id(id) }
}

/// A restock of seats without details.
pub fn restock_seats(seats: &[&str]) -> Restock {
    let seats = seats.iter().map(|seat| seat_change(seat, None)).collect();
    Restock::new(seats, Vec::new(), RestockMode::Set)
}

pub fn restock_lines(mode: RestockMode, lines: &[(&str, i64)]) -> Restock {
    let line = |(name, quantity): &(&str, i64)| LineChange::new(sku(name), *quantity);
    Restock::new(Vec::new(), lines.iter().map(line).collect(), mode)
}

pub fn seat_change(seat: &str, status: Option<RestockStatus>) -> SeatChange {
    SeatChange {
        number: number(seat),
        section: None,
        row_number: None,
        seat_type: None,
        price: None,
        status,
    }
}
