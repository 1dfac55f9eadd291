//! Bugs injected on purpose, to show that the simulation and its checks catch them.
//!
//! Each removes one guard. They exist only under the feature `injected-bugs`; without it
//! [`on`] is a constant `false` and the guards cannot be switched off. One bug at a time is active,
//! and only in the thread that runs the simulation.

macro_rules! bugs {
    ($($(#[doc = $what:literal])+ $name:ident = $word:literal,)+) => {
        /// A guard that is removed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Bug {
            $($(#[doc = $what])+ $name,)+
        }

        impl Bug {
            /// Every bug.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name on the command line.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// What it does.
            #[must_use]
            pub fn what(self) -> &'static str {
                match self { $(Self::$name => concat!($($what),+).trim_ascii(),)+ }
            }
        }
    };
}

bugs! {
    /// A seat is written whatever its version.
    DropSeatCondition = "drop-seat-condition",
    /// A line is written whatever its version.
    DropLineCondition = "drop-line-condition",
    /// A reservation is written whatever its version.
    DropReservationCondition = "drop-reservation-condition",
    /// A ledger entry is put over one that is there.
    OverwriteLedger = "overwrite-ledger",
    /// No ledger entry is written.
    SkipLedger = "skip-ledger",
    /// Ledger entries go in a transaction after that of the changes.
    LedgerApart = "ledger-apart",
    /// What a verdict rests on is not checked on commit.
    SkipChecks = "skip-checks",
    /// An earlier transaction carries what a later command left.
    LeakLaterChange = "leak-later-change",
    /// What a command came to as the batch was loaded stands, if that was a rejection.
    IgnoreBatch = "ignore-batch",
    /// A commit without an answer counts as done.
    AssumeCommitted = "assume-committed",
    /// Under locks, a conflict counts as done.
    TrustLocks = "trust-locks",
    /// When a transaction fails, the outcomes of those after it are told all the same.
    TellUncommitted = "tell-uncommitted",
    /// A batch goes on after its lease was lost.
    KeepLostLease = "keep-lost-lease",
    /// The digest of a command found in the ledger is not compared.
    IgnoreDigest = "ignore-digest",
    /// NOT_YET_EXPIRED is kept in the ledger, for ever.
    LedgerNotYetExpired = "ledger-not-yet-expired",
    /// A command is not looked up in the ledger.
    ForgetLedger = "forget-ledger",
    /// A key that was not processed counts as absent.
    UnprocessedIsAbsent = "unprocessed-is-absent",
    /// Messages are deleted before their results are published.
    DeleteBeforePublish = "delete-before-publish",
    /// Results are published, and messages deleted, before the commit.
    PublishBeforeCommit = "publish-before-commit",
    /// A failed entry of a publish counts as published.
    IgnoreFailedPublish = "ignore-failed-publish",
    /// The whole batch is deleted, decided or not.
    DeleteUndecided = "delete-undecided",
    /// After a message without outcome, those behind it are answered all the same.
    SkipOverFailed = "skip-over-failed",
    /// The messages of a batch are answered last to first.
    ReverseOrder = "reverse-order",
    /// An unreadable message is deleted without a copy.
    DropUnreadable = "drop-unreadable",
    /// A failure of the environment drops the message.
    DropOnOutage = "drop-on-outage",
    /// An attempt that met a failure of the environment is not taken back.
    CountOutages = "count-outages",
    /// A message received often goes to the dead letters untried.
    CondemnUntried = "condemn-untried",
    /// What was handled alone too often goes to the dead letters without a last wait.
    CondemnAtOnce = "condemn-at-once",
    /// With a poisonous message go those behind it.
    CondemnFollowers = "condemn-followers",
    /// A poisonous message is never given up.
    NeverCondemn = "never-condemn",
    /// A restock that has begun may be given up.
    CondemnBegun = "condemn-begun",
    /// A chunk of a restock leaves no marker.
    ForgetChunkMarker = "forget-chunk-marker",
    /// A restock's outcome does not wait for its chunks.
    FinishEarly = "finish-early",
    /// A result has another id at every delivery.
    FreshResultId = "fresh-result-id",
    /// A hold that ran out can be confirmed.
    ConfirmExpired = "confirm-expired",
    /// A confirm does not look whose its seats are.
    ConfirmLostSeats = "confirm-lost-seats",
    /// A confirm leaves its lines reserved.
    ConfirmKeepsLines = "confirm-keeps-lines",
    /// A hold can be taken over before it has run out.
    TakeHeldSeat = "take-held-seat",
    /// A BLOCKED seat can be reserved.
    ReserveBlocked = "reserve-blocked",
    /// A reserve takes what it can get.
    ReservePart = "reserve-part",
    /// A reserve does not look at what is available.
    Oversell = "oversell",
    /// A cancel or expiry frees seats that are no longer its own.
    ReleaseOthersSeats = "release-others-seats",
    /// A cancel or expiry gives no lines back.
    ForgetLines = "forget-lines",
    /// An expiry is effective before its time.
    ExpireEarly = "expire-early",
    /// A user may act on another's reservation.
    IgnoreOwner = "ignore-owner",
    /// A reservation is found in any pool.
    IgnorePool = "ignore-pool",
    /// A restock changes seats that are RESERVED.
    RestockReserved = "restock-reserved",
    /// A restock's `set` forgets what is reserved.
    SetForgetsReserved = "set-forgets-reserved",
    /// An older `as_of` is applied over a newer.
    ApplyOlder = "apply-older",
    /// Nobody sweeps.
    NeverSweep = "never-sweep",
    /// A hold is posted before its end by the margin that it should be posted after it.
    SweepEarly = "sweep-early",
    /// An expiry has one deduplication id however often it is posted.
    ExpiryWithoutStep = "expiry-without-step",
    /// An expiry does not rest on what it read.
    ExpireUnchecked = "expire-unchecked",
    /// A cancel does not rest on what it read.
    CancelUnchecked = "cancel-unchecked",
    /// What follows a command found in the ledger is decided on what was read with it.
    NoReload = "no-reload",
    /// Copies for the dead letters are told apart by their content.
    CopyByContent = "copy-by-content",
    /// Dead letters that go back are told apart by their content.
    RedriveByContent = "redrive-by-content",
    /// An extended lease counts from the answer.
    LeaseFromAnswer = "lease-from-answer",
    /// Of a batch, the lease of the first message alone is looked at before a commit.
    CheckFirstLease = "check-first-lease",
    /// A lease that was lost is never forgotten.
    LeakLostLease = "leak-lost-lease",
    /// A receive that failed is repeated under another attempt id.
    FreshAttemptId = "fresh-attempt-id",
    /// The delay of a release is put on the last message, not on the first.
    DelayLast = "delay-last",
    /// An attempt that met conflicts without end counts against the message.
    CountContention = "count-contention",
    /// Commits are begun after the grace.
    CommitPastGrace = "commit-past-grace",
    /// Messages are received whether there is room or not.
    NoBudget = "no-budget",
}

#[cfg(feature = "injected-bugs")]
thread_local! {
    static ACTIVE: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Activates a bug in this thread, or none.
#[cfg(feature = "injected-bugs")]
pub fn inject(bug: Option<Bug>) {
    ACTIVE.set(bug);
}

/// Whether the bug is active.
#[cfg(feature = "injected-bugs")]
#[must_use]
pub fn on(bug: Bug) -> bool {
    ACTIVE.get() == Some(bug)
}

/// Never.
#[cfg(not(feature = "injected-bugs"))]
#[must_use]
#[inline(always)]
pub const fn on(_: Bug) -> bool {
    false
}
