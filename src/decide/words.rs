//! Sentences of rejections.

/// The sentence with its count: `1 seat is not available`, `2 seats are not available`.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Of lines with too little available.
pub(super) fn short(count: usize) -> String {
    counted(count, "line has too little available", "lines have too little available")
}
