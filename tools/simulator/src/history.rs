//! Everything sent, committed, published, deleted and dead-lettered, and the checks made as it
//! happens.

mod commits;
mod dead_letters;
mod finish;
mod gateways;
mod message;
mod results;
mod sent;

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use uuid::Uuid;

use super::{
    checks::{Violation, changes::View, gateway::Shown, model::Model, oracle::Sent},
    fault::Fault,
    profile::{Class, Profile, REDRIVE_AFTER},
    progress::UnaffectedMessages,
    topology::{Incarnation, QUEUES},
};
use inventory_worker::{
    decide::Limits,
    domain::{CommandKey, Timestamp},
    message::is_reserved,
    ports::{Delivery, Record},
    worker::QueueKind,
};
use message::TrackedMessage;

pub(super) use gateways::Lacked;
pub(super) use sent::Sending;

/// The queue, the sequence number, and the place of a command among those of its message.
pub(super) type Spot = (usize, u64, usize);

/// The commands of one message.
fn all_of(queue: usize, sequence: u64) -> std::ops::RangeInclusive<Spot> {
    (queue, sequence, 0)..=(queue, sequence, usize::MAX)
}

/// The record of a history, and its checks.
pub(super) struct History {
    redrive_after: u32,
    limits: Vec<Limits>,
    attempts_max: Vec<u32>,
    /// Messages, and the commands of those that hold several.
    messages: BTreeMap<Spot, TrackedMessage>,
    by_id: BTreeMap<String, Spot>,
    by_key: BTreeMap<CommandKey, Vec<Spot>>,
    /// The queue and sequence number of a message, by the queue's id for it.
    by_message: BTreeMap<String, (usize, u64)>,
    /// Whether transactions of one batch may be in flight side by side: then only commands that
    /// share an item take effect in their order.
    is_parallel: bool,
    sent: BTreeMap<CommandKey, Vec<Sent>>,
    model: Model,
    /// The content of each result by its id, without the message's own place.
    results: BTreeMap<Uuid, String>,
    seen_bodies: BTreeSet<String>,
    /// The seats and lines as the results show them.
    view: View,
    /// Attempts that are still counted, by message, with the incarnation that made each.
    attempts: BTreeMap<String, Vec<Incarnation>>,
    crashed: BTreeSet<Incarnation>,
    /// When each outcome came into the ledger.
    recorded: BTreeMap<CommandKey, Timestamp>,
    /// What gateways showed.
    shown: Shown,
    commits: u64,
    publications: usize,
    dead: u64,
    collateral_dead_letters: u64,
    /// Dead letters, by queue and id.
    letters: BTreeSet<(usize, String)>,
    /// In a history of [`Class::Progress`]: the messages that its trouble must not delay.
    unaffected: Option<UnaffectedMessages>,
    /// Whether a message may have only one copy: nothing but the topic fails between the copy and
    /// the message's deletion.
    is_one_copy: bool,
    /// Whether the queues themselves may move messages to their dead-letter queues.
    may_redrive: bool,
    /// How long before the end of its hold an expiry may be posted: as far as a clock may be wrong
    /// beyond the sweepers' margin.
    expiry_ahead_max: SignedDuration,
    violation: Option<Violation>,
}

impl History {
    pub(super) fn new(profile: &Profile) -> Self {
        let is_progress = profile.class == Class::Progress;
        Self {
            redrive_after: profile.redrive_after(),
            letters: BTreeSet::new(),
            unaffected: is_progress.then(UnaffectedMessages::default),
            is_one_copy: is_progress && profile.rate(Fault::LongOutage) > 0,
            may_redrive: profile.redrive_after() < REDRIVE_AFTER,
            expiry_ahead_max: profile.expiry_ahead_max(),
            limits: profile.settings.iter().map(|settings| settings.limits).collect(),
            attempts_max: profile.settings.iter().map(|settings| settings.attempts_max).collect(),
            messages: BTreeMap::new(),
            by_id: BTreeMap::new(),
            by_key: BTreeMap::new(),
            by_message: BTreeMap::new(),
            is_parallel: profile.settings.iter().any(|settings| settings.commit_parallelism > 1),
            sent: BTreeMap::new(),
            model: Model::with_clocks_off_by(profile.skew_max_ms()),
            results: BTreeMap::new(),
            seen_bodies: BTreeSet::new(),
            view: View::default(),
            attempts: BTreeMap::new(),
            crashed: BTreeSet::new(),
            recorded: BTreeMap::new(),
            shown: Shown::default(),
            commits: 0,
            publications: 0,
            dead: 0,
            collateral_dead_letters: 0,
            violation: None,
        }
    }

    pub(super) fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    pub(super) fn commits(&self) -> u64 {
        self.commits
    }

    pub(super) fn dead(&self) -> u64 {
        self.dead
    }

    /// The number of copies of harmless messages that workers held at every crash.
    pub(super) fn collateral_dead_letters(&self) -> u64 {
        self.collateral_dead_letters
    }

    pub(super) fn commands(&self) -> u64 {
        self.messages.len() as u64
    }

    /// Records the first violation.
    pub(super) fn fail(&mut self, check: &'static str, detail: String) {
        self.violation.get_or_insert(Violation { check, detail });
    }

