//! Reserve, extend and modify.

use super::{
    super::{ENTRIES_MAX, HOLD_SECONDS_MAX, HOLD_TOTAL_SECONDS_MAX, history::Things},
    Decision, Expected, LineOffence, Model, ReservationModel, done, end_of, no, offenders,
    resting_on,
};

impl Model {
    pub(super) fn reserve(
        &mut self,
        now: i64,
        pool: u8,
        (id, user): (u32, u8),
        things: &Things,
        hold_s: Option<u32>,
    ) -> Decision {
        if things.count() > ENTRIES_MAX || hold_s.is_some_and(|s| s > HOLD_SECONDS_MAX) {
            return Err(no("LIMIT_EXCEEDED"));
        }
        if self.reservations.contains_key(&id) {
            return Err(no("RESERVATION_EXISTS"));
        }
        self.check_takable(now, pool, things)?;
        self.take(now, pool, id, things);
        // Ten minutes, or the operator's limit.
        let hold_s = hold_s.unwrap_or(600.min(HOLD_SECONDS_MAX));
        let reservation = ReservationModel {
            pool,
            user,
            seats: things.seats.clone(),
            lines: things.lines.clone(),
            status: "ACTIVE",
            booking: None,
            stays: None,
            fulfilled_ms: None,
            version: 1,
            created_ms: now,
            expires_ms: end_of(now, hold_s),
            ended_ms: None,
        };
        self.reservations.insert(id, reservation);
        self.made.push(id);
        done("inventory.reserved.v1", id)
    }

    /// SEAT_NOT_FOUND → SKU_NOT_FOUND → SEATS_UNAVAILABLE → INSUFFICIENT_STOCK.
    fn check_takable(&self, now: i64, pool: u8, things: &Things) -> Result<(), Expected> {
        let seats_that = |fails: &dyn Fn((u8, u8)) -> bool| -> Vec<u8> {
            things.seats.iter().copied().filter(|seat| fails((pool, *seat))).collect()
        };
        let lines_that = |fails: &dyn Fn((u8, u8), i64) -> bool| -> Vec<LineOffence> {
            let failing = things.lines.iter().filter(|(sku, wanted)| fails((pool, *sku), *wanted));
            let available = |sku| self.lines.get(&(pool, sku)).map_or(0, |line| line.available);
            failing
                .map(|(sku, wanted)| LineOffence::Quantity(*sku, *wanted, available(*sku)))
                .collect()
        };
        let unknown = seats_that(&|key| !self.seats.contains_key(&key));
        if !unknown.is_empty() {
            return Err(offenders("SEAT_NOT_FOUND", unknown, Vec::new()));
        }
        let unknown = lines_that(&|key, _| !self.lines.contains_key(&key));
        if !unknown.is_empty() {
            return Err(offenders("SKU_NOT_FOUND", Vec::new(), unknown));
        }
        let taken = seats_that(&|key| !self.is_free(now, key));
        if !taken.is_empty() {
            return Err(offenders("SEATS_UNAVAILABLE", taken, Vec::new()));
        }
        let short = lines_that(&|key, wanted| self.lines[&key].available < wanted);
        if !short.is_empty() {
            return Err(offenders("INSUFFICIENT_STOCK", Vec::new(), short));
        }
        Ok(())
    }

    fn take(&mut self, now: i64, pool: u8, id: u32, things: &Things) {
        for seat in &things.seats {
            self.set_seat(now, (pool, *seat), "RESERVED", Some(id));
        }
        for (sku, quantity) in &things.lines {
            self.move_line(now, (pool, *sku), [-quantity, *quantity, 0]);
        }
    }

    /// The reservation, if it is ACTIVE and has not run out.
    fn held(
        &self,
        now: i64,
        pool: u8,
        (id, user): (u32, Option<u8>),
    ) -> Result<ReservationModel, Expected> {
        let found = self.found(pool, id, user)?;
        match found.status {
            "CONFIRMED" => Err(no("RESERVATION_CONFIRMED")),
            "CANCELLED" => Err(no("RESERVATION_CANCELLED")),
            "ACTIVE" if now < found.expires_ms => Ok(found),
            _ => Err(no("RESERVATION_EXPIRED")),
        }
    }

