//! What `bootstrap` created and what it found different.

use serde::Serialize;

/// Something that exists and is not as it would be created. It is reported, never changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Difference {
    /// The queue's, topic's or table's name.
    pub resource: String,
    /// The attribute that differs, by the service's name for it.
    pub what: String,
    /// What it would be created with.
    pub expected: String,
    /// What it has; `(none)` where it has nothing.
    pub found: String,
}

/// What was created, and how what existed already differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ensured {
    /// The names of what was created, in order.
    pub created: Vec<String>,
    /// How what existed already differs.
    pub differences: Vec<Difference>,
}

impl Ensured {
    /// Adds the result of another part.
    pub fn extend(&mut self, other: Self) {
        self.created.extend(other.created);
        self.differences.extend(other.differences);
    }
}
