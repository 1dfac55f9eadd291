//! The command line that repeats a `send`.

use std::{borrow::Cow, ffi::OsString};

use crate::domain::CommandId;

/// The same command line for a shell. `id` is the id of a command that was made one: with it, the
/// repetition is the same command, which takes effect once.
pub(super) fn again(arguments: &[OsString], id: Option<&CommandId>) -> String {
    let mut words: Vec<Cow<'_, str>> =
        arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    let has_id = words.iter().any(|word| *word == "--id" || word.starts_with("--id="));
    if let Some(id) = id.filter(|_| !has_id) {
        words.extend([Cow::Borrowed("--id"), Cow::Borrowed(id.as_str())]);
    }
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// The word as a shell reads it.
fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_=+,./:@%".contains(letter);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => Cow::Borrowed(word),
        false => Cow::Owned(format!("'{}'", word.replace('\'', r"'\''"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &[&str], id: Option<&str>) -> String {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        again(&words, id.map(|id| id.parse().unwrap()).as_ref())
    }

    #[test]
    fn the_line_has_the_id_once_and_is_quoted_for_a_shell() {
        let cancel = ["inventory-worker", "send", "cancel", "--reason", "it's off"];
        let expected = r"inventory-worker send cancel --reason 'it'\''s off'";
        assert_eq!(line(&cancel, None), expected);
        assert_eq!(line(&cancel, Some("c-1")), format!("{expected} --id c-1"));
        assert_eq!(line(&["send", "--id", "a b"], Some("a b")), "send --id 'a b'");
        assert_eq!(line(&["send", "--id=x"], Some("x")), "send --id=x");
    }
}
