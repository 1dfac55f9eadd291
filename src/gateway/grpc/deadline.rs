//! The caller's deadline: `grpc-timeout`.

use std::time::Duration;

/// How long a call waits unless it says how long.
pub(super) const WAIT_DEFAULT: Duration = Duration::from_secs(5);

/// How long a call waits at most.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(20);

/// What is left of the caller's time for the answer on its way back.
const FOR_THE_ANSWER: Duration = Duration::from_millis(50);

/// What is expected of a `grpc-timeout`.
pub(super) const EXPECTED: &str = "1 to 8 digits and a unit of H M S m u n";

/// How long to wait for an outcome, by the value of `grpc-timeout`; `None` if it is malformed.
pub(super) fn wait(timeout: Option<&str>) -> Option<Duration> {
    let Some(timeout) = timeout else { return Some(WAIT_DEFAULT) };
    Some(parse(timeout)?.saturating_sub(FOR_THE_ANSWER).min(WAIT_MAX))
}

/// gRPC over HTTP/2: "TimeoutValue → {positive integer as ASCII string of at most 8 digits}",
/// "TimeoutUnit → Hour / Minute / Second / Millisecond / Microsecond / Nanosecond".
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let valid = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let value: u64 = valid.then(|| digits.parse().ok()).flatten()?;
    Some(match unit {
        "H" => Duration::from_secs(value.saturating_mul(3_600)),
        "M" => Duration::from_secs(value.saturating_mul(60)),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_waits_as_long_as_its_caller_less_the_way_back() {
        let millis = Duration::from_millis;
        for (timeout, expected) in [
            ("3S", millis(2_950)),
            ("300m", millis(250)),
            ("1000000u", millis(950)),
            ("99999999n", Duration::from_nanos(49_999_999)),
            ("50m", Duration::ZERO),
            ("0n", Duration::ZERO),
            ("1M", WAIT_MAX),
            ("99999999H", WAIT_MAX),
        ] {
            assert_eq!(wait(Some(timeout)), Some(expected), "{timeout}");
        }
        assert_eq!(wait(None), Some(WAIT_DEFAULT));
    }

    #[test]
    fn a_malformed_timeout_is_noticed() {
        for wrong in ["", "S", "5", "-5S", "+5S", "5s", "5 S", "123456789S", "5SS", "５S", "5é"] {
            assert_eq!(wait(Some(wrong)), None, "{wrong:?}");
        }
    }
}
