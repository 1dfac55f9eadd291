//! A storm of restocks that the gateway puts on its own deployment, where an operator allows it.
//!
//! One at a time, bounded in time, rate and commands, on stores of its own
//! (`stress-<run>-<number>`). Its commands are posted and awaited apart from those of callers, and
//! its identity decides them all: the same run is the same commands.

mod controller;
mod load;
mod plan;
mod run;

use std::{
    collections::VecDeque,
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Serialize, Serializer};
use tokio::sync::Notify;
use tracing::info;

use self::{load::Sending, run::Run};
pub use self::{
    plan::{Cost, InvalidPlan, Plan, PlanRequest, Target},
    run::{RunReport, RunState},
};
use super::{Caller, Scope, observer::RequestObserver};
use crate::{
    client::{Client, ClientLimits, ClientPorts, OutcomePoller},
    domain::InvalidText,
    ports::{Clock, Entropy, ProcessorTime, Queue, ReadStore},
};

/// The runs that are remembered.
const RUNS_MAX: usize = 16;

/// How long a command may take before it counts as unanswered.
const OUTCOME_TIMEOUT: Duration = Duration::from_secs(60);

/// What a storm needs.
pub struct StressParts {
    /// The queue of restocks.
    pub restocks: Arc<dyn Queue>,
    /// The ledger.
    pub store: Arc<dyn ReadStore>,
    /// The time of commands and runs.
    pub clock: Arc<dyn Clock>,
    /// Identities of runs.
    pub entropy: Arc<dyn Entropy>,
    /// What this process uses.
    pub processor: Arc<dyn ProcessorTime>,
    /// Counts what becomes of commands.
    pub observer: Arc<dyn RequestObserver>,
}

/// The identity of a run: 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunId(u64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for RunId {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let is_canonical = |id: &u64| format!("{id:016x}") == text;
        let parsed = u64::from_str_radix(text, 16).ok().filter(is_canonical);
        parsed.map(Self).ok_or_else(|| InvalidText {
            expected: "16 hexadecimal digits in lower case".to_owned(),
        })
    }
}

impl Serialize for RunId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a storm was not begun, or is not shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StressError {
    /// The caller lacks a scope.
    #[error("the scope {0} is required")]
    NoScope(Scope),
    /// The plan exceeds a bound.
    #[error(transparent)]
    Invalid(#[from] InvalidPlan),
    /// Another run is under way.
    #[error("a run is under way ({0}): cancel it, or wait for its end")]
    Running(RunId),
    /// The process is stopping.
    #[error("the gateway is stopping: try again")]
    Stopping,
    /// No such run, or one that is forgotten.
    #[error("no run of this id among the last {RUNS_MAX} of this process")]
    NotFound,
}

/// Begins, shows and ends storms. Nothing is posted until [`Self::run`] is polled.
pub struct Stress {
    sending: Sending,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    commands_max: u64,
    state: Mutex<State>,
    begun: Notify,
}

#[derive(Default)]
struct State {
    /// The oldest first.
    runs: VecDeque<Arc<Run>>,
    current: Option<Arc<Run>>,
    is_stopping: bool,
}

impl Stress {
    /// Storms of `commands_max` commands each at the most.
    #[must_use]
    pub fn new(parts: StressParts, commands_max: u64) -> Self {
        let StressParts { restocks, store, clock, entropy, processor, observer } = parts;
        let ports = ClientPorts {
            commands: Arc::clone(&restocks),
            restocks,
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
        };
        let limits = ClientLimits {
            in_flight: run::IN_FLIGHT_MAX,
            deadline: OUTCOME_TIMEOUT,
            commands_per_message: 1,
        };
        let client = Client::new(ports, limits);
        let outcomes = OutcomePoller::new(store, run::IN_FLIGHT_MAX);
        let sending = Sending { client, outcomes, processor, observer, clock: Arc::clone(&clock) };
        let (state, begun) = (Mutex::default(), Notify::new());
        Self { sending, clock, entropy, commands_max, state, begun }
    }

    /// Plays the storms that are begun, for as long as it is polled.
    pub async fn run(&self) {
        let play = async {
            loop {
                let current = self.lock().current.clone();
                match current {
                    None => self.begun.notified().await,
                    Some(run) => {
                        run.play(&self.sending).await;
                        info!(run = %run.id(), state = ?run.report().state, "a storm has ended");
                        self.leave(run.id());
                    }
                }
            }
        };
        tokio::join!(self.sending.client.run(), self.sending.outcomes.run(), play);
    }

    /// Begins a storm.
    ///
    /// # Errors
    ///
    /// The caller may not, the plan exceeds a bound, or another run is under way.
    pub fn begin(&self, caller: &Caller, request: &PlanRequest) -> Result<RunReport, StressError> {
        check(caller)?;
        let plan = Plan::of(request, self.commands_max)?;
        let mut state = self.lock();
        if state.is_stopping {
            return Err(StressError::Stopping);
        }
        let current = state.current.as_ref().map(|run| (run.id(), run.report().state));
        if let Some((id, RunState::Running)) = current {
            return Err(StressError::Running(id));
        }
        let (_, id) = self.entropy.uuid().as_u64_pair();
        let run = Arc::new(Run::new(RunId(id), plan, self.clock.now()));
        let report = run.report();
        info!(run = %run.id(), commands = report.cost.commands, "a storm begins");
        while state.runs.len() >= RUNS_MAX {
            state.runs.pop_front();
        }
        state.runs.push_back(Arc::clone(&run));
        state.current = Some(run);
        drop(state);
        self.begun.notify_one();
        Ok(report)
    }

    /// How far a run is.
    ///
    /// # Errors
    ///
    /// The caller may not know, or there is no such run.
    pub fn report(&self, caller: &Caller, id: RunId) -> Result<RunReport, StressError> {
        check(caller)?;
        Ok(self.find(id)?.report())
    }

    /// Ends a run at once; one that has ended stays as it is. Commands that are posted take effect.
    ///
    /// # Errors
    ///
    /// The caller may not, or there is no such run.
    pub fn cancel(&self, caller: &Caller, id: RunId) -> Result<RunReport, StressError> {
        check(caller)?;
        let run = self.find(id)?;
        run.cancel("cancelled by a caller", self.clock.now());
        Ok(run.report())
    }

    /// Ends the run that is under way, and begins no other.
    pub fn stop(&self) {
        let current = {
            let mut state = self.lock();
            state.is_stopping = true;
            state.current.clone()
        };
        if let Some(run) = current {
            run.cancel("the gateway stops", self.clock.now());
        }
    }

    /// Another run may have begun since this one was cancelled.
    fn leave(&self, ended: RunId) {
        let mut state = self.lock();
        if state.current.as_ref().is_some_and(|run| run.id() == ended) {
            state.current = None;
        }
    }

    fn find(&self, id: RunId) -> Result<Arc<Run>, StressError> {
        let state = self.lock();
        let found = state.runs.iter().find(|run| run.id() == id);
        found.cloned().ok_or(StressError::NotFound)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check(caller: &Caller) -> Result<(), StressError> {
    match caller.scopes.has(Scope::Stress) {
        true => Ok(()),
        false => Err(StressError::NoScope(Scope::Stress)),
    }
}

#[cfg(test)]
mod tests;
