//! Instants, always passed in and always UTC.

use jiff::SignedDuration;

/// An instant in UTC. Written as RFC 3339.
pub type Timestamp = jiff::Timestamp;

/// `from` plus `seconds`, rounded up to the whole second; saturates at the end of time.
///
/// Rounding up means that a hold is never shorter than requested.
#[must_use]
pub fn expiry(from: Timestamp, seconds: u32) -> Timestamp {
    let end = saturating_add(from, SignedDuration::from_secs(i64::from(seconds)));
    if end.subsec_nanosecond() == 0 {
        return end;
    }
    let whole = end.as_second().saturating_add(i64::from(end.subsec_nanosecond() > 0));
    Timestamp::from_second(whole).unwrap_or(Timestamp::MAX)
}

/// `at + by`, saturating at the first and last instants that can be written.
#[must_use]
pub fn saturating_add(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(if by.is_negative() { Timestamp::MIN } else { Timestamp::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_rounded_up_to_the_second() {
        let from: Timestamp = "2026-11-22T10:00:00.001Z".parse().unwrap();
        assert_eq!(expiry(from, 600).to_string(), "2026-11-22T10:10:01Z");
        let whole: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        assert_eq!(expiry(whole, 600).to_string(), "2026-11-22T10:10:00Z");
    }

    #[test]
    fn an_expiry_past_the_end_of_time_stays_there() {
        assert_eq!(expiry(Timestamp::MAX, 14_400), Timestamp::MAX);
    }
}
