//! The memory that a message takes while it is in flight.

use crate::domain::{SeatChange, command::RESTOCK_ENTRIES_MAX};

/// The most bytes of an entry besides its texts: a seat with number, section, row and type, each a
/// shared text with two reference counts and up to seven bytes of padding.
const ENTRY_BYTES_MAX: usize = size_of::<SeatChange>() + 4 * 24;

/// The most bytes of an entry per byte of body: the shortest possible entry,
/// `{"seat_number":"1"},`, is 20 bytes.
const ENTRY_FACTOR: usize = (size_of::<SeatChange>() + 24).div_ceil(20);

/// The bytes of a message besides its body, and of a reservation's 97 seats besides their texts.
const FIXED_BYTES: usize = 4 * 1024;

/// The most bytes that a body of `body_bytes` and its decoded command take together. Decoding
/// itself takes at most [`DECODING_FACTOR`] times the body on top.
#[must_use]
pub fn held_bytes_max(body_bytes: usize) -> usize {
    let entries = body_bytes
        .saturating_mul(ENTRY_FACTOR)
        .min(RESTOCK_ENTRIES_MAX.saturating_mul(ENTRY_BYTES_MAX));
    body_bytes.saturating_mul(2).saturating_add(entries).saturating_add(FIXED_BYTES)
}

/// The most bytes that decoding takes per byte of body, whatever its content.
pub const DECODING_FACTOR: usize = 5;
