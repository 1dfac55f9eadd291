//! The memory that a message takes while it is in flight.

use super::batch::{BATCH_COMMANDS_MAX, is_batch};
use crate::domain::{SeatChange, command::RESTOCK_ENTRIES_MAX};

/// The most bytes of an entry besides its texts: a seat with number, section, row and type, each a
/// shared text with two reference counts and up to seven bytes of padding.
const ENTRY_BYTES_MAX: usize = size_of::<SeatChange>() + 4 * 24;

/// The most bytes of an entry per byte of body: the shortest possible entry,
/// `{"seat_number":"1"},`, is 20 bytes.
const ENTRY_FACTOR: usize = (size_of::<SeatChange>() + 24).div_ceil(20);

/// The bytes of a message besides its body, and of a reservation's 97 seats besides their texts.
const FIXED_BYTES: usize = 4 * 1024;

/// The least bytes of a command in a batch, and its comma: `{},`. What is shorter is no object.
const COMMAND_BYTES_MIN: usize = 3;

/// The most bytes that a body and its decoded commands take together. Decoding itself takes at most
/// [`DECODING_FACTOR`] times the body on top.
#[must_use]
pub fn held_bytes_max(body: &str) -> usize {
    let commands = match is_batch(body) {
        true => body.len().div_ceil(COMMAND_BYTES_MIN).clamp(1, BATCH_COMMANDS_MAX),
        false => 1,
    };
    let entries = body
        .len()
        .saturating_mul(ENTRY_FACTOR)
        .min(commands.saturating_mul(RESTOCK_ENTRIES_MAX).saturating_mul(ENTRY_BYTES_MAX));
    let fixed = commands.saturating_mul(FIXED_BYTES);
    body.len().saturating_mul(2).saturating_add(entries).saturating_add(fixed)
}

/// The most bytes that decoding takes per byte of body, whatever its content.
pub const DECODING_FACTOR: usize = 5;
