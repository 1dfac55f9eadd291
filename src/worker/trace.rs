//! What the worker tells a tracer: where a batch begins, its steps, and what each message came to.
//!
//! Nobody traces unless an observer has a [`Tracer`]; each hook is then a look at an `Option`. Ids
//! and times of spans are the tracer's own: nothing here depends on them.

use std::{any::Any, sync::Arc};

use futures::future::BoxFuture;

use super::failure::Failure;
use crate::{
    domain::{CommandKey, Outcome, PoolId},
    message::TraceContext,
    ports::Delivery,
};

/// A part of the work on a batch that takes calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Taking locks.
    Lock,
    /// Reading what the commands name.
    Load,
    /// One transaction.
    Commit,
    /// Publishing results.
    Publish,
    /// Deleting messages.
    Delete,
}

impl Step {
    /// The step in a word.
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

/// A message of a batch, as it was received and read.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// How it came.
    pub delivery: &'a Delivery,
    /// The command's identity, where one could be read.
    pub key: Option<&'a CommandKey>,
    /// The command's `type`, where one could be read.
    pub command_type: Option<&'a str>,
    /// The pool, where one could be read.
    pub pool: Option<&'a PoolId>,
    /// Its producer's context.
    pub context: Option<&'a TraceContext>,
}

/// Makes a trace of each batch.
pub trait Tracer: Send + Sync {
    /// Work on a batch of one group begins.
    fn batch(&self, queue: &str, messages: &[Message<'_>]) -> Arc<dyn BatchTrace>;
}

/// The trace of one batch; ends when it is dropped. A message is named by its place in the batch.
pub trait BatchTrace: Send + Sync {
    /// A step begins; it ends when what is returned is dropped.
    fn step(&self, step: Step) -> StepSpan;

    /// A message has its outcome, durable. Gives the context that its result carries, in place of
    /// its producer's.
    fn decided(&self, message: usize, outcome: &Outcome, replayed: bool) -> Option<TraceContext>;

    /// Work ended: that many of the first messages are done with, the others are not, for this
    /// reason.
    fn settled(&self, done: usize, failure: Option<&Failure>);
}

/// A step that has begun.
pub type StepSpan = Box<dyn Any + Send>;

tokio::task_local! {
    /// The batch that the current task is at work on.
    static CURRENT: Arc<dyn BatchTrace>;
}

/// A step of the batch the current task is at work on begins; it ends when this is dropped.
pub(super) fn step(step: Step) -> Option<StepSpan> {
    CURRENT.try_with(|trace| trace.step(step)).ok()
}

/// The trace of a batch, if anybody traces.
pub(super) struct Traced(Option<Arc<dyn BatchTrace>>);

impl Traced {
    /// Work on a batch begins.
    pub(super) fn begin<'a>(
        tracer: Option<&dyn Tracer>,
        queue: &str,
        messages: impl Iterator<Item = Message<'a>>,
    ) -> Self {
        let trace = |tracer: &dyn Tracer| tracer.batch(queue, &messages.collect::<Vec<_>>());
        Self(tracer.map(trace))
    }

    /// Does the work on the batch: the steps in it belong to its trace.
    pub(super) async fn scope<T>(&self, work: BoxFuture<'_, T>) -> T {
        match &self.0 {
            None => work.await,
            Some(trace) => CURRENT.scope(Arc::clone(trace), work).await,
        }
    }

    /// A message of the batch, by its place.
    pub(super) fn message(&self, message: usize) -> TracedMessage<'_> {
        TracedMessage { trace: self.0.as_deref(), message }
    }

    /// Work on the batch ended.
    pub(super) fn settled(&self, done: usize, failure: Option<&Failure>) {
        if let Some(trace) = &self.0 {
            trace.settled(done, failure);
        }
    }
}

/// A message in the trace of its batch, if anybody traces.
#[derive(Clone, Copy)]
pub(super) struct TracedMessage<'a> {
    trace: Option<&'a dyn BatchTrace>,
    message: usize,
}

impl TracedMessage<'_> {
    /// It has its outcome. Gives the context its result carries: where nobody traces, its
    /// producer's.
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
