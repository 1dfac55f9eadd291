//! A CloudEvents JSON batch: one message of several commands (CloudEvents JSON format, section 4).

use serde::de::IgnoredAny;

use super::decode::{Undecodable, undecodable_whole};
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
