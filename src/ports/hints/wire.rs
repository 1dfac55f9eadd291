//! Frames as bytes.
//!
//! ```text
//! version (1) | flags | stream (16) | last | hints… to the end
//! hint: tag | fields
//! ```
//!
//! Numbers are little-endian base 128, seven bits a byte (LEB128); signed ones zigzag; texts are
//! preceded by their length. A version that is not known, and a tag that is not known, make the
//! whole frame unreadable: a newer worker must not be half understood.

use std::{str::FromStr, sync::Arc};

use uuid::Uuid;

use super::{FRAME_BYTES_MAX, FRAME_HINTS_MAX, Frame, Hint, LineHint, SeatHint};
use crate::domain::{CommandKey, SeatStatus, Timestamp};

const VERSION: u8 = 1;

const IDLE: u8 = 1;

const READ_AGAIN: u8 = 0;
const SEAT: u8 = 1;
const LINE: u8 = 2;
const DECIDED: u8 = 3;
const RESULT: u8 = 4;

const WITHHELD: u8 = 4;
const HAS_UNTIL: u8 = 8;

/// Bytes that are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a frame of hints: {0}")]
pub struct InvalidFrame(&'static str);

const SHORT: InvalidFrame = InvalidFrame("it ends too soon");

/// A frame as bytes, at most [`FRAME_BYTES_MAX`] where its hints take no more with its head.
#[must_use]
pub fn encode(frame: &Frame) -> Vec<u8> {
    let size: usize = frame.hints.iter().map(Hint::bytes_max).sum();
    let mut bytes = Vec::with_capacity(size.saturating_add(32));
    bytes.push(VERSION);
    bytes.push(if frame.is_idle { IDLE } else { 0 });
    bytes.extend_from_slice(frame.stream.as_bytes());
    put_number(&mut bytes, frame.last);
    for hint in &frame.hints {
        put_hint(&mut bytes, hint);
    }
    bytes
}

/// Reads a frame.
///
/// # Errors
///
/// The bytes are no frame, one of another version, or one beyond the bounds.
pub fn decode(bytes: &[u8]) -> Result<Frame, InvalidFrame> {
    if bytes.len() > FRAME_BYTES_MAX {
        return Err(InvalidFrame("it is too long"));
    }
    let mut rest = Bytes(bytes);
    if rest.byte()? != VERSION {
        return Err(InvalidFrame("its version is not known"));
    }
    let flags = rest.byte()?;
    if flags & !IDLE != 0 {
        return Err(InvalidFrame("its flags are not known"));
    }
    let stream = Uuid::from_slice(rest.take(16)?).map_err(|_| SHORT)?;
    let last = rest.number()?;
    let mut hints = Vec::new();
    while !rest.0.is_empty() {
        if hints.len() >= FRAME_HINTS_MAX {
            return Err(InvalidFrame("it has too many hints"));
        }
        hints.push(rest.hint()?);
    }
    if u64::try_from(hints.len()).is_ok_and(|hints| hints > last) {
        return Err(InvalidFrame("it has more hints than were numbered"));
    }
    Ok(Frame { stream, last, hints, is_idle: flags & IDLE != 0 })
}

/// The next whole millisecond, as a frame carries it.
pub(super) fn rounded_up(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(milliseconds(at)).unwrap_or(Timestamp::MAX)
}

fn milliseconds(at: Timestamp) -> i64 {
    let floor = at.as_nanosecond().div_euclid(1_000_000);
    let rest = at.as_nanosecond().rem_euclid(1_000_000);
    i64::try_from(floor).unwrap_or(i64::MAX).saturating_add(i64::from(rest > 0))
}

fn put_hint(bytes: &mut Vec<u8>, hint: &Hint) {
    match hint {
        Hint::ReadAgain => bytes.push(READ_AGAIN),
        Hint::Seat(seat) => put_seat(bytes, seat),
        Hint::Line(line) => {
            bytes.push(LINE);
            put_text(bytes, line.sku.as_str());
            put_number(bytes, line.version);
            put_signed(bytes, line.available);
            put_signed(bytes, line.reserved);
            put_signed(bytes, line.committed);
            put_signed(bytes, milliseconds(line.updated_at));
        }
        Hint::Decided(key) => {
            bytes.push(DECIDED);
            put_text(bytes, key.source.as_str());
            put_text(bytes, key.id.as_str());
        }
        Hint::Result(body) => {
            bytes.push(RESULT);
            put_text(bytes, body);
        }
    }
}

fn put_seat(bytes: &mut Vec<u8>, seat: &SeatHint) {
    bytes.push(SEAT);
    put_text(bytes, seat.number.as_str());
    put_number(bytes, seat.version);
    let status = match seat.status {
        SeatStatus::Available => 0,
        SeatStatus::Reserved => 1,
        SeatStatus::Booked => 2,
        SeatStatus::Blocked => 3,
    };
    let withheld = if seat.withheld { WITHHELD } else { 0 };
    let has_until = if seat.until.is_some() { HAS_UNTIL } else { 0 };
    bytes.push(status | withheld | has_until);
    if let Some(until) = seat.until {
        put_signed(bytes, milliseconds(until));
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_number(bytes, u64::try_from(text.len()).unwrap_or(u64::MAX));
    bytes.extend_from_slice(text.as_bytes());
}

fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap_or_default());
}

