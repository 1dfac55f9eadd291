//! A CloudEvents JSON batch: one message of several commands (CloudEvents JSON format, section 4).

use serde::de::IgnoredAny;

use super::{
    command::to_json,
    decode::{Undecodable, undecodable_whole},
    trace::{TRACEPARENT, TRACESTATE, TraceContext},
};
use crate::ports::queue::MESSAGE_BYTES_MAX;

/// The most commands of a batch.
pub const BATCH_COMMANDS_MAX: usize = 100;

/// Whether a body is a batch: it begins with an array, after white space and a byte order mark.
#[must_use]
pub fn is_batch(body: &str) -> bool {
    without_mark(body).trim_start_matches(is_space).starts_with('[')
}

/// The commands of a batch in order, each as the text that the body has of it, to be decoded by
/// [`super::decode`].
///
/// # Errors
///
/// [`Undecodable`] if the body is no JSON array of 1 to [`BATCH_COMMANDS_MAX`] values, or longer
/// than [`MESSAGE_BYTES_MAX`].
pub fn split_batch(body: &str) -> Result<Vec<&str>, Box<Undecodable>> {
    let wrong = |expected: String| Err(undecodable_whole(body, expected));
    if body.len() > MESSAGE_BYTES_MAX {
        return wrong(format!("at most {MESSAGE_BYTES_MAX} bytes"));
    }
    let text = without_mark(body);
    // The parser's errors contain the position and the grammar, never the text.
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        return wrong(format!("JSON ({error})"));
    }
    let inner = text.trim_matches(is_space).strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let Some(inner) = inner else { return wrong("an array of commands".to_owned()) };
    let values: Vec<&str> = Values(inner).take(BATCH_COMMANDS_MAX + 1).collect();
    if !(1..=BATCH_COMMANDS_MAX).contains(&values.len()) {
        return wrong(format!("an array of 1 to {BATCH_COMMANDS_MAX} commands"));
    }
    Ok(values)
}

/// A body as a batch of these commands, in order: 1 to [`BATCH_COMMANDS_MAX`] bodies of one command.
#[must_use]
pub fn join_batch<'a>(commands: impl IntoIterator<Item = &'a str>) -> String {
    let mut body = String::from("[");
    for (place, command) in commands.into_iter().enumerate() {
        if place > 0 {
            body.push(',');
        }
        body.push_str(without_mark(command));
    }
    body.push(']');
    body
}

/// A command's body with this trace context in it, for a batch: attributes of a message are of all
/// its commands. The digest of the command stays.
///
/// Returns `None` where the body may have such members already, none of them twice being JSON that
/// a command may be.
#[must_use]
pub fn with_trace_inside(body: &str, context: &TraceContext) -> Option<String> {
    let may_have = |name: &str| body.contains(&format!("\"{name}\""));
    // A name may be written with escapes.
    if body.contains('\\') || may_have(TRACEPARENT) || may_have(TRACESTATE) {
        return None;
    }
    let members = without_mark(body).trim_start_matches(is_space).strip_prefix('{')?;
    if members.trim_start_matches(is_space).starts_with('}') {
        return None;
    }
    let traceparent = context.traceparent();
    let state = context.tracestate().map(|state| format!("\"{TRACESTATE}\":{},", to_json(&state)));
    let state = state.unwrap_or_default();
    Some(format!("{{\"{TRACEPARENT}\":\"{traceparent}\",{state}{members}"))
}

fn without_mark(body: &str) -> &str {
    body.strip_prefix('\u{feff}').unwrap_or(body)
}

/// White space of JSON (RFC 8259, section 2).
fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

/// The values of an array, from the text between its brackets, which is valid.
struct Values<'a>(&'a str);

impl<'a> Iterator for Values<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.0.trim_start_matches(is_space);
        if rest.is_empty() {
            return None;
        }
        let end = value_end(rest.as_bytes());
        let (value, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        self.0 = after.strip_prefix(',').unwrap_or(after);
        Some(value.trim_end_matches(is_space))
    }
}

/// Where the value at the start of a text ends: at the next comma outside of it, or at the end.
fn value_end(text: &[u8]) -> usize {
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    for (place, byte) in text.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth = depth.saturating_add(1),
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => return place,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RejectionCode;

    #[test]
    fn a_batch_is_split_into_the_texts_of_its_commands() {
        let body = "\u{feff} [ {\"a\": \"},]\\\"[\"} ,\n[1, {\"b\":2}],3\t, \"\\\\\" ]\r\n";
        assert!(is_batch(body));
        let commands = split_batch(body).unwrap();
        assert_eq!(commands, ["{\"a\": \"},]\\\"[\"}", "[1, {\"b\":2}]", "3", "\"\\\\\""]);
        assert_eq!(split_batch(&join_batch(commands.iter().copied())).unwrap(), commands);
    }

    #[test]
    fn what_is_no_array_of_1_to_100_values_is_one_unreadable_message() {
        let many = format!("[{}]", vec!["1"; BATCH_COMMANDS_MAX + 1].join(","));
        for (body, expected) in [
            ("[]", "message: expected an array of 1 to 100 commands"),
            ("[ \n ]", "message: expected an array of 1 to 100 commands"),
            (many.as_str(), "message: expected an array of 1 to 100 commands"),
            ("[{}", "message: expected JSON ("),
            ("[{} {}]", "message: expected JSON ("),
            ("[{},]", "message: expected JSON ("),
            ("[{]}", "message: expected JSON ("),
            ("[1] 2", "message: expected JSON ("),
        ] {
            let refused = split_batch(body).unwrap_err();
            assert_eq!(refused.rejection.code, RejectionCode::InvalidMessage);
            assert!(refused.rejection.message.starts_with(expected), "{body}: {refused}");
            assert!(is_batch(body) && refused.key.is_none());
        }
        assert!(split_batch(&format!("[{}]", vec!["1"; BATCH_COMMANDS_MAX].join(","))).is_ok());
    }

    #[test]
    fn a_command_takes_its_trace_context_with_it_unless_it_may_have_one() {
        let body = |more: &str| {
            format!(
                "\u{feff} {{{more}\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\
                 \"inventory.cancel.v1\",\"data\":{{\"event_id\":1,\"reservation_id\":\
                 \"9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90\"}}}}"
            )
        };
        let context: TraceContext =
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
        let context = context.with_tracestate(Some("a=\"1\""));
        let plain = super::super::decode(&body("")).unwrap();
        let traced = with_trace_inside(&body(""), &context).unwrap();
        let traced = super::super::decode(&traced).unwrap();
        assert_eq!(traced.traceparent, Some(context.clone()));
        assert_eq!(traced.command, plain.command);
        for own in ["\"traceparent\":\"?\",", "\"tracestate\":\"\",", "\"trace\\u0070arent\":1,"] {
            assert_eq!(with_trace_inside(&body(own), &context), None, "{own}");
        }
        for no_command in ["{}", "{ }", "[1]", ""] {
            assert_eq!(with_trace_inside(no_command, &context), None, "{no_command}");
        }
    }

    #[test]
    fn an_object_is_no_batch() {
        for body in ["{}", " {\"a\":[1]}", "", "1", "\"[\""] {
            assert!(!is_batch(body), "{body}");
        }
    }

    #[test]
    fn a_batch_nested_without_end_is_read_without_recursion() {
        let deep = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(split_batch(&deep).map(|values| values.len()).ok(), Some(1));
    }
}
