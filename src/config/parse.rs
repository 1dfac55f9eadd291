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

/// URLs with their passwords hidden; what is no URL is hidden whole.
pub(super) fn mask_urls(text: &str) -> String {
    let masked: Vec<String> = list(text).map(mask_url).collect();
    masked.join(",")
}

fn mask_url(text: &str) -> String {
    let Ok(mut url) = url::Url::parse(text) else {
        return "(hidden)".to_owned();
    };
    // Redis takes a password without a user, and some put it where the user belongs: hide both.
    let has_secret = url.password().is_some() || !url.username().is_empty();
    if has_secret && (url.set_username("").is_err() || url.set_password(Some("***")).is_err()) {
        return "(hidden)".to_owned();
    }
    // A query may carry anything.
    if url.query().is_some() {
        url.set_query(Some("***"));
    }
    url.set_fragment(None);
    url.to_string()
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
    fn no_part_of_a_password_survives_the_mask() {
        for url in [
            "redis://:s3cret@h:6379/0",
            "rediss://user:s3cret@h",
            "redis://s3cret@h",
            "not a url s3cret",
            "redis://h?password=s3cret",
            "redis://h/0#s3cret",
        ] {
            assert!(!mask_urls(url).contains("s3cret"), "{url}");
        }
        assert_eq!(mask_urls("redis://a:1, redis://b:2"), "redis://a:1,redis://b:2");
    }
}
