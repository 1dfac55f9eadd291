//! RFC 3339 times in messages.

use crate::domain::Timestamp;

/// The "expected" text for a time.
pub(super) const EXPECTED: &str =
    "an RFC 3339 time such as \"2026-11-22T10:00:00Z\", with at most 9 digits of a second";

/// 0000-01-01T00:00:00Z: an earlier instant has no RFC 3339 form.
const FIRST_SECOND: i64 = -62_167_219_200;

/// Reads an RFC 3339 time (section 5.6) without losing precision.
///
/// The shape is checked first, as `jiff` accepts more than RFC 3339 does. More than nine fractional
/// digits are rejected, as they could not be kept. A leap second (`23:59:60` UTC, section 5.7) is
/// read as the second before it, as POSIX time has none. Times after 9999-12-30T22:00:00.999999999Z
/// are rejected, as `jiff` ends there.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let is_leap = shape(text.as_bytes())?;
    let at: Timestamp = text.parse().ok()?;
    let has_form = at.as_second() >= FIRST_SECOND;
    let leap_fits = !is_leap || at.as_second().rem_euclid(86_400) == 86_399;
    (has_form && leap_fits).then_some(at)
}

/// Whether the second is 60; `None` if the text does not have the shape of an RFC 3339 time.
fn shape(text: &[u8]) -> Option<bool> {
    let (date, rest) = text.split_at_checked(10)?;
    let (time, rest) = rest.split_at_checked(9)?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = date else { return None };
    let [b'T' | b't', hour1, hour2, b':', min1, min2, b':', sec1, sec2] = time else {
        return None;
    };
    let digits = [y1, y2, y3, y4, m1, m2, d1, d2, hour1, hour2, min1, min2, sec1, sec2];
    let in_range = digits.into_iter().all(u8::is_ascii_digit)
        && [*hour1, *hour2] <= *b"23"
        && [*min1, *min2] <= *b"59"
        && [*sec1, *sec2] <= *b"60";
    (in_range && is_offset(after_fraction(rest)?)).then_some([*sec1, *sec2] == *b"60")
}

fn after_fraction(rest: &[u8]) -> Option<&[u8]> {
    let Some(fraction) = rest.strip_prefix(b".") else { return Some(rest) };
    let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (1..=9).contains(&digits).then(|| fraction.get(digits..)).flatten()
}

fn is_offset(offset: &[u8]) -> bool {
    match offset {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => {
            [h1, h2, m1, m2].into_iter().all(u8::is_ascii_digit)
                && [*h1, *h2] <= *b"23"
                && [*m1, *m2] <= *b"59"
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_rfc_3339_time_is_read_with_its_full_precision() {
        for (text, utc) in [
            ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z"),
            ("2026-11-22t10:00:00.123456789z", "2026-11-22T10:00:00.123456789Z"),
            ("2026-11-22T10:00:00.5+02:00", "2026-11-22T08:00:00.5Z"),
            ("2026-11-22T10:00:00-23:59", "2026-11-23T09:59:00Z"),
            ("2026-11-22T10:00:00-00:00", "2026-11-22T10:00:00Z"),
            ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
            ("2017-01-01T00:59:60+01:00", "2016-12-31T23:59:59Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
        ] {
            assert_eq!(parse(text).map(|at| at.to_string()).as_deref(), Some(utc), "{text}");
        }
    }

    #[test]
    fn what_is_no_rfc_3339_time_is_refused() {
        for text in [
            "",
            "2026-11-22",
            "2026-11-22T10:00:00",
            "2026-11-22T10:00Z",
            "2026-11-22 10:00:00Z",
            "2026-11-22T10:00:00.Z",
            "2026-11-22T10:00:00.1234567890Z",
            "2026-11-22T10:00:00,5Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T10:60:00Z",
            "2026-11-22T10:00:60Z",
            "2026-11-22T10:00:61Z",
            "2026-02-30T10:00:00Z",
            "2026-13-01T10:00:00Z",
            "2026-11-22T10:00:00+24:00",
            "2026-11-22T10:00:00+02:00:00",
            "2026-11-22T10:00:00+02",
            "2026-11-22T10:00:00Z[UTC]",
            "2026-11-22T10:00:00Z ",
            "+002026-11-22T10:00:00Z",
            "20261122T100000Z",
            "0000-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59Z",
            "２026-11-22T10:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
