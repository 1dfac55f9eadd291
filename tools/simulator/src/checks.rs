//! What must hold, written apart from the worker and from `decide`.
//!
//! The contract is told here a second time, naively, as [`model`]; [`oracle`] holds every outcome
//! against it at its place in the order of the commits; [`tables`] looks at the tables alone.

pub(super) mod model;
pub(super) mod oracle;
pub(super) mod tables;
#[cfg(test)]
mod tests;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) check: &'static str,
    pub(super) detail: String,
}

impl Violation {
    pub(super) fn new(check: &'static str, detail: String) -> Self {
        Self { check, detail }
    }

    /// Found at that commit.
    pub(super) fn at(self, commit: u64) -> Self {
        Self { detail: format!("commit #{commit}: {}", self.detail), ..self }
    }
}

/// `Ok` where it holds.
pub(super) fn ensure(
    holds: bool,
    check: &'static str,
    detail: impl FnOnce() -> String,
) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation::new(check, detail())) }
}
