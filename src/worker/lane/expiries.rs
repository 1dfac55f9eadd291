//! Expiries that cannot be handled. The sweeper posts each again by its own schedule for as long as
//! its hold is there, and reports the hold as stuck: so its messages need not be kept.

use tracing::info;

use super::{
    super::{QueueKind, events::Event, failure::Failure, outbox::Coming, reading::Read},
    Held, Lanes,
};
use crate::{domain::Action, message, ports::Delivery};

/// Why an expiry was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deferral {
    /// It can never be applied as things stand.
    Poison,
    /// It rests on an item that cannot be read.
    Unreadable,
    /// It was handled alone as often as is allowed and never came to an outcome.
    Isolated,
}

impl Deferral {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::Poison, Self::Unreadable, Self::Isolated];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Poison => "poison",
            Self::Unreadable => "unreadable",
            Self::Isolated => "isolated",
        }
    }

    /// Failures after which such a message need not come again. Conflicts, outages and lost leases
    /// are treated as of any other.
    pub(super) fn of(failure: &Failure) -> Option<Self> {
        match failure {
            Failure::Poison(_) => Some(Self::Poison),
            Failure::Unreadable(_) => Some(Self::Unreadable),
            _ => None,
        }
    }
}

impl Lanes {
    /// Whether the message may be dropped without an outcome and without a copy: an expiry that the
    /// sweeper posted, on the queue that takes its source from nobody else.
    pub(super) fn may_be_dropped(&self, delivery: &Delivery) -> bool {
        self.source.kind == QueueKind::Expiries
            && match Read::of(delivery, self.source.kind) {
                Read::Command(decoded) => {
                    message::is_reserved(&decoded.command.key.source)
                        && matches!(decoded.command.action, Action::Expire(_))
                }
                Read::Unreadable(_) => false,
            }
    }

    /// Drops such a message. Gives whether it could be deleted; otherwise it comes again.
    pub(super) async fn defer_expiry(
        &self,
        held: &Held,
        reason: Deferral,
        why: &str,
        coming: &mut Coming,
    ) -> bool {
        let read = Read::of(&held.delivery, self.source.kind);
        let reason = reason.as_str();
        info!(
            reason,
            why,
            command = read.key().map(tracing::field::display),
            pool = read.pool().map(tracing::field::display),
            "an expiry could not be handled: dropped, the sweeper posts it again"
        );
        self.tools.observer.observe(&Event::ExpiryDeferred { reason });
        self.delete(std::slice::from_ref(held), coming).await
    }
}
