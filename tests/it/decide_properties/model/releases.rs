//! Cancel and expire.

use super::{
    BOUND, Decision, Expected, Item, LineOffence, Model, Outcome, ReservationModel, no, offenders,
    resting_on,
};

impl Model {
    pub(super) fn cancel(
        &mut self,
        now: i64,
        pool: u8,
        (id, user): (u32, Option<u8>),
        refund: bool,
        block: bool,
    ) -> Decision {
        let found = self.found(pool, id, user)?;
        match found.status {
            "EXPIRED" => return Err(no("RESERVATION_EXPIRED")),
            "CANCELLED" => return Err(no("RESERVATION_CANCELLED")),
            "CONFIRMED" if !refund && found.fulfilled_ms.is_some() => {
                return Err(no("RESERVATION_FULFILLED"));
            }
            "CONFIRMED" if !refund => return Err(no("RESERVATION_CONFIRMED")),
            _ => {}
        }
        let had_left = found.status == "CONFIRMED" && !found.is_committed();
        let mut over = Vec::new();
        for (sku, quantity) in &found.lines {
            let line = &self.lines[&(pool, *sku)];
            let on_hand = line.available + line.reserved + line.committed;
            if had_left && on_hand + quantity > BOUND {
                over.push(LineOffence::Quantity(*sku, *quantity, line.available));
            }
        }
        if !over.is_empty() {
            return Err(resting_on(id, offenders("LIMIT_EXCEEDED", Vec::new(), over)));
        }
        let rests_on = self.give_back(now, id, &found, block);
        self.end(now, id, "CANCELLED");
        Ok(Expected { what: Outcome::Done("inventory.cancelled.v1", id), rests_on })
    }

    pub(super) fn expire(&mut self, now: i64, pool: u8, id: u32) -> Decision {
        let found = self.found(pool, id, None)?;
        match found.status {
            "EXPIRED" => return Err(no("RESERVATION_EXPIRED")),
            "CANCELLED" => return Err(no("RESERVATION_CANCELLED")),
            "CONFIRMED" => return Err(no("RESERVATION_CONFIRMED")),
            _ => {}
        }
        if now < found.expires_ms {
            return Err(no("NOT_YET_EXPIRED"));
        }
        let rests_on = self.give_back(now, id, &found, false);
        self.end(now, id, "EXPIRED");
        Ok(Expected { what: Outcome::Done("inventory.expired.v1", id), rests_on })
    }

    /// Frees the seats that are still its own, and the lines from where they are. The others of its
    /// seats are what the verdict rests on.
    fn give_back(&mut self, now: i64, id: u32, found: &ReservationModel, block: bool) -> Vec<Item> {
        let lost = self.lost(found.pool, id, &found.seats);
        for seat in found.seats.iter().filter(|seat| !lost.contains(seat)) {
            self.release_seat(now, (found.pool, *seat), block);
        }
        for (sku, quantity) in &found.lines {
            let moved = match found.status {
                "ACTIVE" => [*quantity, -quantity, 0],
                _ if found.is_committed() => [*quantity, 0, -quantity],
                _ => [*quantity, 0, 0],
            };
            self.move_line(now, (found.pool, *sku), moved);
        }
        lost.into_iter().map(Item::Seat).collect()
    }

    /// On sale again, or BLOCKED: as the command says, or if the seat was withheld.
    pub(super) fn release_seat(&mut self, now: i64, key: (u8, u8), block: bool) {
        let blocked = block || self.seats[&key].withheld;
        self.set_seat(now, key, if blocked { "BLOCKED" } else { "AVAILABLE" }, None);
        self.seats.get_mut(&key).unwrap().withheld = false;
    }

    fn end(&mut self, now: i64, id: u32, status: &'static str) {
        self.change(id, |reservation| {
            reservation.status = status;
            reservation.ended_ms = Some(now);
        });
    }
}
