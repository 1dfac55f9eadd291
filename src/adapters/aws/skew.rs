//! How far this machine's clock is from the services', by the `Date` of their answers.

use std::sync::atomic::{AtomicI64, Ordering};

use aws_sdk_sqs::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::BeforeDeserializationInterceptorContextRef,
    },
    error::BoxError,
};
use jiff::{SignedDuration, fmt::rfc2822::DateTimeParser};

use crate::{adapters::system::SystemClock, domain::Timestamp, ports::Clock as _};

/// RFC 9110: a `Date` is written in whole seconds, rounded down by most servers.
const DATE_PARSER: DateTimeParser = DateTimeParser::new();

/// No answer so far.
const UNKNOWN: i64 = i64::MIN;

/// A machine has one clock, whoever asks.
static AHEAD_MS: AtomicI64 = AtomicI64::new(UNKNOWN);

/// How far this machine's clock was ahead of the service that answered last; below zero, behind. It
/// is accurate to a second and the time that the answer took to arrive. `None` before the first
/// answer.
#[must_use]
pub fn clock_ahead() -> Option<SignedDuration> {
    let ahead = AHEAD_MS.load(Ordering::Relaxed);
    (ahead != UNKNOWN).then(|| SignedDuration::from_millis(ahead))
}

/// How far `now` is ahead of a `Date`; `None` if it is not written as one.
fn ahead(date: &str, now: Timestamp) -> Option<SignedDuration> {
    let date = DATE_PARSER.parse_timestamp(date).ok()?;
    let ahead = now.duration_since(date);
    // Within the second that the date stands for, nothing is known.
    let second = SignedDuration::from_secs(1);
    Some(if ahead > SignedDuration::ZERO {
        ahead.saturating_sub(second).max(SignedDuration::ZERO)
    } else {
        ahead
    })
}

/// Reads the `Date` of every answer of a client.
#[derive(Debug)]
pub(in crate::adapters) struct ClockSkew;

impl Intercept for ClockSkew {
    fn name(&self) -> &'static str {
        "ClockSkew"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        if let Some(ahead) = date.and_then(|date| ahead(date, SystemClock.now())) {
            let ms = i64::try_from(ahead.as_millis()).unwrap_or(i64::MAX);
            AHEAD_MS.store(ms, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(date: &str, now: &str) -> Option<f64> {
        ahead(date, now.parse().unwrap()).map(|ahead| ahead.as_secs_f64())
    }

    #[test]
    fn a_clock_is_ahead_or_behind_by_more_than_the_second_of_the_date() {
        let date = "Sun, 22 Nov 2026 10:00:00 GMT";
        assert_eq!(seconds(date, "2026-11-22T10:00:00.900Z"), Some(0.0));
        assert_eq!(seconds(date, "2026-11-22T10:30:01Z"), Some(1_800.0));
        assert_eq!(seconds(date, "2026-11-22T09:59:50Z"), Some(-10.0));
        assert_eq!(seconds("yesterday", "2026-11-22T10:00:00Z"), None);
    }
}
