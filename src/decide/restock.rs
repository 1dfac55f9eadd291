//! Restock: creates or updates seats and lines.

use std::ops::Range;

use super::{Change, DecideError, State, Verdict, bounds};
use crate::domain::{
    LineKey, LineShortfall, OrderLine, Outcome, PoolId, Restock, RestockMode, RestockSummary, Seat,
    SeatChange, SeatDetails, SeatKey, SeatState, StockLevel, Timestamp,
};

/// How to treat a line that would exceed the bound of on hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverBound {
    /// Reject the command, naming every such line.
    Reject,
    /// Leave the line unchanged and count it as skipped: other chunks of the command have already
    /// been applied.
    Skip,
}

/// Decides a restock that fits one transaction.
pub(super) fn decide(
    state: &mut State,
    pool: &PoolId,
    restock: &Restock,
    now: Timestamp,
) -> Result<Verdict, DecideError> {
    let range = 0..restock.entries();
    let entries = RestockEntries { pool, restock, range, over_bound: OverBound::Reject };
    Ok(Outcome::Restocked { restock: apply_entries(state, &entries, now)? }.into())
}

/// Entries of a restock.
#[derive(Clone, Debug)]
pub struct RestockEntries<'a> {
    /// The pool of the command.
    pub pool: &'a PoolId,
    /// The command.
    pub restock: &'a Restock,
    /// The range of its entries to apply, counted over the seats and then the lines.
    pub range: Range<usize>,
    /// How to treat a line that would exceed the bound of on hand.
    pub over_bound: OverBound,
}

/// Applies the entries. An entry that changes nothing counts as applied and is not written.
///
/// # Errors
/// [`DecideError`]; [`DecideError::Rejected`] only with [`OverBound::Reject`].
pub fn apply_entries(
    state: &mut State,
    entries: &RestockEntries<'_>,
    now: Timestamp,
) -> Result<RestockSummary, DecideError> {
    let RestockEntries { pool, restock, range, over_bound } = entries;
    let mut pass =
        Pass { now, summary: RestockSummary::default(), changes: Vec::new(), over: Vec::new() };
    let seats_end = restock.seats.len();
    for change in slice(&restock.seats, range.start, range.end) {
        pass.seat(state, pool, change)?;
    }
    let lines = slice(
        &restock.lines,
        range.start.saturating_sub(seats_end),
        range.end.saturating_sub(seats_end),
    );
    for request in lines {
        pass.line(state, pool, restock, request)?;
    }
    if !pass.over.is_empty() {
        match over_bound {
            OverBound::Reject => return Err(bounds::beyond_on_hand_max(pass.over).into()),
            OverBound::Skip => pass.over.into_iter().for_each(|line| {
                pass.summary.lines_skipped = pass.summary.lines_skipped.saturating_add(1);
                note_skipped(&mut pass.summary, line.sku.as_str());
            }),
        }
    }
    state.apply(pass.changes);
    Ok(pass.summary)
}

fn slice<T>(entries: &[T], start: usize, end: usize) -> &[T] {
    let end = end.min(entries.len());
    entries.get(start.min(end)..end).unwrap_or_default()
}

fn note_skipped(summary: &mut RestockSummary, name: &str) {
    if summary.skipped.len() < RestockSummary::SKIPPED_MAX {
        summary.skipped.push(name.to_owned());
    }
}

struct Pass {
    now: Timestamp,
    summary: RestockSummary,
    changes: Vec<Change>,
    over: Vec<LineShortfall>,
}

