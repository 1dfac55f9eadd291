//! Everything that was sent, committed, published, deleted and dead-lettered, and what is checked
//! of it as it happens.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use jiff::SignedDuration;
use serde::Deserialize;
use uuid::Uuid;

use super::{
    checks::{
        Violation, ensure,
        model::Model,
        oracle::{self, Sent},
        tables,
    },
    profile::{Class, Fault, Profile, REDRIVE_AFTER},
    progress::Waiting,
    workload::{KILLER, POISON},
    world::QUEUES,
};
use inventory_worker::{
    adapters::memory::MemoryStore,
    decide::Limits,
    domain::{
        Action, Command, CommandKey, GroupId, Outcome, RejectionCode, ReservationId, Timestamp,
    },
    message::{self, ResultMessage},
    ports::{
        Delivery, LedgerKey, LedgerRecord, OutgoingMessage, Publication, ReceiptHandle, Record,
        Transaction, Write,
    },
    worker::{QueueKind, dead_letters},
};

/// The tables are looked at as a whole after so many commits.
const FULL_CHECK_EVERY: u64 = 25;

/// The reason of what was handled alone as often as is allowed.
const POISON_REASON: &str = "POISON";

/// A queue of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Commands(usize),
    DeadLetters(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commands(index) => write!(f, "c{index}"),
            Self::DeadLetters(index) => write!(f, "dead{index}"),
        }
    }
}

/// What a transaction does, in few words.
pub(super) struct Entry<'a>(pub(super) &'a Transaction);

impl fmt::Display for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for write in &self.0.writes {
            match write {
                Write::Seat { key, seat, .. } => {
                    let (status, version) = (seat.occupancy.status(), seat.version);
                    write!(f, "{}:{}={status}.{version} ", key.event_id, key.number)?;
                }
                Write::Line { key, line, .. } => write!(
                    f,
                    "{}:{}={}+{}.{} ",
                    key.pool, key.sku, line.available, line.reserved, line.version
                )?,
                Write::Reservation { reservation, .. } => {
                    let (status, version) = (reservation.status.as_str(), reservation.version);
                    write!(f, "{}={status}.{version} ", reservation.reservation_id)?;
                }
                Write::Ledger { key: LedgerKey::Command(key), record }
                | Write::LedgerOverIntent { key, record, .. } => {
                    write!(f, "[{}: {}] ", key.id, came_to(record))?;
                }
                Write::Ledger { key: LedgerKey::Chunk(key, number), .. } => {
                    write!(f, "[{} chunk {number}] ", key.id)?;
                }
            }
        }
        Ok(())
    }
}

fn came_to(record: &LedgerRecord) -> &'static str {
    match record {
        LedgerRecord::Outcome { outcome, .. } => match outcome.rejection() {
            Some(rejection) => rejection.code.as_str(),
            None => outcome.result_type(),
        },
        LedgerRecord::Intent { .. } => "intent",
        LedgerRecord::Chunk { .. } => "chunk",
    }
}

/// A message on a queue of commands.
struct Message {
    group: GroupId,
    body: String,
    attributes: BTreeMap<String, String>,
    /// What it asks for; `None` where it is no command.
    command: Option<Arc<Command>>,
    /// Its identity, where one can be read.
    key: Option<CommandKey>,
    /// The result of it that went out first, as a place among all results.
    published: Option<usize>,
    /// Whether a failed entry before it in one batch excuses its place.
    is_excused: bool,
    /// Of an expiry: deleted without an outcome, to be posted again.
    is_dropped: bool,
    is_dead: bool,
    /// Moved to the dead letters by the queue itself.
    is_redriven: bool,
    /// Copied to the dead letters before the queue itself would move or drop it.
    is_handed_over: bool,
    /// Copies of it that the dead letters took.
    copies: u32,
    /// Given up after its attempts, whatever it was.
    is_condemned: bool,
    is_deleted: bool,
    sent_at: Timestamp,
    /// How often it was received.
    receives: u32,
    /// Who received it last, and the receipt.
    held: Option<(Incarnation, ReceiptHandle)>,
}

/// A worker, and how often it was started anew.
pub(super) type Incarnation = (usize, u32);

