//! Trace context, handed on from a command to its result.

use std::{fmt, str::FromStr, sync::Arc};

use crate::domain::InvalidText;

/// The length of a `traceparent` of version 00.
const LENGTH: usize = 55;

/// A `traceparent` (W3C Trace Context, section 3.2), always of version 00.
///
/// A later version is read as the recommendation asks of a version 00 implementation: its trace
/// id, parent id and sampled flag are kept, the rest is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traceparent(Arc<str>);

impl Traceparent {
    /// `00-<trace id>-<parent id>-<flags>`, 55 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Traceparent {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        parse(text).map(|known| Self(Arc::from(known))).ok_or_else(|| InvalidText {
            expected: "a W3C traceparent such as \
                       \"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\""
                .to_owned(),
        })
    }
}

fn parse(text: &str) -> Option<std::borrow::Cow<'_, str>> {
    let known = text.get(..LENGTH)?;
    let mut parts = known.split('-');
    let version = hex(parts.next()?, 2)?;
    let trace_id = hex(parts.next()?, 32).filter(|id| !all_zero(id))?;
    let parent_id = hex(parts.next()?, 16).filter(|id| !all_zero(id))?;
    let flags = hex(parts.next()?, 2)?;
    match version {
        "ff" => None,
        "00" if text.len() == LENGTH => Some(known.into()),
        "00" => None,
        _ if text.len() == LENGTH || text.as_bytes().get(LENGTH) == Some(&b'-') => {
            let sampled = u8::from_str_radix(flags, 16).ok()? & 1;
            Some(format!("00-{trace_id}-{parent_id}-{sampled:02x}").into())
        }
        _ => None,
    }
}

/// The text, where it is so many lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<&str> {
    let lower = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == digits && text.bytes().all(lower)).then_some(text)
}

fn all_zero(text: &str) -> bool {
    text.bytes().all(|b| b == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    #[test]
    fn a_traceparent_of_version_00_is_kept_as_it_is() {
        for flags in ["00", "01", "03", "ff"] {
            let text = format!("00-{TRACE}-{PARENT}-{flags}");
            assert_eq!(text.parse::<Traceparent>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn a_later_version_keeps_what_version_00_knows() {
        for (rest, flags) in [("03", "01"), ("02", "00"), ("01-what-comes-after", "01")] {
            let text = format!("cc-{TRACE}-{PARENT}-{rest}");
            let known = format!("00-{TRACE}-{PARENT}-{flags}");
            assert_eq!(text.parse::<Traceparent>().unwrap().as_str(), known);
        }
    }

    #[test]
    fn a_malformed_traceparent_is_refused() {
        let wrong = [
            String::new(),
            "00".to_owned(),
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-01-extra"),
            format!("00-{TRACE}-{PARENT}-01 "),
            format!("cc-{TRACE}-{PARENT}-01.extra"),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("00-{}-{PARENT}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}{PARENT}--01"),
            format!("0g-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-0"),
            format!("00-{TRACE}-00f067aa0ba902bä-01"),
            "ä".repeat(40),
        ];
        for text in wrong {
            assert!(text.parse::<Traceparent>().is_err(), "{text:?}");
        }
    }
}
