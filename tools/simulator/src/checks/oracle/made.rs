//! The effect of one entry of a restock on its seat or line.

use super::ends::ON_HAND_MAX;
use inventory_worker::domain::{
    LineChange, RejectedLine, RejectionCode, Restock, RestockMode, RestockStatus, Seat, SeatChange,
    SeatDetails, SeatState, StockLevel, Timestamp,
};

/// The effect of a restock entry on an item.
pub(super) enum Made<T> {
    /// The item is left unchanged and reported as skipped.
    Skipped,
    /// The item already has the requested state.
    Same,
    /// The item's next state.
    Next(T),
}

/// The contract for seats: of RESERVED and BOOKED ones only the mark changes that withholds them.
pub(super) fn seat_made(found: Option<&Seat>, change: &SeatChange, now: Timestamp) -> Made<Seat> {
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
pub(super) fn line_made(
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
pub(super) fn is_stated(
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
pub(super) fn place(code: RejectionCode) -> Option<usize> {
    let order = [
        RejectionCode::VersionMismatch,
        RejectionCode::InsufficientStock,
        RejectionCode::LimitExceeded,
    ];
    order.iter().position(|other| *other == code)
}
