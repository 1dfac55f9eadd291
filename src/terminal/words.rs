//! Words for people.

/// A count with its noun: `1 seat`, `2 seats`, `2 entries`.
#[must_use]
pub fn counted(count: u64, noun: &str) -> String {
    match (count, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        (_, None) => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular_and_none_is_plural() {
        let words =
            [counted(0, "seat"), counted(1, "seat"), counted(2, "seat"), counted(2, "entry")];
        assert_eq!(words, ["0 seats", "1 seat", "2 seats", "2 entries"]);
    }
}
