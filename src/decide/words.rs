//! Sentences of rejections.

use crate::domain::ReservationId;

/// The sentence with its count: `1 seat is not available`, `2 seats are not available`.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// What a reservation lost: `1 seat of reservation … was`, `1 seat and 2 lines of reservation … were`.
pub(super) fn lost(seats: usize, lines: usize, of: ReservationId) -> String {
    let both = [(seats, "seat", "seats"), (lines, "line", "lines")];
    let some = both.into_iter().filter(|(count, ..)| *count > 0);
    let words: Vec<String> = some.map(|(count, one, many)| counted(count, one, many)).collect();
    let verb = if seats + lines == 1 { "was" } else { "were" };
    format!("{} of reservation {of} {verb}", words.join(" and "))
}

/// Of lines with too little available.
pub(super) fn short(count: usize) -> String {
    counted(count, "line has too little available", "lines have too little available")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_sentence_agrees_with_its_counts_and_leaves_out_what_is_none() {
        let of = ReservationId(Uuid::nil());
        let id = Uuid::nil();
        assert_eq!(lost(1, 0, of), format!("1 seat of reservation {id} was"));
        assert_eq!(lost(0, 1, of), format!("1 line of reservation {id} was"));
        assert_eq!(lost(1, 1, of), format!("1 seat and 1 line of reservation {id} were"));
        assert_eq!(lost(2, 0, of), format!("2 seats of reservation {id} were"));
        assert_eq!(short(1), "1 line has too little available");
        assert_eq!(short(2), "2 lines have too little available");
    }
}
