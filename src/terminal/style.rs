//! Colour and emphasis.

/// Marks text if colour is allowed.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    coloured: bool,
}

impl Style {
    pub(super) fn new(coloured: bool) -> Self {
        Self { coloured }
    }

    /// Something went well: green.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.mark("32", text)
    }

    /// A warning: yellow.
    #[must_use]
    pub fn warn(self, text: &str) -> String {
        self.mark("33", text)
    }

    /// An error: red, bold.
    #[must_use]
    pub fn bad(self, text: &str) -> String {
        self.mark("1;31", text)
    }

    /// A heading: bold.
    #[must_use]
    pub fn heading(self, text: &str) -> String {
        self.mark("1", text)
    }

    /// Less important: dim.
    #[must_use]
    pub fn faint(self, text: &str) -> String {
        self.mark("2", text)
    }

    fn mark(self, code: &str, text: &str) -> String {
        if self.coloured { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_for_terminals() {
        assert_eq!(Style::new(false).bad("no"), "no");
        assert_eq!(Style::new(true).bad("no"), "\u{1b}[1;31mno\u{1b}[0m");
    }
}
