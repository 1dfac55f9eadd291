//! Confirm and fulfil.

use super::{super::history::How, Decision, LineOffence, Model, done, no, offenders, resting_on};

impl Model {
    pub(super) fn confirm(
        &mut self,
        now: i64,
        pool: u8,
        (id, user): (u32, Option<u8>),
        booking: u8,
        how: How,
    ) -> Decision {
        let found = self.found(pool, id, user)?;
        match found.status {
            "CONFIRMED" if found.booking == Some(booking) => {
                return done("inventory.confirmed.v1", id);
            }
            "CONFIRMED" => return Err(no("RESERVATION_CONFIRMED")),
            "CANCELLED" => return Err(no("RESERVATION_CANCELLED")),
            "EXPIRED" if !how.late => return Err(no("RESERVATION_EXPIRED")),
            _ => {}
        }
        if now >= found.expires_ms && !how.late {
            return Err(no("RESERVATION_EXPIRED"));
        }
        // "if everything it held is still free or still its own"
        let mut seats = self.lost(pool, id, &found.seats);
        if how.late {
            seats.retain(|seat| !self.is_free(now, (pool, *seat)));
        }
        let mut lines = Vec::new();
        for (sku, quantity) in &found.lines {
            let available = self.lines[&(pool, *sku)].available;
            if found.status == "EXPIRED" && available < *quantity {
                lines.push(LineOffence::Quantity(*sku, *quantity, available));
            }
        }
        if !seats.is_empty() || !lines.is_empty() {
            return Err(resting_on(id, offenders("RESERVATION_EXPIRED", seats, lines)));
        }
        for seat in &found.seats {
            self.set_seat(now, (pool, *seat), "BOOKED", Some(id));
        }
        for (sku, quantity) in &found.lines {
            let committed = if how.stays { *quantity } else { 0 };
            let moved = match found.status {
                "EXPIRED" => [-quantity, 0, committed],
                _ => [0, -quantity, committed],
            };
            self.move_line(now, (pool, *sku), moved);
        }
        self.change(id, |reservation| {
            reservation.status = "CONFIRMED";
            reservation.booking = Some(booking);
            reservation.stays = Some(how.stays);
        });
        done("inventory.confirmed.v1", id)
    }

    pub(super) fn fulfil(&mut self, now: i64, pool: u8, id: u32, user: Option<u8>) -> Decision {
        let found = self.found(pool, id, user)?;
        match found.status {
            "CANCELLED" => return Err(no("RESERVATION_CANCELLED")),
            "EXPIRED" => return Err(no("RESERVATION_EXPIRED")),
            "ACTIVE" if now >= found.expires_ms => return Err(no("RESERVATION_EXPIRED")),
            "ACTIVE" => return Err(no("RESERVATION_ACTIVE")),
            _ if !found.is_committed() => return Err(no("RESERVATION_FULFILLED")),
            _ => {}
        }
        for (sku, quantity) in &found.lines {
            self.move_line(now, (pool, *sku), [0, 0, -quantity]);
        }
        self.change(id, |reservation| reservation.fulfilled_ms = Some(now));
        done("inventory.fulfilled.v1", id)
    }
}