fn put_signed(bytes: &mut Vec<u8>, number: i64) {
    put_number(bytes, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], InvalidFrame> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, InvalidFrame> {
        self.take(1)?.first().copied().ok_or(SHORT)
    }

    fn number(&mut self) -> Result<u64, InvalidFrame> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(InvalidFrame("a number is too large"))
    }

    fn signed(&mut self) -> Result<i64, InvalidFrame> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    fn instant(&mut self) -> Result<Timestamp, InvalidFrame> {
        Timestamp::from_millisecond(self.signed()?).map_err(|_| InvalidFrame("no instant"))
    }

    fn text(&mut self) -> Result<&'a str, InvalidFrame> {
        let length = usize::try_from(self.number()?).map_err(|_| SHORT)?;
        std::str::from_utf8(self.take(length)?).map_err(|_| InvalidFrame("a text is not UTF-8"))
    }

    fn parsed<T: FromStr>(&mut self) -> Result<T, InvalidFrame> {
        self.text()?.parse().map_err(|_| InvalidFrame("a text is not what it should be"))
    }

    fn hint(&mut self) -> Result<Hint, InvalidFrame> {
        match self.byte()? {
            READ_AGAIN => Ok(Hint::ReadAgain),
            SEAT => self.seat().map(Hint::Seat),
            LINE => Ok(Hint::Line(LineHint {
                sku: self.parsed()?,
                version: self.number()?,
                available: self.signed()?,
                reserved: self.signed()?,
                committed: self.signed()?,
                updated_at: self.instant()?,
            })),
            DECIDED => Ok(Hint::Decided(CommandKey { source: self.parsed()?, id: self.parsed()? })),
            RESULT => self.text().map(|body| Hint::Result(Arc::from(body))),
            _ => Err(InvalidFrame("a hint is of a kind that is not known")),
        }
    }

    fn seat(&mut self) -> Result<SeatHint, InvalidFrame> {
        let (number, version, state) = (self.parsed()?, self.number()?, self.byte()?);
        if state & !(3 | WITHHELD | HAS_UNTIL) != 0 {
            return Err(InvalidFrame("a seat's state is not known"));
        }
        let status = match state & 3 {
            0 => SeatStatus::Available,
            1 => SeatStatus::Reserved,
            2 => SeatStatus::Booked,
            _ => SeatStatus::Blocked,
        };
        let until = if state & HAS_UNTIL == 0 { None } else { Some(self.instant()?) };
        Ok(SeatHint { number, version, status, until, withheld: state & WITHHELD != 0 })
    }
}

#[cfg(test)]
mod tests;
