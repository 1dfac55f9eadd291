//! Restock: creates or updates seats and lines.

use std::ops::Range;

use super::{Change, DecideError, ItemKey, Limits, State, Verdict, bounds, words};
use crate::domain::{
    LineChange, LineKey, Outcome, PoolId, RejectedLine, Rejection, RejectionCode, Restock,
    RestockMode, RestockStatus, RestockSummary, Seat, SeatChange, SeatDetails, SeatKey, SeatState,
    StockLevel, Timestamp,
};

/// How to treat a line that is not at its expected version, or would go below zero or beyond the
/// bound of on hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InapplicableLine {
    /// Reject the command, naming every such line.
    Reject,
    /// Leave the line unchanged and count it as skipped: other chunks of the command have already
    /// been applied.
    Skip,
}

/// Decides a restock that fits one transaction. Checks in the contract's order: `as_of`, expected
/// versions, stock to remove, bound of on hand.
pub(super) fn decide(
    state: &mut State,
    pool: &PoolId,
    restock: &Restock,
    limits: &Limits,
    now: Timestamp,
) -> Result<Verdict, DecideError> {
    bounds::check_as_of(restock.as_of, limits, now)?;
    let range = 0..restock.entries();
    let inapplicable = InapplicableLine::Reject;
    let entries = RestockEntries { pool, restock, range, inapplicable };
    let applied = apply_entries(state, &entries, now)?;
    Ok(Verdict {
        outcome: restocked(restock, applied.summary),
        read_dependencies: applied.read_dependencies,
    })
}

/// The outcome of a restock that was applied.
#[must_use]
pub fn restocked(command: &Restock, restock: RestockSummary) -> Outcome {
    let Restock { reason, reference, .. } = command;
    Outcome::Restocked { restock, reason: reason.clone(), reference: reference.clone() }
}

/// The effects of entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppliedEntries {
    /// The numbers applied and skipped.
    pub summary: RestockSummary,
    /// Lines that are at their expected version and that the entries do not change.
    pub read_dependencies: Vec<ItemKey>,
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
    /// How to treat a line that cannot be applied.
    pub inapplicable: InapplicableLine,
}

