//! Results: their content, and which message each belongs to.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{History, Spot, all_of, message::TrackedMessage};
use crate::{
    checks::{
        Violation, ensure,
        listed::{self, Listed},
        model::Model,
        oracle,
    },
    topology::QUEUES,
};
use inventory_worker::{
    domain::{Changes, Command, Outcome, RejectionCode, ReservationId, Timestamp},
    message::{self, ResultMessage},
    ports::{LedgerKey, LedgerRecord, Publication},
};

/// The fields of a result that the checks read. The simulation decodes results itself instead of
/// with [`inventory_worker::message::decode_result`], so that an error in the shared decoder cannot
/// hide itself.
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
    #[serde(default)]
    reservation: Option<ReservationRef>,
    #[serde(default)]
    changes: Vec<Listed>,
    #[serde(default)]
    changes_omitted: bool,
}

#[derive(Deserialize)]
struct ReservationRef {
    reservation_id: ReservationId,
    source: String,
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

/// A publication, and the fields that the checks read.
struct Answer<'a> {
    publication: &'a Publication,
    data: &'a ResultData<'a>,
    /// The code of a rejection.
    code: Option<RejectionCode>,
    time: Timestamp,
}

impl Answer<'_> {
    /// Whether it answers a message rather than being the command's outcome.
    fn is_unrecorded(&self) -> bool {
        self.code.is_some_and(RejectionCode::is_unrecorded)
    }
}

impl History {
    /// Records an entry that the topic accepted. Returns whether its content is new.
    pub(crate) fn published(&mut self, publication: &Publication, is_excused: bool) -> bool {
        if !publication.is_batch {
            return self.published_one(publication, is_excused);
        }
        match singles(publication) {
            Ok(results) => {
                let new = results.iter().map(|result| self.published_one(result, is_excused));
                new.fold(false, |is_any, is_new| is_any | is_new)
            }
            Err(detail) => {
                self.fail("result", format!("{detail}: {}", publication.body));
                true
            }
        }
    }

    fn published_one(&mut self, publication: &Publication, is_excused: bool) -> bool {
        if !self.seen_bodies.insert(format!("{} {}", publication.group, publication.body)) {
            self.published_again(publication);
            return false;
        }
        if let Err(Violation { check, detail }) = self.judge_result(publication, is_excused) {
            self.fail(check, format!("{detail}: {}", publication.body));
        }
        true
    }

    /// The same result again: that of a message that was sent later, if one has the identity, the
    /// group and the sequence number of the message before.
    fn published_again(&mut self, publication: &Publication) {
        let Ok(body) = serde_json::from_str::<ResultBody<'_>>(&publication.body) else { return };
        let code = body.data.rejection.as_ref().map(|rejection| rejection.code);
        let answer = Answer { publication, data: &body.data, code, time: body.time };
        // It was judged when it was published first.
        let answered = self.messages_of(&answer).unwrap_or_default();
        for at in answered {
            let Some(message) = self.messages.get_mut(&at) else { continue };
            if message.published.is_none() {
                message.published = Some(self.publications);
                message.is_excused = true;
            }
        }
    }

    fn judge_result(
        &mut self,
        publication: &Publication,
        is_excused: bool,
    ) -> Result<(), Violation> {
        let wrong = |detail: &str| Violation::new("result", detail.to_owned());
        let body: ResultBody<'_> = serde_json::from_str(&publication.body)
            .map_err(|error| wrong(&format!("not readable ({error})")))?;
        let code = body.data.rejection.as_ref().map(|rejection| rejection.code);
        let answer = Answer { publication, data: &body.data, code, time: body.time };
        let answered = self.messages_of(&answer)?;
        for at in &answered {
            let Some(message) = self.messages.get_mut(at) else { continue };
            if message.published.is_none() {
                message.published = Some(self.publications);
                message.is_excused = is_excused || answered.len() > 1;
            }
            if let Some(unaffected) = &mut self.unaffected {
                unaffected.done(*at);
            }
        }
        self.publications += 1;
        let command = answered.first().and_then(|at| self.messages.get(at)?.command.clone());
        if let Some(command) = command.filter(|_| !answer.is_unrecorded()) {
            self.view.add(&command.key, &command.pool, &body.data.changes)?;
        }
        let says = said(&publication.body, code);
        let first = self.results.entry(publication.id).or_insert_with(|| says.clone());
        if *first != says {
            return Err(wrong("the same id said something else before"));
        }
        Ok(())
    }

