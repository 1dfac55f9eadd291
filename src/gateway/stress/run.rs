//! One storm, from its beginning to its end.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    RunId,
    controller::RateController,
    load::Sending,
    plan::{Cost, Plan, Target},
};
use crate::{domain::Timestamp, gateway::observer::StressOutcome, ports::ProcessorTime};

/// Commands without an outcome at once; no more are posted meanwhile.
pub(super) const IN_FLIGHT_MAX: usize = 500;

/// How long the last outcomes are awaited.
const LAST_OUTCOMES_TIMEOUT: Duration = Duration::from_secs(30);

/// Between two measurements.
const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// Commands in a row that the queue did not take, after which it is not asked again.
const NOT_POSTED_MAX: u32 = 20;

/// A storm that is this late does not make up for it.
const LATE_MAX: Duration = Duration::from_millis(200);

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// It posts, or awaits its last outcomes.
    Running,
    /// It came to its end.
    Finished,
    /// A caller or the end of the process stopped it.
    Cancelled,
    /// It could not go on.
    Failed,
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunReport {
    /// Its identity.
    pub id: RunId,
    /// What became of it.
    pub state: RunState,
    /// Why it ended before its time.
    pub reason: Option<&'static str>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What it is to do.
    pub plan: Plan,
    /// What it costs at the most.
    pub cost: Cost,
    /// Commands that the queue took.
    pub posted: u64,
    /// Of these, commands that were carried out.
    pub completed: u64,
    /// Of these, commands that were rejected.
    pub rejected: u64,
    /// Of these, commands without an outcome within a minute, or at the end of the run.
    pub unanswered: u64,
    /// Commands that the queue did not take, as far as is known.
    pub not_posted: u64,
    /// Commands posted during the last second; `None` before it and after the end.
    pub rate: Option<f64>,
    /// The share of its cores that this process used during the last second, percent.
    pub cpu: Option<f64>,
}

/// A storm.
pub(super) struct Run {
    report: Mutex<RunReport>,
    id: RunId,
    plan: Plan,
    cancelled: CancellationToken,
}

impl Run {
    pub(super) fn new(id: RunId, plan: Plan, started_at: Timestamp) -> Self {
        let report = RunReport {
            id,
            state: RunState::Running,
            reason: None,
            started_at,
            ended_at: None,
            plan,
            cost: plan.cost(),
            posted: 0,
            completed: 0,
            rejected: 0,
            unanswered: 0,
            not_posted: 0,
            rate: None,
            cpu: None,
        };
        Self { report: Mutex::new(report), id, plan, cancelled: CancellationToken::new() }
    }

    pub(super) fn id(&self) -> RunId {
        self.id
    }

    pub(super) fn report(&self) -> RunReport {
        self.lock().clone()
    }

    /// Ends it, unless it has ended.
    pub(super) fn cancel(&self, reason: &'static str, now: Timestamp) {
        self.end(RunState::Cancelled, Some(reason), now);
        self.cancelled.cancel();
    }

    /// The queue has one more of its commands.
    pub(super) fn posted(&self) {
        self.while_running(|report| report.posted += 1);
    }

    /// Posts its commands and awaits their outcomes, until its end or until it is cancelled.
    pub(super) async fn play(&self, sending: &Sending) {
        let ended = tokio::select! {
            biased;
            () = self.cancelled.cancelled() => return,
            ended = self.load(sending) => ended,
        };
        let (state, reason) = match ended {
            Ok(reason) => (RunState::Finished, reason),
            Err(reason) => (RunState::Failed, Some(reason)),
        };
        self.end(state, reason, sending.clock.now());
    }

