//! The calls of one incarnation of a gateway, for the checks of its answers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::SignedDuration;

use inventory_worker::{
    adapters::memory::TokioClock,
    domain::{CommandKey, Timestamp},
    ports::Clock,
};

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallKind {
    /// A read of ledger entries.
    Ledger,
    /// A read of a seat, line or reservation.
    Point,
    /// A read of a page of a list.
    Page,
    /// A send to a queue.
    Send,
    /// A query of a caller.
    Query,
}

/// A call, by the server's clock.
#[derive(Clone, Copy, Debug)]
struct Span {
    kind: CallKind,
    from: Timestamp,
    /// When it ended; `None` while it is under way.
    to: Option<Timestamp>,
    is_ok: bool,
}

impl Span {
    fn overlaps(&self, from: Timestamp, to: Timestamp) -> bool {
        self.from <= to && self.to.is_none_or(|end| end >= from)
    }
}

/// The calls so far.
pub(crate) struct CallLog {
    clock: Arc<TokioClock>,
    calls: Mutex<Calls>,
}

#[derive(Default)]
struct Calls {
    spans: Vec<Span>,
    /// How often each command was sent.
    sent: BTreeMap<CommandKey, usize>,
    /// When sends of each command failed.
    failed: BTreeMap<CommandKey, Vec<Timestamp>>,
    /// The commands that callers have under way, and since when: by number.
    open: BTreeMap<u64, (CommandKey, Timestamp)>,
    opened: u64,
}

/// Ends its call when it is dropped.
pub(crate) struct CallSpan<'a> {
    log: &'a CallLog,
    index: usize,
    pub(crate) is_ok: bool,
}

impl Drop for CallSpan<'_> {
    fn drop(&mut self) {
        let now = self.log.clock.now();
        if let Some(span) = self.log.calls().spans.get_mut(self.index) {
            (span.to, span.is_ok) = (Some(now), self.is_ok);
        }
    }
}

/// A command that a caller has under way, until it is dropped.
pub(crate) struct OpenCommand {
    log: Arc<CallLog>,
    number: u64,
}

impl Drop for OpenCommand {
    fn drop(&mut self) {
        self.log.calls().open.remove(&self.number);
    }
}

impl CallLog {
    pub(crate) fn new(clock: Arc<TokioClock>) -> Self {
        Self { clock, calls: Mutex::default() }
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the start of a call.
    pub(crate) fn begin(&self, kind: CallKind) -> CallSpan<'_> {
        let span = Span { kind, from: self.clock.now(), to: None, is_ok: false };
        let mut calls = self.calls();
        calls.spans.push(span);
        CallSpan { log: self, index: calls.spans.len() - 1, is_ok: false }
    }

    /// Whether a call of the kind was under way at some moment of the time.
    pub(crate) fn calls_in(&self, kind: CallKind, from: Timestamp, to: Timestamp) -> bool {
        let calls = self.calls();
        calls.spans.iter().any(|span| span.kind == kind && span.overlaps(from, to))
    }

    /// How many calls of the kind are under way.
    pub(crate) fn calls_now(&self, kind: CallKind) -> usize {
        let calls = self.calls();
        calls.spans.iter().filter(|span| span.kind == kind && span.to.is_none()).count()
    }

    /// Whether a call of the kind failed at some moment of the time.
    pub(crate) fn fails_in(&self, kind: CallKind, from: Timestamp, to: Timestamp) -> bool {
        let calls = self.calls();
        let fails = |span: &Span| span.to.is_some() && !span.is_ok;
        calls.spans.iter().any(|span| span.kind == kind && fails(span) && span.overlaps(from, to))
    }

    /// Whether every call of the kind in the time succeeded within `most`.
    pub(crate) fn is_sound(
        &self,
        kind: CallKind,
        (from, to): (Timestamp, Timestamp),
        most: SignedDuration,
    ) -> bool {
        let is_sound = |span: &Span| {
            span.is_ok && span.to.is_some_and(|end| end.duration_since(span.from) <= most)
        };
        let calls = self.calls();
        let mut in_time = calls.spans.iter().filter(|span| span.overlaps(from, to));
        in_time.all(|span| span.kind != kind || is_sound(span))
    }

    /// Records that a command is sent.
    pub(crate) fn send(&self, key: &CommandKey) {
        *self.calls().sent.entry(key.clone()).or_default() += 1;
    }

    /// How often a command was sent.
    pub(crate) fn sends(&self, key: &CommandKey) -> usize {
        self.calls().sent.get(key).copied().unwrap_or(0)
    }

    /// Records that a send of a command failed.
    pub(crate) fn fail(&self, key: &CommandKey) {
        let now = self.clock.now();
        self.calls().failed.entry(key.clone()).or_default().push(now);
    }

    /// When sends of a command failed, from that time on.
    pub(crate) fn failures(&self, key: &CommandKey, from: Timestamp) -> Vec<Timestamp> {
        let calls = self.calls();
        let all = calls.failed.get(key).into_iter().flatten();
        all.copied().filter(|at| *at >= from).collect()
    }

    /// Records that a caller asks for a command.
    pub(crate) fn open(self: &Arc<Self>, key: &CommandKey) -> OpenCommand {
        let now = self.clock.now();
        let mut calls = self.calls();
        calls.opened += 1;
        let number = calls.opened;
        calls.open.insert(number, (key.clone(), now));
        drop(calls);
        OpenCommand { log: Arc::clone(self), number }
    }

    /// The commands under way, and those among them of this identity.
    pub(crate) fn under_way(&self, key: &CommandKey) -> (usize, usize) {
        let calls = self.calls();
        let same = calls.open.values().filter(|(other, _)| other == key).count();
        (calls.open.len(), same)
    }

    /// Whether a send succeeded at that time, give or take a rounded millisecond or two.
    pub(crate) fn sent_at(&self, at: Timestamp) -> bool {
        let near = SignedDuration::from_millis(2);
        let calls = self.calls();
        let sent = calls.spans.iter().filter(|span| span.kind == CallKind::Send && span.is_ok);
        sent.filter_map(|span| span.to).any(|end| (end - near..=end + near).contains(&at))
    }
}
