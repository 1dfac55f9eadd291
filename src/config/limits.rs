//! What an operator allows in one reservation, within what the contract allows.

use super::{Reader, Section, Setting, parse};
use crate::domain::command::{HOLD_SECONDS_MAX, RESERVE_ENTRIES_MAX};

const HEADING: &str = "Limits";

static MAX_HOLD: Setting = Setting::new(
    HEADING,
    "max-hold-seconds",
    "INVENTORY_MAX_HOLD_SECONDS",
    "SECONDS",
    "The longest hold a reserve may ask for; a reserve that names none asks for 600",
)
.or("14400");

static MAX_ENTRIES: Setting = Setting::new(
    HEADING,
    "max-entries-per-reservation",
    "INVENTORY_MAX_ENTRIES_PER_RESERVATION",
    "COUNT",
    "The most seats and lines in one reservation",
)
.or("97");

/// An operator's limits. A reserve beyond them is decided `LIMIT_EXCEEDED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `INVENTORY_MAX_HOLD_SECONDS`: the longest hold, seconds.
    pub max_hold_seconds: u32,
    /// `INVENTORY_MAX_ENTRIES_PER_RESERVATION`: the most seats and lines together.
    pub max_entries_per_reservation: usize,
}

impl Section for Limits {
    fn settings() -> Vec<&'static Setting> {
        vec![&MAX_HOLD, &MAX_ENTRIES]
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            max_hold_seconds: reader.value(&MAX_HOLD, HOLD_SECONDS_MAX, |text| {
                parse::whole(text, 1..=HOLD_SECONDS_MAX, "seconds")
            }),
            max_entries_per_reservation: reader.value(&MAX_ENTRIES, RESERVE_ENTRIES_MAX, |text| {
                parse::whole(text, 1..=RESERVE_ENTRIES_MAX, "seats and lines")
            }),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        super::reader::defaults()
    }
}