    async fn load(&self, sending: &Sending) -> Result<Option<&'static str>, &'static str> {
        let ends = Instant::now() + self.plan.duration;
        let mut pace = Pace::new(self.plan.target, &*sending.processor);
        let mut measuring = interval(MEASURE_EVERY);
        measuring.set_missed_tick_behavior(MissedTickBehavior::Delay);
        measuring.reset();
        let (mut number, mut in_a_row) = (0, 0);
        let mut in_flight = FuturesUnordered::new();
        while number < self.plan.commands_max {
            tokio::select! {
                biased;
                () = sleep_until(ends) => break,
                Some(outcome) = in_flight.next() => {
                    self.count(outcome);
                    in_a_row = if outcome == StressOutcome::NotPosted { in_a_row + 1 } else { 0 };
                    if in_a_row >= NOT_POSTED_MAX {
                        return Err("the queue takes no commands");
                    }
                }
                _ = measuring.tick() => self.measure(&mut pace, sending),
                () = sleep_until(pace.due), if in_flight.len() < IN_FLIGHT_MAX => {
                    let command = sending.command(self.id, &self.plan, number)?;
                    in_flight.push(sending.send(self, command));
                    number += 1;
                    pace.advance();
                }
            }
        }
        let last = async {
            while let Some(outcome) = in_flight.next().await {
                self.count(outcome);
            }
        };
        let _ = timeout(LAST_OUTCOMES_TIMEOUT, last).await;
        let is_open = matches!(self.plan.target, Target::Cpu { .. });
        let is_short = is_open && number >= self.plan.commands_max;
        Ok(is_short.then_some("it posted all the commands that it may"))
    }

    fn count(&self, outcome: StressOutcome) {
        self.while_running(|report| match outcome {
            StressOutcome::Completed => report.completed += 1,
            StressOutcome::Rejected => report.rejected += 1,
            StressOutcome::Unanswered => report.unanswered += 1,
            StressOutcome::NotPosted => report.not_posted += 1,
        });
    }

    fn measure(&self, pace: &mut Pace, sending: &Sending) {
        self.while_running(|report| {
            let (rate, cpu) = pace.measure(report.posted, &*sending.processor);
            (report.rate, report.cpu) = (Some(tenths(rate)), Some(tenths(cpu)));
            sending.observer.stress_cpu(cpu);
        });
    }

    fn end(&self, state: RunState, reason: Option<&'static str>, now: Timestamp) {
        self.while_running(|report| {
            (report.state, report.reason, report.ended_at) = (state, reason, Some(now));
            (report.rate, report.cpu) = (None, None);
            let answered = report.completed + report.rejected;
            report.unanswered = report.posted.saturating_sub(answered);
        });
    }

    /// Changes the report, unless the run has ended.
    fn while_running(&self, change: impl FnOnce(&mut RunReport)) {
        let mut report = self.lock();
        if report.state == RunState::Running {
            change(&mut report);
        }
    }

    fn lock(&self) -> MutexGuard<'_, RunReport> {
        // Nothing panics while it is held.
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When the next command is due.
struct Pace {
    due: Instant,
    rate: f64,
    controller: Option<RateController>,
    /// When was measured last, and what had been posted and used by then.
    since: (Instant, u64, Duration),
}

impl Pace {
    fn new(target: Target, processor: &dyn ProcessorTime) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "both are small")]
        let (rate, controller) = match target {
            Target::Rate(rate) => (rate as f64, None),
            Target::Cpu { percent, rate_max } => {
                let controller = RateController::new(percent as f64, rate_max as f64);
                (controller.rate(), Some(controller))
            }
        };
        let now = Instant::now();
        Self { due: now, rate, controller, since: (now, 0, processor.used()) }
    }

    fn advance(&mut self) {
        let every = Duration::from_secs_f64(1.0 / self.rate.max(0.1));
        let now = Instant::now();
        let earliest = now.checked_sub(LATE_MAX).unwrap_or(now);
        self.due = (self.due + every).max(earliest);
    }

    /// What was posted each second and what share of the cores was used, since the last time.
    fn measure(&mut self, posted: u64, processor: &dyn ProcessorTime) -> (f64, f64) {
        let (at, posted_before, used_before) = self.since;
        let (now, used) = (Instant::now(), processor.used());
        self.since = (now, posted, used);
        let seconds = now.duration_since(at).as_secs_f64().max(0.001);
        #[expect(clippy::cast_precision_loss, reason = "both are small")]
        let (more, cores) = ((posted - posted_before) as f64, processor.cores().max(1) as f64);
        let percent = used.saturating_sub(used_before).as_secs_f64() / seconds / cores * 100.0;
        if let Some(controller) = &mut self.controller {
            controller.measured(percent);
            self.rate = controller.rate();
        }
        (more / seconds, percent)
    }
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
