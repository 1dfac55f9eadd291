//! Reads fields of protobuf messages as domain types.

use std::{ops::RangeInclusive, str::FromStr};

use super::proto;
use crate::domain::{
    GroupId, InvalidText, PoolId, RestockStatus, Timestamp, command::HOLD_SECONDS_MAX,
    ids::EVENT_ID_MAX,
};

/// 0001-01-01T00:00:00Z: the first that `google.protobuf.Timestamp` allows.
const FIRST_SECOND: i64 = -62_135_596_800;

/// A field or metadata that is wrong. Never holds the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The path of the field, such as `lines[2].quantity`, or the key of the metadata.
    pub field: String,
    /// What was expected.
    pub expected: String,
}

impl Violation {
    /// The field is wrong.
    pub(super) fn new(field: &str, expected: impl Into<String>) -> Self {
        Self { field: field.to_owned(), expected: expected.into() }
    }

    /// The same, for a field of the message at `path`; the message itself if it has no path yet.
    fn within(self, path: &str) -> Self {
        let separator = if self.field.is_empty() { "" } else { "." };
        Self { field: format!("{path}{separator}{}", self.field), ..self }
    }
}

/// A text.
pub(super) fn text<T: FromStr<Err = InvalidText>>(field: &str, text: &str) -> Result<T, Violation> {
    text.parse().map_err(|wrong: InvalidText| Violation::new(field, wrong.expected))
}

/// A text that may be absent.
pub(super) fn optional<T: FromStr<Err = InvalidText>>(
    field: &str,
    value: Option<&String>,
) -> Result<Option<T>, Violation> {
    value.map(|value| text(field, value)).transpose()
}

/// A text that may be absent, or empty for the same.
pub(super) fn optional_or_empty<T: FromStr<Err = InvalidText>>(
    field: &str,
    value: Option<&String>,
) -> Result<Option<T>, Violation> {
    optional(field, value.filter(|value| !value.is_empty()))
}

/// A list, entry by entry.
pub(super) fn list<'a, P, T>(
    field: &str,
    entries: &'a [P],
    read: impl Fn(&'a P) -> Result<T, Violation>,
) -> Result<Vec<T>, Violation> {
    let each = entries.iter().enumerate();
    each.map(|(index, entry)| {
        read(entry).map_err(|wrong| wrong.within(&format!("{field}[{index}]")))
    })
    .collect()
}

/// A list of texts.
pub(super) fn texts<T: FromStr<Err = InvalidText>>(
    field: &str,
    entries: &[String],
) -> Result<Vec<T>, Violation> {
    list(field, entries, |entry| text("", entry))
}

/// An integer that is not negative.
pub(super) fn unsigned(
    field: &str,
    value: i64,
    range: RangeInclusive<u64>,
) -> Result<u64, Violation> {
    u64::try_from(value).ok().filter(|value| range.contains(value)).ok_or_else(|| {
        let (first, last) = (range.start(), range.end());
        Violation::new(field, format!("an integer from {first} to {last}"))
    })
}

/// The length of a hold.
pub(super) fn hold_seconds(field: &str, seconds: i32) -> Result<u32, Violation> {
    let seconds = unsigned(field, seconds.into(), 1..=HOLD_SECONDS_MAX.into())?;
    Ok(u32::try_from(seconds).unwrap_or(HOLD_SECONDS_MAX))
}

/// An event's id.
pub(super) fn event_id(field: &str, id: i64) -> Result<u64, Violation> {
    unsigned(field, id, 0..=EVENT_ID_MAX)
}

/// The pool of a request.
pub(super) fn pool(pool: Option<&proto::Pool>) -> Result<PoolId, Violation> {
    match pool.and_then(|pool| pool.pool.as_ref()) {
        Some(proto::pool::Pool::EventId(id)) => event_id("pool.event_id", *id).map(PoolId::Event),
        Some(proto::pool::Pool::StoreId(id)) => text("pool.store_id", id).map(PoolId::Store),
        None => Err(Violation::new("pool", "event_id or store_id")),
    }
}

/// The group of a request.
pub(super) fn group(group: Option<&String>) -> Result<Option<GroupId>, Violation> {
    optional("group", group)
}

/// A moment.
pub(super) fn timestamp(field: &str, at: prost_types::Timestamp) -> Result<Timestamp, Violation> {
    let valid = at.seconds >= FIRST_SECOND && (0..1_000_000_000).contains(&at.nanos);
    let read = valid.then(|| Timestamp::new(at.seconds, at.nanos).ok()).flatten();
    read.ok_or_else(|| Violation::new(field, "a google.protobuf.Timestamp of the years 1 to 9999"))
}

/// A value of an enum; an unknown number is wrong.
pub(super) fn choice<E: TryFrom<i32>>(
    field: &str,
    number: i32,
    expected: &str,
) -> Result<E, Violation> {
    E::try_from(number).map_err(|_| Violation::new(field, expected))
}

/// A status that a command may give a seat; `None` if it is unspecified.
pub(super) fn seat_status(field: &str, number: i32) -> Result<Option<RestockStatus>, Violation> {
    let expected = "SEAT_STATUS_AVAILABLE or SEAT_STATUS_BLOCKED";
    match choice(field, number, expected)? {
        proto::SeatStatus::Unspecified => Ok(None),
        proto::SeatStatus::Available => Ok(Some(RestockStatus::Available)),
        proto::SeatStatus::Blocked => Ok(Some(RestockStatus::Blocked)),
        proto::SeatStatus::Reserved | proto::SeatStatus::Booked => {
            Err(Violation::new(field, expected))
        }
    }
}

#[cfg(test)]
mod tests;
