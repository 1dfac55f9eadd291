//! The contract's rules of state, written again over plain maps and numbers, one rule after the
//! other.

use std::collections::BTreeMap;

use super::{
    ENTRIES_MAX, HOLD_SECONDS_MAX,
    history::{Ask, Plain, SeatAsk},
};

/// The most on hand: "on hand up to 9,000,000,000,000,000".
pub const BOUND: i64 = 9_000_000_000_000_000;

/// The whole world.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// By pool and number.
    pub seats: BTreeMap<(u8, u8), SeatModel>,
    /// By pool and SKU.
    pub lines: BTreeMap<(u8, u8), LineModel>,
    pub reservations: BTreeMap<u32, ReservationModel>,
    /// The reservations in the order they were made.
    pub made: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SeatModel {
    pub status: &'static str,
    /// Where RESERVED or BOOKED.
    pub held_by: Option<u32>,
    pub version: u64,
    pub section: Option<u8>,
    pub price: Option<u8>,
    pub created_ms: i64,
    pub updated_ms: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LineModel {
    pub available: i64,
    pub reserved: i64,
    pub as_of_ms: Option<i64>,
    pub version: u64,
    pub updated_ms: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ReservationModel {
    pub pool: u8,
    pub user: u8,
    pub seats: Vec<u8>,
    pub lines: Vec<(u8, i64)>,
    pub status: &'static str,
    pub booking: Option<u8>,
    pub version: u64,
    pub created_ms: i64,
    pub expires_ms: i64,
    pub ended_ms: Option<i64>,
}

/// The contract's outcome of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// This result type, and the reservation as the model now has it.
    Done(&'static str, u32),
    Restocked {
        seats: (u64, u64),
        lines: (u64, u64),
        skipped: Vec<String>,
    },
    Rejected {
        code: &'static str,
        seats: Vec<u8>,
        lines: Vec<(u8, i64, i64)>,
        /// The reservation, if the rejection depends on it and on the seats.
        read_dependencies: Option<u32>,
    },
}

fn no(code: &'static str) -> Expected {
    Expected::Rejected { code, seats: Vec::new(), lines: Vec::new(), read_dependencies: None }
}

fn no_seats(code: &'static str, seats: Vec<u8>) -> Expected {
    Expected::Rejected { code, seats, lines: Vec::new(), read_dependencies: None }
}

fn no_lines(code: &'static str, lines: Vec<(u8, i64, i64)>) -> Expected {
    Expected::Rejected { code, seats: Vec::new(), lines, read_dependencies: None }
}

impl Model {
    pub fn decide(&mut self, plain: &Plain) -> Expected {
        let (now, pool) = (plain.now_ms, plain.pool);
        match &plain.ask {
            Ask::Reserve { id, user, seats, lines, hold_s } => {
                self.reserve(now, pool, *id, *user, seats, lines, *hold_s)
            }
            Ask::Confirm { id, booking, user } => self.confirm(now, pool, *id, *booking, *user),
            Ask::Cancel { id, user, refund } => self.cancel(now, pool, *id, *user, *refund),
            Ask::Expire { id } => self.expire(now, pool, *id),
            Ask::Restock { seats, add, lines, as_of_ms } => {
                self.restock(now, pool, seats, *add, lines, *as_of_ms)
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of the command, plainly")]
    fn reserve(
        &mut self,
        now: i64,
        pool: u8,
        id: u32,
        user: u8,
        seats: &[u8],
        lines: &[(u8, i64)],
        hold_s: Option<u32>,
    ) -> Expected {
        if seats.len() + lines.len() > ENTRIES_MAX || hold_s.is_some_and(|s| s > HOLD_SECONDS_MAX) {
            return no("LIMIT_EXCEEDED");
        }
        if self.reservations.contains_key(&id) {
            return no("RESERVATION_EXISTS");
        }
        let mut offenders = Vec::new();
        for seat in seats {
            if !self.seats.contains_key(&(pool, *seat)) {
                offenders.push(*seat);
            }
        }
        if !offenders.is_empty() {
            return no_seats("SEAT_NOT_FOUND", offenders);
        }
        let mut short = Vec::new();
        for (sku, quantity) in lines {
            if !self.lines.contains_key(&(pool, *sku)) {
                short.push((*sku, *quantity, 0));
            }
        }
        if !short.is_empty() {
            return no_lines("SKU_NOT_FOUND", short);
        }
        for seat in seats {
            let found = &self.seats[&(pool, *seat)];
            let ran_out = found.status == "RESERVED"
                && self.reservations[&found.held_by.unwrap()].expires_ms <= now;
            if found.status != "AVAILABLE" && !ran_out {
                offenders.push(*seat);
            }
        }
        if !offenders.is_empty() {
            return no_seats("SEATS_UNAVAILABLE", offenders);
        }
        for (sku, quantity) in lines {
            let available = self.lines[&(pool, *sku)].available;
            if available < *quantity {
                short.push((*sku, *quantity, available));
            }
        }
        if !short.is_empty() {
            return no_lines("INSUFFICIENT_STOCK", short);
        }
        for seat in seats {
            self.set_seat(now, (pool, *seat), "RESERVED", Some(id));
        }
        for (sku, quantity) in lines {
            self.move_line(now, (pool, *sku), -quantity, *quantity);
        }
        // Ten minutes, or the operator's limit; rounded up to the next whole second.
        let hold_ms = i64::from(hold_s.unwrap_or(600.min(HOLD_SECONDS_MAX))) * 1000;
        let mut expires_ms = now + hold_ms;
        while expires_ms % 1000 != 0 {
            expires_ms += 1;
        }
        let reservation = ReservationModel {
            pool,
            user,
            seats: seats.to_vec(),
            lines: lines.to_vec(),
            status: "ACTIVE",
            booking: None,
            version: 1,
            created_ms: now,
            expires_ms,
            ended_ms: None,
        };
        self.reservations.insert(id, reservation);
        self.made.push(id);
        Expected::Done("inventory.reserved.v1", id)
    }

    /// The reservation, if it is in the pool and the user's.
    fn found(&self, pool: u8, id: u32, user: Option<u8>) -> Result<ReservationModel, Expected> {
        let Some(found) = self.reservations.get(&id) else {
            return Err(no("RESERVATION_NOT_FOUND"));
        };
        if found.pool != pool {
            return Err(no("RESERVATION_NOT_FOUND"));
        }
        match user {
            Some(user) if user != found.user => Err(no("NOT_OWNER")),
            _ => Ok(found.clone()),
        }
    }

    fn confirm(&mut self, now: i64, pool: u8, id: u32, booking: u8, user: Option<u8>) -> Expected {
        let found = match self.found(pool, id, user) {
            Ok(found) => found,
            Err(no) => return no,
        };
        match found.status {
            "CONFIRMED" if found.booking == Some(booking) => {
                return Expected::Done("inventory.confirmed.v1", id);
            }
            "CONFIRMED" => return no("RESERVATION_CONFIRMED"),
            "CANCELLED" => return no("RESERVATION_CANCELLED"),
            "EXPIRED" => return no("RESERVATION_EXPIRED"),
            _ => {}
        }
        if now >= found.expires_ms {
            return no("RESERVATION_EXPIRED");
        }
        let is_lost = |seat: &&u8| self.seats[&(pool, **seat)].held_by != Some(id);
        let seats: Vec<u8> = found.seats.iter().filter(is_lost).copied().collect();
        if !seats.is_empty() {
            let code = "RESERVATION_EXPIRED";
            return Expected::Rejected {
                code,
                seats,
                lines: Vec::new(),
                read_dependencies: Some(id),
            };
        }
        for seat in &found.seats {
            self.set_seat(now, (pool, *seat), "BOOKED", Some(id));
        }
        for (sku, quantity) in &found.lines {
            self.move_line(now, (pool, *sku), 0, -quantity);
        }
        let reservation = self.reservations.get_mut(&id).unwrap();
        reservation.status = "CONFIRMED";
        reservation.booking = Some(booking);
        reservation.version += 1;
        Expected::Done("inventory.confirmed.v1", id)
    }

    fn cancel(&mut self, now: i64, pool: u8, id: u32, user: Option<u8>, refund: bool) -> Expected {
        let found = match self.found(pool, id, user) {
            Ok(found) => found,
            Err(no) => return no,
        };
        match found.status {
            "EXPIRED" => return no("RESERVATION_EXPIRED"),
            "CANCELLED" => return no("RESERVATION_CANCELLED"),
            "CONFIRMED" if !refund => return no("RESERVATION_CONFIRMED"),
            _ => {}
        }
        let was_sold = found.status == "CONFIRMED";
        let mut over = Vec::new();
        for (sku, quantity) in &found.lines {
            let line = &self.lines[&(pool, *sku)];
            if was_sold && line.available + line.reserved + quantity > BOUND {
                over.push((*sku, *quantity, line.available));
            }
        }
        if !over.is_empty() {
            return no_lines("LIMIT_EXCEEDED", over);
        }
        self.give_back(now, id, if was_sold { 0 } else { 1 });
        self.end(now, id, "CANCELLED");
        Expected::Done("inventory.cancelled.v1", id)
    }

    fn expire(&mut self, now: i64, pool: u8, id: u32) -> Expected {
        let found = match self.found(pool, id, None) {
            Ok(found) => found,
            Err(no) => return no,
        };
        match found.status {
            "EXPIRED" => return no("RESERVATION_EXPIRED"),
            "CANCELLED" => return no("RESERVATION_CANCELLED"),
            "CONFIRMED" => return no("RESERVATION_CONFIRMED"),
            _ => {}
        }
        if now < found.expires_ms {
            return no("NOT_YET_EXPIRED");
        }
        self.give_back(now, id, 1);
        self.end(now, id, "EXPIRED");
        Expected::Done("inventory.expired.v1", id)
    }

    /// Frees the seats that are still its own, and the lines: `from_reserved` times from the
    /// reserved quantity.
    fn give_back(&mut self, now: i64, id: u32, from_reserved: i64) {
        let found = self.reservations[&id].clone();
        for seat in &found.seats {
            if self.seats[&(found.pool, *seat)].held_by == Some(id) {
                self.set_seat(now, (found.pool, *seat), "AVAILABLE", None);
            }
        }
        for (sku, quantity) in &found.lines {
            self.move_line(now, (found.pool, *sku), *quantity, -quantity * from_reserved);
        }
    }

    fn end(&mut self, now: i64, id: u32, status: &'static str) {
        let reservation = self.reservations.get_mut(&id).unwrap();
        reservation.status = status;
        reservation.version += 1;
        reservation.ended_ms = Some(now);
    }

    fn set_seat(&mut self, now: i64, key: (u8, u8), status: &'static str, held_by: Option<u32>) {
        let seat = self.seats.get_mut(&key).unwrap();
        seat.status = status;
        seat.held_by = held_by;
        seat.version += 1;
        seat.updated_ms = now;
    }

    fn move_line(&mut self, now: i64, key: (u8, u8), available: i64, reserved: i64) {
        let line = self.lines.get_mut(&key).unwrap();
        line.available += available;
        line.reserved += reserved;
        line.version += 1;
        line.updated_ms = now;
    }

    fn restock(
        &mut self,
        now: i64,
        pool: u8,
        seats: &[SeatAsk],
        add: bool,
        lines: &[(u8, i64)],
        as_of_ms: Option<i64>,
    ) -> Expected {
        let mut over = Vec::new();
        for (sku, quantity) in lines {
            let found = self.lines.get(&(pool, *sku));
            let before = found.map_or(0, |line| line.available + line.reserved);
            let on_hand = if add { before + quantity } else { *quantity };
            if !self.is_old(pool, *sku, add, as_of_ms) && on_hand > BOUND {
                over.push((*sku, *quantity, found.map_or(0, |line| line.available)));
            }
        }
        if !over.is_empty() {
            return no_lines("LIMIT_EXCEEDED", over);
        }
        let (mut seats_done, mut lines_done, mut skipped) = ((0, 0), (0, 0), Vec::new());
        for ask in seats {
            if self.restock_seat(now, pool, ask) {
                seats_done.0 += 1;
            } else {
                seats_done.1 += 1;
                skipped.push(format!("S-{}", ask.seat));
            }
        }
        for (sku, quantity) in lines {
            if self.is_old(pool, *sku, add, as_of_ms) {
                lines_done.1 += 1;
                skipped.push(format!("K-{sku}"));
            } else {
                lines_done.0 += 1;
                self.restock_line(now, (pool, *sku), add, *quantity, as_of_ms);
            }
        }
        Expected::Restocked { seats: seats_done, lines: lines_done, skipped }
    }

    /// "a `set` line is skipped where a newer `as_of` was applied before".
    fn is_old(&self, pool: u8, sku: u8, add: bool, as_of_ms: Option<i64>) -> bool {
        let newest = self.lines.get(&(pool, sku)).and_then(|line| line.as_of_ms);
        !add && as_of_ms.is_some_and(|this| newest.is_some_and(|newest| newest > this))
    }

    fn restock_seat(&mut self, now: i64, pool: u8, ask: &SeatAsk) -> bool {
        let reported = ask.on_sale.map(|on_sale| if on_sale { "AVAILABLE" } else { "BLOCKED" });
        let Some(seat) = self.seats.get_mut(&(pool, ask.seat)) else {
            let seat = SeatModel {
                status: reported.unwrap_or("AVAILABLE"),
                held_by: None,
                version: 1,
                section: ask.section,
                price: ask.price,
                created_ms: now,
                updated_ms: now,
            };
            self.seats.insert((pool, ask.seat), seat);
            return true;
        };
        if seat.held_by.is_some() {
            return false;
        }
        let before = seat.clone();
        seat.status = reported.unwrap_or(seat.status);
        seat.section = ask.section.or(seat.section);
        seat.price = ask.price.or(seat.price);
        if *seat != before {
            seat.version += 1;
            seat.updated_ms = now;
        }
        true
    }

    fn restock_line(
        &mut self,
        now: i64,
        key: (u8, u8),
        add: bool,
        quantity: i64,
        as_of_ms: Option<i64>,
    ) {
        let nothing =
            LineModel { available: 0, reserved: 0, as_of_ms: None, version: 0, updated_ms: now };
        let is_new = !self.lines.contains_key(&key);
        let line = self.lines.entry(key).or_insert(nothing);
        let before = line.clone();
        if add {
            line.available += quantity;
        } else {
            line.available = quantity - line.reserved;
            line.as_of_ms = as_of_ms.or(line.as_of_ms);
        }
        if is_new || *line != before {
            line.version += 1;
            line.updated_ms = now;
        }
    }
}