impl Message {
    /// Whether a copy for this reason is right, of what was not handled alone too often.
    fn is_deserved(&self, reason: &str, redrive_after: u32, now: Timestamp) -> bool {
        match reason {
            "INVALID_MESSAGE" | "UNSUPPORTED_TYPE" => self.command.is_none(),
            // A hundredth of the receives before the queue itself would move it.
            "RECEIVES" => self.receives + (redrive_after / 100).max(1) >= redrive_after,
            // A day before its retention ends, by clocks that are off.
            "RETENTION" => now.duration_since(self.sent_at) > RETENTION_ENDS,
            _ => false,
        }
    }

    fn is_poison(&self) -> bool {
        self.key.as_ref().is_some_and(|key| {
            key.id.as_str().starts_with(POISON) || key.id.as_str().starts_with(KILLER)
        })
    }
}

/// The longest that two workers may be at work on one message without knowing of each other.
const CROSSING_MAX: SignedDuration = SignedDuration::from_secs(60);

/// Before this age nothing is copied for its retention's sake.
const RETENTION_ENDS: SignedDuration = SignedDuration::from_hours(13 * 24 - 12);

/// What happened so far.
pub(super) struct History {
    redrive_after: u32,
    limits: Vec<Limits>,
    attempts_max: Vec<u32>,
    /// By queue and sequence.
    messages: BTreeMap<(usize, u64), Message>,
    by_id: BTreeMap<String, (usize, u64)>,
    by_key: BTreeMap<CommandKey, Vec<(usize, u64)>>,
    sent: BTreeMap<CommandKey, Vec<Sent>>,
    model: Model,
    /// By id of the result: what it says, apart from the message's own place.
    results: BTreeMap<Uuid, String>,
    seen_bodies: BTreeSet<String>,
    /// Attempts that are still counted, by message, with the life that made each.
    attempts: BTreeMap<String, Vec<Incarnation>>,
    crashed: BTreeSet<Incarnation>,
    commits: u64,
    publications: usize,
    dead: u64,
    innocents: u64,
    /// What the dead letters took, by queue and id.
    letters: BTreeSet<(usize, String)>,
    /// Who is not to blame, where the history is one in which they must go on.
    waiting: Option<Waiting>,
    /// Whether a message may have one copy alone: nothing fails between a copy and its message's
    /// end but the topic.
    is_one_copy: bool,
    /// Whether the queues may move messages to the dead letters themselves.
    may_redrive: bool,
    violation: Option<Violation>,
}

/// What the checks read of a result.
#[derive(Deserialize)]
struct ResultBody<'a> {
    time: Timestamp,
    #[serde(borrow)]
    data: ResultData<'a>,
}

#[derive(Deserialize)]
struct ResultData<'a> {
    #[serde(borrow)]
    command: CommandRef<'a>,
    #[serde(default)]
    rejection: Option<RejectionRef>,
}

#[derive(Deserialize)]
struct CommandRef<'a> {
    source: &'a str,
    id: &'a str,
    sequence: &'a str,
}

#[derive(Deserialize)]
struct RejectionRef {
    code: RejectionCode,
}

