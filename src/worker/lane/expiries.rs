//! Expiries that cannot be handled. The sweeper posts each again on its own schedule while its hold
//! exists, and reports the hold as stuck: so the message need not be kept.

use tracing::info;

use super::{
    super::{
        QueueKind,
        chunks::{self, LedgerStatus},
        events::Event,
        failure::Failure,
        outbox::Announcement,
        parsing::ParsedMessage,
    },
    LaneContext, LeasedMessage,
};
use crate::{
    domain::{Action, Command},
    message::{self, Decoded},
};

/// Why an expiry was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deferral {
    /// It can never be applied in the current state.
    Poison,
    /// It depends on an item that cannot be read.
    Unreadable,
    /// It was isolated for the maximum number of attempts without an outcome.
    Isolated,
}

impl Deferral {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::Poison, Self::Unreadable, Self::Isolated];

    /// The reason's word, in events and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Poison => "poison",
            Self::Unreadable => "unreadable",
            Self::Isolated => "isolated",
        }
    }

    /// The reason for dropping after this failure, if any. Conflicts, outages and lost leases are
    /// treated as for any other message.
    pub(super) fn of(failure: &Failure) -> Option<Self> {
        match failure {
            Failure::Poison(_) => Some(Self::Poison),
            Failure::Unreadable(_) => Some(Self::Unreadable),
            _ => None,
        }
    }
}

impl LaneContext {
    /// The command of an expiry that the sweeper posted, on the only queue that accepts the
    /// sweeper's source.
    fn expiry<'m>(&self, held: &'m LeasedMessage) -> Option<&'m Command> {
        if self.queues.kind != QueueKind::Expiries {
            return None;
        }
        match held.parsed() {
            ParsedMessage::Command(Decoded { command, .. }) => {
                let is_expiry = matches!(command.action, Action::Expire(_));
                (is_expiry && message::is_reserved(&command.key.source)).then_some(command)
            }
            ParsedMessage::Unreadable(_) => None,
        }
    }

    /// Whether the message is an expiry, so that a dead-letter copy has no use.
    pub(super) fn is_expiry(&self, held: &LeasedMessage) -> bool {
        self.expiry(held).is_some()
    }

    /// Whether, and why, the message may be dropped after this failure, without an outcome or a
    /// copy.
    ///
    /// Only on its first receive: the outcome of an earlier attempt may be on its way to the
    /// ledger, and without the message it would never be published. For the same reason, not if the
    /// ledger has the command or its entry cannot be read.
    pub(super) async fn deferral(
        &self,
        failure: &Failure,
        held: &LeasedMessage,
    ) -> Option<Deferral> {
        let reason = Deferral::of(failure)?;
        let is_first = held.delivery.receive_count <= 1;
        let command = self.expiry(held).filter(|_| is_first)?;
        let status = chunks::ledger_status(&*self.context.store, command).await;
        matches!(status, Ok(LedgerStatus::Unknown)).then_some(reason)
    }

    /// Drops an expiry. Returns whether it was deleted; otherwise it is received again.
    pub(super) async fn defer_expiry(
        &self,
        held: &LeasedMessage,
        reason: Deferral,
        why: &str,
        announcement: &mut Announcement,
    ) -> bool {
        let parsed = held.parsed();
        let reason = reason.as_str();
        info!(
            reason,
            error = why,
            command = parsed.key().map(tracing::field::display),
            pool = parsed.pool().map(tracing::field::display),
            "an expiry could not be handled: dropped, the sweeper posts it again"
        );
        self.context.observer.observe(&Event::ExpiryDeferred { reason });
        self.delete(std::slice::from_ref(held), announcement).await
    }
}