    /// The messages that may have this result. Messages of one identity and group may have the same
    /// sequence number in both queues: if both could have it, they are indistinguishable.
    fn messages_of(&self, answer: &Answer<'_>) -> Result<Vec<Spot>, Violation> {
        let wrong = |detail: &str| Violation::new("result", detail.to_owned());
        let CommandRef { source, id, sequence } = &answer.data.command;
        let number = sequence.parse::<u64>().map_err(|_| wrong("no sequence"))?;
        let is_its = |message: &TrackedMessage| {
            let key = message.key.as_ref();
            message.group == answer.publication.group
                && key.is_some_and(|key| key.source.as_str() == *source && key.id.as_str() == *id)
        };
        let mut answered = Vec::new();
        let mut fault = wrong("of no message that was sent");
        for queue in 0..QUEUES.len() {
            for (at, message) in self.messages.range(all_of(queue, number)) {
                if !is_its(message) {
                    continue;
                }
                match self.judge_answer(message, answer) {
                    Ok(()) => answered.push(*at),
                    Err(violation) => fault = violation,
                }
            }
        }
        if answered.is_empty() { Err(fault) } else { Ok(answered) }
    }

    /// A result about a reservation says which source made it, and no other does.
    fn judge_source(&self, answer: &Answer<'_>) -> Result<(), Violation> {
        let made_by = answer.data.reservation.as_ref().map(|shown| {
            let maker = self.model.makers.get(&shown.reservation_id);
            (maker.map(|source| source.as_str()), shown.source.as_str())
        });
        let attributes = &answer.publication.attributes;
        let attribute = attributes.get("reservation_source").map(String::as_str);
        let holds = match made_by {
            // A reservation that nobody made is no durable outcome either.
            Some((maker, shown)) => {
                maker.is_none_or(|maker| maker == shown) && attribute == Some(shown)
            }
            None => attribute.is_none(),
        };
        ensure(holds, "source", || {
            format!("made by and shown as {made_by:?}, with the attribute {attribute:?}")
        })
    }

    /// A result lists exactly what its command changed, however often it is published.
    fn judge_changes(&self, command: &Command, answer: &Answer<'_>) -> Result<(), Violation> {
        let (listed, is_omitted) = (&answer.data.changes, answer.data.changes_omitted);
        let nothing = Some(Vec::new());
        let changed = match answer.is_unrecorded() {
            true => Some(&nothing),
            false => self.model.changes.get(&command.key),
        };
        let holds = changed.is_none_or(|changed| match changed {
            Some(changed) => !is_omitted && listed::is_same(listed, changed),
            None => is_omitted && listed.is_empty(),
        });
        ensure(holds, "changes", || format!("changed {changed:?}, and its result lists {listed:?}"))
    }

    /// Checks whether this may be the result of that message.
    fn judge_answer(&self, message: &TrackedMessage, answer: &Answer<'_>) -> Result<(), Violation> {
        let Some(command) = &message.command else {
            let is_answer = matches!(
                answer.code,
                Some(RejectionCode::InvalidMessage | RejectionCode::UnsupportedType)
            );
            return ensure(is_answer, "result", || "an outcome of what is no command".to_owned());
        };
        self.judge_source(answer)?;
        self.judge_changes(command, answer)?;
        match expected(&self.model, command, answer)? {
            Some(expected) if expected != *answer.publication => {
                let detail = format!("not what the ledger says, which is {}", expected.body);
                Err(Violation::new("result", detail))
            }
            _ => Ok(()),
        }
    }
}

