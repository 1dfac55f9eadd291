//! Calls and batch entries, and the fate of each.

use std::{
    fmt::{self, Display},
    time::Duration,
};

use crate::topology::Port;
use inventory_worker::ports::EntryError;

/// A call of a port.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) port: Port,
    pub(crate) name: &'static str,
    /// So frequent and unimportant that it takes no time without a fault.
    pub(crate) is_quick: bool,
}

impl Call {
    pub(crate) const fn new(port: Port, name: &'static str) -> Self {
        Self { port, name, is_quick: false }
    }
}

/// The outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Fine,
    Fails,
    Throttled,
    LosesAnswer,
    Late(Duration),
    CrashBefore,
    CrashAfter,
}

impl Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fine => f.write_str(""),
            Self::Fails => f.write_str(" !fails"),
            Self::Throttled => f.write_str(" !throttled"),
            Self::LosesAnswer => f.write_str(" !answer lost"),
            Self::Late(by) => write!(f, " !late by {} ms", by.as_millis()),
            Self::CrashBefore => f.write_str(" !crash before"),
            Self::CrashAfter => f.write_str(" !crash after"),
        }
    }
}

/// The effect of a call, detached from its answer.
pub(crate) type Effect = futures::future::BoxFuture<'static, ()>;

/// For a call that takes effect in time or not at all.
pub(crate) fn never() -> Option<Effect> {
    None
}

/// The outcome of a batch entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryFate {
    Fine,
    Fails,
    LosesAnswer,
}

/// Merges the answers of the entries passed on with the errors of those that fail.
pub(crate) fn merge<T>(
    fates: &[EntryFate],
    answers: Vec<Result<T, EntryError>>,
) -> Vec<Result<T, EntryError>> {
    let mut answers = answers.into_iter();
    let failed = || Err(EntryError::Retryable("this entry failed".to_owned()));
    fates
        .iter()
        .map(|fate| match fate {
            EntryFate::Fails => failed(),
            EntryFate::LosesAnswer => answers.next().unwrap_or_else(failed).and_then(|_| failed()),
            EntryFate::Fine => answers.next().unwrap_or_else(failed),
        })
        .collect()
}

/// The entries that are passed on to the port.
pub(crate) fn passed<T: Clone>(fates: &[EntryFate], entries: &[T]) -> Vec<T> {
    let kept = entries.iter().zip(fates).filter(|(_, fate)| **fate != EntryFate::Fails);
    kept.map(|(entry, _)| entry.clone()).collect()
}
