//! Words for people.

use std::fmt::Write as _;

/// A count with its noun: `1 seat`, `2 seats`, `2 entries`.
#[must_use]
pub fn counted(count: u64, noun: &str) -> String {
    match (count, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        (_, None) => format!("{count} {noun}s"),
    }
}

/// The text in lines of at most `width` characters, all but the first indented.
#[must_use]
pub fn wrapped(text: &str, width: usize, indent: usize) -> String {
    let mut wrapped = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            let _ = write!(wrapped, "\n{:indent$}", "");
            column = 0;
        } else if column > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += length;
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_wrapped_between_words_and_indented() {
        assert_eq!(wrapped("one two three four", 8, 2), "one two\n  three\n  four");
        assert_eq!(wrapped("unbreakable", 4, 2), "unbreakable");
    }

    #[test]
    fn one_is_singular_and_none_is_plural() {
        let words =
            [counted(0, "seat"), counted(1, "seat"), counted(2, "seat"), counted(2, "entry")];
        assert_eq!(words, ["0 seats", "1 seat", "2 seats", "2 entries"]);
    }
}
