//! What must hold at the end of a history.

use std::collections::BTreeMap;

use super::{History, commits::names};
use crate::checks::tables;
use inventory_worker::{
    adapters::memory::MemoryStore,
    domain::{Action, CommandKey, GroupId, ReservationId},
    ports::{LedgerKey, LedgerRecord},
};

impl History {
    /// Checks what must hold once all work is done.
    pub(crate) fn finish(&mut self, store: &MemoryStore) {
        let checked = store.inspect(|tables| {
            tables::check(tables, &self.model)?;
            self.view.check(tables, &self.model)
        });
        self.check(checked);
        let left: Vec<String> = self
            .messages
            .iter()
            .filter(|(_, message)| !message.is_deleted && !message.is_redriven)
            .map(|((queue, sequence, place), _)| format!("c{queue}.{sequence}/{place}"))
            .collect();
        if !left.is_empty() {
            self.fail("lost", format!("never deleted, and in no queue: {left:?}"));
        }
        self.check_published();
        self.check_order();
    }

    /// Every outcome is published in every place its command was sent to.
    fn check_published(&mut self) {
        let unpublished = self.messages.values().find(|message| {
            let Some(command) = &message.command else { return false };
            let known = self.model.ledger.get(&LedgerKey::Command(command.key.clone()));
            // If a message was dropped, another delivery publishes the outcome.
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
            (is_intent && !self.is_dead_lettered(key)).then(|| format!("{key:?}"))
        });
        if let Some(intent) = intent {
            self.fail("published", format!("{intent} was begun and never ended"));
        }
    }

    /// Whether the queue moved its message to the dead-letter queue, or was about to.
    fn is_dead_lettered(&self, key: &LedgerKey) -> bool {
        let (LedgerKey::Command(key) | LedgerKey::Chunk(key, _)) = key;
        let places = self.by_key.get(key).into_iter().flatten();
        let mut messages = places.filter_map(|at| self.messages.get(at));
        messages.any(|message| message.is_redriven || message.is_handed_over)
    }

    /// Whether the expiry of a hold was dropped: the next is posted at twice the hold's age.
    pub(crate) fn was_dropped(&self, hold: ReservationId) -> bool {
        self.messages.values().any(|message| {
            let action = message.command.as_ref().map(|command| &command.action);
            message.is_dropped
                && matches!(action, Some(Action::Expire(expire)) if expire.reservation_id == hold)
        })
    }

    /// Results of a group's commands were first published in the order the commands were sent, and
    /// took effect in that order.
    fn check_order(&mut self) {
        let mut last: BTreeMap<(usize, &GroupId), (u64, usize)> = BTreeMap::new();
        let mut last_effect: BTreeMap<(usize, &GroupId, Option<String>), (u64, u64)> =
            BTreeMap::new();
        let mut copies: BTreeMap<&CommandKey, usize> = BTreeMap::new();
        for key in self.messages.values().filter_map(|message| message.key.as_ref()) {
            *copies.entry(key).or_default() += 1;
        }
        let mut wrong = None;
        for ((queue, sequence, _), message) in &self.messages {
            let group = (*queue, &message.group);
            // A timed-out publish of a dead-lettered message may take effect later.
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
            // An early expire has no effect, and may have one when it is received again.
            let is_expire = (message.command.as_ref())
                .is_some_and(|command| matches!(command.action, Action::Expire(_)));
            let effect = message
                .key
                .as_ref()
                .filter(|key| !is_expire && copies.get(key).is_some_and(|count| *count == 1))
                .and_then(|key| self.model.decided.get(key));
            let Some((place, command)) = effect.zip(message.command.as_deref()) else { continue };
            let shared: Vec<Option<String>> = match self.is_parallel {
                true => names(command).into_iter().map(Some).collect(),
                false => vec![None],
            };
            for item in shared {
                let of = (*queue, &message.group, item);
                if let Some((before, _)) = last_effect.get(&of).filter(|(_, p)| p > place) {
                    wrong.get_or_insert(format!(
                        "effects of {}: that of {sequence} came before that of {before}",
                        message.group
                    ));
                }
                last_effect.insert(of, (*sequence, *place));
            }
        }
        if let Some(detail) = wrong {
            self.fail("order", detail);
        }
    }
}
