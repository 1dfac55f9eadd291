//! Bugs injected on purpose, to show that the simulation and its checks catch them.
//!
//! Each removes one guard. One bug at a time is active, and only in the thread that runs the
//! simulation. A bug is injected by `injected_bug!(Name)`: in production code as one expression of
//! a condition or a value, anywhere else in the ports between the simulated worker and its services
//! (`tools/simulator/src/ports/injected/`). Without the feature `injected-bugs` this module does
//! not exist and the macro is `false`.

use std::cell::Cell;

macro_rules! bugs {
    ($($(#[doc = $what:literal])+ $name:ident = $word:literal,)+) => {
        /// A bug that can be injected.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Bug {
            $($(#[doc = $what])+ $name,)+
        }

        impl Bug {
            /// Every bug.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name by which `INJECTED_BUGS` selects it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// The fault while it is active.
            #[must_use]
            pub fn what(self) -> &'static str {
                match self { $(Self::$name => concat!($($what),+).trim_ascii(),)+ }
            }
        }
    };
}

bugs! {
    /// Of a message that the queue did not take, the first command's caller alone is told.
    TellFirstAlone = "tell-first-alone",
    /// Commands that share a message are in it from the last to the first.
    ReverseGathered = "reverse-gathered",
    /// The message of a batch is deleted once its first command is done.
    DeleteBatchEarly = "delete-batch-early",
    /// The commands of a batch are handled from the last to the first.
    ReverseBatch = "reverse-batch",
    /// Chains of transactions share items.
    ShareAcrossChains = "share-across-chains",
    /// A command that changes nothing is in no chain with what it read.
    ChainWithoutReads = "chain-without-reads",
    /// Outcomes behind a command without one are taken for its own.
    PublishPastGap = "publish-past-gap",
    /// A command of a batch that cannot be read is not copied.
    UnreadablePartLost = "unreadable-part-lost",
    /// The commands of a batch count their attempts together.
    AttemptsByMessage = "attempts-by-message",
    /// Results of several messages are in one array.
    JoinAcrossMessages = "join-across-messages",
    /// A seat is written regardless of its version.
    DropSeatCondition = "drop-seat-condition",
    /// A line is written regardless of its version.
    DropLineCondition = "drop-line-condition",
    /// A reservation is written regardless of its version.
    DropReservationCondition = "drop-reservation-condition",
    /// A ledger entry overwrites an existing one.
    OverwriteLedger = "overwrite-ledger",
    /// No outcome is written to the ledger.
    SkipLedger = "skip-ledger",
    /// Ledger entries are written in a transaction after that of the changes.
    LedgerApart = "ledger-apart",
    /// The read dependencies of a verdict are not checked on commit.
    SkipChecks = "skip-checks",
    /// An earlier transaction contains the changes of later commands.
    LeakLaterChange = "leak-later-change",
    /// A command is decided without the changes of earlier commands in its batch.
    IgnoreBatch = "ignore-batch",
    /// A commit without an answer counts as done.
    AssumeCommitted = "assume-committed",
    /// A commit that met a conflict counts as done.
    TrustLocks = "trust-locks",
    /// A commit that was throttled or refused counts as done.
    PublishUncommitted = "publish-uncommitted",
    /// A batch continues after its lease was lost.
    KeepLostLease = "keep-lost-lease",
    /// The digest of a command found in the ledger is not compared.
    IgnoreDigest = "ignore-digest",
    /// NOT_YET_EXPIRED is recorded in the ledger, permanently.
    LedgerNotYetExpired = "ledger-not-yet-expired",
    /// An outcome in the ledger is not found.
    ForgetLedger = "forget-ledger",
    /// An unprocessed key counts as absent.
    UnprocessedIsAbsent = "unprocessed-is-absent",
    /// Messages are deleted before their results are published.
    DeleteBeforePublish = "delete-before-publish",
    /// Results are published, and messages deleted, before the commit.
    PublishBeforeCommit = "publish-before-commit",
    /// A failed entry of a publish counts as published.
    IgnoreFailedPublish = "ignore-failed-publish",
    /// Messages received behind a message are deleted with it, decided or not.
    DeleteUndecided = "delete-undecided",
    /// A message that came back is skipped, and those behind it are handled.
    SkipOverFailed = "skip-over-failed",
    /// The results of a batch are published last to first.
    ReverseOrder = "reverse-order",
    /// An unreadable message is deleted without a copy.
    DropUnreadable = "drop-unreadable",
    /// Messages released while a dependency is unavailable are deleted.
    DropOnOutage = "drop-on-outage",
    /// An attempt that met an unavailable dependency is not undone.
    CountOutages = "count-outages",
    /// A message received often is dead-lettered untried.
    DeadLetterUntried = "dead-letter-untried",
    /// Dead-lettering is never deferred.
    DeadLetterAtOnce = "dead-letter-at-once",
    /// The messages behind a poisonous message are dead-lettered with it.
    DeadLetterFollowers = "dead-letter-followers",
    /// A poisonous message is never dead-lettered.
    NeverDeadLetter = "never-dead-letter",
    /// A restock that has begun may be dead-lettered.
    DeadLetterBegun = "dead-letter-begun",
    /// A chunk of a restock leaves no marker.
    ForgetChunkMarker = "forget-chunk-marker",
    /// A restock's outcome does not wait for its chunks.
    FinishEarly = "finish-early",
    /// A result has another id at every delivery.
    FreshResultId = "fresh-result-id",
    /// A hold that ran out can be confirmed.
    ConfirmExpired = "confirm-expired",
    /// A confirm does not check the owner of its seats.
    ConfirmLostSeats = "confirm-lost-seats",
    /// A confirm leaves its lines reserved.
    ConfirmKeepsLines = "confirm-keeps-lines",
    /// A hold can be taken over before it has run out.
    TakeHeldSeat = "take-held-seat",
    /// A BLOCKED seat can be reserved.
    ReserveBlocked = "reserve-blocked",
    /// A reserve takes only those of its seats that exist.
    ReservePart = "reserve-part",
    /// A reserve does not check the available stock.
    Oversell = "oversell",
    /// A cancel or expiry frees seats that it no longer owns.
    ReleaseOthersSeats = "release-others-seats",
    /// A cancel or expiry releases no lines.
    ForgetLines = "forget-lines",
    /// An expiry takes effect before its time.
    ExpireEarly = "expire-early",
    /// A user may act on another's reservation.
    IgnoreOwner = "ignore-owner",
    /// A reservation is found in any pool.
    IgnorePool = "ignore-pool",
    /// A restock changes seats that are RESERVED or BOOKED.
    RestockReserved = "restock-reserved",
    /// A restock's `set` forgets what is reserved.
    SetForgetsReserved = "set-forgets-reserved",
    /// An older `as_of` is applied over a newer.
    ApplyOlder = "apply-older",
    /// A command is decided after its `expirytime`.
    DecideExpiredCommand = "decide-expired-command",
    /// The ceiling of a hold in all is not checked.
    IgnoreHoldTotal = "ignore-hold-total",
    /// A hold that has run out is extended or modified.
    ExtendAfterEnd = "extend-after-end",
    /// A late confirm books a seat that has been sold.
    LateConfirmTakesSold = "late-confirm-takes-sold",
    /// A modify takes what it adds and releases nothing.
    ModifyOnlyTakes = "modify-only-takes",
    /// A negative `add` may take available below zero.
    AddBelowZero = "add-below-zero",
    /// An `as_of` in the future is taken.
    TakeFutureAsOf = "take-future-as-of",
    /// A reservation is fulfilled a second time.
    FulfilTwice = "fulfil-twice",
    /// A withheld seat goes back on sale when it is released.
    ForgetWithheld = "forget-withheld",
    /// A withheld seat can be taken over after its hold has run out.
    TakeWithheld = "take-withheld",
    /// The refund of a fulfilled reservation returns its goods twice.
    RefundTwice = "refund-twice",
    /// `expected_version` is not compared.
    IgnoreExpectedVersion = "ignore-expected-version",
    /// The hold of a seat keeps its old end when its reservation is extended.
    ExtendKeepsSeats = "extend-keeps-seats",
    /// The goods of a confirm that says they stay are not counted as committed.
    ForgetCommitted = "forget-committed",
    /// The read dependencies of a restock are not checked on commit.
    RestockUnchecked = "restock-unchecked",
    /// The read dependencies of a modify are not checked on commit.
    ModifyUnchecked = "modify-unchecked",
    /// The result of a modify lists all seats of the reservation as changed.
    PadChanges = "pad-changes",
    /// A result lists its changes one version ahead.
    ChangesAhead = "changes-ahead",
    /// The ledger keeps no changes: a repetition says that nothing was changed.
    DropChanges = "drop-changes",
    /// A result names the source of its own command as that of the reservation.
    SourceOfCommand = "source-of-command",
    /// No worker has a sweeper.
    NeverSweep = "never-sweep",
    /// The share of a sweeper that ended is never another's.
    LeaseForever = "lease-forever",
    /// A sweeper rests for hours after each look at a shard.
    RestForever = "rest-forever",
    /// An expiry is posted before the end of its hold, by the margin it should wait after it.
    SweepEarly = "sweep-early",
    /// An expiry has one deduplication id however often it is posted.
    ExpiryWithoutStep = "expiry-without-step",
    /// The read dependencies of an expiry are not checked on commit.
    ExpireUnchecked = "expire-unchecked",
    /// The read dependencies of a cancel are not checked on commit.
    CancelUnchecked = "cancel-unchecked",
    /// The commands after one found in the ledger are decided on the items read with it.
    NoReload = "no-reload",
    /// Copies for the dead letters are deduplicated by their content.
    CopyByContent = "copy-by-content",
    /// Redriven dead letters are deduplicated by their content.
    RedriveByContent = "redrive-by-content",
    /// An extended lease counts from the answer.
    LeaseFromAnswer = "lease-from-answer",
    /// Before a commit, only the first lease of the batch is checked.
    CheckFirstLease = "check-first-lease",
    /// A message is released while a call that extends its lease is under way.
    ExtendReleased = "extend-released",
    /// A lease is never forgotten.
    LeakLease = "leak-lease",
    /// A receive that failed is repeated under another attempt id.
    FreshAttemptId = "fresh-attempt-id",
    /// The delay of a release is set on the last message, not on the first.
    DelayLast = "delay-last",
    /// An attempt with endless conflicts counts against the message.
    CountContention = "count-contention",
    /// Commits begin after the shutdown grace.
    CommitPastGrace = "commit-past-grace",
    /// Messages are received regardless of the memory budget.
    NoBudget = "no-budget",
    /// A caller is answered with the outcome of another command under its key.
    ShowReused = "show-reused",
    /// An event that is refused as unreadable is posted nevertheless.
    PostUnvalidated = "post-unvalidated",
    /// A caller may post an expire.
    PostExpire = "post-expire",
    /// A caller may use a source of the workers.
    TakeWorkersSource = "take-workers-source",
    /// A caller may use the source of another.
    TakeForeignSource = "take-foreign-source",
    /// A reserve of a caller has no last moment.
    ForgetDeadline = "forget-deadline",
    /// The pause between two looks for an outcome grows without bound.
    BackOffForever = "back-off-forever",
    /// A caller waits from the queue's answer on, for what is announced from then on: an outcome that
    /// was recorded before is not found.
    WaitAfterPost = "wait-after-post",
    /// A command that was refused, or whose caller left before it was sent, counts as waiting for an
    /// outcome.
    CountUnposted = "count-unposted",
    /// Everybody sees whose a seat is.
    ShowOwner = "show-owner",
    /// A cursor is taken in any list.
    UnboundCursor = "unbound-cursor",
    /// The last seat of a page is the first of the next.
    RepeatSeat = "repeat-seat",
    /// A projection answers however old it is.
    ServeStale = "serve-stale",
    /// What is known not to exist is never looked for again.
    AbsentForever = "absent-forever",
    /// The first page of a pool is taken for all of it.
    FirstPageOnly = "first-page-only",
    /// The age of a projection counts from the end of its read.
    AgeFromEnd = "age-from-end",
    /// What is read from the tables for an answer counts as read at its end.
    ForgetReadTime = "forget-read-time",
    /// A shared snapshot counts as read when it is taken.
    ForgetSnapshotAge = "forget-snapshot-age",
    /// A read puts an older entry in the place of a newer one.
    ReadGoesBack = "read-goes-back",
    /// A hint puts an older entry in the place of a newer one.
    HintGoesBack = "hint-goes-back",
    /// Numbers that show that a hint is missing are ignored.
    IgnoreGap = "ignore-gap",
    /// Hints count as complete since a read that began before they came.
    TrustEarlyRead = "trust-early-read",
    /// A hold that ran out is shown as held until it is given back.
    HoldForever = "hold-forever",
    /// A withheld seat is shown as sellable after its hold has run out.
    ShowWithheld = "show-withheld",
    /// BLOCKED seats are counted as sellable.
    CountBlocked = "count-blocked",
    /// Counts are kept past the end of a hold.
    KeepCounts = "keep-counts",
}

thread_local! {
    static ACTIVE: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Activates a bug in this thread, or none.
pub fn inject(bug: Option<Bug>) {
    ACTIVE.set(bug);
}

/// Whether the bug is active in this thread.
#[must_use]
pub fn is_active(bug: Bug) -> bool {
    ACTIVE.get() == Some(bug)
}
