//! What is measured of the view, and of what workers announce.

use std::time::Duration;

/// Why a pool is read into the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefillReason {
    /// Nothing is kept of it.
    First,
    /// What is kept is older than it may be.
    Age,
    /// A hint named a seat or line that is not there.
    Unknown,
    /// Hints were missed, said so, or have just begun.
    Hints,
}

impl RefillReason {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::First, Self::Age, Self::Unknown, Self::Hints];

    /// The name of the reason in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Age => "age",
            Self::Unknown => "unknown",
            Self::Hints => "hints",
        }
    }
}

/// What a gateway made of what workers announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HintOutcome {
    /// A change is in the view.
    Applied,
    /// The view has it already, or a later one.
    Known,
    /// A change of a seat or line that the view does not have.
    Unknown,
    /// A worker says that there is more than it announces.
    ReadAgain,
    /// A number was left out.
    Gap,
    /// A worker is not heard from any more.
    Silent,
    /// A read found a change that nobody announced.
    Unannounced,
    /// It cannot be read.
    Undecodable,
    /// Hints came faster than they were taken.
    Overflow,
    /// A subscription was lost.
    Lost,
}

impl HintOutcome {
    /// Every outcome.
    pub const ALL: [Self; 10] = [
        Self::Applied,
        Self::Known,
        Self::Unknown,
        Self::ReadAgain,
        Self::Gap,
        Self::Silent,
        Self::Unannounced,
        Self::Undecodable,
        Self::Overflow,
        Self::Lost,
    ];

    /// The name of the outcome in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Known => "known",
            Self::Unknown => "unknown",
            Self::ReadAgain => "read_again",
            Self::Gap => "gap",
            Self::Silent => "silent",
            Self::Unannounced => "unannounced",
            Self::Undecodable => "undecodable",
            Self::Overflow => "overflow",
            Self::Lost => "lost",
        }
    }
}

/// What became of the look for a snapshot that another gateway has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotOutcome {
    /// It took the place of a read.
    Hit,
    /// There was none that is recent enough.
    Miss,
    /// It could not be asked for.
    Failed,
}

impl SnapshotOutcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Hit, Self::Miss, Self::Failed];

    /// The name of the outcome in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Failed => "failed",
        }
    }
}

/// Watches the view. Never waited for.
pub trait ViewObserver: Send + Sync {
    /// A query asked for a pool; whether it was answered without a read.
    fn asked(&self, is_hit: bool);

    /// A query was answered from a projection of this age.
    fn aged(&self, age: Duration);

    /// A pool is to be read.
    fn refill(&self, reason: RefillReason);

    /// A snapshot was looked for in the place of a read.
    fn snapshot(&self, _: SnapshotOutcome) {}

    /// A list of a pool too large for memory is refused, as others are being read.
    fn list_refused(&self) {}

    /// Something came, or did not come, from a worker.
    fn hint(&self, outcome: HintOutcome);
}

/// Measures nothing.
pub struct NoopViewObserver;

impl ViewObserver for NoopViewObserver {
    fn asked(&self, _: bool) {}

    fn aged(&self, _: Duration) {}

    fn refill(&self, _: RefillReason) {}

    fn hint(&self, _: HintOutcome) {}
}
