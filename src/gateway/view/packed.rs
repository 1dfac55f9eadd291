//! A projection as bytes, for gateways to share: JSON, compressed.

use std::io::{Read as _, Write as _};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize};

use super::{LineEntry, PoolView, SeatEntry, layout::SeatPlace, read::assemble};
use crate::{
    domain::{Label, PoolId, Price, SeatDetails, SeatNumber, SeatStatus, Sku, Timestamp},
    message::to_json,
};

/// Told apart from those of other releases. Raised with every change of what is packed.
const FORMAT: u32 = 1;

/// The most bytes that are unpacked: far more than 50,000 seats of the longest names take.
const UNPACKED_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct Packed {
    format: u32,
    pool: PoolId,
    seats: Vec<PackedSeat>,
    lines: Vec<PackedLine>,
}

/// Number; section, row, type and price; version, status, end of the hold, withheld.
#[derive(Serialize, Deserialize)]
struct PackedSeat(SeatNumber, [Option<String>; 4], u64, SeatStatus, Option<Timestamp>, bool);

/// SKU; version, available, reserved, committed, when it last changed.
#[derive(Serialize, Deserialize)]
struct PackedLine(Sku, u64, i64, i64, i64, Timestamp);

/// Packs a projection.
pub(super) fn pack(view: &PoolView) -> Vec<u8> {
    let seats = view.seats().iter().enumerate().filter_map(|(position, seat)| {
        let SeatPlace { number, section, row_number, seat_type, price } =
            view.layout().place(position)?;
        let texts = [section, row_number, seat_type, price];
        let texts = texts.map(|text| text.map(|text| text.to_string()));
        let SeatEntry { version, status, withheld, .. } = *seat;
        Some(PackedSeat(number.clone(), texts, version, status, seat.until(), withheld))
    });
    let lines = view.lines().map(|(sku, line)| {
        let LineEntry { version, available, reserved, committed, updated_at } = *line;
        PackedLine(sku.clone(), version, available, reserved, committed, updated_at)
    });
    let packed = Packed {
        format: FORMAT,
        pool: view.pool().clone(),
        seats: seats.collect(),
        lines: lines.collect(),
    };
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let written = encoder.write_all(to_json(&packed).as_bytes());
    // A vector takes all that is written.
    written.and_then(|()| encoder.finish()).unwrap_or_default()
}

/// Unpacks the projection of a pool; `None` for one of another release or pool, and for what is
/// none.
pub(super) fn unpack(pool: &PoolId, bytes: &[u8]) -> Option<PoolView> {
    let mut json = Vec::new();
    GzDecoder::new(bytes).take(UNPACKED_BYTES_MAX).read_to_end(&mut json).ok()?;
    let packed: Packed = serde_json::from_slice(&json).ok()?;
    if packed.format != FORMAT || packed.pool != *pool {
        return None;
    }
    let seats = packed.seats.into_iter().map(unpack_seat).collect::<Option<Vec<_>>>()?;
    let lines = packed.lines.into_iter().map(
        |PackedLine(sku, version, available, reserved, committed, updated_at)| {
            (sku, LineEntry { version, available, reserved, committed, updated_at })
        },
    );
    assemble(pool, seats, lines.collect())
}

fn unpack_seat(seat: PackedSeat) -> Option<(SeatNumber, SeatDetails, SeatEntry)> {
    let PackedSeat(number, texts, version, status, until, withheld) = seat;
    let [section, row_number, seat_type, price] = texts;
    let label = |text: Option<String>| -> Option<Option<Label>> {
        text.map(|text| text.parse()).transpose().ok()
    };
    let details = SeatDetails {
        section: label(section)?,
        row_number: label(row_number)?,
        seat_type: label(seat_type)?,
        price: price.map(|text| text.parse::<Price>()).transpose().ok()?,
    };
    Some((number, details, SeatEntry::new(version, status, until, withheld)))
}

#[cfg(test)]
mod tests;
