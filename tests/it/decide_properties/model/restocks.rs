//! Restock.

use super::{
    super::history::{LineAsk, SeatAsk},
    BOUND, Decision, Expected, Item, LineModel, LineOffence, Model, Outcome, SeatModel, no,
    offenders,
};

/// "later than now plus 60 s it is refused".
const AS_OF_AHEAD_MS: i64 = 60_000;

impl Model {
    pub(super) fn restock(
        &mut self,
        now: i64,
        pool: u8,
        seats: &[SeatAsk],
        (add, lines): (bool, &[LineAsk]),
        as_of_ms: Option<i64>,
    ) -> Decision {
        if as_of_ms.is_some_and(|as_of| as_of > now + AS_OF_AHEAD_MS) {
            return Err(no("LIMIT_EXCEEDED"));
        }
        self.check_lines(pool, (add, lines), as_of_ms)?;
        let (mut seats_done, mut lines_done, mut skipped) = ((0, 0), (0, 0), Vec::new());
        for ask in seats {
            if self.restock_seat(now, pool, ask) {
                seats_done.0 += 1;
            } else {
                seats_done.1 += 1;
                skipped.push(format!("S-{}", ask.seat));
            }
        }
        let mut rests_on = Vec::new();
        for ask in lines {
            let key = (pool, ask.sku);
            if self.is_old(key, add, as_of_ms) {
                lines_done.1 += 1;
                skipped.push(format!("K-{}", ask.sku));
                continue;
            }
            lines_done.0 += 1;
            let before = self.lines.get(&key).cloned();
            self.restock_line(now, key, (add, ask.quantity), as_of_ms);
            if ask.version.is_some() && before.as_ref() == self.lines.get(&key) {
                rests_on.push(Item::Line(ask.sku));
            }
        }
        let what = Outcome::Restocked { seats: seats_done, lines: lines_done, skipped };
        Ok(Expected { what, rests_on })
    }

    /// VERSION_MISMATCH → INSUFFICIENT_STOCK → LIMIT_EXCEEDED.
    fn check_lines(
        &self,
        pool: u8,
        (add, lines): (bool, &[LineAsk]),
        as_of_ms: Option<i64>,
    ) -> Result<(), Expected> {
        let (mut versions, mut short, mut over) = (Vec::new(), Vec::new(), Vec::new());
        for LineAsk { sku, quantity, version } in lines {
            let found = self.lines.get(&(pool, *sku));
            let actual = found.map_or(0, |line| line.version);
            if version.is_some_and(|expected| expected != actual) {
                versions.push(LineOffence::Version(*sku, version.unwrap(), actual));
                continue;
            }
            if self.is_old((pool, *sku), add, as_of_ms) {
                continue;
            }
            let available = found.map_or(0, |line| line.available);
            let offence = LineOffence::Quantity(*sku, *quantity, available);
            let before = found.map_or(0, |line| line.available + line.reserved + line.committed);
            if add && *quantity < 0 && available + quantity < 0 {
                short.push(offence);
            } else if (if add { before + quantity } else { *quantity }) > BOUND {
                over.push(offence);
            }
        }
        for (code, lines) in [
            ("VERSION_MISMATCH", versions),
            ("INSUFFICIENT_STOCK", short),
            ("LIMIT_EXCEEDED", over),
        ] {
            if !lines.is_empty() {
                return Err(offenders(code, Vec::new(), lines));
            }
        }
        Ok(())
    }

    /// "a `set` line is skipped where a newer `as_of` was applied before".
    fn is_old(&self, key: (u8, u8), add: bool, as_of_ms: Option<i64>) -> bool {
        let newest = self.lines.get(&key).and_then(|line| line.as_of_ms);
        !add && as_of_ms.is_some_and(|this| newest.is_some_and(|newest| newest > this))
    }

    fn restock_seat(&mut self, now: i64, pool: u8, ask: &SeatAsk) -> bool {
        let reported = ask.on_sale.map(|on_sale| if on_sale { "AVAILABLE" } else { "BLOCKED" });
        let Some(seat) = self.seats.get_mut(&(pool, ask.seat)) else {
            let seat = SeatModel {
                status: reported.unwrap_or("AVAILABLE"),
                held_by: None,
                withheld: false,
                version: 1,
                section: ask.section,
                price: ask.price,
                created_ms: now,
                updated_ms: now,
            };
            self.seats.insert((pool, ask.seat), seat);
            return true;
        };
        let before = seat.clone();
        if seat.held_by.is_some() {
            match ask.on_sale {
                Some(false) => seat.withheld = true,
                Some(true) if seat.withheld => seat.withheld = false,
                _ => return false,
            }
        } else {
            seat.status = reported.unwrap_or(seat.status);
            seat.section = ask.section.or(seat.section);
            seat.price = ask.price.or(seat.price);
        }
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
        (add, quantity): (bool, i64),
        as_of_ms: Option<i64>,
    ) {
        let nothing = LineModel {
            available: 0,
            reserved: 0,
            committed: 0,
            as_of_ms: None,
            version: 0,
            updated_ms: now,
        };
        let is_new = !self.lines.contains_key(&key);
        let line = self.lines.entry(key).or_insert(nothing);
        let before = line.clone();
        if add {
            line.available += quantity;
        } else {
            line.available = quantity - line.reserved - line.committed;
            line.as_of_ms = as_of_ms.or(line.as_of_ms);
        }
        if is_new || *line != before {
            line.version += 1;
            line.updated_ms = now;
        }
    }
}
