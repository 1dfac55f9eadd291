//! Awaits outcomes by polling the ledger.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::{
    domain::{Changes, Command, CommandKey, Digest, Outcome, Timestamp},
    ports::{LedgerKey, LedgerRecord, LoadRequest, PortError, ReadStore},
};

/// The most entries that one call requests: those of one BatchGetItem.
pub(super) const KEYS_MAX: usize = 100;

/// Limits of polling the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerPolling {
    /// The time between the starts of two polls.
    pub interval: Duration,
    /// How long outcomes are awaited in total.
    pub within: Duration,
}

/// The ledger's record under a command's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerOutcome {
    /// The command's outcome.
    Decided(Box<DecidedOutcome>),
    /// The identity belongs to a command with other content, which this one cannot replace: its
    /// result will be `COMMAND_ID_REUSED`.
    IdReused,
}

impl LedgerOutcome {
    /// What a record under a command's identity means for a command of this content; `None` while
    /// a chunked restock is in progress.
    #[must_use]
    pub fn of(digest: Digest, record: &LedgerRecord) -> Option<Self> {
        if record.digest() != digest && !injected_bug!(ShowReused) {
            return Some(Self::IdReused);
        }
        match record {
            LedgerRecord::Outcome { outcome, changes, decided_at, .. } => {
                let (outcome, changes) = (outcome.clone(), changes.clone());
                let decided = DecidedOutcome { outcome, changes, decided_at: *decided_at };
                Some(Self::Decided(Box::new(decided)))
            }
            LedgerRecord::Intent { .. } | LedgerRecord::Chunk { .. } => None,
        }
    }
}

/// An outcome in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidedOutcome {
    /// The outcome.
    pub outcome: Outcome,
    /// The seats and lines that the command changed.
    pub changes: Changes,
    /// When it was decided.
    pub decided_at: Timestamp,
}

/// Outcomes that did not arrive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerWaitError {
    /// These commands have no outcome yet. They may still take effect.
    #[error("{} without an outcome after {} s", commands(pending.len()), within.as_secs())]
    DeadlinePassed {
        /// The commands, in the order given.
        pending: Vec<CommandKey>,
        /// [`LedgerPolling::within`].
        within: Duration,
    },
    /// The ledger could not be read.
    #[error("{error}")]
    Read {
        /// The commands whose outcomes are not known, in the order given.
        pending: Vec<CommandKey>,
        /// Why.
        error: PortError,
    },
}

fn commands(count: usize) -> String {
    format!("{count} command{}", if count == 1 { "" } else { "s" })
}

/// Waits for the outcomes of commands by polling the ledger.
pub struct LedgerWait<'a> {
    store: &'a dyn ReadStore,
    /// With their positions in the given list.
    pending: Vec<(usize, &'a Command)>,
    polling: LedgerPolling,
    deadline: Instant,
    next_look: Instant,
}

impl<'a> LedgerWait<'a> {
    /// Waits from now on for these commands, some of which may already have their outcomes.
    #[must_use]
    pub fn new(
        store: &'a dyn ReadStore,
        commands: impl IntoIterator<Item = &'a Command>,
        polling: LedgerPolling,
    ) -> Self {
        let now = Instant::now();
        Self {
            store,
            pending: commands.into_iter().enumerate().collect(),
            polling,
            deadline: now + polling.within,
            next_look: now,
        }
    }

    /// The number of commands without an outcome.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// The next outcomes, with the positions of their commands in the given list; none once every
    /// command has its outcome. Polls at least once, even after the deadline.
    ///
    /// # Errors
    ///
    /// The deadline passed, or the ledger cannot be read.
    pub async fn next(&mut self) -> Result<Vec<(usize, LedgerOutcome)>, LedgerWaitError> {
        while !self.pending.is_empty() {
            sleep_until(self.next_look).await;
            self.next_look = Instant::now() + self.polling.interval;
            let settled = match self.look().await {
                Ok(settled) => settled,
                Err(error) => return Err(LedgerWaitError::Read { pending: self.keys(), error }),
            };
            if !settled.is_empty() {
                return Ok(settled);
            }
            if Instant::now() >= self.deadline {
                let (pending, within) = (self.keys(), self.polling.within);
                return Err(LedgerWaitError::DeadlinePassed { pending, within });
            }
        }
        Ok(Vec::new())
    }

    fn keys(&self) -> Vec<CommandKey> {
        self.pending.iter().map(|(_, command)| command.key.clone()).collect()
    }

    /// Reads the entries of all pending commands once.
    async fn look(&mut self) -> Result<Vec<(usize, LedgerOutcome)>, PortError> {
        let mut settled = Vec::new();
        let mut pending = Vec::with_capacity(self.pending.len());
        for part in self.pending.chunks(KEYS_MAX) {
            let key = |command: &Command| LedgerKey::Command(command.key.clone());
            let ledger = part.iter().map(|(_, command)| key(command)).collect();
            let read = self.store.load(&LoadRequest { ledger, ..LoadRequest::default() }).await?;
            for (place, command) in part {
                let record = read.ledger.get(&key(command)).and_then(Option::as_ref);
                match record.and_then(|record| LedgerOutcome::of(command.digest, record)) {
                    Some(outcome) => settled.push((*place, outcome)),
                    None => pending.push((*place, *command)),
                }
            }
        }
        self.pending = pending;
        Ok(settled)
    }
}
