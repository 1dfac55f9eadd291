//! What gateways and their callers went through, counted.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

macro_rules! situations {
    ($($(#[$doc:meta])* $name:ident = $word:literal),* $(,)?) => {
        /// What gateways and their callers can go through.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Situation { $($(#[$doc])* $name),* }

        impl Situation {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name in reports.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),* }
            }
        }
    };
}

situations! {
    /// A call of a gateway failed, was slow or torn.
    CallFailed = "call-failed",
    /// A caller found no gateway, or its gateway crashed before the answer.
    NoGateway = "no-gateway",
    /// A command was answered with its outcome.
    Decided = "decided",
    /// A command was answered with the outcome of an earlier delivery, and not posted again.
    Recorded = "recorded",
    /// A command had no outcome when its caller's time was over.
    Pending = "pending",
    /// A key was used for other content.
    Reused = "reused",
    /// A command was refused as unreadable.
    Invalid = "invalid",
    /// A command was refused for its caller's rights.
    NoRight = "no-right",
    /// A reserve was refused while the queue was behind.
    Behind = "behind",
    /// A command was answered as pending at once, because as many awaited their outcomes as may.
    TooManyWaiting = "too-many-waiting",
    /// A command was not posted, as far as is known.
    NotPosted = "not-posted",
    /// Commands of several callers shared a message.
    Gathered = "gathered",
    /// The ledger could not be read.
    Unreadable = "unreadable",
    /// A point was read.
    Point = "point",
    /// There is no such seat, line, reservation or pool.
    NotFound = "not-found",
    /// The owner of a seat was shown to a caller who may see it.
    OwnerShown = "owner-shown",
    /// The tables could not be read for a query.
    QueryFailed = "query-failed",
    /// A projection answered that was older than it should be.
    Stale = "stale",
    /// A list came from the tables, because the pool is too large to keep.
    FromTables = "from-tables",
    /// Counts or a map were refused because the pool is too large to keep.
    TooLarge = "too-large",
    /// A list of several pages was read to its end.
    Walk = "walk",
    /// A seat or line changed while a list was read.
    ChangedInWalk = "changed-in-walk",
    /// A cursor was refused in another list.
    ForeignCursor = "foreign-cursor",
    /// A held seat was sellable because its hold had run out.
    HoldEnded = "hold-ended",
    /// A withheld seat was not sellable although its hold had run out.
    Withheld = "withheld",
    /// A hint replaced an entry.
    Hinted = "hinted",
    /// A hint came of an entry that was newer.
    OldHint = "old-hint",
    /// A hint was of something new, or said that there is more than hints.
    ReadAgain = "read-again",
    /// Numbers showed that a hint was missing.
    HintMissed = "hint-missed",
    /// A worker announced nothing any more.
    WorkerSilent = "worker-silent",
    /// A gateway lost its subscription.
    HintsLost = "hints-lost",
    /// What another gateway had read took the place of a read.
    Shared = "shared",
    /// A projection that hints kept current answered without a read.
    KeptCurrent = "kept-current",
    /// At rest, a gateway showed what the tables have.
    AtRest = "at-rest",
}

/// How often gateways and their callers went through each situation.
#[derive(Default)]
pub(crate) struct Situations(Mutex<BTreeMap<Situation, u64>>);

impl Situations {
    pub(crate) fn cover(&self, situation: Situation) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(situation).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> BTreeMap<Situation, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
