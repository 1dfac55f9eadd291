//! What a message takes of memory while it is in hand.

use crate::domain::{SeatChange, command::RESTOCK_ENTRIES_MAX};

/// The most that an entry of a command takes beside its texts: a seat with number, section, row and
/// type, each a shared text with two counts and up to seven bytes of padding.
const ENTRY_BYTES_MAX: usize = size_of::<SeatChange>() + 4 * 24;

/// An entry takes at most so many times what it takes in a body: the shortest there is,
/// `{"seat_number":"1"},`, is 20 bytes.
const ENTRY_FACTOR: usize = (size_of::<SeatChange>() + 24).div_ceil(20);

/// What a message takes beside its body, and a reservation's 97 seats beside their texts.
const FIXED_BYTES: usize = 4 * 1024;

/// The most bytes that a body of so many and the command in it take together, once it is decoded.
/// While it is being decoded it takes at most [`DECODING_FACTOR`] times the body besides.
#[must_use]
pub fn held_bytes_max(body_bytes: usize) -> usize {
    let entries = body_bytes
        .saturating_mul(ENTRY_FACTOR)
        .min(RESTOCK_ENTRIES_MAX.saturating_mul(ENTRY_BYTES_MAX));
    body_bytes.saturating_mul(2).saturating_add(entries).saturating_add(FIXED_BYTES)
}

/// Decoding takes at most so many times the body while it lasts, whatever is in it.
pub const DECODING_FACTOR: usize = 5;
