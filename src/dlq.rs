//! Dead letters: looked at, sent back, or discarded, by a person.
//!
//! A FIFO queue has no way to read without receiving: whoever looks takes leases. So a [`DlqManager`]
//! holds what it received until its run ends, and then releases it, each group in order. What that
//! means for how far it sees:
//!
//! - While one message of a group is leased, the queue hands out no later one of it. A group shows
//!   its first messages, ten at most, and those behind them only once these are gone. A run that
//!   takes messages away (redrive, discard) therefore goes on with a group for as long as it gets
//!   anywhere; [`Run::behind`] tells how many stand where nobody can look.
//! - Every lease is taken for the whole run and ends after it, so nothing a run knows is handed to
//!   anybody else meanwhile. A run that is killed leaves its leases to run out.
//!
//! A message goes back in this order: sent to the queue it came from, then deleted here. A crash
//! in between leaves it in both, which takes effect once, as its ledger entry answers a
//! repetition; within five minutes the queue itself recognises the second sending.
//!
//! - `letter`: what is known of a dead letter, and how it is sent back.
//! - `desk`: a run over the dead letters.

mod dead_letter;
mod manager;

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use serde::Serialize;

pub use dead_letter::{DeadLetter, REDRIVE_AGE_MAX, Refusal, UNKNOWN};
pub use manager::DlqManager;

use crate::ports::PortError;

/// The most dead letters a run looks at unless told otherwise.
pub const LIMIT_DEFAULT: usize = 1_000;

/// The most dead letters a run may look at: so many leases that SQS, which allows 120,000 in
/// flight, never comes to its bound, and so many that they are held for little over four hours.
pub const LIMIT_MAX: usize = 50_000;

/// Told how many dead letters a run has looked at, and with how many of these it is done.
pub type ProgressCallback = Arc<dyn Fn(usize, usize) + Send + Sync>;

/// How to go through dead letters.
#[derive(Clone)]
pub struct Options {
    /// The most dead letters to look at, 1…[`LIMIT_MAX`].
    pub limit: usize,
    /// How long to wait for a message before the queue counts as seen through. SQS asks all its
    /// servers only where this is not zero.
    pub wait: Duration,
    /// Told after each dead letter.
    pub progress: Option<ProgressCallback>,
}

impl Default for Options {
    fn default() -> Self {
        Self { limit: LIMIT_DEFAULT, wait: Duration::from_secs(2), progress: None }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("limit", &self.limit)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}

/// Which dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Those of these ids; all where there is none given.
    pub ids: Option<BTreeSet<String>>,
    /// Those that are dead for this reason; [`UNKNOWN`] for those that do not say.
    pub reason: Option<String>,
}

impl Selection {
    /// Every dead letter.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// These alone.
    #[must_use]
    pub fn of(ids: impl IntoIterator<Item = String>) -> Self {
        Self { ids: Some(ids.into_iter().collect()), reason: None }
    }

    /// Of these, those that are dead for a reason.
    #[must_use]
    pub fn because_of(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    fn takes(&self, letter: &DeadLetter) -> bool {
        self.ids.as_ref().is_none_or(|ids| ids.contains(&letter.id))
            && self.reason.as_ref().is_none_or(|reason| *reason == letter.reason)
    }
}

/// What became of a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Disposition {
    /// It was looked at.
    Seen,
    /// It is back in its queue and no longer here.
    Redriven {
        /// Its id there.
        message_id: String,
    },
    /// It is gone.
    Discarded,
    /// It must not be sent back, and is where it was.
    Refused {
        /// Why not.
        why: Refusal,
    },
    /// The queue would not take it, or its answer was lost; it is where it was, and what stands
    /// behind it in its group was not touched.
    NotSent {
        /// What the queue said.
        what: String,
    },
    /// It is still here. After a redrive it is in its queue as well.
    NotDeleted {
        /// What the queue said.
        what: String,
        /// Whether it was sent back.
        sent: bool,
    },
}

impl Disposition {
    /// Whether what was asked for was done. A message that died again was sent back as asked, and
    /// whether the run still meets it is chance.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match self {
            Self::Seen | Self::Redriven { .. } | Self::Discarded => true,
            Self::Refused { why } => *why == Refusal::DiedAgain,
            Self::NotSent { .. } | Self::NotDeleted { .. } => false,
        }
    }
}

/// A dead letter and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Handled {
    /// Which.
    #[serde(flatten)]
    pub letter: DeadLetter,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Disposition,
}

/// Why a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// There was nothing more that it could have seen, or all that was named is found.
    Complete,
    /// It looked at as many as it was allowed to.
    Limit,
    /// Its first lease was about to run out.
    Time,
    /// It was told to stop.
    Stopped,
    /// A queue could not be asked. What was done until then is in the run.
    Failed(PortError),
}

/// What a run over dead letters did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Every dead letter it was about, in the order they were met; within a group, in order.
    pub handled: Vec<Handled>,
    /// Ids that were named and not found.
    pub missing: Vec<String>,
    /// How many dead letters there are besides that it did not see: behind the first ten of their
    /// group, behind the limit, or new. Approximate; `None` where the queue did not say.
    pub behind: Option<u64>,
    /// How many are leased by somebody else, and so cannot be seen. Approximate.
    pub elsewhere: Option<u64>,
    /// Why it ended.
    pub ended: Ended,
    /// How many could not be released at the end, and come back when their lease runs out.
    pub still_leased: usize,
}

impl Run {
    /// Whether all that was asked for was done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.missing.is_empty()
            && matches!(self.ended, Ended::Complete | Ended::Limit)
            && self.handled.iter().all(|handled| handled.fate.is_done())
    }
}
