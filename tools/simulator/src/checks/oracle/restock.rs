//! The contract of restock, whole and in chunks.

use std::ops::Range;

use super::{Case, Violation};
use crate::checks::ensure;
use inventory_worker::{
    domain::{
        Action, OrderLine, Outcome, Restock, RestockMode, RestockStatus, RestockSummary, Seat,
        SeatChange, SeatDetails, SeatState, StockLevel, Timestamp,
    },
    ports::{LedgerKey, LedgerRecord},
};

/// The effect of a restock entry on an item.
enum Made<T> {
    /// The item is left unchanged and reported as skipped.
    Skipped,
    /// The item already has the requested state.
    Same,
    /// The item's next state.
    Next(T),
}

/// The contract for seats: RESERVED and BOOKED ones are left unchanged.
fn seat_made(found: Option<&Seat>, change: &SeatChange, now: Timestamp) -> Made<Seat> {
    let wanted = change.status.map(|status| match status {
        RestockStatus::Available => SeatState::Available,
        RestockStatus::Blocked => SeatState::Blocked,
    });
    let Some(found) = found else {
        let details = SeatDetails {
            section: change.section.clone(),
            row_number: change.row_number.clone(),
            seat_type: change.seat_type.clone(),
            price: change.price,
        };
        let occupancy = wanted.unwrap_or(SeatState::Available);
        return Made::Next(Seat {
            details,
            occupancy,
            version: 1,
            created_at: now,
            updated_at: now,
        });
    };
    if !matches!(found.occupancy, SeatState::Available | SeatState::Blocked) {
        return Made::Skipped;
    }
    let mut next = found.clone();
    if let Some(occupancy) = wanted {
        next.occupancy = occupancy;
    }
    let details = &mut next.details;
    details.section = change.section.clone().or(details.section.take());
    details.row_number = change.row_number.clone().or(details.row_number.take());
    details.seat_type = change.seat_type.clone().or(details.seat_type.take());
    details.price = change.price.or(details.price);
    if next == *found {
        return Made::Same;
    }
    next.version += 1;
    next.updated_at = now;
    Made::Next(next)
}

/// The contract for lines: a `set` is skipped if a newer one was applied before.
fn line_made(
    found: Option<&StockLevel>,
    restock: &Restock,
    request: &OrderLine,
    now: Timestamp,
) -> Made<StockLevel> {
    let quantity = i64::try_from(request.quantity).unwrap_or(i64::MAX);
    let none = StockLevel { available: 0, reserved: 0, as_of: None, version: 0, updated_at: now };
    let before = found.unwrap_or(&none);
    let mut next = before.clone();
    match restock.mode {
        RestockMode::Add => next.available += quantity,
        RestockMode::Set => {
            if before.as_of.zip(restock.as_of).is_some_and(|(newest, this)| newest > this) {
                return Made::Skipped;
            }
            next.available = quantity - before.reserved;
            next.as_of = restock.as_of.or(before.as_of);
        }
    }
    if found == Some(&next) {
        return Made::Same;
    }
    next.version += 1;
    next.updated_at = now;
    Made::Next(next)
}

impl Case<'_> {
    /// Applies the entries of `range`, seats first.
    pub(super) fn restocked(
        &mut self,
        restock: &Restock,
        range: Range<usize>,
        shown: &RestockSummary,
    ) -> Result<(), Violation> {
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
            self.model.seats.put(&key, next, self.now, &self.command.key);
            return Ok(());
        }
        let holds = self.seat(&key, is_as_shown);
        ensure(holds, "restock", || format!("{key:?}: left as it was, which it never could be"))
    }

    fn restock_line(
        &mut self,
        restock: &Restock,
        request: &OrderLine,
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
        let is_as_shown = |line: Option<&StockLevel>| match line_made(line, restock, request, now) {
            Made::Skipped => is_skipped,
            Made::Same => !is_skipped,
            Made::Next(_) => false,
        };
        if self.guarded.lines.contains(&key) {
            let made = line_made(self.model.lines.last(&key), restock, request, now);
            if let Made::Next(next) = made {
                ensure(!is_skipped, "outcome", || format!("{key:?} was skipped"))?;
                self.model.lines.put(&key, next, self.now, &self.command.key);
                match restock.mode {
                    RestockMode::Add => {
                        let quantity = i64::try_from(request.quantity).unwrap_or(i64::MAX);
                        self.model.move_goods(&key, quantity);
                    }
                    RestockMode::Set => drop(self.model.on_hand.insert(key, None)),
                }
                return Ok(());
            }
        }
        let holds = self.line(&key, is_as_shown);
        ensure(holds, "restock", || format!("{key:?}: left as it was, which it never could be"))
    }

    /// The chunk boundaries while the restock is in progress.
    pub(super) fn intent(&self) -> Option<Vec<u32>> {
        match self.model.ledger.get(&LedgerKey::Command(self.command.key.clone())) {
            Some(LedgerRecord::Intent { chunk_ends, .. }) => Some(chunk_ends.clone()),
            _ => None,
        }
    }

    pub(super) fn judge_intent(&self, chunk_ends: &[u32]) -> Result<(), Violation> {
        let Action::Restock(restock) = &self.command.action else {
            return self.wrong("chunks", "an intent of no restock".to_owned());
        };
        let is_growing = chunk_ends.windows(2).all(|pair| match pair {
            [before, after] => before < after,
            _ => false,
        });
        let is_whole = chunk_ends.last().is_some_and(|end| *end as usize == restock.entries());
        ensure(is_growing && is_whole, "chunks", || format!("boundaries {chunk_ends:?}"))
    }

    pub(super) fn judge_chunk(
        &mut self,
        index: u32,
        summary: &RestockSummary,
    ) -> Result<(), Violation> {
        let command = self.command;
        let (Action::Restock(restock), Some(chunk_ends)) = (&command.action, self.intent()) else {
            return self.wrong("chunks", format!("chunk {index} of nothing that was begun"));
        };
        let at = |index: usize| chunk_ends.get(index).map(|end| *end as usize);
        let index = index as usize;
        let Some(end) = at(index) else {
            return self.wrong("chunks", format!("there is no chunk {index}"));
        };
        let start = index.checked_sub(1).and_then(at).unwrap_or(0);
        self.restocked(restock, start..end, summary)
    }

    /// The outcome follows every chunk, and is their sum.
    pub(super) fn judge_chunked(
        &self,
        chunk_ends: &[u32],
        outcome: &Outcome,
    ) -> Result<(), Violation> {
        let mut sum = RestockSummary::default();
        for (index, _) in (0_u32..).zip(chunk_ends) {
            let marker = LedgerKey::Chunk(self.command.key.clone(), index);
            let Some(LedgerRecord::Chunk { summary, .. }) = self.model.ledger.get(&marker) else {
                return self.wrong("chunks", format!("the outcome came before chunk {index}"));
            };
            sum.seats_applied += summary.seats_applied;
            sum.lines_applied += summary.lines_applied;
            sum.seats_skipped += summary.seats_skipped;
            sum.lines_skipped += summary.lines_skipped;
            sum.skipped.extend(summary.skipped.iter().cloned());
        }
        sum.skipped.truncate(RestockSummary::SKIPPED_MAX);
        let holds = matches!(outcome, Outcome::Restocked { restock } if *restock == sum);
        ensure(holds, "chunks", || format!("the outcome is {outcome:?}, the chunks make {sum:?}"))
    }
}
