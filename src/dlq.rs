//! Dead letters: listed, shown, redriven or discarded by an operator.
//!
//! A FIFO queue can be read only by receiving, and every receive takes leases. A [`DlqManager`]
//! therefore holds the messages it received until its run ends, and then releases them, each group
//! in order. This limits what a run sees:
//!
//! - While one message of a group is leased, the queue hands out no later one of that group. A
//!   group shows its first messages, ten at most, and those behind them only after these are gone.
//!   A run that removes messages (redrive, discard) therefore continues with a group as long as it
//!   makes progress; [`Run::behind`] reports how many messages it did not see.
//! - Every lease outlasts the run, so no other consumer receives a message that the run holds. The
//!   leases of a killed run expire.
//!
//! A message is redriven in this order: sent to its original queue, then deleted here. A crash in
//! between leaves it in both, which takes effect once, as its ledger entry answers a repetition;
//! within five minutes the queue itself recognises the second sending.
//!
//! - `dead_letter`: a dead letter's properties, and how it is sent back.
//! - `manager`: a run over the dead letters.

mod dead_letter;
mod manager;

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use serde::Serialize;

pub use dead_letter::{DeadLetter, REDRIVE_AGE_MAX, Refusal, UNKNOWN};
pub use manager::DlqManager;

use crate::ports::PortError;

/// The default of [`Options::limit`].
pub const LIMIT_DEFAULT: usize = 1_000;

/// The most dead letters of one run: few enough that their leases stay below SQS's limit of 120,000
/// in flight, and are held for little over four hours.
pub const LIMIT_MAX: usize = 50_000;

/// Called with the number of dead letters a run has seen, and of those it has handled.
pub type ProgressCallback = Arc<dyn Fn(usize, usize) + Send + Sync>;

/// The options of a run.
#[derive(Clone)]
pub struct Options {
    /// The most dead letters to receive, 1…[`LIMIT_MAX`].
    pub limit: usize,
    /// How long a receive waits for a message before the queue counts as empty. SQS queries all its
    /// servers only if this is not zero.
    pub wait: Duration,
    /// Called after each dead letter.
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

/// Selects dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The message ids; `None` selects all.
    pub ids: Option<BTreeSet<String>>,
    /// The reason; [`UNKNOWN`] for dead letters without one.
    pub reason: Option<String>,
}

impl Selection {
    /// Selects every dead letter.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Selects these ids only.
    #[must_use]
    pub fn of(ids: impl IntoIterator<Item = String>) -> Self {
        Self { ids: Some(ids.into_iter().collect()), reason: None }
    }

    /// Restricts the selection to a reason.
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

/// The outcome for a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Disposition {
    /// It was listed or shown.
    Seen,
    /// A redrive would send it back. It stays in the dead-letter queue.
    WouldRedrive,
    /// It is back in its original queue and deleted here.
    Redriven {
        /// Its message id in that queue.
        message_id: String,
    },
    /// It was deleted.
    Discarded,
    /// A copy without the user's id is in its place.
    Rewritten {
        /// The copy's message id.
        message_id: String,
    },
    /// A removal would rewrite it. It stays as it is.
    WouldRewrite,
    /// It must not be sent back, and stays in the dead-letter queue.
    Refused {
        /// The reason of the refusal.
        why: Refusal,
    },
    /// The queue refused it, or its answer was lost. It stays in the dead-letter queue, and the
    /// later messages of its group are untouched.
    NotSent {
        /// The queue's error.
        what: String,
    },
    /// It could not be deleted. After a redrive it is in its original queue as well.
    NotDeleted {
        /// The queue's error.
        what: String,
        /// Whether it was sent back before.
        sent: bool,
    },
}

impl Disposition {
    /// Whether the requested operation succeeded. [`Refusal::DiedAgain`] counts as success: the
    /// message was sent back as requested, and whether the run meets it again is chance.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match self {
            Self::Seen
            | Self::WouldRedrive
            | Self::Redriven { .. }
            | Self::Discarded
            | Self::Rewritten { .. }
            | Self::WouldRewrite => true,
            Self::Refused { why } => *why == Refusal::DiedAgain,
            Self::NotSent { .. } | Self::NotDeleted { .. } => false,
        }
    }
}

/// A dead letter and its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Handled {
    /// The dead letter's properties.
    #[serde(flatten)]
    pub letter: DeadLetter,
    /// Its outcome.
    #[serde(flatten)]
    pub fate: Disposition,
}

/// The reason why a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// No further message can be received, or every named id was found.
    Complete,
    /// It reached [`Options::limit`].
    Limit,
    /// Its first lease was about to expire.
    Time,
    /// It was stopped by its cancellation token.
    Stopped,
    /// A call to a queue failed. The run reports what was done before.
    Failed(PortError),
}

/// The report of a run over dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Every selected dead letter, in the order received; within a group, in order.
    pub handled: Vec<Handled>,
    /// Named ids that were not found.
    pub missing: Vec<String>,
    /// Dead letters that the run did not see: behind the first ten of their group, beyond the
    /// limit, or new. Approximate; `None` if the queue did not report it.
    pub behind: Option<u64>,
    /// Messages leased by another consumer, which the run cannot see. Approximate.
    pub elsewhere: Option<u64>,
    /// Why the run ended.
    pub ended: Ended,
    /// Messages that could not be released at the end, and return when their lease expires.
    pub still_leased: usize,
}

impl Run {
    /// Whether every requested operation succeeded.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.missing.is_empty()
            && matches!(self.ended, Ended::Complete | Ended::Limit)
            && self.handled.iter().all(|handled| handled.fate.is_done())
    }
}
