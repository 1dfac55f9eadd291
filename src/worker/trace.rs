//! What the worker reports to a tracer: the start of a batch, its steps, each message's outcome.
//!
//! Tracing is off unless the observer has a [`Tracer`]; each hook then costs one check of an
//! `Option`. The tracer assigns ids and times of spans: nothing here depends on them.

use std::{any::Any, sync::Arc};

use futures::future::BoxFuture;

use super::failure::Failure;
use crate::{
    domain::{CommandKey, Outcome, PoolId},
    message::TraceContext,
    ports::Delivery,
};

/// A part of the work on a batch that makes calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Acquiring locks.
    Lock,
    /// Reading the items that the commands name.
    Load,
    /// Committing one transaction.
    Commit,
    /// Publishing results.
    Publish,
    /// Deleting messages.
    Delete,
}

impl Step {
    /// The step's name: one lower-case word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Load => "load",
            Self::Commit => "commit",
            Self::Publish => "publish",
            Self::Delete => "delete",
        }
    }
}

/// A message of a batch, as received and parsed; or one command of a message of several.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The message as received. The commands of one message share it.
    pub delivery: &'a Delivery,
    /// The length of its text, of the command alone for one of several.
    pub bytes: usize,
    /// The command's identity, if readable.
    pub key: Option<&'a CommandKey>,
    /// The command's `type`, if readable.
    pub command_type: Option<&'a str>,
    /// The command's pool, if readable.
    pub pool: Option<&'a PoolId>,
    /// The producer's trace context.
    pub context: Option<&'a TraceContext>,
}

/// Creates a trace for each batch.
pub trait Tracer: Send + Sync {
    /// Starts the trace of one group's batch.
    fn batch(&self, queue: &str, messages: &[Message<'_>]) -> Arc<dyn BatchTrace>;
}

/// The trace of one batch; it ends on drop. Messages are identified by their index in the batch.
pub trait BatchTrace: Send + Sync {
    /// Begins a step; it ends when the returned span is dropped.
    fn step(&self, step: Step) -> StepSpan;

    /// Records a message's durable outcome. Returns the context that its result carries in place of
    /// its producer's.
    fn decided(&self, message: usize, outcome: &Outcome, replayed: bool) -> Option<TraceContext>;

    /// Records the end of the work: the first `done` messages are finished, the others are not
    /// because of `failure`.
    fn settled(&self, done: usize, failure: Option<&Failure>);
}

/// A step that has begun; it ends on drop.
pub type StepSpan = Box<dyn Any + Send>;

tokio::task_local! {
    /// The trace of the current task's batch.
    static CURRENT: Arc<dyn BatchTrace>;
}

/// Begins a step of the current task's batch; it ends when the returned span is dropped.
pub(super) fn step(step: Step) -> Option<StepSpan> {
    CURRENT.try_with(|trace| trace.step(step)).ok()
}

/// The trace of a batch, if tracing is on.
pub(super) struct Traced(Option<Arc<dyn BatchTrace>>);

impl Traced {
    /// Starts the trace of a batch.
    pub(super) fn begin<'a>(
        tracer: Option<&dyn Tracer>,
        queue: &str,
        messages: impl Iterator<Item = Message<'a>>,
    ) -> Self {
        let trace = |tracer: &dyn Tracer| tracer.batch(queue, &messages.collect::<Vec<_>>());
        Self(tracer.map(trace))
    }

    /// Runs the work on the batch: its steps belong to this trace.
    pub(super) async fn scope<T>(&self, work: BoxFuture<'_, T>) -> T {
        match &self.0 {
            None => work.await,
            Some(trace) => CURRENT.scope(Arc::clone(trace), work).await,
        }
    }

    /// The batch's message at this index.
    pub(super) fn message(&self, message: usize) -> TracedMessage<'_> {
        TracedMessage { trace: self.0.as_deref(), message }
    }

    /// Records the end of the work on the batch.
    pub(super) fn settled(&self, done: usize, failure: Option<&Failure>) {
        if let Some(trace) = &self.0 {
            trace.settled(done, failure);
        }
    }
}

/// A message in the trace of its batch, if tracing is on.
#[derive(Clone, Copy)]
pub(super) struct TracedMessage<'a> {
    trace: Option<&'a dyn BatchTrace>,
    message: usize,
}

impl TracedMessage<'_> {
    /// Records the outcome. Returns the context that the result carries: the producer's if tracing
    /// is off.
    pub(super) fn decided(
        self,
        outcome: &Outcome,
        replayed: bool,
        context: Option<&TraceContext>,
    ) -> Option<TraceContext> {
        let own = self.trace.and_then(|trace| trace.decided(self.message, outcome, replayed));
        own.or_else(|| context.cloned())
    }
}
