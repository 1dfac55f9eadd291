//! The invariants, written independently of the worker and of `decide`.
//!
//! [`model`] restates the contract in a naive form; [`oracle`] checks every outcome against it at
//! its place in commit order; [`tables`] checks the tables alone; [`changes`] checks what results
//! say was changed; [`gateway`] checks what gateways answer.

pub(super) mod changes;
pub(super) mod gateway;
pub(super) mod listed;
pub(super) mod model;
pub(super) mod oracle;
pub(super) mod tables;
#[cfg(test)]
mod tests;

/// A violated invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) check: &'static str,
    pub(super) detail: String,
}

impl Violation {
    pub(super) fn new(check: &'static str, detail: String) -> Self {
        Self { check, detail }
    }

    /// Sets the commit at which it was found.
    pub(super) fn at(self, commit: u64) -> Self {
        Self { detail: format!("commit #{commit}: {}", self.detail), ..self }
    }
}

/// `Ok` if the condition holds.
pub(super) fn ensure(
    holds: bool,
    check: &'static str,
    detail: impl FnOnce() -> String,
) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation::new(check, detail())) }
}
