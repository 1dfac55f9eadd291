//! The contract of restock, whole and in chunks.

use std::ops::Range;

use jiff::SignedDuration;

use super::{Case, Violation, ends::ON_HAND_MAX};
use crate::checks::ensure;
use inventory_worker::{
    domain::{
        Action, LineChange, Outcome, RejectedLine, Rejection, RejectionCode, Restock, RestockMode,
        RestockStatus, RestockSummary, Seat, SeatChange, SeatDetails, SeatState, StockLevel,
        Timestamp,
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

/// The contract for seats: of RESERVED and BOOKED ones only the mark changes that withholds them.
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
            withheld: false,
            version: 1,
            created_at: now,
            updated_at: now,
        });
    };
    let mut next = found.clone();
    if !matches!(found.occupancy, SeatState::Available | SeatState::Blocked) {
        next.withheld = match change.status {
            Some(RestockStatus::Blocked) => true,
            Some(RestockStatus::Available) if found.withheld => false,
            _ => return Made::Skipped,
        };
        if next.withheld == found.withheld {
            return Made::Same;
        }
        next.version += 1;
        next.updated_at = now;
        return Made::Next(next);
    }
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

/// The contract for lines: why a line cannot be applied, or its next state. A `set` is skipped if a
/// newer one was applied before.
fn line_made(
    found: Option<&StockLevel>,
    restock: &Restock,
    request: &LineChange,
    now: Timestamp,
) -> Result<Made<StockLevel>, RejectionCode> {
    let (available, reserved, committed, version) = (0, 0, 0, 0);
    let none = StockLevel { available, reserved, committed, as_of: None, version, updated_at: now };
    let before = found.unwrap_or(&none);
    if request.expected_version.is_some_and(|expected| expected != before.version) {
        return Err(RejectionCode::VersionMismatch);
    }
    let mut next = before.clone();
    match restock.mode {
        RestockMode::Add => {
            next.available += request.quantity;
            if request.quantity < 0 && next.available < 0 {
                return Err(RejectionCode::InsufficientStock);
            }
        }
        RestockMode::Set => {
            if before.as_of.zip(restock.as_of).is_some_and(|(newest, this)| newest > this) {
                return Ok(Made::Skipped);
            }
            next.available = request.quantity - before.reserved - before.committed;
            next.as_of = restock.as_of.or(before.as_of);
        }
    }
    if next.available + next.reserved + next.committed > ON_HAND_MAX {
        return Err(RejectionCode::LimitExceeded);
    }
    if found == Some(&next) {
        return Ok(Made::Same);
    }
    next.version += 1;
    next.updated_at = now;
    Ok(Made::Next(next))
}

/// What a rejection must say of a line that fails with the code: the stated numbers, of the version
/// or the quantity.
fn is_stated(
    line: &RejectedLine,
    found: Option<&StockLevel>,
    request: &LineChange,
    code: RejectionCode,
) -> bool {
    let (version, available) = found.map_or((0, 0), |found| (found.version, found.available));
    match line {
        RejectedLine::Version { expected, actual, .. } => {
            code == RejectionCode::VersionMismatch
                && Some(*expected) == request.expected_version
                && *actual == version
        }
        RejectedLine::Quantity { requested, available: stated, .. } => {
            code != RejectionCode::VersionMismatch
                && *requested == request.quantity
                && *stated == available
        }
    }
}

/// The place of a code in the order of checks.
fn place(code: RejectionCode) -> Option<usize> {
    let order = [
        RejectionCode::VersionMismatch,
        RejectionCode::InsufficientStock,
        RejectionCode::LimitExceeded,
    ];
    order.iter().position(|other| *other == code)
}

impl Case<'_> {
    /// Whether `as_of` is further in the future than the operator allows.
    fn is_too_far_ahead(&self, restock: &Restock) -> bool {
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
        self.in_time()?;
        ensure(!self.is_too_far_ahead(restock), "as-of", || {
            format!("{:?} was begun at {}", restock.as_of, self.decided_at)
        })?;
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
        let Action::Restock(restock) = &self.command.action else {
            return self.wrong("chunks", "chunks of no restock".to_owned());
        };
        self.says_why(restock, outcome)?;
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
        let holds = matches!(outcome, Outcome::Restocked { restock, .. } if *restock == sum);
        ensure(holds, "chunks", || format!("the outcome is {outcome:?}, the chunks make {sum:?}"))
    }
}
