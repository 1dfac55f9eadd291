//! The contract of restock, whole and in chunks.

use std::ops::Range;

use jiff::SignedDuration;

use super::{
    Case, Violation,
    made::{Made, is_stated, line_made, place, seat_made},
};
use crate::checks::ensure;
use inventory_worker::domain::{
    LineChange, RejectedLine, Rejection, RejectionCode, Restock, RestockMode, RestockSummary, Seat,
    SeatChange, StockLevel,
};

impl Case<'_> {
    /// Whether `as_of` is further in the future than the operator allows.
    pub(super) fn is_too_far_ahead(&self, restock: &Restock) -> bool {
        let ahead = SignedDuration::from_secs(i64::from(self.limits.as_of_ahead_seconds_max));
        restock.as_of.is_some_and(|as_of| as_of > self.decided_at + ahead)
    }

    pub(super) fn restock_rejected(
        &mut self,
        restock: &Restock,
        rejection: &Rejection,
    ) -> Result<(), Violation> {
        let is_too_far_ahead = self.is_too_far_ahead(restock);
        if rejection.lines.is_empty() {
            let holds = rejection.code == RejectionCode::LimitExceeded
                && rejection.seats.is_empty()
                && is_too_far_ahead;
            return self.rejection(holds, rejection);
        }
        let Some(code_place) = place(rejection.code) else {
            return self.rejection(false, rejection);
        };
        let named = |request: &LineChange| {
            let mut named = rejection.lines.iter().filter(|line| *line.sku() == request.sku);
            (named.next(), named.next().is_none())
        };
        let asked =
            |line: &RejectedLine| restock.lines.iter().any(|request| request.sku == *line.sku());
        let is_as_named = |request: &LineChange| {
            let (named, is_once) = named(request);
            let key = self.line_key(&request.sku);
            let is_so = |found: Option<&StockLevel>| {
                let made = line_made(found, restock, request, self.decided_at);
                let failed = made.err().and_then(place);
                match named {
                    Some(line) => {
                        failed == Some(code_place)
                            && is_stated(line, found, request, rejection.code)
                    }
                    None => failed.is_none_or(|failed| failed > code_place),
                }
            };
            is_once && self.line(&key, is_so)
        };
        let holds = !is_too_far_ahead
            && rejection.seats.is_empty()
            && rejection.lines.iter().all(asked)
            && restock.lines.iter().all(is_as_named);
        self.rejection(holds, rejection)
    }

    /// Applies the entries of `range`, seats first.
    pub(super) fn restocked(
        &mut self,
        restock: &Restock,
        range: Range<usize>,
        shown: &RestockSummary,
    ) -> Result<(), Violation> {
        let is_chunk = self.intent().is_some();
        ensure(is_chunk || !self.is_too_far_ahead(restock), "as-of", || {
            format!("{:?} was applied at {}", restock.as_of, self.decided_at)
        })?;
        let mut counted = RestockSummary::default();
        let count = restock.seats.len();
        for (index, change) in restock.seats.iter().enumerate() {
            if range.contains(&index) {
                self.restock_seat(change, shown, &mut counted)?;
            }
        }
        for (index, request) in restock.lines.iter().enumerate() {
            if range.contains(&(count + index)) {
                self.restock_line(restock, request, shown, &mut counted)?;
            }
        }
        ensure(counted == *shown, "outcome", || format!("says {shown:?}, which is {counted:?}"))
    }

    fn restock_seat(
        &mut self,
        change: &SeatChange,
        shown: &RestockSummary,
        counted: &mut RestockSummary,
    ) -> Result<(), Violation> {
        let key = self.seat_key(&change.number)?;
        let now = self.decided_at;
        // A seat and a SKU could share a name; the workload ensures that none do.
        let is_skipped = shown.skipped.iter().any(|name| name == change.number.as_str());
        if is_skipped {
            counted.seats_skipped += 1;
            counted.skipped.push(change.number.to_string());
        } else {
            counted.seats_applied += 1;
        }
        let is_as_shown = |seat: Option<&Seat>| match seat_made(seat, change, now) {
            Made::Skipped => is_skipped,
            Made::Same => !is_skipped,
            Made::Next(_) => false,
        };
        if self.guarded.seats.contains(&key)
            && let Made::Next(next) = seat_made(self.model.seats.last(&key), change, now)
        {
            ensure(!is_skipped, "outcome", || format!("{key:?} was skipped"))?;
            self.write_seat(&key, next);
            return Ok(());
        }
        let holds = self.seat(&key, is_as_shown);
        ensure(holds, "restock", || format!("{key:?}: left as it was, which it never could be"))
    }

    fn restock_line(
        &mut self,
        restock: &Restock,
        request: &LineChange,
        shown: &RestockSummary,
        counted: &mut RestockSummary,
    ) -> Result<(), Violation> {
        let key = self.line_key(&request.sku);
        let now = self.decided_at;
        let is_skipped = shown.skipped.iter().any(|name| name == request.sku.as_str());
        if is_skipped {
            counted.lines_skipped += 1;
            counted.skipped.push(request.sku.to_string());
        } else {
            counted.lines_applied += 1;
        }
        // A chunk skips what rejects a whole restock.
        let is_chunk = self.intent().is_some();
        let made = |line: Option<&StockLevel>| match line_made(line, restock, request, now) {
            Err(_) if is_chunk => Ok(Made::Skipped),
            made => made,
        };
        let is_as_shown = |line: Option<&StockLevel>| match made(line) {
            Ok(Made::Skipped) => is_skipped,
            Ok(Made::Same) => !is_skipped,
            Ok(Made::Next(_)) | Err(_) => false,
        };
        if self.guarded.lines.contains(&key) {
            match made(self.model.lines.last(&key)) {
                Ok(Made::Next(next)) => {
                    ensure(!is_skipped, "outcome", || format!("{key:?} was skipped"))?;
                    self.write_line(&key, next);
                    match restock.mode {
                        RestockMode::Add => self.model.move_goods(&key, request.quantity),
                        RestockMode::Set => drop(self.model.on_hand.insert(key, None)),
                    }
                    return Ok(());
                }
                Err(code) => {
                    let line = self.model.lines.last(&key);
                    let what = format!("{key:?} is {line:?}, and {request:?} was applied");
                    return self.wrong("restock", format!("{code:?}: {what}"));
                }
                Ok(Made::Skipped | Made::Same) => {}
            }
        }
        // Nothing else keeps the line at the version that the command expects.
        let is_expected = request.expected_version.is_some() && !is_skipped && !is_chunk;
        ensure(!is_expected || self.guarded.lines.contains(&key), "effect", || {
            format!("{key:?} is not guarded, and {request:?} counts as applied")
        })?;
        let holds = self.line(&key, is_as_shown);
        ensure(holds, "restock", || format!("{key:?}: left as it was, which it never could be"))
    }
}
