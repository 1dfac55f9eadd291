//! From text to values. An error says what was expected.

use std::{ops::RangeInclusive, time::Duration};

/// A whole number within a range. `what` names its unit.
pub(super) fn whole<T>(text: &str, range: RangeInclusive<T>, what: &str) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits && range.contains(&number) => Ok(number),
        _ => Err(format!("a whole number of {what} from {} to {}", range.start(), range.end())),
    }
}

/// Whole seconds, where the service takes no fractions.
pub(super) fn whole_seconds(text: &str, range: RangeInclusive<u64>) -> Result<Duration, String> {
    whole(text, range, "seconds").map(Duration::from_secs)
}

/// Seconds with up to three decimals, within a range of milliseconds.
pub(super) fn seconds(text: &str, range_ms: RangeInclusive<u64>) -> Result<Duration, String> {
    match milliseconds(text) {
        Some(ms) if range_ms.contains(&ms) => Ok(Duration::from_millis(ms)),
        _ => Err(format!(
            "seconds from {} to {}, with at most three decimals",
            shown_seconds(*range_ms.start()),
            shown_seconds(*range_ms.end())
        )),
    }
}

fn milliseconds(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 3 {
        return None;
    }
    let fraction_ms: u64 = format!("{fraction:0<3}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000)?.checked_add(fraction_ms)
}

fn shown_seconds(ms: u64) -> String {
    let (whole, rest) = (ms / 1_000, ms % 1_000);
    if rest == 0 {
        return whole.to_string();
    }
    format!("{whole}.{rest:03}").trim_end_matches('0').to_owned()
}

/// One of a few words.
pub(super) fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        words.join(" or ")
    })
}

/// The parts of a comma-separated list, trimmed; a trailing comma is forgiven.
pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// Stands for a value that may carry a secret.
pub(super) const HIDDEN: &str = "(hidden)";

/// Whether it is a URL of HTTP without user, password, query or fragment: nothing to hide in it.
pub(super) fn is_plain_url(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    })
}

/// A plain URL as it is, anything else hidden.
pub(super) fn shown_url(text: &str) -> String {
    if is_plain_url(text) { text.to_owned() } else { HIDDEN.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_take_up_to_three_decimals() {
        assert_eq!(seconds("0.5", 0..=1_000), Ok(Duration::from_millis(500)));
        assert_eq!(seconds("1", 0..=1_000), Ok(Duration::from_secs(1)));
        assert_eq!(seconds("0.025", 0..=1_000), Ok(Duration::from_millis(25)));
        for wrong in ["", ".", ".5", "5.", "-1", "1e2", "0.0001", "1.001", "NaN", "+1", "1 s"] {
            let expected = "seconds from 0 to 1, with at most three decimals";
            assert_eq!(seconds(wrong, 0..=1_000), Err(expected.to_owned()), "{wrong:?}");
        }
    }

    #[test]
    fn a_range_is_shown_in_the_unit_it_is_given_in() {
        let expected = "seconds from 0.05 to 2, with at most three decimals";
        assert_eq!(seconds("9", 50..=2_000), Err(expected.to_owned()));
    }

    #[test]
    fn a_number_beyond_every_integer_is_refused_like_any_other() {
        for wrong in ["", "x", "-1", "+1", "1.0", "99999999999999999999999999"] {
            assert!(whole::<u32>(wrong, 1..=10, "things").is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn only_a_url_that_can_hold_no_secret_is_shown() {
        assert_eq!(shown_url("http://127.0.0.1:4566"), "http://127.0.0.1:4566");
        for url in ["http://user:s3cret@h", "http://s3cret@h", "http://h?key=s3cret", "s3cret"] {
            assert_eq!(shown_url(url), HIDDEN, "{url}");
        }
    }
}