    pub(super) fn extend(
        &mut self,
        now: i64,
        pool: u8,
        (id, user): (u32, Option<u8>),
        hold_s: u32,
    ) -> Decision {
        let found = self.held(now, pool, (id, user))?;
        if hold_s > HOLD_SECONDS_MAX {
            return Err(no("LIMIT_EXCEEDED"));
        }
        let end = end_of(now, hold_s);
        if end > found.expires_ms {
            if end > end_of(found.created_ms, HOLD_TOTAL_SECONDS_MAX) {
                return Err(no("LIMIT_EXCEEDED"));
            }
            let lost = self.lost(pool, id, &found.seats);
            if !lost.is_empty() {
                return Err(resting_on(id, offenders("RESERVATION_EXPIRED", lost, Vec::new())));
            }
            for seat in &found.seats {
                self.set_seat(now, (pool, *seat), "RESERVED", Some(id));
            }
            self.change(id, |reservation| reservation.expires_ms = end);
        }
        done("inventory.extended.v1", id)
    }

    pub(super) fn modify(
        &mut self,
        now: i64,
        pool: u8,
        (id, user): (u32, Option<u8>),
        add: &Things,
        remove: &Things,
    ) -> Decision {
        let found = self.held(now, pool, (id, user))?;
        check_held(&found, remove)?;
        let Things { seats, lines } = modified(&found, add, remove);
        let entries = seats.len() + lines.len();
        if entries == 0 || entries > ENTRIES_MAX {
            return Err(no("LIMIT_EXCEEDED"));
        }
        let lost = self.lost(pool, id, &remove.seats);
        if !lost.is_empty() {
            return Err(resting_on(id, offenders("RESERVATION_EXPIRED", lost, Vec::new())));
        }
        self.check_takable(now, pool, add).map_err(|rejection| resting_on(id, rejection))?;
        self.take(now, pool, id, add);
        for seat in &remove.seats {
            self.release_seat(now, (pool, *seat), false);
        }
        for (sku, quantity) in &remove.lines {
            self.move_line(now, (pool, *sku), [*quantity, -quantity, 0]);
        }
        self.change(id, |reservation| {
            reservation.seats = seats;
            reservation.lines = lines;
        });
        done("inventory.modified.v1", id)
    }
}

/// "What is removed must be held by it (`NOT_RESERVED`, naming each)."
fn check_held(found: &ReservationModel, remove: &Things) -> Result<(), Expected> {
    let mut seats = Vec::new();
    for seat in &remove.seats {
        if !found.seats.contains(seat) {
            seats.push(*seat);
        }
    }
    let mut lines = Vec::new();
    for (sku, quantity) in &remove.lines {
        let held = found.lines.iter().find(|(held, _)| held == sku).map_or(0, |(_, held)| *held);
        if held < *quantity {
            lines.push(LineOffence::Quantity(*sku, *quantity, held));
        }
    }
    match seats.is_empty() && lines.is_empty() {
        true => Ok(()),
        false => Err(offenders("NOT_RESERVED", seats, lines)),
    }
}

/// What it holds afterwards.
fn modified(found: &ReservationModel, add: &Things, remove: &Things) -> Things {
    let mut seats = found.seats.clone();
    seats.retain(|seat| !remove.seats.contains(seat));
    // A seat it holds already is unavailable: it is not counted twice before that is found.
    seats.retain(|seat| !add.seats.contains(seat));
    seats.extend(&add.seats);
    let mut lines = found.lines.clone();
    for (sku, quantity) in &remove.lines {
        lines.iter_mut().filter(|(held, _)| held == sku).for_each(|(_, held)| *held -= quantity);
    }
    lines.retain(|(_, quantity)| *quantity > 0);
    for (sku, quantity) in &add.lines {
        match lines.iter_mut().find(|(held, _)| held == sku) {
            Some((_, held)) => *held += quantity,
            None => lines.push((*sku, *quantity)),
        }
    }
    Things { seats, lines }
}
