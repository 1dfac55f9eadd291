//! What a lane handles, one after the other: messages, and the commands of those that hold several.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
};

use tokio::time::Instant;

use crate::{
    message,
    ports::{Delivery, ReceiptHandle},
    worker::{QueueKind, lease::Lease, parsing::ParsedMessage, permits},
};

/// A leased message. Its body is in its entries if it is a batch.
struct LeasedMessage {
    delivery: Delivery,
    kind: QueueKind,
    lease: Lease,
    received: Instant,
    kibibytes: usize,
}

/// A leased message, or one command of a message that holds several. Decoded at most once.
///
/// The commands of a batch share its lease: the message is deleted after the last of them, and
/// released with those that are left.
pub(in crate::worker) struct LeasedEntry {
    message: Arc<LeasedMessage>,
    part: Option<Part>,
    parsed: OnceLock<ParsedMessage>,
}

/// One command of a batch.
struct Part {
    /// The message's id and the command's place in it, from 0: `<id>/<place>`.
    id: String,
    body: Box<str>,
    is_last: bool,
}

impl LeasedEntry {
    /// Adds the entries of a message, in order: at least one. Only producers send batches.
    pub(super) fn add(
        entries: &mut VecDeque<Self>,
        mut delivery: Delivery,
        kind: QueueKind,
        lease: Lease,
        received: Instant,
    ) {
        let kibibytes = permits::kibibytes_of(&delivery.body);
        let (mut split, mut unreadable) = (Vec::new(), None);
        if kind == QueueKind::Commands && message::is_batch(&delivery.body) {
            match message::split_batch(&delivery.body) {
                Ok(commands) => split = parts(&delivery.message_id, &commands),
                Err(undecodable) => unreadable = Some(undecodable),
            }
        }
        if !split.is_empty() {
            delivery.body = String::new();
        }
        let message = Arc::new(LeasedMessage { delivery, kind, lease, received, kibibytes });
        let entry = |part| Self { message: Arc::clone(&message), part, parsed: OnceLock::new() };
        if !split.is_empty() {
            return entries.extend(split.into_iter().map(|part| entry(Some(part))));
        }
        let parsed = unreadable.map_or_else(OnceLock::new, |undecodable| {
            let attributes = &message.delivery.attributes;
            OnceLock::from(ParsedMessage::unreadable(undecodable, attributes))
        });
        entries.push_back(Self { parsed, ..entry(None) });
    }

    pub(super) fn parsed(&self) -> &ParsedMessage {
        self.parsed.get_or_init(|| {
            ParsedMessage::of(self.body(), &self.message.delivery.attributes, self.message.kind)
        })
    }

    /// The message as it was received, without its body if it is a batch.
    pub(super) fn delivery(&self) -> &Delivery {
        &self.message.delivery
    }

    /// The entry as a message of its own.
    pub(super) fn as_delivery(&self) -> Delivery {
        Delivery {
            message_id: self.id().to_owned(),
            body: self.body().to_owned(),
            ..self.message.delivery.clone()
        }
    }

    /// The message's id; for a command of a batch, `<id>/<place>`.
    pub(super) fn id(&self) -> &str {
        let part = self.part.as_ref().filter(|_| !injected_bug!(AttemptsByMessage));
        part.map_or(&self.message.delivery.message_id, |part| &part.id)
    }

    /// Its text: the message's, or that of the one command.
    pub(super) fn body(&self) -> &str {
        self.part.as_ref().map_or(&self.message.delivery.body, |part| &part.body)
    }

    pub(super) fn lease(&self) -> &Lease {
        &self.message.lease
    }

    pub(super) fn received(&self) -> Instant {
        self.message.received
    }

    /// Whether it is a command of a batch.
    pub(super) fn is_part(&self) -> bool {
        self.part.is_some()
    }

    /// Whether its message is finished with it, if those before it are.
    pub(super) fn ends_message(&self) -> bool {
        self.part.as_ref().is_none_or(|part| part.is_last) || injected_bug!(DeleteBatchEarly)
    }

    /// Whether it is of the same message as the other.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.message, &other.message)
    }
}

fn parts(message_id: &str, commands: &[&str]) -> Vec<Part> {
    let last = commands.len().saturating_sub(1);
    let part = |(place, command): (usize, &&str)| Part {
        id: format!("{message_id}/{place}"),
        body: Box::from(*command),
        is_last: place == last,
    };
    let mut parts: Vec<Part> = commands.iter().enumerate().map(part).collect();
    if injected_bug!(ReverseBatch) {
        parts.reverse();
    }
    parts
}

/// How many entries at the head are of one message.
pub(super) fn of_head(entries: &VecDeque<LeasedEntry>) -> usize {
    let Some(head) = entries.front() else { return 0 };
    entries.iter().take_while(|entry| entry.is_beside(head)).count()
}

/// The first entry of each message among them.
pub(super) fn messages<'a>(
    entries: impl IntoIterator<Item = &'a LeasedEntry>,
) -> impl Iterator<Item = &'a LeasedEntry> {
    let mut last: Option<&LeasedEntry> = None;
    entries.into_iter().filter(move |entry| {
        let is_first = last.is_none_or(|last| !last.is_beside(entry));
        last = Some(entry);
        is_first
    })
}

/// The number of messages that the entries are of, and the KiB that these take.
pub(super) fn room_of<'a>(entries: impl IntoIterator<Item = &'a LeasedEntry>) -> (usize, usize) {
    messages(entries).fold((0, 0), |(count, kibibytes), entry| {
        (count.saturating_add(1), kibibytes.saturating_add(entry.message.kibibytes))
    })
}

/// The receipts of the messages that are finished with these entries.
pub(super) fn finished<'a>(
    entries: impl IntoIterator<Item = &'a LeasedEntry>,
) -> Vec<ReceiptHandle> {
    let ended = entries.into_iter().filter(|entry| entry.ends_message());
    ended.map(|entry| entry.lease().receipt().clone()).collect()
}
