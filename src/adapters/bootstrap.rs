//! What `bootstrap` created, and how existing resources differ.

use serde::Serialize;

/// A resource that exists and differs from what would be created. It is reported, never changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Difference {
    /// The queue's, topic's or table's name.
    pub resource: String,
    /// The attribute that differs, by the service's name for it.
    pub what: String,
    /// The value it would be created with.
    pub expected: String,
    /// The value found; `(none)` if there is none.
    pub found: String,
}

/// What was created, and how existing resources differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ensured {
    /// The names of the created resources, in order.
    pub created: Vec<String>,
    /// How existing resources differ.
    pub differences: Vec<Difference>,
}

impl Ensured {
    /// Adds the result of another part.
    pub fn extend(&mut self, other: Self) {
        self.created.extend(other.created);
        self.differences.extend(other.differences);
    }
}