/// The result that the command must have by now; `None` if any result is allowed.
fn expected(
    model: &Model,
    command: &Command,
    answer: &Answer<'_>,
) -> Result<Option<Publication>, Violation> {
    let Answer { publication, data, code, time } = *answer;
    let record = model.ledger.get(&LedgerKey::Command(command.key.clone()));
    let of = |outcome: &Outcome, changes: &Changes, decided_at: Timestamp| {
        message::encode_result(&ResultMessage {
            key: &command.key,
            command_type: command.action.command_type().as_str(),
            sequence: Some(data.command.sequence),
            group: &publication.group,
            pool: Some(&command.pool),
            outcome,
            changes,
            decided_at,
            message_digest: command.digest,
            traceparent: None,
        })
    };
    match (record, code) {
        (Some(record), _) if record.digest() != command.digest => match code {
            Some(RejectionCode::CommandIdReused) => Ok(None),
            // Such an answer has no ledger entry: the id was free for another command after it.
            Some(RejectionCode::NotYetExpired) => {
                oracle::not_yet_expired(model, command, time).map(|()| None)
            }
            _ => Err(Violation::new("result", "the outcome of another command".to_owned())),
        },
        (Some(LedgerRecord::Outcome { outcome, changes, decided_at, .. }), _) => {
            // The answer to an early expiry may be published after that of a later, timely one.
            if code == Some(RejectionCode::NotYetExpired) {
                return oracle::not_yet_expired(model, command, time).map(|()| None);
            }
            Ok(Some(of(outcome, changes, *decided_at)))
        }
        (_, Some(RejectionCode::NotYetExpired)) => {
            oracle::not_yet_expired(model, command, time).map(|()| None)
        }
        _ => Err(Violation::new("durable", "published before it was durable".to_owned())),
    }
}

/// The content of a result without the message's own place and, if it answers this message alone,
/// without the time.
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

/// The results of an array, each as it would have been published alone. They are of one message, and
/// the array's attributes are those of its results.
fn singles(batch: &Publication) -> Result<Vec<Publication>, String> {
    let values: Vec<serde_json::Value> =
        serde_json::from_str(&batch.body).map_err(|error| format!("not an array ({error})"))?;
    let texts = message::split_batch(&batch.body).map_err(|wrong| wrong.to_string())?;
    let mut listed: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
    let mut sequences = BTreeSet::new();
    let mut singles = Vec::with_capacity(values.len());
    for (value, body) in values.iter().zip(texts) {
        let text = |pointer: &str| match value.pointer(pointer)? {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let attributes: BTreeMap<&'static str, String> = [
            ("type", "/type"),
            ("command_source", "/data/command/source"),
            ("event_id", "/data/event_id"),
            ("store_id", "/data/store_id"),
            ("reservation_source", "/data/reservation/source"),
        ]
        .into_iter()
        .filter_map(|(name, pointer)| Some((name, text(pointer)?)))
        .collect();
        for (name, value) in &attributes {
            listed.entry(name).or_default().insert(value.clone());
        }
        sequences.insert(text("/data/command/sequence"));
        let id = text("/id").and_then(|id| id.parse().ok()).ok_or("a result without id")?;
        let (group, body) = (batch.group.clone(), body.to_owned());
        singles.push(Publication { id, group, body, attributes, is_batch: false });
    }
    if sequences.len() != 1 {
        return Err("the results of several messages in one array".to_owned());
    }
    let mut expected: BTreeMap<&'static str, String> = listed
        .into_iter()
        .map(|(name, values)| (name, serde_json::to_string(&values).unwrap_or_default()))
        .collect();
    expected.insert("batch", "true".to_owned());
    match expected == batch.attributes {
        true => Ok(singles),
        false => Err(format!("attributes {:?} of an array, not {expected:?}", batch.attributes)),
    }
}