/// Applies the entries. An entry that changes nothing counts as applied and is not written.
///
/// # Errors
/// [`DecideError`]; [`DecideError::Rejected`] only with [`InapplicableLine::Reject`].
pub fn apply_entries(
    state: &mut State,
    entries: &RestockEntries<'_>,
    now: Timestamp,
) -> Result<AppliedEntries, DecideError> {
    let RestockEntries { pool, restock, range, inapplicable } = entries;
    let mut pass = Pass { now, skips: *inapplicable == InapplicableLine::Skip, ..Pass::default() };
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
    pass.inapplicable.reject()?;
    state.apply(pass.changes);
    Ok(AppliedEntries { summary: pass.summary, read_dependencies: pass.read_dependencies })
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

/// Lines that cannot be applied and are not skipped, by the check that failed.
#[derive(Default)]
struct InapplicableLines {
    versions: Vec<RejectedLine>,
    short: Vec<RejectedLine>,
    over: Vec<RejectedLine>,
}

impl InapplicableLines {
    /// Rejects the command for the first check that failed.
    fn reject(self) -> Result<(), DecideError> {
        let Self { versions, short, over } = self;
        let (code, message, lines) = if !versions.is_empty() {
            let message = words::counted(
                versions.len(),
                "line is not at expected_version",
                "lines are not at expected_version",
            );
            (RejectionCode::VersionMismatch, message, versions)
        } else if !short.is_empty() {
            let message = words::short(short.len());
            (RejectionCode::InsufficientStock, message, short)
        } else if !over.is_empty() {
            return Err(bounds::beyond_on_hand_max(over).into());
        } else {
            return Ok(());
        };
        Err(Rejection { code, message, seats: Vec::new(), lines }.into())
    }
}

#[derive(Default)]
struct Pass {
    now: Timestamp,
    /// Whether a line that cannot be applied is skipped: in its place among those skipped.
    skips: bool,
    summary: RestockSummary,
    changes: Vec<Change>,
    read_dependencies: Vec<ItemKey>,
    inapplicable: InapplicableLines,
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
                let Some(withheld) = withheld(seat, change) else {
                    self.skip_seat(change);
                    return Ok(());
                };
                let version = seat.version.saturating_add(1);
                let marked = Seat { withheld, version, updated_at: self.now, ..seat.clone() };
                Some(marked).filter(|marked| marked.withheld != seat.withheld)
            }
            Some(seat) => Some(updated_seat(seat, change, self.now)).filter(|updated| {
                updated.details != seat.details || updated.occupancy != seat.occupancy
            }),
        };
        self.changes.extend(applied.map(|seat| Change::Seat(key, seat)));
        self.summary.seats_applied = self.summary.seats_applied.saturating_add(1);
        Ok(())
    }

    fn skip_seat(&mut self, change: &SeatChange) {
        self.summary.seats_skipped = self.summary.seats_skipped.saturating_add(1);
        note_skipped(&mut self.summary, change.number.as_str());
    }

    fn skip_line(&mut self, sku: &str) {
        self.summary.lines_skipped = self.summary.lines_skipped.saturating_add(1);
        note_skipped(&mut self.summary, sku);
    }

    fn line(
        &mut self,
        state: &State,
        pool: &PoolId,
        restock: &Restock,
        request: &LineChange,
    ) -> Result<(), DecideError> {
        let key = LineKey { pool: pool.clone(), sku: request.sku.clone() };
        let found = state.line(&key)?;
        let actual = found.map_or(0, |line| line.version);
        let mismatch = request.expected_version.filter(|expected| *expected != actual);
        if let Some(expected) = mismatch.filter(|_| !injected_bug!(IgnoreExpectedVersion)) {
            if self.skips {
                self.skip_line(request.sku.as_str());
                return Ok(());
            }
            let sku = request.sku.clone();
            self.inapplicable.versions.push(RejectedLine::Version { sku, expected, actual });
            return Ok(());
        }
        let is_late = |line: &StockLevel| match (line.as_of, restock.as_of) {
            (Some(newest), Some(this)) => newest > this && !injected_bug!(ApplyOlder),
            _ => false,
        };
        if restock.mode == RestockMode::Set && found.is_some_and(is_late) {
            self.skip_line(request.sku.as_str());
            return Ok(());
        }
        let line = restocked_line(found, request.quantity, restock, self.now);
        let takes = restock.mode == RestockMode::Add && request.quantity < 0;
        let is_short = takes && line.available < 0 && !injected_bug!(AddBelowZero);
        if is_short || bounds::is_beyond_on_hand_max(&line) {
            if self.skips {
                self.skip_line(request.sku.as_str());
                return Ok(());
            }
            let InapplicableLines { short, over, .. } = &mut self.inapplicable;
            let lines = if is_short { short } else { over };
            lines.push(RejectedLine::Quantity {
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
        } else if request.expected_version.is_some() {
            self.read_dependencies.push(ItemKey::Line(key));
        }
        self.summary.lines_applied = self.summary.lines_applied.saturating_add(1);
        Ok(())
    }
}

/// Whether a RESERVED or BOOKED seat is withheld after the change; `None` if the change leaves such
/// a seat alone.
fn withheld(seat: &Seat, change: &SeatChange) -> Option<bool> {
    match change.status {
        Some(RestockStatus::Blocked) => Some(true),
        Some(RestockStatus::Available) if seat.withheld => Some(false),
        _ => None,
    }
}

fn new_seat(change: &SeatChange, now: Timestamp) -> Seat {
    Seat {
        details: merged(&SeatDetails::default(), change),
        occupancy: change.status.map_or(SeatState::Available, SeatState::from),
        withheld: false,
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

fn updated_seat(seat: &Seat, change: &SeatChange, now: Timestamp) -> Seat {
    Seat {
        details: merged(&seat.details, change),
        occupancy: change.status.map_or_else(|| seat.occupancy.clone(), SeatState::from),
        withheld: false,
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
    let committed = found.map_or(0, |line| line.committed);
    let known_as_of = found.and_then(|line| line.as_of);
    let (available, as_of) = match restock.mode {
        RestockMode::Set => {
            let held = if injected_bug!(SetForgetsReserved) { 0 } else { reserved };
            (quantity.saturating_sub(held).saturating_sub(committed), restock.as_of.or(known_as_of))
        }
        RestockMode::Add => {
            (found.map_or(0, |line| line.available).saturating_add(quantity), known_as_of)
        }
    };
    StockLevel {
        available,
        reserved,
        committed,
        as_of,
        version: found.map_or(1, |line| line.version.saturating_add(1)),
        updated_at: now,
    }
}
