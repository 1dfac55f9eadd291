//! Trace context, propagated from a command to its result.

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use crate::{
    domain::InvalidText,
    ports::queue::{MessageAttributes, text_attribute},
};

/// The name of a traceparent: as a CloudEvents extension ("Distributed Tracing"), and as a message
/// attribute.
pub const TRACEPARENT: &str = "traceparent";

/// The name of a tracestate, in the same places.
pub const TRACESTATE: &str = "tracestate";

/// The length of a `traceparent` of version 00.
const LENGTH: usize = 55;

/// The longest `tracestate` that is propagated, bytes. W3C Trace Context, section 3.3.1.5: "Vendors
/// SHOULD propagate at least 512 characters".
const STATE_BYTES_MAX: usize = 512;

/// W3C Trace Context, section 3.3.1.1: "There can be a maximum of 32 list-members".
const STATE_MEMBERS_MAX: usize = 32;

/// W3C Trace Context, section 3.3.1.3: the longest key and value of a list member, bytes.
const STATE_PART_BYTES_MAX: usize = 256;

/// A trace context: a `traceparent` (W3C Trace Context, section 3.2), always of version 00, and
/// the `tracestate` (section 3.3) that came with it.
///
/// A later version is read as the recommendation requires of a version 00 implementation: its trace
/// id, parent id and sampled flag are kept, the rest is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    parent: Arc<str>,
    state: Option<Arc<str>>,
}

impl TraceContext {
    /// `00-<trace id>-<parent id>-<flags>`, 55 characters.
    #[must_use]
    pub fn traceparent(&self) -> &str {
        &self.parent
    }

    /// The `tracestate`: `key=value` members, at most 512 bytes of printable ASCII.
    #[must_use]
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The trace's id, 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        self.parent.get(3..35).unwrap_or_default()
    }

    /// Adds this tracestate if it can be propagated, or none otherwise: it "MUST NOT" keep a
    /// traceparent from being used (W3C Trace Context, section 3.3.1).
    #[must_use]
    pub fn with_tracestate(self, state: Option<&str>) -> Self {
        Self { state: state.filter(|state| is_state(state)).map(Arc::from), ..self }
    }

    /// Reads it from a message's attributes, where instrumented clients put it. `None` if it is
    /// absent or malformed.
    #[must_use]
    pub fn from_attributes(attributes: &MessageAttributes) -> Option<Self> {
        Self::from_fields(|name| text_attribute(attributes, name))
    }

    /// Reads it from whatever holds [`TRACEPARENT`] and [`TRACESTATE`] by name. `None` if it is
    /// absent or malformed.
    #[must_use]
    pub fn from_fields<'a>(field: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        let context: Self = field(TRACEPARENT)?.parse().ok()?;
        Some(context.with_tracestate(field(TRACESTATE)))
    }
}

/// Writes the traceparent.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.parent)
    }
}

/// Reads a traceparent.
impl FromStr for TraceContext {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let parent = parse(text).map(|known| Arc::from(known.as_ref()));
        parent.map(|parent| Self { parent, state: None }).ok_or_else(|| InvalidText {
            expected: "a W3C traceparent such as \
                       \"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\""
                .to_owned(),
        })
    }
}

fn parse(text: &str) -> Option<Cow<'_, str>> {
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

/// The text, if it consists of exactly `digits` lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<&str> {
    let lower = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == digits && text.bytes().all(lower)).then_some(text)
}

fn all_zero(text: &str) -> bool {
    text.bytes().all(|b| b == b'0')
}

/// Whether the text is a tracestate that can be propagated unchanged.
fn is_state(text: &str) -> bool {
    let members = text.split(',').map(|member| member.trim_matches([' ', '\t']));
    let mut members = members.filter(|member| !member.is_empty()).peekable();
    text.len() <= STATE_BYTES_MAX
        && members.peek().is_some()
        && members.clone().count() <= STATE_MEMBERS_MAX
        && members.all(|member| {
            member.split_once('=').is_some_and(|(key, value)| is_key(key) && is_value(value))
        })
}

fn is_key(text: &str) -> bool {
    let known = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    let begins = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.len() <= STATE_PART_BYTES_MAX
        && text.as_bytes().first().is_some_and(begins)
        && text.bytes().all(known)
}

fn is_value(text: &str) -> bool {
    let known = |b: u8| matches!(b, b' '..=b'~') && b != b',' && b != b'=';
    !text.is_empty() && text.len() <= STATE_PART_BYTES_MAX && text.bytes().all(known)
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
            assert_eq!(text.parse::<TraceContext>().unwrap().traceparent(), text);
        }
    }

    #[test]
    fn a_later_version_keeps_what_version_00_knows() {
        for (rest, flags) in [("03", "01"), ("02", "00"), ("01-what-comes-after", "01")] {
            let text = format!("cc-{TRACE}-{PARENT}-{rest}");
            let known = format!("00-{TRACE}-{PARENT}-{flags}");
            assert_eq!(text.parse::<TraceContext>().unwrap().traceparent(), known);
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
            assert!(text.parse::<TraceContext>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_tracestate_comes_along_unless_it_is_malformed() {
        let context: TraceContext = format!("00-{TRACE}-{PARENT}-01").parse().unwrap();
        let most = vec!["a=1"; STATE_MEMBERS_MAX].join(",");
        let long = format!("a={}", "x".repeat(STATE_PART_BYTES_MAX));
        for right in ["congo=t61rcWkgMzE", "a@b=1 2, \tx/y=!~ ,", &most, &long] {
            let with = context.clone().with_tracestate(Some(right));
            assert_eq!(with.tracestate(), Some(right));
            assert_eq!(with.trace_id(), TRACE);
        }
        let many = vec!["a=1"; STATE_MEMBERS_MAX + 1].join(",");
        let longer = format!("{long}x");
        let longest = [long.as_str(), &long].join(",");
        for wrong in [
            "", " ,", "a", "=1", "a=", "A=1", "-a=1", "a=\u{e4}", "a=b=c", &many, &longer, &longest,
        ] {
            let with = context.clone().with_tracestate(Some(wrong));
            assert_eq!(with, context, "{wrong:?}");
        }
    }

    #[test]
    fn attributes_carry_a_context_as_instrumented_clients_put_it() {
        let traceparent = format!("00-{TRACE}-{PARENT}-01");
        let mut attributes: MessageAttributes = [(TRACESTATE.to_owned(), "a=1".into())].into();
        assert_eq!(TraceContext::from_attributes(&attributes), None);
        attributes.insert(TRACEPARENT.to_owned(), traceparent.as_str().into());
        let read = TraceContext::from_attributes(&attributes).unwrap();
        assert_eq!((read.traceparent(), read.tracestate()), (traceparent.as_str(), Some("a=1")));
        attributes.insert(TRACEPARENT.to_owned(), "00-nothing".into());
        assert_eq!(TraceContext::from_attributes(&attributes), None);
    }
}