    fn check(&mut self, result: Result<(), Violation>) {
        if let Err(Violation { check, detail }) = result {
            self.fail(check, detail);
        }
    }

    pub(super) fn set_up(&mut self, records: &[Record], now: Timestamp) {
        for record in records {
            self.model.set_up(record, now);
        }
    }

    /// Whether a message of that id was sent to a queue of commands.
    pub(super) fn was_sent(&self, message_id: &str) -> bool {
        self.by_message.contains_key(message_id)
    }

    /// Whether the queues themselves may move messages to their dead-letter queues.
    pub(super) fn may_redrive(&self) -> bool {
        self.may_redrive
    }

    /// The identity of a message's command.
    #[cfg(feature = "injected-bugs")]
    pub(super) fn key_of(&self, message_id: &str) -> Option<CommandKey> {
        self.messages.get(self.by_id.get(message_id)?)?.key.clone()
    }

    /// Checks that no unaffected message waits too long; time counts from `since`.
    pub(super) fn check_unaffected(&mut self, now: Timestamp, since: Timestamp) {
        let overdue =
            self.unaffected.as_ref().and_then(|unaffected| unaffected.overdue(now, since));
        let Some((at, waited)) = overdue else { return };
        let Some(message) = self.messages.get(&at) else { return };
        let detail = format!(
            "c{}.{} in group {}, which is unaffected, has waited {} s for its outcome: {}",
            at.0,
            at.1,
            message.group,
            waited.as_secs(),
            message.body
        );
        self.fail("progress", detail);
    }

    /// Checks that leases are changed in one call: if some are released at once, the delayed
    /// message is at the head of its group, whose followers it holds back.
    pub(super) fn released(&mut self, queue: usize, changes: &[(u64, bool)]) {
        let group =
            |sequence: u64| self.messages.get(&(queue, sequence, 0)).map(|message| &message.group);
        let is_wrong = |(late, has_delay): &&(u64, bool)| {
            *has_delay
                && changes.iter().any(|(early, has_delay)| {
                    !has_delay && early < late && group(*early) == group(*late)
                })
        };
        if let Some((sequence, _)) = changes.iter().find(is_wrong) {
            let detail = format!("c{queue}.{sequence} is delayed, and one before it is not");
            self.fail("release", detail);
        }
    }

    /// Forgets everything sent, decided and published: all work is done, 90 days have passed, and
    /// identities are free.
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.model.forget(now);
        self.view.forget();
        self.messages.clear();
        self.by_id.clear();
        self.by_key.clear();
        self.by_message.clear();
        self.sent.clear();
        self.recorded.clear();
        self.results.clear();
        self.seen_bodies.clear();
    }

    /// Records a deleted message: allowed only once its result is published, or its copy
    /// dead-lettered.
    pub(super) fn deleted(&mut self, queue: usize, sequence: u64) {
        let spots: Vec<Spot> =
            self.messages.range(all_of(queue, sequence)).map(|(at, _)| *at).collect();
        if spots.is_empty() {
            return self.fail("delete", format!("c{queue}.{sequence} was never sent"));
        }
        spots.into_iter().for_each(|at| self.deleted_at(at));
    }

    fn deleted_at(&mut self, at: Spot) {
        let (queue, sequence, place) = at;
        let Some(message) = self.messages.get_mut(&at) else { return };
        message.is_deleted = true;
        if let Some(unaffected) = &mut self.unaffected {
            unaffected.done(at);
        }
        let is_settled = match (&message.command, &message.key) {
            (Some(_), _) => message.published.is_some() || message.is_dead,
            (None, Some(_)) => {
                message.is_abandoned || message.published.is_some() && message.is_dead
            }
            (None, None) => message.is_dead,
        };
        // The sweeper posts such an expiry again while its hold exists, and the hold must be gone
        // at the end.
        let is_reposted = QUEUES.get(queue).is_some_and(|(_, kind)| *kind == QueueKind::Expiries)
            && message.key.as_ref().is_some_and(|key| is_reserved(&key.source));
        message.is_dropped = !is_settled && is_reposted;
        if !is_settled && !is_reposted {
            let detail = format!("c{queue}.{sequence}/{place} was deleted without result or copy");
            self.fail("delete", detail);
        }
    }

    pub(super) fn attempted(&mut self, message_id: &str, life: Incarnation) {
        self.attempts.entry(message_id.to_owned()).or_default().push(life);
    }

    pub(super) fn attempt_undone(&mut self, message_id: &str, life: Incarnation) {
        let Some(attempts) = self.attempts.get_mut(message_id) else { return };
        if let Some(index) = attempts.iter().rposition(|other| *other == life) {
            attempts.remove(index);
        }
    }

    pub(super) fn crashed(&mut self, life: Incarnation) {
        self.crashed.insert(life);
    }

    /// Records that a worker received a message.
    pub(super) fn received(&mut self, queue: usize, delivery: &Delivery, life: Incarnation) {
        let sequence = delivery.sequence.parse().unwrap_or_default();
        for (_, message) in self.messages.range_mut(all_of(queue, sequence)) {
            message.held = Some((life, delivery.receipt.clone()));
            message.receives = message.receives.max(delivery.receive_count);
        }
    }
}
