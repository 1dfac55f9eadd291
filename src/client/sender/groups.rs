//! What waits to be sent, by group, and what of it the next call takes.

use std::collections::{BTreeMap, VecDeque};

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{PostError, Posted};
use crate::{
    client::joined,
    domain::GroupId,
    ports::{
        OutgoingMessage,
        queue::{BATCH_ENTRIES_MAX, MESSAGE_BYTES_MAX},
    },
};

/// The most commands that wait in one group: what two calls may take.
const GROUP_WAITING_MAX: usize = 2_000;

/// A command that waits to be sent, as a message of its own.
pub(super) struct Outgoing {
    pub(super) message: OutgoingMessage,
    pub(super) answer: oneshot::Sender<Result<Posted, PostError>>,
    pub(super) unanswered: TaskTrackerToken,
    pub(super) room: OwnedSemaphorePermit,
    /// Whether it is sent in a message of its own, because the queue refused one of several.
    pub(super) is_alone: bool,
}

/// The commands of one message, at least one.
pub(super) struct Joined(pub(super) Vec<Outgoing>);

/// What waits to be sent, by group.
pub(super) struct Groups {
    by_id: BTreeMap<GroupId, Group>,
    /// The groups with commands that no call under way keeps back, first come, first served.
    ready: VecDeque<GroupId>,
    commands_per_message: usize,
}

/// A group with commands that wait, or are under way.
#[derive(Default)]
struct Group {
    waiting: VecDeque<Outgoing>,
    is_under_way: bool,
}

impl Groups {
    pub(super) fn new(commands_per_message: usize) -> Self {
        let (by_id, ready) = (BTreeMap::new(), VecDeque::new());
        Self { by_id, ready, commands_per_message }
    }

    /// Whether as many commands of the group wait as may.
    pub(super) fn is_full(&self, group: &GroupId) -> bool {
        self.by_id.get(group).is_some_and(|group| group.waiting.len() >= GROUP_WAITING_MAX)
    }

    /// Whether a call could send something.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Adds a command behind those of its group.
    pub(super) fn push(&mut self, outgoing: Outgoing) {
        let id = &outgoing.message.group;
        if !self.by_id.contains_key(id) {
            self.by_id.insert(id.clone(), Group::default());
        }
        let Some(group) = self.by_id.get_mut(id) else { return };
        if group.waiting.is_empty() && !group.is_under_way {
            self.ready.push_back(id.clone());
        }
        group.waiting.push_back(outgoing);
    }

    /// Puts the commands of a message that was refused before all others of their group, each to be
    /// sent by itself.
    pub(super) fn put_back_apart(&mut self, refused: Joined) {
        for outgoing in refused.0.into_iter().rev() {
            if let Some(group) = self.by_id.get_mut(&outgoing.message.group) {
                group.waiting.push_front(Outgoing { is_alone: true, ..outgoing });
            }
        }
    }

    /// The messages of the next call; their groups are under way until [`Self::finish`].
    pub(super) fn next_call(&mut self) -> Vec<Joined> {
        let (mut call, mut bytes) = (Vec::new(), 0);
        while call.len() < BATCH_ENTRIES_MAX
            && let Some(id) = self.ready.pop_front()
        {
            let Some(group) = self.by_id.get_mut(&id) else { continue };
            group.is_under_way = group.take_into(&mut call, &mut bytes, self.commands_per_message);
            if !group.is_under_way {
                // Its first message does not fit: it is the first of the next call.
                self.ready.push_front(id);
                break;
            }
        }
        call
    }

    /// A call is over that had messages of these groups.
    pub(super) fn finish(&mut self, groups: &[GroupId]) {
        for id in groups {
            let Some(group) = self.by_id.get_mut(id).filter(|group| group.is_under_way) else {
                continue;
            };
            group.is_under_way = false;
            match group.waiting.is_empty() {
                true => drop(self.by_id.remove(id)),
                false => self.ready.push_back(id.clone()),
            }
        }
    }
}

impl Group {
    /// Adds messages to a call while they fit, up to the first of several commands: behind one that
    /// the queue may refuse there is none. Returns whether there was one that fits.
    fn take_into(&mut self, call: &mut Vec<Joined>, bytes: &mut usize, commands: usize) -> bool {
        let before = call.len();
        while call.len() < BATCH_ENTRIES_MAX
            && let Some(joined) = self.take_message(commands)
        {
            let sum = bytes.saturating_add(joined.bytes());
            if sum > MESSAGE_BYTES_MAX && !call.is_empty() {
                joined.0.into_iter().rev().for_each(|one| self.waiting.push_front(one));
                break;
            }
            *bytes = sum;
            let is_several = joined.0.len() > 1;
            call.push(joined);
            if is_several {
                break;
            }
        }
        call.len() > before
    }

    /// The first command that waits, and those behind it that go into the same message.
    fn take_message(&mut self, commands: usize) -> Option<Joined> {
        let joinable = self.waiting.iter().take_while(|outgoing| !outgoing.is_alone);
        let joinable = joined::joinable(joinable.map(|outgoing| &outgoing.message), commands);
        let taken = joinable.max(1).min(self.waiting.len());
        let taken: Vec<_> = self.waiting.drain(..taken).collect();
        (!taken.is_empty()).then_some(Joined(taken))
    }
}

impl Joined {
    /// The message for the queue.
    pub(super) fn message(&self) -> Option<OutgoingMessage> {
        joined::join_messages(&self.messages())
    }

    fn bytes(&self) -> usize {
        joined::joined_bytes(&self.messages())
    }

    fn messages(&self) -> Vec<&OutgoingMessage> {
        self.0.iter().map(|outgoing| &outgoing.message).collect()
    }
}
