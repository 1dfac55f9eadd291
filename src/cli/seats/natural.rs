//! Natural order: A-2 before A-10.

use std::cmp::Ordering;

/// Compares texts: runs of digits as numbers, the rest byte by byte. Texts that differ are never
/// equal.
pub(super) fn compare(left: &str, right: &str) -> Ordering {
    let (mut a, mut b) = (left, right);
    loop {
        let order = match (split(&mut a), split(&mut b)) {
            (None, None) => return left.cmp(right),
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(Part::Number(a)), Some(Part::Number(b))) => {
                let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
                a.len().cmp(&b.len()).then_with(|| a.cmp(b))
            }
            (Some(Part::Number(a) | Part::Text(a)), Some(Part::Number(b) | Part::Text(b))) => {
                a.cmp(b)
            }
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// The same, for names that may be missing: those come last.
pub(super) fn compare_names(left: Option<&str>, right: Option<&str>) -> Ordering {
    match (left, right) {
        (Some(left), Some(right)) => compare(left, right),
        (left, right) => left.is_none().cmp(&right.is_none()),
    }
}

enum Part<'a> {
    Number(&'a str),
    Text(&'a str),
}

/// The run of digits, or of anything else, that a text begins with.
fn split<'a>(text: &mut &'a str) -> Option<Part<'a>> {
    let is_number = text.chars().next()?.is_ascii_digit();
    let end = text.find(|one: char| one.is_ascii_digit() != is_number).unwrap_or(text.len());
    let (part, rest) = text.split_at_checked(end)?;
    *text = rest;
    Some(if is_number { Part::Number(part) } else { Part::Text(part) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_within_names_count_as_numbers() {
        let mut names = ["A-10", "B", "A-2", "a-1", "A-2b", "A-02", "10", "9", "Ä-1"];
        names.sort_by(|a, b| compare(a, b));
        let expected = ["9", "10", "A-02", "A-2", "A-2b", "A-10", "B", "a-1", "Ä-1"];
        assert_eq!(names, expected);
        let mut names = [None, Some("2"), Some("10"), None, Some("1")];
        names.sort_by(|a, b| compare_names(*a, *b));
        assert_eq!(names, [Some("1"), Some("2"), Some("10"), None, None]);
    }

    proptest! {
        #[test]
        fn it_is_an_order(texts in proptest::collection::vec("[A0-2ä-]{0,5}", 3)) {
            let [a, b, c] = [&texts[0], &texts[1], &texts[2]];
            prop_assert_eq!(compare(a, b), compare(b, a).reverse());
            prop_assert_eq!(compare(a, b).is_eq(), a == b);
            if compare(a, b).is_le() && compare(b, c).is_le() {
                prop_assert!(compare(a, c).is_le());
            }
        }
    }
}
