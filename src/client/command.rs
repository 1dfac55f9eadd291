//! A command in the form in which it is posted.

use crate::{
    domain::{Command, GroupId},
    message::{
        self, Decoded, OutgoingCommand, TRACEPARENT, TRACESTATE, TraceContext, Undecodable,
        default_group, encode_command,
    },
    ports::{Entropy, OutgoingMessage, queue::MessageAttributes},
};

/// A command ready to be posted, checked as the worker checks it.
#[derive(Clone, Debug)]
pub struct PreparedCommand {
    /// The command as the worker will read it.
    pub command: Command,
    /// Its message group.
    pub group: GroupId,
    /// The message body.
    pub body: String,
    /// `None` for the first post: the queue then uses the digest of the body.
    pub deduplication_id: Option<String>,
    /// The trace context, if the body has none.
    pub attributes: MessageAttributes,
    /// The trace context that the body carries.
    pub traceparent: Option<TraceContext>,
}

impl PreparedCommand {
    /// A command of this program, in its pool's group unless another is given.
    ///
    /// # Errors
    ///
    /// The worker would not accept it.
    pub fn encode(
        command: &OutgoingCommand,
        group: Option<GroupId>,
    ) -> Result<Self, Box<Undecodable>> {
        let prepared = Self::from_body(encode_command(command))?;
        Ok(match group {
            Some(group) => Self { group, ..prepared },
            None => prepared,
        })
    }

    /// A message that is posted unchanged, in its pool's group.
    ///
    /// # Errors
    ///
    /// The worker would not accept it.
    pub fn from_body(body: String) -> Result<Self, Box<Undecodable>> {
        let Decoded { command, traceparent } = message::decode_from_producer(&body)?;
        let group = default_group(&command.pool, &command.action);
        let (deduplication_id, attributes) = (None, MessageAttributes::new());
        Ok(Self { command, group, body, deduplication_id, attributes, traceparent })
    }

    /// With this trace context as message attributes, unless the body carries one.
    #[must_use]
    pub fn with_trace(self, context: Option<&TraceContext>) -> Self {
        let context = context.filter(|_| self.traceparent.is_none());
        let attributes = context.into_iter().flat_map(|context| {
            let state = context.tracestate().map(|state| (TRACESTATE.to_owned(), state.into()));
            [(TRACEPARENT.to_owned(), context.to_string().into())].into_iter().chain(state)
        });
        Self { attributes: attributes.collect(), ..self }
    }

    /// The same command under a new deduplication id, so that the queue does not drop it as a
    /// repetition. Identity and content stay, so that it takes effect once.
    #[must_use]
    pub fn retry(&self, entropy: &dyn Entropy) -> Self {
        Self { deduplication_id: Some(entropy.uuid().to_string()), ..self.clone() }
    }

    /// The message for a queue.
    #[must_use]
    pub fn message(&self) -> OutgoingMessage {
        OutgoingMessage {
            group: self.group.clone(),
            body: self.body.clone(),
            deduplication_id: self.deduplication_id.clone(),
            attributes: self.attributes.clone(),
        }
    }
}

/// A message's size as counted towards [`crate::ports::queue::MESSAGE_BYTES_MAX`]: the body, and
/// attributes with their names and types.
#[must_use]
pub fn message_bytes(message: &OutgoingMessage) -> usize {
    let attributes = message.attributes.iter().map(|(name, attribute)| attribute.bytes(name));
    message.body.len() + attributes.sum::<usize>()
}
