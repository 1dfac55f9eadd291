//! The contract's rules for each command, by example.

mod cancel;
mod confirm;
mod confirm_late;
mod expire;
mod expirytime;
mod extend;
mod fulfil;
mod modify;
mod modify_refused;
mod reserve;
mod restock;
mod restock_lines;
mod withheld;

use inventory_worker::{
    decide::{self, Change},
    domain::{
        Action, Cancel, Changes, Confirm, Expire, Extend, Fulfil, ItemState, LineKey, Modify,
        PoolId, Reserve, Restock, RestockMode, RestockStatus, Seat, SeatKey, SeatState, StockLevel,
        Timestamp,
    },
};

use crate::world::{
    Ran, Universe, World, at, event, number, reserve, restock_lines, restock_seats, seat_change,
    sku, store,
};

/// The event of every test, unless stated otherwise.
const EVENT: u64 = 42;

/// Seats on sale, A-5 BLOCKED, no others; ten each of `x` and `y`, no `z`; no other pool
/// has any stock.
struct Show {
    world: World,
}

impl Show {
    fn new() -> Self {
        let pools = [event(EVENT), event(43), store("s")];
        let seats = ["A-1", "A-2", "A-3", "A-4", "A-5", "B-1", "B-2"];
        let mut world = World::empty(Universe::of(&pools, &seats, &["x", "y", "z"], 10));
        let mut stock = restock_seats(&["A-1", "A-2", "A-3", "A-4"]);
        stock.seats.push(seat_change("A-5", Some(RestockStatus::Blocked)));
        stock.lines = restock_lines(RestockMode::Set, &[("x", 10), ("y", 10)]).lines;
        world.run(&event(EVENT), Action::Restock(stock), at("09:00:00"));
        Self { world }
    }

    fn reserve(&mut self, reserve: Reserve, now: &str) -> Ran {
        self.run(&event(EVENT), Action::Reserve(reserve), now)
    }

    fn extend(&mut self, extend: Extend, now: &str) -> Ran {
        self.run(&event(EVENT), Action::Extend(extend), now)
    }

    fn modify(&mut self, modify: Modify, now: &str) -> Ran {
        self.run(&event(EVENT), Action::Modify(modify), now)
    }

    fn fulfil(&mut self, fulfil: Fulfil, now: &str) -> Ran {
        self.run(&event(EVENT), Action::Fulfil(fulfil), now)
    }

    fn confirm(&mut self, confirm: Confirm, now: &str) -> Ran {
        self.run(&event(EVENT), Action::Confirm(confirm), now)
    }

    fn cancel(&mut self, cancel: Cancel, now: &str) -> Ran {
        self.run(&event(EVENT), Action::Cancel(cancel), now)
    }

    fn expire(&mut self, expire: Expire, now: &str) -> Ran {
        self.run(&event(EVENT), Action::Expire(expire), now)
    }

    fn restock(&mut self, restock: Restock, now: &str) -> Ran {
        self.run(&event(EVENT), Action::Restock(restock), now)
    }

    fn run(&mut self, pool: &PoolId, action: Action, now: &str) -> Ran {
        let before = self.world.items();
        let ran = self.world.run(pool, action, at(now));
        // For any command: its reported changes are the actual changes, each item once, by one
        // version, and the state reflects them.
        let mut after = before.clone();
        for change in &ran.changes {
            let was = version_of(&after, change);
            assert_eq!(change.version(), was + 1, "{change:?}");
            after.put(change.clone());
        }
        assert_eq!(self.world.items(), after);
        ran
    }

    fn seat(&self, seat: &str) -> Seat {
        let key = SeatKey { event_id: EVENT, number: number(seat) };
        self.world.items().seats[&key].clone()
    }

    fn status(&self, seat: &str) -> &'static str {
        self.seat(seat).occupancy.status().as_str()
    }

    fn line(&self, name: &str) -> StockLevel {
        self.world.items().lines[&line_key(name)].clone()
    }

    /// The available, reserved and committed quantities.
    fn stock(&self, name: &str) -> [i64; 3] {
        let line = self.line(name);
        [line.available, line.reserved, line.committed]
    }

    /// The available and reserved quantities.
    fn figures(&self, name: &str) -> (i64, i64) {
        let line = self.line(name);
        (line.available, line.reserved)
    }

    /// Sets the line's quantities to values that few commands cannot reach.
    fn plant_line(&mut self, name: &str, available: i64, reserved: i64) {
        let line = StockLevel { available, reserved, ..self.line(name) };
        self.world.plant(Change::Line(line_key(name), line));
    }
}

/// Ann's reservation 1: and three of `x`, from 10:00 to 10:10.
fn reserved() -> Show {
    let mut show = Show::new();
    show.reserve(reserve(1, "ann", &["A-1", "A-2"], &[("x", 3)]), "10:00:00").reservation();
    show
}

/// Whether the seats become BLOCKED, or AVAILABLE.
fn restock_status(seats: &[&str], status: RestockStatus) -> Restock {
    let seats = seats.iter().map(|seat| seat_change(seat, Some(status))).collect();
    Restock { seats, ..restock_seats(&[]) }
}

/// The changes as a result lists them, sorted: `A-1 v2 RESERVED until 10:10:00`, and for a line on
/// hand, available and reserved.
fn listed(ran: &Ran) -> Vec<String> {
    let Changes::Listed(states) = decide::listed(&ran.changes) else { panic!("not listed") };
    let text = |state: &ItemState| match state {
        ItemState::Seat { seat_number, version, status, reserved_until: None } => {
            format!("{seat_number} v{version} {status}")
        }
        ItemState::Seat { seat_number, version, status, reserved_until: Some(until) } => {
            format!("{seat_number} v{version} {status} until {}", until.strftime("%H:%M:%S"))
        }
        ItemState::Line { sku, version, on_hand, available, reserved } => {
            format!("{sku} v{version} {on_hand} {available} {reserved}")
        }
    };
    let mut texts: Vec<String> = states.iter().map(text).collect();
    texts.sort();
    texts
}

fn version_of(items: &crate::world::Items, change: &Change) -> u64 {
    match change {
        Change::Reservation(reservation) => {
            items.reservations.get(&reservation.reservation_id).map_or(0, |found| found.version)
        }
        Change::Seat(key, _) => items.seats.get(key).map_or(0, |found| found.version),
        Change::Line(key, _) => items.lines.get(key).map_or(0, |found| found.version),
    }
}

fn line_key(name: &str) -> LineKey {
    LineKey { pool: event(EVENT), sku: sku(name) }
}

/// A hold on a seat.
fn held(id: u32, by: &str, until: Timestamp) -> SeatState {
    SeatState::Reserved {
        reservation_id: crate::world::reservation_id(id),
        by: crate::world::user(by),
        until,
    }
}