impl Pass {
    fn seat(
        &mut self,
        state: &State,
        pool: &PoolId,
        change: &SeatChange,
    ) -> Result<(), DecideError> {
        let Some(event_id) = pool.event_id() else {
            return Err(DecideError::Inconsistent(format!("a restock of {pool} has seats")));
        };
        let key = SeatKey { event_id, number: change.number.clone() };
        let applied = match state.seat(&key)? {
            None => Some(new_seat(change, self.now)),
            Some(seat)
                if seat.occupancy.reservation_id().is_some() && !injected_bug!(RestockReserved) =>
            {
                self.summary.seats_skipped = self.summary.seats_skipped.saturating_add(1);
                note_skipped(&mut self.summary, change.number.as_str());
                return Ok(());
            }
            Some(seat) => Some(updated_seat(seat, change, self.now)).filter(|updated| {
                updated.details != seat.details || updated.occupancy != seat.occupancy
            }),
        };
        self.changes.extend(applied.map(|seat| Change::Seat(key, seat)));
        self.summary.seats_applied = self.summary.seats_applied.saturating_add(1);
        Ok(())
    }

    fn line(
        &mut self,
        state: &State,
        pool: &PoolId,
        restock: &Restock,
        request: &OrderLine,
    ) -> Result<(), DecideError> {
        let key = LineKey { pool: pool.clone(), sku: request.sku.clone() };
        let found = state.line(&key)?;
        let is_late = |line: &StockLevel| match (line.as_of, restock.as_of) {
            (Some(newest), Some(this)) => newest > this && !injected_bug!(ApplyOlder),
            _ => false,
        };
        if restock.mode == RestockMode::Set && found.is_some_and(is_late) {
            self.summary.lines_skipped = self.summary.lines_skipped.saturating_add(1);
            note_skipped(&mut self.summary, request.sku.as_str());
            return Ok(());
        }
        let quantity = i64::try_from(request.quantity).unwrap_or(i64::MAX);
        let line = restocked_line(found, quantity, restock, self.now);
        if bounds::is_beyond_on_hand_max(&line) {
            self.over.push(LineShortfall {
                sku: request.sku.clone(),
                requested: request.quantity,
                available: found.map_or(0, |line| line.available),
            });
            return Ok(());
        }
        let is_change = found
            .is_none_or(|found| (found.available, found.as_of) != (line.available, line.as_of));
        if is_change {
            self.changes.push(Change::Line(key, line));
        }
        self.summary.lines_applied = self.summary.lines_applied.saturating_add(1);
        Ok(())
    }
}

fn new_seat(change: &SeatChange, now: Timestamp) -> Seat {
    Seat {
        details: merged(&SeatDetails::default(), change),
        occupancy: change.status.map_or(SeatState::Available, SeatState::from),
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

fn updated_seat(seat: &Seat, change: &SeatChange, now: Timestamp) -> Seat {
    Seat {
        details: merged(&seat.details, change),
        occupancy: change.status.map_or_else(|| seat.occupancy.clone(), SeatState::from),
        version: seat.version.saturating_add(1),
        created_at: seat.created_at,
        updated_at: now,
    }
}

/// The details with the fields that the change names replaced.
fn merged(details: &SeatDetails, change: &SeatChange) -> SeatDetails {
    SeatDetails {
        section: change.section.clone().or_else(|| details.section.clone()),
        row_number: change.row_number.clone().or_else(|| details.row_number.clone()),
        seat_type: change.seat_type.clone().or_else(|| details.seat_type.clone()),
        price: change.price.or(details.price),
    }
}

fn restocked_line(
    found: Option<&StockLevel>,
    quantity: i64,
    restock: &Restock,
    now: Timestamp,
) -> StockLevel {
    let reserved = found.map_or(0, |line| line.reserved);
    let known_as_of = found.and_then(|line| line.as_of);
    let (available, as_of) = match restock.mode {
        RestockMode::Set => {
            let held = if injected_bug!(SetForgetsReserved) { 0 } else { reserved };
            (quantity.saturating_sub(held), restock.as_of.or(known_as_of))
        }
        RestockMode::Add => {
            (found.map_or(0, |line| line.available).saturating_add(quantity), known_as_of)
        }
    };
    StockLevel {
        available,
        reserved,
        as_of,
        version: found.map_or(1, |line| line.version.saturating_add(1)),
        updated_at: now,
    }
}