impl History {
    pub(super) fn new(profile: &Profile) -> Self {
        let is_progress = profile.class == Class::Progress;
        Self {
            redrive_after: profile.redrive_after(),
            letters: BTreeSet::new(),
            waiting: is_progress.then(Waiting::default),
            is_one_copy: is_progress && profile.rate(Fault::LongOutage) > 0,
            may_redrive: profile.redrive_after() < REDRIVE_AFTER,
            limits: profile.settings.iter().map(|settings| settings.limits).collect(),
            attempts_max: profile.settings.iter().map(|settings| settings.attempts_max).collect(),
            messages: BTreeMap::new(),
            by_id: BTreeMap::new(),
            by_key: BTreeMap::new(),
            sent: BTreeMap::new(),
            model: Model::with_clocks_off_by(profile.skew_max_ms()),
            results: BTreeMap::new(),
            seen_bodies: BTreeSet::new(),
            attempts: BTreeMap::new(),
            crashed: BTreeSet::new(),
            commits: 0,
            publications: 0,
            dead: 0,
            innocents: 0,
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

    /// Messages that were given up because workers died whenever they had them in hand.
    pub(super) fn innocents(&self) -> u64 {
        self.innocents
    }

    pub(super) fn commands(&self) -> u64 {
        self.messages.len() as u64
    }

    /// Notes the first thing found wrong.
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

    /// A message was taken by a queue. Gives whether it is new.
    pub(super) fn sent(
        &mut self,
        place: Place,
        message: &OutgoingMessage,
        id: &str,
        sequence: u64,
        now: Timestamp,
    ) -> bool {
        match place {
            Place::Commands(queue) => self.sent_command(queue, message, id, sequence, now),
            Place::DeadLetters(queue) => {
                let is_new = self.letters.insert((queue, id.to_owned()));
                if is_new {
                    self.dead_lettered(message, now);
                }
                is_new
            }
        }
    }

    fn sent_command(
        &mut self,
        queue: usize,
        message: &OutgoingMessage,
        id: &str,
        sequence: u64,
        now: Timestamp,
    ) -> bool {
        if self.messages.contains_key(&(queue, sequence)) {
            return false;
        }
        let (command, key) = match message::decode(&message.body) {
            Ok(decoded) => {
                let command = Arc::new(decoded.command);
                let all = self.sent.entry(command.key.clone()).or_default();
                if !all.iter().any(|sent| sent.command.digest == command.digest) {
                    all.push(Sent { command: Arc::clone(&command), at: now });
                }
                let key = command.key.clone();
                (Some(command), Some(key))
            }
            Err(undecodable) => (None, undecodable.key),
        };
        self.by_id.insert(id.to_owned(), (queue, sequence));
        if let Some(key) = &key {
            self.by_key.entry(key.clone()).or_default().push((queue, sequence));
        }
        if let Some(waiting) = &mut self.waiting {
            waiting.sent((queue, sequence), &message.group, command.as_deref(), now);
        }
        let (group, body) = (message.group.clone(), message.body.clone());
        let attributes = message.attributes.clone();
        // The results of two messages with one identity, group and place are the same.
        let twin = (0..QUEUES.len())
            .filter_map(|queue| self.messages.get(&(queue, sequence)))
            .find(|twin| twin.group == group && twin.key == key && twin.body == body);
        let published = twin.and_then(|twin| twin.published);
        self.messages.insert(
            (queue, sequence),
            Message {
                group,
                body,
                attributes,
                command,
                key,
                published,
                is_excused: published.is_some(),
                is_dropped: false,
                is_dead: false,
                is_redriven: false,
                is_handed_over: false,
                copies: 0,
                is_condemned: false,
                is_deleted: false,
                sent_at: now,
                receives: 0,
                held: None,
            },
        );
        true
    }

    /// A copy went to the dead letters: only of what is unreadable or can never be handled.
    fn dead_lettered(&mut self, copy: &OutgoingMessage, now: Timestamp) {
        let attribute = |name: &str| copy.attributes.get(name).cloned().unwrap_or_default();
        let id = self.original(copy);
        let reason = attribute(dead_letters::REASON);
        let attempts = self.attempts.get(&id).cloned().unwrap_or_default();
        // A message that was in hand whenever a worker died is taken for what killed it.
        let lives: BTreeSet<Incarnation> = attempts.iter().copied().collect();
        let crashes = lives.iter().filter(|life| self.crashed.contains(life)).count();
        let attempts_max = self.attempts_max.iter().min().copied().unwrap_or(0) as usize;
        let Some(message) = self.by_id.get(&id).and_then(|at| self.messages.get_mut(at)) else {
            return self.fail("dead-letters", format!("a copy of {id:?}, which was never sent"));
        };
        message.is_dead = true;
        message.copies += 1;
        // A copy without room for its reason.
        let reason = match reason.is_empty() {
            true if message.command.is_some() => POISON_REASON.to_owned(),
            true => RejectionCode::InvalidMessage.as_str().to_owned(),
            false => reason,
        };
        let copies = message.copies;
        message.is_handed_over |= matches!(reason.as_str(), "RECEIVES" | "RETENTION");
        // What cannot be read and was tried as often as is allowed is given up without its result.
        message.is_condemned |=
            message.is_handed_over || reason == POISON_REASON || attempts.len() > attempts_max;
        let is_innocent = message.is_condemned && !message.is_poison();
        let is_whole = message.body == copy.body
            && message.group == copy.group
            && (message.attributes.get(dead_letters::FIRST_SENT_AT))
                .is_none_or(|first| *first == attribute(dead_letters::FIRST_SENT_AT));
        let is_deserved = match reason.as_str() {
            POISON_REASON => message.is_poison() || crashes >= attempts_max,
            reason => message.is_deserved(reason, self.redrive_after, now),
        };
        // What the ledger knows is never given up; a transaction of another worker may cross the copy.
        let known = message.command.as_ref().and_then(|command| {
            let record = self.model.ledger.get(&LedgerKey::Command(command.key.clone()))?;
            if record.digest() != command.digest {
                return None;
            }
            match record {
                LedgerRecord::Outcome { decided_at, .. }
                | LedgerRecord::Intent { decided_at, .. } => Some(*decided_at),
                LedgerRecord::Chunk { .. } => None,
            }
        });
        let is_begun = reason == POISON_REASON
            && known.is_some_and(|at| now.duration_since(at) > CROSSING_MAX);
        let is_command = message.command.is_some();
        self.dead += 1;
        self.innocents += u64::from(is_innocent);
        if let (Some(waiting), Some(at)) = (&mut self.waiting, self.by_id.get(&id)) {
            waiting.done(*at);
        }
        if self.is_one_copy && copies > 1 {
            self.fail("copies", format!("{copies} copies of {id} went to the dead letters"));
        }
        if !is_whole {
            self.fail("dead-letters", format!("the copy of {id} is not the whole message"));
        }
        if is_begun {
            self.fail("dead-letters", format!("message {id}, which has begun, is given up"));
        }
        if !is_deserved {
            self.fail(
                "dead-letters",
                format!(
                    "{reason}: message {id} (command: {is_command}) is not to blame; it has \
                     {} attempts counted, {crashes} of which ended in a crash",
                    attempts.len()
                ),
            );
        }
    }

    /// The id of the message that the copy is of: as it says itself, or, where there was no room
    /// for that, as its deduplication id has it, or by what it is.
    fn original(&self, copy: &OutgoingMessage) -> String {
        if let Some(id) = copy.attributes.get(dead_letters::ORIGINAL_MESSAGE_ID) {
            return id.clone();
        }
        let by_dedup = copy.deduplication_id.clone().filter(|id| self.by_id.contains_key(id));
        by_dedup.unwrap_or_else(|| {
            let is_it = |message: &Message| {
                !message.is_dead && message.group == copy.group && message.body == copy.body
            };
            let of = |at: &(usize, u64)| self.messages.get(at).is_some_and(is_it);
            let found = self.by_id.iter().find(|(_, at)| of(at));
            found.map(|(id, _)| id.clone()).unwrap_or_default()
        })
    }

    /// Whether a message of that id was sent to a queue of commands.
    pub(super) fn was_sent(&self, message_id: &str) -> bool {
        self.by_id.contains_key(message_id)
    }

    /// The queue itself moved messages to the dead letters, which are these by now. Gives whether
    /// any is new.
    pub(super) fn redriven<'a>(&mut self, ids: impl Iterator<Item = &'a str>) -> bool {
        let mut is_new = false;
        for id in ids {
            let Some(message) = self.by_id.get(id).and_then(|at| self.messages.get_mut(at)) else {
                continue;
            };
            if message.is_redriven {
                continue;
            }
            message.is_dead = true;
            message.is_redriven = true;
            is_new = true;
            if !self.may_redrive {
                self.fail("redriven", format!("{id} was received {REDRIVE_AFTER} times"));
            }
        }
        is_new
    }

    /// Whether the queues may move messages to the dead letters themselves.
    pub(super) fn may_redrive(&self) -> bool {
        self.may_redrive
    }

    /// The identity of a message's command.
    #[cfg(feature = "injected-bugs")]
    pub(super) fn key_of(&self, message_id: &str) -> Option<CommandKey> {
        self.messages.get(self.by_id.get(message_id)?)?.key.clone()
    }

    /// Looks whether somebody who is not to blame waits for too long; time counts from `since`.
    pub(super) fn look(&mut self, now: Timestamp, since: Timestamp) {
        let overdue = self.waiting.as_ref().and_then(|waiting| waiting.overdue(now, since));
        let Some((at, waited)) = overdue else { return };
        let Some(message) = self.messages.get(&at) else { return };
        let detail = format!(
            "c{}.{} in group {}, which is not to blame, has waited {} s for its outcome: {}",
            at.0,
            at.1,
            message.group,
            waited.as_secs(),
            message.body
        );
        self.fail("progress", detail);
    }

    /// Leases are changed in one call: where some are released at once, the delay of the others
    /// stands at the head of their group, whose followers it holds back.
    pub(super) fn released(&mut self, queue: usize, changes: &[(u64, bool)]) {
        let group =
            |sequence: u64| self.messages.get(&(queue, sequence)).map(|message| &message.group);
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

    /// Everything is done with and 90 days have passed: what was sent, decided and published is no
    /// more, and identities are free.
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.model.forget(now);
        self.messages.clear();
        self.by_id.clear();
        self.by_key.clear();
        self.sent.clear();
        self.results.clear();
        self.seen_bodies.clear();
    }

    /// A transaction was applied. Gives its number.
    pub(super) fn committed(
        &mut self,
        worker: usize,
        transaction: &Transaction,
        now: Timestamp,
        store: &MemoryStore,
    ) -> u64 {
        self.commits += 1;
        let limits = self.limits.get(worker).copied().unwrap_or_default();
        let before = self.before(transaction);
        let asked = (&self.sent, &before);
        let judged = oracle::transaction(&mut self.model, transaction, asked, &limits, now);
        let number = self.commits;
        self.check(judged.map_err(|violation| violation.at(number)));
        let is_full = number.is_multiple_of(FULL_CHECK_EVERY);
        let checked = store.inspect(|tables| match is_full {
            true => tables::check(tables, &self.model),
            false => tables::check_touched(tables, transaction, now + self.model.skew()),
        });
        self.check(checked.map_err(|violation| violation.at(number)));
        number
    }

    /// Of each command that a transaction decides, the commands before it in its group, wherever it
    /// was sent. Not those that may be decided after it: the dead, who may come again, and expires,
    /// which may have come too early.
    fn before(&self, transaction: &Transaction) -> oracle::Before {
        let is_expire = |command: &Command| matches!(command.action, Action::Expire(_));
        let before = |queue: usize, sequence: u64, group: &GroupId| -> BTreeSet<CommandKey> {
            self.messages
                .range((queue, 0)..(queue, sequence))
                .filter(|(_, message)| message.group == *group && !message.is_dead)
                .filter_map(|(_, message)| message.command.as_deref())
                .filter(|command| !is_expire(command))
                .map(|command| command.key.clone())
                .collect()
        };
        let of = |key: &CommandKey| {
            let places = self.by_key.get(key).into_iter().flatten();
            places
                .filter_map(|at| Some((at, self.messages.get(at)?)))
                .map(|((queue, sequence), message)| before(*queue, *sequence, &message.group))
                .reduce(|one, other| &one & &other)
                .unwrap_or_default()
        };
        let decided = transaction.writes.iter().filter_map(|write| match write {
            Write::Ledger { key: LedgerKey::Command(key), .. }
            | Write::Ledger { key: LedgerKey::Chunk(key, _), .. }
            | Write::LedgerOverIntent { key, .. } => Some(key),
            _ => None,
        });
        decided.map(|key| (key.clone(), of(key))).collect()
    }

    /// An entry was taken by the topic. Gives whether it says something new.
    pub(super) fn published(&mut self, publication: &Publication, is_excused: bool) -> bool {
        if !self.seen_bodies.insert(format!("{} {}", publication.group, publication.body)) {
            return false;
        }
        if let Err(Violation { check, detail }) = self.judge_result(publication, is_excused) {
            self.fail(check, format!("{detail}: {}", publication.body));
        }
        true
    }

    fn judge_result(
        &mut self,
        publication: &Publication,
        is_excused: bool,
    ) -> Result<(), Violation> {
        let wrong = |detail: &str| Violation::new("result", detail.to_owned());
        let body: ResultBody<'_> = serde_json::from_str(&publication.body)
            .map_err(|error| wrong(&format!("not readable ({error})")))?;
        let CommandRef { source, id, sequence } = body.data.command;
        let number = sequence.parse::<u64>().map_err(|_| wrong("no sequence"))?;
        let is_its = |message: &Message| {
            message.group == publication.group
                && message
                    .key
                    .as_ref()
                    .is_some_and(|key| key.source.as_str() == source && key.id.as_str() == id)
        };
        let code = body.data.rejection.map(|rejection| rejection.code);
        // Messages of one identity and group may have the same place in both queues: where both
        // could have this result, they cannot be told apart.
        let mut answered = Vec::new();
        let mut fault = wrong("of no message that was sent");
        for at in (0..QUEUES.len()).map(|queue| (queue, number)) {
            let Some(message) = self.messages.get(&at).filter(|message| is_its(message)) else {
                continue;
            };
            match self.judge_answer(message, publication, sequence, code, body.time) {
                Ok(()) => answered.push(at),
                Err(violation) => fault = violation,
            }
        }
        if answered.is_empty() {
            return Err(fault);
        }
        for at in &answered {
            let Some(message) = self.messages.get_mut(at) else { continue };
            if message.published.is_none() {
                message.published = Some(self.publications);
                message.is_excused = is_excused || answered.len() > 1;
            }
            if let Some(waiting) = &mut self.waiting {
                waiting.done(*at);
            }
        }
        self.publications += 1;
        let says = said(&publication.body, code);
        let first = self.results.entry(publication.id).or_insert_with(|| says.clone());
        if *first != says {
            return Err(wrong("the same id said something else before"));
        }
        Ok(())
    }

    /// Whether this may be the result of that message.
    fn judge_answer(
        &self,
        message: &Message,
        publication: &Publication,
        sequence: &str,
        code: Option<RejectionCode>,
        time: Timestamp,
    ) -> Result<(), Violation> {
        let Some(command) = &message.command else {
            let is_answer = matches!(
                code,
                Some(RejectionCode::InvalidMessage | RejectionCode::UnsupportedType)
            );
            return ensure(is_answer, "result", || "an outcome of what is no command".to_owned());
        };
        match expected(&self.model, command, publication, sequence, code, time)? {
            Some(expected) if expected != *publication => {
                let detail = format!("not what the ledger says, which is {}", expected.body);
                Err(Violation::new("result", detail))
            }
            _ => Ok(()),
        }
    }

    /// A message was deleted: only once its result is out, or a copy of it with the dead letters.
    pub(super) fn deleted(&mut self, queue: usize, sequence: u64) {
        let Some(message) = self.messages.get_mut(&(queue, sequence)) else {
            return self.fail("delete", format!("c{queue}.{sequence} was never sent"));
        };
        message.is_deleted = true;
        if let Some(waiting) = &mut self.waiting {
            waiting.done((queue, sequence));
        }
        let is_settled = match (&message.command, &message.key) {
            (Some(_), _) => message.published.is_some() || message.is_dead,
            (None, Some(_)) => {
                message.is_condemned || message.published.is_some() && message.is_dead
            }
            (None, None) => message.is_dead,
        };
        // The sweeper posts such a one again for as long as its hold is there, which must be gone in
        // the end.
        let is_reposted = QUEUES.get(queue).is_some_and(|(_, kind)| *kind == QueueKind::Expiries)
            && message.key.as_ref().is_some_and(|key| message::is_reserved(&key.source));
        message.is_dropped = !is_settled && is_reposted;
        if !is_settled && !is_reposted {
            self.fail("delete", format!("c{queue}.{sequence} was deleted without result or copy"));
        }
    }

    pub(super) fn attempted(&mut self, message_id: &str, life: Incarnation) {
        self.attempts.entry(message_id.to_owned()).or_default().push(life);
    }

    pub(super) fn forgiven(&mut self, message_id: &str, life: Incarnation) {
        let Some(attempts) = self.attempts.get_mut(message_id) else { return };
        if let Some(index) = attempts.iter().rposition(|other| *other == life) {
            attempts.remove(index);
        }
    }

    pub(super) fn crashed(&mut self, life: Incarnation) {
        self.crashed.insert(life);
    }

    /// A worker got a message.
    pub(super) fn received(&mut self, queue: usize, delivery: &Delivery, life: Incarnation) {
        let sequence = delivery.sequence.parse().unwrap_or_default();
        if let Some(message) = self.messages.get_mut(&(queue, sequence)) {
            message.held = Some((life, delivery.receipt.clone()));
            message.receives = message.receives.max(delivery.receive_count);
        }
    }

    /// A transaction is begun: each command it decides is of a message that the worker still holds.
    pub(super) fn begun(
        &mut self,
        transaction: &Transaction,
        life: Incarnation,
        holds: impl Fn(usize, &ReceiptHandle) -> bool,
    ) {
        for write in &transaction.writes {
            let Write::Ledger { key: LedgerKey::Command(key), .. } = write else { continue };
            let places = self.by_key.get(key).into_iter().flatten();
            let mut all = places.filter_map(|at| Some((at, self.messages.get(at)?)));
            let is_held = all.any(|((queue, _), message)| {
                let held = message.held.as_ref().filter(|(by, _)| *by == life);
                held.is_some_and(|(_, receipt)| holds(*queue, receipt))
            });
            if !is_held {
                let (worker, id) = (life.0, &key.id);
                self.fail("lease", format!("worker {worker} commits {id}, whose lease it lost"));
            }
        }
    }

    /// What must hold once everything is done.
    pub(super) fn finish(&mut self, store: &MemoryStore) {
        let checked = store.inspect(|tables| tables::check(tables, &self.model));
        self.check(checked);
        let left: Vec<String> = self
            .messages
            .iter()
            .filter(|(_, message)| !message.is_deleted && !message.is_redriven)
            .map(|((queue, sequence), _)| format!("c{queue}.{sequence}"))
            .collect();
        if !left.is_empty() {
            self.fail("lost", format!("never deleted, and in no queue: {left:?}"));
        }
        self.check_published();
        self.check_order();
    }

    /// Every outcome is published wherever its command was sent.
    fn check_published(&mut self) {
        let unpublished = self.messages.values().find(|message| {
            let Some(command) = &message.command else { return false };
            let known = self.model.ledger.get(&LedgerKey::Command(command.key.clone()));
            // Of one that was dropped, another delivery has the outcome published.
            let is_told = || {
                let all = self.messages.values().filter(|other| other.key == message.key);
                message.is_dropped && all.into_iter().any(|other| other.published.is_some())
            };
            known.is_some() && message.published.is_none() && !message.is_dead && !is_told()
        });
        if let Some(message) = unpublished {
            let detail = format!("no result of {:?} in group {}", message.key, message.group);
            self.fail("published", detail);
        }
        let intent = self.model.ledger.iter().find_map(|(key, record)| {
            let is_intent = matches!(record, LedgerRecord::Intent { .. });
            (is_intent && !self.is_with_a_person(key)).then(|| format!("{key:?}"))
        });
        if let Some(intent) = intent {
            self.fail("published", format!("{intent} was begun and never ended"));
        }
    }

    /// Whether the queue took the command away before its end.
    /// Whether the queue moved its message to the dead letters, or was about to.
    fn is_with_a_person(&self, key: &LedgerKey) -> bool {
        let (LedgerKey::Command(key) | LedgerKey::Chunk(key, _)) = key;
        let places = self.by_key.get(key).into_iter().flatten();
        let mut messages = places.filter_map(|at| self.messages.get(at));
        messages.any(|message| message.is_redriven || message.is_handed_over)
    }

    /// Whether the expiry of a hold was dropped: the next is posted when the hold is twice as old.
    pub(super) fn was_dropped(&self, hold: ReservationId) -> bool {
        self.messages.values().any(|message| {
            let action = message.command.as_ref().map(|command| &command.action);
            message.is_dropped
                && matches!(action, Some(Action::Expire(expire)) if expire.reservation_id == hold)
        })
    }

    /// Results of a group's commands first came out in the order the commands were sent, and took
    /// effect in that order.
    fn check_order(&mut self) {
        let mut last: BTreeMap<(usize, &GroupId), (u64, usize)> = BTreeMap::new();
        let mut last_effect: BTreeMap<(usize, &GroupId), (u64, u64)> = BTreeMap::new();
        let mut copies: BTreeMap<&CommandKey, usize> = BTreeMap::new();
        for key in self.messages.values().filter_map(|message| message.key.as_ref()) {
            *copies.entry(key).or_default() += 1;
        }
        let mut wrong = None;
        for ((queue, sequence), message) in &self.messages {
            let group = (*queue, &message.group);
            // Of one that is with a person, a publish that was given up may take effect later.
            let is_excused = message.is_excused || message.is_redriven || message.is_handed_over;
            if let Some(place) = message.published.filter(|_| !is_excused) {
                if let Some((before, _)) = last.get(&group).filter(|(_, other)| *other > place) {
                    wrong.get_or_insert(format!(
                        "results of {}: that of {sequence} came before that of {before}",
                        message.group
                    ));
                }
                last.insert(group, (*sequence, place));
            }
            // An expire that came too early has no effect, and may have one when it comes again.
            let is_expire = (message.command.as_ref())
                .is_some_and(|command| matches!(command.action, Action::Expire(_)));
            let effect = message
                .key
                .as_ref()
                .filter(|key| !is_expire && copies.get(key).is_some_and(|count| *count == 1))
                .and_then(|key| self.model.decided.get(key));
            if let Some(place) = effect {
                if let Some((before, _)) = last_effect.get(&group).filter(|(_, p)| p > place) {
                    wrong.get_or_insert(format!(
                        "effects of {}: that of {sequence} came before that of {before}",
                        message.group
                    ));
                }
                last_effect.insert(group, (*sequence, *place));
            }
        }
        if let Some(detail) = wrong {
            self.fail("order", detail);
        }
    }
}

/// The result that a command must have by now; `None` where it may say what it says.
fn expected(
    model: &Model,
    command: &Command,
    publication: &Publication,
    sequence: &str,
    code: Option<RejectionCode>,
    time: Timestamp,
) -> Result<Option<Publication>, Violation> {
    let record = model.ledger.get(&LedgerKey::Command(command.key.clone()));
    let of = |outcome: &Outcome, decided_at: Timestamp| {
        message::encode_result(&ResultMessage {
            key: &command.key,
            command_type: command.action.command_type().as_str(),
            sequence: Some(sequence),
            group: &publication.group,
            pool: Some(&command.pool),
            outcome,
            decided_at,
            message_digest: command.digest,
            traceparent: None,
        })
    };
    match (record, code) {
        (Some(record), _) if record.digest() != command.digest => match code {
            Some(RejectionCode::CommandIdReused) => Ok(None),
            // Such an answer takes no entry: the id was free for another command after it.
            Some(RejectionCode::NotYetExpired) => {
                oracle::not_yet_expired(model, command, time).map(|()| None)
            }
            _ => Err(Violation::new("result", "the outcome of another command".to_owned())),
        },
        (Some(LedgerRecord::Outcome { outcome, decided_at, .. }), _) => {
            // An expiry that came too early may be answered late, after one that came in time.
            if code == Some(RejectionCode::NotYetExpired) {
                return oracle::not_yet_expired(model, command, time).map(|()| None);
            }
            Ok(Some(of(outcome, *decided_at)))
        }
        (_, Some(RejectionCode::NotYetExpired)) => {
            oracle::not_yet_expired(model, command, time).map(|()| None)
        }
        _ => Err(Violation::new("durable", "published before it was durable".to_owned())),
    }
}

/// What a result says, apart from the message's own place and, for what is an answer to a message
/// alone, from the time.
fn said(body: &str, code: Option<RejectionCode>) -> String {
    let mut said = body.to_owned();
    let mut cut = |field: &str| {
        if let Some(from) = said.find(field) {
            let rest = said.get(from + field.len()..).unwrap_or_default();
            let length = rest.find('"').unwrap_or(0);
            let end = from + field.len() + length;
            said.replace_range(from..end, "");
        }
    };
    cut("\"sequence\":\"");
    if code.is_some_and(RejectionCode::is_unrecorded) {
        cut("\"time\":\"");
    }
    said
}
