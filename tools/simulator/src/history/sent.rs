//! Messages that queues accept.

use std::sync::Arc;

use serde_json::Value;

use super::{History, Spot, message::TrackedMessage};
use crate::{checks::oracle::Sent, topology::Place};
use inventory_worker::{
    domain::{CommandKey, Timestamp},
    message,
    ports::OutgoingMessage,
    sweeper,
};

/// A message that a queue accepted.
pub(crate) struct Sending<'a> {
    pub(crate) message: &'a OutgoingMessage,
    /// The id and the sequence number from the queue.
    pub(crate) id: &'a str,
    pub(crate) sequence: u64,
    pub(crate) at: Timestamp,
}

/// The values of a batch of commands, read apart from the worker's decoder.
fn commands_of(body: &str) -> Option<Vec<Value>> {
    match serde_json::from_str(body) {
        Ok(Value::Array(commands)) if !commands.is_empty() => Some(commands),
        _ => None,
    }
}

/// The end of the hold that an expiry is of, to the second: its id says which.
fn end_of_hold(key: &CommandKey) -> Option<Timestamp> {
    let id = (key.source.as_str() == sweeper::SOURCE).then(|| key.id.as_str())?;
    Timestamp::from_second(id.rsplit_once(':')?.1.parse().ok()?).ok()
}

/// The `expirytime` of a message, read apart from the worker's decoder.
fn deadline(body: &str) -> Option<Timestamp> {
    let envelope: serde_json::Value = serde_json::from_str(body).ok()?;
    envelope.get("expirytime")?.as_str()?.parse().ok()
}

impl History {
    /// Records a message that a queue accepted. Returns whether it is new.
    pub(crate) fn sent(&mut self, place: Place, sending: &Sending<'_>) -> bool {
        match place {
            Place::Commands(queue) => self.sent_command(queue, sending),
            Place::DeadLetters(queue) => {
                let is_new = self.letters.insert((queue, sending.id.to_owned()));
                if is_new {
                    self.dead_lettered(sending.message, sending.at);
                }
                is_new
            }
        }
    }

    fn sent_command(&mut self, queue: usize, sending: &Sending<'_>) -> bool {
        let Sending { message, id, sequence, .. } = *sending;
        if self.messages.contains_key(&(queue, sequence, 0)) {
            return false;
        }
        self.by_message.insert(id.to_owned(), (queue, sequence));
        match commands_of(&message.body) {
            None => self.track((queue, sequence, 0), id.to_owned(), &message.body, sending),
            Some(commands) => {
                let split = message::split_batch(&message.body).unwrap_or_default();
                let is_same = |(text, value): (&&str, &Value)| {
                    serde_json::from_str::<Value>(text).is_ok_and(|one| one == *value)
                };
                if split.len() != commands.len() || !split.iter().zip(&commands).all(is_same) {
                    self.fail("batch", format!("not split as it is written: {}", message.body));
                }
                for (place, text) in split.into_iter().enumerate() {
                    let at = (queue, sequence, place);
                    self.track(at, format!("{id}/{place}"), text, sending);
                }
            }
        }
        true
    }

    /// Records a message, or a command of one that holds several.
    fn track(&mut self, at: Spot, id: String, body: &str, sending: &Sending<'_>) {
        let Sending { message, at: now, .. } = *sending;
        let (command, key) = match message::decode(body) {
            Ok(decoded) => {
                let command = Arc::new(decoded.command);
                let deadline = deadline(body);
                if deadline != command.deadline {
                    let decoded = command.deadline;
                    self.fail("deadline", format!("{deadline:?} was read as {decoded:?}"));
                }
                let all = self.sent.entry(command.key.clone()).or_default();
                let known = all.iter_mut().find(|sent| sent.command.digest == command.digest);
                match known {
                    Some(sent) => drop(sent.deadlines.insert(deadline)),
                    None => all.push(Sent {
                        command: Arc::clone(&command),
                        at: now,
                        deadlines: [deadline].into(),
                    }),
                }
                let key = command.key.clone();
                (Some(command), Some(key))
            }
            Err(undecodable) => (None, undecodable.key),
        };
        self.by_id.insert(id, at);
        if let Some(end) = key.as_ref().and_then(end_of_hold)
            && now + self.expiry_ahead_max < end
        {
            self.fail("early-expiry", format!("posted at {now}, of a hold that ends at {end}"));
        }
        if let Some(key) = &key {
            self.by_key.entry(key.clone()).or_default().push(at);
        }
        if let Some(unaffected) = &mut self.unaffected {
            unaffected.sent(at, &message.group, command.as_deref(), now);
        }
        let (group, body) = (message.group.clone(), body.to_owned());
        let attributes = message.attributes.clone();
        self.messages.insert(
            at,
            TrackedMessage {
                group,
                body,
                attributes,
                command,
                key,
                published: None,
                is_excused: false,
                is_dropped: false,
                is_dead: false,
                is_redriven: false,
                is_handed_over: false,
                copies: 0,
                is_abandoned: false,
                is_deleted: false,
                sent_at: now,
                receives: 0,
                held: None,
            },
        );
    }
}
